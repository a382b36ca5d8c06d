"""Rows of objects made into columns: nested members flattened, wrapped cells unwrapped. Pure."""

from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from operator import itemgetter
from typing import Any, cast

from shared.errors import Rejected
from shared.reading.documents import document
from shared.reading.limits import Limits
from shared.reading.texts import times
from shared.reading.texts.names import Hint, hint, is_envelope
from shared.reading.tree import Budget, Column

MAX_NESTING = 5
_TYPED_CELLS = frozenset(("S", "N", "BOOL", "NULL", "ScalarValue", "VarCharValue", "NullValue", "Scalar"))
_WHOLE_SECONDS = frozenset(("seconds", "_seconds", "secs", "sec", "tv_sec", "s"))
_SUBSECONDS = {
    "nanos": 1e-9, "nanoseconds": 1e-9, "_nanoseconds": 1e-9, "nsecs": 1e-9, "nsec": 1e-9, "nanosec": 1e-9,
    "tv_nsec": 1e-9, "ns": 1e-9, "usec": 1e-6, "tv_usec": 1e-6, "micros": 1e-6, "ms": 1e-3,
}  # fmt: skip
_BARE = frozenset((int, float, str, bool, type(None)))


def columns_of(
    rows: Sequence[dict[str, Any]], budget: Budget, limits: Limits, prefix: tuple[str, ...] = ()
) -> list[Column]:
    """The columns of rows, in the order in which they first appear. Lists, and objects keyed by time, stay cells.

    Raises Rejected for more cells or columns than `limits` allow.
    """
    columns: list[Column] = []
    for name, cells in _raw_columns(rows, limits):
        values = cells
        kinds = set(map(type, values))
        if kinds <= _BARE:
            if str in kinds and _holds_documents(values):
                values = _decoded(values, budget)
                kinds = set(map(type, values))
            if dict not in kinds:
                columns.append(Column((*prefix, name), values))
                continue
        if dict not in kinds:
            columns.append(Column((*prefix, name), values))
            continue
        unwrapped = _unwrapped(values)
        if unwrapped is not None:
            columns.append(Column((*prefix, name), unwrapped))
        elif len(prefix) < MAX_NESTING and kinds <= {dict, type(None)} and not _keyed_by_time(values):
            inner = [value if value is not None else {} for value in values]
            columns.extend(columns_of(inner, budget, limits, (*prefix, name)))
        else:
            columns.append(Column((*prefix, name), values))
    if len(columns) > limits.columns:
        raise Rejected(f"more than {limits.columns:,} columns")
    return columns


def _raw_columns(rows: Sequence[dict[str, Any]], limits: Limits) -> list[tuple[str, Sequence[Any]]]:
    names = tuple(rows[0])
    if len(names) > 1 and sum(map(len, rows)) == len(names) * len(rows):
        try:
            return list(zip(names, zip(*map(itemgetter(*names), rows), strict=True), strict=True))
        except KeyError:
            pass
    elif len(names) == 1 and all(len(row) == 1 and names[0] in row for row in rows):
        return [(names[0], [row[names[0]] for row in rows])]
    names = tuple(dict.fromkeys(chain.from_iterable(rows)))
    if len(names) > limits.columns:
        raise Rejected(f"more than {limits.columns:,} columns")
    if len(names) * len(rows) > limits.cells:
        raise Rejected(f"more than {limits.cells:,} cells")
    return [(name, [row.get(name) for row in rows]) for name in names]


def cell(value: Any) -> Any:
    """A cell without its wrapper: extended JSON (`{"$date": ...}`), typed values (`{"doubleValue": 1.5}`)."""
    for _ in range(4):
        if type(value) is not dict or not 1 <= len(value) <= 2:
            return value
        if len(value) == 1:
            ((key, inner),) = value.items()
            if not (
                (key.startswith("$") and key[1:].isalpha())
                or key in _TYPED_CELLS
                or (key.endswith("Value") and len(key) > 5)
            ):
                return value
            value = None if key in ("NULL", "NullValue", "nullValue", "isNull") else inner
        else:
            return _seconds_and_parts(value)
    return value


def _seconds_and_parts(value: dict[str, Any]) -> Any:
    """The seconds of a time in two numbers, `{"secs": ..., "nsecs": ...}`; any other object as it is."""
    (first, seconds), (second, parts) = value.items()
    if first in _SUBSECONDS:
        first, seconds, second, parts = second, parts, first, seconds
    scale = _SUBSECONDS.get(second)
    if first not in _WHOLE_SECONDS or scale is None or type(parts) is not int or not 0 <= parts < 1e10:
        return value
    if type(seconds) is not int and not (type(seconds) is str and seconds.isdecimal() and len(seconds) < 16):
        return value
    return value if abs(int(seconds)) > 1e15 else int(seconds) + parts * scale


def _unwrapped(values: Sequence[Any]) -> list[Any] | None:
    """The cells without wrappers, if every object among them is one; else None."""
    cells = [cell(value) for value in values]
    return cells if all(type(value) is not dict for value in cells) else None


def _keyed_by_time(values: Sequence[Any]) -> bool:
    first = next((value for value in values if type(value) is dict and value), None)
    return first is not None and keys_are_times(first)


def keys_are_times(value: dict[str, Any]) -> bool:
    """Whether an object's first and last members are named by times."""
    first = next(iter(value), "")
    if not isinstance(first, str) or (not first[:1].isdigit() and not first[:3].isalpha()):
        return False
    last = next(reversed(value), "")
    return all(len(key) >= 7 and times.looks_like_time(key) and not key.isalpha() for key in (first, last))


def _holds_documents(values: Sequence[Any]) -> bool:
    """Whether texts look like documents: JSON objects or lists, or base64 of one."""
    first = next((value for value in values if value), None)
    if type(first) is not str or len(first) < 2:
        return False
    head = first.lstrip()[:3]
    return (head[:1] in ("{", "[") and first.rstrip()[-1:] in ("}", "]")) or (
        len(first) >= 16 and head in ("eyJ", "ewo", "eyA", "W3s", "H4s", "KLU")
    )


def _decoded(values: Sequence[Any], budget: Budget) -> list[Any]:
    cells = []
    for value in values:
        decoded = document.decode_member(value, budget) if type(value) is str else None
        cells.append(value if decoded is None else decoded.value)
    return cells


def expand_points(columns: list[Column]) -> list[Column]:
    """Columns whose cells are all `[time, value]` or `[x, y]` made into two; dates as lists of numbers as text."""
    expanded: list[Column] = []
    for column in columns:
        lists = [value for value in column.values if value is not None]
        if not lists or set(map(type, lists)) != {list}:
            expanded.append(column)
            continue
        if all(_is_date_list(value) for value in lists):
            expanded.append(
                Column(
                    column.parts, [None if value is None else _date(value) for value in column.values], column.origin
                )
            )
        elif column.parts[-1] == "key" and all(_is_compound_key(value) for value in lists):
            for place in range(len(lists[0])):
                values = [None if value is None else value[place] for value in column.values]
                if type(lists[0][place]) is str or any(map(times.looks_like_time, values[:1])):
                    expanded.append(Column((*column.parts, str(place)), values, column.origin))
        elif set(map(len, lists)) == {2} and any(times.looks_like_time(value) for value in lists[0]):
            for place, name in enumerate(("x", "value")):
                values = [None if value is None else value[place] for value in column.values]
                expanded.append(Column((*column.parts, name), values, column.origin))
        else:
            expanded.append(column)
    return expanded


def _is_compound_key(value: Sequence[object]) -> bool:
    """Whether a list is a key of several parts, as views of CouchDB have them: a time or a name first."""
    return 1 < len(value) <= 6 and set(map(type, value)) <= _BARE and type(value[0]) is str


def _is_date_list(value: Sequence[object]) -> bool:
    """Whether a list is year, month, day, hour, minute and so on, as Jackson writes a LocalDateTime."""
    return (
        5 <= len(value) <= 7
        and set(map(type, value)) == {int}
        and 2001 <= cast("int", value[0]) <= 2100
        and 1 <= cast("int", value[1]) <= 12
        and 1 <= cast("int", value[2]) <= 31
    )


def _date(parts: Sequence[int]) -> str | None:
    seconds = parts[5] if len(parts) > 5 else 0
    nanos = parts[6] if len(parts) > 6 else 0
    try:
        year, month, day, hour, minute = parts[:5]
        moment = datetime(year, month, day, hour, minute, seconds, nanos // 1000)  # noqa: DTZ001  # written without a zone
    except ValueError:
        return None
    return moment.isoformat()


_NO_MEASURES = frozenset(
    (
        Hint.IDENTIFIER,
        Hint.INDEX,
        Hint.BOOKKEEPING,
        Hint.UNIT,
        Hint.CALENDAR,
        Hint.TIME,
        Hint.SENSOR,
        Hint.QUALITY,
        Hint.NOTE,
        Hint.CODE,
    )
)


def is_numeric(values: Sequence[Any]) -> bool:
    """Whether a column has a number, or a text that is one."""
    from shared.reading.texts.numbers import is_number_text

    kinds = set(map(type, values))
    if int in kinds or float in kinds:
        return True
    return str in kinds and any(type(value) is str and is_number_text(value) for value in values[:50])


def may_be_measure(column: Column) -> bool:
    """Whether a column of numbers is not clearly something else by its name."""
    named = hint(column.parts[-1])
    if named.hint in _NO_MEASURES or (named.hint is Hint.COORDINATE and named.rank == 0):
        return False
    if len(column.parts) > 1 and any(map(is_envelope, column.parts[:-1])):
        return False
    return is_numeric(column.values)


def is_measuring_time(column: Column) -> bool:
    """Whether a column could be the time of a measurement, by its name too."""
    named = hint(column.parts[-1])
    return named.hint is Hint.TIME and named.rank <= 1 and may_be_time(column)


def may_be_time(column: Column) -> bool:
    """Whether a column's first value could be a time."""
    first = next((value for value in column.values if value is not None), None)
    if type(first) is str:
        return times.is_date_text(first) or (hint(column.parts[-1]).hint is Hint.TIME and times.looks_like_time(first))
    if type(first) is int or type(first) is float:
        return hint(column.parts[-1]).hint is Hint.TIME and times.is_epoch(first)
    return isinstance(first, datetime)
