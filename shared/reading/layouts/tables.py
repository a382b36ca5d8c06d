"""Step 2 of reading, second half: fragments -> tables, joined with their names, axes and context. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from typing import Any

from shared.errors import Rejected
from shared.reading.layouts import grids, rows
from shared.reading.layouts.axes import axis_of, stepped_axis
from shared.reading.layouts.fragments import Fragment
from shared.reading.layouts.reshaped import upright
from shared.reading.layouts.shapes import Finder
from shared.reading.layouts.tables_context import context_columns, own_key, units_of, zones_of
from shared.reading.safe_text import shown_path
from shared.reading.texts import times
from shared.reading.texts.names import Hint, hint, is_aside, is_container
from shared.reading.tree import Column, Path, Table


def tables_of(finder: Finder) -> list[Table]:
    """The tables of a document, in the order in which they stand. Fragments of one shape are one table."""
    groups: dict[Path, list[Fragment]] = {}
    for fragment in map(upright, _resolved(finder)):
        groups.setdefault(_wild(fragment.path), []).append(fragment)
    for fragments in groups.values():
        _complete(fragments, finder)
    tables = []
    for fragments, keys in _merged(list(groups.values())):
        table = _table(fragments, keys, finder)
        if table is not None:
            tables.append(table)
    return tables


def _complete(fragments: list[Fragment], finder: Finder) -> None:
    """Give lists of values their axis where they stand among lists of points."""
    if {"rows of lists", "rows of lists without names"} <= {fragment.shape for fragment in fragments}:
        raise Rejected(
            f"points with different numbers of values at {shown_path(fragments[0].path)}; set `rows` in INPUTS"
        )
    bare = [fragment for fragment in fragments if fragment.shape == "values"]
    if not bare or len(bare) == len(fragments):
        return
    for fragment in bare:
        _, _, axis, _ = axis_of([fragment], None, finder.loose)
        if axis is None:
            fragments.remove(fragment)
            continue
        fragment.columns = [Column(("x",), axis, "axis"), Column(("value",), fragment.columns[0].values)]
        fragment.shape = "points"


def _resolved(finder: Finder) -> Iterable[Fragment]:
    """The fragments, with the columns of grids named, or grids taken apart into lists that share an axis elsewhere."""
    for fragment in finder.fragments:
        if fragment.shape != "grid":
            yield fragment
            continue
        apart = _lists_with_axis(fragment, finder)
        if apart is not None:
            yield from apart
            continue
        grid = grids.table_of(fragment.lists, finder.names, fragment.path)
        if grid is None:
            continue
        columns, rejected, named = grid
        fragment.columns, fragment.rejected = columns, fragment.rejected + rejected
        fragment.length = len(columns[0].values)
        fragment.shape = "rows of lists" if named else "rows of lists without names"
        index = _index_beside(fragment, finder)
        if index is not None:
            if columns[0].origin == "axis":
                _without_axis([fragment])
            fragment.columns = [Column(("index",), index, "index"), *columns]
        if fragment.length:
            yield fragment


def _lists_with_axis(fragment: Fragment, finder: Finder) -> list[Fragment] | None:
    """Lists of numbers whose axis, a list of times or names of their length, stands beside them."""
    lists = fragment.lists
    width = len(lists[0])
    if width < 2 or any(len(inner) != width for inner in lists):
        return None
    if not all(type(value) in (int, float, type(None)) for inner in lists for value in inner[:20]):
        return None
    if any(times.looks_like_time(value) for value in lists[0][:1]) or times.looks_like_time(lists[0][-1]):
        return None
    beside = [(place, values) for place, values in finder.loose if place[:-1] == fragment.path[:-1] and place]
    for place, values in beside:
        if len(values) != width or not isinstance(place[-1], str):
            continue
        dated = all(times.is_date_text(value) for value in values[:3])
        series = fragment.path[-1:] in (("series",), ("datasets",))
        if not dated and not (place[-1].lower() in ("labels", "categories", "x") and (len(lists) != width or series)):
            continue
        if len(lists) == width and not series:
            raise Rejected(f"as many lists as values in each at {shown_path(fragment.path)}: rows or columns")
        names = _names_of(lists, [other for _, other in beside if other is not values])
        return [
            Fragment(
                (*fragment.path, number), "values", [Column(("data",), inner)], width,
                (*fragment.context, ((*fragment.path, number), {"name": names[number]})),
            )
            for number, inner in enumerate(lists)
        ]  # fmt: skip
    return None


def _names_of(lists: list[list[Any]], beside: list[list[Any]]) -> list[str]:
    """The names of lists of numbers: the only list beside them of as many different texts, or their numbers."""
    fitting = [
        texts
        for texts in beside
        if len(texts) == len(lists) == len(set(map(str, texts))) and set(map(type, texts)) == {str}
    ]
    return fitting[0] if len(fitting) == 1 else [f"series {number}" for number in range(1, len(lists) + 1)]


def _index_beside(fragment: Fragment, finder: Finder) -> list[Any] | None:
    """The labels of the rows: a list named index beside a grid, or the only one of times, where the grid has none."""
    beside = [
        (place[-1], values)
        for place, values in finder.loose
        if place[:-1] == fragment.path[:-1] and place and len(values) == fragment.length
    ]
    named = [values for name, values in beside if name == "index"]
    if named or any(map(rows.may_be_time, fragment.columns)):
        return named[0] if named else None
    timed = [values for _, values in beside if all(map(times.looks_like_time, (values[0], values[-1])))]
    return timed[0] if len(timed) == 1 else None


def _wild(path: Path) -> Path:
    return tuple("*" if isinstance(step, int) else step for step in path)


def _signature(fragments: list[Fragment]) -> frozenset[tuple[str, ...]]:
    return frozenset(column.parts for fragment in fragments[:50] for column in fragment.columns)


def _merged(groups: list[list[Fragment]]) -> list[tuple[list[Fragment], list[str] | None]]:
    """Groups of the same columns whose paths differ in the name of one member are one, labelled by that name."""
    if len(groups) == 1:
        return [(groups[0], None)]
    buckets: dict[tuple[Any, ...], list[int]] = {}
    for number, fragments in enumerate(groups):
        path = _wild(fragments[0].path)
        for place, step in enumerate(path):
            if step != "*" and (not is_aside(str(step)) or (str(step) == "xAxis" and fragments[0].shape == "values")):
                masked = (*path[:place], None, *path[place + 1 :])
                kind: Any = _signature(fragments)
                if fragments[0].shape == "values":
                    kind = fragments[0].length  # they share an axis
                buckets.setdefault((place, masked, kind), []).append(number)
    taken: set[int] = set()
    merged: dict[int, tuple[list[Fragment], list[str] | None]] = {}
    for (place, _, _), numbers in sorted(buckets.items(), key=lambda item: -len(item[1])):
        free = [number for number in numbers if number not in taken]
        if len(free) < 2:
            continue
        if all(is_container(str(groups[number][0].path[place])) for number in free) and _are_copies(
            [groups[number] for number in free]
        ):
            continue  # the same rows under two general names
        taken.update(free)
        fragments = [fragment for number in free for fragment in groups[number]]
        keys = [str(fragment.path[place]) for fragment in fragments]
        merged[free[0]] = fragments, keys
    return [
        merged.get(number, (group, None))
        for number, group in enumerate(groups)
        if number in merged or number not in taken
    ]


def _are_copies(groups: list[list[Fragment]]) -> bool:
    first = groups[0]
    return all(
        len(group) == len(first)
        and all(
            [list(column.values) for column in one.columns] == [list(column.values) for column in other.columns]
            for one, other in zip(group, first, strict=True)
        )
        for group in groups[1:]
    )


def _table(fragments: list[Fragment], keys: list[str] | None, finder: Finder) -> Table | None:
    first = fragments[0]
    axis_columns: list[Column] = []
    axis_values: list[Any] | None = None
    note = ""
    notes: list[str] = []
    if (
        first.shape == "values"
        or (first.shape == "columns" and not any(map(rows.may_be_time, first.columns)))
        or (first.shape == "rows" and all(map(_is_bare_value, fragments)))
    ):
        fragments, keys, axis_values, note = axis_of(fragments, keys, finder.loose)
        if keys and len(set(keys)) == 1 and is_container(keys[0]):
            keys = None
        if not fragments:
            return None
        if axis_values is None:
            axis_values, note = stepped_axis(fragments)
    elif first.shape.startswith("rows") and not any(map(rows.may_be_time, first.columns)):
        axis_values, note = stepped_axis(fragments)
        if axis_values is not None and first.columns[0].origin == "axis":
            first = _without_axis(fragments)
    if axis_values is not None:
        axis_columns = [Column(("x",), axis_values, "axis")]
        notes.append(note)
    length = sum(fragment.length for fragment in fragments)
    columns = axis_columns + _joined(fragments, length)
    if first.shape == "rows of lists without names":
        _name_after_series(columns, fragments, keys)
    columns += context_columns(fragments, keys, {column.parts for column in columns})
    if len(fragments) > 1:
        numbers = chain.from_iterable(repeat(number, fragment.length) for number, fragment in enumerate(fragments, 1))
        columns.append(Column(("(part)",), list(numbers), "part"))
    rejected: Counter[str] = Counter()
    for fragment in fragments:
        if fragment.rejected:
            rejected.update(fragment.rejected)
    table = Table(
        first.path if keys is None else _common(fragments), first.shape, length, columns, rejected, notes,
        decimal_comma=first.decimal_comma, ordered_names=first.shape != "rows of lists without names",
    )  # fmt: skip
    table.zones = zones_of(fragments)
    units = units_of(first)
    if units:
        table.units = units
    return table


def _without_axis(fragments: list[Fragment]) -> Fragment:
    """The first of fragments that were taken for pairs of a place and a value, and whose times stand elsewhere."""
    for fragment in fragments:
        fragment.shape = "rows of lists without names"
        for number, column in enumerate(fragment.columns, 1):
            column.parts, column.origin = (f"column {number}",), "cell"
    return fragments[0]


_RANGES = {
    "arearange": ("low", "high"),
    "areasplinerange": ("low", "high"),
    "columnrange": ("low", "high"),
    "errorbar": ("low", "high"),
    "ohlc": ("open", "high", "low", "close"),
    "candlestick": ("open", "high", "low", "close"),
}
"""What follows the time in the points of a series of these types (Highcharts)."""


def _name_after_series(columns: list[Column], fragments: list[Fragment], keys: list[str] | None) -> None:
    """Name the numbers of points with several of them: after their series, where it has a name, and their place."""
    around = [fragment.context[-1][1] if fragment.context else {} for fragment in fragments]
    labels = [
        next((value for name in ("name", "label") if type(value := members.get(name)) is str), "") for members in around
    ]
    own = keys[0] if keys is not None else labels[0] or own_key(fragments)
    if not own or columns[0].origin != "axis":
        return
    kinds = {str(members.get("type")).lower() for members in around}
    parts = _RANGES.get(kinds.pop(), ()) if len(kinds) == 1 else ()
    single = len(set(labels)) == 1 and (keys is None or len(set(keys)) == 1)
    for place, column in enumerate(column for column in columns[1:] if column.origin == "cell"):
        part = parts[place] if place < len(parts) and len(parts) == len(columns) - 1 else str(place + 1)
        column.parts = (f"{own}.{part}" if single else part,)


def _is_bare_value(fragment: Fragment) -> bool:
    """Whether rows hold nothing but a value, so that their axis stands elsewhere: `{"value": "1.5"}`."""
    return (
        bool(fragment.context) and len(fragment.columns) == 1 and hint(fragment.columns[0].parts[-1]).hint is Hint.VALUE
    )


def _common(fragments: list[Fragment]) -> Path:
    common: list[str | int] = []
    for steps in zip(*(fragment.path for fragment in fragments), strict=False):
        if len(set(steps)) != 1:
            break
        common.append(steps[0])
    return tuple(common)


def _joined(fragments: list[Fragment], length: int) -> list[Column]:
    if len(fragments) == 1:
        return _described_once(fragments[0].columns, length)
    by_parts: dict[tuple[str, ...], Column] = {}
    done = 0
    for fragment in fragments:
        for column in fragment.columns:
            parts = ("value",) if fragment.shape == "values" else column.parts
            joined = by_parts.get(parts)
            if joined is None:
                joined = by_parts[parts] = Column(parts, [None] * done, column.origin)
            values: list[Any] = joined.values  # type: ignore[assignment]  # made above
            if len(values) < done:
                values.extend([None] * (done - len(values)))
            values.extend(_filled_down(column, fragment.length))
        done += fragment.length
    for column in by_parts.values():
        if len(column.values) < length:
            column.values = [*column.values, *[None] * (length - len(column.values))]
    return list(by_parts.values())


def _described_once(columns: list[Column], length: int) -> list[Column]:
    """The columns of rows of which only the first says what they are, in several members."""
    if length > 1:
        first_only = [column for column in columns if column.values[0] is not None and column.values[1] is None]
        first_only = [column for column in first_only if set(map(type, column.values[1:])) == {type(None)}]
        if len(first_only) > 1:
            for column in first_only:
                column.values = _filled_down(column, length)
    return list(columns)


def _filled_down(column: Column, length: int) -> Sequence[Any]:
    """A label that only the first of several rows has holds for all of them."""
    values = column.values
    if (
        length > 1
        and type(values[0]) is str
        and hint(column.parts[-1]).hint in (Hint.LABEL, Hint.SENSOR, Hint.IDENTIFIER)
    ):
        kinds = set(map(type, values[1:]))
        if kinds == {type(None)}:
            return [values[0]] * length
    return values
