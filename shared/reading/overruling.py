"""Entries of the setting INPUTS, for an explanation: what was decided, and what a reason asks for. Pure."""

import re

from shared.reading.candidates import Candidate
from shared.reading.overrides import Override
from shared.reading.safe_text import shown

type Setting = str | bool | list[str]
"""A member of an entry of INPUTS."""

_ADVICE = re.compile(r"set ((?:`\w+`(?:, | or )?)+) in INPUTS")
_QUOTED = re.compile(r"`([^`]+)`")
_EXPRESSION = "<JMESPath to the rows>"


def template_for(reason: str, candidate: Candidate | None = None) -> dict[str, Setting]:
    """The members of an entry that a reason asks for, with the column that it names; {} if it asks for none.

    candidate: the table that the reason is about; its columns of numbers are the measures to choose from.
    """
    match = _ADVICE.search(reason)
    if match is None:
        return {}
    columns = _QUOTED.findall(reason[: match.start()])
    column = columns[0] if columns else "<column>"
    values: dict[str, Setting] = {
        "rows": _EXPRESSION,
        "time": column,
        "ignore": [column],
        "measures": _measures(candidate) or ["<column>"],
        "zone": "<such as Europe/Berlin>",
        "dayFirst": True,
    }
    return {name: values[name] for name in _QUOTED.findall(match[1]) if name in values}


def _stated(override: Override) -> dict[str, Setting]:
    """What the entry of INPUTS says already."""
    stated: dict[str, Setting] = {}
    for name in Override.__struct_fields__:
        value = getattr(override, name)
        if value is not None and value != ():
            stated["dayFirst" if name == "day_first" else name] = list(value) if isinstance(value, tuple) else value
    return stated


def entry_of(candidate: Candidate, override: Override) -> dict[str, Setting]:
    """The entry of INPUTS that says what was decided, with what the present entry says."""
    entry = _decided(candidate) | _stated(override)
    if "value" in entry:
        entry.pop("measures", None)  # they exclude each other
    return entry


def _decided(candidate: Candidate) -> dict[str, Setting]:
    roles = candidate.roles
    entry: dict[str, Setting] = {}
    steps = [step for step in candidate.table.path if isinstance(step, str)]
    if steps and len(steps) == len(candidate.table.path):
        entry["rows"] = ".".join(f'"{shown(step)}"' if not step.isidentifier() else shown(step) for step in steps)
    if roles is None:
        return entry
    if roles.time is not None:
        entry["time"] = shown(roles.time.name)
    elif candidate.axis is not None:
        entry["time"] = shown(candidate.axis[0].name)
    series = [
        entry_.profile
        for entry_ in roles.assigned
        if entry_.role in ("label", "sensor") and entry_.profile.column.origin != "key"
    ]
    if series and len(roles.measures) == 1:
        entry["series"] = [shown(profile.name) for profile in series[:4]]
    if roles.sensor is not None:
        entry["sensor"] = shown(roles.sensor.name)
    if roles.unit is not None:
        entry["unit"] = shown(roles.unit.name)
    entry["measures"] = _measures(candidate)
    return entry


def _measures(candidate: Candidate | None) -> list[str]:
    roles = candidate.roles if candidate else None
    return [shown(profile.name) for profile in roles.measures[:16]] if roles else []
