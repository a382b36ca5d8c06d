"""The baseline: independent of order, accurate, bounded, and robust against other applications' fields."""

import math
import random
import statistics
import struct
from collections import Counter
from unittest.mock import patch

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.batches import reactor as batches
from shared.batches import sketch as sketches
from shared.batches.baseline import FOLD_FROM, GENERATION_S, MAX_METRICS, NO_FOLD, decode_model, encode_delta
from shared.batches.baseline_copy import BaselineCopy
from shared.batches.sketch import FINEST_SHIFT, MAX_BUCKETS, MIN_NUMPY_VALUES, Sketch, centre, merge, sketch
from shared.reading.float_arrays import packed
from shared.reading.model import Reading, Series
from shared.runtime import lazy_numpy

FINITE = st.floats(allow_nan=False, allow_infinity=False)
NOW_S = 1_800_000_123


@given(batches=st.lists(st.lists(FINITE, max_size=60), max_size=8), seed=st.randoms(use_true_random=False))
def test_the_order_of_batches_and_of_merging_does_not_change_the_sketch(
    batches: list[list[float]], seed: random.Random
) -> None:
    at_once = sketch([value for batch in batches for value in batch])
    shuffled = seed.sample(batches, len(batches))
    one_by_one = Sketch()
    for batch in shuffled:
        one_by_one = merge([one_by_one, sketch(batch)])
    in_pairs = merge([merge(map(sketch, shuffled[:3])), merge(map(sketch, shuffled[3:]))])
    for other in (one_by_one, in_pairs):
        assert (other.shift, dict(other.counts)) == (at_once.shift, dict(at_once.counts))


def by_definition(values: list[float]) -> tuple[int, dict[int, int]]:
    """Shift and counts by the definition of the sketch: drop one bit at a time until MAX_BUCKETS suffice."""
    for shift in range(FINEST_SHIFT, 64):
        counts = Counter(
            int(math.copysign(int.from_bytes(struct.pack(">d", abs(value))) >> shift, value)) for value in values
        )
        if len(counts) <= MAX_BUCKETS:
            return shift, dict(counts)
    raise AssertionError("at the largest shift, two buckets suffice")


@pytest.mark.parametrize("count", [1, 127, 128, 129, 256, 257, 258, 5000])
@pytest.mark.parametrize("spread", [1e-9, 0.3, 1e300])
@pytest.mark.parametrize("mean", [0.0, 24.1, -5e-324, 1e300])
def test_a_sketch_of_any_length_has_the_smallest_possible_shift(mean: float, spread: float, count: int) -> None:
    chance = random.Random(count)
    values = [chance.gauss(mean, spread) for _ in range(count)]
    result = sketch(values)
    assert (result.shift, result.counts) == by_definition(values)


@given(values=st.lists(FINITE, min_size=100, max_size=600))
def test_a_sketch_of_any_values_has_the_smallest_possible_shift(values: list[float]) -> None:
    result = sketch(values)
    assert (result.shift, result.counts) == by_definition(values)


SPECIAL = [0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, -1.7976931348623157e308]
DISTINCT = st.lists(FINITE | st.sampled_from(SPECIAL), min_size=1, max_size=MIN_NUMPY_VALUES + MAX_BUCKETS)


@given(
    distinct=DISTINCT,
    count=st.integers(1, 3 * MIN_NUMPY_VALUES)
    | st.sampled_from([MIN_NUMPY_VALUES - 1, MIN_NUMPY_VALUES, MIN_NUMPY_VALUES + 1]),
)
@example(distinct=SPECIAL, count=MIN_NUMPY_VALUES)
@example(distinct=[-7.5], count=MIN_NUMPY_VALUES)
@example(distinct=[float(number) for number in range(-MAX_BUCKETS, MAX_BUCKETS)], count=2 * MAX_BUCKETS)
@example(distinct=[float(number) for number in range(MAX_BUCKETS)], count=MIN_NUMPY_VALUES)
@example(distinct=[float(number) for number in range(MAX_BUCKETS + 1)], count=MIN_NUMPY_VALUES)
def test_numpy_and_the_loop_return_the_same_sketch(distinct: list[float], count: int) -> None:
    values = (distinct * count)[:count]
    before = list(map(repr, values))
    with patch.object(lazy_numpy, "_numpy", None):
        by_loop = sketch(values)
    for by_numpy in (sketches._sketch_of_many(np, values), with_numpy(values)):
        assert (by_numpy.shift, by_numpy.counts) == (by_loop.shift, by_loop.counts) == by_definition(values)
        assert {type(number) for number in by_numpy.flat()} == {int}, "msgpack cannot encode NumPy's integers"
    assert list(map(repr, values)) == before


def with_numpy(values: list[float]) -> Sketch:
    with patch.object(lazy_numpy, "_numpy", np):
        return sketch(values)


@pytest.mark.parametrize("count", [MIN_NUMPY_VALUES, 5000])
@pytest.mark.parametrize("spread", [1e-9, 0.3, 1e300])
@pytest.mark.parametrize("mean", [0.0, 24.1, -5e-324, 1e300])
def test_the_numpy_sketch_of_measurements_has_the_smallest_possible_shift(
    mean: float, spread: float, count: int
) -> None:
    chance = random.Random(count)
    values = [chance.gauss(mean, spread) for _ in range(count)]
    result = with_numpy(values)
    assert (result.shift, result.counts) == by_definition(values)


@given(values=st.lists(FINITE, min_size=1, max_size=2000))
def test_a_sketch_counts_every_value_in_a_bounded_number_of_buckets(values: list[float]) -> None:
    result = sketch(values)
    assert result.samples == len(values)
    assert len(result.counts) <= MAX_BUCKETS
    assert Sketch.from_flat(result.flat()) == result


@pytest.mark.parametrize(
    ("mean", "sigma"), [(24.1, 0.3), (1013.0, 1.0), (0.0, 1.0), (-50.0, 10.0), (1e-9, 1e-10), (1e12, 1e10)]
)
def test_median_and_mad_are_close_to_the_exact_values(mean: float, sigma: float) -> None:
    chance = random.Random(7)
    values = [chance.gauss(mean, sigma) for _ in range(5000)]
    estimate = centre(sketch(values))
    median = statistics.median(values)
    mad = statistics.median(abs(value - median) for value in values)
    assert estimate.samples == 5000
    assert estimate.median == pytest.approx(median, abs=0.03 * sigma)
    assert estimate.mad == pytest.approx(mad, rel=0.06)


def test_extreme_outliers_do_not_reduce_the_resolution() -> None:
    chance = random.Random(7)
    values = [chance.gauss(1013, 1) for _ in range(5000)]
    estimate = centre(sketch([*values, 1e9, -1e9, 1e300]))
    assert estimate.mad == pytest.approx(0.6745, rel=0.08)


def test_the_centre_of_a_constant_metric_is_its_value() -> None:
    estimate = centre(sketch([5.0] * 200))
    assert estimate.median == pytest.approx(5.0, rel=1e-7)
    assert estimate.mad == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("numbers", [[28, 1], [28, 1, 0], [-1, 1, 1], [70, 1, 1], [28, 2**60, 1], [28, 1, -4]], ids=str)
def test_numbers_that_are_not_a_sketch_are_refused(numbers: list[int]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Sketch.from_flat(numbers)


def model(*batches: dict[str, list[float]], age_s: int = 0) -> list[bytes]:
    """The model's hash after these batches, none of them folded."""
    generation = (NOW_S - age_s) // GENERATION_S
    fields: list[bytes] = []
    for number, batch in enumerate(batches):
        delta = encode_delta(batch)
        fields += [f"+{generation}:{number}".encode(), delta]
    return fields


@pytest.mark.parametrize("count", [0, 1, MAX_BUCKETS - 1, MAX_BUCKETS, MAX_BUCKETS + 1, 1000])
def test_a_delta_of_any_length_equals_the_sketch_of_its_values(count: int) -> None:
    values = [number * 7919 % 1009 / 7 for number in range(count)]
    decoded = decode_model(model({"a": values}, {"a": values[:3]}), NOW_S)
    assert decoded.sketches["a"] == sketch([*values, *values[:3]])


BATCH = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.lists(FINITE, min_size=1, max_size=2 * MAX_BUCKETS))


@pytest.mark.parametrize("numpy", [None, np], ids=["loop", "NumPy"])
@given(group=st.lists(BATCH, max_size=6), repeats=st.sampled_from([1, 1, 40]))
def test_the_delta_of_a_group_equals_the_deltas_of_its_batches(
    numpy: object, group: list[dict[str, list[float]]], repeats: int
) -> None:
    group *= repeats
    with patch.object(lazy_numpy, "_numpy", numpy):
        readings = [
            Reading({metric: Series(metric, None, packed(values)) for metric, values in batch.items()})
            for batch in group
        ]
        delta = batches.baseline(readings, BaselineCopy())
        together = decode_model([f"+{NOW_S // GENERATION_S}:1".encode(), delta], NOW_S)
        one_by_one = decode_model(model(*group), NOW_S)
    assert together.sketches == one_by_one.sketches
    assert len(delta) < 4096 * 3


def test_the_size_of_a_delta_is_bounded() -> None:
    values = [number / 7 for number in range(20_000)]
    assert max(len(encode_delta({"a": values[:count]})) for count in (128, 129, 1000, 20_000)) < 2048


def test_unfolded_deltas_count() -> None:
    decoded = decode_model([b"version", b"2", *model({"a": [1.0, 2.0]}, {"a": [3.0], "b": [9.0]})], NOW_S)
    assert decoded.version == 2
    assert {metric: merged.samples for metric, merged in decoded.sketches.items()} == {"a": 3, "b": 1}
    assert decoded.fold == NO_FOLD


def test_the_previous_generation_counts_and_older_ones_are_outdated() -> None:
    recent, previous, old = (model({"a": [1.0]}, age_s=age * GENERATION_S) for age in (0, 1, 2))
    decoded = decode_model(recent + previous + old, NOW_S)
    assert decoded.sketches["a"].samples == 2
    assert decoded.fold.removed == (old[0],)


def test_a_fold_does_not_change_the_baseline() -> None:
    chance = random.Random(3)
    fields = model(*({"a": [chance.gauss(5, 1)], "b": [chance.random()]} for _ in range(FOLD_FROM)))
    before = decode_model(fields, NOW_S)
    assert set(before.fold.merged) == set(fields[::2])
    folded = [part for pair in before.fold.sketches.items() for part in pair]
    after = decode_model(folded, NOW_S)
    assert after.fold == NO_FOLD
    assert {name: folded_sketch.flat() for name, folded_sketch in after.sketches.items()} == {
        name: folded_sketch.flat() for name, folded_sketch in before.sketches.items()
    }


def test_a_fold_without_merged_fields_stores_no_sketch() -> None:
    """Another worker may have folded meanwhile; without a merged field, the script cannot detect that."""
    folded = [f"{NOW_S // GENERATION_S}:a".encode(), msgspec.msgpack.encode(sketch([1.0]).flat())]
    old = model({"a": [1.0]}, age_s=2 * GENERATION_S)
    decoded = decode_model(folded + old, NOW_S)
    assert (decoded.fold.merged, decoded.fold.removed, decoded.fold.sketches) == ((), (old[0],), {})


def test_fields_of_other_applications_are_skipped() -> None:
    generation = NOW_S // GENERATION_S
    foreign = [
        *(b"version", b"many"),
        *(b"weights", b"\x00\x01"),
        *(b"", b""),
        *(f"{generation}:m".encode(), b"\xc1"),
        *(f"{generation}:n".encode(), msgspec.msgpack.encode([28, 1, -5])),
        *(f"+{generation}:1".encode(), msgspec.msgpack.encode("x")),
        *(f"+{generation}:2".encode(), msgspec.msgpack.encode([{"o": [1.0, "x"]}, {}])),
        *(f"+{generation}:3".encode(), msgspec.msgpack.encode([{"p": [1.0]}, {"q": [28, 1, -5]}])),
        *(f"+{generation}:4".encode(), msgspec.msgpack.encode([["r", [28, 1, 1]]])),
    ]
    decoded = decode_model(foreign + model({"a": [1.0]}), NOW_S)
    assert {metric: merged.samples for metric, merged in decoded.sketches.items()} == {"a": 1}


TOP = 0x7FEF_FFFF_FFFF_FFFF
BROKEN = {
    "shift beyond a double": [2**31],
    "shift of gigabytes": [2**34],
    "bucket of the infinite": [52, (TOP >> 52) + 1, 1],
    "sums past 64 bits": [28, 1, 2**63 - 1],
    "sums past 64 bits of two": [28, 1, 2**62, 2, 2**62],
    "a bucket twice": [28, 7, 1, 7, 1],
    "too many buckets": [28, *(part for bucket in range(MAX_BUCKETS + 1) for part in (bucket, 1))],
    "no shift": [],
}


@pytest.mark.parametrize("numbers", BROKEN.values(), ids=BROKEN.keys())
def test_a_stored_sketch_that_the_arithmetic_cannot_bear_is_dropped_and_counted(numbers: list[int]) -> None:
    generation = NOW_S // GENERATION_S
    names = [f"{generation}:temp".encode(), f"+{generation}:9".encode()]
    values = [msgspec.msgpack.encode(numbers), msgspec.msgpack.encode([{}, {"temp": numbers}])]
    fields = [part for pair in zip(names, values, strict=True) for part in pair]
    decoded = decode_model(fields + model({"temp": [1.0], "a": [1.0]}), NOW_S)
    assert {metric: merged.samples for metric, merged in decoded.sketches.items()} == {"temp": 1, "a": 1}
    assert decoded.dropped == 2
    assert set(decoded.fold.removed) == set(names)
    assert set(decoded.fold.merged) == {f"+{generation}:0".encode()}


@pytest.mark.parametrize("shift", range(FINEST_SHIFT, 64))
def test_every_sketch_that_is_read_has_a_finite_centre_and_can_be_folded(shift: int) -> None:
    generation = NOW_S // GENERATION_S
    top = TOP >> shift
    edges = Sketch(shift, {top: 2**38, -top: 2**38, 0: 2**38} if top else {0: 2**38})
    field = [f"{generation}:m".encode(), msgspec.msgpack.encode(edges.flat())]
    decoded = decode_model(field + model(*[{"m": [1.0]}] * FOLD_FROM), NOW_S)
    estimate = decoded.centre("m")
    assert estimate is not None
    assert math.isfinite(estimate.median)
    assert math.isfinite(estimate.mad)
    (folded,) = decoded.fold.sketches.values()
    assert Sketch.from_flat(msgspec.msgpack.decode(folded)).samples == edges.samples + FOLD_FROM


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_delta_with_values_that_are_not_finite_is_dropped_and_counted(value: float) -> None:
    generation = NOW_S // GENERATION_S
    broken = [f"+{generation}:7".encode(), msgspec.msgpack.encode([{"a": [1.0, value]}, {}])]
    decoded = decode_model(broken + model({"a": [1.0]}), NOW_S)
    assert (decoded.sketches["a"].samples, decoded.dropped) == (1, 1)


@pytest.mark.parametrize(
    "version", [b"9" * 5000, b"9" * 30, b"-1", b"1e3", b"1_0"], ids=["huge", "wide", "<0", "e", "_"]
)
def test_a_version_that_is_no_count_reads_as_0(version: bytes) -> None:
    assert decode_model([b"version", version], NOW_S).version == 0


def test_a_field_whose_name_is_another_spelling_of_a_generation_does_not_count_twice() -> None:
    generation = NOW_S // GENERATION_S
    value = msgspec.msgpack.encode([28, 7, 1])
    spellings = (f"0{generation}:m", f"+0{generation}:1", f"{generation}_0:m", f" {generation}:m", f"-{generation}:m")
    assert decode_model([part for name in spellings for part in (name.encode(), value)], NOW_S).sketches == {}


def test_a_generation_ahead_of_the_clock_is_outdated() -> None:
    """It was written before the clock was set back."""
    ahead = model({"a": [9.0]}, age_s=-86_400)
    decoded = decode_model(ahead + model({"a": [1.0]}), NOW_S)
    assert decoded.sketches["a"].samples == 1
    assert decoded.fold.removed == (ahead[0],)


def test_new_metrics_beyond_the_maximum_are_left_out_and_established_ones_stay() -> None:
    generation = NOW_S // GENERATION_S
    established = [f"{generation - 1}:old".encode(), msgspec.msgpack.encode(sketch([1.0] * 200).flat())]
    flood = model({f"m{number:04}": [1.0] for number in range(MAX_METRICS + 9)}, {"old": [2.0]})
    decoded = decode_model(flood + established, NOW_S)
    assert len(decoded.sketches) == MAX_METRICS
    assert decoded.sketches["old"].samples == 201
    assert decoded.left_out == 10
    assert "m0000" in decoded.sketches, "the first come first"


def test_of_a_model_with_too_many_sketches_the_largest_stay_and_the_rest_is_removed() -> None:
    generation = NOW_S // GENERATION_S
    one = msgspec.msgpack.encode(sketch([1.0]).flat())
    fields = [part for number in range(MAX_METRICS) for part in (f"{generation}:m{number}".encode(), one)]
    large = [f"{generation}:large".encode(), msgspec.msgpack.encode(sketch([1.0, 2.0]).flat())]
    decoded = decode_model([*fields, *large, *model({"m1": [3.0]})], NOW_S)
    assert len(decoded.sketches) == MAX_METRICS
    assert decoded.sketches["large"].samples == 2
    assert len(decoded.fold.removed) == 1


def test_a_worker_adds_no_more_new_metrics_than_there_is_room_for() -> None:
    copy = BaselineCopy()
    copy.replace(decode_model(model({f"m{number}": [1.0] for number in range(MAX_METRICS - 2)}), NOW_S))
    assert copy.admit(["a", "m1", "b", "c"]) == {"a", "m1", "b"}
    assert copy.admit(["d", "m2", "b"]) == {"m2", "b"}
