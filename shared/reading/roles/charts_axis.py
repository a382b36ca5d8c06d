"""The axis of a chart without times: numbers or names. Pure."""

from shared.errors import Rejected
from shared.reading.roles import stamps, time_column
from shared.reading.roles.clocks import resemble_times
from shared.reading.roles.columns import Profile, distinct, numbers_of
from shared.reading.roles.labels import rank_of
from shared.reading.roles.roles import ColumnRole, Roles
from shared.reading.safe_text import quoted, shown_path
from shared.reading.texts.names import Hint, compact, is_axis
from shared.reading.texts.times import is_epoch


def choose(roles: Roles) -> tuple[Profile, str]:
    """The column along the axis and its kind, "number" or "category". It is a measure no longer.

    Raises Rejected where no column can be the axis, or two could equally be.
    """
    entry, kind = _choose(roles)
    profile = entry.profile
    if kind == "number" and (sample := numbers_of(profile).values[:3]) and all(map(is_epoch, sample)):
        raise Rejected(f"{quoted(profile.name)} holds numbers that could be times, but not all of them are")
    if kind == "number" and stamps.are_serial_days(profile):
        raise Rejected(
            f"{quoted(profile.name)} holds numbers that could be days as Excel counts them; set `time` in INPUTS"
        )
    roles.measures = [measure for measure in roles.measures if measure is not profile]
    roles.labels = [label for label in roles.labels if label is not profile]
    if roles.sensor is profile:
        roles.sensor = None
    entry.role = "axis"
    entry.reason = "numbers along the axis" if kind == "number" else "names along the axis"
    return profile, kind


def _check_times(roles: Roles) -> None:
    """Raises Rejected where a column of text calls itself a time or holds dates, and cannot be read as times."""
    for entry in roles.assigned:
        profile = entry.profile
        if profile.kind != "text" or entry.role in ("ignored", "epoch") or profile.column.origin == "context":
            continue
        if resemble_times(profile):
            from shared.reading.texts import time_formats  # its patterns cost import time

            text = next(value for value in profile.column.values if type(value) is str and value.strip())
            written = time_formats.mask(text)
            raise Rejected(f"{quoted(profile.name)} seems to be the time, but {written!r} is no known notation")


def _choose(roles: Roles) -> tuple[ColumnRole, str]:
    _check_times(roles)
    entries = [
        entry
        for entry in roles.assigned
        if entry.role not in ("empty", "ignored", "flag") and entry.profile.column.origin != "context"
    ]
    given = [entry for entry in entries if entry.profile.column.origin == "axis"]
    if given:
        return given[0], "number" if given[0].profile.kind == "number" else "category"
    called_x = [entry for entry in entries if compact(entry.profile.name) == "x" and entry.profile.kind == "number"]
    if called_x and len(roles.measures) > 1:
        return called_x[0], "number"
    clock = [entry for entry in entries if entry.profile.hint.hint is Hint.TIME and entry.profile.kind == "number"]
    if clock and any(measure is not entry.profile for measure in roles.measures for entry in clock):
        return min(clock, key=lambda entry: entry.profile.hint.rank), "number"
    names = [entry for entry in entries if _may_be_category(entry, roles)]
    if names:
        best = _best_category(names)
        _check_places(best.profile, roles)
        return best, "category"
    indexes = [
        entry
        for entry in entries
        if entry.profile.column.origin == "index" or entry.profile.hint.hint in (Hint.INDEX, Hint.CALENDAR)
    ]
    plain = [entry for entry in entries if entry.role == "measure" and _may_be_axis(entry.profile)]
    if len(plain) == 1 and len(roles.measures) > 1:
        return plain[0], "number"
    if len(plain) > 1:
        first, second = sorted(entry.profile.name for entry in plain)[:2]
        raise Rejected(f"{quoted(first)} and {quoted(second)} could both be the axis; set `time` in INPUTS")
    numbered = [
        entry for entry in indexes if entry.profile.kind in ("number", "text") and _all_different(entry.profile)
    ]
    if numbered and roles.table.length > 1 and any(measure is not numbered[0].profile for measure in roles.measures):
        return numbered[0], "number" if numbered[0].profile.kind == "number" else "category"
    raise Rejected(f"rows found at {shown_path(roles.table.path)}, but no column of times and no axis")


def _may_be_category(entry: ColumnRole, roles: Roles) -> bool:
    profile = entry.profile
    if (
        profile.kind != "text"
        or entry.role not in ("label", "sensor", "note", "index")
        or profile.column.origin == "context"
    ):
        return False
    if profile.column.origin == "key" and distinct(profile.column.values) < 2:
        return False
    return profile.hint.hint is not Hint.IDENTIFIER and bool(roles.measures)


def _best_category(names: list[ColumnRole]) -> ColumnRole:
    """The names that differ most from row to row; of several, the better label."""
    return min(
        names,
        key=lambda entry: (-distinct(entry.profile.column.values), rank_of(entry.profile), entry.profile.column.parts),
    )


def _check_places(profile: Profile, roles: Roles) -> None:
    """Raises Rejected where names repeat, and no other label tells the repetitions apart."""
    columns = [
        profile.column.values,
        *(label.column.values for label in (*roles.labels, roles.sensor) if label is not None and label is not profile),
    ]
    if len(set(map(str, zip(*columns, strict=True)))) < roles.table.length:
        raise Rejected(
            f"rows found at {shown_path(roles.table.path)}, but no column of times, and {quoted(profile.name)} repeats"
        )


def _may_be_axis(profile: Profile) -> bool:
    return (
        is_axis(profile.name)
        and profile.hint.hint not in (Hint.VALUE, Hint.AGGREGATE)
        and _all_different(profile)
        and not time_column.is_time(profile)
    )


def _all_different(profile: Profile) -> bool:
    values = numbers_of(profile).values if profile.kind == "number" else profile.column.values
    return len(set(values)) == len(values)
