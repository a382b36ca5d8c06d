"""The charts reactor: `fabric:data:chart:{chartId}:{dataType}` becomes `fabric:cache:chart:{chartId}:{dataType}`.

read (1 round trip for up to 64 charts) -> render (pure) -> commit, unless the cache is newer (1 round trip)

A source that is written faster than it is rendered is no failure: each commit is of the version that its read found,
and the event of the next write brings the next one. read_chart.lua describes the order of versions.

When a chart's source is gone, its cache stays until its TTL, marked stale.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from shared import namespaces, telemetry
from shared.app import App, Call
from shared.charts import cache, schedule
from shared.delivery import failures
from shared.delivery.dead_letters import mark_key
from shared.delivery.rounds import Look, Turn, in_rounds, one_by_one
from shared.errors import Rejected
from shared.reactor import NO_TIME, Cause, Outcome, Payload, Scanned, already, duplicate, ignored, later, processed
from shared.runtime.threads import off_loop
from shared.settings import Settings
from shared.store.script import Script

READ_CHART = Script(__file__, "read_chart")
COMMIT_CHART = Script(__file__, "commit_chart")
STALE_CHART = Script(__file__, "stale_chart")

NAME = "charts"
NOT_OURS = "not the key of a chart"
INERT = frozenset({Cause.NOTHING, Cause.TOUCHED})
"""These causes change neither source nor cache."""

_GONE = frozenset({Cause.DELETED, Cause.EVICTED, Cause.EXPIRED, Cause.RENAMED})
CHARTS_PER_READ = 64
INLINE_BYTES = 256 * 1024
"""Largest source that is read together with others; a larger one is read in a call of its own."""
THREAD_BYTES = 128 * 1024
"""A thread renders larger payloads, which then take up to 50 % longer. At this size, rows take 4 ms, the densest shape
(labels and bare numbers) 10 ms."""
MAX_READS = 3
"""Reads per call of a chart whose source comes and goes during rendering; after that its next event triggers the
reaction."""
_USUAL_TTL_MS = namespaces.CHART_DATA_TTL_S * 1000


@dataclass(frozen=True)
class _Chart:
    source: bytes
    chart_id: bytes
    data_type: bytes

    @property
    def cache_key(self) -> bytes:
        return namespaces.build(namespaces.CHART_CACHE, self.chart_id, self.data_type)


@dataclass(frozen=True)
class _Source:
    """The source of a chart as it was read. `ttl_ms` is its remaining TTL, negative for none; `revision` orders the
    versions of the source."""

    chart: _Chart
    payload: Payload
    ttl_ms: int
    revision: int = cache.FIRST_REVISION


@dataclass(frozen=True)
class _Rendered:
    """A chart with the cache document to commit."""

    source: _Source
    update: cache.Update
    document: bytes


def _source_of(cache: bytes) -> bytes | None:
    """The source key for a cache key. If the source is gone, only the cache shows that the chart existed."""
    parts = namespaces.parts_of(namespaces.CHART_CACHE, cache)
    return namespaces.build(namespaces.CHART_DATA, *parts) if parts else None


SCANNED = (
    Scanned(namespaces.CHART_DATA.prefix),
    Scanned(namespaces.CHART_CACHE.prefix, _source_of, derived=True),
)
_MOVED = "the source came or went during the reaction"


async def react(app: App, keys: Sequence[bytes], cause: Cause) -> list[Outcome]:
    """Bring the caches of these charts up to date, and schedule those that have a source; see shared/reactor.py."""
    outcomes = await _react(app, keys, cause)
    if app.settings.chart_sources:
        await schedule.observe(app, keys, cause)
    return outcomes


async def _react(app: App, keys: Sequence[bytes], cause: Cause) -> list[Outcome]:

    async def look(charts: Sequence[_Chart]) -> list[Look]:
        return await (_look_at_gone(app, charts) if cause in _GONE else _look(app, charts))

    return await in_rounds(
        keys,
        _chart_of,
        look,
        not_ours=NOT_OURS,
        per_round=CHARTS_PER_READ,
        max_looks=MAX_READS,
        timeout_s=app.settings.work_timeout_s,
    )


def _chart_of(key: bytes) -> _Chart | None:
    parts = namespaces.parts_of(namespaces.CHART_DATA, key)
    return _Chart(key, *parts) if parts else None


async def _look_at_gone(app: App, charts: Sequence[_Chart]) -> list[Look]:
    """The sources are probably gone: mark their caches stale without reading; read the sources that exist."""
    marked = await _mark_stale(app, charts)
    looks = {index: Look(outcome) for index, outcome in enumerate(marked) if outcome is not None}
    existing = [index for index in range(len(charts)) if index not in looks]
    if existing:
        looks |= dict(zip(existing, await _look(app, [charts[index] for index in existing]), strict=True))
    return [looks[index] for index in range(len(charts))]


async def _look(app: App, charts: Sequence[_Chart]) -> list[Look]:
    """Read charts once and bring their caches up to date: the small ones together, then the large ones one by one."""
    inline_bytes = INLINE_BYTES if len(charts) > 1 else app.settings.max_payload_bytes
    looks: dict[int, Look] = {}
    small: dict[int, _Source] = {}
    large: dict[int, _Source | None] = {}
    """None for a source that was not read yet."""
    gone: list[int] = []
    calls = [_read_call(app, chart, inline_bytes) for chart in charts]
    replies = await failures.run_repeatable(app, READ_CHART, calls)
    for index, (chart, reply) in enumerate(zip(charts, replies, strict=True)):
        match reply:
            case [b"read", digest, ttl_ms, revision, value]:
                source = _Source(chart, Payload("string", digest.decode(), [value]), ttl_ms, int(revision))
                if len(value) <= THREAD_BYTES:
                    small[index] = source
                else:
                    large[index] = source
            case [b"later"]:  # too large to be read with others
                large[index] = None
            case [b"gone"]:
                gone.append(index)
            case _:
                looks[index] = Look(await _nothing_to_do(app, chart, reply))
    marked = await _mark_stale(app, [charts[index] for index in gone])
    looks |= {index: _as_look(charts[index], outcome) for index, outcome in zip(gone, marked, strict=True)}
    looks |= await _renew(app, small)

    async def renew_one(index: int, source: _Source | None) -> Look:
        if source is None:
            (look,) = await _look(app, [charts[index]])
            return look
        return (await _renew(app, {index: source}))[index]

    done, left = await one_by_one(large, renew_one, timeout_s=app.settings.work_timeout_s)
    late = {index: Look(later(charts[index].source, NO_TIME)) for index in left}
    looks |= done | late
    return [looks[index] for index in range(len(charts))]


def _as_look(chart: _Chart, outcome: Outcome | None) -> Look:
    """Look again if there is no outcome: then the source changed during the reaction."""
    return Look(later(chart.source, _MOVED), look_again=True) if outcome is None else Look(outcome)


async def _renew(app: App, sources: Mapping[int, _Source]) -> dict[int, Look]:
    """Render the caches of these charts and commit them in one round trip."""
    rendered: dict[int, _Rendered] = {}
    faults: dict[int, Exception] = {}
    async with app.state(_render_turn).taken() if len(sources) > 1 else nullcontext():
        for index, source in sources.items():
            try:
                rendered[index] = await _render(app, source)
            except Exception as error:
                faults[index] = error
    looks: dict[int, Look] = {}
    replies = await failures.run_repeatable(
        app, COMMIT_CHART, [_commit_call(app, chart) for chart in rendered.values()]
    )
    for (index, chart), reply in zip(rendered.items(), replies, strict=True):
        looks[index] = _as_look(chart.source.chart, await _committed(app, chart, reply))
    for index, fault in faults.items():
        source = sources[index]
        looks[index] = Look(await failures.failed(app, NAME, source.chart.source, fault, source.payload))
    return looks


def _render_turn() -> Turn:
    return Turn()


def _read_call(app: App, chart: _Chart, inline_bytes: int) -> Call:
    return (
        [chart.source, chart.cache_key, mark_key(NAME, chart.source)],
        [
            app.settings.max_payload_bytes,
            cache.HEAD,
            _cache_ttl_s(app, chart),
            inline_bytes,
            namespaces.DEAD_MARK_TTL_S,
            cache.REVISION,
            cache.STALE,
            cache.SINCE,
            cache.NOT_STALE,
        ],
    )


def _commit_call(app: App, rendered: _Rendered) -> Call:
    chart = rendered.source.chart
    return (
        [chart.source, chart.cache_key, *_dependent_queries(app.settings, rendered.update)],
        [
            rendered.update.source_digest,
            cache.HEAD,
            rendered.document,
            _cache_ttl_s(app, chart),
            namespaces.CHART_EVENTS_CHANNEL,
            msgspec.json.encode(rendered.update),
            cache.REVISION,
            rendered.source.revision,
        ],
    )


async def _nothing_to_do(app: App, chart: _Chart, reply: Any) -> Outcome:
    match reply:
        case [b"same"]:
            return duplicate(chart.source)
        case [b"fresh"]:
            return processed(chart.source, "source back unchanged, cache no longer stale")
        case [b"dead"]:
            return already(chart.source, "a dead letter already")
        case [b"type", kind]:
            return ignored(chart.source, f"a {kind.decode()}, not a string")
        case [b"large", size]:
            fault = Rejected(f"{size} bytes, more than MAX_PAYLOAD_BYTES ({app.settings.max_payload_bytes})")
            return await failures.failed(app, NAME, chart.source, fault)
    return await failures.failed(app, NAME, chart.source, reply)


def _cache_ttl_s(app: App, chart: _Chart) -> int:
    """TTL of a chart's cache, which outlives what a source fetches."""
    fetched = schedule.chart_of(app, chart.source)
    longer_s = math.ceil(fetched.source.ttl_s) + namespaces.CHART_DATA_TTL_S if fetched else 0
    return max(namespaces.CHART_CACHE_TTL_S, longer_s)


async def mark_stale(app: App, key: bytes) -> None:
    """Mark the cache of a chart stale, if its source is gone. Raises nothing."""
    if chart := _chart_of(key):
        await _mark_stale(app, [chart])


async def _mark_stale(app: App, charts: Sequence[_Chart]) -> list[Outcome | None]:
    """Mark the caches of charts whose source is gone. None for a chart whose source exists."""
    replies = await failures.run_repeatable(app, STALE_CHART, [_stale_call(app, chart) for chart in charts])
    return [await _marked(app, chart, reply) for chart, reply in zip(charts, replies, strict=True)]


def _stale_call(app: App, chart: _Chart) -> Call:
    kept_s = max(1, math.ceil(app.settings.chart_max_stale_s)) if schedule.chart_of(app, chart.source) else 0
    return (
        [chart.source, chart.cache_key],
        [cache.FRESH, cache.STALE, cache.SINCE_AT, cache.SINCE, cache.stale_since(), kept_s],
    )


async def _marked(app: App, chart: _Chart, reply: Any) -> Outcome | None:
    match reply:
        case b"marked":
            return processed(chart.source, "source gone, cache marked stale")
        case b"none":
            return ignored(chart.source, "source gone, no fresh cache")
        case b"live":
            return None
    return await failures.failed(app, NAME, chart.source, reply)


async def _render(app: App, source: _Source) -> _Rendered:
    """Render a chart, in a thread if it is large. Raises Rejected, WorkTimeout, or what rendering raises."""
    if len(source.payload.parts[0]) > THREAD_BYTES:
        return await off_loop(app.settings.work_timeout_s, _render_now, source, app.settings)
    await asyncio.sleep(0)  # let other functions run
    return _render_now(source, app.settings)


def _render_now(source: _Source, settings: Settings) -> _Rendered:
    update = cache.describe_update(source.chart.chart_id, source.chart.data_type, source.payload.digest)
    override = settings.overrides.override(source.chart.source)
    document = cache.render(source.payload.parts[0], update, settings.chart_max_points, override, source.revision)
    return _Rendered(source, update, document)


async def _committed(app: App, rendered: _Rendered, reply: Any) -> Outcome | None:
    source = rendered.source
    match reply:
        case b"committed":
            if 0 <= (lag_ms := _USUAL_TTL_MS - source.ttl_ms) <= _USUAL_TTL_MS:
                telemetry.lag(NAME, lag_ms)
            return processed(source.chart.source)
        case b"same":
            return duplicate(source.chart.source)
        case b"older":
            return already(source.chart.source, "the cache is of a newer version")
        case b"gone":
            return None
    return await failures.failed(app, NAME, source.chart.source, reply, source.payload)


def _dependent_queries(settings: Settings, update: cache.Update) -> list[bytes]:
    """Keys of the query caches that depend on the chart, by CHART_QUERIES."""
    both = f"{update.chart_id}:{update.data_type}"
    return [
        namespaces.build(namespaces.QUERY_CACHE, query_id)
        for query_id, globs in settings.chart_queries.items()
        if any(fnmatchcase(both if ":" in glob else update.chart_id, glob) for glob in globs)
    ]


async def replay(app: App, key: bytes, payload: Payload) -> Outcome:
    """Render the payload of a dead letter whose source is gone into a cache marked stale, unless a cache exists."""
    chart = _chart_of(key)
    if chart is None:
        return ignored(key, NOT_OURS)
    try:
        rendered = await _render(app, _Source(chart, payload, -1))
    except Exception as error:
        return await failures.failed(app, NAME, key, error, payload)
    document = cache.marked_stale(rendered.document)
    if await app.redis.set(chart.cache_key, document, ex=namespaces.CHART_CACHE_TTL_S, nx=True):
        return processed(key, "cache rendered from the dead letter, marked stale")
    return already(key, "there is a cache")
