"""JSON as other applications wrote it: decoded fast where it is sound, else rejected with a reason. Pure."""

import json
from functools import cache
from typing import Any

import msgspec

from shared.errors import Rejected
from shared.reading.documents.signatures import is_pickle

MAX_DEPTH = 64
"""Levels of arrays and objects; real payloads have fewer than ten."""

_BOM = b"\xef\xbb\xbf"
_SHALLOW = 8
"""Levels of nearly all payloads."""


def decode_json(raw: bytes) -> object:
    """The value of a JSON text in UTF-8: dict, list, str, float, int, bool or None.

    Takes what clients write beyond the standard: NaN and Infinity (as such floats), lone surrogates (as such
    characters, which do not encode as UTF-8 again), duplicate fields (the last one wins). Integers are exact up to
    Python's 4,300 digits, so that `float()` of one can raise OverflowError; a float past a double's range is infinite.

    Raises Rejected with a few words, which never hold input, for everything else: cut short, deeper than MAX_DEPTH.
    """
    try:
        return _decode_strictly(raw)
    except RecursionError:
        raise too_deep() from None
    except ValueError:  # msgspec's own errors are ValueErrors too
        value = _decode_leniently(raw)
    check_depth(value)
    return value


def decode_json_value(raw: bytes) -> object:
    """As `decode_json`, for a value that has to be JSON: a byte order mark is skipped, other formats are named."""
    raw = raw.removeprefix(_BOM)
    if not raw.strip():
        raise Rejected("empty")
    if binary_format := _binary_format(raw):
        raise Rejected(f"{binary_format}, not JSON")
    return decode_json(raw)


def _binary_format(raw: bytes) -> str | None:
    if raw.startswith(b"\x1f\x8b"):
        return "gzip"
    if is_pickle(raw):
        return "pickle"
    if 0x80 <= raw[0] <= 0x9F or 0xDC <= raw[0] <= 0xDF:  # maps and arrays, of all sizes
        return "msgpack"
    return None


def _decode_strictly(raw: bytes) -> object:
    # A document nests no deeper than it has brackets, and counting those is next to free.
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return msgspec.json.decode(raw)
    try:
        return _shallow_decoder().decode(raw)
    except msgspec.ValidationError:  # it may only be deeper
        value: object = msgspec.json.decode(raw)
    check_depth(value)
    return value


@cache
def _shallow_decoder() -> msgspec.json.Decoder[object]:
    """It refuses deeper values in passing: to look at each afterwards takes as long as decoding."""
    plain: Any = str | int | float | bool | None
    value: Any = plain
    for _ in range(_SHALLOW):
        value = dict[str, value] | list[value] | plain
    return msgspec.json.Decoder(value)


def _decode_leniently(raw: bytes) -> object:
    try:
        text = raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise Rejected("neither JSON nor UTF-8 text") from None
    try:
        return json.loads(text)
    except RecursionError:
        raise too_deep() from None
    except json.JSONDecodeError as fault:
        cut_short = fault.pos >= len(text.rstrip()) or fault.msg.startswith("Unterminated string")
        raise Rejected("JSON is cut short" if cut_short else "not JSON") from None
    except ValueError:
        raise Rejected("a number has too many digits") from None


def check_depth(value: object) -> None:
    """Raises Rejected for a value deeper than MAX_DEPTH. Level by level, so that no input can exhaust the stack."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return
    raise too_deep()


def too_deep() -> Rejected:
    return Rejected(f"more than {MAX_DEPTH} levels deep")
