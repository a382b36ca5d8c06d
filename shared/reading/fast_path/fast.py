"""The two documented shapes of a batch and the dashboard's rows of a chart, decoded straight into structs. Pure.

What is read here is read the same way by the general steps: a test compares both. Whatever these decoders or checks do
not take, such as one odd value, a member more or a name that could be anything but a measurement, is left to those.
"""

import re
from array import array
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import isfinite
from struct import Struct
from struct import error as struct_error
from typing import Any

from shared.reading.fast_path import documented, fast_rows
from shared.reading.fast_path.documented import MAX_NAME_CHARS, MAX_PLAIN_VALUE, Rows
from shared.reading.limits import Limits
from shared.reading.model import Reading, Series
from shared.reading.texts import times
from shared.reading.texts.names import holds_measurements, is_plain_measure
from shared.reading.texts.numbers import quick
from shared.reading.tree import Table

_TIME_NAMES = ("timestamp", "time", "ts")


def batch(raw: bytes, limits: Limits) -> Reading | None:
    """The readings of a documented shape when every one of them is clean; None to use the general steps."""
    if raw[:1] not in (b"{", b"["):
        return None
    rows = documented.decode(raw)
    if rows is None:
        return _flat(raw, limits) if raw[:1] == b"[" else None
    return _wide(rows, limits) if rows.wide else _long(rows, limits)


def _wide(rows: Rows, limits: Limits) -> Reading | None:
    order = _order(tuple(rows.names), limits.metrics)
    if order is None:
        return None
    columns = [packed(values) for values in rows.values]
    times_, sensors = rows.times, rows.sensors
    return Reading({name: Series(name, None, columns[place], (), times_, sensors) for name, place in order})


@lru_cache
def _order(names: tuple[str, ...], most: int) -> list[tuple[str, int]] | None:
    """Names and places of measures by name; None where one is not plainly a measure."""
    if not 0 < len(names) <= most or not all(map(_is_plain, names)):
        return None
    return sorted(zip(names, range(len(names)), strict=True))


def _flat(raw: bytes, limits: Limits) -> Reading | None:
    """Rows without nesting that are all alike: a time, which is text, and numbers."""
    rows = fast_rows.decode(raw)
    if rows is None:
        return None
    numbers, others = rows
    if len(others) != 1 or not 0 < len(numbers) <= limits.metrics or not all(map(_is_plain, numbers)):
        return None
    ((time_name, stamps),) = others.items()
    if time_name not in _TIME_NAMES or set(map(type, stamps)) != {str} or max(map(len, stamps)) > MAX_NAME_CHARS:  # type: ignore[arg-type]  # texts
        return None
    if not all(map(_is_dated, stamps)):  # type: ignore[arg-type]  # texts
        return None
    sensors: list[str | None] = [None] * len(stamps)
    series: dict[str, Series] = {}
    for name in sorted(numbers):
        try:
            values = packed(numbers[name])  # type: ignore[arg-type]  # None is refused
        except (struct_error, OverflowError):
            return None
        if max(values) >= MAX_PLAIN_VALUE:
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
    if max(map(len, stamps)) > MAX_NAME_CHARS or not all(map(_is_dated, stamps)):
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
    return values if isfinite(sum(values)) and max(values) < MAX_PLAIN_VALUE else None


def _long(rows: Rows, limits: Limits) -> Reading | None:
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(rows.names):
        groups[name].append(place)
    if len(groups) > limits.metrics or "" in groups:
        return None
    series: dict[str, Series] = {}
    (column,) = rows.values
    for name, places in sorted(groups.items()):
        values = packed([column[place] for place in places])
        times_ = [rows.times[place] for place in places]
        series[name] = Series(name, None, values, (), times_, [rows.sensors[place] for place in places])
    return Reading(series)


_is_dated = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").match
"""Other texts may be numbers or times of day, which a look at the whole column decides."""


@lru_cache(1024)
def _is_plain(name: str) -> bool:
    return 0 < len(name) <= MAX_NAME_CHARS and is_plain_measure(name)


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
        if not np.isfinite(doubles).all() or doubles.max() >= MAX_PLAIN_VALUE or doubles.min() <= -(2**53):
            return None  # it could be a time, or an integer that no double holds
        series[name] = Series(name, None, values, x)
    return Reading(series)
