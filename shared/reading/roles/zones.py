"""The zone of times without one, where a member beside the rows or a column states it. Pure.

`zone` of INPUTS comes first. A zone that is stated and not understood is refused only where a time needs it: times with
a zone of their own and epochs do not.
"""

import math
import re
from array import array
from collections.abc import Sequence
from datetime import UTC, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from shared.errors import Rejected
from shared.reading.overrides import Override, zone_of
from shared.reading.roles import time_column
from shared.reading.roles.columns import Profile, distinct
from shared.reading.roles.roles import Roles
from shared.reading.safe_text import quoted
from shared.reading.texts import other_words, time_formats, times
from shared.reading.texts.names import compact, states_zone, words

_OFFSET = re.compile(r"(?:UTC|GMT)?\s?([+-])(\d{1,2})(?::?([0-5]\d))?(?::00)?", re.IGNORECASE)
_IN_NAME = re.compile(r"(?:GMT|UTC)\s?[+-]\d{1,2}(?::?\d{2})?|[(\[](?:[A-Z]{3,4}|[A-Z][a-z]+/[A-Z][A-Za-z_]+)[)\]]")
"""A zone in the name of a column: `Date Time, GMT+01:00`, `Time (CET)`."""
_HOUR_S, _LONGEST_HOURS = 3_600, 15
_MAX_ZONES = 8
_PROBE = timezone(timedelta(hours=1))


def times_of(column: Profile, clock: Profile | None, roles: Roles, override: Override) -> times.Times:
    """The times of the rows. Raises Rejected for a zone that is needed and not known, Ambiguous as times.parse does."""
    by_hand = zone_of(override)
    first = time_column.times_of(column, clock, zone=by_hand, day_first=override.day_first)
    by_row = _column_of(roles)
    in_name = _IN_NAME.search(column.name)
    if {"utc", "gmt"} & set(words(column.name)) and in_name is None:
        return first
    stated = bool(roles.table.zones) or by_row is not None or in_name is not None
    if by_hand is not None or column.kind == "number" or not stated:
        return first
    probe = time_column.times_of(column, clock, zone=_PROBE, day_first=override.day_first)
    if all(map(_are_same, probe.ms, first.ms)):
        return first  # they have a zone of their own
    if by_row is not None and in_name is None:
        return _by_row(by_row, column, clock, override, first)
    members = roles.table.zones if in_name is None else ((column.name, in_name[0].strip("() ,[]")),)
    return time_column.times_of(column, clock, zone=_stated(members), day_first=override.day_first)


def _are_same(left: float, right: float) -> bool:
    return left == right or (math.isnan(left) and math.isnan(right))


def _column_of(roles: Roles) -> Profile | None:
    """The column that states the zone of each row."""
    return next(
        (
            entry.profile
            for entry in roles.assigned
            if entry.profile.column.origin == "cell" and states_zone(entry.profile.column.parts[-1])
            and entry.profile.kind in ("text", "number")
        ),
        None,
    )  # fmt: skip


def _by_row(
    stating: Profile, column: Profile, clock: Profile | None, override: Override, first: times.Times
) -> times.Times:
    values = stating.column.values
    if distinct(values) > _MAX_ZONES:
        raise _unknown(stating.name)
    ms = array("d", first.ms)
    for value in dict.fromkeys(value for value in values if value is not None):
        zone = _stated(((stating.column.parts[-1], value),))
        own = time_column.times_of(column, clock, zone=zone, day_first=override.day_first).ms
        for row, other in enumerate(values):
            if other == value:
                ms[row] = own[row]
    return times.Times(ms, first.notation, first.read)


def _stated(members: Sequence[tuple[str, object]]) -> tzinfo:
    """The zone that members state, by name before offset. Raises Rejected where they differ or none is known."""
    ranked = sorted(members, key=lambda item: compact(item[0]).lstrip("0123456789") not in other_words.ZONES)
    zones = [zone for name, value in ranked if (zone := _zone(name, value)) is not None]
    if not zones:
        raise _unknown(ranked[0][0])
    named = {str(zone) for zone in zones if isinstance(zone, ZoneInfo)}
    if len(named) > 1:
        raise _unknown(ranked[0][0])
    return zones[0]


def _unknown(name: str) -> Rejected:
    return Rejected(f"{quoted(name)} states a zone of the times that is not known; set `zone` in INPUTS")


def _zone(name: str, value: object) -> tzinfo | None:
    if type(value) is str:
        return _zone_of_text(value.strip())
    if type(value) not in (int, float):
        return None
    number = float(value)  # type: ignore[arg-type]  # a number
    unit_s = other_words.OFFSETS.get(compact(name).lstrip("0123456789"), 0.0)
    if number == 0:
        return UTC
    if unit_s == 0.0:
        if "timezoneoffset" in compact(name):
            return None  # JavaScript counts it the other way
        unit_s = _HOUR_S if abs(number) < _LONGEST_HOURS else 1.0
        if unit_s == 1.0 and number % 900:
            return None
    seconds = number * unit_s
    return timezone(timedelta(seconds=seconds)) if abs(seconds) < _LONGEST_HOURS * _HOUR_S else None


def _zone_of_text(text: str) -> tzinfo | None:
    if text.upper() in ("Z", "UTC", "GMT"):
        return UTC
    match = _OFFSET.fullmatch(text)
    if match is not None:
        minutes = int(match[2]) * 60 + int(match[3] or 0)
        if minutes >= _LONGEST_HOURS * 60:
            return None
        return timezone(timedelta(minutes=-minutes if match[1] == "-" else minutes))
    known_min = time_formats.ZONES_MIN.get(text.lower())
    if known_min is not None:
        return timezone(timedelta(minutes=known_min))
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, KeyError):
        return None
