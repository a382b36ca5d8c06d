"""Fewer points that draw the same line."""

from dataclasses import replace

from shared.reading.chart_input import Series


def downsample(series: Series, max_points: int) -> Series:
    """At most `max_points` (3 or more) of the series' own points, its first and its last among them.

    Largest-Triangle-Three-Buckets, from S. Steinarsson, "Downsampling Time Series for Visual Representation"
    (University of Iceland, 2013): of each bucket of points it keeps the one that spans the largest triangle with the
    point kept before and the mean of the bucket behind, so that peaks stay. A series that is short enough comes back
    as it is.
    """
    if len(series.values) <= max_points:
        return series
    from tsdownsample import LTTBDownsampler

    # Its own `downsample` looks at the arrays' types by regular expressions, which takes longer than the work.
    lttb = LTTBDownsampler().mod_single_core.downsample_i64_f64  # type: ignore[no-untyped-call]  # see its constructor
    kept = lttb(series.times_ms, series.values, max_points)
    return replace(series, times_ms=series.times_ms[kept], values=series.values[kept])
