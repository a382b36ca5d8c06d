"""Chart caches at a glance: how old, how many points, and the line of the first series in a few numbers.

A cache can have megabytes, so only the beginning of it is read, where what is shown here stands (see chart_cache.py);
none is parsed as a whole.
"""

import re
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from shared import namespaces
from shared.app import App
from shared.charts import cache as chart_cache
from shared.privacy.masking import printable

SHOWN = 50
SPARKLINE_POINTS = 60
HEAD_BYTES = 1024
"""Holds everything before the series, with ids of up to 200 characters."""
LINE_BYTES = 32 * 1024
"""Holds the first series of 500 points; of one that is longer no line is shown."""

_HEAD = re.compile(rb'"updatedAt":"([^"]{1,40})","points":(\d{1,12}),"series":\[')
_POINTS = b'"points":['
_line = msgspec.json.Decoder(list[tuple[int, float]])


class ChartView(msgspec.Struct, frozen=True, rename="camel"):
    """One chart: `points` of its source, `sparkline` of its first series, oldest first."""

    chart_id: str
    data_type: str
    age_s: float = msgspec.field(name="age_s")
    stale: bool
    points: int
    sparkline: list[float] | None


async def read(app: App, keys: Sequence[bytes]) -> list[ChartView]:
    """The newest SHOWN of these chart caches, newest first; those that are gone or no charts are left out.

    Raises what the Redis client raises.
    """
    heads = await _beginnings(app, keys, HEAD_BYTES)
    found = [(view, key) for key, head in zip(keys, heads, strict=True) if (view := _view(key, head)) is not None]
    newest = sorted(found, key=lambda one: one[0].age_s)[:SHOWN]
    lines = await _beginnings(app, [key for _, key in newest], LINE_BYTES)
    return [
        msgspec.structs.replace(view, sparkline=_sparkline(line)) for (view, _), line in zip(newest, lines, strict=True)
    ]


async def _beginnings(app: App, keys: Sequence[bytes], length: int) -> list[bytes]:
    """The first `length` bytes of each; nothing of what is no string."""
    if not keys:
        return []
    pipeline = app.redis.pipeline(transaction=False)
    for key in keys:
        pipeline.getrange(key, 0, length - 1)
    replies: list[Any] = await pipeline.execute(raise_on_error=False)
    return [reply if isinstance(reply, bytes) else b"" for reply in replies]


def _view(key: bytes, head: bytes) -> ChartView | None:
    parts, found = namespaces.parts_of(namespaces.CHART_CACHE, key), _HEAD.search(head)
    if parts is None or found is None or not head.startswith((chart_cache.FRESH, chart_cache.STALE)):
        return None
    try:
        updated = datetime.fromisoformat(found[1].decode())
        age_s = max(0.0, time.time() - updated.timestamp())
    except (ValueError, OverflowError):
        return None
    stale = head.startswith(chart_cache.STALE)
    chart_id, data_type = map(printable, parts)
    return ChartView(chart_id, data_type, round(age_s, 1), stale, int(found[2]), None)


def _sparkline(beginning: bytes) -> list[float] | None:
    """Evenly chosen values of the first series; None when it does not end within the beginning."""
    opened = beginning.find(_POINTS)
    closed = beginning.find(b"]]", opened)
    if opened < 0 or closed < 0:
        return None
    try:
        points = _line.decode(beginning[opened + len(_POINTS) - 1 : closed + 2])
    except msgspec.MsgspecError:
        return None  # another application's
    values = [value for _, value in points]
    if len(values) <= SPARKLINE_POINTS:
        return values or None
    last = len(values) - 1
    return [values[round(place * last / (SPARKLINE_POINTS - 1))] for place in range(SPARKLINE_POINTS)]
