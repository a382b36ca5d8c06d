"""The parts of a document that are tables or pieces of one: what an object and its members can be. Pure."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import msgspec

from shared.errors import Rejected
from shared.reading.layouts import rows
from shared.reading.limits import Limits
from shared.reading.texts import times
from shared.reading.texts.names import Hint, hint, is_aside, is_axis, is_container, is_envelope, is_style
from shared.reading.tree import Budget, Column, Path

type Context = tuple[tuple[Path, dict[str, Any]], ...]

SCALARS = frozenset((int, float, str, bool, type(None)))


class Fragment(msgspec.Struct):
    """A table, or a piece of one.

    `shape`: rows, row, points, columns, keyed, values (a list without an axis), grid (rows of lists whose names are
    looked for). `context`: the objects around it, from the outside in, each with its path.
    """

    path: Path
    shape: str
    columns: list[Column]
    length: int
    context: Context
    rejected: Counter[str] = msgspec.field(default_factory=Counter)
    lists: list[list[Any]] = []
    """The rows of a grid."""
    decimal_comma: bool = False
    encoding: tuple[str, ...] = ()


def time_keyed(members: dict[str, Any], path: Path, context: Context) -> Fragment | None:
    """`{time: number, ...}`: the members are points."""
    if not rows.keys_are_times(members) or not set(map(type, members.values())) <= SCALARS:
        return None
    values = list(members.values())
    if not rows.is_numeric(values):
        return None
    columns = [Column(("x",), list(members), "key"), Column(("value",), values)]
    return Fragment(path, "points", columns, len(values), context)


def numbered(members: dict[str, Any], path: Path, context: Context) -> Fragment | None:
    """`{"0": number, "60": number, ...}`: values keyed by their distance from the first one, all steps alike."""
    if len(members) < 3 or not path or not _are_row_keys(members) or "0" not in members:
        return None
    places = list(map(int, members))
    step = places[1] - places[0]
    if step <= 0 or any(right - left != step for left, right in pairwise(places)):
        return None
    values = list(members.values())
    if not set(map(type, values)) <= SCALARS or not rows.is_numeric(values):
        return None
    own = path[-2] if len(path) > 1 and is_container(str(path[-1])) else None
    around = (*context, (path, {"name": own})) if type(own) is str and not is_container(own) else context
    return Fragment(path, "points", [Column(("x",), places, "axis"), Column(("value",), values)], len(values), around)


def keyed_rows(
    members: dict[str, Any], path: Path, context: Context, budget: Budget, limits: Limits
) -> Fragment | None:
    """`{row: {column: cell}}` or `{column: {row: cell}}`: an object of objects with the same members."""
    if (
        not members
        or set(map(type, members.values())) != {dict}
        or (len(members) > 1 and is_aside(next(iter(members))))
    ):
        return None
    inner = list(members.values())
    keys = inner[0].keys()
    if not keys or not all(set(map(type, item.values())) <= SCALARS for item in inner):
        return None
    alike = all(item.keys() == keys for item in inner)
    if (alike or len(inner) > 1) and (_are_row_keys(inner[0]) or rows.keys_are_times(inner[0])):
        labels = list(dict.fromkeys(key for item in inner for key in item))
        if len(labels) * len(inner) > limits.cells or len(inner) > limits.columns:
            raise Rejected(f"more than {limits.cells:,} cells")
        columns = [Column(("index",), labels, "index")]
        columns += [Column((name,), [item.get(label) for label in labels]) for name, item in members.items()]
        return Fragment(path, "keyed", columns, len(labels), context)
    keyed = _are_row_keys(members) or rows.keys_are_times(members)
    if not keyed and not (alike and len(inner) > 1 and _is_labelled(keys)):
        return None
    columns = rows.expand_points(rows.columns_of(inner, budget, limits))
    if not any(rows.may_be_measure(column) for column in columns):
        return None
    origin = ("index", "index") if keyed else ("key", "key")
    columns.insert(0, Column((origin[0],), list(members), origin[1]))
    return Fragment(path, "keyed", columns, len(inner), context)


def draws(members: dict[str, Any]) -> bool:
    """Whether an object is a part of a drawing: values, beside which lists may style them."""
    return type(members.get("data")) is list or (
        type(members.get("y")) is list and type(members.get("x")) in (list, str)
    )


def is_annotation(members: dict[str, Any]) -> bool:
    """Whether an object is a series that marks another one: error bars and flags (Highcharts)."""
    return members.get("type") in ("errorbar", "flags", "scrollbar", "navigator") and "data" in members


def columns_beside(members: dict[str, Any], path: Path, context: Context, limits: Limits) -> Fragment | None:
    """Lists beside each other that share an axis: times, or a list with the name of an axis."""
    lists = {
        name: value
        for name, value in members.items()
        if type(value) is list and value and set(map(type, value)) <= SCALARS
    }
    if draws(members):
        lists = {name: value for name, value in lists.items() if not is_style(name)}
    if not lists or len(lists) > limits.columns:
        return None
    axis, timed = _axis_of(lists)
    tables = any(map(_holds_rows, members.values()))
    if not timed and any(map(_holds_rows_inside, members.values())):
        return None  # summaries beside an object with the table
    if axis is None and (tables or len(set(map(len, lists.values()))) != 1 or len(lists) == 1):
        return None
    length = len(lists[axis]) if axis is not None else len(next(iter(lists.values())))
    columns, rejected = _cut_columns(lists, length, axis)
    nested = members.get("y")
    if type(nested) is dict:
        inner = {name: value for name, value in nested.items() if type(value) is list and value}
        more, surplus = _cut_columns(inner, length, None)
        columns += more
        rejected += surplus
    measures = [column for column in columns if column.parts[0] != axis and rows.is_numeric(column.values)]
    if not measures:
        return None
    if axis is None and not any(rows.may_be_measure(column) for column in measures):
        return None
    around = context_with(context, path, members)
    return Fragment(path, "columns", columns, length, around, rejected)


def is_timed(members: dict[str, Any]) -> bool:
    """Whether an object has the time of a measurement."""
    return any(
        hint(name).hint is Hint.TIME and hint(name).rank <= 1 and times.looks_like_time(value)
        for name, value in members.items()
        if type(value) in (str, int, float)
    )


def is_reading(members: dict[str, Any]) -> bool:
    """Whether an object has the time of a measurement and a measure of its own, beside whatever lists it holds."""
    return is_timed(members) and any(
        rows.may_be_measure(Column((name,), [value])) for name, value in members.items() if type(value) in (int, float)
    )


def single_row(
    members: dict[str, Any], path: Path, context: Context, budget: Budget, limits: Limits
) -> Fragment | None:
    """One object as one row: it has a measure, and a time or the measure directly."""
    flat = {name: value for name, value in members.items() if not (type(value) is dict and is_aside(name))}
    if not flat or any(is_envelope(str(step)) for step in path):
        return None
    columns = [
        column
        for column in rows.expand_points(rows.columns_of([flat], budget, limits))
        if type(column.values[0]) in SCALARS or isinstance(column.values[0], datetime)
    ]
    measures = [column for column in columns if rows.may_be_measure(column)]
    if not measures:
        return None
    timed = any(rows.may_be_time(column) or column.parts[-1] in ("timestamp", "ts", "time") for column in columns)
    if not timed and not any(len(column.parts) == 1 for column in measures):
        return None
    return Fragment(path, "row", columns, 1, context)


def context_with(context: Context, path: Path, members: dict[str, Any]) -> Context:
    """The context of columns that stand directly in `members`: its plain members are context too."""
    return (*context, (path, {name: value for name, value in members.items() if type(value) is not list}))


def _are_row_keys(members: dict[str, Any]) -> bool:
    """Whether the members are numbered: "0", "1", ..."""
    first, last = next(iter(members)), next(reversed(members))
    return first.isdecimal() and last.isdecimal() and len(last) <= 9 and all(map(str.isdecimal, members))


def _is_labelled(keys: Any) -> bool:
    """Whether the members of an object are those of a reading: a value or a time among them."""
    return any(hint(key).hint in (Hint.VALUE, Hint.AGGREGATE, Hint.TIME) for key in keys)


def _axis_of(lists: dict[str, list[Any]]) -> tuple[str | None, bool]:
    """The list that orders the others, and whether it holds times: these first, then a name such as x or labels beside
    a list of its length."""
    timed = [name for name, values in lists.items() if _is_time_list(name, values)]
    if timed:
        return min(timed, key=lambda name: (hint(name).hint is not Hint.TIME, hint(name).rank)), True
    for name, values in lists.items():
        others = [other for key, other in lists.items() if key != name and len(other) == len(values)]
        if is_axis(name) and hint(name).hint is not Hint.INDEX and others and any(map(rows.is_numeric, others)):
            return name, False
    return None, False


def _is_time_list(name: str, values: Sequence[Any]) -> bool:
    sample = [value for value in (values[0], values[len(values) // 2], values[-1]) if value is not None]
    if not sample:
        return False
    if type(sample[0]) is str:
        return all(times.is_date_text(value) for value in sample) or (
            hint(name).hint is Hint.TIME and any(times.looks_like_time(value) for value in values[:50])
        )
    timely = hint(name).hint is Hint.TIME or is_axis(name)
    return timely and any(type(value) in (int, float) and times.is_epoch(value) for value in sample)


def _cut_columns(lists: dict[str, list[Any]], length: int, axis: str | None) -> tuple[list[Column], Counter[str]]:
    """Columns of `length` rows: shorter lists are filled up with None, what is longer than the axis is counted."""
    rejected: Counter[str] = Counter()
    columns = []
    for name, values in lists.items():
        cut = values
        if len(values) > length:
            rejected["value without a place on the axis"] += len(values) - length
            cut = values[:length]
        elif len(values) < length and set(map(type, values)) == {str}:
            if len(values) > 1:
                continue  # names of something else
            cut = values * length  # one name for all
        elif len(values) * 2 < length:
            rejected["list of another length"] += len(values)
            continue  # belongs to something else
        elif len(values) < length:
            cut = values + [None] * (length - len(values))
        columns.append(Column((name,), cut, "axis" if name == axis else "cell"))
    return columns, rejected


def _holds_rows(value: Any) -> bool:
    return type(value) is list and bool(value) and type(value[0]) in (list, dict)


def _holds_rows_inside(value: Any) -> bool:
    return type(value) is dict and any(map(_holds_rows, value.values()))


def is_plain(column: Column) -> bool:
    return not any(kind is list or kind is dict for kind in set(map(type, column.values)) - SCALARS) or _mostly_plain(
        column
    )


def _mostly_plain(column: Column) -> bool:
    """Whether lists and objects are the exception in a column, or stand among numbers: cells that could not be read."""
    if any(type(value) is int or type(value) is float for value in column.values):
        return True
    odd = sum(1 for value in column.values if type(value) is list or type(value) is dict)
    return odd * 2 < len(column.values)


def has_measure(fragment: Fragment) -> bool:
    if fragment.shape == "grid":
        return any(rows.is_numeric(inner) for inner in fragment.lists[:50])
    return any(rows.may_be_measure(column) for column in fragment.columns)
