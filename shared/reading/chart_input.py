"""A chart's payload as its writer shaped it, read into one form: named series of (time, value) points.

The shapes, each also inside `{"value": ..., "expires": ...}` or `{"data": ...}`, and there also as a JSON text:

- wide rows: `[{"timestamp": ..., "co2Flow": 1.2, "waterFlow": 30.1}, ...]`, every numeric field a series;
- Chart.js: `{"labels": [...], "datasets": [{"label": ..., "data": [1.2, ...] or [{"x": ..., "y": ...}, ...]}]}`;
- columns: `{"x": [...], "y": [...]}`, where y may be an object of named lists and other lists may stand beside x.

A field or column of times goes by any name of TIME_FIELDS. What is no number (null, text, booleans, NaN,
Infinity) is a point that is not there; so is a time that is none, or outside 1970 to 9999.
"""

import math
import re
import sys
from array import array
from collections.abc import Container, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from operator import itemgetter
from types import NoneType
from typing import TYPE_CHECKING, TypeGuard, cast

from shared.errors import Rejected
from shared.reading import chart_rows
from shared.reading.json_text import decode_json

if TYPE_CHECKING:
    import numpy as np

    type Floats = np.ndarray[tuple[int], np.dtype[np.float64]]
    type Integers = np.ndarray[tuple[int], np.dtype[np.int64]]

TIME_FIELDS = ("timestamp", "time", "ts", "t", "date", "x")
"""Where a time is looked for, in this order."""
MAX_SERIES = 64
MAX_NAME_CHARS = 128
MAX_POINTS = 1_000_000
"""Of all series together."""
MAX_WRAPPERS = 6
"""Two wrappers and a `data` member, each holding its content as a JSON text."""
MAX_TIME_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""

# A number tells its unit by its magnitude: 1e11 is the year 5138 in seconds and March 1973 in milliseconds, and so
# on for 1e14 and 1e17.
_MS_FROM, _US_FROM, _NS_FROM = 1e11, 1e14, 1e17
_NUMBER_TEXT = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?")
_JAVASCRIPT_LINE = b"0000-00-00T00:00:00.000Z\n"
_DIGITS_AS_ZERO = bytes.maketrans(b"123456789", b"000000000")
_YEAR_OR_MONTH = re.compile(r"[0-9]{4}(-[0-9]{2})?")


@dataclass(frozen=True)
class Series:
    """One line of a chart: `times_ms` (epoch, strictly ascending) and the finite `values` at them, at least one."""

    name: str
    unit: str | None
    times_ms: "Integers"
    values: "Floats"


@dataclass(frozen=True)
class Chart:
    """What a payload holds. `points` counts the distinct times that have a value in any series."""

    series: tuple[Series, ...]
    points: int


@dataclass(frozen=True)
class _Column:
    """Values as they were found, each at the time (epoch ms, or NaN for none) of the same index."""

    name: str
    times_ms: "Floats"
    values: Sequence[object]
    unit: str | None = None
    plain: bool = False
    """Whether it is known that all values are numbers or None."""


def parse(raw: bytes) -> Chart:
    """The chart in a payload. Raises Rejected with the reason, which never holds input."""
    import numpy as np

    columns = [column for column in _found(raw) if any(map(_is_number, column.values))]
    if len(columns) > MAX_SERIES:
        raise _too_many_series()
    if sum(len(column.values) for column in columns) > MAX_POINTS:
        raise Rejected(f"more than {MAX_POINTS:,} points")
    if columns and all(np.isnan(column.times_ms).all() for column in columns):
        raise Rejected("no label or time field holds a time")
    series = _named_apart(found for column in columns if (found := _series(column)) is not None)
    if not series:
        raise Rejected("no points")
    return Chart(series, _distinct_times(series))


def _found(raw: bytes) -> list[_Column]:
    """The columns of a payload, those of wide rows without a detour."""
    rows = chart_rows.decode(raw)
    if rows is None:
        return _columns(decode_json(raw))
    numbers, others = rows
    fields = numbers | others
    time_field = _time_field(fields)
    times_ms = _times_ms(fields[time_field])
    return [_Column(name, times_ms, values, plain=True) for name, values in numbers.items() if name != time_field]


def _time_field(*rows: Container[str]) -> str:
    field = next((field for row in rows for field in TIME_FIELDS if field in row), None)
    if field is None:
        raise Rejected("no row has a time field")
    return field


def _columns(value: object) -> list[_Column]:
    """The columns of whichever shape is found inside all that is wrapped around it."""
    for _ in range(MAX_WRAPPERS + 1):
        match value:
            case list():
                return _from_rows(value)
            case {"datasets": list(datasets), **others}:
                return _from_chart_js(others.get("labels"), datasets)
            case dict() if time_field := next((field for field in TIME_FIELDS if type(value.get(field)) is list), None):
                return _from_columns(value, time_field)
            case {"value": inner} | {"data": inner}:
                value = inner
            case str():
                value = decode_json(value.encode("utf-8", "surrogatepass"))
            case _:
                raise Rejected("no shape of a chart that is known")
    raise Rejected("wrapped too often")


def _from_rows(items: list[object]) -> list[_Column]:
    rows = [item for item in items if isinstance(item, dict)]
    if not rows:
        raise Rejected("a list, but not of rows" if items else "no points")
    time_field = _time_field(*rows)
    names = tuple(rows[0])
    if len(names) > 1 and sum(map(len, rows)) == len(names) * len(rows):
        try:
            fields = dict(zip(names, zip(*map(itemgetter(*names), rows), strict=True), strict=True))
        except KeyError:
            return _from_uneven_rows(rows, time_field)
        times_ms = _times_ms(fields.pop(time_field))
        return [_Column(name, times_ms, values) for name, values in fields.items()]
    return _from_uneven_rows(rows, time_field)


def _from_uneven_rows(rows: list[dict[str, object]], time_field: str) -> list[_Column]:
    """Rows that differ in their fields, in time linear in the payload however many fields there are."""
    times_ms = _times_ms([row.get(time_field) for row in rows])
    fields: dict[str, tuple[list[int], list[object]]] = {}
    for index, row in enumerate(rows):
        for name, value in row.items():
            if name == time_field or not _is_number(value):
                continue
            if name not in fields:
                if len(fields) == MAX_SERIES:
                    raise _too_many_series()
                fields[name] = [], []
            fields[name][0].append(index)
            fields[name][1].append(value)
    return [_Column(name, times_ms[indices], values) for name, (indices, values) in fields.items()]


def _from_chart_js(labels: object, datasets: list[object]) -> list[_Column]:
    if len(datasets) > MAX_SERIES:
        raise _too_many_series()
    label_times_ms = _times_ms(labels if isinstance(labels, list) else [])
    columns = []
    for number, dataset in enumerate(datasets, 1):
        match dataset:
            case {"data": list(data), **others}:
                label, unit = others.get("label"), others.get("unit")
                name = label if isinstance(label, str) else f"series {number}"
                columns.append(_from_dataset(name, unit if isinstance(unit, str) else None, label_times_ms, data))
    return columns


def _from_dataset(name: str, unit: str | None, label_times_ms: "Floats", data: list[object]) -> _Column:
    if not any(isinstance(item, dict) for item in data):
        return _column(name, label_times_ms, data, unit)
    pairs = [item if isinstance(item, dict) else {} for item in data]
    return _column(name, _times_ms([pair.get("x") for pair in pairs]), [pair.get("y") for pair in pairs], unit)


def _from_columns(shape: dict[str, object], time_field: str) -> list[_Column]:
    times = shape[time_field]
    times_ms = _times_ms(times if isinstance(times, list) else [])
    named = shape.get("y")
    fields = chain(shape.items(), named.items() if isinstance(named, dict) else ())
    return [_column(name, times_ms, data) for name, data in fields if name != time_field and isinstance(data, list)]


def _column(name: str, times_ms: "Floats", values: Sequence[object], unit: str | None = None) -> _Column:
    """A column as long as the shorter of its two sides."""
    length = min(len(times_ms), len(values))
    return _Column(name, times_ms[:length], values[:length], unit)


def _series(column: _Column) -> Series | None:
    """The points of a column in order of time, the last one where a time repeats; None when there are none."""
    import numpy as np

    values, times_ms = _floats(column.values, plain=column.plain), column.times_ms
    usable = np.isfinite(values) & (times_ms >= 0) & (times_ms <= MAX_TIME_MS)
    if not usable.all():
        times_ms, values = times_ms[usable], values[usable]
    whole_ms = times_ms.astype(np.int64)
    if (whole_ms[1:] <= whole_ms[:-1]).any():
        order = np.argsort(whole_ms, kind="stable")
        last_of_its_time = order[np.append(np.diff(whole_ms[order]) > 0, True)]
        whole_ms, values = whole_ms[last_of_its_time], values[last_of_its_time]
    return Series(column.name, column.unit, whole_ms, values) if len(values) else None


def _distinct_times(series: Sequence[Series]) -> int:
    import numpy as np

    first, *others = (one.times_ms for one in series)
    if all(np.array_equal(first, one) for one in others):
        return len(first)
    return len(np.unique(np.concatenate([first, *others])))


def _floats(values: Sequence[object], *, plain: bool = False) -> "Floats":
    """Values as doubles, NaN where one is no number or an integer past their range."""
    import numpy as np

    if plain or set(map(type, values)) <= {float, int, NoneType}:
        with suppress(OverflowError):
            try:
                return np.frombuffer(array("d", cast("Sequence[float]", values)))
            except TypeError:  # None is among them
                return np.array(values, dtype=np.float64)
    return np.array([_float(value) for value in values], dtype=np.float64)


def _float(value: object) -> float:
    try:
        return float(value) if _is_number(value) else math.nan
    except OverflowError:
        return math.nan


def _is_number(value: object) -> TypeGuard[int | float]:
    return type(value) is float or type(value) is int


def _times_ms(items: Sequence[object]) -> "Floats":
    """Epoch milliseconds of each item, NaN where it is no time."""
    import numpy as np

    times_ms = _javascript_times_ms(items)
    return np.rint(np.array([_time_ms(item) for item in items], dtype=np.float64)) if times_ms is None else times_ms


def _javascript_times_ms(items: Sequence[object]) -> "Floats | None":
    """The same, many times as fast, where every item is as JavaScript's `toISOString` writes it; else None."""
    import numpy as np

    try:
        lines = ("\n".join(cast("Sequence[str]", items)) + "\n").encode("ascii")
        # No item can hold a line break: there are as many of them as items, and they stand behind each.
        if lines.translate(_DIGITS_AS_ZERO) != _JAVASCRIPT_LINE * len(items):
            return None
        # Without its Z: numpy knows no zones.
        texts = np.ndarray(len(items), f"S{len('0000-00-00T00:00:00.000')}", lines, strides=len(_JAVASCRIPT_LINE))
        return texts.astype("datetime64[ms]").astype(np.float64)
    except (TypeError, ValueError):  # no text, not ASCII, or a thirteenth month: it is looked at one by one
        return None


def _time_ms(item: object) -> float:
    """Epoch milliseconds; NaN where `item` is no time. A time without a zone is UTC."""
    if type(item) is str:
        # Numbers first: ISO 8601's basic form would find a date in many of them. As a number, "2024" is no year.
        if item[4:5] == "-" or not _NUMBER_TEXT.fullmatch(item) or len(item) in (4, 8):
            return _iso_ms(item)
        return _number_ms(float(item))
    return _number_ms(item) if _is_number(item) else math.nan


def _iso_ms(text: str) -> float:
    if _YEAR_OR_MONTH.fullmatch(text):
        text = f"{text}-01-01"[:10]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return math.nan
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp() * 1e3


def _number_ms(number: float) -> float:
    size = abs(number)
    if size < _MS_FROM:
        return number * 1e3
    if size < _US_FROM:
        return number
    if size < _NS_FROM:
        return number / 1e3
    return number / 1e6 if size <= sys.float_info.max else math.inf


def _named_apart(found: Iterable[Series]) -> tuple[Series, ...]:
    """The series with names that are bounded, can be written as UTF-8 and differ from each other."""
    by_name: dict[str, Series] = {}
    for series in found:
        stem = name = _text(series.name)
        number = 1
        while name in by_name:
            number += 1
            suffix = f" ({number})"
            name = stem[: MAX_NAME_CHARS - len(suffix)] + suffix
        by_name[name] = replace(series, name=name, unit=None if series.unit is None else _text(series.unit))
    return tuple(by_name.values())


def _text(text: str) -> str:
    """`text` with lone surrogates escaped, cut to MAX_NAME_CHARS."""
    return text[:MAX_NAME_CHARS].encode("utf-8", "backslashreplace").decode()[:MAX_NAME_CHARS]


def _too_many_series() -> Rejected:
    return Rejected(f"more than {MAX_SERIES} series")
