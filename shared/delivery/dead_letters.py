"""Dead letters: keys that were given up, each with the error, times, attempts, and the payload for a replay.

Reactor, key and digest of the content identify a letter, so the same content is one letter, however often and by
however many workers it is buried. Letters stay in Redis for 7 days after they were last buried, bounded in number and
bytes; if the store is full, the oldest are dropped and counted. Keys are stored in the clear: see retries.py.

bury.lua writes a letter, its payload, the index, the totals and the mark in one step. The mark is a separate key with
the digest of the content that was given up: workers skip that content, and react to any other. It outlives a letter
that an operator discards.
"""

import asyncio
import hashlib
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from redis.exceptions import ResponseError

from shared import namespaces
from shared.app import App
from shared.delivery import retries
from shared.errors import KeyspaceError
from shared.privacy.masking import printable
from shared.reactor import Payload, Withheld
from shared.store.refusals import is_wrong_type
from shared.store.script import Script

BURY = Script(__file__, "bury")
DISCARD = Script(__file__, "discard")
LIST_DEAD_LETTERS = Script(__file__, "list_dead_letters")

MAX_PAGE = 500
THREAD_BYTES = 64 * 1024
"""Payloads of this size or more are packed and unpacked in a thread: at this size it takes a few ms."""
NO_DIGEST = b"-"
"""The mark of a letter without a payload."""

_STORE = [
    namespaces.build(kind)
    for kind in (namespaces.DEAD_INDEX, namespaces.DEAD_LETTERS, namespaces.DEAD_PAYLOADS, namespaces.DEAD_TOTALS)
]
_INDEX, _LETTERS, _PAYLOADS, _ = _STORE
_RETRIES = [namespaces.build(namespaces.RETRY_DUE), namespaces.build(namespaces.RETRY_ENTRIES)]
_ID = re.compile(r"[0-9a-f]{32}")
_HEADER = re.compile(rb"(\d{1,10}) (\d{1,15}) (\d{1,15}) (\w+)\n")
_HEADER_BYTES = 10 + 15 + 15 + 4
"""Maximum length of a header, without the reactor."""
_CURSOR = re.compile(r"(-?(?:inf|\d[\d.e+-]*)):(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter. `message` has one line and never holds input. `digest` is None if the content was not read,
    `payload_bytes` is the size as it was read, `payload_kept` is False if the payload must not be stored or is above
    DEAD_LETTERS_MAX_BYTES."""

    id: str
    reactor: str
    key: bytes
    error: str
    message: str
    attempts: int
    first_ms: int
    last_ms: int
    digest: str | None
    payload_bytes: int
    payload_kept: bool


@dataclass(frozen=True, slots=True)
class Page:
    """A page of letters. `next_cursor` is None at the end; `unreadable` counts the letters that were skipped because
    another application overwrote them."""

    letters: list[Letter]
    next_cursor: str | None
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class Totals:
    """Number of letters, their bytes in Redis, and how many were dropped because the store was full."""

    count: int
    bytes: int
    dropped: int


class _Body(msgspec.Struct, array_like=True, frozen=True):
    """The part of a letter that bury.lua does not parse. `packed_bytes` is the payload's size in msgpack, before
    compression."""

    key: bytes
    error: str
    message: str
    digest: str | None
    payload_bytes: int
    packed_bytes: Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
    payload_kept: bool


class _Packed(msgspec.Struct, array_like=True, frozen=True):
    """A payload before compression."""

    shape: Literal["string", "list", "hash", "stream"]
    parts: list[bytes]


async def bury(
    app: App,
    reactor: str,
    key: bytes,
    error: BaseException,
    payload: Payload | Withheld | None,
    *,
    attempts: int = 1,
) -> str:
    """Store a dead letter, mark its content and forget its retries, in one step. Returns the letter's id.

    Burying the same content again updates its letter: the error and last time are replaced, attempts are added. The
    first time is that of the first recorded failure.

    Raises redis.exceptions.RedisError or OSError if Redis is away. A call that is repeated because its reply was lost
    adds its attempts twice and changes nothing else.
    """
    digest = payload.digest.encode() if payload else NO_DIGEST
    letter_id = _id_of(reactor, key, digest)
    kept = payload if isinstance(payload, Payload) else None
    payload_bytes = sum(map(len, kept.parts)) if kept else 0
    packed_bytes, packed = await _off_loop(payload_bytes, _pack, kept) if kept else (0, b"")
    body = _Body(
        key,
        *retries.describe(error),
        digest=payload.digest if payload else None,
        payload_bytes=payload_bytes,
        packed_bytes=packed_bytes,
        payload_kept=kept is not None,
    )
    letter_bytes = _HEADER_BYTES + len(reactor) + len(msgspec.msgpack.encode(body))
    if letter_bytes + len(packed) > app.settings.dead_letters_max_bytes:
        body, packed = msgspec.structs.replace(body, payload_kept=False), b""
    await app.run(
        BURY,
        keys=[*_STORE, mark_key(reactor, key), *_RETRIES],
        args=[
            *_bounds(app),
            letter_id,
            reactor,
            retries.member(reactor, key),
            attempts,
            msgspec.msgpack.encode(body),
            packed,
            digest,
            namespaces.DEAD_MARK_TTL_S,
        ],
    )
    return letter_id


def mark_key(reactor: str, key: bytes) -> bytes:
    """The key of the mark: the digest of the content of `key` that this reactor has given up, or NO_DIGEST."""
    return namespaces.build(namespaces.DEAD_MARK, _sha1(retries.member(reactor, key)))


async def list_page(app: App, *, reactor: str | None = None, cursor: str | None = None, limit: int = 50) -> Page:
    """Up to `limit` letters (at most MAX_PAGE), newest first by last time, of one reactor or of all.

    `cursor` is the `next_cursor` of the page before. Over a series of pages, a letter that does not change appears
    exactly once, and any letter at most once; a letter that is buried again becomes the newest.

    Raises KeyspaceError for an invalid cursor.
    """
    time, last_id = _parse_cursor(cursor)
    limit = min(max(limit, 1), MAX_PAGE)
    await totals(app)
    letters: list[Letter] = []
    unreadable = 0
    while True:
        time, last_id, *rows = await app.run(
            LIST_DEAD_LETTERS, keys=[_INDEX, _LETTERS], args=[time, last_id, limit - len(letters), reactor or ""]
        )
        for letter_id, raw in zip(rows[::2], rows[1::2], strict=True):
            try:
                letters.append(_decode(letter_id.decode("latin-1"), raw)[0])
            except KeyspaceError:
                unreadable += 1
        if not time:
            return Page(letters, None, unreadable)
        if len(letters) == limit:
            return Page(letters, f"{time.decode()}:{last_id.decode('latin-1')}", unreadable)


async def get(app: App, letter_id: str) -> Letter | None:
    """The letter with this id; None if there is none.

    Raises KeyspaceError if another application overwrote it.
    """
    match = await _find(app, letter_id)
    return match[0] if match else None


async def ids_beginning(app: App, digits: str) -> list[str]:
    """The ids of the letters that begin with these digits, at most two. Looks at all ids, in pages."""
    ids: set[str] = set()
    if not re.fullmatch(r"[0-9a-f]{1,32}", digits):
        return []
    try:
        async for letter_id, _ in app.redis.zscan_iter(_INDEX, match=f"{digits}*", count=1000):
            ids.add(letter_id.decode("latin-1"))
            if len(ids) > 1:
                break
    except ResponseError as fault:
        if not is_wrong_type(fault):
            raise
    return sorted(ids)


async def payload(app: App, letter_id: str) -> Payload | None:
    """The payload of a letter; None if there is no such letter or it has no payload.

    Raises KeyspaceError if another application overwrote the letter or its payload.
    """
    match = await _find(app, letter_id)
    if match is None:
        return None
    letter, packed_bytes = match
    packed = await _field(app, _PAYLOADS, letter_id)
    if packed is None or letter.digest is None:
        return None
    content = await _off_loop(letter.payload_bytes, _unpack, packed, packed_bytes)
    if content is None:
        raise KeyspaceError(f"the payload of dead letter {letter_id} cannot be read")
    return Payload(content.shape, letter.digest, content.parts)


async def discard(app: App, letter_id: str) -> bool:
    """Remove a letter and its payload for good: the same content is not buried again (for DISCARDED_TTL_S at least; for
    batches and charts as long as it exists). False if there is no such letter."""
    return await _remove(app, letter_id, str(namespaces.DISCARDED_TTL_S))


async def remove(app: App, letter_id: str) -> bool:
    """Remove a letter whose content has its effect now, with its payload and its mark. False if there is no such
    letter."""
    return await _remove(app, letter_id, "")


async def _remove(app: App, letter_id: str, mark_ttl_s: str) -> bool:
    try:
        letter = await get(app, letter_id)
    except KeyspaceError:  # the letter is unreadable, so its key is unknown: the mark stays until its TTL
        return bool(await app.run(DISCARD, keys=_STORE, args=[letter_id]))
    if letter is None:
        return False
    keys = [*_STORE, mark_key(letter.reactor, letter.key)]
    return bool(await app.run(DISCARD, keys=keys, args=[letter_id, letter.digest or NO_DIGEST, mark_ttl_s]))


async def recent(app: App, seconds: float) -> int:
    """How many letters were buried within the last `seconds`, by Redis' clock."""
    now_s, _ = await app.redis.time()
    try:
        return int(await app.redis.zcount(_INDEX, (now_s - seconds) * 1000, "+inf"))
    except ResponseError as fault:
        if is_wrong_type(fault):
            return 0  # another application overwrote the key; the next letter replaces it
        raise


async def totals(app: App) -> Totals:
    """The totals, after removing letters older than 7 days."""
    return Totals(*await app.run(BURY, keys=_STORE, args=_bounds(app)))


def _bounds(app: App) -> list[int]:
    return [app.settings.dead_letters_max, app.settings.dead_letters_max_bytes, namespaces.DEAD_LETTER_TTL_S]


def _sha1(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def _id_of(reactor: str, key: bytes, digest: bytes) -> str:
    framed = b"".join(b"%d:%b" % (len(part), part) for part in (reactor.encode(), key, digest))
    return _sha1(framed)[:32]


def _pack(payload: Payload) -> tuple[int, bytes]:
    """The size in msgpack, and the compressed payload."""
    packed = msgspec.msgpack.encode((payload.shape, list(payload.parts)))
    return len(packed), zlib.compress(packed)


def _unpack(packed: bytes, packed_bytes: int) -> _Packed | None:
    """The payload; None if it is not a payload of `packed_bytes`. Decompression stops at that size."""
    try:
        inflated = zlib.decompressobj().decompress(packed, packed_bytes or 1)  # 0 would mean no limit
        return msgspec.msgpack.decode(inflated, type=_Packed)
    except (zlib.error, ValueError):
        return None


async def _off_loop[T, **P](size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return await asyncio.to_thread(work, *args, **kwargs) if size >= THREAD_BYTES else work(*args, **kwargs)


async def _find(app: App, letter_id: str) -> tuple[Letter, int] | None:
    """A letter and the size of its payload in msgpack, before compression; None if there is no such letter."""
    if not _ID.fullmatch(letter_id):
        return None
    raw = await _field(app, _LETTERS, letter_id)
    return None if raw is None else _decode(letter_id, raw)


async def _field(app: App, key: bytes, letter_id: str) -> bytes | None:
    try:
        value = await app.redis.hget(key, letter_id)
    except ResponseError as fault:
        if is_wrong_type(fault):
            return None  # another application overwrote the key; the next letter replaces it
        raise
    return value if isinstance(value, bytes) else None


def _decode(letter_id: str, raw: bytes) -> tuple[Letter, int]:
    header = _HEADER.match(raw)
    try:
        if header is None or not _ID.fullmatch(letter_id):
            raise ValueError
        body = msgspec.msgpack.decode(raw[header.end() :], type=_Body)
        attempts, first_ms, last_ms, reactor = header.groups()
        letter = Letter(
            id=letter_id,
            reactor=reactor.decode(),
            key=body.key,
            error=body.error,
            message=body.message,
            attempts=int(attempts),
            first_ms=int(first_ms),
            last_ms=int(last_ms),
            digest=body.digest,
            payload_bytes=body.payload_bytes,
            payload_kept=body.payload_kept,
        )
    except ValueError:  # msgspec's errors are ValueErrors too
        raise KeyspaceError(f"dead letter {printable(letter_id.encode())} cannot be read") from None
    return letter, body.packed_bytes


def _parse_cursor(cursor: str | None) -> tuple[str, bytes]:
    """Time and id of the last letter of a page: ARGV of list_dead_letters.lua."""
    if cursor is None:
        return "+inf", b""
    fields = _CURSOR.fullmatch(cursor)
    try:
        if fields is None:
            raise ValueError
        float(fields[1])
        return fields[1], fields[2].encode("latin-1")
    except ValueError:
        raise KeyspaceError("not a cursor of this list") from None
