"""What a user's sessions did: the story of each life, from storage and from what is not shipped yet."""

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

MAX_RECORDS = 10_000
"""Of one user, that are held and shown."""
NOTES = {chain.GAP, chain.RESET, chain.UNREADABLE, chain.CHAIN_BROKEN}
"""What the log says about itself that makes a story incomplete."""


@dataclass(frozen=True)
class Told:
    """A record, and whether it is in storage yet."""

    record: Mapping[str, Any]
    shipped: bool


@dataclass
class Story:
    """What a user's sessions did: the records of each life by its id, in the order of the log. `notes` are what the log
    says about itself; `more` records were left out."""

    lives: dict[str, list[Told]] = field(default_factory=dict)
    notes: list[Mapping[str, Any]] = field(default_factory=list)
    more: int = 0
    _seen: set[str] = field(default_factory=set)

    @property
    def count(self) -> int:
        return sum(map(len, self.lives.values()))

    def add(self, record: Mapping[str, Any], users: Collection[str], *, shipped: bool) -> None:
        """Add a record, if it is of one of these users or a note, and not here yet."""
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
            self.lives.setdefault(record["id"].rpartition(".")[0], []).append(Told(record, shipped))


def names_of(record: Mapping[str, Any]) -> set[str]:
    """The user ids that a record names."""
    data = data_of(record)
    return {value for name in ("userId", "previousUserId") if isinstance(value := data.get(name), str)}


def forms_of(app: App, user_id: str) -> set[str]:
    """How records may name a user: as it is, or as its pseudonym under the present key or the one before."""
    return {user_id, *(ring.pseudonym(user_id) for ring in app.keyrings)}


async def unshipped(app: App) -> AsyncIterator[tuple[Mapping[str, Any], bool]]:
    """The records of the stream, with whether each is in storage: those that are not, and the last ones that are.

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
    """What this user's sessions did on the days `since` to `until` (UTC). The stream is read before storage: what is
    shipped meanwhile is then in one of the two, or in both. Raises what the Redis client and the store raise."""
    users, found, waiting = forms_of(app, user_id), Story(), list[tuple[Mapping[str, Any], bool]]()
    async for record, shipped in unshipped(app):
        if names_of(record) & users and since <= _day(record) <= until and len(waiting) < MAX_RECORDS:
            waiting.append((record, shipped))
    if store is not None:
        async for record in verify.records(store, since, until):
            if is_record(record):
                found.add(record, users, shipped=True)
    for record, shipped in waiting:
        found.add(record, users, shipped=shipped)
    return found


def _day(record: Mapping[str, Any]) -> date:
    try:
        return datetime.fromisoformat(record["time"]).astimezone(UTC).date()
    except (ValueError, OverflowError):
        return date.min


async def tell_story(app: App, *, given: str, since: date, until: date, json: bool) -> Exit:
    """`audit user`, with the id as it was `given`."""
    user_id = (await interaction.read_line()).decode(errors="replace").strip() if given == "-" else given
    if not user_id:
        raise Refused("a user id is expected")
    found, complete = await _story(app, user_id, since, until)
    if json:
        lives = [{"life": life, "records": records} for life, records in found.lives.items()]
        answer = {"since": since, "until": until, "complete": complete and not found.more}
        show_json(
            escaped({**msgspec.to_builtins(answer), "sessions": msgspec.to_builtins(lives), "notes": found.notes})
        )
    else:
        _print_story(app, found)
    if found.more:
        complain(f"{found.more:,} more records: ask for fewer days")
    return Exit.OK if found.lives and complete else Exit.ATTENTION


async def _story(app: App, user_id: str, since: date, until: date) -> tuple[Story, bool]:
    """The story, and whether storage was read for it."""
    with interaction.explaining_interruption(lambda: "nothing was changed"):
        try:
            async with storage(app) as store:
                total = await log_bytes(store, since, until + timedelta(days=1))
            with interaction.progress(total, "bytes read") as progress:
                async with storage(app, progress) as store:
                    return await story(app, store, user_id, since, until), True
        except Refused as fault:
            complain(f"{fault}. What follows is from Redis alone.")
            return await story(app, None, user_id, since, until), False


def _print_story(app: App, found: Story) -> None:
    console = open_console()
    for life, records in found.lives.items():
        _print_life(app, console, life, records)
    for note in found.notes:
        console.print(f"{clock(note)}  the log itself: {what(note)}, {details(app, note)}", soft_wrap=True)
    most = f" (at most {MAX_RECORDS:,} are shown)" if found.more else ""
    complain(f"records {found.count:,}, sessions {len(found.lives):,}{most}; times are UTC")


def _print_life(app: App, console: Console, life: str, records: list[Told]) -> None:
    last = records[-1].record
    ended = data_of(last).get("reason") if last["type"].endswith(".ended") else None
    state_now = f"ended: {text(ended)}" if ended else "no end recorded"
    console.print(f"session {text(life.partition('.')[0])[:12]}  {state_now}", soft_wrap=True)
    table = grid()
    for one in records:
        by = text(data_of(one.record).get("detectedBy") or "-", 10)
        waits = "" if one.shipped else "  (not shipped yet)"
        table.add_row(f"  {clock(one.record)}", what(one.record), by, details(app, one.record) + waits)
    console.print(table)
    console.print()
