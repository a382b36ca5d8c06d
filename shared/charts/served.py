"""A chart's cache as GET /api/charts serves it."""

import re
from typing import Any, NamedTuple

from shared import namespaces
from shared.app import App
from shared.charts import cache

MAX_BYTES = 64 * 1024 * 1024
"""Largest cache that is served; this app's own have a few MB at most."""
_DIGEST = re.compile(rb"[0-9a-f]{40}")
_SINCE = re.compile(rb'"([0-9TZ:.-]{1,40})"')
_ETAG = re.compile(r'(?:W/)?"([^"]*)"|(\*)')


class Served(NamedTuple):
    """`fresh_s`: how long its data are current, in whole seconds; 0 if they are stale or do not expire."""

    document: bytes
    digest: str
    stale: bool
    stale_since: str | None
    fresh_s: int


async def read(app: App, source_key: bytes) -> Served | None:
    """The cache of the chart with this source key; None if there is none. Raises what the Redis client raises."""
    key = namespaces.build(namespaces.CHART_CACHE, *namespaces.parts_of(namespaces.CHART_DATA, source_key) or ())
    pipeline = app.redis.pipeline(transaction=False)
    pipeline.getrange(key, 0, MAX_BYTES)
    pipeline.pttl(key)
    pipeline.pttl(source_key)
    document, ttl_ms, source_ttl_ms = await pipeline.execute(raise_on_error=False)
    for reply in (ttl_ms, source_ttl_ms):
        if isinstance(reply, Exception):
            raise reply
    if not isinstance(document, bytes) or len(document) > MAX_BYTES:
        return None  # a key of another type
    return _served(document, ttl_ms, source_ttl_ms)


def _served(document: bytes, ttl_ms: int, source_ttl_ms: int) -> Served | None:
    """None for a document that another application wrote."""
    head = len(cache.FRESH)
    stale = document.startswith(cache.STALE)
    digest = document[len(cache.HEAD) : len(cache.HEAD) + 40]
    ours = document[head : len(cache.HEAD)] == cache.HEAD[head:]
    if not (stale or document.startswith(cache.FRESH)) or not ours or not _DIGEST.fullmatch(digest):
        return None
    since: Any = None
    if stale and document[cache.SINCE_AT :].startswith(cache.SINCE):
        since = _SINCE.match(document, cache.SINCE_AT + len(cache.SINCE))
    fresh_ms = 0 if stale or source_ttl_ms < 0 else min(source_ttl_ms, max(ttl_ms, 0))
    return Served(document, digest.decode(), stale, since[1].decode() if since else None, fresh_ms // 1000)


def matches(if_none_match: str, digest: str) -> bool:
    """Whether the header names the digest, by weak comparison (RFC 9110, 13.1.2)."""
    return any(tag == digest or star for tag, star in _ETAG.findall(if_none_match))
