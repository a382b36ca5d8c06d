"""The payload of a key, bounded, in the parts that read_batch takes."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

from shared.app import App
from shared.batches.claims import MAX_PARTS
from shared.errors import Rejected
from shared.privacy.masking import printable
from shared.reactor import Payload
from shared.reading.safe_text import without_secrets

_PAGE = 500
MAX_SHOWN_PARTS = 20
MAX_SHOWN_CHARS = 4000
"""Characters of a payload that are shown, of all parts together."""
_CHARS_BEHIND = 512
"""Characters behind the shown ones that are read too: a secret is recognised by its whole, so it is masked before the
text is cut."""


async def read(app: App, key: bytes) -> tuple[str, list[bytes]]:
    """Type and parts of a key's value: see read_batch. The type is "none" for a key that does not exist.

    Raises Rejected for a value that the app does not read: another type, more than MAX_PAYLOAD_BYTES or MAX_PARTS; and
    what the Redis client raises.
    """
    limit = app.settings.max_payload_bytes
    kind: Any = await app.redis.type(key)
    shape: str = kind.decode()
    if shape == "none":
        return shape, []
    if shape == "string":
        value: Any = await app.redis.getrange(key, 0, limit)  # one byte more than the limit
        if len(value) > limit:
            raise _too_large(await app.redis.strlen(key), limit)
        return shape, [value]
    lengths: dict[str, Any] = {"list": app.redis.llen, "hash": app.redis.hlen, "stream": app.redis.xlen}
    if shape not in lengths:
        raise Rejected(f"a {shape} is not read")
    count: int = await lengths[shape](key)
    if count > MAX_PARTS:
        raise Rejected(f"{count} elements, more than {MAX_PARTS}")
    usage = await app.redis.memory_usage(key, samples=0)  # of all elements: one could be almost all of it
    if usage is not None and usage > 1.25 * limit + 400 * count + 65_536:  # see claim_batches.lua
        raise _too_large(usage, limit)
    pages = {"list": _elements, "hash": _fields, "stream": _entries}[shape](app, key)
    parts: list[bytes] = []
    size = 0
    async for page in pages:
        parts += page
        size += sum(map(len, page))
        if size > limit:
            raise _too_large(size, limit)
    return shape, _by_field(parts) if shape == "hash" else parts


def _too_large(size: int, limit: int) -> Rejected:
    return Rejected(f"{size} bytes, more than MAX_PAYLOAD_BYTES ({limit})")


async def _elements(app: App, key: bytes) -> AsyncIterator[list[bytes]]:
    start = 0
    while start < MAX_PARTS:
        page: list[Any] = await app.redis.lrange(key, start, start + _PAGE - 1)
        yield page
        if len(page) < _PAGE:
            return
        start += _PAGE


async def _fields(app: App, key: bytes) -> AsyncIterator[list[bytes]]:
    cursor = 0
    while True:
        reply: Any = await app.redis.hscan(key, cursor, count=_PAGE)
        cursor, page = reply
        yield [part for field in page.items() for part in field]
        if not cursor:
            return


def _by_field(parts: Iterable[bytes]) -> list[bytes]:
    """The fields of a hash, each once, sorted as the app sorts them."""
    values = iter(parts)
    fields = dict(zip(values, values, strict=True))
    return [part for name in sorted(fields) for part in (name, fields[name])]


async def _entries(app: App, key: bytes) -> AsyncIterator[list[bytes]]:
    """Per entry its id, the number of its fields, and fields and values in turn."""
    start = b"-"
    for _ in range(MAX_PARTS // _PAGE + 1):
        page: Any = await app.redis.xrange(key, min=start, count=_PAGE)
        parts: list[bytes] = []
        for entry_id, fields in page:
            parts += [entry_id, str(len(fields)).encode()]
            parts += [part for field in fields.items() for part in field]
        yield parts
        if len(page) < _PAGE:
            return
        milliseconds, _, number = page[-1][0].partition(b"-")
        start = b"%b-%d" % (milliseconds, int(number) + 1)


def shown(raw: bytes, limit: int) -> str:
    """The first `limit` characters of a client's data on one line, with what looks like a secret masked."""
    text = without_secrets(printable(raw, limit + _CHARS_BEHIND))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def beginning(content: Payload) -> dict[str, Any]:
    """The beginning of a payload: up to MAX_SHOWN_PARTS parts, MAX_SHOWN_CHARS characters in all, each part on one
    line, with what looks like a secret masked."""
    first_parts = content.parts[:MAX_SHOWN_PARTS]
    limit = MAX_SHOWN_CHARS // max(1, len(first_parts))
    parts = [shown(part, limit) for part in first_parts]
    return {
        "shape": content.shape,
        "parts": parts,
        "moreParts": len(content.parts) - len(first_parts),
        "cut": any(len(part) > limit for part in first_parts),
    }
