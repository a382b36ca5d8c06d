"""Fewer points, the same line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tsdownsample import LTTBDownsampler

from shared.charts.downsampling import downsample
from shared.reading.chart_input import Series


def series(values):
    return Series("co2Flow", "kg/h", np.arange(len(values), dtype=np.int64) * 1000, np.array(values, dtype=np.float64))


def points(some):
    return list(zip(some.times_ms.tolist(), some.values.tolist(), strict=True))


@pytest.mark.parametrize("count", [1, 499, 500])
def test_a_series_that_is_short_enough_comes_back_as_it_is(count):
    short = series(range(count))
    assert downsample(short, 500) is short


def test_a_long_series_keeps_its_limit_of_points_its_name_and_its_unit():
    less = downsample(series(np.sin(np.arange(10_000))), 500)
    assert (len(less.values), len(less.times_ms), less.name, less.unit) == (500, 500, "co2Flow", "kg/h")


def test_a_lone_peak_is_kept():
    values = np.zeros(10_000)
    values[4321] = 99.5
    assert (4_321_000, 99.5) in points(downsample(series(values), 50))


def test_the_points_are_those_that_the_library_chooses():
    long = series(np.sin(np.arange(5_000)) * np.arange(5_000))
    chosen = LTTBDownsampler().downsample(long.times_ms, long.values, n_out=321)
    assert downsample(long, 321).times_ms.tolist() == long.times_ms[chosen].tolist()


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(finite, min_size=1, max_size=60), st.integers(3, 20))
def test_what_is_kept_are_points_of_the_series_in_its_order_with_its_first_and_last(values, max_points):
    all_points = points(series(values))
    kept = points(downsample(series(values), max_points))
    assert len(kept) == min(len(values), max_points)
    assert kept == sorted(set(kept))
    assert set(kept) <= set(all_points)
    assert (kept[0], kept[-1]) == (all_points[0], all_points[-1])
