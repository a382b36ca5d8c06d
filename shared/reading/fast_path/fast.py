"""The two documented shapes of a batch and the dashboard's rows of a chart, decoded straight into structs. Pure.

What is read here is read the same way by the general steps: a test compares both. Whatever these decoders or checks do
not take, such as one odd value, a member more or a name that could be anything but a measurement, is left to those.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import isfinite
from struct import Struct
from struct import error as struct_error
from typing import Any

import msgspec

from shared.reading.fast_path import fast_rows, further_members
from shared.reading.fast_path.fast_shapes import LongReading, WideRecord
from shared.reading.limits import Limits
from shared.reading.model import Reading, Series, Time
from shared.reading.texts import times
from shared.reading.texts.names import holds_measurements, is_plain_measure
from shared.reading.texts.numbers import quick
from shared.reading.tree import Table

_MAX_NAME_CHARS = 128
_MAX_PLAIN_VALUE = 20_010_101.0
"""Numbers from here on could be a date or a time once more."""
_TIME_NAMES = ("timestamp", "time", "ts")


class _Envelope(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    records: list[WideRecord] = []
    readings: list[LongReading] = []
    batch: str | None = msgspec.field(default=None, name="batchId")
    status: str | None = None


_envelope = msgspec.json.Decoder(_Envelope)
_wide_list = msgspec.json.Decoder(list[WideRecord])
_long_list = msgspec.json.Decoder(list[LongReading])


def batch(raw: bytes, limits: Limits) -> Reading | None:
    """The readings of a documented shape when every one of them is clean; None to use the general steps."""
    if raw[:1] not in (b"{", b"["):
        return None
    lists = _lists(raw)
    if lists is not None:
        wide, long = lists
        if wide:
            return None if long else _wide(wide, limits)
        return _long(long, limits) if long else None
    repeated = further_members.decode(raw)
    if repeated is None:
        return _flat(raw, limits) if raw[:1] == b"[" else None
    if not further_members.are_inert(repeated.members, wide=repeated.wide):
        return None
    return _wide(repeated.rows, limits) if repeated.wide else _long(repeated.rows, limits)


def _lists(raw: bytes) -> tuple[list[WideRecord], list[LongReading]] | None:
    """Wide records and long readings, where the text holds nothing else."""
    if raw[:1] == b"{":
        envelope = _decoded(_envelope.decode, raw)
        return None if envelope is None else (envelope.records, envelope.readings)
    wide = _decoded(_wide_list.decode, raw)
    if wide is not None:
        return wide, []
    long = _decoded(_long_list.decode, raw)
    return None if long is None else ([], long)


def _decoded(decode: Callable[[bytes], Any], raw: bytes) -> Any:
    try:
        return decode(raw)
    except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors too
        return None


def _wide(records: list[WideRecord], limits: Limits) -> Reading | None:
    times_: list[Time] = [record.time for record in records]
    sensors = [record.sensor for record in records]
    rows = [record.data for record in records]
    names = sorted(rows[0])
    if not 0 < len(names) <= limits.metrics or not all(map(_is_plain, names)):
        return None
    series: dict[str, Series] = {}
    try:
        if set(map(len, rows)) != {len(names)}:
            return None
        for name in names:
            values = packed([row[name] for row in rows])
            if max(values) >= _MAX_PLAIN_VALUE:
                return None
            series[name] = Series(name, None, values, (), times_, sensors)
    except KeyError:
        return None
    return Reading(series)


def _flat(raw: bytes, limits: Limits) -> Reading | None:
    """Rows without nesting that are all alike: a time, which is text, and numbers."""
    rows = fast_rows.decode(raw)
    if rows is None:
        return None
    numbers, others = rows
    if len(others) != 1 or not 0 < len(numbers) <= limits.metrics or not all(map(_is_plain, numbers)):
        return None
    ((time_name, stamps),) = others.items()
    if time_name not in _TIME_NAMES or set(map(type, stamps)) != {str} or max(map(len, stamps)) > _MAX_NAME_CHARS:  # type: ignore[arg-type]  # texts
        return None
    sensors: list[str | None] = [None] * len(stamps)
    series: dict[str, Series] = {}
    for name in sorted(numbers):
        try:
            values = packed(numbers[name])  # type: ignore[arg-type]  # None is refused
        except (struct_error, OverflowError):
            return None
        if max(values) >= _MAX_PLAIN_VALUE:
            return None
        series[name] = Series(name, None, values, (), stamps, sensors)
    return Reading(series)


def from_table(table: Table, rejected: Mapping[str, int], limits: Limits) -> Reading | None:
    """The readings of a table whose columns are one time, called so, and numbers that are nothing but measurements."""
    if table.rejected or table.units or table.shape == "row" or not table.ordered_names or table.decimal_comma:
        return None
    stamps: Sequence[Any] | None = None
    measures: dict[str, array[float]] = {}
    for column in table.columns:
        name = column.parts[-1]
        if column.origin == "key" and len(table.columns) > 2:
            continue
        if column.origin != "cell" and not (column.origin == "axis" and name in _TIME_NAMES):
            return None
        if not all(map(holds_measurements, column.parts[:-1])):
            return None
        if name in _TIME_NAMES and stamps is None and len(column.parts) == 1:
            stamps = column.values
            continue
        values = _plain_numbers(column.values) if _is_plain(name) and name not in measures else None
        if values is None:
            return None
        measures[name] = values
    if stamps is None or not 0 < len(measures) <= limits.metrics or set(map(type, stamps)) != {str}:
        return None
    if max(map(len, stamps)) > _MAX_NAME_CHARS or not all(map(str.isascii, stamps)):
        return None
    sensors: list[str | None] = [None] * len(stamps)
    series = {name: Series(name, None, measures[name], (), stamps, sensors) for name in sorted(measures)}
    return Reading(series, rejected)


def _plain_numbers(cells: Sequence[Any]) -> "array[float] | None":
    """The numbers of a column without gaps, none of which could be a time; also of plain numbers in text."""
    kinds = set(map(type, cells))
    try:
        if kinds <= {int, float}:
            values = packed(cells)
        elif kinds == {str}:
            read = quick(cells)
            if read is None:
                return None
            values = read
        else:
            return None
    except (struct_error, OverflowError):
        return None
    return values if isfinite(sum(values)) and max(values) < _MAX_PLAIN_VALUE else None


def _long(readings: list[LongReading], limits: Limits) -> Reading | None:
    groups: defaultdict[str, list[LongReading]] = defaultdict(list)
    for reading in readings:
        groups[reading.metric].append(reading)
    if len(groups) > limits.metrics or "" in groups:
        return None
    series: dict[str, Series] = {}
    for name, group in sorted(groups.items()):
        values = packed([reading.value for reading in group])
        series[name] = Series(
            name, None, values, (), [reading.time for reading in group], [reading.sensor for reading in group]
        )
        if max(values) >= _MAX_PLAIN_VALUE:
            return None
    return Reading(series)


@lru_cache(1024)
def _is_plain(name: str) -> bool:
    return 0 < len(name) <= _MAX_NAME_CHARS and is_plain_measure(name)


def packed(values: Sequence[float]) -> "array[float]":
    """These values; `array` itself would take four times as long."""
    return array("d", _packer(len(values))(*values))


@lru_cache
def _packer(count: int) -> Callable[..., bytes]:
    return Struct(f"{count}d").pack


def chart(raw: bytes, limits: Limits) -> Reading | None:
    """The chart in rows that are all alike, with times as JavaScript writes them; None to look closer."""
    rows = fast_rows.decode(raw)
    if rows is None:
        return None
    numbers, others = rows
    if len(others) != 1 or not numbers or len(numbers) > limits.series:
        return None
    ((time_name, stamps),) = others.items()
    if time_name not in _TIME_NAMES or not all(map(is_plain_measure, numbers)):
        return None
    count = len(stamps)
    if count * len(numbers) > limits.points or set(map(type, stamps)) != {str}:
        return None
    ms = times.javascript(stamps)  # type: ignore[arg-type]  # texts
    if ms is None:
        return None
    return _lines(numbers, ms)


def _lines(numbers: Mapping[str, Sequence[float | None]], ms: "array[float]") -> Reading | None:
    import numpy as np

    stamps = np.frombuffer(ms).astype(np.int64)
    if not len(stamps) or (stamps[1:] <= stamps[:-1]).any():
        return None
    x = array("q", stamps.tobytes())
    series: dict[str, Series] = {}
    for name, cells in numbers.items():
        try:
            values = packed(cells)  # type: ignore[arg-type]  # None is refused
        except (struct_error, OverflowError):  # None, or an integer past the range of a double
            return None
        doubles = np.frombuffer(values)
        if not np.isfinite(doubles).all() or doubles.max() >= _MAX_PLAIN_VALUE:
            return None
        series[name] = Series(name, None, values, x)
    return Reading(series)
