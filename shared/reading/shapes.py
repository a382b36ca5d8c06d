"""Step 2 of reading, first half: every table-like part of a document, wherever it stands. Pure.

A part is a `Fragment`: equal-length columns, the path that leads there and the objects around it. Names that stand
elsewhere and axes shared by several lists are joined later, by shared.reading.tables.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any

import msgspec

from shared.errors import Rejected
from shared.reading import document, grids, rows, times
from shared.reading.document import BadItem
from shared.reading.limits import Limits
from shared.reading.names import Hint, compact, hint, is_aside, is_axis, is_container
from shared.reading.recognisers import typed_arrays
from shared.reading.tree import Budget, Column, Grid, Path

NO_ROW = "neither a record nor a reading"
_SCALARS = frozenset((int, float, str, bool, type(None)))
_MAX_WALK_DEPTH = 40
_MANY_OBJECTS = 100


class Fragment(msgspec.Struct):
    """A table, or a piece of one. `shape`: rows, row, points, columns, keyed, values (a list without an axis), grid
    (rows of lists whose names are looked for). `context`: the objects around it, from the outside in, each with its path."""

    path: Path
    shape: str
    columns: list[Column]
    length: int
    context: tuple[tuple[Path, dict[str, Any]], ...]
    rejected: Counter[str] = msgspec.field(default_factory=Counter)
    lists: list[list[Any]] = []
    """The rows of a grid."""
    decimal_comma: bool = False
    encoding: tuple[str, ...] = ()


class Finder:
    """Collects the fragments of one document, with the lists that may name or order them."""

    def __init__(self, budget: Budget, limits: Limits) -> None:
        self.budget = budget
        self.limits = limits
        self.fragments: list[Fragment] = []
        self.loose: list[tuple[Path, list[Any]]] = []
        self.names: list[tuple[Path, tuple[str, ...]]] = []
        self.rejected: Counter[str] = Counter()

    def walk(self, value: Any, path: Path = (), context: tuple[tuple[Path, dict[str, Any]], ...] = ()) -> None:
        """Look for fragments in `value`. Raises Rejected when the document is too large to search."""
        self.budget.visit()
        if len(path) > _MAX_WALK_DEPTH:
            return
        kind = type(value)
        if kind is dict:
            self._walk_object(value, path, context)
        elif kind is list:
            self._walk_list(value, path, context)
        elif kind is Grid:
            columns = [Column((name,), cells) for name, cells in zip(value.names, value.columns, strict=True)]
            length = len(value.columns[0])
            self.fragments.append(Fragment(path, "rows", columns, length, context, decimal_comma=value.decimal_comma))
        elif kind is str or kind is bytes:
            found = document.decode_member(value, self.budget) if kind is str else self._decoded_bytes(value)
            if found is not None:
                self.walk(found.value, path, context)

    def _decoded_bytes(self, raw: bytes) -> Any:
        try:
            found = document.decode(raw, self.budget)
        except Rejected as caught:
            if str(caught).startswith("more than"):
                raise
            return None
        self.budget.steps.append(found.chain)
        return found

    # Objects

    def _walk_object(
        self, members: dict[str, Any], path: Path, context: tuple[tuple[Path, dict[str, Any]], ...]
    ) -> None:
        members = self._expanded(members, path)
        raw = typed_arrays.buffer_of(members)
        if raw is not None:
            found = self._decoded_bytes(raw)
            if found is not None:
                self.walk(found.value, path, context)
            return
        inside = (*context, (path, members))
        if members and self._time_keyed(members, path, context):
            return
        if self._keyed_rows(members, path, context):
            return
        if self._columns(members, path, context):
            return
        before = len(self.fragments)
        for name, value in members.items():
            kind = type(value)
            if kind in (dict, list, Grid, bytes) or (kind is str and len(value) > 1):
                self.walk(value, (*path, name), inside)
        if not any(fragment.shape != "row" and _has_measure(fragment) for fragment in self.fragments[before:]):
            self._single_row(members, path, context, before)

    def _expanded(self, members: dict[str, Any], path: Path) -> dict[str, Any]:
        """The members, with those that are text and hold a document decoded, and typed arrays as lists."""
        changed: dict[str, Any] = {}
        for name, value in members.items():
            kind = type(value)
            if kind is str and len(value) > 1:
                found = document.decode_member(value, self.budget)
                if found is not None:
                    changed[name] = found.value
            elif kind is dict and ("bdata" in value or "array" in value or "__ndarray__" in value):
                found_numbers = typed_arrays.numbers_of(value)
                if found_numbers is not None:
                    changed[name] = found_numbers
            elif kind is BadItem and not is_aside(name):
                self.rejected[value.reason] += 1
        del path
        return {**members, **changed} if changed else members

    def _time_keyed(
        self, members: dict[str, Any], path: Path, context: tuple[tuple[Path, dict[str, Any]], ...]
    ) -> bool:
        """`{time: number, ...}`: the members are points."""
        if not rows.keys_are_times(members) or not set(map(type, members.values())) <= _SCALARS:
            return False
        values = list(members.values())
        if not rows.is_numeric(values):
            return False
        columns = [Column(("x",), list(members), "key"), Column(("value",), values)]
        self.fragments.append(Fragment(path, "points", columns, len(values), context))
        return True

    def _keyed_rows(
        self, members: dict[str, Any], path: Path, context: tuple[tuple[Path, dict[str, Any]], ...]
    ) -> bool:
        """`{row: {column: cell}}` or `{column: {row: cell}}`: an object of objects with the same members."""
        if (
            not members
            or set(map(type, members.values())) != {dict}
            or (len(members) > 1 and is_aside(next(iter(members))))
        ):
            return False
        inner = list(members.values())
        keys = inner[0].keys()
        if not keys or not all(set(map(type, item.values())) <= _SCALARS for item in inner):
            return False
        alike = all(item.keys() == keys for item in inner)
        if (alike or len(inner) > 1) and (_are_row_keys(inner[0]) or rows.keys_are_times(inner[0])):
            labels = list(dict.fromkeys(key for item in inner for key in item))
            if len(labels) * len(inner) > self.limits.cells or len(inner) > self.limits.columns:
                raise Rejected(f"more than {self.limits.cells:,} cells")
            columns = [Column(("index",), labels, "index")]
            columns += [Column((name,), [item.get(label) for label in labels]) for name, item in members.items()]
            self.fragments.append(Fragment(path, "keyed", columns, len(labels), context))
            return True
        keyed = _are_row_keys(members) or rows.keys_are_times(members)
        if not keyed and not (alike and len(inner) > 1 and _is_labelled(keys)):
            return False
        columns = rows.expand_points(rows.columns_of(inner, self.budget, self.limits))
        if not any(rows.may_be_measure(column) for column in columns):
            return False
        origin = ("index", "index") if keyed else ("key", "key")
        columns.insert(0, Column((origin[0],), list(members), origin[1]))
        self.fragments.append(Fragment(path, "keyed", columns, len(inner), context))
        return True

    def _columns(self, members: dict[str, Any], path: Path, context: tuple[tuple[Path, dict[str, Any]], ...]) -> bool:
        """Lists beside each other that share an axis: times, or a list with the name of an axis."""
        lists = {
            name: value
            for name, value in members.items()
            if type(value) is list and value and set(map(type, value)) <= _SCALARS
        }
        if not lists or len(lists) > self.limits.columns:
            return False
        axis = _axis_of(lists)
        tables = any(type(value) is list and value and type(value[0]) in (list, dict) for value in members.values())
        if axis is None and (tables or len(set(map(len, lists.values()))) != 1 or len(lists) == 1):
            return False
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
            return False
        if axis is None and not any(rows.may_be_measure(column) for column in measures):
            return False
        around = context_with(context, path, members)
        self.fragments.append(Fragment(path, "columns", columns, length, around, rejected))
        return True

    def _single_row(
        self, members: dict[str, Any], path: Path, context: tuple[tuple[Path, dict[str, Any]], ...], before: int
    ) -> None:
        """One object as one row, unless a part of it was found to be one that has a time of its own."""
        if any(
            fragment.shape == "row" and any(map(rows.may_be_time, fragment.columns))
            for fragment in self.fragments[before:]
        ):
            return
        flat = {name: value for name, value in members.items() if not (type(value) is dict and is_aside(name))}
        if not flat:
            return
        columns = [
            column
            for column in rows.expand_points(rows.columns_of([flat], self.budget, self.limits))
            if type(column.values[0]) in _SCALARS or isinstance(column.values[0], times.datetime)
        ]
        measures = [column for column in columns if rows.may_be_measure(column)]
        if not measures:
            return
        timed = any(rows.may_be_time(column) or column.parts[-1] in ("timestamp", "ts", "time") for column in columns)
        if not timed and not any(len(column.parts) == 1 for column in measures):
            return
        del self.fragments[before:]
        self.fragments.append(Fragment(path, "row", columns, 1, context))

    # Lists

    def _walk_list(self, items: list[Any], path: Path, context: tuple[tuple[Path, dict[str, Any]], ...]) -> None:
        if not items:
            return
        kinds = set(map(type, items))
        if BadItem in kinds:
            self.rejected.update(item.reason for item in items if type(item) is BadItem)
            items = [item for item in items if type(item) is not BadItem]
            kinds.discard(BadItem)
            if not items:
                return
        if kinds == {str} and items[0][:1] in ("{", "[", "e") and len(items[0]) > 1:
            items = self._decoded_items(items)
            kinds = set(map(type, items))
        if dict in kinds:
            objects = items if kinds == {dict} else [item for item in items if type(item) is dict]
            if len(objects) < len(items):
                self.rejected[NO_ROW] += len(items) - len(objects)
            self._walk_objects(objects, path, context)
        elif list in kinds:
            self._walk_lists([item for item in items if type(item) is list], path, context)
        elif kinds <= _SCALARS:
            self.loose.append((path, items))
            if kinds == {str}:
                self.names.append((path, tuple(items[: self.limits.columns + 1])))
        elif Grid in kinds:
            for place, item in enumerate(items):
                self.walk(item, (*path, place), context)

    def _decoded_items(self, items: list[Any]) -> list[Any]:
        found = [document.decode_member(item, self.budget) for item in items]
        if not any(found):
            return items
        return [item if decoded is None else decoded.value for item, decoded in zip(items, found, strict=True)]

    def _walk_objects(
        self, objects: list[dict[str, Any]], path: Path, context: tuple[tuple[Path, dict[str, Any]], ...]
    ) -> None:
        objects = _unwrapped_items(objects)
        cells = grids.wrapped_rows(objects)
        if cells is not None:
            self._walk_lists(cells, path, context)
            return
        names = grids.names_of_objects(objects)
        if names is not None:
            self.names.append((path, names))
        columns = rows.expand_points(rows.columns_of(objects, self.budget, self.limits))
        plain = [column for column in columns if _is_plain(column)]
        before = len(self.fragments)
        measured = any(rows.may_be_measure(column) for column in plain)
        timed = any(rows.may_be_time(column) for column in plain)
        nested = {column.parts for column in columns if not _is_plain(column)}
        # Lists beside measurements with a time, such as the gateways that heard a message, hold no readings.
        if measured and timed:
            nested = {parts for parts in nested if is_container(parts[-1])}
        if nested and not self._exploded(objects, columns, plain, path, context):
            self._walk_inside(objects, {parts[0] for parts in nested}, path, context)
            # Single objects inside are flattened into the rows around them.
            self.fragments[before:] = [fragment for fragment in self.fragments[before:] if fragment.shape != "row"]
        if nested:
            inner = [fragment for fragment in self.fragments[before:] if _has_measure(fragment)]
            if inner and not (
                measured and timed and not any(_holds_readings(fragment, len(path)) for fragment in inner)
            ):
                return
            del self.fragments[before:]
        if plain and (measured or timed or names is None):
            self.fragments.append(Fragment(path, "rows", plain, len(objects), context))

    def _exploded(
        self,
        objects: list[dict[str, Any]],
        columns: list[Column],
        plain: list[Column],
        path: Path,
        context: tuple[tuple[Path, dict[str, Any]], ...],
    ) -> bool:
        """Many objects that each hold a list of readings, read at once: what stands around a list is repeated."""
        nested = [column for column in columns if not _is_plain(column)]
        if (
            len(objects) < _MANY_OBJECTS
            or len(nested) != 1
            or len(nested[0].parts) != 1
            or not is_container(nested[0].parts[0])
        ):
            return False
        lists = nested[0].values
        if set(map(type, lists)) != {list} or {type(item) for inner in lists for item in inner} != {dict}:  # type: ignore[attr-defined]  # lists
            return False
        inner = rows.columns_of(list(chain.from_iterable(lists)), self.budget, self.limits)  # type: ignore[arg-type]  # lists
        if not all(set(map(type, column.values)) <= _SCALARS and None not in column.values for column in inner):
            return False
        counts = list(map(len, lists))  # type: ignore[arg-type]  # lists
        names = {column.parts for column in inner}
        for column in plain:
            values = list(chain.from_iterable(map(repeat, column.values, counts)))
            parts = column.parts if column.parts not in names else ("(around)", *column.parts)
            inner.append(Column(parts, values, "context"))
        self.fragments.append(Fragment((*path, 0, nested[0].parts[0]), "rows", inner, sum(counts), context))
        return True

    def _walk_inside(
        self,
        objects: list[dict[str, Any]],
        names: set[str],
        path: Path,
        context: tuple[tuple[Path, dict[str, Any]], ...],
    ) -> None:
        """Look into the members with these names of each object."""
        for place, item in enumerate(objects):
            members = self._expanded(item, path)
            here = (*path, place)
            inside = (*context, (here, members))
            if self._columns(members, here, context):
                continue
            for name, value in members.items():
                if name not in names:
                    continue
                if type(value) is list and value and set(map(type, value)) <= _SCALARS:
                    self._walk_values(value, (*here, name), inside)
                elif type(value) in (dict, list, Grid):
                    self.walk(value, (*here, name), inside)

    def _walk_values(self, values: list[Any], path: Path, context: tuple[tuple[Path, dict[str, Any]], ...]) -> None:
        """A list of plain values in one of several objects: the values of a series whose axis stands elsewhere."""
        if rows.is_numeric(values) or all(times.is_date_text(value) for value in values[:3]):
            self.fragments.append(Fragment(path, "values", [Column((str(path[-1]),), values)], len(values), context))
            if type(values[0]) is str:
                self.loose.append((path, values))
        else:
            self.loose.append((path, values))
            if set(map(type, values)) == {str}:
                self.names.append((path, tuple(values[: self.limits.columns + 1])))

    def _walk_lists(self, lists: list[list[Any]], path: Path, context: tuple[tuple[Path, dict[str, Any]], ...]) -> None:
        kinds = {type(item) for inner in lists for item in inner[:64]}
        if kinds and kinds <= {dict}:
            named = grids.named_cells(lists)
            if named is not None:
                self.walk(named, path, context)
                return
            cells = grids.plain_cells(lists)
            if cells is None:
                for place, inner in enumerate(lists):
                    self.walk(inner, (*path, place), context)
                return
            lists = cells
        elif list in kinds or (dict in kinds and grids.plain_cells(lists) is None):
            for place, inner in enumerate(lists):
                self.walk(inner, (*path, place), context)
            return
        elif dict in kinds:
            lists = grids.plain_cells(lists) or lists
        if lists:
            self.fragments.append(Fragment(path, "grid", [], len(lists), context, lists=lists))


def context_with(
    context: tuple[tuple[Path, dict[str, Any]], ...], path: Path, members: dict[str, Any]
) -> tuple[tuple[Path, dict[str, Any]], ...]:
    """The context of columns that stand directly in `members`: its plain members are context too."""
    return (*context, (path, {name: value for name, value in members.items() if type(value) is not list}))


def _is_plain(column: Column) -> bool:
    return not any(kind is list or kind is dict for kind in set(map(type, column.values)) - _SCALARS) or _mostly_plain(
        column
    )


def _mostly_plain(column: Column) -> bool:
    """Whether lists and objects are the exception in a column, or stand among numbers: cells that could not be read."""
    if any(type(value) is int or type(value) is float for value in column.values):
        return True
    odd = sum(1 for value in column.values if type(value) is list or type(value) is dict)
    return odd * 2 < len(column.values)


def _holds_readings(fragment: Fragment, depth: int) -> bool:
    """Whether the member of a row that a fragment stands in is called after readings or points."""
    steps = [step for step in fragment.path[depth:] if isinstance(step, str)]
    return fragment.shape != "values" and bool(steps) and is_container(steps[-1])


def _has_measure(fragment: Fragment) -> bool:
    if fragment.shape == "grid":
        return any(rows.is_numeric(inner) for inner in fragment.lists[:50])
    return any(rows.may_be_measure(column) for column in fragment.columns)


def _unwrapped_items(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows that each stand alone in a wrapper of the same name (`{"node": {...}}`) without it."""
    for _ in range(4):
        first = objects[0]
        if len(first) != 1:
            break
        ((key, inner),) = first.items()
        if type(inner) is not dict or not all(len(item) == 1 and type(item.get(key)) is dict for item in objects):
            break
        if rows.keys_are_times(inner) or grids.is_cell_wrapper(first):
            break
        objects = [item[key] for item in objects]
        if any(not item for item in objects):
            break
    return objects


def _are_row_keys(members: dict[str, Any]) -> bool:
    """Whether the members are numbered: "0", "1", ..."""
    first, last = next(iter(members)), next(reversed(members))
    return first.isdecimal() and last.isdecimal() and len(last) <= 9 and all(map(str.isdecimal, members))


def _is_labelled(keys: Any) -> bool:
    """Whether the members of an object are those of a reading: a value or a time among them."""
    return any(hint(key).hint in (Hint.VALUE, Hint.AGGREGATE, Hint.TIME) for key in keys)


def _axis_of(lists: dict[str, list[Any]]) -> str | None:
    """The list that orders the others: times first, then a name such as x or labels beside a list of its length."""
    timed = [name for name, values in lists.items() if _is_time_list(name, values)]
    if timed:
        return min(timed, key=lambda name: (hint(name).hint is not Hint.TIME, hint(name).rank))
    for name, values in lists.items():
        others = [other for key, other in lists.items() if key != name and len(other) == len(values)]
        if is_axis(name) and hint(name).hint is not Hint.INDEX and others and any(map(rows.is_numeric, others)):
            return name
    return None


def _is_time_list(name: str, values: Sequence[Any]) -> bool:
    sample = [value for value in (values[0], values[len(values) // 2], values[-1]) if value is not None]
    if not sample:
        return False
    if type(sample[0]) is str:
        return all(times.is_date_text(value) for value in sample) or (
            hint(name).hint is Hint.TIME and any(times.looks_like_time(value) for value in values[:50])
        )
    timely = hint(name).hint is Hint.TIME or compact(name) in ("x", "labels", "index")
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
        elif len(values) < length:
            cut = values + [None] * (length - len(values))
        columns.append(Column((name,), cut, "axis" if name == axis else "cell"))
    return columns, rejected
