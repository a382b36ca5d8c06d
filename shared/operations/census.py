"""The keyspace as a whole: which keys there are, how many, how large, how long they live.

Everything here goes by SCAN and by scripts over a bounded number of keys, so Redis serves others in between, and needs
memory for a bounded number of keys, however many there are. SCAN returns each key that is there during the whole walk;
what comes or goes meanwhile may be in or not, and while Redis resizes its table a key may come twice.
"""

import asyncio
import math
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import batched
from statistics import fmean, median, stdev
from typing import Any

from shared import namespaces
from shared.app import App
from shared.errors import KeyspaceError
from shared.namespaces import Kind
from shared.store.script import Script

LOOK_AT_KEYS = Script(__file__, "look_at_keys")

SCAN_COUNT = 250
"""Keys that one SCAN looks at: about 0.4 ms of Redis' time."""
LOOK_KEYS = 250
"""Keys that one script looks at: about 0.7 ms."""
SAMPLE = 1000
"""Keys of a kind whose sizes are measured; of as many or fewer all are."""
UNKNOWN_KIND = "unknown"
"""What fits no row of the table of keys."""
_Z_95 = 1.96
_chance = secrets.SystemRandom()


class Namespace(StrEnum):
    """What a key begins with."""

    NEXTAUTH = "nextauth"
    FABRIC = "fabric"
    FASTAPI = "fastapi"
    FUNCTIONS = "functions"
    UNKNOWN = "unknown"
    """With none of these."""


_PREFIXES = {name.value.encode(): name for name in Namespace if name is not Namespace.UNKNOWN}


def namespace_of(key: bytes) -> Namespace:
    """The namespace that `key` is in, whether or not it fits a row of the table."""
    head, colon, _ = key.partition(b":")
    return _PREFIXES.get(head, Namespace.UNKNOWN) if colon else Namespace.UNKNOWN


def kind_of(key: bytes) -> Kind | None:
    """The row of the table that `key` fits."""
    found = namespaces.parse(key)
    return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which keys: of a namespace, of kinds (by name, or UNKNOWN_KIND), matching a glob of Redis; all where not said.

    Raises KeyspaceError for a kind that there is not, or not in this namespace.
    """

    namespace: Namespace | None = None
    kinds: frozenset[str] = frozenset()
    match: bytes | None = None

    def __post_init__(self) -> None:
        for name in self.kinds - {UNKNOWN_KIND}:
            kind = namespaces.BY_NAME.get(name)
            if kind is None or self.namespace not in {None, kind.namespace}:
                there = [one.name for one in namespaces.TABLE if self.namespace in {None, one.namespace}]
                where = f" in {self.namespace}" if self.namespace else ""
                raise KeyspaceError(f"no such kind{where}; there are: {', '.join([*there, UNKNOWN_KIND])}")

    @property
    def pattern(self) -> bytes:
        """What SCAN matches: as narrow as one glob can be."""
        if self.match is not None:
            return self.match
        kinds = [namespaces.BY_NAME.get(name) for name in self.kinds]
        if len(kinds) == 1 and kinds[0] is not None:
            return kinds[0].prefix + b"*"
        return b"*" if self.namespace in {None, Namespace.UNKNOWN} else f"{self.namespace}:*".encode()

    def has(self, key: bytes) -> bool:
        """Whether the namespace and kind of a key that matches are wanted."""
        if self.namespace is not None and namespace_of(key) is not self.namespace:
            return False
        if not self.kinds:
            return True
        kind = kind_of(key)
        return (kind.name if kind else UNKNOWN_KIND) in self.kinds


@dataclass(frozen=True, slots=True)
class Look:
    """What can be told of a key without reading it. `ttl_ms` is None for no TTL, `idle_s` (since it was last read or
    written) and `size` (in bytes) where they are not known."""

    key: bytes
    kind: Kind | None
    ttl_ms: int | None
    idle_s: int | None
    size: int | None = None

    @property
    def kind_name(self) -> str:
        return self.kind.name if self.kind else UNKNOWN_KIND


class Pace:
    """Keeps a loop at `per_s` steps per second, or lets it run freely for None."""

    def __init__(self, per_s: float | None) -> None:
        self._per_s = per_s
        self._due_s = 0.0

    async def took(self, steps: int) -> None:
        """Wait until that many steps are within the rate."""
        if self._per_s is None:
            return
        self._due_s = max(self._due_s, time.monotonic()) + steps / self._per_s
        await asyncio.sleep(self._due_s - time.monotonic())


type Progress = Callable[[int], None]
"""Is told how many keys were scanned so far."""


async def pages(
    app: App, selection: Selection, *, progress: Progress | None = None, keys_per_s: float | None = None
) -> AsyncIterator[list[bytes]]:
    """All keys of `selection`, a few hundred at once. Raises what the Redis client raises."""
    pace = Pace(keys_per_s)
    cursor, scanned = 0, 0
    while True:
        cursor, keys = await scan(app, selection, cursor, SCAN_COUNT)
        yield keys
        scanned += SCAN_COUNT
        if progress:
            progress(scanned)
        if cursor == 0:
            return
        await pace.took(SCAN_COUNT)


async def scan(app: App, selection: Selection, cursor: int, count: int) -> tuple[int, list[bytes]]:
    """One SCAN over about `count` keys: the cursor to go on with, 0 at the end, and those of `selection`."""
    answer: tuple[int, list[Any]] = await app.redis.scan(cursor, match=selection.pattern, count=count)
    return answer[0], [key for key in dict.fromkeys(answer[1]) if selection.has(key)]


async def look(app: App, keys: Iterable[bytes], *, sizes: bool = False) -> list[Look]:
    """What can be told of these keys, without those that are gone. Raises what the Redis client raises."""
    looks: list[Look] = []
    width = 3 if sizes else 2
    for some in batched(keys, LOOK_KEYS, strict=False):
        facts: Sequence[int] = await app.run(LOOK_AT_KEYS, keys=some, args=[int(sizes)])
        for key, (ttl_ms, *more) in zip(some, batched(facts, width, strict=True), strict=True):
            if ttl_ms != -2:
                known = [None if fact == -1 else fact for fact in (ttl_ms, *more)]
                looks.append(Look(key, kind_of(key), *known))
    return looks


@dataclass(frozen=True, slots=True)
class KindStatistics:
    """The keys of one kind in one namespace.

    `bytes` is as Redis counts them (MEMORY USAGE), None where it does not tell. It is estimated from `sampled` of the
    keys, drawn at random; the true sum is within `bytes_error` of it with 95 % confidence, 0 where all were measured.
    TTLs are of the keys that have one; the median is that of the sample. `longest_idle_s` is the longest time that one
    was neither read nor written, None under an LFU policy: no key was written less long ago than it has been idle, but
    what the app's sweep reads is never idle for longer than a round.
    """

    namespace: Namespace
    kind: str
    keys: int
    bytes: int | None
    bytes_error: int | None
    sampled: int
    without_ttl: int
    ttl_min_s: float | None
    ttl_median_s: float | None
    ttl_max_s: float | None
    longest_idle_s: int | None


@dataclass(frozen=True, slots=True)
class Statistics:
    """All kinds of which there are keys, in the order of the table of keys."""

    kinds: list[KindStatistics]
    keys: int
    bytes: int | None
    bytes_error: int | None
    took_s: float


@dataclass(slots=True)
class _Tally:
    """What is remembered of a kind during a walk. `sample` is a simple random sample (Vitter 1985, algorithm R)."""

    keys: int = 0
    without_ttl: int = 0
    ttl_min_ms: int | None = None
    ttl_max_ms: int | None = None
    longest_idle_s: int | None = None
    sample: list[Look] = field(default_factory=list)

    def add(self, one: Look) -> None:
        self.keys += 1
        if one.ttl_ms is None:
            self.without_ttl += 1
        else:
            self.ttl_min_ms = one.ttl_ms if self.ttl_min_ms is None else min(self.ttl_min_ms, one.ttl_ms)
            self.ttl_max_ms = one.ttl_ms if self.ttl_max_ms is None else max(self.ttl_max_ms, one.ttl_ms)
        if one.idle_s is not None:
            self.longest_idle_s = max(self.longest_idle_s or 0, one.idle_s)
        if len(self.sample) < SAMPLE:
            self.sample.append(one)
        elif (place := int(_chance.random() * self.keys)) < SAMPLE:
            self.sample[place] = one


async def statistics(app: App, *, progress: Progress | None = None, keys_per_s: float | None = None) -> Statistics:
    """Counts, sizes and TTLs of all keys, by namespace and kind.

    Reads every key's TTL and idle time, and the sizes of up to SAMPLE of a kind; 200,000 keys take a few seconds, in
    which Redis is never held up for more than a ms or so. Raises what the Redis client raises.
    """
    started_s = time.monotonic()
    tallies: dict[tuple[Namespace, str], _Tally] = {}
    async for keys in pages(app, Selection(), progress=progress, keys_per_s=keys_per_s):
        for one in await look(app, keys):
            tallies.setdefault((namespace_of(one.key), one.kind_name), _Tally()).add(one)
    order = [*namespaces.BY_NAME, UNKNOWN_KIND]
    places = sorted(tallies, key=lambda place: (list(Namespace).index(place[0]), order.index(place[1])))
    kinds = [await _measured(app, *place, tallies[place]) for place in places]
    return Statistics(
        kinds, sum(one.keys for one in kinds), *total_bytes(kinds), took_s=round(time.monotonic() - started_s, 3)
    )


def total_bytes(kinds: Iterable[KindStatistics]) -> tuple[int | None, int | None]:
    """Bytes of several kinds and the error of their sum: the samples are independent, so variances add up."""
    total, variance = 0, 0.0
    for one in kinds:
        if one.bytes is None or one.bytes_error is None:
            return None, None
        total, variance = total + one.bytes, variance + one.bytes_error**2
    return total, round(math.sqrt(variance))


async def _measured(app: App, namespace: Namespace, kind: str, tally: _Tally) -> KindStatistics:
    looks = await look(app, [one.key for one in tally.sample], sizes=True)
    sizes = [one.size for one in looks if one.size is not None]
    total, error = _extrapolated(sizes, tally.keys) if len(sizes) == len(looks) else (None, None)
    ttls_ms = [one.ttl_ms for one in tally.sample if one.ttl_ms is not None]
    return KindStatistics(
        namespace=namespace,
        kind=kind,
        keys=tally.keys,
        bytes=total,
        bytes_error=error,
        sampled=len(sizes),
        without_ttl=tally.without_ttl,
        ttl_min_s=_seconds(tally.ttl_min_ms),
        ttl_median_s=_seconds(median(ttls_ms) if ttls_ms else None),
        ttl_max_s=_seconds(tally.ttl_max_ms),
        longest_idle_s=tally.longest_idle_s,
    )


def _extrapolated(sizes: Sequence[int], keys: int) -> tuple[int, int]:
    """Sum of all `keys` sizes from a sample, and half of its 95 % confidence interval.

    Simple random sampling without replacement, normal approximation (Cochran, Sampling Techniques, 2.6 to 2.8). Of a
    sample that is all there was, those that are gone by now count as nothing.
    """
    if keys <= SAMPLE or len(sizes) < 2:
        return sum(sizes), 0
    n = len(sizes)
    error = _Z_95 * keys * stdev(sizes) / math.sqrt(n) * math.sqrt(max(0.0, 1 - n / keys))
    return round(keys * fmean(sizes)), round(error)


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else round(ms / 1000, 3)
