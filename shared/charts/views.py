"""A summary of chart caches: age, number of points, and a sparkline of the first series.

A cache can have megabytes, so only its first bytes are read, which hold these fields (see cache.py).
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
"""Contains everything before the series, if ids have up to 200 characters."""
LINE_BYTES = 32 * 1024
"""Contains a first series of 500 points; a longer one has no sparkline."""

_HEAD = re.compile(rb'"updatedAt":"([^"]{1,40})","points":(\d{1,12}),"series":\[')
_SINCE = re.compile(rb',"staleSince":"([^"]{1,40})"')
_POINTS = b'"points":['
_LEVELS = "▁▂▃▄▅▆▇█"
LINE_CHARS = 12
_line = msgspec.json.Decoder(list[tuple[int, float]])


class ChartView(msgspec.Struct, frozen=True, rename="camel"):
    """One chart: `points` of its source, `sparkline` of its first series, oldest first."""

    chart_id: str
    data_type: str
    age_s: float = msgspec.field(name="age_s")
    stale: bool
    stale_since: str | None
    points: int
    sparkline: list[float] | None


async def read(app: App, keys: Sequence[bytes]) -> list[ChartView]:
    """The newest SHOWN of these chart caches, newest first; keys that are gone or are not chart caches are left out.

    Raises what the Redis client raises.
    """
    return [view for _, view in await read_keyed(app, keys)]


async def read_keyed(app: App, keys: Sequence[bytes]) -> list[tuple[bytes, ChartView]]:
    """As `read`, each with its key."""
    heads = await _beginnings(app, keys, HEAD_BYTES)
    views = [(view, key) for key, head in zip(keys, heads, strict=True) if (view := _view(key, head)) is not None]
    newest = sorted(views, key=lambda view_and_key: view_and_key[0].age_s)[:SHOWN]
    lines = await _beginnings(app, [key for _, key in newest], LINE_BYTES)
    return [
        (key, msgspec.structs.replace(view, sparkline=_sparkline(line)))
        for (view, key), line in zip(newest, lines, strict=True)
    ]


async def _beginnings(app: App, keys: Sequence[bytes], length: int) -> list[bytes]:
    """The first `length` bytes of each value; empty for a key that is gone or not a string."""
    if not keys:
        return []
    pipeline = app.redis.pipeline(transaction=False)
    for key in keys:
        pipeline.getrange(key, 0, length - 1)
    replies: list[Any] = await pipeline.execute(raise_on_error=False)
    return [reply if isinstance(reply, bytes) else b"" for reply in replies]


def _view(key: bytes, head: bytes) -> ChartView | None:
    parts, fields = namespaces.parts_of(namespaces.CHART_CACHE, key), _HEAD.search(head)
    if parts is None or fields is None or not head.startswith((chart_cache.FRESH, chart_cache.STALE)):
        return None
    try:
        updated = datetime.fromisoformat(fields[1].decode())
        age_s = max(0.0, time.time() - updated.timestamp())
    except (ValueError, OverflowError):
        return None
    stale = head.startswith(chart_cache.STALE)
    chart_id, data_type = map(printable, parts)
    since = _SINCE.search(head[:HEAD_BYTES]) if stale else None
    stale_since = printable(since[1]) if since else None
    return ChartView(chart_id, data_type, round(age_s, 1), stale, stale_since, int(fields[2]), None)


def _sparkline(beginning: bytes) -> list[float] | None:
    """Up to SPARKLINE_POINTS evenly spaced values of the first series; None if it does not end in `beginning`."""
    start = beginning.find(_POINTS)
    end = beginning.find(b"]]", start)
    if start < 0 or end < 0:
        return None
    try:
        points = _line.decode(beginning[start + len(_POINTS) - 1 : end + 2])
    except msgspec.MsgspecError:
        return None  # written by another application
    values = [value for _, value in points]
    if len(values) <= SPARKLINE_POINTS:
        return values or None
    last = len(values) - 1
    return [values[round(step * last / (SPARKLINE_POINTS - 1))] for step in range(SPARKLINE_POINTS)]


def drawn(values: Sequence[float]) -> str:
    """A sparkline of up to LINE_CHARS characters."""
    if not values:
        return ""
    low, high = min(values), max(values)
    count = min(LINE_CHARS, len(values))
    sampled = [values[at * (len(values) - 1) // max(1, count - 1)] for at in range(count)]
    scale = (high / 2 - low / 2) or 1  # halves: the difference of two large doubles can overflow
    return "".join(_LEVELS[round((value / 2 - low / 2) / scale * (len(_LEVELS) - 1))] for value in sampled)
