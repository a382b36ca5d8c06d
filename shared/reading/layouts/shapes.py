"""Step 2 of reading, first half: every table-like part of a document, wherever it stands. Pure.

A part is a `Fragment`: equal-length columns, the path that leads there and the objects around it. Names that stand
elsewhere and axes shared by several lists are joined later, by shared.reading.layouts.tables.
"""

from collections import Counter
from itertools import chain, repeat
from typing import Any

from shared.errors import Rejected
from shared.reading.documents import document
from shared.reading.documents.document import BadItem
from shared.reading.layouts import fragments, grids, rows
from shared.reading.layouts.fragments import SCALARS, Context, Fragment, has_measure, is_plain
from shared.reading.layouts.nested import are_points, holds_readings, holds_times, names_beside, unwrapped_items
from shared.reading.limits import Limits
from shared.reading.recognisers import typed_arrays
from shared.reading.recognisers.chain import recognise
from shared.reading.texts import times
from shared.reading.texts.names import Hint, describes, hint, is_aside, is_container, is_geometry, is_style
from shared.reading.tree import Budget, Column, Grid, Path

NO_ROW = "neither a record nor a reading"
_NUMBERS = frozenset((int, float, type(None)))
_MAX_WALK_DEPTH = 40
_MANY_OBJECTS = 100


class Finder:
    """Collects the fragments of one document, with the lists that may name or order them."""

    def __init__(self, budget: Budget, limits: Limits) -> None:
        self.budget = budget
        self.limits = limits
        self.fragments: list[Fragment] = []
        self.loose: list[tuple[Path, list[Any]]] = []
        self.names: list[tuple[Path, tuple[str, ...]]] = []
        self.rejected: Counter[str] = Counter()
        self.notes: list[str] = []
        """Names of the formats that a recogniser knew."""

    def walk(self, value: Any, path: Path = (), context: Context = ()) -> None:
        """Look for fragments in `value`. Raises Rejected when the document is too large to search."""
        self.budget.visit()
        if len(path) > _MAX_WALK_DEPTH or (path and is_geometry(str(path[-1])) and _is_flat(value)):
            return
        recognised = recognise(value)
        if recognised is not None:
            value, name = recognised
            if name not in self.notes:
                self.notes.append(name)
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
            decoded = document.decode_member(value, self.budget) if kind is str else self._decoded_bytes(value)
            if decoded is not None:
                self.walk(decoded.value, path, context)

    def _decoded_bytes(self, raw: bytes) -> Any:
        try:
            decoded = document.decode(raw, self.budget)
        except Rejected as caught:
            if str(caught).startswith("more than"):
                raise
            return None
        self.budget.steps.append(decoded.chain)
        return decoded

    # Objects

    def _walk_object(self, members: dict[str, Any], path: Path, context: Context) -> None:
        members = self._expanded(members)
        raw = typed_arrays.buffer_of(members)
        if raw is not None:
            decoded = self._decoded_bytes(raw)
            if decoded is not None:
                self.walk(decoded.value, path, context)
            return
        inside = (*context, (path, members))
        fragment = (
            fragments.time_keyed(members, path, context)
            or fragments.numbered(members, path, context)
            or fragments.keyed_rows(members, path, context, self.budget, self.limits)
            or fragments.columns_beside(members, path, context, self.limits)
        )
        if fragment is not None:
            self.fragments.append(fragment)
            return
        before = len(self.fragments)
        row, drawn = fragments.is_reading(members), fragments.draws(members)
        for name, value in members.items():
            kind = type(value)
            if row and not is_container(name):
                continue  # lists beside the measurements of one moment hold no readings
            if kind is list and ((is_geometry(name) and _is_flat(value)) or (drawn and is_style(name))):
                continue
            if kind is list and len(value) > 1 and set(map(type, value)) <= _NUMBERS and not row:
                # Without an axis so far: perhaps it stands elsewhere.
                self.fragments.append(Fragment((*path, name), "values", [Column((name,), value)], len(value), inside))
            if kind in (dict, list, Grid, bytes) or (kind is str and len(value) > 1):
                self.walk(value, (*path, name), inside)
        if not any(fragment.shape != "row" and has_measure(fragment) for fragment in self.fragments[before:]):
            self._single_row(members, path, context, before)

    def _single_row(self, members: dict[str, Any], path: Path, context: Context, before: int) -> None:
        """Take an object as one row, unless a part of it was found to be one that has a time of its own."""
        inner = [fragment for fragment in self.fragments[before:] if fragment.shape == "row"]
        is_time = rows.is_measuring_time if fragments.is_timed(members) else rows.may_be_time
        if any(any(map(is_time, fragment.columns)) for fragment in inner):
            return
        fragment = fragments.single_row(members, path, context, self.budget, self.limits)
        if fragment is not None:
            self.fragments[before:] = [fragment]

    def _expanded(self, members: dict[str, Any]) -> dict[str, Any]:
        """The members, with those that are text and hold a document decoded, and typed arrays as lists."""
        changed: dict[str, Any] = {}
        for name, value in members.items():
            kind = type(value)
            if kind is str and len(value) > 1:
                decoded = document.decode_member(value, self.budget)
                if decoded is not None:
                    changed[name] = decoded.value
            elif typed_arrays.is_wrapper(value):
                found_numbers = typed_arrays.numbers_of(value)
                if found_numbers is not None:
                    changed[name] = found_numbers
            elif kind is BadItem and not is_aside(name):
                self.rejected[value.reason] += 1
        return {**members, **changed} if changed else members

    # Lists

    def _walk_list(self, items: list[Any], path: Path, context: Context) -> None:
        if BadItem in set(map(type, items)):
            self.rejected.update(item.reason for item in items if type(item) is BadItem)
            items = [item for item in items if type(item) is not BadItem]
        if not items:
            return
        kinds = set(map(type, items))
        if kinds == {str} and items[0][:1] in ("{", "[", "e") and len(items[0]) > 1:
            items = self._decoded_items(items)
            kinds = set(map(type, items))
        if dict in kinds:
            objects = items if kinds == {dict} else [item for item in items if type(item) is dict]
            lists = [item for item in items if type(item) is list and item and type(item[0]) is dict]
            for place, inner in enumerate(lists):  # beside the head of their page
                self.walk(inner, (*path, place), context)
            if len(objects) + len(lists) < len(items):
                self.rejected[NO_ROW] += len(items) - len(objects) - len(lists)
            self._walk_objects(objects, path, context)
        elif list in kinds:
            lists = [item for item in items if type(item) is list]
            if len(lists) < len(items):
                self.rejected[NO_ROW] += len(items) - len(lists)
            self._walk_lists(lists, path, context)
        elif kinds <= SCALARS:
            self.loose.append((path, items))
            if kinds == {str}:
                self.names.append((path, tuple(items[: self.limits.columns + 1])))
        elif Grid in kinds:
            for place, item in enumerate(items):
                self.walk(item, (*path, place), context)

    def _decoded_items(self, items: list[Any]) -> list[Any]:
        decoded = [document.decode_member(item, self.budget) for item in items]
        if not any(decoded):
            return items
        return [item if inner is None else inner.value for item, inner in zip(items, decoded, strict=True)]

    def _walk_objects(self, objects: list[dict[str, Any]], path: Path, context: Context) -> None:
        objects = unwrapped_items(objects)
        if "data" in objects[-1]:
            objects = [item for item in objects if not fragments.is_annotation(item)] or objects
        if any(map(typed_arrays.is_wrapper, objects[0].values())):
            objects = [self._expanded(item) for item in objects]
        cells = grids.wrapped_rows(objects)
        if cells is not None:
            self._walk_lists(cells, path, context)
            return
        names = grids.names_of_objects(objects)
        if names is not None:
            self.names.append((path, names))
        if all(len(item) == 1 for item in objects) and len(objects) > 1:
            self._keep_labels(objects, path)
        columns = rows.expand_points(rows.columns_of(objects, self.budget, self.limits))
        plain = [column for column in columns if is_plain(column)]
        if fragments.draws(objects[0]):
            plain = [column for column in plain if not is_style(column.parts[0])]
        before = len(self.fragments)
        measured = any(
            rows.may_be_measure(column) and not (len(column.parts) > 1 and any(map(describes, column.parts[:-1])))
            for column in plain
        )
        timed = any(rows.may_be_time(column) for column in plain)
        nested = {column.parts for column in columns if not is_plain(column)} if len(plain) < len(columns) else set()
        measured = measured and not (nested and any(map(holds_times, columns)))
        # Lists beside measurements with a time, such as the gateways that heard a message, hold no readings.
        if measured and timed:
            points = {column.parts for column in columns if column.parts in nested and are_points(column)}
            nested = points or {parts for parts in nested if is_container(parts[-1])}
        if nested and not self._exploded(objects, columns, plain, path, context):
            self._walk_inside(objects, {parts[0] for parts in nested}, path, context)
            # Single objects inside are flattened into the rows around them.
            self.fragments[before:] = [fragment for fragment in self.fragments[before:] if fragment.shape != "row"]
        if nested:
            inner = [fragment for fragment in self.fragments[before:] if has_measure(fragment)]
            if inner and not (
                measured
                and timed
                and not any(holds_readings(fragment, len(path)) or fragment.shape == "grid" for fragment in inner)
            ):
                return
            del self.fragments[before:]
        if plain and (measured or timed or names is None):
            self.fragments.append(Fragment(path, "rows", plain, len(objects), context))

    def _keep_labels(self, objects: list[dict[str, Any]], path: Path) -> None:
        """Keep objects of nothing but a label, as a list that may be the axis of others."""
        ((key, _),) = objects[0].items()
        values = [item.get(key) for item in objects]
        if hint(key).hint is Hint.LABEL and set(map(type, values)) <= {str, int, float}:
            self.loose.append((path, values))

    def _exploded(
        self,
        objects: list[dict[str, Any]],
        columns: list[Column],
        plain: list[Column],
        path: Path,
        context: Context,
    ) -> bool:
        """Many objects that each hold a list of readings, read at once: what stands around a list is repeated."""
        nested = [column for column in columns if not is_plain(column)]
        if (
            len(objects) < _MANY_OBJECTS
            or len(nested) != 1
            or len(nested[0].parts) != 1
            or not is_container(nested[0].parts[0])
        ):
            return False
        lists = nested[0].values
        if set(map(type, lists)) != {list} or {type(item) for inner in lists for item in inner} != {dict}:
            return False
        inner = rows.columns_of(list(chain.from_iterable(lists)), self.budget, self.limits)
        if not all(set(map(type, column.values)) <= SCALARS and None not in column.values for column in inner):
            return False
        counts = list(map(len, lists))
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
        context: Context,
    ) -> None:
        """Look into the members with these names of each object."""
        shared_axis: dict[str, list[Any]] = {}
        for place, item in enumerate(objects):
            members = self._expanded(item)
            members = {**shared_axis, **members} if shared_axis else members
            here = (*path, place)
            inside = (*context, (here, members))
            fragment = fragments.columns_beside(members, here, context, self.limits)
            if fragment is not None:
                self.fragments.append(fragment)
                # Of several series, only the first may have the axis.
                shared_axis = shared_axis or {
                    column.parts[0]: list(column.values) for column in fragment.columns if column.origin == "axis"
                }
                continue
            for name, value in members.items():
                if name not in names or (is_style(name) and fragments.draws(members)):
                    continue
                if type(value) is list and value and set(map(type, value)) <= SCALARS:
                    self._walk_values(value, (*here, name), inside)
                elif type(value) in (dict, list, Grid):
                    self.walk(value, (*here, name), inside)

    def _walk_values(self, values: list[Any], path: Path, context: Context) -> None:
        """A list of plain values in one of several objects: the values of a series whose axis stands elsewhere."""
        if rows.is_numeric(values) or all(times.is_date_text(value) for value in values[:3]):
            self.fragments.append(Fragment(path, "values", [Column((str(path[-1]),), values)], len(values), context))
            if type(values[0]) is str or (hint(str(path[-1])).hint is Hint.TIME and times.looks_like_time(values[0])):
                self.loose.append((path, values))
        else:
            self.loose.append((path, values))
            if set(map(type, values)) == {str}:
                self.names.append((path, tuple(values[: self.limits.columns + 1])))

    def _walk_lists(self, lists: list[list[Any]], path: Path, context: Context) -> None:
        kinds = {type(item) for inner in lists for item in inner[:64]}
        series = grids.named_series(lists) if str in kinds and list in kinds else None
        if series is not None:
            self.walk(series, path, context)
            return
        if kinds and kinds <= {dict}:
            named = grids.named_cells(lists)
            if named is not None:
                self.walk(named, path, context)
                return
            cells = grids.plain_cells(lists)
            if cells is None:
                series_names = names_beside(context, len(lists))
                for place, inner in enumerate(lists):
                    here = (*path, place)
                    own = (*context, (here, {"series": series_names[place]})) if series_names else context
                    self.walk(inner, here, own)
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


def _is_flat(value: Any) -> bool:
    """Whether a value is a list of something other than objects."""
    return type(value) is list and not any(type(item) is dict for item in value[:1])
