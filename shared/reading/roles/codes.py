"""Whole numbers beside measurements that could be codes, limits and set points, and values that stand twice. Pure."""

import math
from itertools import pairwise

from shared.errors import Rejected
from shared.reading.roles.columns import Profile, distinct, numbers_of
from shared.reading.roles.roles import SET_BY_INPUTS, Roles
from shared.reading.safe_text import quoted
from shared.reading.texts import other_words
from shared.reading.texts.names import Hint, compact, is_limit, speaks, words

_LEAST_ROWS = 2
_ORDINALS = frozenset(
    ("position", "pos", "place", "rank", "ordinal", "number", "epoch", "iteration", "step", "sample", "point")
)
_BOUNDS = frozenset(("min", "max", "minimum", "maximum", "low", "high", "lower", "upper", "lo", "hi"))
_ASKING = (("is",), ("has",), ("can",))
_LARGE = 100_000
"""Unknown whole numbers from here on are rather numbers of orders than measurements."""


def leave_out(roles: Roles) -> None:
    """Take limits, codes and repetitions from the measures. Raises Rejected for what may be a code or a measurement."""
    by_hand = {id(entry.profile) for entry in roles.assigned if entry.reason == SET_BY_INPUTS}
    for entry in roles.assigned:
        if entry.role != "measure" or id(entry.profile) in by_hand:
            continue
        profile = entry.profile
        others = [measure for measure in roles.measures if measure is not profile]
        role = _role(profile, others, roles)
        if role is None:
            continue
        entry.role, entry.reason = role
        roles.measures = others
        if entry.role == "label":
            roles.labels.append(profile)


def _role(profile: Profile, others: list[Profile], roles: Roles) -> tuple[str, str] | None:
    """The role of a measure that is none beside the others, and the reason; None where it is one."""
    if profile.hint.hint is Hint.VALUE:
        _check_scale(profile, roles)
    if not others:
        return None
    if _is_limit(profile) and not all(map(_is_limit, others)):
        return "limit", "a limit or a set point beside the measurements"
    if compact(profile.name) in _BOUNDS and _is_bound(profile, others):
        return "limit", "the same bound in every row"
    if compact(profile.name) in ("level", "loglevel") and profile.integral and _has_message(roles):
        return "bookkeeping", "the level of a message"
    if compact(profile.name) in _ORDINALS and _counts_rows(profile):
        return "index", "the place of the row"
    if not profile.integral or (compact(profile.name) == "n" and any(map(_is_aggregate, others))):
        return None
    if not any(map(_is_plainer, others)) and not (_is_constant(profile) and not all(map(_is_constant, others))):
        return None
    if words(profile.name)[:1] in _ASKING and set(numbers_of(profile).values) <= {0, 1}:
        return "flag", "yes or no"
    if profile.hint.hint is Hint.PLACE and max(numbers_of(profile).values) > 1:
        return "label", "whole numbers under the name of a place"
    if profile.hint.hint in (Hint.PLAIN, Hint.LABEL) and roles.table.length >= _LEAST_ROWS and not speaks(profile.name):
        return _of_unknown(profile)
    return None


def _is_limit(profile: Profile) -> bool:
    return any(map(is_limit, profile.column.parts)) or is_limit(profile.name)


def _is_bound(profile: Profile, others: list[Profile]) -> bool:
    """Whether a bound never changes beside a value that does."""
    return (
        len(profile.column.values) > _LEAST_ROWS
        and _is_constant(profile)
        and any(other.hint.hint is Hint.VALUE and not _is_constant(other) for other in others)
    )


def _check_scale(value: Profile, roles: Roles) -> None:
    """Raises Rejected where a number in the same member says that the value has to be scaled."""
    for entry in roles.assigned:
        profile = entry.profile
        scales = compact(profile.name) in other_words.SCALES or profile.hint.hint is Hint.UNIT
        if scales and profile.kind == "number" and profile.column.parts[:-1] == value.column.parts[:-1]:
            numbers = set(numbers_of(profile).values)
            if not numbers <= {0, 1} and (profile.hint.hint is not Hint.UNIT or min(numbers) < 0):
                raise Rejected(f"{quoted(profile.name)} may scale {quoted(value.name)}; set `ignore` in INPUTS")


def _is_aggregate(profile: Profile) -> bool:
    return profile.hint.hint is Hint.AGGREGATE


def _is_constant(profile: Profile) -> bool:
    return distinct(profile.column.values) == 1 and len(profile.column.values) > 1


def _counts_rows(profile: Profile) -> bool:
    values = list(numbers_of(profile).values)
    return len(values) > 1 and values[0] in (0, 1) and all(right - left == 1 for left, right in pairwise(values))


def _of_unknown(profile: Profile) -> tuple[str, str] | None:
    """The role of whole numbers under a name that says nothing, beside measurements."""
    if float in set(map(type, profile.column.values)):
        return None  # written with a fraction, `0.0`
    values = [value for value in numbers_of(profile).values if not math.isnan(value)]
    if len(values) > 2 and all(right - left == 1 for left, right in pairwise(values)):
        return "index", "whole numbers that rise by one"
    if len(values) < _LEAST_ROWS or (set(values) == {0, 1}):
        return None  # a state
    if distinct(values) * 2 <= len(values) or min(map(abs, values)) >= _LARGE:
        raise Rejected(
            f"{quoted(profile.name)} holds whole numbers that may be a code or a measurement; "
            "set `ignore` or `measures` in INPUTS"
        )
    return None


def _is_plainer(profile: Profile) -> bool:
    """Whether a measure is surely one: it has fractions, or a name that says so."""
    return not profile.integral or profile.hint.hint is Hint.VALUE or speaks(profile.name)


def _repeats_value(profile: Profile, others: list[Profile]) -> bool:
    """Whether a value stands in another column too, as a number before or as a text here."""
    own = numbers_of(profile).values
    return profile.hint.hint is Hint.VALUE and any(
        other.hint.hint is Hint.VALUE
        and len(profile.name) > len(other.name)
        and profile.column.parts[:-1] == other.column.parts[:-1]
        and numbers_of(other).values == own
        for other in others
    )


def without_heights(roles: Roles) -> None:
    """Take from the measures the height of a place whose latitude stands beside it."""
    heights = [
        entry for entry in roles.assigned if entry.role == "measure" and entry.profile.hint.hint is Hint.COORDINATE
    ]
    if heights and _has_place(roles):
        for entry in heights:
            entry.role, entry.reason = "place", "the height of a place"
        roles.measures = [measure for measure in roles.measures if measure.hint.hint is not Hint.COORDINATE]


def without_repetitions(roles: Roles) -> None:
    """Take from the measures texts that repeat the numbers of another one, and a value under a longer name."""
    for entry in roles.assigned:
        profile = entry.profile
        others = [measure for measure in roles.measures if measure is not profile]
        if entry.role != "measure" or not (_repeats_value(profile, others) or _repeats_as_text(profile, others)):
            continue
        entry.role, entry.reason = "outside", "the value once more"
        roles.measures = others


def _repeats_as_text(profile: Profile, others: list[Profile]) -> bool:
    if type(profile.column.values[0]) is not str or len(profile.column.values) < _LEAST_ROWS:
        return False
    own = numbers_of(profile).values
    return any(
        type(other.column.values[0]) in (int, float)
        and other.column.parts[:-1] == profile.column.parts[:-1]
        and numbers_of(other).values == own
        for other in others
    )


def _has_message(roles: Roles) -> bool:
    return any(compact(entry.profile.name) in ("msg", "message") for entry in roles.assigned)


def _has_place(roles: Roles) -> bool:
    return any(entry.profile.hint.hint is Hint.COORDINATE and entry.profile.hint.rank == 0 for entry in roles.assigned)
