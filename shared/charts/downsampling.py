"""Downsampling a series for drawing."""

from dataclasses import replace

from shared.reading.chart_input import Series


def downsample(series: Series, max_points: int) -> Series:
    """At most `max_points` (3 or more) points of the series, always with its first and last point.

    Largest-Triangle-Three-Buckets (S. Steinarsson, "Downsampling Time Series for Visual Representation", University of
    Iceland, 2013): each bucket of points keeps the point that forms the largest triangle with the point kept before it
    and the mean of the next bucket, so peaks remain. A series that is short enough is returned unchanged.
    """
    if len(series.values) <= max_points:
        return series
    from tsdownsample import LTTBDownsampler

    # Its `downsample` method checks the arrays' types with regular expressions, which takes longer than the work.
    lttb = LTTBDownsampler().mod_single_core.downsample_i64_f64  # type: ignore[no-untyped-call]  # see its constructor
    kept = lttb(series.times_ms, series.values, max_points)
    return replace(series, times_ms=series.times_ms[kept], values=series.values[kept])
