"""Downsampling a series for drawing."""

from array import array
from typing import Any

import msgspec

from shared.reading.model import Series


def downsample(series: Series, max_points: int) -> Series:
    """At most `max_points` (3 or more) points of a series over times or numbers, always with its first and last point.

    Largest-Triangle-Three-Buckets (S. Steinarsson, "Downsampling Time Series for Visual Representation", University of
    Iceland, 2013): each bucket of points keeps the point that forms the largest triangle with the point kept before it
    and the mean of the next bucket, so peaks remain. A series that is short enough is returned unchanged.
    """
    if len(series.values) <= max_points:
        return series
    import numpy as np
    from tsdownsample import LTTBDownsampler

    # Its `downsample` method checks the arrays' types with regular expressions, which takes longer than the work.
    core: Any = LTTBDownsampler().mod_single_core  # type: ignore[no-untyped-call]  # see its constructor
    x, values = np.asarray(series.x), np.asarray(series.values)
    over_times = x.dtype == np.int64
    lttb = core.downsample_i64_f64 if over_times else core.downsample_f64_f64
    kept = lttb(x, values, max_points)
    kept_x: array[Any] = array("q" if over_times else "d", x[kept].tobytes())
    return msgspec.structs.replace(series, x=kept_x, values=array("d", values[kept].tobytes()))
