"""What stands before the rows of a delimited text: lines about the logger, names in two levels, rows of units. Pure.

Rows of data start with a time or a number. The names are the lines right above them, down from the last blank line or
line with another number of fields. A table that starts at once, under one line of names, never comes here.
"""

import csv
from collections.abc import Sequence

from shared.reading.texts import numbers, times
from shared.reading.texts.names import Hint, hint

_HEAD_LINES = 80
_MAX_HEADER_ROWS = 4
_LEAST_ROWS = 2


def without_preamble(text: str, mark: str) -> str | None:
    """The text from its line of names on, with these in one line; None where they cannot be told for sure."""
    lines = text.split("\n", _HEAD_LINES + 1)
    head = lines[:_HEAD_LINES] if len(lines) > _HEAD_LINES else lines
    try:
        rows = [next(csv.reader([line.rstrip("\r")], delimiter=mark, strict=True), []) for line in head]
    except csv.Error:
        return None
    while rows and not any(rows[-1]):
        rows.pop()
    if not rows:
        return None
    width = len(rows[-1])
    first = len(rows)
    while first > 0 and len(rows[first - 1]) == width and is_data(rows[first - 1]):
        first -= 1
    if width < 2 or len(rows) - first < _LEAST_ROWS or first == 0:
        return None
    top = first
    while top > 0 and len(rows[top - 1]) == width and any(rows[top - 1]) and not _has_data(rows[top - 1]):
        top -= 1
    if any(len(row) > 1 and is_data(row) for row in rows[:top]):
        return None  # another table
    names = _names(rows[top:first])
    if names is None:
        return None
    rest = text.split("\n", first)[first]
    return "\n".join([mark.join(f'"{name.replace(chr(34), "")}"' for name in names), rest])


def header_rows(rows: Sequence[Sequence[str]]) -> int:
    """How many of the first rows below a header are more of it, such as units: neither times nor numbers in them."""
    count = 0
    while count < _MAX_HEADER_ROWS - 1 and count < len(rows) - 1 and not _has_data(rows[count]):
        count += 1
    return count if count and is_data(rows[count]) else 0


def joined(rows: Sequence[Sequence[str]]) -> list[str] | None:
    """The names in several rows of a header; None where they cannot be told."""
    return _names([list(row) for row in rows])


def is_data(row: Sequence[str]) -> bool:
    """Whether a row starts with a time or a number and has another one."""
    cells = [cell.strip() for cell in row]
    return _is_value(cells[0]) and (len(cells) < 2 or any(map(_is_datum, cells[1:])))


def _has_data(row: Sequence[str]) -> bool:
    return any(_is_datum(cell.strip()) for cell in row if cell.strip())


def _is_value(cell: str) -> bool:
    return numbers.is_number_text(cell) or times.is_date_text(cell) or times.looks_like_time(cell)


def _is_datum(cell: str) -> bool:
    return _is_value(cell) or cell.lower() in numbers.MISSING


def _names(rows: list[list[str]]) -> list[str] | None:
    """The names in the rows above the data: those of the row that names a time, else both of two levels."""
    if not 0 < len(rows) <= _MAX_HEADER_ROWS:
        return None
    rows = [[cell.strip() for cell in row] for row in rows]
    timed = [row for row in rows if any(hint(name).hint is Hint.TIME for name in row)]
    for row in timed or rows[:1]:
        if len(set(row)) == len(row):
            return row
    if len(rows) < 2 or timed:
        return None
    levels = [".".join(dict.fromkeys(filter(None, parts))) for parts in zip(*rows[:2], strict=True)]
    return levels if len(set(levels)) == len(levels) else None
