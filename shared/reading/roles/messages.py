"""Documents that hold numbers but no measurements: sessions, errors, health, the progress of work. Pure."""

from typing import Any

from shared.reading.roles.roles import Roles
from shared.reading.texts import vocabulary
from shared.reading.texts.names import Hint, compact

_MAX_DEPTH = 3


def kind_of(value: Any, roles: Roles) -> str | None:
    """What a document is that gives a single row without the time of a measurement; None where it may be a reading."""
    if roles.table.length != 1 or _is_timed(roles) or not isinstance(value, dict):
        return None
    members = _members(value)
    names = {compact(measure.name) for measure in roles.measures}
    if any(members.get(name) not in (None, False, "", [], {}) for name in vocabulary.ERRORS):
        return "an error document"
    if members.keys() & vocabulary.SESSIONS:
        return "a session"
    if names <= vocabulary.HEALTH:
        return "a health document"
    if names <= vocabulary.PROGRESS and (len(names) > 1 or members.keys() & {"status", "state"}):
        return "the progress of work"
    return None


def _is_timed(roles: Roles) -> bool:
    return roles.time is not None and roles.time.hint.hint is Hint.TIME and roles.time.hint.rank <= 1


def _members(value: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """The members of an object and of those in it, by their compact name."""
    members: dict[str, Any] = {}
    for name, inner in value.items():
        if isinstance(inner, dict) and depth < _MAX_DEPTH:
            members.update(_members(inner, depth + 1))
        members[compact(name)] = inner
    return members
