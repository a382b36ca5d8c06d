"""Which columns tell the series of long rows apart, and what the series are called. Pure.

A series is called after its labels, joined by SEPARATOR: the wider one first (`north.temp`), the measure's own name
last, and only where it says more than `value`. A label that is the same everywhere is no part of a name, unless there
is no other name.
"""

import re
from collections.abc import Sequence

import msgspec

from shared.reading.roles.columns import Profile, distinct
from shared.reading.roles.roles import Roles
from shared.reading.safe_text import bounded
from shared.reading.texts.names import Hint, compact, hint, is_container, words

SEPARATOR = "."
_KEY_RANK, _SENSOR_RANK, _PLACE_RANK, _PLAIN_RANK, _ID_RANK = 0.5, 3.0, 4.0, 6.0, 7.0
_SPEAKING_ID = re.compile(r"(?![0-9a-f-]*$)[A-Za-z][\w .:/-]{0,40}")
"""An id that reads as a name, as chart libraries use it."""
_MAX_LABELS = 4
_QUANTITY_IDS = frozenset(("parameterid", "variableid", "tagid", "metricid", "pointid", "signalid", "seriesid"))
_PIECES = ("page", "chunk", "part", "batch", "block", "frame", "table", "sheet", "partition")
"""Members that only divide rows of one kind."""
_NAMING_RANK = 2.0
"""Labels up to this rank name what was measured."""


class Naming(msgspec.Struct):
    """`labels`, the best first, part the rows into series. `constant` is the name that all rows share; `generic`: the
    only measure is called value or the like, so that a label takes the place of its name."""

    labels: list[Profile]
    constant: str | None
    generic: bool
    reason: str


def rank_of(profile: Profile) -> float:
    """How well a label names what was measured: the lower the better."""
    if profile.column.origin == "key":
        return _KEY_RANK
    match profile.hint.hint:
        case Hint.LABEL:
            return float(profile.hint.rank)
        case Hint.SENSOR:
            return _SENSOR_RANK + profile.hint.rank / 10
        case Hint.PLACE:
            return _PLACE_RANK + profile.hint.rank / 10
        case Hint.IDENTIFIER:
            return _ID_RANK
    return _PLAIN_RANK + (0.5 if profile.column.origin == "context" else 0.0)


def choose(roles: Roles, *, chart: bool, category: Profile | None = None) -> Naming:
    """The labels of a table. `category` is an axis of names, which is no label."""
    measures = roles.measures
    generic = is_generic(measures, ordered_names=roles.table.ordered_names)
    labels = [profile for profile in roles.labels if profile is not category]
    sensor = roles.sensor if roles.sensor is not category else None
    set_by_hand = [
        profile
        for entry in roles.assigned
        if entry.reason == "set by INPUTS" and entry.role == "label"
        for profile in [entry.profile]
    ]
    if set_by_hand:
        return Naming(set_by_hand, None, generic, "set by INPUTS")
    candidates = sorted(
        labels + ([sensor] if sensor is not None else []), key=lambda profile: (rank_of(profile), profile.column.parts)
    )
    generic = generic or _is_labelled_value(measures, candidates)
    if not candidates:
        return Naming([], None, generic, "no labels")
    axis = category if category is not None else roles.time
    varying = [profile for profile in candidates if _varies(profile)]
    around = generic and sensor is not None and sensor.column.origin == "context" and bool(roles.parts)
    base: list[Sequence[object]] = [] if axis is None else [axis.column.values]
    # The readings of a batch keep their sensor, so that it need not be in the name.
    if (
        not chart
        and sensor is not None
        and not around  # each sensor has a list of its own
        and (not generic or any(rank_of(profile) <= _NAMING_RANK for profile in varying if profile is not sensor))
    ):
        base.append(sensor.column.values)
    chosen = _speaking(
        measures, candidates, varying, base, roles.table.length, sensor if not chart and not around else None, generic
    )
    if not chart and sensor is not None and not around and any(not _varies(profile) for profile in chosen):
        base.append(sensor.column.values)
    kept_apart = None if chart or generic else sensor
    _refine(
        chosen,
        [profile for profile in varying if profile is not kept_apart],
        roles,
        _Counted(measures, base),
        axis,
        chart,
    )
    chosen.extend(profile for profile in varying if profile not in chosen and _parts_tables(profile))
    if chart:
        _part_sensors(chosen, varying, roles)
    # The value itself is called after its label, what stands beside it after both.
    generic = generic or (bool(chosen) and any(profile.hint.hint is Hint.VALUE for profile in measures))
    constant = None if chosen else _constant_name(candidates, generic=generic)
    reason = "labels that differ" if chosen else ("the name around the rows" if constant else "the columns' own names")
    return Naming(chosen, constant, generic, reason)


def _is_labelled_value(measures: Sequence[Profile], candidates: Sequence[Profile]) -> bool:
    """Whether the only measure is called value inside a member, beside a label or below a list's name."""
    if len(measures) != 1 or hint(measures[0].parts[-1]).hint is not Hint.VALUE:
        return False
    member = measures[0].parts[:-1]
    return any(
        profile.hint.hint is Hint.LABEL
        and profile.hint.rank <= 1
        and ((profile.column.origin == "context" and _varies(profile)) or profile.parts[:-1] == member)
        for profile in candidates
    )


def _parts_tables(profile: Profile) -> bool:
    """Whether a label is the name of the member that each of several tables stood in, and says something."""
    if profile.column.origin != "key":
        return False
    keys = {str(value) for value in profile.column.values}
    return len(keys) * 2 <= len(profile.column.values) and not any(
        is_container(key) or not words(key) or words(key)[0].rstrip("0123456789") in ("", *_PIECES) for key in keys
    )


def _speaking(
    measures: Sequence[Profile],
    candidates: Sequence[Profile],
    varying: list[Profile],
    base: Sequence[Sequence[object]],
    length: int,
    kept_sensor: Profile | None,
    generic: bool,
) -> list[Profile]:
    """The labels that say what was measured, before it is asked whether they tell all rows apart."""
    if not generic:
        if not any(profile.hint.hint is Hint.VALUE for profile in measures):
            return []
        return [profile for profile in varying if profile.hint.hint is Hint.LABEL and profile.hint.rank == 0][:1]
    first = _first_label(varying, base, length) if varying else None
    if first is not None and rank_of(first) < _SENSOR_RANK:
        return [first]
    named = _constant_metric(candidates)
    if named is not None and first is kept_sensor:
        first = None
    return [profile for profile in (named, first) if profile is not None]


def _refine(
    chosen: list[Profile],
    varying: Sequence[Profile],
    roles: Roles,
    counted: "_Counted",
    axis: Profile | None,
    chart: bool,
) -> None:
    """Add labels until no two rows of a series stand at one place, as far as labels can tell them apart."""
    unique = counted.keys(chosen)
    if axis is not None or (not chart and bool(chosen)):
        for profile in varying:
            if unique == counted.length or len(chosen) >= _MAX_LABELS:
                break
            if profile not in chosen and (refined := counted.keys([*chosen, profile])) > unique:
                chosen.append(profile)
                unique = refined
    if unique < counted.length and axis is not None:
        chosen.extend([profile for profile in roles.parts if counted.keys([*chosen, profile]) > unique][:1])


def is_generic(measures: Sequence[Profile], *, ordered_names: bool = True) -> bool:
    """Whether the measures' names say nothing: there is one called value, or only one and it is an aggregate."""
    if not ordered_names:
        return False
    if any(profile.hint.hint is Hint.VALUE for profile in measures):
        return all(profile.hint.hint in (Hint.VALUE, Hint.AGGREGATE) for profile in measures)
    return bool(measures) and all(profile.hint.hint is Hint.AGGREGATE for profile in measures)


def _varies(profile: Profile) -> bool:
    values = profile.column.values
    first = values[0]
    return any(value != first for value in values)


def _first_label(varying: list[Profile], base: Sequence[Sequence[object]], length: int) -> Profile | None:
    best = varying[0]
    if rank_of(best) < _PLAIN_RANK:
        if rank_of(best) <= 1.0 or rank_of(best) > _NAMING_RANK or not _is_row_id(best, length):
            return best
        others = [profile for profile in varying if not _is_row_id(profile, length)]
        return others[0] if others else (best if _count(base, []) < length or not base else None)
    for profile in varying:
        if rank_of(profile) < _ID_RANK and (distinct(profile.column.values) * 2 <= length or _count(base, []) < length):
            return profile
    return None


def _constant_metric(candidates: Sequence[Profile]) -> Profile | None:
    """A label that says what was measured, the same in all rows: it names the series, with what tells them apart."""
    for profile in candidates:
        rank = rank_of(profile)
        if (
            profile.hint.hint is Hint.LABEL
            and type(profile.column.values[0]) is str
            and not _varies(profile)
            and (rank == 0 or (rank <= 1 and profile.column.origin == "cell"))
        ):
            return profile if label_text(profile.column.values[0]) is not None else None
    return None


def _is_row_id(profile: Profile, length: int) -> bool:
    return length > 3 and distinct(profile.column.values) == length


class _Counted:
    """How many rows there are, and how many of them differ in the axis and some labels.

    Where measures are missing in some rows, each measure is counted on its own: tables that were joined hold different
    ones, which need no label to be told apart.
    """

    def __init__(self, measures: Sequence[Profile], base: Sequence[Sequence[object]]) -> None:
        self.base = base
        values = [profile.column.values for profile in measures]
        sparse = len(values) > 1 and any(None in column for column in values)
        self.rows = (
            [[row for row, value in enumerate(column) if value is not None] for column in values] if sparse else []
        )
        self.length = sum(map(len, self.rows)) if sparse else (len(values[0]) if values else 0)

    def keys(self, chosen: Sequence[Profile]) -> int:
        if not self.rows:
            return _count(self.base, chosen)
        columns = [*self.base, *(profile.column.values for profile in chosen)]
        return sum(len({str([column[row] for column in columns]) for row in rows}) for rows in self.rows)


def _count(base: Sequence[Sequence[object]], chosen: Sequence[Profile]) -> int:
    columns = [*base, *(profile.column.values for profile in chosen)]
    if not columns:
        return 1
    try:
        return len(set(columns[0])) if len(columns) == 1 else len(set(zip(*columns, strict=True)))
    except TypeError:
        return len({str(row) for row in zip(*columns, strict=True)})


def _part_sensors(chosen: list[Profile], varying: Sequence[Profile], roles: Roles) -> None:
    """In charts, two sensors or places are two lines, even where their times never meet."""
    for profile in varying:
        if profile in chosen or profile.hint.hint not in (Hint.SENSOR, Hint.PLACE) or len(chosen) >= 4:
            continue
        if _is_row_id(profile, roles.table.length) or distinct(profile.column.values) < 2:
            continue
        if _count([], [*chosen, profile]) > (_count([], chosen) if chosen else 1):
            chosen.append(profile)


def _constant_name(candidates: Sequence[Profile], *, generic: bool) -> str | None:
    """The name of all rows, where their measure has none."""
    if not generic:
        return None
    named = [profile for profile in candidates if _names_quantity(profile)]
    for profile in [*named, *candidates]:
        if type(profile.column.values[0]) is not str:
            continue
        rank = rank_of(profile)
        if profile in named:
            rank = 0.0
        speaking = compact(profile.name) == "id" and profile.kind == "text" and profile.column.origin == "context"
        if speaking and not _SPEAKING_ID.fullmatch(str(profile.column.values[0])):
            continue
        if rank <= 1.0 or _SENSOR_RANK <= rank < _PLACE_RANK or speaking:
            text = label_text(profile.column.values[0])
            if text is not None:
                return text
    return None


def _names_quantity(profile: Profile) -> bool:
    """Whether a column of texts names what was measured by an id: better than the name of the list around it."""
    name = compact(profile.name)
    return profile.kind == "text" and profile.hint.hint is Hint.LABEL and name in _QUANTITY_IDS


def label_text(value: object) -> str | None:
    """A label as part of a name; None where it is none."""
    if type(value) is str:
        return bounded(value) or None
    return str(value) if type(value) is int or type(value) is float else None


def measure_names(roles: Roles) -> list[str]:
    """The names of the measures, each different: the last part, with those around it where that is needed."""
    plain = [profile.name for profile in roles.measures]
    if all(len(profile.column.parts) == 1 for profile in roles.measures) and len(set(plain)) == len(plain):
        return plain
    carriers = {_carrier(profile) for profile in roles.measures}
    names = []
    for profile, name in zip(roles.measures, plain, strict=True):
        carrier = _carrier(profile)
        if carrier and (len(carriers) > 1 or plain.count(name) > 1):
            names.append(SEPARATOR.join((*carrier, name)))
        elif plain.count(name) > 1 and len(profile.column.parts) > 1:
            names.append(SEPARATOR.join(profile.parts))
        else:
            names.append(name)
    if len(set(names)) < len(names):
        names = [SEPARATOR.join(profile.column.parts) for profile in roles.measures]
    return names


def _carrier(profile: Profile) -> tuple[str, ...]:
    """The members around a measure that could be a part of its name: not those that only wrap measurements."""
    parts = profile.parts[:-1]
    if parts and profile.name != profile.parts[-1]:
        parts = parts[:-1]
    return tuple(part for part in parts if not is_container(part))


def series_name(labels: Sequence[str], measure: str, profile: Profile, naming: Naming, count: int) -> str:
    """The name of a series from its labels (the best first), its measure and how many measures there are."""
    if not labels:
        if naming.constant is not None and (profile.hint.hint is Hint.VALUE or count == 1):
            return naming.constant
        if naming.constant is not None and naming.generic:
            return bounded(f"{naming.constant}{SEPARATOR}{measure}")
        return bounded(measure)
    joined = SEPARATOR.join(reversed(labels))
    if naming.generic and (profile.hint.hint is Hint.VALUE or count == 1):
        return bounded(joined)
    return bounded(f"{joined}{SEPARATOR}{measure}")
