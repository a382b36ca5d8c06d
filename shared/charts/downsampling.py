"""Downsampling a series for drawing."""

from array import array
from typing import Any

import msgspec

from shared.reading.model import Series


def downsample(series: Series, max_points: int) -> Series:
    """At most `max_points` (3 or more) points of a series over times or numbers, always with its first and last point,
    and from 4 points on with its lowest and its highest.

    Largest-Triangle-Three-Buckets (S. Steinarsson, "Downsampling Time Series for Visual Representation", University of
    Iceland, 2013): each bucket of points keeps the point that forms the largest triangle with the point kept before it
    and the mean of the next bucket. So peaks remain as a rule; that the extremes do is seen to afterwards. A series
    that is short enough is returned unchanged.
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
    kept = _with_extremes(lttb(x, values, max_points).astype(np.int64), values)
    kept_x: array[Any] = array("q" if over_times else "d", x[kept].tobytes())
    exact = [series.exact[place] for place in kept] if series.exact else ()
    return msgspec.structs.replace(series, x=kept_x, values=array("d", values[kept].tobytes()), exact=exact)


def _with_extremes(kept: Any, values: Any) -> Any:
    """The places of the points to keep, in order, with those of the lowest and the highest value: each takes the place
    of its nearest neighbour, unless that is the first, the last or the other extreme."""
    import numpy as np

    extremes = [int(values.argmin()), int(values.argmax())]
    held = values[kept]
    missing = [
        place for place, extreme in zip(extremes, (held.min(), held.max()), strict=True) if values[place] != extreme
    ]
    for place in missing:
        inner = np.arange(1, len(kept) - 1)
        inner = inner[~np.isin(values[kept[inner]], values[extremes])]
        if len(inner):
            kept[inner[np.abs(kept[inner] - place).argmin()]] = place
            kept.sort()
    return kept
