"""A mergeable sketch of a metric's values, from which median and MAD are read. Pure.

The algorithm is UDDSketch (Epicoco, Melle, Cafaro, Pulimeno, Morleo: "UDDSketch: Accurate Tracking of Quantiles in
Data Streams", IEEE Access 2020): a histogram whose bucket width grows with the value; when more buckets than a limit
are in use, all neighbouring buckets are joined in pairs. The buckets are those of HdrHistogram: the leading bits of the
IEEE 754 double, so a shift computes the bucket exactly.

Why UDDSketch: adding counts and joining pairs are exact, and when to join depends only on which buckets are in use. So
the sketch depends on the set of values alone, not on the order in which batches arrive or are merged (t-digest and KLL
depend on both). It bounds the number of buckets in use, not the range: an extreme outlier costs one bucket, not
resolution where most values are, and the bucket width follows the spread of the data, not its magnitude.
"""

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
"""Maximum number of buckets in use per metric. 64 to 128 cover the spread of a normally distributed metric: a bucket is
about a tenth of sigma wide."""
_COUNTING_BUCKETS = 2 * MAX_BUCKETS
"""Maximum number of buckets while values are counted: joining is then rare, and joins few buckets."""
FINEST_SHIFT = 28
"""Bits of the double dropped at the finest resolution: 24 bits of mantissa remain, a relative width of 6e-8."""
MIN_NUMPY_VALUES = 256
"""Values from which on NumPy, if loaded, is quicker than a loop."""
MAX_SAMPLES = 2**40
"""Maximum number of values in a stored sketch: 30 minutes with 600 million values a second. Sums of as many sketches as
the model can have stay below 2**53, so counts are exact as integers, doubles and msgpack alike."""
_MAGNITUDE = 0x7FFF_FFFF_FFFF_FFFF
_MAX_FINITE = 0x7FEF_FFFF_FFFF_FFFF
"""The bits of the largest finite double."""
_POINTS_PER_BUCKET = 4
"""Points over which the weight of a bucket is spread when the MAD is computed."""


@dataclass(frozen=True)
class Sketch:
    """Counts per bucket. Bucket `i` holds the doubles of i's sign whose magnitude bits, shifted right, are `abs(i)`."""

    shift: int = FINEST_SHIFT
    counts: Mapping[int, int] = field(default_factory=dict)

    @cached_property
    def samples(self) -> int:
        return sum(self.counts.values())

    def flat(self) -> list[int]:
        """[shift, bucket, count, bucket, count, ...], as stored in Redis."""
        return [self.shift, *chain.from_iterable(self.counts.items())]

    @classmethod
    def from_flat(cls, numbers: Sequence[int]) -> "Sketch":
        """The inverse of `flat`, checked for what the arithmetic below can bear: the numbers may be anybody's.

        Raises ValueError for numbers that are no sketch of finite values.
        """
        shift, buckets, counts = numbers[0] if numbers else -1, numbers[1::2], numbers[2::2]
        if not (FINEST_SHIFT <= shift < 64 and len(buckets) == len(counts) <= MAX_BUCKETS):
            raise ValueError("not a sketch")
        limit = _MAX_FINITE >> shift
        if buckets and (max(buckets) > limit or min(buckets) < -limit or min(counts) < 1 or sum(counts) > MAX_SAMPLES):
            raise ValueError("not a sketch")
        by_bucket = dict(zip(buckets, counts, strict=True))
        if len(by_bucket) < len(buckets):
            raise ValueError("a bucket occurs twice")
        return cls(shift, by_bucket)


def sketch(values: Sequence[float]) -> Sketch:
    """The sketch of finite `values`."""
    if len(values) >= MIN_NUMPY_VALUES and (np := lazy_numpy.loaded()) is not None:
        return _sketch_of_many(np, values)
    shift = FINEST_SHIFT
    counts: dict[int, int] = {}
    for bits in array("q", array("d", values).tobytes()):
        bucket = bits >> shift if bits >= 0 else -((bits & _MAGNITUDE) >> shift)
        if bucket in counts:
            counts[bucket] += 1
        else:
            counts[bucket] = 1
            if len(counts) > _COUNTING_BUCKETS:  # further values can only make the final shift larger
                shift, counts = _collapse(shift, counts)
    return Sketch(*_collapse(shift, counts))


def _sketch_of_many(np: Any, values: Sequence[float]) -> Sketch:
    """The sketch of enough values to make up for NumPy's cost per call."""
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
        joins = np.frexp(differing.astype("<f8"))[1]  # exact bit lengths: a bucket has 35 bits
        dropped = int(np.partition(joins, -MAX_BUCKETS)[-MAX_BUCKETS])  # see _collapse
        shift += dropped
        buckets = buckets >> dropped if positive else np.where(buckets >= 0, buckets >> dropped, -(-buckets >> dropped))
        last = np.flatnonzero(buckets[1:] != buckets[:-1])
    ends = [*(last + 1).tolist(), len(buckets)]
    counts = map(sub, ends, [0, *ends])
    return Sketch(shift, dict(zip(buckets[[*last.tolist(), -1]].tolist(), counts, strict=True)))


def merge(sketches: Iterable[Sketch]) -> Sketch:
    """The sketch of all values of `sketches`: equal to a single sketch of these values, in any order."""
    parts = list(sketches)
    shift = max((part.shift for part in parts), default=FINEST_SHIFT)
    counts: dict[int, int] = {}
    for part in parts:
        _add(counts, part.counts, shift - part.shift)
    return Sketch(*_collapse(shift, counts))


def _collapse(shift: int, counts: dict[int, int]) -> tuple[int, dict[int, int]]:
    """Shift and counts after joining pairs until at most MAX_BUCKETS are in use: all bits in one step."""
    if len(counts) <= MAX_BUCKETS:
        return shift, counts
    buckets = sorted(counts)
    if buckets[0] >= 0:
        joins = sorted(map(int.bit_length, map(xor, buckets, buckets[1:])))  # `_joins_after`, quicker
    else:
        joins = sorted(starmap(_joins_after, pairwise(buckets)))
    bits = joins[-MAX_BUCKETS]  # at most MAX_BUCKETS - 1 boundaries between buckets may remain
    return shift + bits, _coarser(counts, bits)


def _joins_after(low: int, high: int) -> int:
    """The number of bits to drop until two buckets join: all up to the highest that differs, or all bits if the signs
    differ."""
    low_bits, high_bits = abs(low), abs(high)
    return (low_bits ^ high_bits if (low < 0) == (high < 0) else low_bits | high_bits).bit_length()


def _coarser(counts: Mapping[int, int], bits: int) -> dict[int, int]:
    joined: dict[int, int] = {}
    _add(joined, counts, bits)
    return joined


def _add(to: dict[int, int], counts: Mapping[int, int], bits: int) -> None:
    """Add counts whose buckets are finer by `bits` bits."""
    for bucket, count in counts.items():
        key = bucket >> bits if bucket >= 0 else -(-bucket >> bits)
        to[key] = to.get(key, 0) + count


@dataclass(frozen=True)
class Centre:
    """Median and median absolute deviation (MAD) of a metric's `samples` values."""

    median: float
    mad: float
    samples: int


def centre(of: Sketch) -> Centre:
    """Median and MAD, each within about a bucket's width: values count as spread evenly over the width of their bucket.

    A metric that never changed has the MAD of its single bucket, 6e-8 of its value, not 0: the sketch cannot
    distinguish closer values.
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
    """The double at the lower edge of a bucket; the largest finite one at the upper edge of the last bucket."""
    (value,) = struct.unpack("<d", struct.pack("<q", min(magnitude << shift, _MAX_FINITE)))
    return float(value)


def _weighted_median(points: list[tuple[float, float]]) -> float:
    points.sort()
    half = sum(weight for _, weight in points) / 2
    for value, weight in points:
        half -= weight
        if half <= 0:
            return value
    return 0.0
