"""The charts reactor: a written chart becomes a cache ready to be drawn, a chart that is gone leaves it marked stale.

read (1 round trip for up to 64 charts) -> render (pure) -> commit, unless the source has moved on (1 round trip)

The event is only a hint of which key to look at: what is there decides.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from shared import chart_cache, ledger, namespaces, telemetry
from shared.context import Call, Context
from shared.dead_letters import Payload, mark_key
from shared.errors import Rejected, SourceMoved
from shared.offloop import off_loop
from shared.outcomes import Outcome, duplicate, ignored, later, processed
from shared.settings import Settings
from shared.swept import Swept

NAME = "charts"
INERT_OPERATIONS = frozenset({"expire", "keymiss", "new", "persist"})
"""Operations after which source and cache stand as they stood."""

_GONE_OPERATIONS = frozenset({"del", "evicted", "expired", "move_from", "rename_from"})
CHARTS_PER_READ = 64
INLINE_BYTES = 256 * 1024
"""Largest source that is read together with others; a larger one is read in a call of its own."""
THREAD_BYTES = 128 * 1024
"""Larger payloads are worked on in a thread, which makes each take up to half as long again. At this size rows take
4 ms, the densest shape (labels and bare numbers) 10 ms."""
MAX_READS = 3
"""How often a chart that is written again while it is being worked on is read; then it is due again later."""
_USUAL_TTL_MS = namespaces.CHART_DATA_TTL_S * 1000


@dataclass(frozen=True)
class _Chart:
    source: bytes
    chart_id: bytes
    data_type: bytes

    @property
    def cache(self) -> bytes:
        return namespaces.build(namespaces.CHART_CACHE, self.chart_id, self.data_type)


@dataclass(frozen=True)
class _Ready:
    """A chart with the cache that is to be committed for it."""

    chart: _Chart
    update: chart_cache.Update
    document: bytes
    payload: Payload
    ttl_ms: int


def _source_of(cache: bytes) -> bytes | None:
    """The source of a cache: where it is gone, nothing else in the keyspace tells of the chart."""
    parts = namespaces.parts_of(namespaces.CHART_CACHE, cache)
    return namespaces.build(namespaces.CHART_DATA, *parts) if parts else None


SWEPT: tuple[Swept, ...] = (
    Swept(namespaces.CHART_DATA.prefix + b"*", lambda key: key),
    Swept(namespaces.CHART_CACHE.prefix + b"*", _source_of),
)


async def react(app: Context, keys: Sequence[bytes], operation: str) -> list[Outcome]:
    """Bring the caches of these charts up to date: one outcome per key, in their order.

    Failures are noted in the ledger and come back as outcomes: nothing is raised.
    """
    outcomes: dict[int, Outcome] = {}
    waiting: list[tuple[int, _Chart]] = []
    for index, key in enumerate(keys):
        if parts := namespaces.parts_of(namespaces.CHART_DATA, key):
            waiting.append((index, _Chart(key, *parts)))
        else:
            outcomes[index] = ignored(key, "not the key of a chart")
    if operation in _GONE_OPERATIONS:  # most likely still gone, which takes no reading
        marked = await _mark_stale(app, [chart for _, chart in waiting])
        outcomes |= {index: outcome for (index, _), outcome in zip(waiting, marked, strict=True) if outcome}
        waiting = [one for one in waiting if one[0] not in outcomes]
    reads: dict[int, int] = {}
    while waiting:
        some, waiting = waiting[:CHARTS_PER_READ], waiting[CHARTS_PER_READ:]
        found = await _react_to_some(app, [chart for _, chart in some])
        for (index, chart), outcome in zip(some, found, strict=True):
            reads[index] = reads.get(index, 0) + 1
            if outcome is not None:
                outcomes[index] = outcome
            elif reads[index] < MAX_READS:
                waiting.append((index, chart))
            else:
                outcomes[index] = await ledger.failed(app, NAME, chart.source, SourceMoved())
    return [outcomes[index] for index in range(len(keys))]


async def _react_to_some(app: Context, charts: Sequence[_Chart]) -> list[Outcome | None]:
    """Read these charts once and act on it: the small ones together, then the large ones one by one, so that none waits
    for them. None where the source has moved on meanwhile."""
    inline_bytes = INLINE_BYTES if len(charts) > 1 else app.settings.max_payload_bytes
    found: list[Outcome | None] = [None] * len(charts)
    small: dict[int, tuple[Payload, int]] = {}
    large: dict[int, tuple[Payload, int]] = {}
    apart: list[int] = []
    gone: list[int] = []
    replies = await ledger.run_repeatable(app, "read_chart", [_read_call(app, chart, inline_bytes) for chart in charts])
    for index, (chart, reply) in enumerate(zip(charts, replies, strict=True)):
        match reply:
            case [b"read", digest, ttl_ms, value]:
                group = small if len(value) <= THREAD_BYTES else large
                group[index] = (Payload("string", digest.decode(), [value]), ttl_ms)
            case [b"later"]:
                apart.append(index)
            case [b"gone"]:
                gone.append(index)
            case _:
                found[index] = await _nothing_to_make(app, chart, reply)
    for index, outcome in zip(gone, await _mark_stale(app, [charts[index] for index in gone]), strict=True):
        found[index] = outcome
    for index, outcome in (await _renew(app, charts, small)).items():
        found[index] = outcome
    until_s = time.monotonic() + app.settings.work_timeout_s
    for index in [*large, *apart]:
        if time.monotonic() > until_s:
            found[index] = later(charts[index].source, "no time left in this call")
        elif index in large:
            found[index] = (await _renew(app, charts, {index: large[index]}))[index]
        else:
            [found[index]] = await _react_to_some(app, [charts[index]])
    return found


async def _renew(
    app: Context, charts: Sequence[_Chart], read: dict[int, tuple[Payload, int]]
) -> dict[int, Outcome | None]:
    """Make the caches of these charts and commit them in one round trip."""
    ready: dict[int, _Ready] = {}
    faults: dict[int, Exception] = {}
    # Groups one after the other, so that each finds Redis at work for another; a lone chart in between.
    async with app.drawing if len(read) > 1 else nullcontext():
        for index, (payload, ttl_ms) in read.items():
            try:
                ready[index] = await _make(app, charts[index], payload, ttl_ms)
            except Exception as error:  # the ledger decides, when the others are done
                faults[index] = error
    found: dict[int, Outcome | None] = {}
    commits = await ledger.run_repeatable(app, "commit_chart", [_commit_call(app, one) for one in ready.values()])
    for (index, one), reply in zip(ready.items(), commits, strict=True):
        found[index] = await _committed(app, one, reply)
    for index, fault in faults.items():
        found[index] = await ledger.failed(app, NAME, charts[index].source, fault, read[index][0])
    return found


def _read_call(app: Context, chart: _Chart, inline_bytes: int) -> Call:
    return (
        [chart.source, chart.cache, mark_key(NAME, chart.source)],
        [
            app.settings.max_payload_bytes,
            chart_cache.HEAD,
            namespaces.CHART_CACHE_TTL_S,
            inline_bytes,
            namespaces.DEAD_MARK_TTL_S,
        ],
    )


def _commit_call(app: Context, one: _Ready) -> Call:
    return (
        [one.chart.source, one.chart.cache, *_dependent_queries(app.settings, one.update)],
        [
            one.update.source_digest,
            chart_cache.HEAD,
            one.document,
            namespaces.CHART_CACHE_TTL_S,
            namespaces.CHART_EVENTS_CHANNEL,
            msgspec.json.encode(one.update),
        ],
    )


async def _nothing_to_make(app: Context, chart: _Chart, reply: Any) -> Outcome:
    match reply:
        case [b"same"]:
            return duplicate(chart.source)
        case [b"dead"]:
            return duplicate(chart.source, "a dead letter already")
        case [b"type", kind]:
            return ignored(chart.source, f"a {kind.decode()}, not a string")
        case [b"large", size]:
            fault = Rejected(f"{size} bytes, more than MAX_PAYLOAD_BYTES ({app.settings.max_payload_bytes})")
            return await ledger.failed(app, NAME, chart.source, fault)
    return await ledger.failed(app, NAME, chart.source, reply)


async def _mark_stale(app: Context, charts: Sequence[_Chart]) -> list[Outcome | None]:
    """Mark the caches of charts whose source is gone. None where the source lives again."""
    marks = [chart_cache.FRESH, chart_cache.STALE]
    replies = await ledger.run_repeatable(
        app, "stale_chart", [([chart.source, chart.cache], marks) for chart in charts]
    )
    return [await _marked(app, chart, reply) for chart, reply in zip(charts, replies, strict=True)]


async def _marked(app: Context, chart: _Chart, reply: Any) -> Outcome | None:
    match reply:
        case b"marked":
            return processed(chart.source, "source gone, cache marked stale")
        case b"none":
            return ignored(chart.source, "source gone, no fresh cache")
        case b"live":
            return None
    return await ledger.failed(app, NAME, chart.source, reply)


async def _make(app: Context, chart: _Chart, payload: Payload, ttl_ms: int) -> _Ready:
    """The cache of a chart with this payload. Raises Rejected, WorkTimeout, or what drawing raises."""
    what = (chart, payload, ttl_ms, app.settings.chart_max_points)
    if len(payload.parts[0]) > THREAD_BYTES:
        return await off_loop(app.settings.work_timeout_s, _draw, *what)
    await asyncio.sleep(0)  # air for the other functions
    return _draw(*what)


def _draw(chart: _Chart, payload: Payload, ttl_ms: int, max_points: int) -> _Ready:
    update = chart_cache.describe_update(chart.chart_id, chart.data_type, payload.digest)
    return _Ready(chart, update, chart_cache.render(payload.parts[0], update, max_points), payload, ttl_ms)


async def _committed(app: Context, one: _Ready, reply: Any) -> Outcome | None:
    match reply:
        case b"committed":
            if 0 <= (lag_ms := _USUAL_TTL_MS - one.ttl_ms) <= _USUAL_TTL_MS:
                telemetry.lag(NAME, lag_ms)
            return processed(one.chart.source)
        case b"same":
            return duplicate(one.chart.source)
        case b"moved":
            return None
    return await ledger.failed(app, NAME, one.chart.source, reply, one.payload)


def _dependent_queries(settings: Settings, update: chart_cache.Update) -> list[bytes]:
    """Keys of the query caches that CHART_QUERIES maps to the chart."""
    both = f"{update.chart_id}:{update.data_type}"
    return [
        namespaces.build(namespaces.QUERY_CACHE, query_id)
        for query_id, globs in settings.chart_queries.items()
        if any(fnmatchcase(both if ":" in glob else update.chart_id, glob) for glob in globs)
    ]


async def replay(app: Context, key: bytes, payload: Payload) -> Outcome:
    """A cache, marked stale, from a dead letter whose source is gone; unless there is a cache."""
    parts = namespaces.parts_of(namespaces.CHART_DATA, key)
    if parts is None:
        return ignored(key, "not the key of a chart")
    chart = _Chart(key, *parts)
    try:
        made = await _make(app, chart, payload, -1)
    except Exception as error:  # the ledger decides
        return await ledger.failed(app, NAME, key, error, payload)
    document = chart_cache.STALE + made.document.removeprefix(chart_cache.FRESH)
    if await app.redis.set(chart.cache, document, ex=namespaces.CHART_CACHE_TTL_S, nx=True):
        return processed(key, "cache made of the letter, marked stale")
    return duplicate(key, "there is a cache")
