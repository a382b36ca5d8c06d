"""What is known of sources and of the refresh of charts, for operators. Texts are this app's own."""

import time
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import msgspec

from shared import namespaces
from shared.app import App
from shared.charts.schedule import Chart, chart_of, due_key
from shared.privacy.masking import printable


class State(StrEnum):
    """Of a source."""

    UNKNOWN = "unknown"
    """It has not been asked yet, or not lately."""
    OK = "ok"
    FAILING = "failing"
    """Its last answer was no chart, or there was none."""
    RESTING = "resting"
    """It is left alone for a while, after failures or because it asked for that."""


class SourceView(msgspec.Struct, frozen=True, rename="camel"):
    """A source: its glob, where it leads, its state, the last error, and when it last answered and failed. `due` counts
    the charts that it keeps, `in_flight` its requests at present."""

    match: str
    origin: str
    state: State
    error: str | None
    answered_age_s: float | None
    failed_age_s: float | None
    rests_for_s: float
    failures: int
    charts: int
    in_flight: int


class RefreshView(msgspec.Struct, frozen=True, rename="camel"):
    """The refresh of one chart: the glob of its source; whether it is watched, so that it is refreshed before it
    expires; whether a client deleted it, so that it is not fetched; when it was fetched last and is due next; failures
    in a row, and the error of the last one."""

    source: str
    watched: bool
    deleted: bool
    fetched_age_s: float | None
    due_in_s: float | None
    failures: int
    error: str | None


async def read_sources(app: App) -> list[SourceView]:
    """The sources of the settings, in their order. Raises what the Redis client raises."""
    if not app.settings.chart_sources:
        return []
    from shared.charts.refresh import fetching_key, state_key

    entries = app.settings.sources.entries
    pipeline = app.redis.pipeline(transaction=False)
    for source in entries:
        pipeline.hmget(state_key(source), "ok", "failed", "closed", "failures", "error")
        pipeline.zcard(due_key(source))
        pipeline.zcount(fetching_key(source), round(time.time() * 1000), "+inf")
    replies = await pipeline.execute(raise_on_error=False)
    now_ms = time.time() * 1000
    views = []
    for number, source in enumerate(entries):
        fields, charts, in_flight = replies[3 * number : 3 * number + 3]
        ok, failed, closed, failures, error = fields if isinstance(fields, list) else [None] * 5
        closed_ms, count = _number(closed) or 0, int(_number(failures) or 0)
        views.append(
            SourceView(
                match=printable(source.match.encode(errors="surrogatepass")),
                origin=source.origin,
                state=_state(closed_ms > now_ms, count, ok),
                error=_text(error),
                answered_age_s=_age_s(ok, now_ms),
                failed_age_s=_age_s(failed, now_ms),
                rests_for_s=round(max(0.0, closed_ms - now_ms) / 1000, 1),
                failures=count,
                charts=charts if isinstance(charts, int) else 0,
                in_flight=in_flight if isinstance(in_flight, int) else 0,
            )
        )
    return views


async def read_refreshes(app: App, keys: Sequence[bytes]) -> list[RefreshView | None]:
    """The refresh of each of these charts (source keys); None for one without a source. Raises what the Redis client
    raises."""
    charts = [chart_of(app, key) for key in keys] if app.settings.chart_sources else [None] * len(keys)
    if not any(charts):
        return [None] * len(keys)
    pipeline = app.redis.pipeline(transaction=False)
    for chart in charts:
        if chart:
            pipeline.hmget(chart.state, "active", "deleted", "refreshed", "failures", "error")
            pipeline.zscore(chart.due, chart.key)
    replies = iter(await pipeline.execute(raise_on_error=False))
    return [_view(app, chart, next(replies), next(replies)) if chart else None for chart in charts]


def _state(rests: bool, failures: int, answered: bytes | None) -> State:
    if rests:
        return State.RESTING
    if failures:
        return State.FAILING
    return State.OK if answered else State.UNKNOWN


def _view(app: App, chart: Chart, fields: Any, due: Any) -> RefreshView:
    active, deleted, refreshed, failures, error = fields if isinstance(fields, list) else [None] * 5
    now_ms = time.time() * 1000
    active_ms = _number(active)
    return RefreshView(
        source=printable(chart.source.match.encode(errors="surrogatepass")),
        watched=active_ms is not None and now_ms - active_ms < app.settings.chart_active_s * 1000,
        deleted=deleted is not None,
        fetched_age_s=_age_s(refreshed, now_ms),
        due_in_s=round(max(0.0, due - now_ms) / 1000, 1) if isinstance(due, float) else None,
        failures=int(_number(failures) or 0),
        error=_text(error),
    )


def _number(raw: Any) -> float | None:
    """A number of a hash; None for what another application wrote."""
    return float(raw) if isinstance(raw, bytes) and raw.isdigit() and len(raw) < 16 else None


def _age_s(raw: Any, now_ms: float) -> float | None:
    at_ms = _number(raw)
    return None if at_ms is None else round(max(0.0, now_ms - at_ms) / 1000, 1)


def _text(raw: Any) -> str | None:
    return printable(raw) if isinstance(raw, bytes) and raw else None


def source_key(cache_key: bytes) -> bytes | None:
    """The source key of a chart's cache key."""
    parts = namespaces.parts_of(namespaces.CHART_CACHE, cache_key)
    return namespaces.build(namespaces.CHART_DATA, *parts) if parts else None
