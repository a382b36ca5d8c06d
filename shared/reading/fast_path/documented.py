"""The two documented shapes of a batch, whose rows are all alike, decoded straight into structs. Pure.

Each row has the members of the first one. Those that are not documented, such as the place of the plant, are not
looked into: they have to be the same in every row, and whether they change the result is a question for the general
steps, which answer it once per text of them.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any

import msgspec
from msgspec.structs import astuple

from shared.reading.fast_path.further_members import are_inert
from shared.reading.model import Time

MAX_NAME_CHARS = 128
MAX_PLAIN_VALUE = 20_010_101.0
"""Numbers from here on could be a date or a time once more."""

_HEAD_BYTES = 1024
"""Where the first row has to start."""
_ROW_BYTES = 4096
_MAX_FURTHER = 8
_MAX_MEASURES = 256
_LAYOUTS = 64
"""Decoders that are kept: making one takes as long as decoding some hundred rows."""
_BETWEEN_ROWS = re.compile(rb"\}\s*,\s*\{")
_LAST_ROW = re.compile(rb"\}\s*\]")

_Label = Annotated[str, msgspec.Meta(max_length=MAX_NAME_CHARS)]
_Stamp = msgspec.Meta(gt=-(2**62), lt=2**62)
_Time = _Label | Annotated[int, _Stamp] | Annotated[float, _Stamp]
_Number = Annotated[float, msgspec.Meta(lt=MAX_PLAIN_VALUE)]


class Rows(msgspec.Struct, frozen=True, gc=False):
    """The rows of a batch by columns, one item a row. `names`: of the measures of wide rows, whose `values` are one
    column each; of long ones, the metric of each row, and their `values` are one column."""

    times: Sequence[Time]
    sensors: Sequence[str | None]
    names: Sequence[str]
    values: Sequence[Sequence[float]]
    wide: bool


class _Layout(msgspec.Struct, frozen=True):
    """What the first row shows. `measures`: the names in `data`, None in long rows. `further`: members beyond the
    documented ones."""

    measures: tuple[str, ...] | None
    with_sensor: bool
    further: tuple[str, ...]
    of_further: tuple[Callable[[Any], msgspec.Raw], ...]
    decoder: msgspec.json.Decoder[Any]


def decode(raw: bytes) -> Rows | None:
    """The rows of a batch in a documented shape; None for anything else."""
    try:
        first = _first_row.decode(_text_of_first(raw))
        layout = _layout(tuple(first), tuple(_measures.decode(first["data"])) if "data" in first else None)
        document = layout.decoder.decode(raw)
    except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors too
        return None
    rows = document if type(document) is list else document.rows
    if layout.further and not _are_inert(layout, first, rows):
        return None
    times = [row.time for row in rows]
    sensors = [row.sensor for row in rows] if layout.with_sensor else [None] * len(rows)
    if layout.measures is None:
        return Rows(times, sensors, [row.metric for row in rows], ([row.value for row in rows],), wide=False)
    values = zip(*[astuple(row.data) for row in rows], strict=True)
    return Rows(times, sensors, layout.measures, tuple(values), wide=True)


def _are_inert(layout: _Layout, first: dict[str, msgspec.Raw], rows: list[Any]) -> bool:
    texts = [first[name] for name in layout.further]
    for text, value_of in zip(texts, layout.of_further, strict=True):
        if list(map(value_of, rows)).count(text) != len(rows):
            return False
    return are_inert(layout.further, tuple(map(bytes, texts)), wide=layout.measures is not None)


_first_row = msgspec.json.Decoder(dict[str, msgspec.Raw])
_measures = msgspec.json.Decoder(dict[str, float])


def _text_of_first(raw: bytes) -> bytes:
    """Raises ValueError where there is no row."""
    start = raw.index(b"{", raw.find(b"[", 0, _HEAD_BYTES) + 1, _HEAD_BYTES)
    end = _BETWEEN_ROWS.search(raw, start, start + _ROW_BYTES) or _LAST_ROW.search(raw, start, start + _ROW_BYTES)
    if end is None:
        raise ValueError("no row")
    return raw[start : end.start() + 1]


@lru_cache(_LAYOUTS)
def _layout(members: tuple[str, ...], measures: tuple[str, ...] | None) -> _Layout:
    """Raises ValueError for too many members, and for names that no field can have."""
    known: dict[str, tuple[str, Any]] = {"sensorId": ("sensor", _Label | None)}
    if measures is None:
        known |= {"ts": ("time", _Time), "metric": ("metric", _Label), "value": ("value", _Number)}
    else:
        data = _struct([(f"value_{place}", _Number, name) for place, name in enumerate(measures)])
        known |= {"timestamp": ("time", _Time), "data": ("data", data)}
    list_name = "readings" if measures is None else "records"
    further = tuple(name for name in members if name not in known)
    if len(further) > _MAX_FURTHER or len(measures or ()) > _MAX_MEASURES:
        raise ValueError("more members than documented rows have")
    if "sensorId" not in members:
        del known["sensorId"]
    fields = [(field, kind, name) for name, (field, kind) in known.items()]
    names = [f"further_{place}" for place in range(len(further))]
    row: Any = _struct([*fields, *((field, msgspec.Raw, name) for field, name in zip(names, further, strict=True))])
    envelope: Any = msgspec.defstruct(
        "Envelope",
        [
            ("rows", list[row], msgspec.field(name=list_name)),
            ("batch", str | None, msgspec.field(default=None, name="batchId")),
            ("status", str | None, None),
        ],
        forbid_unknown_fields=True,
    )
    decoder: Any = msgspec.json.Decoder(envelope | list[row])
    return _Layout(measures, "sensorId" in members, further, tuple(map(attrgetter, names)), decoder)


def _struct(members: list[tuple[str, Any, str]]) -> Any:
    """Of fields, each with its type and the name that it has in JSON."""
    fields = [(field, kind, msgspec.field(name=name)) for field, kind, name in members]
    # Without gc: text and numbers make no cycles, and batches have many of these.
    return msgspec.defstruct("Row", fields, gc=False, forbid_unknown_fields=True)
