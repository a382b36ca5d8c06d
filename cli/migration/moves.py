"""The renames: every key that matches a rule gets its new name; an undo restores the old one.

Only migrate_key.lua renames keys, each in one step, and it never overwrites. This module finds keys with SCAN and
writes each batch to the journal first: see journal.py.
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
"""Keys that are written to the journal, and then renamed, at a time."""
CALL = 25
"""Keys that one script call renames: well under 1 ms."""
MAX_COMPARED = b"262144 1000"
"""Maximum bytes and elements of a key that is compared with the key at its new name: at most a few ms."""
MAX_LISTED = 20
_BATCHES_PER_S = 5
"""Minimum number of batches per second under a rate limit."""
_GLOB_SPECIAL = b"\\*?[]^-"


class _Match(NamedTuple):
    """A key that matches a rule."""

    place: int
    """Index of the rule."""
    source: bytes
    target: bytes
    fits: bool = True
    """Whether `target` is of the kind that the rule produces."""

    @property
    def keys(self) -> tuple[bytes, bytes]:
        return self.source, self.target


class Left(NamedTuple):
    """A skipped key: its name, or the name it would have, in a namespace, and the reason."""

    place: int
    target: bytes
    why: str


@dataclass
class Report:
    """The result so far.

    `counts` by rule (its index in the plan) and outcome: `moved` (in a dry run: would be), `gone` (deleted meanwhile),
    or why the key was skipped: `conflict`, `same` (see migrate_key.lua), `unfit` (its new name would be of another
    kind). In an undo every rule is 0.
    """

    counts: Counter[tuple[int, str]] = field(default_factory=Counter)
    listed: list[Left] = field(default_factory=list)
    """The first skipped keys."""

    def of(self, outcome: str) -> int:
        return sum(count for (_, name), count in self.counts.items() if name == outcome)

    @property
    def left_alone(self) -> int:
        return sum(map(self.of, ("conflict", "same", "unfit")))

    def add(self, matches: Sequence[_Match], outcomes: Sequence[str]) -> None:
        for match, outcome in zip(matches, outcomes, strict=True):
            self.counts[match.place, outcome] += 1
            if outcome not in {"moved", "gone"} and len(self.listed) < MAX_LISTED:
                self.listed.append(Left(match.place, match.target, outcome))


@dataclass(frozen=True)
class Migration:
    """Rules for a Redis. Without a journal it is a dry run."""

    app: App
    rules: Sequence[Rule]
    journal: Journal | None = None
    rate: float | None = None
    """Maximum keys per second."""
    progress: Progress | None = None
    """Called with the number of keys scanned."""
    report: Report = field(default_factory=Report)

    async def run(self) -> None:
        """Visit all keys once. When cancelled, finishes the current batch first.

        `report` has the progress, also then. Running it again continues, since renamed keys match no rule.
        Raises Refused when Redis refuses a rename, and what the Redis client and the disk raise.
        """
        if self.journal:
            await _settle(self.app, self.journal)
        seconds, micros = await self.app.redis.time()
        ahead_ms = seconds * 1000 + micros // 1000 - time.monotonic_ns() // 1_000_000
        pace = Pace(self.rate)
        async for keys in census.pages(self.app, Selection(match=_glob(self.rules)), progress=self.progress):
            for matches in batched(filter(None, map(self._match, keys)), _batch(self.rate), strict=False):
                await _finished(self._batch(matches, ahead_ms + time.monotonic_ns() // 1_000_000))
                await pace.took(len(matches))

    def _match(self, key: bytes) -> _Match | None:
        for place, rule in enumerate(self.rules):
            if key.startswith(rule.source.prefix) and (target := rule.target_of(key)) is not None:
                return _Match(place, key, target, rule.fits(target))  # overlapping rules are refused
        return None

    async def _batch(self, matches: Sequence[_Match], now_ms: int) -> None:
        fit = [match for match in matches if match.fits]
        looks = iter(await _outcomes(self.app, "look", [match.keys for match in fit], [None] * len(fit)))
        outcomes = [next(looks) if match.fits else "unfit" for match in matches]
        if self.journal:
            free = [match for match, outcome in zip(matches, outcomes, strict=True) if outcome == "moved"]
            moved = iter(await self._move(self.journal, free, now_ms))
            outcomes = [next(moved) if outcome == "moved" else outcome for outcome in outcomes]
            self.journal.left(
                (*match.keys, outcome)
                for match, outcome in zip(matches, outcomes, strict=True)
                if outcome not in {"moved", "gone"}
            )
        self.report.add(matches, outcomes)

    async def _move(self, journal: Journal, free: Sequence[_Match], now_ms: int) -> list[str]:
        ttls_s = [self.rules[match.place].text.ttl_s for match in free]
        expires_ms = [None if ttl_s is None else now_ms + ttl_s * 1000 for ttl_s in ttls_s]
        keys = [match.keys for match in free]
        renames = journal.write_ahead(keys, expires_ms)
        outcomes = await _outcomes(self.app, "move", keys, expires_ms)
        not_made = [rename.n for rename, outcome in zip(renames, outcomes, strict=True) if outcome != "moved"]
        journal.outcome(renames, not_made)
        return outcomes


@dataclass(frozen=True)
class Undo:
    """Undoes the renames of a journal. Without `write` it is a dry run."""

    app: App
    journal: Journal
    write: bool
    rate: float | None = None
    progress: Progress | None = None
    """Called with the number of renames checked."""
    report: Report = field(default_factory=Report)

    async def run(self) -> None:
        """Undo every rename that was made and is not undone yet; otherwise as Migration.run."""
        doubtful = await _settle(self.app, self.journal, write=self.write)
        pace, done = Pace(self.rate), 0
        for renames in batched(chain(self.journal.made(), doubtful), _batch(self.rate), strict=False):
            await _finished(self._batch(renames))
            done += len(renames)
            if self.progress:
                self.progress(done)
            await pace.took(len(renames))

    async def _batch(self, renames: Sequence[Rename]) -> None:
        keys = [rename.keys for rename in renames]
        back = [(new, old) for old, new in keys]
        expires_ms = [rename.expires_ms for rename in renames]
        outcomes = await _outcomes(self.app, "back" if self.write else "look", back, expires_ms)
        if self.write:
            done = {"moved", "gone"}
            self.journal.undone(rename.n for rename, outcome in zip(renames, outcomes, strict=True) if outcome in done)
        self.report.add([_Match(0, *pair) for pair in keys], outcomes)


async def _settle(app: App, journal: Journal, *, write: bool = True) -> list[Rename]:
    """Decide which doubtful renames of before a crash were made: those whose new name exists and whose old one does
    not.

    With `write`, writes them to the journal and returns none; otherwise returns them.
    """
    keys = [rename.keys for rename in journal.doubtful]
    old = await _exist(app, [source for source, _ in keys])
    new = await _exist(app, [target for _, target in keys])
    renamed = [
        rename for rename, has_old, has_new in zip(journal.doubtful, old, new, strict=True) if has_new and not has_old
    ]
    if not write:
        return renamed
    journal.settle({rename.n for rename in renamed})
    return []


async def _exist(app: App, keys: Sequence[bytes]) -> list[bool]:
    pipeline = app.redis.pipeline(transaction=False)
    for key in keys:
        pipeline.exists(key)
    return [bool(reply) for reply in _checked(await pipeline.execute(raise_on_error=False))]


async def _outcomes(
    app: App, mode: str, keys: Sequence[tuple[bytes, bytes]], expires_ms: Sequence[int | None]
) -> list[str]:
    """The outcome of migrate_key.lua for each key and its new name; a taken name is compared."""
    pairs = zip(keys, [b"" if expiry is None else b"%d" % expiry for expiry in expires_ms], strict=True)
    calls: list[Call] = [
        ([key for names, _ in batch for key in names], [mode, MAX_COMPARED, *(expiry for _, expiry in batch)])
        for batch in batched(pairs, CALL, strict=False)
    ]
    outcomes = await _run(app, calls)
    taken = [place for place, outcome in enumerate(outcomes) if outcome == "taken"]
    compared = await _run(app, [(keys[place], ["compare", MAX_COMPARED, b""]) for place in taken])
    for place, outcome in zip(taken, compared, strict=True):
        outcomes[place] = outcome
    return outcomes


async def _run(app: App, calls: Sequence[Call]) -> list[str]:
    if not calls:
        return []
    replies: list[list[bytes]] = _checked(await app.run_many(MIGRATE_KEY, calls))
    return [outcome.decode() for reply in replies for outcome in reply]


def _checked[Reply](replies: Sequence[Reply | Exception]) -> list[Reply]:
    """The replies. Raises Refused with the code of an error reply, its first word; the rest may quote keys."""
    errors = [reply for reply in replies if isinstance(reply, Exception)]
    if errors:
        code = str(errors[0]).partition(" ")[0]
        name = code if code.isascii() and code.isupper() else type(errors[0]).__name__
        raise Refused(f"Redis refused {len(errors)} of {len(replies)} calls: {name}")
    return [reply for reply in replies if not isinstance(reply, Exception)]


async def _finished(work: Coroutine[None, None, None]) -> None:
    """Finish `work` also when cancelled meanwhile, so that the journal has its outcome."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


def _batch(rate: float | None) -> int:
    return BATCH if rate is None else max(1, min(BATCH, int(rate / _BATCHES_PER_S)))


def _glob(rules: Sequence[Rule]) -> bytes:
    """A glob for SCAN that every key of the rules matches: the prefix of one rule, the first bytes of several."""
    prefixes = [rule.source.prefix for rule in rules]
    if len(prefixes) == 1:
        return _escaped(prefixes[0]) + b"*"
    return b"[" + b"".join(_escaped(first) for first in sorted({prefix[:1] for prefix in prefixes})) + b"]*"


def _escaped(text: bytes) -> bytes:
    return b"".join(b"\\" + bytes([byte]) if byte in _GLOB_SPECIAL else bytes([byte]) for byte in text)
