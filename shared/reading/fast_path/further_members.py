"""Documented rows with further members that are the same in every row, such as the place of the plant.

The fast path decodes them without looking inside. Whether such members change the result is a question for the general
steps, which answer it once per text of the members. Pure.
"""

import re
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec

from shared.reading.fast_path.fast_shapes import LongReading, WideRecord

_HEAD_BYTES = 1024
"""Where the first row has to start."""
_ROW_BYTES = 4096
_MAX_MEMBERS = 8
_BETWEEN_ROWS = re.compile(rb"\}\s*,\s*\{")
_KNOWN = {True: frozenset({"timestamp", "data", "sensorId"}), False: frozenset({"metric", "value", "ts", "sensorId"})}


class Rows(msgspec.Struct, frozen=True):
    """`rows` as WideRecord or LongReading have them, and the `members` that all of them repeat, as a JSON object."""

    rows: list[Any]
    wide: bool
    members: bytes


def decode(raw: bytes) -> Rows | None:
    """The rows of a batch, where all have the members of the first one and repeat those that are not documented. None
    for anything else."""
    start = raw.find(b"{", raw.find(b"[", 0, _HEAD_BYTES) + 1, _HEAD_BYTES)
    between = _BETWEEN_ROWS.search(raw, start, start + _ROW_BYTES) if start >= 0 else None
    if between is None:
        return None
    try:
        first = msgspec.json.decode(raw[start : between.start() + 1], type=dict[str, msgspec.Raw])
        wide = "data" in first
        names = tuple(name for name in first if name not in _KNOWN[wide])
        if not 0 < len(names) <= _MAX_MEMBERS:
            return None
        document = _decoder(names, wide=wide).decode(raw)
    except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors too
        return None
    rows = document if type(document) is list else document.rows
    for place, name in enumerate(names):
        repeated, value_of = first[name], attrgetter(f"member_{place}")
        if not all([value_of(row) == repeated for row in rows]):  # noqa: C419 (quicker than a generator)
            return None
    members = b",".join([msgspec.json.encode(name) + b":" + bytes(first[name]) for name in names])
    return Rows(rows, wide, b"{" + members + b"}")


@lru_cache(32)
def _decoder(names: tuple[str, ...], *, wide: bool) -> msgspec.json.Decoder[Any]:
    """Of rows with exactly these further members. Raises ValueError for names that no field can have."""
    base, list_name = (WideRecord, "records") if wide else (LongReading, "readings")
    fields = [(f"member_{place}", msgspec.Raw, msgspec.field(name=name)) for place, name in enumerate(names)]
    row: Any = msgspec.defstruct("Row", fields, bases=(base,), kw_only=True, gc=False, forbid_unknown_fields=True)
    envelope: Any = msgspec.defstruct(
        "Envelope",
        [
            ("rows", list[row], msgspec.field(name=list_name)),
            ("batch", str | None, msgspec.field(default=None, name="batchId")),
            ("status", str | None, None),
        ],
        gc=False,
        forbid_unknown_fields=True,
    )
    return msgspec.json.Decoder(envelope | list[row])


@lru_cache(256)
def are_inert(members: bytes, *, wide: bool) -> bool:
    """Whether the general steps read rows with these members exactly as rows without them."""
    from shared.reading import batches  # imports the fast path itself

    try:
        extra = msgspec.json.decode(members)
        return bool(_general(batches, extra, wide=wide) == _general(batches, {}, wide=wide))
    except ValueError:
        return False


def _general(batches: Any, extra: dict[str, Any], *, wide: bool) -> Any:
    """What the general steps make of a small batch whose rows have these further members."""
    times = [f"2026-03-01T06:0{minute}:00Z" for minute in range(4)]
    if wide:
        rows = [
            {"timestamp": time, **extra, "data": {"temperature": 20.5 + place, "pressure": 1.25 * place}}
            for place, time in enumerate(times)
        ]
        return batches.read_generally("string", [msgspec.json.encode({"records": rows})])
    rows = [
        {"metric": name, "ts": time, "value": 20.5 + place, **extra}
        for place, time in enumerate(times)
        for name in ("temperature", "pressure")
    ]
    return batches.read_generally("string", [msgspec.json.encode({"readings": rows})])
