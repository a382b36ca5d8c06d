"""A mergeable sketch of a metric's values, from which median and MAD are read. Pure.

It is UDDSketch (Epicoco, Melle, Cafaro, Pulimeno, Morleo: "UDDSketch: Accurate Tracking of Quantiles in Data
Streams", IEEE Access 2020): a histogram over buckets that grow with the value; when more than a limit are in use, the
whole histogram is made coarser by joining neighbours in pairs. Its buckets are those of HdrHistogram: the leading bits
of the IEEE 754 double, so a bucket is found by a shift, exactly.

Why this one: adding counts and joining pairs are exact, and when to join depends only on which buckets are in use.
So the sketch is a function of the set of values alone: the order in which batches arrive and the order of merging
change nothing (t-digest and KLL depend on both). Buckets in use are bounded, not the range: one wild outlier costs one
bucket, not the resolution where the mass is, and the bucket width follows the spread of the data, not its magnitude.
"""

import math
import struct
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, pairwise, starmap
from operator import sub, xor
from typing import Any

from shared.runtime import lazy_numpy

MAX_BUCKETS = 128
"""Buckets in use per metric. 64 to 128 over the spread of a normal metric: a bucket is about a tenth of sigma wide."""
_ROOM = 2 * MAX_BUCKETS
"""Buckets in use while values are counted: joining them is rare, and there are never many to join."""
FINEST_SHIFT = 28
"""Bits of the double dropped at the finest: 24 bits of mantissa stay, a relative width of 6e-8."""
MANY = 256
"""Values from which on NumPy is quicker than a loop, where it is loaded."""
_MAGNITUDE = 0x7FFF_FFFF_FFFF_FFFF
_POINTS_PER_BUCKET = 4
"""How finely the mass of one bucket is spread over its width when the MAD is read."""


@dataclass(frozen=True)
class Sketch:
    """Counts per bucket. Bucket `i` holds the doubles of i's sign whose magnitude bits, shifted right, are `abs(i)`."""

    shift: int = FINEST_SHIFT
    counts: Mapping[int, int] = field(default_factory=dict)

    @cached_property
    def samples(self) -> int:
        return sum(self.counts.values())

    def flat(self) -> list[int]:
        """[shift, bucket, count, bucket, count, ...]: the form in which Redis keeps a sketch."""
        return [self.shift, *chain.from_iterable(self.counts.items())]

    @classmethod
    def from_flat(cls, numbers: Sequence[int]) -> "Sketch":
        """The inverse of `flat`. Raises ValueError for numbers that are no sketch."""
        shift, buckets, counts = numbers[0], numbers[1::2], numbers[2::2]
        limit = _MAGNITUDE >> shift if 0 <= shift < 64 else -1
        if buckets and (max(buckets) > limit or min(buckets) < -limit or min(counts) < 1):
            raise ValueError("not a sketch")
        return cls(shift, dict(zip(buckets, counts, strict=True)))


def sketch(values: Sequence[float]) -> Sketch:
    """The sketch of finite `values`."""
    if len(values) >= MANY and (np := lazy_numpy.loaded()) is not None:
        return _sketch_of_many(np, values)
    shift = FINEST_SHIFT
    counts: dict[int, int] = {}
    for bits in array("q", array("d", values).tobytes()):
        bucket = bits >> shift if bits >= 0 else -((bits & _MAGNITUDE) >> shift)
        if bucket in counts:
            counts[bucket] += 1
        else:
            counts[bucket] = 1
            if len(counts) > _ROOM:  # what some of the values need, all of them need
                shift, counts = _collapse(shift, counts)
    return Sketch(*_collapse(shift, counts))


def _sketch_of_many(np: Any, values: Sequence[float]) -> Sketch:
    """The same, where NumPy's cost per call is spread over enough values."""
    bits = np.frombuffer(values if isinstance(values, array) else array("d", values), dtype=np.int64)
    shift = FINEST_SHIFT
    buckets = np.sort(bits >> shift)
    positive = buckets[0] >= 0
    if not positive:
        buckets = np.sort(np.where(bits >= 0, bits >> shift, -((bits & _MAGNITUDE) >> shift)))
    last = np.flatnonzero(buckets[1:] != buckets[:-1])
    if len(last) >= MAX_BUCKETS:
        low, high = buckets[last], buckets[last + 1]
        if positive:
            differing = low ^ high
        else:
            differing = np.where((low < 0) == (high < 0), np.abs(low) ^ np.abs(high), np.abs(low) | np.abs(high))
        joins = np.frexp(differing.astype("<f8"))[1]  # bit lengths, exactly: a bucket has 35 bits
        bits_gone = int(np.partition(joins, -MAX_BUCKETS)[-MAX_BUCKETS])
        shift += bits_gone
        buckets = (
            buckets >> bits_gone if positive else np.where(buckets >= 0, buckets >> bits_gone, -(-buckets >> bits_gone))
        )
        last = np.flatnonzero(buckets[1:] != buckets[:-1])
    ends = [*(last + 1).tolist(), len(buckets)]
    counts = map(sub, ends, [0, *ends])
    return Sketch(shift, dict(zip(buckets[[*last.tolist(), -1]].tolist(), counts, strict=True)))


def merge(sketches: Iterable[Sketch]) -> Sketch:
    """The sketch of all values of all `sketches`: the same as if they had been sketched at once, in any order."""
    given = list(sketches)
    shift = max((one.shift for one in given), default=FINEST_SHIFT)
    counts: dict[int, int] = {}
    for one in given:
        _add(counts, one.counts, shift - one.shift)
    return Sketch(*_collapse(shift, counts))


def _collapse(shift: int, counts: dict[int, int]) -> tuple[int, dict[int, int]]:
    """Shift and counts after joining pairs, one bit after the other, until MAX_BUCKETS suffice; in one step."""
    if len(counts) <= MAX_BUCKETS:
        return shift, counts
    buckets = sorted(counts)
    if buckets[0] >= 0:
        joins = sorted(map(int.bit_length, map(xor, buckets, buckets[1:])))  # the same, quicker
    else:
        joins = sorted(starmap(_joins_after, pairwise(buckets)))
    bits = joins[-MAX_BUCKETS]  # of the boundaries between buckets, MAX_BUCKETS - 1 may stay
    return shift + bits, _coarser(counts, bits)


def _joins_after(low: int, high: int) -> int:
    """How many bits have to go until two buckets are one: all in which they differ, or all if their signs differ."""
    low_bits, high_bits = abs(low), abs(high)
    return (low_bits ^ high_bits if (low < 0) == (high < 0) else low_bits | high_bits).bit_length()


def _coarser(counts: Mapping[int, int], bits: int) -> dict[int, int]:
    joined: dict[int, int] = {}
    _add(joined, counts, bits)
    return joined


def _add(to: dict[int, int], counts: Mapping[int, int], bits: int) -> None:
    """Add counts whose buckets are `bits` finer."""
    for bucket, count in counts.items():
        key = bucket >> bits if bucket >= 0 else -(-bucket >> bits)
        to[key] = to.get(key, 0) + count


@dataclass(frozen=True)
class Centre:
    """Where a metric's values lie: median and median absolute deviation (MAD) of `samples` values."""

    median: float
    mad: float
    samples: int


def centre(of: Sketch) -> Centre:
    """Median and MAD, each within about a bucket's width. The mass of a bucket is taken as spread over its width.

    A metric that never changed has the MAD of its one bucket, 6e-8 of its value, not 0: the sketch cannot tell
    closer values apart, so neither does a score against it.
    """
    points: list[tuple[float, float]] = []  # value, weight
    for bucket, count in of.counts.items():
        low, high = _edge(abs(bucket), of.shift), _edge(abs(bucket) + 1, of.shift)
        sign = -1.0 if bucket < 0 else 1.0
        for step in range(_POINTS_PER_BUCKET):
            inside = (step + 0.5) / _POINTS_PER_BUCKET
            points.append((sign * (low + (high - low) * inside), count / _POINTS_PER_BUCKET))
    median = _weighted_median(points)
    mad = _weighted_median([(abs(value - median), weight) for value, weight in points])
    return Centre(median, mad, of.samples)


def _edge(magnitude: int, shift: int) -> float:
    (value,) = struct.unpack("<d", struct.pack("<q", magnitude << shift))
    return float(value) if math.isfinite(value) else 1.7976931348623157e308


def _weighted_median(points: list[tuple[float, float]]) -> float:
    points.sort()
    half = sum(weight for _, weight in points) / 2
    for value, weight in points:
        half -= weight
        if half <= 0:
            return value
    return 0.0
