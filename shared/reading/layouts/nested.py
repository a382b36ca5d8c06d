"""Lists inside the rows of a list: which of them hold readings, and what they are called. Pure."""

from typing import Any

from shared.reading.layouts import grids, rows
from shared.reading.layouts.fragments import Context, Fragment
from shared.reading.texts import times
from shared.reading.texts.names import Hint, hint, is_container
from shared.reading.tree import Column


def are_points(column: Column) -> bool:
    """Whether the cells are lists of `[time, value]`."""
    first = next((value for value in column.values if value), None)
    return type(first) is list and type(first[0]) is list and len(first[0]) == 2 and times.looks_like_time(first[0][0])


def holds_times(column: Column) -> bool:
    """Whether each cell is a list of times, the axis of the lists beside it."""
    first = next((value for value in column.values if value), None)
    return type(first) is list and len(first) > 2 and all(map(times.looks_like_time, (first[0], first[1], first[-1])))


def holds_readings(fragment: Fragment, depth: int) -> bool:
    """Whether the member of a row that a fragment stands in is called after readings or points."""
    steps = [step for step in fragment.path[depth:] if isinstance(step, str)]
    return fragment.shape != "values" and bool(steps) and is_container(steps[-1])


def names_beside(context: Context, count: int) -> list[str] | None:
    """The names of several lists of points, where a list of as many texts stands beside them."""
    if not context:
        return None
    for name, value in context[-1][1].items():
        if type(value) is not list or len(value) != count or hint(name).hint is not Hint.LABEL:
            continue
        if set(map(type, value)) == {str} and "" not in value and len(set(value)) == count:
            return value
    return None


def unwrapped_items(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
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
