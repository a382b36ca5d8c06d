"""When a chart that has a source is due to be looked at: shortly before it expires while it is watched, else right
after. All times are Redis' own; a sorted set per source has the due times (schedule_chart.lua).

The events tell what happened (an expiry, a deletion), the due times make it certain: Redis reports an expiry when it
finds it, which can be minutes late.
"""

import asyncio
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import batched
from typing import TYPE_CHECKING, NamedTuple

from redis.exceptions import RedisError

from shared import namespaces
from shared.app import App, Call
from shared.delivery.failures import report_outage
from shared.reactor import Cause
from shared.store.script import Script

if TYPE_CHECKING:
    from shared.sources.config import Source

PRELUDE = "refresh_prelude"
"""What the scripts of a refresh begin with."""
SCHEDULE_CHART = Script(__file__, "schedule_chart", PRELUDE)
READ_INTEREST = Script(__file__, "read_interest")

PART = "chart refresh"
"""The part of an outage of Redis."""
JITTER = 0.25
"""A watched chart is refreshed up to this share of `refresh_ahead_s` earlier, so that charts written together are not
fetched together."""
MAX_INTEREST = 5000
MAX_NAME_BYTES = 1000
CHARTS_PER_CALL = 64
USED_AGAIN = 0.1
"""A sign of use is written to Redis once per this share of CHART_ACTIVE_S."""
_INTEREST = namespaces.build(namespaces.CHART_INTEREST)
_EVENTS = {
    Cause.EXPIRED: "expired",
    Cause.EVICTED: "evicted",
    Cause.DELETED: "deleted",
    Cause.RENAMED: "deleted",
}
_chance = random.Random()  # noqa: S311 (jitter)


class Chart(NamedTuple):
    """A chart that has a source."""

    key: bytes
    chart_id: bytes
    data_type: bytes
    source: "Source"

    @property
    def state(self) -> bytes:
        return namespaces.build(namespaces.CHART_STATE, self.chart_id, self.data_type)

    @property
    def due(self) -> bytes:
        return due_key(self.source)


@dataclass
class Signals:
    """State of the app: whether its refresher has something new to look at, and which uses were written lately."""

    changed: asyncio.Event = field(default_factory=asyncio.Event)
    looks_at_s: float = float("inf")
    """When the refresher looks next (time.monotonic)."""
    used_s: dict[bytes, float] = field(default_factory=dict)
    """When a use of a key was noted (time.monotonic)."""


def due_key(source: "Source") -> bytes:
    return namespaces.build(namespaces.CHARTS_DUE, source.name)


def chart_of(app: App, key: bytes) -> Chart | None:
    """The chart of a source key; None if it is none, or has no source."""
    if not app.settings.chart_sources:
        return None
    parts = namespaces.parts_of(namespaces.CHART_DATA, key)
    source = app.settings.sources.of(*parts) if parts else None
    return Chart(key, parts[0], parts[1], source) if parts and source else None


def ahead_ms(source: "Source", *, longest: bool = False) -> int:
    """How long before its expiry a watched chart is refreshed, with jitter; `longest` of these times."""
    share = JITTER if longest else JITTER * _chance.random()
    return round(source.refresh_ahead_s * (1 + share) * 1000)


async def observe(app: App, keys: Iterable[bytes], cause: Cause) -> None:
    """Schedule the charts among these keys that have a source, after a reactor's look at them. Raises nothing: what an
    outage of Redis keeps from being written, the next sweep writes."""
    charts = [chart for key in keys if (chart := chart_of(app, key))]
    try:
        await note(app, charts, _EVENTS.get(cause, "seen"))
    except (RedisError, OSError) as error:
        report_outage(error, PART)


async def note(app: App, charts: Sequence[Chart], event: str, used_ms: Mapping[bytes, int] | None = None) -> list[bool]:
    """Note an event of schedule_chart.lua for each of these charts; wakes the refresher if one of them is due before it
    would look. `used_ms`: the time of a use by source key. Returns whether each is kept: False for one that a client
    deleted, that does not expire, or that is no chart. Raises what the Redis client raises."""
    if not charts:
        return []
    calls = [_call(app, chart, event, (used_ms or {}).get(chart.key, 0)) for chart in charts]
    replies = await app.run_many(SCHEDULE_CHART, calls)
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    signals, due_ms = app.state(Signals), [reply for reply in replies if reply >= 0]
    if due_ms and time.monotonic() + min(due_ms) / 1000 < signals.looks_at_s:
        signals.changed.set()
    return [reply >= 0 for reply in replies]


def _call(app: App, chart: Chart, event: str, used_ms: int) -> Call:
    return (
        [chart.key, chart.state, chart.due],
        [
            event,
            ahead_ms(chart.source),
            round(app.settings.chart_active_s * 1000),
            namespaces.CHART_STATE_TTL_S,
            used_ms,
        ],
    )


async def used(app: App, keys: Iterable[bytes]) -> None:
    """Note that somebody reads these charts; a use that this process noted lately is not written again. Raises what the
    Redis client raises."""
    await _note_uses(app, _not_lately(app, keys), {})


async def read_interest(app: App) -> None:
    """Note the uses that dashboards named in `functions:charts:interest`, and forget those that are too old. Raises
    what the Redis client raises."""
    active_ms = round(app.settings.chart_active_s * 1000)
    entries = await app.run(
        READ_INTEREST,
        keys=[_INTEREST],
        args=[active_ms, MAX_INTEREST, namespaces.CHART_INTEREST_TTL_S, MAX_NAME_BYTES],
    )
    named = {namespaces.CHART_DATA.prefix + name: int(used_ms) for name, used_ms in batched(entries, 2, strict=True)}
    await _note_uses(app, _not_lately(app, named), named)


async def _note_uses(app: App, keys: Sequence[bytes], used_ms: Mapping[bytes, int]) -> None:
    """Note uses of the charts among these keys, and remember that they were noted."""
    signals = app.state(Signals)
    for group in batched(keys, CHARTS_PER_CALL, strict=False):
        await note(app, [chart for key in group if (chart := chart_of(app, key))], "used", used_ms)
        if len(signals.used_s) > 2 * MAX_INTEREST:
            signals.used_s.clear()
        signals.used_s.update(dict.fromkeys(group, time.monotonic()))


def _not_lately(app: App, keys: Iterable[bytes]) -> list[bytes]:
    used_s = app.state(Signals).used_s
    oldest_s = time.monotonic() - USED_AGAIN * app.settings.chart_active_s
    return [key for key in keys if used_s.get(key, float("-inf")) < oldest_s]
