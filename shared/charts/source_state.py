"""What is known of sources and of the refresh of charts, for operators. Texts are this app's own, times Redis'."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import msgspec

from shared import namespaces
from shared.app import App
from shared.charts.schedule import Chart, chart_of, due_key
from shared.privacy.masking import printable
from shared.store.script import Script

READ_FIELDS = Script(__file__, "read_fields")


_OF_CHART = ("active", "deleted", "refreshed", "failures", "error")


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
    names = ("ok", "failed", "closed", "failures", "error")
    states = await app.run_many(READ_FIELDS, [([state_key(source)], names) for source in entries])
    pipeline = app.redis.pipeline(transaction=False)
    for source, state in zip(entries, states, strict=True):
        now_ms, *_ = _fields(state)
        pipeline.zcard(due_key(source))
        pipeline.zcount(fetching_key(source), now_ms, "+inf")
    replies = await pipeline.execute(raise_on_error=False)
    views = []
    for number, source in enumerate(entries):
        charts, in_flight = replies[2 * number : 2 * number + 2]
        now_ms, ok, failed, closed, failures, error = _fields(states[number])
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


def away(views: Sequence[SourceView]) -> list[str]:
    """The sources that are left alone, or that failed so often that they are tried with one request at a time, each
    with the reason."""
    from shared.charts.refresh import FAILURES_TO_REST

    return [
        f"chart source {view.match} from {view.origin} is away ({view.error or 'it asks to be left alone'})"
        for view in views
        if view.state is State.RESTING or view.failures >= FAILURES_TO_REST
    ]


async def read_refreshes(app: App, keys: Sequence[bytes]) -> list[RefreshView | None]:
    """The refresh of each of these charts (source keys); None for one without a source. Raises what the Redis client
    raises."""
    charts = [chart_of(app, key) for key in keys] if app.settings.chart_sources else [None] * len(keys)
    kept = [chart for chart in charts if chart]
    if not kept:
        return [None] * len(keys)
    states = await app.run_many(READ_FIELDS, [([chart.state], _OF_CHART) for chart in kept])
    pipeline = app.redis.pipeline(transaction=False)
    for chart in kept:
        pipeline.zscore(chart.due, chart.key)
    replies = iter(zip(states, await pipeline.execute(raise_on_error=False), strict=True))
    return [_view(app, chart, *next(replies)) if chart else None for chart in charts]


def _state(rests: bool, failures: int, answered: bytes | None) -> State:
    if rests:
        return State.RESTING
    if failures:
        return State.FAILING
    return State.OK if answered else State.UNKNOWN


def _view(app: App, chart: Chart, state: Any, due: Any) -> RefreshView:
    now_ms, active, deleted, refreshed, failures, error = _fields(state)
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


def _fields(reply: Any) -> list[Any]:
    """Redis' time in ms and the values of the fields. Raises what the Redis client raised."""
    if isinstance(reply, Exception):
        raise reply
    return list(reply)


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
