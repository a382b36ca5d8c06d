"""Rows of lists: wrapped cells unwrapped, names found, rows told from columns. Pure."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from shared.reading.layouts import rows
from shared.reading.texts import numbers, times, vocabulary
from shared.reading.texts.names import Hint, compact, hint
from shared.reading.tree import Column

_NAME_KEYS = (
    "name",
    "columnname",
    "colname",
    "columnlabel",
    "label",
    "displayname",
    "fieldname",
    "field",
    "datafield",
    "title",
    "text",
    "id",
    "key",
    "accessor",
    "header",
)
_NAME_RANKS = {name: rank for rank, name in enumerate(_NAME_KEYS)}
_CELL_KEYS = ("v", "value", "Value", "scalarValue", "ScalarValue", "VarCharValue")
_CELL_TYPES = frozenset(
    ("blob", "bool", "boolean", "double", "float", "int", "integer", "null", "number", "real", "string", "text")
)
_TYPE_NAME = re.compile(
    r"(?:(?:Nullable|LowCardinality)\()*(?:U?Int\d*|Integer|BigInt|Float\d*|Double|Real|Decimal|Numeric|Number|Date|"
    r"DateTime\d*|Timestamp|Time|String|FixedString|Text|Varchar|Bool|Boolean|UUID|Enum\d*)\b.{0,80}",
    re.IGNORECASE,
)


def _are_types(row: list[Any]) -> bool:
    """Whether a row names the types of the columns."""
    return all(type(value) is str and _TYPE_NAME.fullmatch(value) for value in row)


def wrapped_rows(objects: list[dict[str, Any]]) -> list[list[Any]] | None:
    """The lists inside rows such as `{"c": [...]}` or `{"Data": [...]}`; None if they are no wrappers around cells."""
    first = objects[0]
    key = next(
        (name for name, value in first.items() if type(value) is list and compact(name) in vocabulary.ROW_WRAPPERS),
        None,
    )
    if key is None or not all(type(item.get(key)) is list and len(item) == 1 + ("p" in item) for item in objects):
        return None
    cells = [cell for cell in first[key] if cell is not None]
    if not cells or any(type(cell) is list for cell in cells):
        return None
    if any(type(cell) is dict for cell in cells) and not all(
        type(cell) is dict and is_cell_wrapper(cell) for cell in cells
    ):
        return None
    if type(cells[0]) is not dict and len(objects) < 2:
        return None
    return [item[key] for item in objects]


def is_cell_wrapper(cell: dict[str, Any]) -> bool:
    """Whether an object only wraps one value: `{"v": 1}`, `{"v": 1, "f": "1"}`, `{"ScalarValue": "1"}`."""
    if type(cell.get("type")) is str and cell["type"].lower() in _CELL_TYPES and cell.keys() <= {"type", "value"}:
        return "value" in cell or cell["type"] == "null"
    if len(cell) == 1:
        ((key, value),) = cell.items()
        return type(value) is not dict and (key in _CELL_KEYS or rows.cell(cell) is not cell)
    return len(cell) == 2 and "v" in cell and ("f" in cell or "p" in cell)


def plain_cells(lists: list[list[Any]]) -> list[list[Any]] | None:
    """The values in lists of wrapped cells; None if a cell is another kind of object."""
    plain = []
    for inner in lists:
        values = []
        for cell in inner:
            if type(cell) is dict:
                if not is_cell_wrapper(cell) and cell:
                    return None
                cell = _unwrapped_cell(cell)  # noqa: PLW2901
            values.append(cell)
        plain.append(values)
    return plain


def _unwrapped_cell(cell: dict[str, Any]) -> Any:
    for key in _CELL_KEYS:
        if key in cell:
            return cell[key]
    value = rows.cell(cell)
    return None if type(value) is dict or "type" in cell else value


def named_cells(lists: list[list[Any]]) -> list[dict[str, Any]] | None:
    """Rows whose cells carry their column's name (`{"value": 1, "metadata": {"colName": "temp"}}`) as objects."""
    cells = []
    for inner in lists:
        row: dict[str, Any] = {}
        for cell in inner:
            if type(cell) is not dict or "value" not in cell:
                return None
            described = cell.get("metadata")
            name = _name_of(described if type(described) is dict else cell)
            if name is None or name in row:
                return None
            row[name] = cell["value"]
        cells.append(row)
    return cells if cells and cells[0].keys() == cells[-1].keys() and len(cells[0]) > 1 else None


def named_series(lists: list[list[Any]]) -> list[dict[str, Any]] | None:
    """`[[name, ..., points], ...]`, as Redis' TS.MRANGE answers, as objects; None for any other lists."""
    if not all(len(inner) > 1 and type(inner[0]) is str and inner[0] and type(inner[-1]) is list for inner in lists):
        return None
    if not all(type(point) is list and len(point) == 2 for inner in lists for point in inner[-1]):
        return None
    return [{"name": inner[0], "data": inner[-1]} for inner in lists]


def _name_of(described: dict[str, Any]) -> str | None:
    best, place = None, len(_NAME_KEYS)
    for key, value in described.items():
        if type(value) is str and value:
            rank = _NAME_RANKS.get(compact(key))
            if rank is not None and rank < place:
                best, place = value, rank
    return best


def names_of_objects(objects: list[dict[str, Any]]) -> tuple[str, ...] | None:
    """The names that a list of column descriptions gives, all of them different; None if it describes no columns."""
    if len(objects) > 1024 or any(len(item) > 40 for item in objects):
        return None
    names: dict[str, None] = {}
    for place, item in enumerate(objects):
        name = _name_of(item)
        if name is None and place == 0 and len(objects) > 1:
            name = "x"  # an axis without a name of its own
        elif name is None and "type" in item and place > 0:
            name = f"column {place + 1}"
        if name is None or name in names:
            return None
        names[name] = None
    return tuple(names)


def table_of(
    lists: list[list[Any]], names: Sequence[tuple[tuple[str | int, ...], tuple[str, ...]]], path: tuple[str | int, ...]
) -> tuple[list[Column], Counter[str], bool] | None:
    """Columns of a grid, with what was left out, and whether they have names; None if it is no table.

    The names are a first row of names, a first cell of each list, or the closest list of names of the right length.
    """
    rejected: Counter[str] = Counter()
    width = Counter(map(len, lists)).most_common(1)[0][0]
    if width == 0:
        return None
    fitting = [inner for inner in lists if len(inner) == width]
    if len(fitting) < len(lists):
        rejected["row of another length"] += len(lists) - len(fitting)
    if len(fitting) > 2 and _are_types(fitting[1]):
        del fitting[1]  # ClickHouse's rows of names and of types
    header = _first_row_of_names(fitting)
    if header is not None and width > 1:
        return _named(header, list(zip(*fitting[1:], strict=True))), rejected, True
    if _names_in_first_cells(fitting):
        return _named([str(inner[0]) for inner in fitting], [inner[1:] for inner in fitting]), rejected, True
    by_row = _closest(names, width, path, points=width == 2 and _is_time([inner[0] for inner in fitting]))
    by_column = _closest(names, len(fitting), path) if len(fitting) > 1 else None
    if by_column is None and len(fitting) > 2 and _first_list_is_axis(fitting):
        by_column = _closest(names, len(fitting) - 1, path)
        if by_column is not None:
            by_column = ("x", *by_column)
    columnar = _first_list_is_axis(fitting) or (by_row is None and by_column is not None)
    if columnar and by_column is not None:
        return _along(_named(by_column, fitting)), rejected, True
    if by_row is not None and not columnar:
        return _named(by_row, list(zip(*fitting, strict=True))), rejected, True
    columns: list[Sequence[Any]] = list(fitting) if columnar else list(zip(*fitting, strict=True))
    if len(columns) == 2:
        return _pair(columns), rejected, True
    if len(columns) < 2 or len(columns) > 1024:
        return None
    table = _named([f"column {number}" for number in range(1, len(columns) + 1)], columns)
    return _along(table), rejected, False


def _along(columns: list[Column]) -> list[Column]:
    """Columns of which the first, a list of times, is the axis."""
    if _is_time(columns[0].values) and not any(_is_time(column.values) for column in columns[1:]):
        columns[0].origin = "axis"
    return columns


def _named(names: Sequence[str], columns: Sequence[Sequence[Any]]) -> list[Column]:
    return rows.expand_points([Column((name,), values) for name, values in zip(names, columns, strict=True)])


def _pair(columns: list[Sequence[Any]]) -> list[Column]:
    """`[[time, value], ...]`, or the other way round where only the second is a time."""
    first, second = (_is_time(column) for column in columns)
    x, y = (columns[1], columns[0]) if second and not first else (columns[0], columns[1])
    return [Column(("x",), x, "axis"), Column(("value",), y)]


def _is_time(column: Sequence[Any]) -> bool:
    sample = [value for value in (column[0], column[len(column) // 2], column[-1]) if value is not None]
    return bool(sample) and all(map(times.looks_like_time, sample))


def _first_row_of_names(lists: list[list[Any]]) -> list[str] | None:
    if len(lists) < 2:
        return None
    first = lists[0]
    if not all(type(name) is str and name for name in first) or len(set(first)) != len(first):
        return None
    if any(times.is_date_text(name) or numbers.is_number_text(name) for name in first):
        return None
    numeric = any(_is_number(value) for value in lists[1])
    if _names_in_first_cells(lists) and len(lists) < len(first):
        return None
    return first if numeric else None


def _names_in_first_cells(lists: list[list[Any]]) -> bool:
    """Whether each list starts with its name: `["temp", 20, 21]`, with a list of times or names among them or not."""
    if len(lists) < 2 or len(lists[0]) < 2 or len(lists) > 1024:
        return False
    firsts = [inner[0] for inner in lists]
    if not all(
        type(name) is str and name and not times.is_date_text(name) and not numbers.is_number_text(name)
        for name in firsts
    ):
        return False
    if len(set(firsts)) != len(firsts):
        return False
    rest_numeric = [all(_is_number(value) or value is None for value in inner[1:6]) for inner in lists]
    rest_times = [all(times.looks_like_time(value) for value in inner[1:4]) for inner in lists]
    plain = [number and not time for number, time in zip(rest_numeric, rest_times, strict=True)]
    return any(plain) and (any(rest_times) or (len(lists[0]) > 2 and (plain.count(False) <= 1)))


def _is_number(value: Any) -> bool:
    return numbers.is_number(value) or (type(value) is str and numbers.is_number_text(value))


def _first_list_is_axis(lists: list[list[Any]]) -> bool:
    """Whether the first list is one of times, so that the lists are columns and not rows."""
    first = [value for value in lists[0] if value is not None]
    if len(lists[0]) < 2 or len(first) < 2 or len(lists) < 2:
        return False
    if not all(map(times.looks_like_time, (first[0], first[1], first[-1]))):
        return False
    return not times.looks_like_time(lists[1][0]) or len(lists[0]) > len(lists)


def _closest(
    names: Sequence[tuple[tuple[str | int, ...], tuple[str, ...]]],
    width: int,
    path: tuple[str | int, ...],
    *,
    points: bool = False,
) -> tuple[str, ...] | None:
    """The list of `width` names nearest to `path`; the name of the list itself decides between equals.

    points: two names beside `[time, value]` may be those of two series: only a list for columns names these.
    """
    best: tuple[tuple[int, int], tuple[str, ...]] | None = None
    for place, candidate in names:
        if (
            len(candidate) != width
            or any(times.is_date_text(name) for name in candidate)
            or len(set(candidate)) != width
        ):
            continue
        common = 0
        for left, right in zip(place, path, strict=False):
            if left != right:
                break
            common += 1
        if common == len(place):
            continue  # the objects that hold the grid do not name its columns
        keys = [step for step in place if type(step) is str]
        named = bool(keys) and (compact(keys[-1]) in vocabulary.NAME_LISTS or hint(keys[-1]).hint is Hint.LABEL)
        if points and not named and not any(hint(name).hint is Hint.TIME for name in candidate):
            continue
        rank = (common, int(named))
        if best is None or rank > best[0]:
            best = (rank, candidate)
    return None if best is None else best[1]
