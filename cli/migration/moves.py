"""The renames: every key that a rule takes gets its new name, and can have its old one back.

Keys are renamed by lua/migrate_key.lua alone, each in one step, and it never overwrites. All else only finds keys, in
pages of SCAN, and writes down first what it is about to do: see journal.py.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from itertools import batched, chain
from typing import NamedTuple

from cli.migration.journal import Journal, Rename
from cli.migration.rules import Rule
from cli.terminal import Refused
from shared.app import App, Call
from shared.operations import census
from shared.operations.census import Pace, Progress
from shared.operations.key_selection import Selection
from shared.store.script import Script

MIGRATE_KEY = Script(__file__, "migrate_key")

BATCH = 1000
"""Keys that are written down, and then renamed, at a time."""
CALL = 25
"""Keys that one script call renames: well under 1 ms."""
MAX_COMPARED = b"262144 1000"
"""Bytes and elements of a key up to which it is compared with what holds its new name: a few ms at the most."""
MAX_LISTED = 20
_BATCHES_PER_S = 5
"""How often at least there is a batch where a rate bounds it."""
_GLOB_SPECIAL = b"\\*?[]^-"


class _Found(NamedTuple):
    """A key that a rule takes."""

    place: int
    """Which rule."""
    source: bytes
    target: bytes
    fits: bool = True
    """Whether `target` is of the kind of key that the rule makes."""

    @property
    def keys(self) -> tuple[bytes, bytes]:
        return self.source, self.target


class Left(NamedTuple):
    """A key that was left alone: the name it has or would have in a namespace, and why."""

    place: int
    target: bytes
    why: str


@dataclass
class Report:
    """What was found and done, so far.

    `counts` per rule (its place in the plan) and outcome: `moved` (where nothing is changed: would be), `gone` (while
    we looked), or why the key was left alone: `conflict`, `same` (see migrate_key.lua), `unfit` (its new name would be
    of another kind of key). In an undo every rule is 0.
    """

    counts: Counter[tuple[int, str]] = field(default_factory=Counter)
    listed: list[Left] = field(default_factory=list)
    """The first that were left alone."""

    def of(self, outcome: str) -> int:
        return sum(count for (_, name), count in self.counts.items() if name == outcome)

    @property
    def left_alone(self) -> int:
        return sum(map(self.of, ("conflict", "same", "unfit")))

    def add(self, found: Sequence[_Found], outcomes: Sequence[str]) -> None:
        for one, outcome in zip(found, outcomes, strict=True):
            self.counts[one.place, outcome] += 1
            if outcome not in {"moved", "gone"} and len(self.listed) < MAX_LISTED:
                self.listed.append(Left(one.place, one.target, outcome))


@dataclass(frozen=True)
class Migration:
    """Rules on a Redis. Without a journal it only looks, and changes nothing."""

    app: App
    rules: Sequence[Rule]
    journal: Journal | None = None
    rate: float | None = None
    """Most keys per second."""
    progress: Progress | None = None
    """Is told how many keys were scanned."""
    report: Report = field(default_factory=Report)

    async def run(self) -> None:
        """Go through all keys once. When it is cancelled, the batch under way is finished first.

        `report` tells how far it came, also then. The same run again goes on, as keys that were renamed match no rule.
        Raises Refused when Redis refuses a rename, and what the Redis client and the disk raise.
        """
        if self.journal:
            await _settle(self.app, self.journal)
        seconds, micros = await self.app.redis.time()
        ahead_ms = seconds * 1000 + micros // 1000 - time.monotonic_ns() // 1_000_000
        pace = Pace(self.rate)
        async for keys in census.pages(self.app, Selection(match=_glob(self.rules)), progress=self.progress):
            for found in batched(filter(None, map(self._taken, keys)), _batch(self.rate), strict=False):
                await _finished(self._batch(found, ahead_ms + time.monotonic_ns() // 1_000_000))
                await pace.took(len(found))

    def _taken(self, key: bytes) -> _Found | None:
        for place, rule in enumerate(self.rules):
            if key.startswith(rule.source.prefix) and (target := rule.target_of(key)) is not None:
                return _Found(place, key, target, rule.fits(target))  # overlapping rules are refused
        return None

    async def _batch(self, found: Sequence[_Found], now_ms: int) -> None:
        fit = [one for one in found if one.fits]
        looks = iter(await _outcomes(self.app, "look", [one.keys for one in fit], [None] * len(fit)))
        outcomes = [next(looks) if one.fits else "unfit" for one in found]
        if self.journal:
            free = [one for one, outcome in zip(found, outcomes, strict=True) if outcome == "moved"]
            moved = iter(await self._move(self.journal, free, now_ms))
            outcomes = [next(moved) if outcome == "moved" else outcome for outcome in outcomes]
            self.journal.left(
                (*one.keys, outcome)
                for one, outcome in zip(found, outcomes, strict=True)
                if outcome not in {"moved", "gone"}
            )
        self.report.add(found, outcomes)

    async def _move(self, journal: Journal, free: Sequence[_Found], now_ms: int) -> list[str]:
        ttls_s = [self.rules[one.place].text.ttl_s for one in free]
        expires_ms = [None if ttl_s is None else now_ms + ttl_s * 1000 for ttl_s in ttls_s]
        keys = [one.keys for one in free]
        renames = journal.ahead(keys, expires_ms)
        outcomes = await _outcomes(self.app, "move", keys, expires_ms)
        journal.outcome(renames, [one.n for one, outcome in zip(renames, outcomes, strict=True) if outcome != "moved"])
        return outcomes


@dataclass(frozen=True)
class Undo:
    """The renames in a journal, to be taken back. Without `write` it only looks, and changes nothing."""

    app: App
    journal: Journal
    write: bool
    rate: float | None = None
    progress: Progress | None = None
    """Is told how many renames were gone through."""
    report: Report = field(default_factory=Report)

    async def run(self) -> None:
        """Take back every rename that was made and is not taken back yet; otherwise as Migration.run."""
        doubtful = await _settle(self.app, self.journal, write=self.write)
        pace, done = Pace(self.rate), 0
        for renames in batched(chain(self.journal.made(), doubtful), _batch(self.rate), strict=False):
            await _finished(self._batch(renames))
            done += len(renames)
            if self.progress:
                self.progress(done)
            await pace.took(len(renames))

    async def _batch(self, renames: Sequence[Rename]) -> None:
        keys = [one.keys for one in renames]
        back = [(new, old) for old, new in keys]
        outcomes = await _outcomes(
            self.app, "back" if self.write else "look", back, [one.expires_ms for one in renames]
        )
        if self.write:
            settled = {"moved", "gone"}
            self.journal.undone(one.n for one, outcome in zip(renames, outcomes, strict=True) if outcome in settled)
        self.report.add([_Found(0, *one) for one in keys], outcomes)


async def _settle(app: App, journal: Journal, *, write: bool = True) -> list[Rename]:
    """Find out which of the renames before a crash were made: those whose new name is there and whose old one is not.

    Where nothing is written they are returned, else none.
    """
    keys = [one.keys for one in journal.doubtful]
    old = await _exist(app, [source for source, _ in keys])
    new = await _exist(app, [target for _, target in keys])
    made = [one for one, was, now in zip(journal.doubtful, old, new, strict=True) if now and not was]
    if not write:
        return made
    journal.settle({one.n for one in made})
    return []


async def _exist(app: App, keys: Sequence[bytes]) -> list[bool]:
    pipeline = app.redis.pipeline(transaction=False)
    for key in keys:
        pipeline.exists(key)
    return [bool(reply) for reply in _checked(await pipeline.execute(raise_on_error=False))]


async def _outcomes(
    app: App, mode: str, keys: Sequence[tuple[bytes, bytes]], expires_ms: Sequence[int | None]
) -> list[str]:
    """What lua/migrate_key.lua says of each key and its new name; of a name that is taken, what holds it."""
    pairs = zip(keys, [b"" if one is None else b"%d" % one for one in expires_ms], strict=True)
    calls: list[Call] = [
        ([key for both, _ in some for key in both], [mode, MAX_COMPARED, *(expiry for _, expiry in some)])
        for some in batched(pairs, CALL, strict=False)
    ]
    outcomes = await _run(app, calls)
    taken = [place for place, outcome in enumerate(outcomes) if outcome == "taken"]
    told = await _run(app, [(keys[place], ["compare", MAX_COMPARED, b""]) for place in taken])
    for place, outcome in zip(taken, told, strict=True):
        outcomes[place] = outcome
    return outcomes


async def _run(app: App, calls: Sequence[Call]) -> list[str]:
    if not calls:
        return []
    replies: list[list[bytes]] = _checked(await app.run_many(MIGRATE_KEY, calls))
    return [outcome.decode() for reply in replies for outcome in reply]


def _checked[Reply](replies: Sequence[Reply | Exception]) -> list[Reply]:
    """The replies, when none is an error. The first word of an error is its code; the rest may quote keys."""
    errors = [reply for reply in replies if isinstance(reply, Exception)]
    if errors:
        code = str(errors[0]).partition(" ")[0]
        known = code if code.isascii() and code.isupper() else type(errors[0]).__name__
        raise Refused(f"Redis refused {len(errors)} of {len(replies)} calls: {known}")
    return [reply for reply in replies if not isinstance(reply, Exception)]


async def _finished(work: Coroutine[None, None, None]) -> None:
    """`work` to its end, also when we are cancelled meanwhile: its journal then says what became of it."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


def _batch(rate: float | None) -> int:
    return BATCH if rate is None else max(1, min(BATCH, int(rate / _BATCHES_PER_S)))


def _glob(rules: Sequence[Rule]) -> bytes:
    """A pattern for SCAN that every key of the rules matches: what it begins with, of several rules its first byte."""
    prefixes = [rule.source.prefix for rule in rules]
    if len(prefixes) == 1:
        return _escaped(prefixes[0]) + b"*"
    return b"[" + b"".join(_escaped(first) for first in sorted({prefix[:1] for prefix in prefixes})) + b"]*"


def _escaped(text: bytes) -> bytes:
    return b"".join(b"\\" + bytes([byte]) if byte in _GLOB_SPECIAL else bytes([byte]) for byte in text)
