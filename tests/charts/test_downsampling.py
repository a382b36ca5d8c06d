"""Downsampling: the number of points, and which points."""

from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tsdownsample import LTTBDownsampler

from shared.charts.downsampling import downsample
from shared.reading.model import Series


def series(values):
    return Series("co2Flow", "kg/h", array("d", values), array("q", range(0, len(values) * 1000, 1000)))


def points(of):
    return list(zip(of.x, of.values, strict=True))


@pytest.mark.parametrize("count", [1, 499, 500])
def test_a_series_within_the_limit_is_returned_unchanged(count):
    short = series(range(count))
    assert downsample(short, 500) is short


def test_a_long_series_is_reduced_to_the_limit_and_keeps_name_and_unit():
    short = downsample(series(np.sin(np.arange(10_000))), 500)
    assert (len(short.values), len(short.x), short.name, short.unit) == (500, 500, "co2Flow", "kg/h")


def test_a_single_peak_is_kept():
    values = np.zeros(10_000)
    values[4321] = 99.5
    assert (4_321_000, 99.5) in points(downsample(series(values), 50))


def test_the_points_are_those_of_the_library_s_public_method_but_for_the_extremes():
    long = series(np.sin(np.arange(5_000)) * np.arange(5_000))
    chosen = LTTBDownsampler().downsample(np.asarray(long.x), np.asarray(long.values), n_out=321)
    kept = set(downsample(long, 321).x)
    changed = kept - set(np.asarray(long.x)[chosen].tolist())
    assert changed == {1000 * int(np.argmin(long.values)), 1000 * int(np.argmax(long.values))}


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(finite, min_size=1, max_size=60), st.integers(3, 20))
def test_kept_points_are_points_of_the_series_in_order_with_the_first_and_last(values, max_points):
    all_points = points(series(values))
    kept = points(downsample(series(values), max_points))
    assert len(kept) == min(len(values), max_points)
    assert kept == sorted(set(kept))
    assert set(kept) <= set(all_points)
    assert (kept[0], kept[-1]) == (all_points[0], all_points[-1])
    if max_points > 3:
        heights = [value for _, value in kept]
        assert (min(heights), max(heights)) == (min(values), max(values))


def test_the_extremes_are_kept_where_the_algorithm_alone_would_lose_them():
    """A spike that the next bucket's mean hides, beside a larger one in the same bucket."""
    values = np.zeros(100_000)
    values[50_001], values[50_002], values[50_005] = 10.0, -9.0, 9.9
    alone = LTTBDownsampler().downsample(np.arange(100_000), values, n_out=20)
    assert not {50_001, 50_002} <= set(alone.tolist())
    kept = points(downsample(series(values), 20))
    assert {(50_001_000, 10.0), (50_002_000, -9.0)} <= set(kept)
    assert len(kept) == 20


def test_integers_that_no_double_holds_are_kept_as_given():
    whole = [2**53 + 1 + 2 * number for number in range(1000)]
    long = series([float(number) for number in whole])
    short = downsample(Series(long.name, long.unit, long.values, long.x, exact=whole), 50)
    assert set(short.exact) <= set(whole)
    assert [whole[stamp // 1000] for stamp in short.x] == list(short.exact)
