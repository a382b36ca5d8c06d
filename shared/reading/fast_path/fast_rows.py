"""Wide rows that are all alike, decoded straight into structs: in half the time, and no deeper than their shape is.

Each row has exactly the fields of the first one, with numbers, or texts and booleans, where that has them; null may
stand anywhere. The values are those that documents/json_text.py gives. Every other payload, sound or not, is left to
that.
"""

from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import astuple

type Numbers = dict[str, tuple[int | float | None, ...]]
type Others = dict[str, tuple[str | bool | None, ...]]

_HEAD_BYTES = 4096
"""Where the first row has to end."""
_MAX_FIELDS = 64
_SHAPES = 32
"""Decoders that are kept: making one takes as long as decoding some hundred rows."""


class _Wrapped(msgspec.Struct, forbid_unknown_fields=True):
    """What cache libraries make of a value."""

    value: msgspec.Raw
    expires: float | None = None


def decode(raw: bytes) -> tuple[Numbers, Others] | None:
    """The fields of such rows, those that hold numbers and the others: of each its values, row by row. None for any
    other payload."""
    try:
        rows = memoryview(_wrapped.decode(raw).value) if raw.startswith(b"{") else memoryview(raw)
        names, numeric = _fields_of_first(rows)
        values = zip(*map(astuple, _decoder(names, numeric).decode(rows)), strict=True)
        fields = list(zip(names, numeric, values, strict=True))
    except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors too
        return None
    return (
        {name: values for name, is_number, values in fields if is_number},
        {name: values for name, is_number, values in fields if not is_number},
    )


_wrapped = msgspec.json.Decoder(_Wrapped)
_first_row = msgspec.json.Decoder(dict[str, int | float | str | bool | None])


def _fields_of_first(rows: memoryview) -> tuple[tuple[str, ...], tuple[bool, ...]]:
    """Names of the fields of the first row, and which of them hold numbers. Raises ValueError where it is no row of a
    few fields with plain values."""
    head = bytes(rows[:_HEAD_BYTES])
    first = _first_row.decode(head[head.index(b"{") : head.index(b"}") + 1])
    if len(first) > _MAX_FIELDS:
        raise ValueError
    return tuple(first), tuple(value is None or type(value) in (int, float) for value in first.values())


@lru_cache(_SHAPES)
def _decoder(names: tuple[str, ...], numeric: tuple[bool, ...]) -> msgspec.json.Decoder[list[Any]]:
    """Raises ValueError for names that no field of a struct can have."""
    fields = [
        (f"field_{index}", int | float | None if is_number else str | bool | None)
        for index, is_number in enumerate(numeric)
    ]
    renamed = {field: name for (field, _), name in zip(fields, names, strict=True)}
    # Without gc: numbers and texts make no cycles, and charts have many rows.
    row = msgspec.defstruct("Row", fields, rename=renamed, gc=False, forbid_unknown_fields=True)
    return msgspec.json.Decoder(list[row])  # type: ignore[valid-type]  # made at run time
