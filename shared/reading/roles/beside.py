"""Numbers beside the measurements that are none: places, annotations, what describes a device, a message or a drawing.

Each rule leaves at least one measure, so that a table of nothing but such numbers is still read. Pure.
"""

from collections.abc import Callable

from shared.reading.roles import codes
from shared.reading.roles.columns import Profile, distinct
from shared.reading.roles.roles import SET_BY_INPUTS, Roles
from shared.reading.texts import vocabulary
from shared.reading.texts.names import Hint, compact, describes, hint, holds_measurements, speaks

_PLACES = ("address", "location", "site", "user")
"""Members that describe a place, unless something in them changes from row to row."""


def leave_out(roles: Roles) -> None:
    """Take from the measures those that are none beside the others."""
    _label_by_ids(roles)
    codes.without_heights(roles)
    if len(roles.measures) < 2:
        return
    codes.without_repetitions(roles)
    names = {profile.column.parts[-1] for profile in roles.measures}
    _drop(roles, lambda profile: _is_annotation(profile, names), "note", "repeats another column as text")
    if not all(map(_is_digits, roles.measures)):
        _drop(roles, _is_code, "identifier", "the same digits in every row, or digits that start with 0")
    _drop(roles, _is_place, "place", "the same place in every row")
    _drop(roles, _is_described, "outside", "stands in a member that describes something else")
    _only_measurements(roles)
    _beside_value(roles)
    codes.leave_out(roles)


def _drop(roles: Roles, is_none: Callable[[Profile], bool], role: str, reason: str) -> None:
    by_hand = {id(entry.profile) for entry in roles.assigned if entry.reason == SET_BY_INPUTS}
    dropped = {id(profile) for profile in roles.measures if id(profile) not in by_hand and is_none(profile)}
    if not dropped or len(dropped) == len(roles.measures):
        return
    for entry in roles.assigned:
        if id(entry.profile) in dropped:
            entry.role, entry.reason = role, reason
    roles.measures = [profile for profile in roles.measures if id(profile) not in dropped]


def _is_annotation(profile: Profile, names: set[str]) -> bool:
    """Whether a name is another column's with an annotation behind it, as OData writes them: `temp@...Formatted`."""
    name, mark, _ = profile.column.parts[-1].partition("@")
    return bool(mark) and name in names


def _is_code(profile: Profile) -> bool:
    """Whether texts of digits are a code: beside numbers that are written as such, they measure nothing."""
    if profile.column.origin != "cell" or not _is_digits(profile):
        return False
    values = [value for value in profile.column.values if value is not None]
    if all(len(value) > 1 and value[0] == "0" for value in values):
        return True
    return _is_constant(profile) and not speaks(profile.name)


def _is_digits(profile: Profile) -> bool:
    """Whether a column holds nothing but texts of digits."""
    values = [value for value in profile.column.values if value is not None]
    return set(map(type, values)) == {str} and all(map(str.isdecimal, values))


def _is_place(profile: Profile) -> bool:
    return profile.hint.hint is Hint.COORDINATE and _is_constant(profile)


def _is_described(profile: Profile) -> bool:
    around = profile.column.parts[:-1]
    if any(map(describes, around)):
        if compact(around[-1]) not in _PLACES or len(profile.column.values) == 1:
            return True
        return profile.hint.hint is Hint.COORDINATE or _is_constant(profile)
    return any(hint(name).hint is Hint.SENSOR for name in around) and _is_constant(profile)


def _is_constant(profile: Profile) -> bool:
    return len(profile.column.values) > 1 and distinct(profile.column.values) == 1


def _beside_value(roles: Roles) -> None:
    """In long rows, whole numbers beside the value, the same number in each row, and numbers of other members."""
    values = [profile for profile in roles.measures if _is_value(profile, roles)]
    if len(values) != 1 or compact(values[0].name) in vocabulary.WEAK_VALUES or not _is_labelled(roles):
        return
    around = values[0].column.parts[:-1]
    cells = values[0].column.values
    named = any(label.hint.hint is Hint.LABEL and label.hint.rank == 0 for label in roles.labels)

    def is_none(profile: Profile) -> bool:
        if profile is values[0] or not any(
            cell is not None and other is not None for cell, other in zip(cells, profile.column.values, strict=True)
        ):
            return False  # other rows, of another kind
        elsewhere = profile.column.parts[:-1] != around and (len(profile.column.parts) > 1 or bool(around))
        if profile.hint.hint is Hint.AGGREGATE:
            return elsewhere and profile.integral
        return elsewhere or profile.integral or named or _is_constant(profile)

    _drop(roles, is_none, "outside", "stands beside the value")


def _is_value(profile: Profile, roles: Roles) -> bool:
    """Whether a measure is called value, also inside a member that has a label of its own."""
    if profile.hint.hint is Hint.VALUE:
        return True
    member = profile.parts[:-1]
    return hint(profile.parts[-1]).hint is Hint.VALUE and any(
        label.hint.hint is Hint.LABEL and label.parts[:-1] == member for label in roles.labels
    )


def _label_by_ids(roles: Roles) -> None:
    """Take an id as the label of a value where nothing else tells apart what was measured."""
    values = [profile for profile in roles.measures if profile.hint.hint is Hint.VALUE]
    time = roles.time
    others = [*roles.labels, *([roles.sensor] if roles.sensor is not None else [])]
    if time is None or not roles.measures or any(distinct(profile.column.values) > 1 for profile in others):
        return
    stamps, length = time.column.values, roles.table.length
    moments = distinct(stamps)
    for entry in roles.assigned:
        profile = entry.profile
        if profile.column.origin != "cell" or not (entry.role == "identifier" or _is_number_of_place(profile)):
            continue
        numbered = _is_number_of_place(profile) and 1 < distinct(profile.column.values) <= max(2, length // 2)
        if len(values) != 1 and not numbered:
            continue
        if moments == length and not numbered:
            continue
        if moments > 1 and distinct(profile.column.values) * 2 > length:
            continue
        if len(set(map(str, zip(stamps, profile.column.values, strict=True)))) == length:
            entry.role, entry.reason = "label", "a number that tells apart what was measured"
            roles.labels.append(profile)
            roles.measures = [measure for measure in roles.measures if measure is not profile]
            return


def _is_number_of_place(profile: Profile) -> bool:
    """Whether whole numbers say where a value stands: the address of a register, the number of a channel."""
    return profile.kind == "number" and profile.integral and compact(profile.name) in vocabulary.NUMBERED_PLACES


def _is_labelled(roles: Roles) -> bool:
    """Whether a column says what was measured."""
    if any(profile.hint.hint is Hint.IDENTIFIER for profile in roles.labels):
        return True
    columns = [*roles.labels, *([roles.sensor] if roles.sensor is not None else [])]
    return any(
        profile.hint.hint in (Hint.LABEL, Hint.SENSOR) or profile.column.origin in ("key", "context")
        for profile in columns
    )


def _only_measurements(roles: Roles) -> None:
    """Where a member such as `data` holds measurements, numbers beside it are not."""
    if len(roles.measures) < 2 or all(len(profile.column.parts) == 1 for profile in roles.measures):
        return
    inside = [profile for profile in roles.measures if any(map(holds_measurements, profile.column.parts[:-1]))]
    if not inside or len(inside) == len(roles.measures):
        return
    held = [
        any(value is not None for value in row)
        for row in zip(*(profile.column.values for profile in inside), strict=True)
    ]

    def is_outside(profile: Profile) -> bool:
        # A measure of rows that have no such member is one of rows of another kind.
        return not any(map(holds_measurements, profile.column.parts[:-1])) and any(
            value is not None and inner for value, inner in zip(profile.column.values, held, strict=True)
        )

    _drop(roles, is_outside, "outside", "stands beside the member that holds the measurements")
