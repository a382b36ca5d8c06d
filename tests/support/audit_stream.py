"""Reads the audit stream, and compares it with the lives that the test's clients gave their sessions."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby, pairwise
from typing import Any, Self

from shared import namespaces
from shared.privacy.keyring import Keyring
from tests.support.rig import FAST
from tests.support.traffic import open_client

type Record = dict[str, Any]
type Window = tuple[float, float]
"""Start and end, in seconds since 1970."""

READ_MS = 200
PAGE = 5000
LATE_EVENT_S = 60.0
"""How long after the end of a life its event can arrive and be taken for the end of the next life; LATE_EVENT_MS of
transition.py."""
WRONG_REASON = "wrong reason"
TOO_EARLY = "expired before it was due"
_PREFIX = "nextauth.session."
_keyring = Keyring(FAST["AUDIT_KEY"])


@dataclass
class Life:
    """The actual life of a session: one token, from one creation to one end."""

    token: str
    client: str
    ending: str
    """How its client ends it."""
    reason: str
    """The reason that the record of its end has to have, unless no host could receive the event."""
    users: list[str | None]
    """Its users, in order."""
    unbounded: bool = False
    key_remains: bool = False
    """Whether its key exists until the end is recorded; then the record has to say so."""
    event_reason: str = ""
    """The reason of the event that Redis sends when the key goes, which may be after the end of the life."""
    ended_s: float = 0.0
    """When its client ended it, in seconds since 1970; 0 if it expired."""
    over_s: float = 0.0
    """When its key was gone and its end was recorded, in seconds since 1970."""
    due_s: float = 0.0
    """`expires` in its JSON, in seconds since 1970."""


@dataclass
class AuditStream:
    """Follows the stream from its first entry. `entries` has the running number and the bytes of each record, as the
    exported log has to contain them."""

    port: int
    entries: list[tuple[int, bytes]] = field(default_factory=list)
    _records: defaultdict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))
    _arrivals: defaultdict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    _position: bytes = b"0"
    _task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._redis = open_client(self.port)
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()
        await self._redis.aclose()

    async def complete(self) -> None:
        """Stop following, and read the stream to its end."""
        await self._end()
        while await self._read(None):
            pass

    def count(self, token: str, kind: str) -> int:
        """How many records of this kind the sessions of the token have."""
        return sum(record["type"] == _PREFIX + kind for record in self.of(token))

    def of(self, token: str) -> list[Record]:
        """The records of the sessions of the token, in order."""
        return self._records[_subject(token)]

    async def wait_for(self, token: str, kind: str, count: int, timeout_s: float) -> bool:
        """Wait until there are `count` records of this kind; False after `timeout_s`."""
        arrival = self._arrivals[_subject(token)]
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.count(token, kind) < count:
                    arrival.clear()
                    await arrival.wait()
        return self.count(token, kind) >= count

    def records(self) -> list[Record]:
        """All records, in order."""
        return [json.loads(event) for _, event in self.entries]

    def lives(self) -> dict[str, list[list[Record]]]:
        """Maps each subject to the records of each of its lives, lives in the order in which they began."""
        return {
            subject: [list(life) for _, life in groupby(sorted(records, key=_life_of), key=_life_of)]
            for subject, records in self._records.items()
            if records
        }

    async def _follow(self) -> None:
        while True:
            await self._read(READ_MS)

    async def _read(self, block_ms: int | None) -> int:
        stream = namespaces.build(namespaces.AUDIT_STREAM)
        reply = await self._redis.xread({stream: self._position}, count=PAGE, block=block_ms)
        entries = reply[0][1] if reply else []
        for position, fields in entries:
            assert fields.keys() == {b"event", b"n"}
            record = json.loads(fields[b"event"])
            self.entries.append((int(fields[b"n"]), fields[b"event"]))
            self._records[record["subject"]].append(record)
            self._arrivals[record["subject"]].set()
            self._position = position
        return len(entries)

    async def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None


def check_stream(stream: AuditStream) -> None:
    """Assert that the numbers have no gap, that no record is duplicated, and that each life numbers its records."""
    records = stream.records()
    numbers = [number for number, _ in stream.entries]
    assert numbers == list(range(1, len(numbers) + 1)), "a number is missing or duplicated"
    duplicates = [id_ for id_, times in Counter(record["id"] for record in records).items() if times > 1]
    assert not duplicates, f"{len(duplicates)} duplicate records: {duplicates[:10]}"
    for subject, lives in stream.lives().items():
        for life in lives:
            prefix = f"{subject}.{_life_of(life[0])}."
            assert [record["id"] for record in life] == [f"{prefix}{number}" for number in range(1, len(life) + 1)]


def lag_s(stream: AuditStream, lives: Mapping[str, Sequence[Life]]) -> float:
    """The longest time from the end of a session to the record that its event led to."""
    recorded = stream.lives()
    return max(
        _time(records[-1]["time"]) - life.ended_s
        for token, actual in lives.items()
        for life, records in zip(actual, recorded.get(_subject(token), []), strict=False)
        if life.ended_s and records[-1]["data"]["detectedBy"] == "event"
    )


def check_lives(stream: AuditStream, lives: Mapping[str, Sequence[Life]], blackouts: Sequence[Window]) -> Counter[str]:
    """Assert that the records match the lives. Returns how often each kind of record and of end occurs.

    `blackouts` are the windows without a host. Events from shortly before a blackout may be lost too, with the queues
    of the hosts: the longest lag bounds how long before.
    """
    recorded_lives, late, longest_lag_s = stream.lives(), 0, lag_s(stream, lives)
    lost_windows = [(from_s - longest_lag_s, to_s) for from_s, to_s in blackouts]
    unknown_subjects = recorded_lives.keys() - set(map(_subject, lives))
    errors = [f"records of an unknown session: {recorded_lives[subject][0]}" for subject in unknown_subjects]
    for token, actual in lives.items():
        recorded = recorded_lives.get(_subject(token), [])
        if len(recorded) != len(actual):
            errors.append(f"{len(recorded)} recorded lives, {len(actual)} actual lives: {_summary(actual, recorded)}")
            continue
        for number, (life, records) in enumerate(zip(actual, recorded, strict=True)):
            faults = set(_faults(life, records, lost_windows))
            if faults and faults <= {WRONG_REASON, TOO_EARLY} and _is_of_earlier_life(records[-1], actual[:number]):
                late += 1
                continue
            errors += [f"{fault}: {_summary(actual, recorded)}" for fault in faults]
    assert not errors, "\n".join([f"{len(errors)} faults; events were lost in {lost_windows}", *errors[:5]])
    return Counter(_kinds(stream.records())) + Counter({"ended/with the reason of an earlier life": late})


def _faults(life: Life, records: Sequence[Record], lost_windows: Sequence[Window]) -> Iterator[str]:
    """Differences between a life and its records."""
    kinds = [record["type"].removeprefix(_PREFIX) for record in records]
    first, last = records[0], records[-1]
    changes = [record["data"] for record in records if record["type"] == _PREFIX + "changed"]
    if kinds[0] != "created" or kinds.count("created") != 1:
        yield "not exactly one created, first"
    if kinds[-1] != "ended" or kinds.count("ended") != 1:
        yield "not exactly one ended, last"
        return
    if unexpected := set(kinds) - {"created", "refreshed", "changed", "unbounded", "ended"}:
        yield f"records of kind {unexpected}"
    if kinds.count("unbounded") != life.unbounded:
        yield "not exactly one unbounded" if life.unbounded else "recorded as unbounded"
    if first["data"]["userId"] != life.users[0] or last["data"]["userId"] != life.users[-1]:
        yield "wrong user"
    if [(change["previousUserId"], change["userId"]) for change in changes] != list(pairwise(life.users)):
        yield "wrong changes of user"
    if last["data"]["reason"] != life.reason and not _may_be_lost(life, last["data"], lost_windows):
        yield WRONG_REASON
    if life.key_remains and last["data"].get("keyRemains") is not True:
        yield "keyRemains is missing"
    due = last["data"]["expires"]
    if last["data"]["reason"] == "expired" and (due is None or _time(last["time"]) < _time(due)):
        yield TOO_EARLY
    if abs(last["data"]["duration_s"] - (_time(last["time"]) - _time(first["time"]))) > 1e-3:
        yield "duration_s is not the time from created to ended"


def _may_be_lost(life: Life, end: Record, lost_windows: Sequence[Window]) -> bool:
    """Whether the life ended while its event could be lost, and is recorded so."""
    return (
        end["reason"] == "lost"
        and end["detectedBy"] in {"sweep", "schedule"}
        and any(from_s <= life.ended_s <= to_s for from_s, to_s in lost_windows)
    )


def _is_of_earlier_life(end: Record, earlier: Sequence[Life]) -> bool:
    """Whether the reason may come from the event of an earlier life of the token: an instance that lags handles that
    event when this life has ended too."""
    return (
        end["data"]["detectedBy"] == "event"
        and end["data"]["reason"] in {life.event_reason for life in earlier}
        and _time(end["time"]) - max(life.over_s for life in earlier) <= LATE_EVENT_S
    )


def _kinds(records: Sequence[Record]) -> Iterator[str]:
    for record in records:
        kind, data = record["type"].removeprefix(_PREFIX), record["data"]
        yield kind
        yield f"{kind}/by {data['detectedBy']}"
        if kind == "ended":
            yield f"{kind}/{data['reason']}"


def _summary(lives: Sequence[Life], recorded: Sequence[Sequence[Record]]) -> str:
    """The lives of a token and their records, for a message."""
    records_of = [
        [(record["type"].removeprefix(_PREFIX), record["time"], record["data"]) for record in records]
        for records in recorded
    ]
    return f"{list(lives)} recorded as {records_of}"


def _subject(token: str) -> str:
    return _keyring.fingerprint(token.encode())


def _life_of(record: Record) -> int:
    subject, life, _ = record["id"].split(".")
    assert subject == record["subject"]
    return int(life)


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
