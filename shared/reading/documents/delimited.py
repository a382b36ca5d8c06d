"""Text with a header and delimiters (CSV, TSV, semicolons), read as a grid when it clearly is one. Pure."""

import csv
import io
import re
from collections.abc import Sequence
from itertools import repeat
from typing import Any

from shared.errors import Rejected
from shared.reading.documents import preamble
from shared.reading.texts import numbers, times
from shared.reading.texts.names import Hint, hint
from shared.reading.tree import HEADER_ALONE, Grid

_DELIMITERS = (",", ";", "\t", "|")
_NAMES = {",": "CSV", ";": "CSV with semicolons", "\t": "TSV", "|": "CSV with bars"}
_DECIMAL_COMMA = re.compile(r"-?\d+,\d+")
_NAME = re.compile(r"[^\W\d][\w .()/%°-]{0,40}")
_SAMPLE_ROWS = 200
MAX_FIELDS = 1024
_HEAD_ROWS = 4


def read(text: str) -> tuple[Grid, str] | None:
    """The grid and the name of its format; None when the text is no table.

    A table has a header of at least two different names, the same number of fields in every row, and a column of
    numbers. Raises Rejected for a text that is a table but for one of these.
    """
    text = _without_directives(text)
    first = text.split("\n", 1)[0]
    delimiters = [mark for mark in _DELIMITERS if mark in first]
    several = "\n" in text.rstrip()
    if not several:
        if delimiters and _is_lone_header(first, delimiters):
            raise Rejected(HEADER_ALONE)
        return None
    fault: Rejected | None = None
    for mark in sorted(delimiters, key=first.count, reverse=True):
        try:
            grid = _grid(text, mark)
        except Rejected as caught:
            fault = fault or caught
            continue
        if grid is not None:
            return grid, _NAMES[mark]
    return _below_preamble(text, fault)


def _below_preamble(text: str, fault: Rejected | None) -> tuple[Grid, str] | None:
    """The grid under lines about something else, or under names in two levels. Raises `fault` where there is none."""
    for mark in _DELIMITERS:
        if mark not in text:
            continue
        below = preamble.without_preamble(text, mark)
        try:
            grid = None if below is None else _grid(below, mark)
        except Rejected:
            continue
        if grid is not None:
            return grid, f"{_NAMES[mark]} below a preamble"
    if fault is not None:
        raise fault
    return None


def _is_lone_header(line: str, delimiters: list[str]) -> bool:
    """Whether the only line of a text names columns, one of them a time."""
    names = [name.strip().strip('"') for name in line.strip().split(max(delimiters, key=line.count))]
    return all(map(_NAME.fullmatch, names)) and any(hint(name).hint is Hint.TIME for name in names)


def _without_directives(text: str) -> str:
    """Without what stands before the header: comments, annotations of InfluxDB, Excel's `sep=`."""
    while text.startswith(("#", "sep=", "\n", "\r")):
        line, _, rest = text.partition("\n")
        if line.startswith("#") and not rest.lstrip("\r\n").startswith("#") and _is_header(line, rest):
            return text[1:].lstrip(" ")
        text = rest
        if not rest:
            break
    return text


def _is_header(line: str, rest: str) -> bool:
    """Whether a line with # in front names the columns: as many fields as the next line, which is no header itself."""
    following = rest.split("\n", 1)[0]
    for mark in _DELIMITERS:
        fields = following.split(mark)
        if len(fields) > 1 and line.count(mark) == following.count(mark):
            return any(
                numbers.is_number_text(field) or times.is_date_text(field.strip().strip('"')) for field in fields
            )
    return False


def _grid(text: str, mark: str) -> Grid | None:
    table = _split_at_once(text, mark)
    if table is None:
        table = _parsed(text, mark)
    if table is None:
        return None
    header, columns = table
    width = len(header)
    if not 2 <= width <= MAX_FIELDS or not columns[0]:
        return None
    is_data = _looks_like_data(header)
    head = list(zip(*(column[:_HEAD_ROWS] for column in columns), strict=True))
    more = 0 if is_data else preamble.header_rows(head)
    if more:
        header = preamble.joined([header, *head[:more]]) or header
        columns = [column[more:] for column in columns]
    cells = tuple([cell.strip() or None for cell in column] for column in columns)
    if not any(map(_is_numeric, cells)):
        return None
    if is_data:
        raise Rejected("CSV without a header")
    if len(set(header)) != width:
        raise Rejected("CSV names a column twice")
    return Grid(tuple(header), cells, mark != "," and _has_decimal_comma(cells))


def _split_at_once(text: str, mark: str) -> tuple[list[str], list[Sequence[str]]] | None:
    """The header and the columns of a text without quotes and comments whose lines all have as many marks, which needs
    no parser; None for any other text."""
    if '"' in text or "\n#" in text:
        return None
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    marks = lines[0].count(mark)
    if marks == 0 or len(lines) < 2 or "\r" in lines[0] or set(map(str.count, lines, repeat(mark))) != {marks}:
        return None
    if lines.count(lines[0]) > 1 or mark * marks in lines or "\r" in text.replace("\r\n", ""):
        return None
    cells, width = mark.join(lines).split(mark), marks + 1
    header = [name.strip() for name in cells[:width]]
    columns: list[Sequence[str]] = [cells[place::width][1:] for place in range(width)]
    if width > 2 and header[-1] == "" and not any(columns[-1]):
        return header[:-1], columns[:-1]
    return header, columns


def _parsed(text: str, mark: str) -> tuple[list[str], list[Sequence[str]]] | None:
    """The header and the columns; None where it is no table. Raises Rejected for rows that differ in length."""
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True) if any(row)]
    except csv.Error:
        return None
    if len(rows) < 2:
        return None
    header = [name.strip() for name in rows[0]]
    rows = [row for row in rows[1:] if row != rows[0] and not (row[0].startswith("#") and len(row) > 1)]
    width = len(header)
    widths = set(map(len, rows))
    if width > 2 and header[-1] == "" and widths == {width}:
        if all(row[-1] == "" for row in rows):
            header, width = header[:-1], width - 1
            rows = [row[:-1] for row in rows]
    elif widths == {width + 1} and all(row[-1] == "" for row in rows):
        rows = [row[:-1] for row in rows]
    elif widths != {width}:
        if width > 1 and len(widths - {1}) <= 3 and width in widths:
            raise Rejected("CSV rows differ in their number of fields")
        return None
    return (header, list(zip(*rows, strict=True))) if rows else None


def _is_numeric(column: Sequence[Any]) -> bool:
    if None not in column and numbers.quick(column) is not None:
        return True
    sample = [cell for cell in column[:_SAMPLE_ROWS] if cell is not None and cell.lower() not in numbers.MISSING]
    return bool(sample) and sum(map(numbers.is_number_text, sample)) * 2 > len(sample)


def _looks_like_data(header: list[str]) -> bool:
    """Whether a first row holds values. A name before nothing but times is the header of a pivot."""
    first, *others = header
    if len(others) > 1 and re.match(r"[^\W\d]", first) and all(map(times.is_date_text, others)):
        return False
    return any(numbers.is_number_text(name) or times.is_date_text(name) for name in header)


def _has_decimal_comma(columns: tuple[list[str | None], ...]) -> bool:
    return any(
        cell is not None and _DECIMAL_COMMA.fullmatch(cell) for column in columns for cell in column[:_SAMPLE_ROWS]
    )
