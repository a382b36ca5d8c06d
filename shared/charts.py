"""The charts reactor: a written chart becomes a cache ready to be drawn, a chart that is gone leaves it marked stale.

The event is only a hint of which key to look at: what is there decides.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import msgspec

from shared import chart_cache, namespaces
from shared.context import Context
from shared.errors import Rejected
from shared.outcomes import Outcome, duplicate, ignored, processed, rejected
from shared.settings import Settings

INERT_OPERATIONS = frozenset({"expire", "keymiss", "new", "persist"})
"""Operations after which source and cache stand as they stood."""

MAX_READS = 3
"""How often a chart that is written again while it is being worked on is read; then its next event has to do it."""

OFF_LOOP_BYTES = 64 * 1024
"""Larger payloads are worked on in a thread. At this size the densest shape (labels and bare numbers) takes 5 ms."""

_GONE_OPERATIONS = frozenset({"del", "evicted", "expired", "move_from", "rename_from"})
_SOURCE_KEEPS_CHANGING = "source keeps changing; its next event will do"


@dataclass(frozen=True)
class _Keys:
    source: bytes
    cache: bytes
    chart_id: bytes
    data_type: bytes


async def react(app: Context, keys: Sequence[bytes], operation: str) -> list[Outcome]:
    """Bring the caches of these charts up to date after `operation` on them: one outcome per key, in their order.

    Raises what the Redis client raises; everything already written then stays, and doing it again is safe.
    """
    return [await _react(app, key, operation) for key in keys]


async def _react(app: Context, key: bytes, operation: str) -> Outcome:
    parts = namespaces.parts_of(namespaces.CHART_DATA, key)
    if parts is None:
        return ignored(key, "not the key of a chart")
    keys = _Keys(key, namespaces.build(namespaces.CHART_CACHE, *parts), *parts)
    if operation in _GONE_OPERATIONS and (outcome := await _mark_stale(app, keys)):
        return outcome
    for _ in range(MAX_READS):
        if outcome := await _refresh(app, keys):
            return outcome
    return ignored(key, _SOURCE_KEEPS_CHANGING)


async def _mark_stale(app: Context, keys: _Keys) -> Outcome | None:
    """None when the source lives."""
    match await app.script("stale_chart")(keys=[keys.source, keys.cache], args=[chart_cache.FRESH, chart_cache.STALE]):
        case b"marked":
            return processed(keys.source, "source gone, cache marked stale")
        case b"none":
            return ignored(keys.source, "source gone, no fresh cache")
    return None


async def _refresh(app: Context, keys: _Keys) -> Outcome | None:
    """Read once and act on it. None when the source has moved on meanwhile."""
    match await app.script("read_chart")(
        keys=[keys.source, keys.cache],
        args=[app.settings.max_payload_bytes, chart_cache.HEAD, namespaces.CHART_CACHE_TTL_S],
    ):
        case [b"read", digest, value]:
            return await _renew(app, keys, digest.decode(), value)
        case [b"same"]:
            return duplicate(keys.source)
        case [b"type", kind]:
            return ignored(keys.source, f"a {kind.decode()}, not a string")
        case [b"large", size]:
            return rejected(
                keys.source, f"{size} bytes, more than MAX_PAYLOAD_BYTES ({app.settings.max_payload_bytes})"
            )
    return await _mark_stale(app, keys)


async def _renew(app: Context, keys: _Keys, digest: str, payload: bytes) -> Outcome | None:
    """Build the cache from the source that was read, and commit it. None when the source has moved on meanwhile."""
    update = chart_cache.describe_update(keys.chart_id, keys.data_type, digest)
    try:
        if len(payload) > OFF_LOOP_BYTES:
            document = await asyncio.to_thread(chart_cache.render, payload, update, app.settings.chart_max_points)
        else:
            document = chart_cache.render(payload, update, app.settings.chart_max_points)
    except Rejected as fault:
        return rejected(keys.source, str(fault))
    answer = await app.script("commit_chart")(
        keys=[keys.source, keys.cache, *_dependent_queries(app.settings, update)],
        args=[
            digest,
            chart_cache.HEAD,
            document,
            namespaces.CHART_CACHE_TTL_S,
            namespaces.CHART_EVENTS_CHANNEL,
            msgspec.json.encode(update),
        ],
    )
    match answer:
        case b"committed":
            return processed(keys.source)
        case b"same":
            return duplicate(keys.source)
    return None


def _dependent_queries(settings: Settings, update: chart_cache.Update) -> list[bytes]:
    """Keys of the query caches that CHART_QUERIES maps to the chart."""
    both = f"{update.chart_id}:{update.data_type}"
    return [
        namespaces.build(namespaces.QUERY_CACHE, query_id)
        for query_id, globs in settings.chart_queries.items()
        if any(fnmatchcase(both if ":" in glob else update.chart_id, glob) for glob in globs)
    ]
