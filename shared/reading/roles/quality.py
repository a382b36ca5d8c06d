"""Units and quality of measures: which column says it of which measure, and what is bad. Pure.

A value whose quality is bad is left out and counted: a status of OPC UA with severity "bad" (the highest bit is set),
a quality of OPC DA without its two highest bits, a word such as bad, false under the name good, true under the name
fault. Everything else, also "uncertain", is kept. Small codes that differ from row to row and follow no known table
are refused: 1 is good to some and bad to others.
"""

from collections.abc import Sequence

from shared.errors import Rejected
from shared.reading.roles.columns import Profile, numbers_of
from shared.reading.roles.roles import Roles
from shared.reading.safe_text import quoted
from shared.reading.texts.names import Hint, compact, words

BAD = "quality is bad"
_OPC_UA_BAD = 0x8000_0000
_OPC_DA_GOOD, _OPC_DA_UNCERTAIN, _BYTE = 192, 64, 256
"""OPC Data Access 3.0, section 6.8: the two highest bits of the byte are 00 bad, 01 uncertain, 11 good."""
_QARTOD_BAD = (4, 9)
"""IOOS QARTOD flags: 1 pass, 2 not evaluated, 3 suspect, 4 fail, 9 missing."""
_CODES_BELOW = 10
_BAD_TEXTS = frozenset(
    """bad;invalid;faulty;failed;failure;fail;fault;error;rejected;sensor_failure;sensor failure;comm_fail;comm fail
;commfail;out of service;not good;notgood;bad_quality;bad quality;no_data;config_error;badnoncommunicating""".replace(
        "\n", ""
    ).split(";")
)
_TRUE, _FALSE = frozenset((True, 1, "true", "yes", "1")), frozenset((False, 0, "false", "no", "0"))
_GOOD_WORDS = frozenset(("good", "valid", "ok", "usable"))
_BAD_WORDS = frozenset(("bad", "fault", "faulty", "err", "error", "invalid", "suspect", "failed"))
_CODED = frozenset(("q", "qc", "quality", "qual", "qf", "dq", "flag", "flags", "validity", "code", "detail"))


def bad_rows(roles: Roles, measure: Profile) -> frozenset[int]:
    """The rows whose value of this measure is bad. Raises Rejected where codes do not tell which are."""
    if roles.quality is None:
        return frozenset()
    bad: set[int] = set()
    unknown: Profile | None = None
    known = False
    for column in _all_beside(roles, measure):
        rows = _bad_of(column)
        if rows is None:
            unknown = unknown or column
        else:
            known = known or _is_coded(column)
            bad |= rows
    if unknown is not None and not known:
        raise Rejected(
            f"{quoted(unknown.name)} holds codes of quality that follow no known table; set `ignore` in INPUTS"
        )
    return frozenset(bad)


def _is_coded(column: Profile) -> bool:
    """Whether the numbers of a column are of a known table of codes."""
    return column.kind == "number" and max(numbers_of(column).values) >= _OPC_DA_GOOD


def _all_beside(roles: Roles, measure: Profile) -> list[Profile]:
    """The columns of quality of a measure: the one called after it or in its member, else all plain ones."""
    own = _beside(roles, measure, "quality")
    if own is None:
        return []
    same = [
        entry.profile
        for entry in roles.assigned
        if entry.role == "quality"
        and entry.profile.column.parts[:-1] == own.column.parts[:-1]
        and (entry.profile.hint.rank == own.hint.rank == 0 or entry.profile is own)
    ]
    return same or [own]


def _bad_of(column: Profile) -> set[int] | None:
    """The rows with a bad quality; None where the codes of a column follow no known table."""
    values = column.column.values
    try:
        different = set(values)
    except TypeError:
        return set()
    parts = words(column.name)
    truth = _truth_of(parts, different)
    if truth is not None:
        return {row for row, value in enumerate(values) if _plain(value) in truth}
    if column.kind == "number":
        return _bad_codes(column, parts)
    if not any(type(value) is str and _is_bad_text(value) for value in different):
        return set()
    return {row for row, value in enumerate(values) if type(value) is str and _is_bad_text(value)}


def _plain(value: object) -> object:
    return value.strip().lower() if type(value) is str else value


def _truth_of(parts: tuple[str, ...], different: set[object]) -> frozenset[object] | None:
    """What is bad in a column of yes and no, by its name; None for any other column."""
    if not {_plain(value) for value in different} - {None, ""} <= _TRUE | _FALSE:
        return None
    flags = any(type(value) is bool or (type(value) is str and not value.strip().isdecimal()) for value in different)
    said = set(parts)
    if said & _BAD_WORDS and (flags or not said & {"code"}):
        return _TRUE
    if said & _GOOD_WORDS or (flags and parts[-1:] and parts[-1] in ("q", "quality", "qc", "qual")):
        return _FALSE
    return frozenset() if flags else None


def _bad_codes(column: Profile, parts: tuple[str, ...]) -> set[int] | None:
    numbers = numbers_of(column).values
    low, high = min(numbers), max(numbers)
    if high >= _OPC_UA_BAD:
        return {row for row, number in enumerate(numbers) if _OPC_UA_BAD <= number < 2 * _OPC_UA_BAD}
    if _OPC_DA_GOOD <= high < _BYTE and low >= 0 and parts[-1:] != ("status",):
        return {row for row, number in enumerate(numbers) if number < _OPC_DA_UNCERTAIN}
    if low == high or high >= _CODES_BELOW or not set(parts[-1:]) & _CODED or {"error", "status", "alarm"} & set(parts):
        return set()
    if "qartod" in parts:
        return {row for row, number in enumerate(numbers) if number in _QARTOD_BAD}
    return None


def _is_bad_text(value: str) -> bool:
    text = value.strip()
    return text.lower() in _BAD_TEXTS or (text[:3].lower() == "bad" and not text[3:4].islower())


_SUFFIXES = ("quality", "status", "statuscode", "flag", "valid", "qc", "good", "qualitycode", "unit", "units", "uom")


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
    name = words(measure.name)
    for column in profiles:
        other = words(column.name)
        if len(other) > len(name) > 0 and name in (other[: len(name)], other[-len(name) :]):
            return column
        if compact(column.name).removeprefix(compact(measure.name)) in _SUFFIXES and column.name != measure.name:
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
