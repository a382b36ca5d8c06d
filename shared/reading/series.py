"""Step 4 of reading: roles -> named series. One model for batches and charts. Pure."""

import math
from array import array
from collections import Counter
from collections.abc import Sequence
from operator import eq, ne

import msgspec

from shared.errors import Rejected
from shared.reading.limits import Limits
from shared.reading.roles import labels, quality
from shared.reading.roles.columns import Profile, numbers_of
from shared.reading.roles.labels import Naming
from shared.reading.roles.roles import Roles
from shared.reading.safe_text import quoted
from shared.reading.texts.names import Hint

NO_NUMBER = "value is not a number"
NOT_FINITE = "value is not finite"
NO_NAME = "metric is no name"
TOO_MANY = "too many metrics"
NO_PLACE = "value without a place on the axis"


class Selection(msgspec.Struct):
    """Values of one series and the rows they stand in; None for all rows of the table."""

    name: str
    unit: str | None
    values: array[float]
    rows: Sequence[int] | None
    measure: Profile


def select(roles: Roles, naming: Naming, rejected: Counter[str], limits: Limits, *, chart: bool) -> list[Selection]:
    """The series of a table before they get their axis. Adds to `rejected`. Raises Rejected for too many of a chart."""
    groups = _groups(naming, chart=chart)
    names = labels.measure_names(roles)
    selections: list[Selection] = []
    for measure, name in zip(roles.measures, names, strict=True):
        bad_rows = quality.bad_rows(roles, measure)
        for parts, rows in groups:
            if not parts and rows is not None and measure.hint.hint is Hint.VALUE and not chart:
                unnamed = sum(1 for row in rows if measure.column.values[row] is not None)
                if unnamed:
                    rejected[NO_NAME] += unnamed
                continue
            full = labels.series_name(parts, name, measure, naming, len(roles.measures))
            if not full or (not chart and not 0 < len(full) <= limits.name_chars):
                rejected[NO_NAME] += len(rows) if rows is not None else len(measure.column.values)
                continue
            unit = quality.unit_of(roles, measure, rows)
            selection = _selection(
                full,
                unit,
                measure,
                rows,
                bad_rows,
                rejected,
                strict=naming.generic and len(roles.measures) == 1 and not chart,
            )
            if selection is not None:
                selections.append(selection)
    return _bounded(selections, rejected, limits, chart=chart)


def _groups(naming: Naming, *, chart: bool) -> list[tuple[list[str], Sequence[int] | None]]:
    """The labels of each series and its rows."""
    if not naming.labels:
        return [([], None)]
    columns = [profile.column.values for profile in naming.labels]
    first = columns[0]
    by_label: dict[object, list[int]] = {}
    if len(columns) == 1:
        for row, value in enumerate(first):
            try:
                by_label[value].append(row)
            except KeyError:
                by_label[value] = [row]
            except TypeError:
                by_label.setdefault(None, []).append(row)
    else:
        for row, key in enumerate(zip(*columns, strict=True)):
            by_label.setdefault(key, []).append(row)
    groups: list[tuple[list[str], Sequence[int] | None]] = []
    whole = {id(profile) for profile in naming.labels if profile.kind == "number"}
    for label, rows in by_label.items():
        parts = label if len(columns) > 1 else (label,)
        texts: list[str] = []
        for profile, part in zip(naming.labels, parts, strict=True):  # type: ignore[call-overload]  # a tuple
            if profile.column.origin == "part":
                if not texts and chart:
                    texts.append(f"series {part}")
                continue  # tells series apart, but is no name
            named = type(part) is str or (id(profile) in whole and type(part) is int)
            text = labels.label_text(part) if named else None
            if text is not None and (type(part) is not str or len(part) <= 128 or chart):
                texts.append(text)
        groups.append((texts, rows))
    return groups


def _selection(
    name: str,
    unit: str | None,
    measure: Profile,
    rows: Sequence[int] | None,
    bad_rows: frozenset[int],
    rejected: Counter[str],
    *,
    strict: bool,
) -> Selection | None:
    """Its finite values. `strict`: a value that is not there counts as one that is no number."""
    numbers = numbers_of(measure)
    if numbers.clean and not bad_rows:
        values = numbers.values if rows is None else array("d", [numbers.values[row] for row in rows])
        return Selection(name, unit, values, rows, measure) if len(values) else None
    kept: list[int] = []
    cells = measure.column.values
    for row in range(len(cells)) if rows is None else rows:
        value = numbers.values[row]
        cell = cells[row]
        if cell is None:
            if strict:
                rejected[NO_NUMBER] += 1
        elif math.isnan(value) and not _is_nan(cell):
            rejected[NO_NUMBER] += 1
        elif not math.isfinite(value):
            rejected[NOT_FINITE] += 1
        elif row in bad_rows:
            rejected[quality.BAD] += 1
        else:
            kept.append(row)
    if not kept:
        return None
    return Selection(name, unit, array("d", [numbers.values[row] for row in kept]), kept, measure)


def _is_nan(cell: object) -> bool:
    return type(cell) is float and math.isnan(cell)


def _bounded(selections: list[Selection], rejected: Counter[str], limits: Limits, *, chart: bool) -> list[Selection]:
    if chart:
        if len(selections) > limits.series:
            raise Rejected(f"more than {limits.series} series")
        if sum(len(selection.values) for selection in selections) > limits.points:
            raise Rejected(f"more than {limits.points:,} points")
        return selections
    for surplus in selections[limits.metrics :]:
        rejected[TOO_MANY] += len(surplus.values)
    return selections[: limits.metrics]


def check_one_time(roles: Roles, selections: list[Selection]) -> None:
    """Raises Rejected where several values of a series share the one time that stands around them."""
    time = roles.time
    if time is None or roles.clock is not None or time.column.origin != "context":
        return
    cells = time.column.values
    if all(value == cells[0] for value in cells):
        crowded = any(len(selection.values) > 1 for selection in selections)
    else:
        crowded = roles.table.shape == "values" and any(map(ne, cells[1:], cells)) and any(map(eq, cells[1:], cells))
    if crowded:
        raise Rejected(f"several values at the one time in {quoted(time.name)}")
