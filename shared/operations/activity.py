"""What all instances did, minute by minute: reads the counts that shared/telemetry/minute_counts.py writes."""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import msgspec

from shared import namespaces
from shared.app import App
from shared.clock import iso_utc
from shared.namespaces import Kind
from shared.reactor import Result, Source
from shared.registry import NAMES
from shared.store.script import Script
from shared.telemetry import minute_counts

READ_MINUTE_COUNTS = Script(__file__, "read_minute_counts")

MAX_MINUTES = namespaces.STATISTICS_TTL_S // 60
SOURCES: Final = tuple(source.value for source in Source)
_OUTCOMES = frozenset(result.value for result in Result)
_BUCKETS = frozenset(map(str, range(len(minute_counts.BUCKETS_MS))))
_MAX_FIELDS = 1000
"""More than a minute can have: per reactor 35 outcomes and two histograms of 57 buckets."""
_MAX_DIGITS = 15
"""Of a count: JSON's readers have exact integers up to 2^53."""
_HALF_BUCKET = math.sqrt(minute_counts.BUCKETS_MS[0] / minute_counts.BUCKETS_MS[1])
"""Factor from a bucket's upper bound to its geometric middle."""


class Percentiles(msgspec.Struct, frozen=True):
    """Percentiles of `count` values, in ms, each accurate to 15 %."""

    count: int
    p50: float
    p95: float
    p99: float


class Latency(msgspec.Struct, frozen=True):
    """Percentiles of the `count` values of one minute, in ms, each accurate to 15 %."""

    count: int
    p50: float
    p99: float


type Outcomes = dict[str, dict[str, dict[str, int]]]
"""Counts by reactor, source and outcome."""


class Minute(msgspec.Struct, frozen=True, rename="camel"):
    """One minute; counts of 0 are left out. `minute` is when it began, `lagMs` the time from a write to its effect."""

    minute: str
    outcomes: Outcomes
    latency_ms: dict[str, Latency]
    lag_ms: dict[str, Latency]


class Stats(msgspec.Struct, frozen=True, rename="camel"):
    """`minutes` oldest first, without gaps; the last one is not over yet. `latencyMs` is the duration of reactions to
    events, `lagMs` the time from a write to its effect, both over the whole range and by reactor."""

    begin: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    minutes: list[Minute]
    latency_ms: dict[str, Percentiles]
    lag_ms: dict[str, Percentiles]


class Range(StrEnum):
    """How far a history goes back."""

    HOURS_6 = "6h"
    HOURS_24 = "24h"
    DAYS_7 = "7d"


class Bar(msgspec.Struct, frozen=True):
    """The outcomes of one step of a history; counts of 0 are left out. `time` is when it began."""

    time: str
    outcomes: Outcomes


class History(msgspec.Struct, frozen=True, rename="camel"):
    """`bars` of `stepS` each, oldest first, without gaps; the last one is not over yet."""

    range: Range
    step_s: int
    end: str = msgspec.field(name="to")
    bars: list[Bar]


_STEPS = {
    Range.HOURS_6: (namespaces.STATISTICS_10_MIN, 600, 36),
    Range.HOURS_24: (namespaces.STATISTICS_10_MIN, 600, 144),
    Range.DAYS_7: (namespaces.STATISTICS_HOUR, 3600, 168),
}
"""Of each range: the hashes that it is read from, the seconds of one of them, their number."""


class _Counts:
    """The counts of a range: outcomes by reactor, source and outcome, histograms by reactor."""

    def __init__(self) -> None:
        self.outcomes: Outcomes = {}
        self.latency: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self.lag: defaultdict[str, Counter[int]] = defaultdict(Counter)

    def add(self, field: bytes, count: int) -> None:
        """Add a field of a minute's hash; a field that this app does not write is ignored."""
        match _parse_field(field):
            case "n", reactor, source, outcome:
                self.outcomes.setdefault(reactor, {}).setdefault(source, {})[outcome] = count
            case "d", reactor, bucket:
                self.latency[reactor][int(bucket)] = count
            case "l", reactor, bucket:
                self.lag[reactor][int(bucket)] = count


@lru_cache(maxsize=_MAX_FIELDS)
def _parse_field(field: bytes) -> tuple[str, ...]:
    """The words of a field; () for a field that this app does not write. Cached: fields repeat from minute to
    minute."""
    match field.decode("latin-1").split(" "):
        case ["n", reactor, source, outcome] if reactor in NAMES and source in SOURCES and outcome in _OUTCOMES:
            return "n", reactor, source, outcome
        case ["d" | "l" as what, reactor, bucket] if reactor in NAMES and bucket in _BUCKETS:
            return what, reactor, bucket
    return ()


async def read(app: App, minutes: int = 60) -> Stats:
    """The last `minutes` minutes (1 to MAX_MINUTES), the current one included, in one round trip.

    Raises what the Redis client raises.
    """
    now_s = time.time()
    numbers = range(int(now_s) // 60 - minutes + 1, int(now_s) // 60 + 1)
    replies = await _read(app, namespaces.STATISTICS, numbers)
    latency: defaultdict[str, Counter[int]] = defaultdict(Counter)
    lag: defaultdict[str, Counter[int]] = defaultdict(Counter)
    read_minutes = []
    for number, reply in zip(numbers, replies, strict=True):
        counts = _counts_of(reply)
        read_minutes.append(_minute(number, counts))
        for reactor in NAMES:
            latency[reactor].update(counts.latency[reactor])
            lag[reactor].update(counts.lag[reactor])
    return Stats(
        begin=iso_utc(numbers[0] * 60, "seconds"),
        end=iso_utc(now_s, "seconds"),
        minutes=read_minutes,
        latency_ms={reactor: percentiles(histogram) for reactor, histogram in latency.items() if histogram.total()},
        lag_ms={reactor: percentiles(histogram) for reactor, histogram in lag.items() if histogram.total()},
    )


async def history(app: App, of: Range) -> History:
    """The outcomes of a longer time than single minutes are kept, in one round trip. Raises what the Redis client
    raises."""
    kind, step_s, count = _STEPS[of]
    now_s = time.time()
    last = int(now_s) // step_s
    numbers = range(last - count + 1, last + 1)
    bars = [
        Bar(iso_utc(number * step_s, "seconds"), _counts_of(reply).outcomes)
        for number, reply in zip(numbers, await _read(app, kind, numbers), strict=True)
    ]
    return History(of, step_s, iso_utc(now_s, "seconds"), bars)


async def _read(app: App, kind: Kind, numbers: range) -> list[Any]:
    calls: list[tuple[list[bytes], list[int]]] = [
        ([namespaces.build(kind, str(number))], [_MAX_FIELDS, _MAX_DIGITS]) for number in numbers
    ]
    return await app.run_many(READ_MINUTE_COUNTS, calls)


def percentiles(histogram: Counter[int]) -> Percentiles:
    """Percentiles of a histogram (count by bucket of minute_counts.BUCKETS_MS). Raises ValueError for an empty one."""
    count = histogram.total()
    return Percentiles(count, *(_percentile_ms(histogram, count, share) for share in (0.5, 0.95, 0.99)))


def _percentile_ms(histogram: Counter[int], count: int, share: float) -> float:
    """By nearest rank: the middle of the bucket that holds the value with this share of the values below it."""
    rank, seen = math.ceil(share * count), 0
    for bucket in sorted(histogram):
        seen += histogram[bucket]
        if seen >= rank:
            return round(minute_counts.BUCKETS_MS[bucket] * _HALF_BUCKET, 3)
    raise ValueError("an empty histogram has no percentiles")


def _counts_of(reply: Any) -> _Counts:
    if isinstance(reply, Exception):
        raise reply
    counts = _Counts()
    for field, count in zip(reply[::2], reply[1::2], strict=True):
        counts.add(field, int(count))
    return counts


def _minute(number: int, counts: _Counts) -> Minute:
    return Minute(
        iso_utc(number * 60, "seconds"), counts.outcomes, _by_reactor(counts.latency), _by_reactor(counts.lag)
    )


def _by_reactor(histograms: Mapping[str, Counter[int]]) -> dict[str, Latency]:
    shown = {}
    for reactor in NAMES:
        if histograms[reactor].total():
            values = percentiles(histograms[reactor])
            shown[reactor] = Latency(values.count, values.p50, values.p99)
    return shown
