"""Shared by the commands of `audit`: reading storage with progress, records as text."""

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
    """The audit container; `progress` is called with the bytes of lines read so far. Raises Refused when it is away."""
    if not app.settings.storage:
        raise Refused("AzureWebJobsStorage is not set: the only audit log is the stream in Redis")
    from azure.core.exceptions import AzureError

    try:
        async with open_store(app.settings) as store:
            yield _Progressing(store, progress) if progress else store
    except (AzureError, TimeoutError) as error:
        raise Refused(f"storage is away: {type(error).__name__}; see python3 manage.py doctor") from None


class _Progressing(Store):
    """A store that reports the bytes read so far."""

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
        async for name in self._store.names(prefix):
            yield name


async def log_bytes(store: Store, since: date | None, until: date | None) -> int:
    """Total size of the files of these days, in bytes."""
    total = 0
    async for name, size in store.names(chain.ROOT):
        day = "-".join(name.split("/")[1:4])
        if not ((since and day < str(since)) or (until and day > str(until))):
            total += size
    return total


def parse(raw: bytes) -> dict[str, Any] | None:
    """The record of a stream entry; None for an invalid one: any client can add to a stream."""
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and is_record(record) else None


def is_record(record: Mapping[str, Any]) -> bool:
    """Whether it has the fields that are read of every record."""
    return all(isinstance(record.get(name), str) for name in ("id", "time", "type"))


def as_json(value: Any) -> str:
    """One line of JSON without control characters of terminals."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def text(value: object, limit: int = MAX_TEXT) -> str:
    """A value of a record on one line, without control characters."""
    shown = value if isinstance(value, str) else as_json(value)
    return printable(shown.encode(errors="surrogatepass"), limit)


def clock(record: Mapping[str, Any]) -> str:
    """`2026-11-22 20:59:43.420`, in UTC; unchanged when it is not a time."""
    try:
        time = datetime.fromisoformat(record["time"]).astimezone(UTC)
    except (ValueError, OverflowError):
        return text(record["time"], 30)
    return time.isoformat(" ", "milliseconds").removesuffix("+00:00")


def what(record: Mapping[str, Any]) -> str:
    """The type without the prefix that all types share."""
    return text(record["type"].removeprefix("nextauth.session.").removeprefix("functions.audit."), 40)


def user(app: App, value: object) -> str:
    """A user id on one line; an e-mail address is replaced by its fingerprint."""
    shown = text(value, 64)
    return f"~{fingerprint(shown.encode(), app.settings.audit_key)[:12]}" if "@" in shown else shown


def details(app: App, record: Mapping[str, Any]) -> str:
    """The data of a record as text, without the user and what detected it."""
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
    """The value with every text on one line, without control characters."""
    match value:
        case str():
            return printable(value.encode(errors="surrogatepass"), MAX_ESCAPED)
        case Mapping():
            return {escaped(name): escaped(item) for name, item in value.items()}
        case list():
            return [escaped(item) for item in value]
    return value


def grid() -> Table:
    """A table of up to four columns without a header; the last one wraps."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table
