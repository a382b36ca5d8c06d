"""What all instances did, minute by minute: reads the counts that shared/telemetry/minute_counts.py writes."""

import math
import time
from collections import Counter, defaultdict
from functools import lru_cache
from typing import Any, Final

import msgspec

from shared import namespaces
from shared.app import App
from shared.clock import iso_utc
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
_HALF_BUCKET = math.sqrt(minute_counts.BUCKETS_MS[0] / minute_counts.BUCKETS_MS[1])
"""Factor from a bucket's upper bound to its geometric middle."""


class Percentiles(msgspec.Struct, frozen=True):
    """Percentiles of `count` values, in ms, each accurate to 15 %."""

    count: int
    p50: float
    p95: float
    p99: float


class Latency(msgspec.Struct, frozen=True):
    """Percentiles of the `count` reactions of one minute, in ms, each accurate to 15 %."""

    count: int
    p50: float
    p99: float


type Outcomes = dict[str, dict[str, dict[str, int]]]
"""Counts by reactor, source and outcome."""


class Minute(msgspec.Struct, frozen=True, rename="camel"):
    """One minute; counts of 0 are left out. `minute` is when it began."""

    minute: str
    outcomes: Outcomes
    latency_ms: dict[str, Latency]


class Stats(msgspec.Struct, frozen=True, rename="camel"):
    """`minutes` oldest first, without gaps; the last one is not over yet. `latencyMs` is the duration of reactions to
    events, `lagMs` the time from a write to its effect, both over the whole range and by reactor."""

    begin: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    minutes: list[Minute]
    latency_ms: dict[str, Percentiles]
    lag_ms: dict[str, Percentiles]


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
    calls: list[tuple[list[bytes], list[int]]] = [
        ([namespaces.build(namespaces.STATISTICS, str(number))], [_MAX_FIELDS]) for number in numbers
    ]
    replies = await app.run_many(READ_MINUTE_COUNTS, calls)
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
    latency = {}
    for reactor in NAMES:
        if counts.latency[reactor].total():
            reactions = percentiles(counts.latency[reactor])
            latency[reactor] = Latency(reactions.count, reactions.p50, reactions.p99)
    return Minute(iso_utc(number * 60, "seconds"), counts.outcomes, latency)
