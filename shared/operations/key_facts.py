"""What Redis and the app know about one key. Reads only, and a bounded amount at once."""

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from shared import namespaces
from shared.app import App
from shared.batches import reactor as batches
from shared.batches import results
from shared.charts import cache as chart_cache
from shared.charts import reactor as charts
from shared.delivery import dead_letters, retries
from shared.errors import Rejected
from shared.namespaces import Kind
from shared.operations import payload
from shared.sessions import reactor as sessions
from shared.sessions.keys import phantom_key, session_key, token_of

_LENGTH_OF = {"string": "STRLEN", "list": "LLEN", "hash": "HLEN", "set": "SCARD", "zset": "ZCARD", "stream": "XLEN"}
_ENTRY = re.compile(rb"(\d{1,15}) (\d{1,15}) (\d{1,15})\n\w*\n(.*)", re.DOTALL)
_UPDATED_AT = re.compile(rb'"updatedAt":"([0-9TZ:.+-]{1,40})"')
_DIGEST_DIGITS = 40
_INDEX_BYTES = 8192
_CACHE_HEAD_BYTES = 32 * 1024
"""Bytes read of a chart cache: enough for its ids and the time behind them."""

type Facts = dict[str, Any]


async def redis_facts(app: App, key: bytes) -> Facts:
    """Type, encoding, length, size, TTL and idle time of a key, as far as Redis shows them; {} when it does not
    exist."""
    kind, encoding, idle_s, ttl_ms, size = await _ask(
        app,
        ("TYPE", key),
        ("OBJECT", "ENCODING", key),
        ("OBJECT", "IDLETIME", key),
        ("PTTL", key),
        ("MEMORY", "USAGE", key),
    )
    if kind in {None, b"none"}:
        return {}
    name = kind.decode()
    (length,) = await _ask(app, (_LENGTH_OF.get(name, "EXISTS"), key))
    facts = {
        "type": name,
        "encoding": encoding.decode() if encoding else None,
        "length": length,
        "bytes": size,
        "ttl_s": None if ttl_ms in {None, -1} else ttl_ms / 1000,
        "idle_s": idle_s,
    }
    return {name: value for name, value in facts.items() if value is not None or name == "ttl_s"}


async def app_facts(app: App, key: bytes, kind: Kind | None) -> Facts:
    """What the app knows about a key of this kind: its effect, its claim, its failures; {} for other kinds. Raises what
    the Redis client raises."""
    parts = namespaces.parts_of(kind, key) if kind else None
    if kind is None or parts is None:
        return {}
    facts_of: dict[Kind, Callable[[], Awaitable[Facts]]] = {
        namespaces.BATCH: lambda: _batch(app, key, parts[0]),
        namespaces.RESULT: lambda: _batch(app, namespaces.build(namespaces.BATCH, parts[0]), parts[0]),
        namespaces.PROCESSING: lambda: _batch(app, namespaces.build(namespaces.BATCH, parts[0]), parts[0]),
        namespaces.CHART_DATA: lambda: _chart(app, key, *parts),
        namespaces.CHART_CACHE: lambda: _chart(app, namespaces.build(namespaces.CHART_DATA, *parts), *parts),
        namespaces.SESSION: lambda: _session(app, key),
        namespaces.PHANTOM: lambda: _session(app, key),
        namespaces.SESSION_BY_USER: lambda: _index(app, key),
    }
    return await facts_of[kind]() if kind in facts_of else {}


async def _ask(app: App, *commands: tuple[Any, ...]) -> list[Any]:
    """The replies of Redis in one round trip; None for an error reply, such as for a wrong type."""
    pipeline = app.redis.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    replies = await pipeline.execute(raise_on_error=False)
    return [None if isinstance(reply, Exception) else reply for reply in replies]


async def _now_ms(app: App) -> int:
    seconds, micros = await app.redis.time()
    return int(seconds * 1000 + micros // 1000)


async def _batch(app: App, key: bytes, batch_id: bytes) -> Facts:
    digest = await content_digest(app, key)
    head = results.head("0" * _DIGEST_DIGITS)
    result, claim, claim_type = await _ask(
        app,
        ("GETRANGE", namespaces.build(namespaces.RESULT, batch_id), 0, len(head) - 1),
        (
            "HMGET",
            namespaces.build(namespaces.PROCESSING, batch_id),
            *("owner", "attempt", "lease_until_ms", "token"),
        ),
        ("TYPE", namespaces.build(namespaces.PROCESSING, batch_id)),
    )
    facts: Facts = {"batch": app.shown(key), "batch_content": digest or "missing or unreadable", "result": "none"}
    if result:
        facts["result"] = "of this content" if digest and result == results.head(digest) else "of other content"
    if claim_type not in {None, b"none"}:
        facts |= _claim(claim or [None] * 4, await _now_ms(app))
    return facts | await _failures(app, batches.NAME, key, digest)


def _claim(fields: list[bytes | None], now_ms: int) -> Facts:
    owner, attempt, until_ms, token = fields
    if token is None or owner is None:
        return {"claim": "another application's"}
    left_ms = _int(until_ms) - now_ms
    return {
        "claim": f"held, lease ends in {left_ms / 1000:.1f} s" if left_ms > 0 else "lease expired",
        "claim_owner": owner.decode(errors="replace")[:16],
        "claim_attempt": _int(attempt),
    }


async def _chart(app: App, source: bytes, chart_id: bytes, data_type: bytes) -> Facts:
    digest = await content_digest(app, source)
    cache = namespaces.build(namespaces.CHART_CACHE, chart_id, data_type)
    head_bytes = len(chart_cache.HEAD) + _DIGEST_DIGITS
    head, ttl_ms = await _ask(app, ("GETRANGE", cache, 0, _CACHE_HEAD_BYTES), ("PTTL", cache))
    facts: Facts = {"source": app.shown(source), "source_content": digest or "missing or unreadable", "cache": "none"}
    if head:
        fresh, stale = head.startswith(chart_cache.FRESH), head.startswith(chart_cache.STALE)
        facts["cache"] = "fresh" if fresh else "stale" if stale else "another application's"
        same_content = digest is not None and head[len(chart_cache.HEAD) : head_bytes] == digest.encode()
        facts["cache_of_this_content"] = same_content
        if updated := _UPDATED_AT.search(head):
            facts["cache_updated_at"] = updated[1].decode()
        facts["cache_ttl_s"] = None if ttl_ms is None or ttl_ms < 0 else ttl_ms / 1000
    return facts | await _failures(app, charts.NAME, source, digest)


async def _session(app: App, key: bytes) -> Facts:
    token = token_of(app.keyrings, key)
    if token is None:
        return {"phantom": "sealed under another AUDIT_KEY"}
    rings = list(app.keyrings)
    sealed = [ring.seal(token).encode() for ring in rings]
    live, now_ms = await app.redis.exists(session_key(token)), await _now_ms(app)
    facts: Facts = {
        "session": "exists" if live else "missing",
        "fingerprint": rings[0].fingerprint(token),
        "phantom": "none",
    }
    for sealed_token in sealed:
        (life,) = await _ask(
            app,
            (
                "HMGET",
                phantom_key(sealed_token),
                *("fingerprint", "first_seen_ms", "sequence", "touches", "user_id"),
                *("expires_ms", "missing_ms", "ended_ms"),
            ),
        )
        if life is None or life[0] is None:
            continue
        facts |= _phantom(app, life, now_ms)
        break
    due = await app.redis.zscore(namespaces.build(namespaces.SESSIONS_DUE), sealed[0])
    if due is not None:
        facts["due_in_s"] = round(due / 1000 - now_ms / 1000, 1)
    return facts | await _failures(app, sessions.NAME, phantom_key(sealed[0]), None)


def _phantom(app: App, life: list[bytes | None], now_ms: int) -> Facts:
    fingerprint, first_ms, sequence, touches, user, expires_ms, missing_ms, ended_ms = life
    state = "ended" if ended_ms else "alive, its key is missing" if missing_ms else "alive"
    facts: Facts = {
        "phantom": state,
        "recorded_as": (fingerprint or b"").decode(errors="replace")[:32],
        "first_seen_ago_s": round((now_ms - _int(first_ms)) / 1000, 1),
        "records": _int(sequence),
        "touches_since": _int(touches),
        "expires_in_s": round((_int(expires_ms) - now_ms) / 1000, 1) if expires_ms else None,
    }
    if user:
        facts["user_sessions"] = app.shown(namespaces.build(namespaces.USER_SESSIONS, user))
    return facts


async def _index(app: App, key: bytes) -> Facts:
    (value,) = await _ask(app, ("GETRANGE", key, 0, _INDEX_BYTES))
    if not value:
        return {"names": "nothing"}
    prefix = namespaces.SESSION.prefix
    session = value if value.startswith(prefix) else prefix + value
    return {"names": app.shown(session), "which_is": "exists" if await app.redis.exists(session) else "missing"}


async def _failures(app: App, reactor: str, key: bytes, digest: str | None) -> Facts:
    """Its retry, its dead letters, and whether its content is a dead letter."""
    facts: Facts = {"retry": "none"}
    member = retries.member(reactor, key)
    due_ms, entry, mark = await _ask(
        app,
        ("ZSCORE", namespaces.build(namespaces.RETRY_DUE), member),
        ("HGET", namespaces.build(namespaces.RETRY_ENTRIES), member),
        ("GET", dead_letters.mark_key(reactor, key)),
    )
    if due_ms is not None:
        facts["retry"] = f"due in {float(due_ms) / 1000 - await _now_ms(app) / 1000:.1f} s"
    if entry is not None and (match := _ENTRY.fullmatch(entry)):
        facts["failed_attempts"] = int(match[1])
        facts["last_error"] = _error(match[4])
    letters = await _letters(app, reactor, key)
    if mark is not None:
        content = "this content" if digest and mark == digest.encode() else "other content"
        facts["dead_mark"] = content if letters else f"{content}, discarded"
    if letters:
        facts["dead_letters"] = letters
    return facts


def _error(raw: bytes) -> str:
    """Class and message, as written by retries.describe, which leaves out input."""
    try:
        name, message = msgspec.msgpack.decode(raw, type=tuple[str, str])
    except msgspec.MsgspecError:
        return "unreadable"
    return f"{name}: {message}" if message else name


async def _letters(app: App, reactor: str, key: bytes) -> list[str]:
    """Ids and errors of the dead letters of a key. Reads all letters, at most DEAD_LETTERS_MAX."""
    letters: list[str] = []
    cursor: str | None = None
    while True:
        page = await dead_letters.list_page(app, reactor=reactor, cursor=cursor, limit=dead_letters.MAX_PAGE)
        letters += [
            f"{letter.id} {letter.error}: {letter.message}".rstrip(": ") for letter in page.letters if letter.key == key
        ]
        cursor = page.next_cursor
        if cursor is None:
            return letters


async def content_digest(app: App, key: bytes) -> str | None:
    """The digest of a batch or chart as its script computes it (claim_batches.lua).

    None when the key is missing, of another type or larger than the app reads; wrong when it is written meanwhile.
    """
    try:
        shape, parts = await payload.read(app, key)
    except Rejected:
        return None
    if shape == "none":
        return None
    digest = hashlib.sha1(usedforsecurity=False)
    for part in parts:
        if shape != "string":
            digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.hexdigest()


def _int(raw: bytes | None) -> int:
    """A number that the app wrote; 0 for anything else."""
    return int(raw) if raw and re.fullmatch(rb"\d{1,15}", raw) else 0
