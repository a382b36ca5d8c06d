"""Numbers in bytes: Plotly's `{"dtype": "f8", "bdata": base64}`, Bokeh's ndarray, Node's Buffer. Pure.

Sources: plotly.js "Typed array specification"; Bokeh's serialisation of ndarray; Node.js `Buffer.toJSON`.
"""

import base64
import binascii
import sys
from array import array

_CODES = {
    "f8": "d", "f4": "f", "i1": "b", "u1": "B", "uint8c": "B", "u1c": "B", "i2": "h", "u2": "H",
    "i4": "i", "u4": "I", "i8": "q", "u8": "Q",
    "float64": "d", "float32": "f", "int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I",
    "int64": "q", "uint64": "Q",
}  # fmt: skip


def is_wrapper(value: object) -> bool:
    """Whether an object may hold a typed array."""
    return type(value) is dict and ("bdata" in value or "array" in value or "__ndarray__" in value)


def numbers_of(value: dict[str, object]) -> list[float] | None:
    """The numbers of a typed array of one dimension; None for any other object."""
    match value:
        case {"dtype": str(dtype), "bdata": str(data), **others} if set(others) <= {"shape", "_inputArray"}:
            return _unpacked(dtype, data, str(others.get("shape", "")))
        case {"type": "ndarray", "dtype": str(dtype), "array": {"type": "bytes", "data": str(data)}, "shape": [int()]}:
            return _unpacked(dtype, data, "") if value.get("order", "little") == "little" else None
        case {"__ndarray__": str(data), "dtype": str(dtype), "shape": [int()]}:
            return _unpacked(dtype, data, "")
    return None


def buffer_of(value: dict[str, object]) -> bytes | None:
    """The bytes of a Node Buffer in JSON: `{"type": "Buffer", "data": [...]}`; None for any other object."""
    if value.get("type") != "Buffer" or len(value) != 2:
        return None
    data = value.get("data")
    if isinstance(data, str):
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            return None
    if not isinstance(data, list) or set(map(type, data)) - {int}:
        return None
    try:
        return bytes(data)
    except (ValueError, TypeError):
        return None


def _unpacked(dtype: str, data: str, shape: str) -> list[float] | None:
    code = _CODES.get(dtype.lstrip("<=|"))
    if code is None or "," in shape:
        return None
    try:
        raw = base64.b64decode(data, validate=True)
        numbers: array[float] = array(code, raw)
    except (binascii.Error, ValueError):
        return None
    if sys.byteorder == "big":
        numbers.byteswap()
    return list(numbers)
