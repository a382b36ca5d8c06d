"""Documents that hold numbers but no readings: sessions, errors, health, logs, jobs, carts, settings. Pure.

A lone object is a reading only with the time of a measurement, or in a member that says that it holds measurements. A
list of objects without any time needs a name that speaks of a measurement.
"""

from typing import Any

from shared.reading.roles.columns import Profile
from shared.reading.roles.roles import SET_BY_INPUTS, Roles
from shared.reading.safe_text import shown_path
from shared.reading.texts import other_words, vocabulary
from shared.reading.texts.names import Hint, compact, is_unlikely_reading, measured, words

_MAX_DEPTH = 3
_CREATED = frozenset(("created", "creation", "create", "submitted", "ordered", "opened"))
_FAILED = ("exception", "traceback", "stacktrace")
_LEAST_STATISTICS, _MOST_STATISTICS = 3, 32
_STRONG = frozenset(
    [
        "measurements",
        "measurement",
        "readings",
        "reading",
        "sensors",
        "sensordata",
        "sensorvalues",
        "telemetry",
        "observations",
        "samples",
        "measures",
        "values",
        "currentvalues",
        "processdata",
        "processvalues",
    ]
)
"""Members whose content is measured."""
_WEAK = frozenset(
    [
        "data",
        "fields",
        "metrics",
        "payload",
        "body",
        "object",
        "decoded",
        "decodedpayload",
        "variables",
        "result",
        "results",
        "state",
        "reported",
    ]
)
"""Members that may hold anything: readings where all names speak of measurements."""
_LOG_TEXTS, _LOG_LEVELS = frozenset(("msg", "message")), frozenset(("level", "loglevel", "severity"))


def kind_of(value: Any, roles: Roles) -> str | None:
    """What a document is that gives a single row and is no reading; None where it may be one."""
    if roles.table.length != 1 or not isinstance(value, dict):
        return None
    members = _members(value)
    names = {compact(measure.name) for measure in roles.measures}
    if names <= vocabulary.HEALTH:
        return "a health document"
    if {"apiversion", "kind"} <= members.keys() and "metadata" in members:
        return "an object of Kubernetes"
    if "attemptsmade" in members or {"jobid", "attempts"} <= members.keys():
        return "a job"
    if members.keys() & _LOG_LEVELS and any(type(members.get(name)) is str for name in _LOG_TEXTS):
        return "an entry of a log"
    if any(members.get(name) not in (None, False, "", [], {}) for name in _FAILED):
        return "an error document"
    if _is_timed(roles):
        return None
    if any(members.get(name) not in (None, False, "", [], {}) for name in vocabulary.ERRORS):
        return "an error document"
    if members.keys() & vocabulary.SESSIONS:
        return "a session"
    if names <= vocabulary.PROGRESS and (len(names) > 1 or members.keys() & {"status", "state"}):
        return "the progress of work"
    return None


def fault_of(roles: Roles, *, chart: bool, hashed: bool) -> str | None:
    """Why a table is not taken for one of readings; None where it is. `hashed`: it is the hash of a Redis key."""
    if any(entry.reason == SET_BY_INPUTS for entry in roles.assigned):
        return None
    where = shown_path(roles.table.path)
    kind = _kind_of_rows(roles)
    if kind is not None:
        return f"{kind} found at {where}, not readings; set `measures` in INPUTS"
    if roles.table.shape == "row":
        if _is_timed(roles) or _is_dated(roles) or (not chart and _says_so(roles, hashed=hashed)):
            return None
        return f"one object at {where} without the time of a measurement; set `time` or `measures` in INPUTS"
    return None if roles.time is not None else _fault_of_untimed(roles, where, chart=chart)


def _kind_of_rows(roles: Roles) -> str | None:
    """What rows are that hold numbers and no readings."""
    timed, measures = roles.time is not None, roles.measures
    if not timed and _are_statistics(roles):
        return "statistics"
    if _is_log(roles):
        return "entries of a log"
    dated = timed and (_is_timed(roles) or not _is_created(roles))
    unlikely = all(is_unlikely_reading(measure.name, timed=dated) for measure in measures)
    alone = roles.table.length == 1 and not _is_labelled(roles)
    accounts = alone and any(map(_is_of_account, measures)) and not any(map(_is_measured, measures))
    if accounts or (unlikely and (alone or (timed and not _is_timed(roles)))):
        return "numbers of settings, jobs or accounts"
    valued = any(measure.hint.hint is Hint.VALUE or _is_measured(measure) for measure in measures)
    if timed and _is_created(roles) and not valued and all(measure.integral for measure in measures):
        return "objects with the time of their creation"
    return None


def _fault_of_untimed(roles: Roles, where: str, *, chart: bool) -> str | None:
    """Why rows without a time are not taken for readings."""
    single = roles.table.length == 1
    if chart:
        if single and not any(map(_is_place, _profiles(roles))):
            return f"one row at {where} without the time of a measurement; set `time` in INPUTS"
        return None
    if any(profile.column.origin == "axis" for profile in _profiles(roles)):
        return None
    labelled = any(_is_reading(measure, roles) and not measured(measure.name) for measure in roles.measures)
    if single and not labelled and not _says_so(roles, hashed=False):
        return f"one row at {where} without the time of a measurement; set `time` or `measures` in INPUTS"
    unlikely = all(is_unlikely_reading(measure.name, timed=False) for measure in roles.measures)
    if unlikely or not any(_is_reading(measure, roles) for measure in roles.measures):
        return f"rows at {where} without a time, and no name that speaks of a measurement; set `measures` in INPUTS"
    return None


def _are_statistics(roles: Roles) -> bool:
    """Whether rows or columns are the mean, the deviation and so on, as data frames describe themselves."""
    if _name_statistics([measure.name for measure in roles.measures]):
        return True
    return any(
        entry.profile.kind == "text" and len(entry.profile.column.values) <= _MOST_STATISTICS
        and _name_statistics([str(value) for value in entry.profile.column.values])
        for entry in roles.assigned
    )  # fmt: skip


def _name_statistics(names: list[str]) -> bool:
    known = {compact(name) for name in names}
    return known <= other_words.STATISTICS and {"mean", "std"} <= known and len(known) > _LEAST_STATISTICS


def _is_dated(roles: Roles) -> bool:
    """Whether a lone object has a time that is not that of its creation, and nothing but names of measurements."""
    time = roles.time
    if time is None or not all(measured(measure.name) for measure in roles.measures):
        return False
    return not set(words(time.name)) & (_CREATED | {"start", "started", "begin", "published"})


def _is_log(roles: Roles) -> bool:
    """Whether rows have a message and its level, or are requests."""
    texts = {compact(entry.profile.name) for entry in roles.assigned if entry.profile.kind == "text"}
    levels = {compact(entry.profile.name) for entry in roles.assigned if entry.profile.kind in ("text", "number")}
    if "method" in texts and texts & {"url", "path", "uri", "endpoint", "route"}:
        return True
    return bool(texts & _LOG_TEXTS) and bool(levels & _LOG_LEVELS)


def _is_place(profile: Profile) -> bool:
    """Whether a column says where a single point stands: a number called a time."""
    named = profile.hint.hint is Hint.TIME and profile.kind == "number"
    return profile.column.origin == "cell" and named


def _profiles(roles: Roles) -> list[Profile]:
    return [entry.profile for entry in roles.assigned]


def _is_reading(measure: Profile, roles: Roles) -> bool:
    """Whether a measure's name speaks of a measurement, or it is a value whose label does."""
    if _is_measured(measure):
        return True
    if measure.hint.hint not in (Hint.VALUE, Hint.AGGREGATE):
        return False
    return any(
        (label.hint.hint is Hint.LABEL and label.hint.rank == 0) or any(map(_speaks_label, label.column.values[:32]))
        for label in (*roles.labels, roles.sensor)
        if label is not None
    )


def _is_measured(measure: Profile) -> bool:
    return measured(measure.name) and not is_unlikely_reading(measure.name, timed=False)


def _is_of_account(measure: Profile) -> bool:
    return bool(set(words(measure.name)) & other_words.COMMERCE)


def _is_labelled(roles: Roles) -> bool:
    """Whether a value has a label that names what was measured."""
    return any(measure.hint.hint is Hint.VALUE for measure in roles.measures) and any(
        label.hint.hint is Hint.LABEL and label.hint.rank == 0 for label in roles.labels
    )


def _is_created(roles: Roles) -> bool:
    return roles.time is not None and bool(set(words(roles.time.name)) & _CREATED)


def _speaks_label(value: object) -> bool:
    return type(value) is str and measured(value)


def _says_so(roles: Roles, *, hashed: bool) -> bool:
    """Whether a member around each measure says that it holds measurements."""
    path = {compact(step) for step in roles.table.path if isinstance(step, str)}
    spoken = all(
        measured(measure.name) and not is_unlikely_reading(measure.name, timed=False) for measure in roles.measures
    )
    if path & _STRONG or (spoken and (hashed or path & _WEAK)):
        return True
    around = [{compact(part) for part in measure.column.parts[:-1]} for measure in roles.measures]
    return all(bool(parts & _STRONG) or (spoken and bool(parts & _WEAK)) for parts in around)


def _is_timed(roles: Roles) -> bool:
    time = roles.time
    if time is None:
        return False
    if roles.time_reason == "numbers that are times" and not set(words(time.name)) & _CREATED:
        return True
    return (time.hint.hint is Hint.TIME and time.hint.rank <= 1) or time.column.origin in ("entry", "axis", "index")


def _members(value: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """The members of an object and of those in it, by their compact name."""
    members: dict[str, Any] = {}
    for name, inner in value.items():
        if isinstance(inner, dict) and depth < _MAX_DEPTH:
            members.update(_members(inner, depth + 1))
        members[compact(name)] = inner
    return members
