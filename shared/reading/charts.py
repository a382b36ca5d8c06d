"""Charts: bytes -> named series along an axis of times, numbers or names. Pure."""

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from shared.errors import Rejected
from shared.reading import reader, series
from shared.reading.documents import document
from shared.reading.limits import LIMITS, Limits
from shared.reading.model import Reading, Series
from shared.reading.overrides import NONE, Override
from shared.reading.roles import labels, time_column, zones
from shared.reading.roles.columns import Profile, numbers_of
from shared.reading.roles.roles import Roles, left_out
from shared.reading.safe_text import bounded, quoted
from shared.reading.series import NO_PLACE, Selection
from shared.reading.texts import times
from shared.reading.tree import Budget, Decoded

_MANY_AT_ONE_TIME = 4
"""So many values of a series at one time, on average, are no repetitions: the time or a label was not understood."""
NO_TIME = "value without a time"
_INTEGER = re.compile(r"[+-]?[0-9]{16,64}")


def read_generally(raw: bytes, override: Override = NONE, limits: Limits = LIMITS) -> Reading:
    """As read.read_chart, by the general steps."""
    budget = Budget(limits.expanded_bytes, limits.layers, limits.nodes)
    return read_document(document.decode(raw, budget), budget, override, limits)


def read_document(decoded: Decoded, budget: Budget, override: Override, limits: Limits) -> Reading:
    choice = reader.find(decoded, budget, limits, override, chart=True)
    return read_chosen(choice, override, limits)


def read_chosen(choice: reader.Choice, override: Override, limits: Limits) -> Reading:
    """The series of the chosen table. Raises Rejected where none has a point."""
    candidate = choice.chosen[0]
    if reader.is_placeholder(candidate):
        raise Rejected("a placeholder without data")
    roles = candidate.roles
    if roles is None:
        raise Rejected(candidate.fault)
    rejected = choice.rejected.copy()
    rejected.update(candidate.table.rejected)
    category = candidate.axis[0] if candidate.axis is not None else None
    naming = labels.choose(roles, chart=True, category=category)
    selections = series.select(roles, naming, rejected, limits, chart=True)
    rejected.update(left_out(roles))
    if candidate.axis is None:
        series.check_one_time(roles, selections)
        kind, lines = "time", _over_time(roles, selections, override, rejected)
    elif candidate.axis[1] == "number":
        kind, lines = "number", _over_numbers(candidate.axis[0], selections, rejected)
    else:
        kind, lines = "category", _over_names(candidate.axis[0], selections, rejected)
    if not lines:
        reason = rejected.most_common(1)[0][0] if rejected else ""
        raise Rejected(f"no points: {reason}" if reason else "no points")
    return Reading(named_apart(lines, limits), dict(rejected), kind)


def _over_time(roles: Roles, selections: list[Selection], override: Override, rejected: Counter[str]) -> list[Series]:
    cache: dict[int, times.Times] = {}
    lines = []
    for selection in selections:
        column = time_column.own_time(roles.time, roles.other_times(), selection.measure) or roles.time
        if column is None:
            continue
        cached = cache.get(id(column))
        if cached is None:
            cached = cache[id(column)] = _times(column, roles, override)
        line = in_order(selection, cached.ms, rejected)
        if line is not None:
            lines.append(line)
    if not lines and cache and not any(cached.read for cached in cache.values()) and roles.time is not None:
        raise Rejected(f"no value of {quoted(roles.time.name)} is a time")
    return lines


def _times(column: Profile, roles: Roles, override: Override) -> times.Times:
    clock = roles.clock if column is roles.time else None
    try:
        return zones.times_of(column, clock, roles, override)
    except times.Ambiguous as fault:
        raise Rejected(f"{quoted(column.name)} holds {fault}; set `dayFirst` in INPUTS") from None


def in_order(selection: Selection, ms: "array[float]", rejected: Counter[str]) -> Series | None:
    """A line in order of time, the last value where a time repeats; None without any point."""
    import numpy as np

    stamps = np.frombuffer(ms)
    if selection.rows is not None:
        stamps = stamps[np.asarray(selection.rows, dtype=np.intp)]
    values = np.frombuffer(selection.values)
    exact = exact_values(selection)
    usable = (stamps >= 0) & (stamps <= times.MAX_TIME_MS)
    count = int(usable.sum())
    if count < len(values):
        rejected[NO_TIME] += len(values) - count
        stamps, values, exact = stamps[usable], values[usable], _at(exact, np.flatnonzero(usable))
    if not count:
        return None
    whole_ms = stamps.astype(np.int64)
    if (whole_ms[1:] <= whole_ms[:-1]).any():
        if count >= _MANY_AT_ONE_TIME and len(np.unique(whole_ms)) * _MANY_AT_ONE_TIME <= count:
            raise Rejected(f"{count} values of {quoted(selection.name)} at {len(np.unique(whole_ms))} times")
        order = np.argsort(whole_ms, kind="stable")
        last_of_its_time = order[np.append(np.diff(whole_ms[order]) > 0, True)]
        whole_ms, values = whole_ms[last_of_its_time], values[last_of_its_time]
        exact = _at(exact, last_of_its_time)
    x = array("q", whole_ms.tobytes())
    return Series(selection.name, selection.unit, array("d", values.tobytes()), x, exact=exact)


def exact_values(selection: Selection) -> Sequence[int | float]:
    """The values as they were given, if one of them is an integer that no double holds; () otherwise."""
    import numpy as np

    values = np.frombuffer(selection.values)
    if not len(values) or np.abs(values).max() < 2**53:
        return ()
    cells = selection.measure.column.values
    rows: Sequence[int] = range(len(cells)) if selection.rows is None else selection.rows
    return [
        whole if abs(value) >= 2**53 and (whole := _whole(cells[row])) is not None else value
        for row, value in zip(rows, selection.values, strict=True)
    ]


def _whole(cell: object) -> int | None:
    """The integer in a cell, also as text."""
    if type(cell) is str and _INTEGER.fullmatch(text := cell.strip()):
        return int(text)
    return cell if type(cell) is int else None


def _at(exact: Sequence[int | float], places: Iterable[int]) -> Sequence[int | float]:
    return [exact[place] for place in places] if exact else ()


def _over_numbers(axis: Profile, selections: list[Selection], rejected: Counter[str]) -> list[Series]:
    import numpy as np

    places = np.frombuffer(numbers_of(axis).values)
    lines = []
    for selection in selections:
        x = places if selection.rows is None else places[np.asarray(selection.rows, dtype=np.intp)]
        values, exact = np.frombuffer(selection.values), exact_values(selection)
        usable = np.isfinite(x)
        if not usable.all():
            rejected[NO_PLACE] += int((~usable).sum())
            x, values, exact = x[usable], values[usable], _at(exact, np.flatnonzero(usable))
        if len(values):
            order = np.argsort(x, kind="stable")
            sorted_values, sorted_x = array("d", values[order].tobytes()), array("d", x[order].tobytes())
            lines.append(Series(selection.name, selection.unit, sorted_values, sorted_x, exact=_at(exact, order)))
    return lines


def _over_names(axis: Profile, selections: list[Selection], rejected: Counter[str]) -> list[Series]:
    names = [None if value is None else bounded(str(value)) for value in axis.column.values]
    lines = []
    for selection in selections:
        rows: Sequence[int] = range(len(names)) if selection.rows is None else selection.rows
        kept = [place for place, row in enumerate(rows) if names[row] is not None]
        if len(kept) < len(rows):
            rejected[NO_PLACE] += len(rows) - len(kept)
        if kept:
            x = tuple(str(names[rows[place]]) for place in kept)
            values = array("d", [selection.values[place] for place in kept])
            lines.append(Series(selection.name, selection.unit, values, x, exact=_at(exact_values(selection), kept)))
    return lines


def named_apart(lines: Sequence[Series], limits: Limits) -> dict[str, Series]:
    """The series with names that are bounded, can be written as UTF-8 and differ from each other."""
    by_name: dict[str, Series] = {}
    for line in lines:
        stem = name = bounded(line.name, limits.name_chars)
        number = 1
        while name in by_name:
            number += 1
            suffix = f" ({number})"
            name = stem[: limits.name_chars - len(suffix)] + suffix
        unit = None if line.unit is None else bounded(line.unit)
        by_name[name] = msgspec.structs.replace(line, name=name, unit=unit)
    return by_name
