"""The document at `fabric:cache:chart:{chartId}:{dataType}`: a chart ready to draw."""

import math
from collections.abc import Mapping

import msgspec

from shared.charts.downsampling import downsample
from shared.clock import now_iso
from shared.reading.model import Reading, Series
from shared.reading.overrides import NONE, Override
from shared.reading.read import points, read_chart

# The scripts compare the first bytes of a cache (`stale`, digest, revision) instead of parsing it. FRESH and STALE have
# the same length, revisions 16 digits and `staleSince` 26 characters, so that a script can overwrite them in place.
FRESH = b'{"stale":false'
STALE = b'{"stale":true '
HEAD = FRESH + b',"sourceDigest":"'
"""First bytes of a fresh cache, up to the source digest."""
REVISION = b'","revision":'
"""The text between the source digest and the revision."""
SINCE = b',"staleSince":'
"""The text between the revision and the time."""
SINCE_AT = len(HEAD) + 40 + len(REVISION) + 16
"""Where that text begins in a cache; one of an earlier version has another text there."""
NOT_STALE = b"null".ljust(26)
"""`staleSince` of a fresh cache, as long as a time in quotes."""
FIRST_REVISION = 10**15
"""Lower than any revision that read_chart.lua gives."""


class Update(msgspec.Struct, frozen=True, rename="camel"):
    """The message to clients that draw the chart. `updated_at` is ISO-8601 in UTC."""

    chart_id: str
    data_type: str
    source_digest: str
    updated_at: str


class _Line(msgspec.Struct, frozen=True):
    name: str
    unit: str | None
    points: list[tuple[int | float | str, int | float]]


class _Statistics(msgspec.Struct, frozen=True):
    count: int
    last: int | float
    min: int | float
    max: int | float
    mean: float


class _Document(msgspec.Struct, frozen=True, rename="camel"):
    """`stale`, `source_digest`, `revision` and `stale_since` come first: see HEAD. `revision` grows with every version
    of the source that is read. `x` is the kind of the axis: time (points are at epoch ms), number or category. `points`
    counts the distinct places that have a value. `rejected` counts the values left out, by reason."""

    stale: bool
    source_digest: str
    revision: int
    stale_since: msgspec.Raw
    chart_id: str
    data_type: str
    updated_at: str
    points: int
    series: list[_Line]
    stats: dict[str, _Statistics]
    x: str
    rejected: Mapping[str, int]


def describe_update(chart_id: bytes, data_type: bytes, source_digest: str) -> Update:
    """An update with the present time. In ids that are not UTF-8, invalid bytes are escaped."""
    return Update(
        chart_id.decode(errors="backslashreplace"),
        data_type.decode(errors="backslashreplace"),
        source_digest,
        now_iso(),
    )


def stale_since() -> bytes:
    """`staleSince` of a cache whose source is gone now."""
    return msgspec.json.encode(now_iso())


def marked_stale(document: bytes) -> bytes:
    """A fresh cache as one that is stale from now on."""
    value_at = SINCE_AT + len(SINCE)
    return STALE + document[len(FRESH) : value_at] + stale_since() + document[value_at + len(NOT_STALE) :]


def render(
    payload: bytes, update: Update, max_points: int, override: Override = NONE, revision: int = FIRST_REVISION
) -> bytes:
    """The document of a chart, whose source has this `revision` (read_chart.lua).

    Statistics cover all points of the source; the points are downsampled to `max_points` per series, categories cut off
    after as many.

    Raises Rejected if the payload is not a chart.
    """
    chart = read_chart(payload, override)
    return msgspec.json.encode(
        _Document(
            stale=False,
            source_digest=update.source_digest,
            revision=revision,
            stale_since=msgspec.Raw(NOT_STALE),
            chart_id=update.chart_id,
            data_type=update.data_type,
            updated_at=update.updated_at,
            points=points(chart),
            series=[_line(_shortened(chart, series, max_points)) for series in chart.series.values()],
            stats={name: _statistics(series) for name, series in chart.series.items()},
            x=chart.x,
            rejected=_rejected(chart, max_points),
        )
    )


def _shortened(chart: Reading, series: Series, max_points: int) -> Series:
    if chart.x != "category":
        return downsample(series, max_points)
    return msgspec.structs.replace(
        series, x=series.x[:max_points], values=series.values[:max_points], exact=series.exact[:max_points]
    )


def _rejected(chart: Reading, max_points: int) -> Mapping[str, int]:
    if chart.x != "category":
        return chart.rejected
    surplus = sum(max(0, len(series.values) - max_points) for series in chart.series.values())
    return {**chart.rejected, f"more than {max_points} categories": surplus} if surplus else chart.rejected


def _line(series: Series) -> _Line:
    return _Line(series.name, series.unit, list(zip(series.x, series.exact or series.values, strict=True)))


def _statistics(series: Series) -> _Statistics:
    import numpy as np

    values = np.asarray(series.values)
    low, high = float(values.min()), float(values.max())
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(values.mean())
    if not math.isfinite(mean):  # a sum of large doubles overflows where their mean does not
        mean = float((values / len(values)).sum())
    if abs(mean) < 1e15:
        mean = float(f"{mean:.15g}")  # 0.1, not the 0.10000000000000002 of a sum of doubles
    mean = min(max(mean, low), high)  # rounding must not put it outside the range of the values
    exact = series.exact or (float(values[-1]),)
    return _Statistics(len(values), exact[-1], *((min(exact), max(exact)) if series.exact else (low, high)), mean)
