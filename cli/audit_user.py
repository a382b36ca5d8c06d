"""`audit user`: the records of a user's sessions, from storage and from the stream in Redis."""

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
from rich.console import Console

from cli import interaction
from cli.audit_display import clock, data_of, details, escaped, grid, is_record, log_bytes, parse, storage, text, what
from cli.terminal import Exit, Refused, complain, open_console, show_json
from shared.app import App
from shared.audit import chain, state, verify
from shared.audit.store import Store
from shared.words import counted

MAX_RECORDS = 10_000
"""Records of one user that are kept and shown."""
NOTES = {chain.GAP, chain.RESET, chain.UNREADABLE, chain.CHAIN_BROKEN}
"""Types of records about the log itself that may make the result incomplete."""


@dataclass(frozen=True)
class StoredRecord:
    """A record, and whether it is in storage."""

    record: Mapping[str, Any]
    shipped: bool


@dataclass
class Story:
    """The records of a user's sessions by life (one sign-in to its end), in the order of the log. `notes` are records
    about the log itself; `more` counts records that were left out."""

    lives: dict[str, list[StoredRecord]] = field(default_factory=dict)
    notes: list[Mapping[str, Any]] = field(default_factory=list)
    more: int = 0
    _seen: set[str] = field(default_factory=set)

    @property
    def count(self) -> int:
        return sum(map(len, self.lives.values()))

    def add(self, record: Mapping[str, Any], users: Collection[str], *, shipped: bool) -> None:
        """Add a record that names one of these users, or a note, unless it was added before."""
        note = record["type"] in NOTES
        if record["id"] in self._seen or not (note or names_of(record) & set(users)):
            return
        if len(self._seen) >= MAX_RECORDS:
            self.more += 1
            return
        self._seen.add(record["id"])
        if note:
            self.notes.append(record)
        else:
            self.lives.setdefault(record["id"].rpartition(".")[0], []).append(StoredRecord(record, shipped))


def names_of(record: Mapping[str, Any]) -> set[str]:
    """The user ids that a record names."""
    data = data_of(record)
    return {value for name in ("userId", "previousUserId") if isinstance(value := data.get(name), str)}


def names_in_records(app: App, user_id: str) -> set[str]:
    """The names of a user in records: the user id, and its pseudonyms under the current and the previous key."""
    return {user_id, *(name for ring in app.keyrings for name in ring.pseudonyms(user_id))}


async def unshipped(app: App) -> AsyncIterator[tuple[Mapping[str, Any], bool]]:
    """The records of the stream, each with whether it is in storage: all that are not, and the last ones that are.

    Raises what the Redis client raises.
    """
    head = (await state.state(app)).head
    shipped = state.id_order(head.entry if head else chain.START)
    position = chain.START
    while entries := (await state.read(app, position)).entries:
        position = entries[-1].id
        for entry in entries:
            if record := parse((entry.fields or {}).get(b"event", b"")):
                yield record, state.id_order(entry.id) <= shipped


async def story(
    app: App,
    store: Store | None,
    user_id: str,
    since: date,
    until: date,
) -> Story:
    """The records of this user's sessions on the days `since` to `until` (UTC). Reads the stream before storage, so
    that records exported meanwhile are found in at least one of them. Raises what the Redis client and the store
    raise."""
    users, result, waiting = names_in_records(app, user_id), Story(), list[tuple[Mapping[str, Any], bool]]()
    async for record, shipped in unshipped(app):
        if names_of(record) & users and since <= _day(record) <= until and len(waiting) < MAX_RECORDS:
            waiting.append((record, shipped))
    if store is not None:
        async for record in verify.records(store, since, until):
            if is_record(record):
                result.add(record, users, shipped=True)
    for record, shipped in waiting:
        result.add(record, users, shipped=shipped)
    return result


def _day(record: Mapping[str, Any]) -> date:
    try:
        return datetime.fromisoformat(record["time"]).astimezone(UTC).date()
    except (ValueError, OverflowError):
        return date.min


async def show_user(app: App, *, argument: str, since: date, until: date, json: bool) -> Exit:
    """`audit user`; `argument` is the user id, or - for stdin."""
    user_id = (await interaction.read_line()).decode(errors="replace").strip() if argument == "-" else argument
    if not user_id:
        raise Refused("expected a user id")
    result, complete = await _story(app, user_id, since, until)
    if json:
        lives = [{"life": life, "records": records} for life, records in result.lives.items()]
        answer = {"since": since, "until": until, "complete": complete and not result.more}
        show_json(
            escaped({**msgspec.to_builtins(answer), "sessions": msgspec.to_builtins(lives), "notes": result.notes})
        )
    else:
        _print_story(app, result)
    if result.more:
        complain(f"{counted(result.more, 'more record')}: select fewer days")
    return Exit.OK if result.lives and complete else Exit.ATTENTION


async def _story(app: App, user_id: str, since: date, until: date) -> tuple[Story, bool]:
    """The records, and whether storage was read."""
    with interaction.explaining_interruption(lambda: "nothing was changed"):
        try:
            async with storage(app) as store:
                total = await log_bytes(store, since, until + timedelta(days=1))
            with interaction.progress(total, "bytes read") as progress:
                async with storage(app, progress) as store:
                    return await story(app, store, user_id, since, until), True
        except Refused as error:
            complain(f"{error}. The records below are from Redis alone.")
            return await story(app, None, user_id, since, until), False


def _print_story(app: App, result: Story) -> None:
    console = open_console()
    for life, records in result.lives.items():
        _print_life(app, console, life, records)
    for note in result.notes:
        console.print(f"{clock(note)}  the log itself: {what(note)}, {details(app, note)}", soft_wrap=True)
    most = f" (at most {MAX_RECORDS:,} are shown)" if result.more else ""
    complain(f"records {result.count:,}, sessions {len(result.lives):,}{most}; times are UTC")


def _print_life(app: App, console: Console, life: str, records: list[StoredRecord]) -> None:
    last = records[-1].record
    ended = data_of(last).get("reason") if last["type"].endswith(".ended") else None
    state_now = f"ended: {text(ended)}" if ended else "no end recorded"
    console.print(f"session {text(life.partition('.')[0])[:12]}  {state_now}", soft_wrap=True)
    table = grid()
    for stored in records:
        by = text(data_of(stored.record).get("detectedBy") or "-", 10)
        waits = "" if stored.shipped else "  (not exported yet)"
        table.add_row(f"  {clock(stored.record)}", what(stored.record), by, details(app, stored.record) + waits)
    console.print(table)
    console.print()
