"""Units and quality of measures: which column says it of which measure, and what is bad. Pure.

A value whose quality is bad is left out and counted: a status of OPC UA with severity "bad" (the highest bit is set), a
text that starts with bad, or false under the name good or valid. Everything else, also "uncertain", is kept.
"""

from collections.abc import Sequence

from shared.reading.roles.columns import Profile
from shared.reading.roles.roles import Roles
from shared.reading.texts.names import Hint, compact

BAD = "quality is bad"
_OPC_UA_BAD = 0x8000_0000
_BAD_TEXTS = frozenset(
    ("bad", "invalid", "faulty", "failed", "failure", "sensor_failure", "sensor failure", "comm_fail")
)
_SUFFIXES = ("quality", "status", "statuscode", "flag", "valid", "qc", "good", "qualitycode")


def bad_rows(roles: Roles, measure: Profile) -> frozenset[int]:
    """The rows whose value of this measure is bad."""
    if roles.quality is None:
        return frozenset()
    column = _beside(roles, measure, "quality")
    if column is None:
        return frozenset()
    values = column.column.values
    positive = compact(column.name) in ("good", "isgood", "valid", "isvalid")
    if set(map(type, values)) <= {str} and len(distinct := set(values)) < 16 and not any(map(_is_bad_text, distinct)):
        return frozenset()
    return frozenset(row for row, value in enumerate(values) if _is_bad(value, positive=positive))


def _is_bad(value: object, *, positive: bool) -> bool:
    if type(value) is bool:
        return positive and not value
    if type(value) is int:
        return _OPC_UA_BAD <= value < 2 * _OPC_UA_BAD
    return type(value) is str and _is_bad_text(value)


def _is_bad_text(value: str) -> bool:
    text = value.strip()
    return text.lower() in _BAD_TEXTS or (text[:3] == "Bad" and text[3:4].isupper())


def unit_of(roles: Roles, measure: Profile, rows: Sequence[int] | None) -> str | None:
    """The unit of a measure in these rows: the one that all of them give, or that stands around them."""
    if measure.numbers is not None and measure.numbers.unit is not None:
        return measure.numbers.unit
    unit = roles.table.units.get(measure.column.parts[-1]) if roles.table.units else None
    if unit is not None or roles.unit is None:
        return unit
    column = _beside(roles, measure, "unit")
    if column is None:
        return None
    values = column.column.values
    first = values[0 if rows is None else rows[0]] if values else None
    if type(first) is not str or not 0 < len(first) <= 32:
        return None
    alike = all(value == first for value in values) if rows is None else all(values[row] == first for row in rows)
    return first if alike else None


def _beside(roles: Roles, measure: Profile, role: str) -> Profile | None:
    """The column of this role that belongs to a measure: in the same member, called after it, or the only one."""
    profiles = [entry.profile for entry in roles.assigned if entry.role == role]
    around = measure.column.parts[:-1]
    if around:
        for column in profiles:
            if column.column.parts[:-1] == around:
                return column
    name = compact(measure.name)
    for column in profiles:
        other = compact(column.name)
        if (
            other != name
            and other.startswith(name)
            and other.removeprefix(name) in (*_SUFFIXES, "unit", "units", "uom")
        ):
            return column
    plain = [
        column
        for column in profiles
        if column.hint.rank == 0 and len(column.column.parts) <= max(1, len(measure.column.parts))
    ]
    if (
        role == "unit"
        and len(roles.measures) > 1
        and not any(other.hint.hint is Hint.VALUE for other in roles.measures)
    ):
        return None
    return plain[0] if plain else None
