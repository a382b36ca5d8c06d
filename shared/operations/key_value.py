"""The value of a key for display: its beginning, or only its shape where it may hold secrets."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from shared import namespaces
from shared.app import App
from shared.errors import KeyspaceError
from shared.namespaces import Kind
from shared.operations.payload import shown
from shared.reading.documents.json_text import decode_json_value

SHOWN_CHARS = 1000
SHOWN_PARTS = 20
"""Elements of a list or fields of a hash that are shown, and fields of a shape at one depth."""
MAX_DEPTH = 3
MAX_SHAPE_BYTES = 256 * 1024
"""Larger strings are not read."""
MAX_PARTS_BYTES = 8 * 1024 * 1024
"""Larger collections are not read: one element could be almost all of it."""
MAX_MEASURED = 100_000
"""Elements of a collection whose size is measured exactly: 12 ms. One of more is not read."""
OPEN_KINDS = frozenset(
    {
        namespaces.CHART_DATA,
        namespaces.QUERY_CACHE,
        namespaces.CONNECTION_TEST,
        namespaces.BATCH,
        namespaces.PROCESSING,
        namespaces.RESULT,
        namespaces.MODEL,
        namespaces.CHART_CACHE,
        namespaces.SWEEP,
        namespaces.STATISTICS,
        namespaces.TOTALS,
        namespaces.DEAD_TOTALS,
    }
)
"""Kinds whose values are plant data or counters, which are shown but for words that look like secrets. For all others,
and for keys of no kind, only the shape is shown."""
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")
_LONG_RUN = re.compile(r"\d{4,}|[0-9a-fA-F]{16,}")


async def describe(app: App, key: bytes, kind: Kind | None, redis_facts: Mapping[str, Any]) -> dict[str, Any]:
    """The value for display: {"masked", and "text", "parts" or "shape"}; {} when the key does not exist.

    `redis_facts` are those of key_facts. Raises what the Redis client raises.
    """
    masked = kind not in OPEN_KINDS
    match redis_facts.get("type"):
        case None:
            return {}
        case "string":
            if masked:
                return {"masked": True, "shape": await _string_shape(app, key, redis_facts["length"])}
            raw: Any = await app.redis.getrange(key, 0, 8 * SHOWN_CHARS)
            return {"masked": False, "text": shown(raw, SHOWN_CHARS)}
        case "hash" | "list" as shape if await _is_small(app, key, redis_facts):
            parts = await (_fields(app, key, masked) if shape == "hash" else _elements(app, key, masked))
            more = redis_facts["length"] - len(parts)
            return {"masked": masked, "parts": [*parts, *([f"and {more:,} more"] if more > 0 else [])]}
    length = redis_facts.get("length")  # unknown where the user has no right to ask
    return {"masked": True, "shape": ["not read" if length is None else f"{length:,} elements, not read"]}


async def _is_small(app: App, key: bytes, redis_facts: Mapping[str, Any]) -> bool:
    """Whether all elements together are small: the size among the facts is extrapolated from five of them."""
    sampled: int | None = redis_facts.get("bytes")
    if redis_facts["length"] > MAX_MEASURED or sampled is None or sampled > MAX_PARTS_BYTES:
        return False
    size = await app.redis.memory_usage(key, samples=0)
    return size is not None and size <= MAX_PARTS_BYTES


async def _fields(app: App, key: bytes, masked: bool) -> list[str]:
    reply: Any = await app.redis.hscan(key, 0, count=SHOWN_PARTS)
    page: dict[bytes, bytes] = reply[1]
    fields = sorted(page.items())[:SHOWN_PARTS]
    if masked:
        return [f"{_name(name.decode(errors='replace'))}: {len(value):,} bytes" for name, value in fields]
    chars = SHOWN_CHARS // SHOWN_PARTS
    return [f"{shown(name, chars)}: {shown(value, chars)}" for name, value in fields]


async def _elements(app: App, key: bytes, masked: bool) -> list[str]:
    elements: list[Any] = await app.redis.lrange(key, 0, SHOWN_PARTS - 1)
    chars = SHOWN_CHARS // SHOWN_PARTS
    return [f"{len(element):,} bytes" if masked else shown(element, chars) for element in elements]


async def _string_shape(app: App, key: bytes, length: int) -> list[str]:
    if length > MAX_SHAPE_BYTES:
        return [f"{length:,} bytes, not read"]
    text: Any = await app.redis.getrange(key, 0, length)
    try:
        value = decode_json_value(text)
    except KeyspaceError:
        return [f"not JSON; length in bytes: {length:,}"]
    if isinstance(value, dict):
        return list(_shape_of(value, "", 1)) or ["an empty object"]
    return [_type_of(value)]


def _shape_of(value: Mapping[str, Any], path: str, depth: int) -> Iterable[str]:
    for number, (name, inner) in enumerate(value.items()):
        if number == SHOWN_PARTS:
            yield f"{path}... {len(value) - number:,} more"
            return
        here = path + _name(name)
        yield f"{here}: {_type_of(inner)}"
        if isinstance(inner, dict) and depth < MAX_DEPTH:
            yield from _shape_of(inner, here + ".", depth + 1)


def _name(name: str) -> str:
    """`name`, or ? for one that is not a plain word: it may be a secret or an id."""
    return name if _PLAIN_NAME.fullmatch(name) and not _LONG_RUN.search(name) else "?"


def _type_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return f"text of {len(value):,}"
        case list():
            return f"list of {len(value):,}"
        case dict():
            return f"object of {len(value):,}"
    return "value"
