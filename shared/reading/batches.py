"""Batches: bytes -> readings per metric. Pure."""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

import msgspec

from shared.errors import NotReady, Rejected
from shared.reading import reader, series
from shared.reading.documents import document
from shared.reading.fast_path import fast
from shared.reading.limits import LIMITS, Limits
from shared.reading.model import Reading, Series, Time
from shared.reading.overrides import NONE, Override
from shared.reading.roles import labels, time_column
from shared.reading.roles.columns import Profile
from shared.reading.roles.roles import Roles, left_out
from shared.reading.safe_text import bounded
from shared.reading.texts import times
from shared.reading.tree import HEADER_ALONE, Budget, Decoded, Table

NO_TIME = "value without a time"
_FOOTED_ROWS = 4
_FEW_ELEMENTS = 8
"""Elements of a list that can be placeholders."""
MAX_TIME = 2**62
"""Numbers from here on are no time; nanoseconds since 1970 stay below it until 2116."""


def read_generally(kind: str, parts: Sequence[bytes], override: Override = NONE, limits: Limits = LIMITS) -> Reading:
    """As read.read_batch, by the general steps."""
    budget = Budget(limits.expanded_bytes, limits.layers, limits.nodes)
    try:
        decoded = decode(kind, parts, budget)
    except Rejected as fault:
        if str(fault) == HEADER_ALONE:
            raise NotReady("a placeholder without data") from None
        raise
    try:
        return read_document(decoded, budget, override, limits)
    except reader.Unreadable:
        if kind == "list" and len(parts) <= _FEW_ELEMENTS and all(_is_placeholder(part, limits) for part in parts):
            raise NotReady("a placeholder without data") from None
        raise


def _is_placeholder(element: bytes, limits: Limits) -> bool:
    try:
        read_generally("string", [element], limits=limits)
    except NotReady:
        return True
    except Rejected:
        pass
    return False


def decode(kind: str, parts: Sequence[bytes], budget: Budget) -> Decoded:
    """The document in a key of any type."""
    match kind:
        case "string":
            return document.decode(parts[0], budget)
        case "list":
            return document.decode_list(parts, budget)
        case "hash":
            return document.decode_hash(dict(zip(parts[::2], parts[1::2], strict=True)), budget)
        case "stream":
            return document.decode_stream(list(entries(parts)), budget)
    raise Rejected(f"a key of type {kind} is not read")


def entries(parts: Sequence[bytes]) -> Iterator[tuple[bytes, Mapping[bytes, bytes]]]:
    """The entries of a stream from their flat form: id, number of fields, field, value, field, value, ..."""
    place = 0
    while place < len(parts):
        entry_id, count = parts[place], int(parts[place + 1])
        fields = parts[place + 2 : place + 2 + 2 * count]
        yield entry_id, dict(zip(fields[::2], fields[1::2], strict=True))
        place += 2 + 2 * count


def read_document(decoded: Decoded, budget: Budget, override: Override, limits: Limits) -> Reading:
    """The readings in a document. Raises Rejected or NotReady."""
    try:
        value, finder, tables = reader.search(decoded, budget, limits, override)
        if len(tables) == 1 and override is NONE and not _needs_roles(tables[0]):
            quick = fast.from_table(tables[0], dict(finder.rejected), limits)
            if quick is not None:
                return quick
        choice = reader.choose(decoded, value, finder, tables, override, chart=False)
    except reader.Unreadable as fault:
        if fault.placeholder:
            raise NotReady("a placeholder without data") from None
        raise
    return read_chosen(choice, limits)


def _needs_roles(table: Table) -> bool:
    """Whether texts of digits stand beside numbers, which may be codes, or a word ends a column of times: a total."""
    firsts = [column.values[0] for column in table.columns if len(column.values)]
    if any(type(first) is str and first.isdecimal() for first in firsts) and any(
        type(first) in (int, float) for first in firsts
    ):
        return True
    ends = [column.values[-1] for column in table.columns if len(column.values) and type(column.values[0]) is str]
    return any(type(end) is str and end.isalpha() for end in ends)


def read_chosen(choice: reader.Choice, limits: Limits) -> Reading:
    """The readings of the chosen tables. Raises Rejected where none of them has a usable value, NotReady for a
    placeholder."""
    if all(map(reader.is_placeholder, choice.chosen)):
        raise NotReady("a placeholder without data")
    rejected: Counter[str] = choice.rejected.copy()
    gathered: dict[str, list[Series]] = {}
    for candidate in choice.chosen:
        rejected.update(candidate.table.rejected)
        for item in _series_of(candidate, limits, rejected):
            gathered.setdefault(item.name, []).append(item)
    if not gathered:
        reason = rejected.most_common(1)[0][0] if rejected else ""
        raise Rejected(f"no usable reading: {reason}" if reason else "no readings")
    if len(gathered) > limits.metrics:
        for name in list(gathered)[limits.metrics :]:
            rejected[series.TOO_MANY] += sum(len(item.values) for item in gathered.pop(name))
    return Reading({name: _joined(gathered[name]) for name in sorted(gathered)}, dict(rejected))


def _series_of(candidate: reader.Candidate, limits: Limits, rejected: Counter[str]) -> list[Series]:
    roles = candidate.roles
    if roles is None:
        return []
    naming = labels.choose(roles, chart=False)
    selections = series.select(roles, naming, rejected, limits, chart=False)
    if candidate.table.shape in ("values", "points"):
        series.check_one_time(roles, selections)
    rejected.update(left_out(roles))
    times_of = _TimeColumns(roles)
    footers = _footers(roles)
    if footers:
        selections = [kept for item in selections if (kept := _without_rows(item, footers, rejected)) is not None]
    sensors = _sensors(roles.sensor, candidate.table.length)
    lines = []
    for selection in selections:
        times = times_of.of(selection.measure)
        if selection.rows is None:
            row_times, row_sensors = times, sensors
        else:
            row_times = [times[row] for row in selection.rows]
            row_sensors = [sensors[row] for row in selection.rows]
        lines.append(Series(selection.name, selection.unit, selection.values, (), row_times, row_sensors))
    return lines


def _footers(roles: Roles) -> frozenset[int]:
    """The rows at either end of delimited text that have a word instead of a time, such as a total."""
    time = roles.time
    if (
        time is None
        or type(roles.measures[0].column.values[-1]) is not str
        or time.column.origin != "cell"
        or time.kind != "text"
        or len(time.column.values) < _FOOTED_ROWS
    ):
        return frozenset()
    values = time.column.values
    ends = (0, len(values) - 2, len(values) - 1)
    words = frozenset(
        row for row in ends if type(text := values[row]) is str and text and not any(map(str.isdigit, text))
    )
    return words if words and times.looks_like_time(values[len(values) // 2]) else frozenset()


def _without_rows(selection: series.Selection, rows: frozenset[int], rejected: Counter[str]) -> series.Selection | None:
    own: Sequence[int] = range(len(selection.values)) if selection.rows is None else selection.rows
    kept = [(row, value) for row, value in zip(own, selection.values, strict=True) if row not in rows]
    if len(kept) < len(selection.values):
        rejected[NO_TIME] += len(selection.values) - len(kept)
    if not kept:
        return None
    return msgspec.structs.replace(
        selection, rows=[row for row, _ in kept], values=array("d", [value for _, value in kept])
    )


class _TimeColumns:
    """The raw times of each measure: its own where one stands in the same member, else the table's."""

    def __init__(self, roles: Roles) -> None:
        self.roles = roles
        self.cache: dict[int, Sequence[Time]] = {}

    def of(self, measure: Profile) -> Sequence[Time]:
        column = time_column.own_time(self.roles.time, self.roles.other_times(), measure)
        cached = self.cache.get(id(column))
        if cached is None:
            cached = self.cache[id(column)] = self._raw(column)
        return cached

    def _raw(self, column: Profile | None) -> Sequence[Time]:
        if column is None:
            return [None] * self.roles.table.length
        raw: Sequence[Any] = time_column.raw_times(column, self.roles.clock if column is self.roles.time else None)
        if set(map(type, raw)) == {str} and max(map(len, raw)) <= LIMITS.name_chars and all(map(str.isascii, raw)):
            return raw
        return [raw_time(value) for value in raw]


def raw_time(value: object) -> Time:
    """A time as it is repeated in results: text or a number within bounds; None for anything else."""
    if type(value) is str:
        return bounded(value)
    if type(value) is int or type(value) is float:
        return value if abs(value) < MAX_TIME else None  # NaN and infinities are not below it
    return value.isoformat() if isinstance(value, datetime) else None


def _sensors(profile: Profile | None, length: int) -> Sequence[str | None]:
    if profile is None:
        return [None] * length
    cache: dict[object, str | None] = {}
    sensors: list[str | None] = []
    for value in profile.column.values:
        if type(value) is not str and type(value) is not int and type(value) is not float:
            sensors.append(None)
            continue
        text = cache.get(value)
        if text is None:
            text = cache[value] = bounded(str(value))
        sensors.append(text)
    return sensors


def _joined(lines: list[Series]) -> Series:
    if len(lines) == 1:
        return lines[0]
    values = lines[0].values[:]
    for item in lines[1:]:
        values.extend(item.values)
    times = list(chain.from_iterable(item.raw_times for item in lines))
    sensors = list(chain.from_iterable(item.sensors for item in lines))
    return Series(lines[0].name, lines[0].unit, values, (), times, sensors)
