"""Tables that lie on their side: one row for each series and one column for each time, as pivots write them. Pure."""

from shared.reading.layouts import rows
from shared.reading.layouts.fragments import Fragment
from shared.reading.texts import times
from shared.reading.texts.names import Hint, hint
from shared.reading.tree import Column

_LEAST_TIMES = 2


def upright(fragment: Fragment) -> Fragment:
    """The fragment with a row for each value, where the names of its columns of numbers are times."""
    if not fragment.shape.startswith("rows") or not 1 < len(fragment.columns) <= 1024:
        return fragment
    timed = [column for column in fragment.columns if _is_time_name(column)]
    others = [column for column in fragment.columns if not _is_time_name(column)]
    if len(timed) < _LEAST_TIMES or not all(rows.is_numeric(column.values) for column in timed):
        return fragment
    if any(rows.may_be_measure(column) and hint(column.parts[-1]).hint is not Hint.COORDINATE for column in others):
        return fragment
    count = len(timed)
    columns = [
        Column(column.parts, [value for value in column.values for _ in range(count)], column.origin)
        for column in others
    ]
    names = [column.parts[-1] for column in timed]
    columns.append(Column(("time",), names * fragment.length))
    columns.append(Column(("value",), [value for row in zip(*(c.values for c in timed), strict=True) for value in row]))
    fragment.columns, fragment.length = columns, count * fragment.length
    return fragment


def _is_time_name(column: Column) -> bool:
    return len(column.parts) == 1 and column.parts[0][:1].isdigit() and times.is_date_text(column.parts[0])
