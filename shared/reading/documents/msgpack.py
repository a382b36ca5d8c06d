"""MessagePack, with keys as text whatever type they were written in. Pure."""

from typing import Any

import msgspec

from shared.errors import Rejected
from shared.reading.documents.json_text import check_depth, too_deep


def starts_like_msgpack(raw: bytes) -> bool:
    """Whether the first byte opens a map, an array, a long text or binary."""
    first = raw[0]
    return 0x80 <= first <= 0x9F or 0xDC <= first <= 0xDF or first in (0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB)


def decode_msgpack(raw: bytes) -> object:
    """The value: keys as text, binary that is UTF-8 as text, timestamps as datetime. Raises Rejected."""
    try:
        value = msgspec.msgpack.decode(raw, strict=False)
    except RecursionError:
        raise too_deep() from None
    except (ValueError, TypeError):  # cut short, trailing bytes, keys that cannot be hashed, timestamps out of range
        raise Rejected("not MessagePack") from None
    check_depth(value)
    return _plain(value)


def _plain(value: Any) -> object:
    kind = type(value)
    if kind is dict:
        return {_key(key): _plain(item) for key, item in value.items()}
    if kind is list:
        if set(map(type, value)) <= {int, float, str, bool}:
            return value
        return [_plain(item) for item in value]
    if kind is bytes:
        return _text(value)
    if kind is msgspec.msgpack.Ext:
        return None
    return value


def _key(key: object) -> str:
    if type(key) is str:
        return key
    return key.decode(errors="backslashreplace") if type(key) is bytes else str(key)


def _text(raw: bytes) -> object:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw
