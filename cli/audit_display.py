"""The audit log as the commands of `audit` read it: storage with progress, records fit to be shown."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any

from rich.table import Table

from cli.terminal import Refused
from shared.app import App
from shared.audit import chain
from shared.audit.store import Store, open_store
from shared.privacy.masking import fingerprint, printable

MAX_TEXT = 200
MAX_ESCAPED = 16 * 1024


@asynccontextmanager
async def storage(app: App, progress: Callable[[int], None] | None = None) -> AsyncIterator[Store]:
    """The audit container; `progress` is told how many bytes of lines were read. Raises Refused when it is away."""
    if not app.settings.storage:
        raise Refused("AzureWebJobsStorage is not set: there is no audit log to read but the stream in Redis")
    from azure.core.exceptions import AzureError

    try:
        async with open_store(app.settings) as store:
            yield _Told(store, progress) if progress else store
    except (AzureError, TimeoutError) as fault:
        raise Refused(f"storage is away: {type(fault).__name__}; see python manage.py doctor") from None


class _Told(Store):
    """A store that tells how far it was read."""

    def __init__(self, store: Store, progress: Callable[[int], None]) -> None:
        self._store, self._progress, self._bytes = store, progress, 0

    async def read(self, blob: str, start: int, length: int) -> bytes:
        return await self._store.read(blob, start, length)

    async def lines(self, blob: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        async for line in self._store.lines(blob, start, end):
            self._bytes += len(line)
            self._progress(self._bytes)
            yield line

    async def names(self, prefix: str) -> AsyncIterator[tuple[str, int]]:
        async for one in self._store.names(prefix):
            yield one


async def log_bytes(store: Store, since: date | None, until: date | None) -> int:
    """Bytes of the files of these days."""
    total = 0
    async for name, size in store.names(chain.ROOT):
        day = "-".join(name.split("/")[1:4])
        if not ((since and day < str(since)) or (until and day > str(until))):
            total += size
    return total


def parse(raw: bytes) -> dict[str, Any] | None:
    """The record of a stream entry; None when it is none: anybody can add to a stream."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and is_record(found) else None


def is_record(found: Mapping[str, Any]) -> bool:
    """Whether it has what is read of every record."""
    return all(isinstance(found.get(name), str) for name in ("id", "time", "type"))


def as_json(value: Any) -> str:
    """One line without a character that a terminal obeys."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def text(value: object, limit: int = MAX_TEXT) -> str:
    """Something of a record, fit to be shown."""
    shown = value if isinstance(value, str) else as_json(value)
    return printable(shown.encode(errors="surrogatepass"), limit)


def clock(record: Mapping[str, Any]) -> str:
    """`2026-11-22 20:59:43.420`, in UTC; as it is when it is no such time."""
    try:
        time = datetime.fromisoformat(record["time"]).astimezone(UTC)
    except (ValueError, OverflowError):
        return text(record["time"], 30)
    return time.isoformat(" ", "milliseconds").removesuffix("+00:00")


def what(record: Mapping[str, Any]) -> str:
    """The type without what all types begin with."""
    return text(record["type"].removeprefix("nextauth.session.").removeprefix("functions.audit."), 40)


def user(app: App, value: object) -> str:
    """A user id fit to be shown; of one that is an e-mail address the fingerprint."""
    shown = text(value, 64)
    return f"~{fingerprint(shown.encode(), app.settings.audit_key)[:12]}" if "@" in shown else shown


def details(app: App, record: Mapping[str, Any]) -> str:
    """The data of a record in words, without the user and what made us look."""
    data = dict(data_of(record))
    parts = []
    if isinstance(reason := data.pop("reason", None), str):
        parts.append(text(reason))
    if isinstance(duration_s := data.pop("duration_s", None), int | float):
        parts.append(f"after {duration_s:,} s")
    if "previousUserId" in data:
        before = data.pop("previousUserId")
        parts.append("signed in" if before is None else f"user before {user(app, before)}")
    if touches := data.pop("touches", 0):
        parts.append(f"touches {text(touches)}")
    if data.pop("keyRemains", False):
        parts.append("its key remains")
    for name, value in data.items():
        if name not in {"userId", "detectedBy"} and value is not None:
            parts.append(f"{text(name, 40)} {text(value)}")
    return ", ".join(parts)


def data_of(record: Mapping[str, Any]) -> Mapping[str, Any]:
    data = record.get("data")
    return data if isinstance(data, dict) else {}


def escaped(value: Any) -> Any:
    """The same with every text fit for a terminal."""
    match value:
        case str():
            return printable(value.encode(errors="surrogatepass"), MAX_ESCAPED)
        case Mapping():
            return {escaped(name): escaped(one) for name, one in value.items()}
        case list():
            return [escaped(one) for one in value]
    return value


def grid() -> Table:
    """Rows of up to four cells, the last one folded."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table
