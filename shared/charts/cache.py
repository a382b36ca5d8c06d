"""The document at `fabric:cache:chart:{chartId}:{dataType}`: a chart ready to draw."""

import math

import msgspec

from shared.charts.downsampling import downsample
from shared.clock import now_iso
from shared.reading import chart_input
from shared.reading.chart_input import Series

# The scripts compare the first bytes of a cache (`stale`, then the digest) instead of parsing it. FRESH and STALE have
# the same length, so that a script can overwrite the mark in place.
FRESH = b'{"stale":false'
STALE = b'{"stale":true '
HEAD = FRESH + b',"sourceDigest":"'
"""First bytes of a fresh cache, up to the source digest."""


class Update(msgspec.Struct, frozen=True, rename="camel"):
    """The message to clients that draw the chart. `updated_at` is ISO-8601 in UTC."""

    chart_id: str
    data_type: str
    source_digest: str
    updated_at: str


class _Line(msgspec.Struct, frozen=True):
    name: str
    unit: str | None
    points: list[tuple[int, float]]


class _Statistics(msgspec.Struct, frozen=True):
    count: int
    last: float
    min: float
    max: float
    mean: float


class _Document(msgspec.Struct, frozen=True, rename="camel"):
    """`stale` and `source_digest` come first: see HEAD."""

    stale: bool
    source_digest: str
    chart_id: str
    data_type: str
    updated_at: str
    points: int
    series: list[_Line]
    stats: dict[str, _Statistics]


def describe_update(chart_id: bytes, data_type: bytes, source_digest: str) -> Update:
    """An update with the present time. In ids that are not UTF-8, invalid bytes are escaped."""
    return Update(
        chart_id.decode(errors="backslashreplace"),
        data_type.decode(errors="backslashreplace"),
        source_digest,
        now_iso(),
    )


def render(payload: bytes, update: Update, max_points: int) -> bytes:
    """The document of a chart. Statistics cover all points of the source; the points are downsampled to `max_points`
    per series.

    Raises Rejected if the payload is not a chart.
    """
    chart = chart_input.parse(payload)
    return msgspec.json.encode(
        _Document(
            stale=False,
            source_digest=update.source_digest,
            chart_id=update.chart_id,
            data_type=update.data_type,
            updated_at=update.updated_at,
            points=chart.points,
            series=[_line(downsample(series, max_points)) for series in chart.series],
            stats={series.name: _statistics(series) for series in chart.series},
        )
    )


def _line(series: Series) -> _Line:
    return _Line(series.name, series.unit, list(zip(series.times_ms.tolist(), series.values.tolist(), strict=True)))


def _statistics(series: Series) -> _Statistics:
    import numpy as np

    values = series.values
    low, high = float(values.min()), float(values.max())
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(values.mean())
    if not math.isfinite(mean):  # a sum of large doubles overflows where their mean does not
        mean = float((values / len(values)).sum())
    # Rounding must not put the mean outside the range of the values.
    return _Statistics(len(values), float(values[-1]), low, high, min(max(mean, low), high))
