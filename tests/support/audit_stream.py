"""The audit stream as an auditor would read it, and its comparison with what the sessions really went through."""

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
"""From and to, in seconds since 1970."""

READ_MS = 200
PAGE = 5000
LATE_EVENT_S = 60.0
"""How long after a life a late word of its end can be taken for the next one's; see lua/session_transition.lua."""
WRONG_REASON = "another reason"
TOO_EARLY = "expired before it was due"
_PREFIX = "nextauth.session."
_keyring = Keyring(FAST["AUDIT_KEY"])


@dataclass
class Life:
    """What one session really went through: one token, from one creation to one end."""

    token: str
    client: str
    ending: str
    """What its client does with it, in the end."""
    reason: str
    """That its end has to be recorded with, unless nobody could hear of it."""
    users: list[str | None]
    """Whom it was of, one after the other."""
    unbounded: bool = False
    key_remains: bool = False
    """Whether its key was there until the end was recorded, so the record has to say so."""
    said: str = ""
    """The reason that goes with what Redis says when the key goes, be it after the session's end."""
    ended_s: float = 0.0
    """When its client ended it, in seconds since 1970; 0 where time did."""
    over_s: float = 0.0
    """When its key was gone for certain and its end recorded, in seconds since 1970."""
    due_s: float = 0.0
    """What its JSON says that it expires at, in seconds since 1970."""


@dataclass
class AuditStream:
    """Follows the stream from its first entry. `entries` has each record as it was read, by its number: what the
    exported log has to hold, byte for byte."""

    port: int
    entries: list[tuple[int, bytes]] = field(default_factory=list)
    _of: defaultdict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))
    _news: defaultdict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
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
        """Read what is there, and no further."""
        await self._end()
        while await self._read(None):
            pass

    def count(self, token: str, kind: str) -> int:
        """How many records of this kind there are of the token's sessions."""
        return sum(record["type"] == _PREFIX + kind for record in self.of(token))

    def of(self, token: str) -> list[Record]:
        """The records of the token's sessions, in order."""
        return self._of[_subject(token)]

    async def told(self, token: str, kind: str, count: int, within_s: float) -> bool:
        """Whether so many records of this kind are there, at once or within that time."""
        news = self._news[_subject(token)]
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self.count(token, kind) < count:
                    news.clear()
                    await news.wait()
        return self.count(token, kind) >= count

    def records(self) -> list[Record]:
        """All that was read, in order."""
        return [json.loads(event) for _, event in self.entries]

    def lives(self) -> dict[str, list[list[Record]]]:
        """Subject to the records of each of its lives, lives in the order in which they began."""
        return {
            subject: [list(some) for _, some in groupby(sorted(records, key=_life_of), key=_life_of)]
            for subject, records in self._of.items()
            if records
        }

    async def _follow(self) -> None:
        while True:
            await self._read(READ_MS)

    async def _read(self, block_ms: int | None) -> int:
        stream = namespaces.build(namespaces.AUDIT_STREAM)
        answer = await self._redis.xread({stream: self._position}, count=PAGE, block=block_ms)
        entries = answer[0][1] if answer else []
        for position, fields in entries:
            assert fields.keys() == {b"event", b"n"}
            record = json.loads(fields[b"event"])
            self.entries.append((int(fields[b"n"]), fields[b"event"]))
            self._of[record["subject"]].append(record)
            self._news[record["subject"]].set()
            self._position = position
        return len(entries)

    async def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None


def check_stream(stream: AuditStream) -> None:
    """The log as such: numbered without a gap, no record twice, none without its place in its life."""
    records = stream.records()
    numbers = [number for number, _ in stream.entries]
    assert numbers == list(range(1, len(numbers) + 1)), "a number is missing, or there twice"
    twice = [one for one, times in Counter(record["id"] for record in records).items() if times > 1]
    assert not twice, f"{len(twice)} records are there twice: {twice[:10]}"
    for subject, lives in stream.lives().items():
        for life in lives:
            prefix = f"{subject}.{_life_of(life[0])}."
            assert [one["id"] for one in life] == [f"{prefix}{number}" for number in range(1, len(life) + 1)]


def lag_s(stream: AuditStream, lives: Mapping[str, Sequence[Life]]) -> float:
    """How far the hosts were behind at the most: from the end of a session until they recorded it from its event."""
    told = stream.lives()
    return max(
        _time(records[-1]["time"]) - life.ended_s
        for token, real in lives.items()
        for life, records in zip(real, told.get(_subject(token), []), strict=False)
        if life.ended_s and records[-1]["data"]["detectedBy"] == "event"
    )


def check_lives(stream: AuditStream, lives: Mapping[str, Sequence[Life]], blackouts: Sequence[Window]) -> Counter[str]:
    """Every life is told by its records, and nothing else is. How often each kind of record and of end occurs."""
    told, late, behind_s = stream.lives(), 0, lag_s(stream, lives)
    unheard = [(from_s - behind_s, to_s) for from_s, to_s in blackouts]  # events may be lost with the hosts' queues
    wrong = [f"records of what is no session: {told[one][0]}" for one in told.keys() - set(map(_subject, lives))]
    for token, real in lives.items():
        recorded = told.get(_subject(token), [])
        if len(recorded) != len(real):
            wrong.append(f"{len(recorded)} lives are recorded, {len(real)} were lived: {_told_of(real, recorded)}")
            continue
        for number, (life, records) in enumerate(zip(real, recorded, strict=True)):
            faults = set(_faults(life, records, unheard))
            if faults and faults <= {WRONG_REASON, TOO_EARLY} and _is_of_a_life_before(records[-1], real[:number]):
                late += 1
                continue
            wrong += [f"{fault}: {_told_of(real, recorded)}" for fault in faults]
    assert not wrong, "\n".join([f"{len(wrong)} faults; events unheard: {unheard}", *wrong[:5]])
    return Counter(_kinds(stream.records())) + Counter({"ended/with the reason of a life before": late})


def _faults(life: Life, records: Sequence[Record], unheard: Sequence[Window]) -> Iterator[str]:
    """What is wrong with the records of a life."""
    kinds = [record["type"].removeprefix(_PREFIX) for record in records]
    first, last = records[0], records[-1]
    changes = [record["data"] for record in records if record["type"] == _PREFIX + "changed"]
    if kinds[0] != "created" or kinds.count("created") != 1:
        yield "not created once, at its beginning"
    if kinds[-1] != "ended" or kinds.count("ended") != 1:
        yield "not ended once, at its end"
        return
    if odd := set(kinds) - {"created", "refreshed", "changed", "unbounded", "ended"}:
        yield f"records of kind {odd}"
    if kinds.count("unbounded") != life.unbounded:
        yield "not told once as unbounded" if life.unbounded else "told as unbounded"
    if first["data"]["userId"] != life.users[0] or last["data"]["userId"] != life.users[-1]:
        yield "another user"
    if [(one["previousUserId"], one["userId"]) for one in changes] != list(pairwise(life.users)):
        yield "other changes of user"
    if last["data"]["reason"] != life.reason and not _may_be_lost(life, last["data"], unheard):
        yield WRONG_REASON
    if life.key_remains and last["data"].get("keyRemains") is not True:
        yield "keyRemains is not said"
    due = last["data"]["expires"]
    if last["data"]["reason"] == "expired" and (due is None or _time(last["time"]) < _time(due)):
        yield TOO_EARLY
    if abs(last["data"]["duration_s"] - (_time(last["time"]) - _time(first["time"]))) > 1e-3:
        yield "duration_s is not from created to ended"


def _may_be_lost(life: Life, end: Record, unheard: Sequence[Window]) -> bool:
    """Whether it ended when there was no host, or none that lived to handle its event."""
    return (
        end["reason"] == "lost"
        and end["detectedBy"] in {"sweep", "schedule"}
        and any(from_s <= life.ended_s <= to_s for from_s, to_s in unheard)
    )


def _is_of_a_life_before(end: Record, before: Sequence[Life]) -> bool:
    """Whether the reason can be what Redis said of a life of the token before: an instance that is behind hears it when
    this one is over too."""
    return (
        end["data"]["detectedBy"] == "event"
        and end["data"]["reason"] in {life.said for life in before}
        and _time(end["time"]) - max(life.over_s for life in before) <= LATE_EVENT_S
    )


def _kinds(records: Sequence[Record]) -> Iterator[str]:
    for record in records:
        kind, data = record["type"].removeprefix(_PREFIX), record["data"]
        yield kind
        yield f"{kind}/by {data['detectedBy']}"
        if kind == "ended":
            yield f"{kind}/{data['reason']}"


def _told_of(lives: Sequence[Life], recorded: Sequence[Sequence[Record]]) -> str:
    told = [[(one["type"].removeprefix(_PREFIX), one["time"], one["data"]) for one in records] for records in recorded]
    return f"{list(lives)} recorded as {told}"


def _subject(token: str) -> str:
    return _keyring.fingerprint(token.encode())


def _life_of(record: Record) -> int:
    subject, life, _ = record["id"].split(".")
    assert subject == record["subject"]
    return int(life)


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
