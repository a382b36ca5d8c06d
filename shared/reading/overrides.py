"""The setting INPUTS: what overrules the reader's decisions, for the keys that match a glob. Pure.

    {"fabric:data:chart:tank-*": {"rows": "payload.samples", "time": "measured", "zone": "Europe/Berlin"}}

The first glob that matches a key counts. `rows` is a JMESPath expression over the decoded document.
"""

import re
from collections.abc import Mapping
from fnmatch import translate
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from shared.errors import ConfigurationError, Rejected

MAX_ENTRIES = 256
MAX_EXPRESSION_CHARS = 1000
_LISTS = ("series", "measures", "ignore")
_TEXTS = ("rows", "time", "zone", "value", "unit", "sensor")


class Override(msgspec.Struct, frozen=True):
    """What one entry sets; None or () leaves the decision to the reader.

    rows: JMESPath to the table. time, value, unit, sensor: names of columns. zone: of times without one.
    series: the columns whose values name the series. measures: the columns that are read, and no others.
    ignore: columns that are left out. day_first: what 03/04/2026 is.
    """

    rows: str | None = None
    time: str | None = None
    zone: str | None = None
    series: tuple[str, ...] = ()
    value: str | None = None
    unit: str | None = None
    sensor: str | None = None
    measures: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    day_first: bool | None = None


NONE = Override()


class Inputs(msgspec.Struct, frozen=True):
    """The entries of the setting, in their order."""

    entries: tuple[tuple[str, Override], ...] = ()

    def override(self, key: bytes) -> Override:
        """The override of a key: that of the first glob that matches."""
        if not self.entries:
            return NONE
        text = key.decode(errors="backslashreplace")
        return next((override for glob, override in self.entries if _pattern(glob).fullmatch(text)), NONE)


def parse(text: str) -> Inputs:
    """The setting as text. Raises ConfigurationError that lists every fault."""
    if not text.strip():
        return Inputs()
    try:
        value = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        raise ConfigurationError("INPUTS is not JSON") from None
    if not isinstance(value, dict):
        raise ConfigurationError("INPUTS is not an object of globs")
    faults: list[str] = []
    if len(value) > MAX_ENTRIES:
        faults.append(f"INPUTS has more than {MAX_ENTRIES} entries")
    entries = [(glob, _entry(glob, entry, faults)) for glob, entry in value.items()]
    if faults:
        raise ConfigurationError(*faults)
    return Inputs(tuple(entries))


def _entry(glob: str, entry: object, faults: list[str]) -> Override:
    where = f"INPUTS[{glob[:80]!r}]"
    if not isinstance(entry, dict):
        faults.append(f"{where} is not an object")
        return NONE
    values: dict[str, Any] = {}
    for name, value in entry.items():
        if name in _TEXTS:
            if isinstance(value, str) and value:
                values[name] = value
            else:
                faults.append(f"{where}.{name} is not a text")
        elif name in _LISTS:
            names = [value] if isinstance(value, str) else value
            if isinstance(names, list) and names and all(isinstance(item, str) and item for item in names):
                values[name] = tuple(names)
            else:
                faults.append(f"{where}.{name} is not a list of names")
        elif name == "dayFirst":
            if isinstance(value, bool):
                values["day_first"] = value
            else:
                faults.append(f"{where}.dayFirst is not true or false")
        else:
            allowed = ", ".join((*_TEXTS, *_LISTS, "dayFirst"))
            faults.append(f"{where}.{name} is unknown: use {allowed}")
    faults.extend(f"{where}.{fault}" for fault in _faults_of(values))
    return Override(**values)


def _faults_of(values: Mapping[str, Any]) -> list[str]:
    faults = []
    if "zone" in values:
        try:
            ZoneInfo(values["zone"])
        except (ValueError, OSError, KeyError):
            faults.append("zone is no time zone")
    if "rows" in values:
        try:
            _expression(values["rows"])
        except Rejected:
            faults.append("rows is no JMESPath expression")
    if "value" in values and "measures" in values:
        faults.append("value and measures exclude each other")
    return faults


def zone_of(override: Override) -> ZoneInfo | None:
    return None if override.zone is None else ZoneInfo(override.zone)


def rows_of(override: Override, document: object) -> object:
    """What the expression finds in the document. Raises Rejected when that is nothing."""
    if override.rows is None:
        return document
    from jmespath.exceptions import JMESPathError

    try:
        selected = _expression(override.rows).search(document)
    except (JMESPathError, RecursionError, TypeError, ValueError):
        raise Rejected("the rows of INPUTS cannot be looked up in this document") from None
    if selected is None or selected in ([], {}):
        raise Rejected("the rows of INPUTS find nothing in this document")
    return selected


@lru_cache(256)
def _expression(text: str) -> Any:
    import jmespath
    from jmespath.exceptions import JMESPathError

    if len(text) > MAX_EXPRESSION_CHARS:
        raise Rejected("the rows of INPUTS are too long an expression")
    try:
        return jmespath.compile(text)
    except (JMESPathError, RecursionError):
        raise Rejected("the rows of INPUTS are no JMESPath expression") from None


@lru_cache(256)
def _pattern(glob: str) -> re.Pattern[str]:
    return re.compile(translate(glob))
