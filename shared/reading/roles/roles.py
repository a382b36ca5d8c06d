"""Step 3 of reading: the role of each column, by what its values are first and by what it is called second. Pure.

Roles: time, axis, measure, label, sensor, unit, quality, identifier, index, epoch, calendar, bookkeeping, flag, note,
empty, ignored. Each comes with its reason. A column of numbers that is no measure is counted as left out.
"""

from fnmatch import fnmatchcase

import msgspec

from shared.errors import Rejected
from shared.reading.overrides import NONE, Override
from shared.reading.roles import stamps, time_column
from shared.reading.roles.clocks import are_clocks, resemble_times
from shared.reading.roles.columns import Profile, are_qualified, distinct, numbers_of, profile_of
from shared.reading.safe_text import quoted
from shared.reading.texts import vocabulary
from shared.reading.texts.names import Hint, compact, is_envelope, words
from shared.reading.tree import Table

SET_BY_INPUTS = "set by INPUTS"
"""The reason of a role that no rule may change."""
_LEFT_OUT = {
    "identifier": "an identifier is no measurement",
    "index": "an index is no measurement",
    "epoch": "a time is no measurement",
    "calendar": "a time is no measurement",
    "bookkeeping": "a number of the envelope is no measurement",
    "quality": "a quality is no measurement",
    "ignored": "ignored by INPUTS",
    "place": "a place is no measurement",
    "limit": "a limit is no measurement",
    "outside": "a number outside the measurements",
}
"""Reasons under which the numbers of columns that are no measures are counted."""


class ColumnRole(msgspec.Struct):
    """`role` of a column and the reason for it, both a few words."""

    profile: Profile
    role: str
    reason: str


class Roles(msgspec.Struct):
    """The columns of a table by role. `time` may be None; `clock` is a time of day that `time` lacks."""

    table: Table
    time: Profile | None
    clock: Profile | None
    measures: list[Profile]
    labels: list[Profile]
    sensor: Profile | None
    unit: Profile | None
    quality: Profile | None
    assigned: list[ColumnRole]
    time_reason: str = ""
    parts: list[Profile] = []
    """The number of the list that each row stood in, where there are several."""
    has_value: bool = False
    """Whether there is a column of numbers called value or the like, so that a label's numbers are names."""

    def other_times(self) -> list[Profile]:
        """The columns of times that are not the table's time."""
        return [entry.profile for entry in self.assigned if entry.role == "epoch"]


def assign(table: Table, override: Override, *, chart: bool) -> Roles:
    """The roles of a table's columns. Raises Rejected when two columns could equally be the time."""
    qualified = are_qualified(table.columns)
    profiles = [profile_of(column, decimal_comma=table.decimal_comma, qualified=qualified) for column in table.columns]
    assigned: list[ColumnRole] = []
    parts = [profile for profile in profiles if profile.column.origin == "part"]
    profiles = [profile for profile in profiles if profile.column.origin != "part"]
    if override is not NONE:
        profiles = _without_ignored(profiles, override, assigned)
        _check_named(profiles, override)
    from shared.reading.roles import beside  # which needs Roles

    time, clock, time_reason = time_column.choose(profiles, override, chart=chart)
    roles = Roles(table, time, clock, [], [], None, None, None, assigned, time_reason)
    roles.parts = parts
    roles.has_value = any(profile.hint.hint is Hint.VALUE and profile.kind == "number" for profile in profiles)
    taken = {id(time), id(clock)}
    if time is not None:
        assigned.append(ColumnRole(time, "time", time_reason))
    if clock is not None:
        assigned.append(ColumnRole(clock, "time", "a time of day beside the date"))
    for profile in profiles:
        if id(profile) in taken:
            continue
        role, reason = _role(profile, roles, override)
        if role == "measure" and reason != SET_BY_INPUTS and stamps.are_stamps(profile, time):
            role, reason = _stamp_role(profile, time)
        assigned.append(ColumnRole(profile, role, reason))
        _place(roles, profile, role)
    beside.leave_out(roles)
    return roles


def _stamp_role(profile: Profile, time: Profile | None) -> tuple[str, str]:
    """The role of numbers that are times. Raises Rejected where the rows have no other time."""
    if time is None:
        raise Rejected(f"{quoted(profile.name)} holds numbers that could be times; set `time` or `ignore` in INPUTS")
    return "epoch", "numbers that are times"


def left_out(roles: Roles) -> dict[str, int]:
    """How many numbers stand in columns that are no measures, by reason."""
    counts: dict[str, int] = {}
    for entry in roles.assigned:
        reason = _LEFT_OUT.get(entry.role)
        if reason is None or entry.profile.column.origin in ("context", "index", "entry", "key"):
            continue
        if entry.profile.kind == "number":
            values = entry.profile.column.values
            counts[reason] = counts.get(reason, 0) + len(values) - values.count(None)
    return counts


def _without_ignored(profiles: list[Profile], override: Override, assigned: list[ColumnRole]) -> list[Profile]:
    kept = []
    for profile in profiles:
        names = (profile.name, ".".join(profile.column.parts), profile.column.parts[-1])
        if any(fnmatchcase(name, glob) for glob in override.ignore for name in names):
            assigned.append(ColumnRole(profile, "ignored", "INPUTS ignores it"))
        else:
            kept.append(profile)
    return kept


def _check_named(profiles: list[Profile], override: Override) -> None:
    """Raises Rejected where INPUTS names a column that is not there."""
    for names, what in (
        (override.series, "a name of the series"),
        (override.measures, "a measure"),
        ((override.value,), "the value"),
        ((override.unit,), "the unit"),
        ((override.sensor,), "the sensor"),
    ):
        for name in names:
            if name is not None and not any(is_named(profile, name) for profile in profiles):
                raise Rejected(f"no column {quoted(name)}, which INPUTS sets as {what}")


def is_named(profile: Profile, name: str | None) -> bool:
    """Whether a setting means this column: by its own name or with those around it."""
    return name is not None and name in (profile.name, profile.column.parts[-1], ".".join(profile.column.parts))


def _role(profile: Profile, roles: Roles, override: Override) -> tuple[str, str]:
    if override is not NONE:
        role = _overridden(profile, override)
        if role is not None:
            return role
    if profile.kind == "empty":
        if profile.hint.hint is Hint.SENSOR and profile.column.origin == "cell":
            return "sensor", "the name of a sensor"
        return "empty", "holds no values"
    if profile.kind == "flag":
        return (
            ("quality", "flags of quality")
            if profile.hint.hint is Hint.QUALITY
            else ("flag", "true and false are no numbers")
        )
    if profile.kind == "moment":
        return "epoch", "another time"
    if profile.kind == "text":
        return _text_role(profile)
    if profile.kind == "number":
        return _number_role(profile, roles)
    return "note", "holds neither numbers nor texts"


def _overridden(profile: Profile, override: Override) -> tuple[str, str] | None:
    if is_named(profile, override.sensor):
        return "sensor", SET_BY_INPUTS
    if is_named(profile, override.unit):
        return "unit", SET_BY_INPUTS
    if any(is_named(profile, name) for name in override.series):
        return "label", SET_BY_INPUTS
    wanted = override.measures or ((override.value,) if override.value else ())
    if any(is_named(profile, name) for name in wanted):
        if profile.kind != "number":
            raise Rejected(f"{quoted(profile.name)}, which INPUTS sets as a measure, holds no numbers")
        return "measure", SET_BY_INPUTS
    if wanted and profile.kind == "number":
        return "ignored", "INPUTS names other measures"
    return None


def _text_role(profile: Profile) -> tuple[str, str]:
    hint = profile.hint.hint
    if hint is Hint.UNIT:
        return "unit", "texts under the name of a unit"
    if hint is Hint.QUALITY:
        return "quality", "texts under the name of a quality"
    if time_column.is_time(profile):
        return "epoch", "another time"
    if are_clocks(profile):
        return "note", "times of day"
    if profile.column.origin == "cell" and resemble_times(profile):
        return "note", "times in no known notation"
    if hint is Hint.SENSOR:
        return "sensor", "texts under the name of a sensor"
    if hint is Hint.NOTE:
        return "note", "texts under the name of a remark"
    return "label", "texts"


_DATES = (("date",), ("datetime",), ("timestamp",))
_YES_OR_NO = ("good", "valid", "isgood", "isvalid", "questionable", "substituted", "annotated", "haserror", "isalarm")
_CALENDAR_WORDS = ("day", "month", "hour")
_SIMPLE = {
    Hint.PLAIN: "numbers",
    Hint.VALUE: "numbers under the name of a value",
    Hint.AGGREGATE: "numbers",
}


_BY_ORIGIN = {
    "index": ("index", "the index of the rows"),
    "axis": ("index", "stands along the axis"),
    "entry": ("epoch", "the time in the entry's id"),
    "key": ("label", "the name of a member"),
}


def _number_role(profile: Profile, roles: Roles) -> tuple[str, str]:
    hint = profile.hint.hint
    column = profile.column
    if column.origin == "context":
        return ("sensor", "the name of a sensor") if hint is Hint.SENSOR else ("label", "stands beside the rows")
    if column.origin in _BY_ORIGIN:
        return _BY_ORIGIN[column.origin]
    reason = _SIMPLE.get(hint)
    if hint is Hint.COORDINATE:
        return ("measure", "a height") if profile.hint.rank else ("place", "a place on the earth")
    if hint is Hint.AGGREGATE and profile.integral and roles.table.length == 1 and _is_page(roles.table):
        return "bookkeeping", "counts the rows of pages"
    if reason is not None and not any(map(is_envelope, column.parts[:-1])):
        if roles.time is not None and time_column.repeats(profile, roles.time):
            return "epoch", "the time once more, as a number"
        return "measure", reason
    if any(map(is_envelope, column.parts[:-1])):
        return "bookkeeping", "stands in a member about the message"
    if hint is Hint.BOOKKEEPING and profile.hint.rank == 0:
        return "bookkeeping", "numbers under the name of a version, an address or a setting"
    if hint is Hint.LABEL and roles.has_value and profile.hint.rank == 0 and compact(profile.name) != "n":
        return "label", "numbers under the name of a label, beside a value"
    if hint is Hint.TIME and (time_column.is_time(profile) or words(profile.name)[-1:] in _DATES):
        return "epoch", "another time"
    if not profile.integral:
        return "measure", "numbers with fractions"
    return _whole_role(profile, roles)


_KINDS_RANK = 2
"""The rank of labels that are kinds and addresses."""


def _whole_role(profile: Profile, roles: Roles) -> tuple[str, str]:
    """The role of whole numbers whose name says more than that they are numbers."""
    hint, timed = profile.hint.hint, roles.time is not None
    match hint:
        case Hint.IDENTIFIER:
            return "identifier", "whole numbers under the name of an id"
        case Hint.CODE:
            return "identifier", "whole numbers under the name of a code"
        case Hint.INDEX:
            return "index", "whole numbers under the name of an index"
        case Hint.SENSOR:
            return "sensor", "whole numbers under the name of a sensor"
        case Hint.QUALITY if compact(profile.name) not in _YES_OR_NO or max(numbers_of(profile).values) <= 1:
            return "quality", "whole numbers under the name of a quality"
        case Hint.BOOKKEEPING:
            return "bookkeeping", "whole numbers under the name of a version or a count"
        case Hint.CALENDAR:
            return "calendar", "a part of the date"
        case Hint.TIME if profile.name.lower() in _CALENDAR_WORDS:
            return "calendar", "a part of the date"
        case Hint.PLACE if _is_constant(profile) or (timed and not _all_different(roles.time)):
            return "label", "whole numbers under the name of a place"
        case Hint.LABEL if compact(profile.name) != "n" and (
            roles.has_value
            or profile.hint.rank == _KINDS_RANK
            or (not _all_different(profile) and profile.column.parts[-1] not in ("n", "series", "point"))
        ):
            return "label", "whole numbers under the name of a label"
        case Hint.NOTE:
            return "bookkeeping", "whole numbers under the name of a remark"
    return "measure", "numbers"


def _is_page(table: Table) -> bool:
    """Whether a single row is the head of a page of results."""
    return any(compact(column.parts[-1]) in vocabulary.PAGING for column in table.columns)


def _is_constant(profile: Profile) -> bool:
    return distinct(profile.column.values) == 1 and len(profile.column.values) > 1


def _all_different(profile: Profile | None) -> bool:
    return profile is None or distinct(profile.column.values) == len(profile.column.values)


def _place(roles: Roles, profile: Profile, role: str) -> None:
    match role:
        case "measure":
            roles.measures.append(profile)
        case "label":
            roles.labels.append(profile)
        case "sensor":
            if roles.sensor is None or _closer(profile, roles.sensor):
                if roles.sensor is not None:
                    roles.labels.append(roles.sensor)
                roles.sensor = profile
            else:
                roles.labels.append(profile)
        case "unit":
            if roles.unit is None or (roles.unit.column.origin == "context" and profile.column.origin != "context"):
                roles.unit = profile
        case "quality":
            if roles.quality is None or profile.hint.rank < roles.quality.hint.rank:
                roles.quality = profile


def _closer(profile: Profile, other: Profile) -> bool:
    """Whether a column is the better sensor: beside the readings rather than around them, an id rather than a type."""
    return (profile.column.origin == "context", profile.hint.rank, profile.name) < (
        other.column.origin == "context",
        other.hint.rank,
        other.name,
    )
