"""The census: which keys there are, how many, how large, how long they live.

Keys are found with SCAN and examined by scripts over a bounded number of keys, so Redis serves other clients in
between, and memory use does not grow with the number of keys. SCAN returns every key that exists during the whole walk;
a key that is created or deleted meanwhile may or may not be counted, and while Redis resizes its table a key may be
returned twice.

`manage.py` walks all keys; the app walks within a budget and keeps the result (stored_census.py).
"""

import asyncio
import math
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import batched
from statistics import fmean, median, stdev
from typing import Any

from shared import namespaces
from shared.app import App
from shared.namespaces import Kind
from shared.operations.key_selection import UNKNOWN_KIND, Namespace, Selection, kind_of, namespace_of
from shared.operations.key_shapes import OTHER_SHAPES, has_room, shape_of
from shared.store.script import Script

LOOK_AT_KEYS = Script(__file__, "look_at_keys")

SCAN_COUNT = 250
"""Keys that one SCAN visits: about 0.4 ms of Redis' time."""
LOOK_KEYS = 250
"""Keys that one script examines: about 0.7 ms."""
SAMPLE = 1000
"""Keys of a kind whose sizes are measured; all of them where there are no more."""
SHAPE_SAMPLE = 50
"""The same for a shape of keys of no known kind."""
_Z_95 = 1.96
_chance = secrets.SystemRandom()

type Progress = Callable[[int], None]
"""Called with the number of keys scanned so far."""
type Group = tuple[Namespace, str]
"""Namespace and name of a kind."""


@dataclass(frozen=True, slots=True)
class Look:
    """What Redis tells of a key without reading its value. `ttl_ms` is None without a TTL; `idle_s` (time since it was
    last read or written) and `size` (bytes) are None where Redis does not tell."""

    key: bytes
    kind: Kind | None
    ttl_ms: int | None
    idle_s: int | None
    size: int | None = None

    @property
    def kind_name(self) -> str:
        return self.kind.name if self.kind else UNKNOWN_KIND


class Pace:
    """Limits a loop to `per_s` steps per second; None does not limit it."""

    def __init__(self, per_s: float | None) -> None:
        self._per_s = per_s
        self._due_s = 0.0

    async def took(self, steps: int) -> None:
        """Wait until that many more steps are within the rate."""
        if self._per_s is None:
            return
        self._due_s = max(self._due_s, time.monotonic()) + steps / self._per_s
        await asyncio.sleep(self._due_s - time.monotonic())


async def _scan(
    app: App, selection: Selection, cursor: int = 0, count: Callable[[], int] = lambda: SCAN_COUNT
) -> AsyncGenerator[tuple[int, list[bytes]]]:
    """The next cursor (0 at the end) and the selected keys of each page of SCAN; `count()` is how many keys Redis
    visits for the next page."""
    while True:
        reply: tuple[int, list[Any]] = await app.redis.scan(cursor, match=selection.pattern, count=count())
        cursor = reply[0]
        yield cursor, [key for key in dict.fromkeys(reply[1]) if selection.has(key)]
        if cursor == 0:
            return


async def pages(app: App, selection: Selection, *, progress: Progress | None = None) -> AsyncGenerator[list[bytes]]:
    """All selected keys, up to a few hundred at once. Raises what the Redis client raises."""
    scanned = 0
    async for _, keys in _scan(app, selection):
        yield keys
        scanned += SCAN_COUNT
        if progress:
            progress(scanned)


async def list_rows[Row](
    app: App,
    selection: Selection,
    cursor: int,
    limit: int,
    rows_of: Callable[[list[bytes]], Awaitable[list[Row]]],
) -> tuple[list[Row], int]:
    """About `limit` rows, as `rows_of` makes them of selected keys, from `cursor` on; and the next cursor, 0 at the
    end.

    Raises what the Redis client raises.
    """
    rows: list[Row] = []
    count = min(limit, SCAN_COUNT)
    async with aclosing(_scan(app, selection, cursor, lambda: count)) as scan:
        async for next_cursor, keys in scan:
            cursor = next_cursor
            new_rows = await rows_of(keys)
            rows += new_rows
            if len(rows) >= limit:
                break
            # Visit as many keys as the remaining rows need, if rows stay as frequent as on this page.
            count = min(SCAN_COUNT, (limit - len(rows)) * max(1, count // max(1, len(new_rows))))
    return rows, cursor


async def look(app: App, keys: Iterable[bytes], *, sizes: bool = False) -> list[Look]:
    """What Redis tells of these keys; keys that do not exist are left out. Raises what the Redis client raises."""
    looks: list[Look] = []
    width = 3 if sizes else 2
    for chunk in batched(keys, LOOK_KEYS, strict=False):
        reply: Sequence[int] = await app.run(LOOK_AT_KEYS, keys=chunk, args=[int(sizes)])
        for key, (ttl_ms, *facts) in zip(chunk, batched(reply, width, strict=True), strict=True):
            if ttl_ms != -2:
                values = [None if fact == -1 else fact for fact in (ttl_ms, *facts)]
                looks.append(Look(key, kind_of(key), *values))
    return looks


@dataclass(frozen=True, slots=True)
class KindStatistics:
    """The keys of one kind in one namespace.

    `bytes` is as Redis counts them (MEMORY USAGE), None where it does not tell. It is extrapolated from `sampled` of
    the keys, drawn at random; the true sum is within `bytes_error` of it with 95 % confidence (0 where all were
    measured). TTLs are those of the keys that have one; the median is that of the sample. `longest_idle_s` is the
    longest time that a key was neither read nor written, None under an LFU policy: the oldest key is at least that old,
    but keys that the app's sweep reads are never idle for longer than a pass."""

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
class Census:
    """All kinds that have keys, in the order of the table of keys. When the walk is not `complete`, numbers of keys are
    extrapolated: SCAN goes by the hashes of the keys, so those visited are a random sample. `samples` has up to
    `sample` keys of each kind."""

    complete: bool
    kinds: list[KindStatistics]
    samples: Mapping[Group, Sequence[bytes]]
    took_s: float
    shapes: Sequence[KindStatistics] = ()
    """If asked for: the keys of no known kind by their shape, which stands in the place of `kind`; largest first."""

    @property
    def keys(self) -> int:
        return sum(kind.keys for kind in self.kinds)


@dataclass(slots=True)
class _Tally:
    """What is kept of a kind during a walk. `sample` is a simple random sample (Vitter 1985, algorithm R)."""

    size: int
    """Largest size of the sample."""
    keys: int = 0
    without_ttl: int = 0
    ttl_min_ms: int | None = None
    ttl_max_ms: int | None = None
    longest_idle_s: int | None = None
    sample: list[Look] = field(default_factory=list)

    def add(self, key: Look) -> None:
        self.keys += 1
        if key.ttl_ms is None:
            self.without_ttl += 1
        else:
            self.ttl_min_ms = key.ttl_ms if self.ttl_min_ms is None else min(self.ttl_min_ms, key.ttl_ms)
            self.ttl_max_ms = key.ttl_ms if self.ttl_max_ms is None else max(self.ttl_max_ms, key.ttl_ms)
        if key.idle_s is not None:
            self.longest_idle_s = max(self.longest_idle_s or 0, key.idle_s)
        if len(self.sample) < self.size:
            self.sample.append(key)
        elif (place := int(_chance.random() * self.keys)) < self.size:
            self.sample[place] = key


async def take(
    app: App,
    *,
    budget_s: float | None = None,
    sample: int = SAMPLE,
    progress: Progress | None = None,
    on_page: Callable[[Sequence[Look]], Awaitable[None]] | None = None,
    with_shapes: bool = False,
) -> Census:
    """Count all keys by namespace and kind, with their sizes and TTLs.

    Reads every key's TTL and idle time, and the sizes of up to `sample` keys of a kind; 200,000 keys take a few
    seconds, in which no single call holds Redis for more than about a millisecond. The walk ends early after
    `budget_s`. `on_page` is awaited with the keys of each page. Raises what the Redis client raises."""
    started_s = time.monotonic()
    tallies: dict[Group, _Tally] = {}
    shapes: dict[Group, _Tally] = {}
    complete = True
    async with aclosing(pages(app, Selection(), progress=progress)) as walk:
        async for keys in walk:
            if budget_s is not None and time.monotonic() - started_s > budget_s:
                complete = False
                break
            looks = await look(app, keys)
            for key in looks:
                namespace = namespace_of(key.key)
                tallies.setdefault((namespace, key.kind_name), _Tally(sample)).add(key)
                if with_shapes and key.kind is None:
                    _add_shape(app, shapes, namespace, key)
            if on_page:
                await on_page(looks)
    visited = sum(tally.keys for tally in tallies.values())
    total = visited if complete else max(visited, await app.redis.dbsize())
    scale = total / visited if visited else 1.0
    kinds = [await _measured(app, group, tallies[group], scale) for group in sorted(tallies, key=_place)]
    samples = {group: [key.key for key in tallies[group].sample] for group in sorted(tallies, key=_place)}
    measured = [await _measured(app, group, shapes[group], scale) for group in sorted(shapes)]
    measured.sort(key=lambda shape: -(shape.bytes or shape.keys))
    return Census(complete, kinds, samples, round(time.monotonic() - started_s, 3), measured)


def _add_shape(app: App, shapes: dict[Group, _Tally], namespace: Namespace, key: Look) -> None:
    group = namespace, shape_of(app, key.key)
    if group not in shapes and not has_room(shapes):
        group = Namespace.UNKNOWN, OTHER_SHAPES
    shapes.setdefault(group, _Tally(SHAPE_SAMPLE)).add(key)


_NAMESPACE_ORDER = list(Namespace)
_KIND_ORDER = [*namespaces.BY_NAME, UNKNOWN_KIND]


def _place(group: Group) -> tuple[int, int]:
    """The place of a group in the order of the table of keys."""
    namespace, kind = group
    return _NAMESPACE_ORDER.index(namespace), _KIND_ORDER.index(kind)


def total_bytes(kinds: Iterable[KindStatistics]) -> tuple[int | None, int | None]:
    """Bytes of several kinds and the error of their sum: the samples are independent, so their variances add up."""
    total, variance = 0, 0.0
    for kind in kinds:
        if kind.bytes is None or kind.bytes_error is None:
            return None, None
        total, variance = total + kind.bytes, variance + kind.bytes_error**2
    return total, round(math.sqrt(variance))


async def _measured(app: App, group: Group, tally: _Tally, scale: float) -> KindStatistics:
    """The statistics of a kind; its sampled keys are measured now. `scale` is all keys over those visited."""
    looks = await look(app, [key.key for key in tally.sample], sizes=True)
    sizes = [key.size for key in looks if key.size is not None]
    keys = round(tally.keys * scale)
    total, error = _extrapolated(sizes, len(tally.sample), keys) if len(sizes) == len(looks) else (None, None)
    ttls_ms = [key.ttl_ms for key in tally.sample if key.ttl_ms is not None]
    namespace, kind = group
    return KindStatistics(
        namespace=namespace,
        kind=kind,
        keys=keys,
        bytes=total,
        bytes_error=error,
        sampled=len(sizes),
        without_ttl=round(tally.without_ttl * scale),
        ttl_min_s=_seconds(tally.ttl_min_ms),
        ttl_median_s=_seconds(median(ttls_ms) if ttls_ms else None),
        ttl_max_s=_seconds(tally.ttl_max_ms),
        longest_idle_s=tally.longest_idle_s,
    )


def _extrapolated(sizes: Sequence[int], drawn: int, keys: int) -> tuple[int, int]:
    """The sum of the sizes of all `keys` keys, and half of its 95 % confidence interval, from the `sizes` of those of
    `drawn` sampled keys that still exist.

    Simple random sampling without replacement, normal approximation (Cochran, Sampling Techniques, 2.6 to 2.8). Where
    the sample is every key, keys that no longer exist count as 0 bytes.
    """
    if drawn == keys:
        return sum(sizes), 0
    if len(sizes) < 2:
        return round(sum(sizes) * keys / max(1, drawn)), 0
    n = len(sizes)
    error = _Z_95 * keys * stdev(sizes) / math.sqrt(n) * math.sqrt(max(0.0, 1 - n / keys))
    return round(keys * fmean(sizes)), round(error)


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else round(ms / 1000, 3)
