"""Tables that may be the one that is meant, and why a document without any is refused. Pure."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from shared.errors import Rejected
from shared.reading.layouts.shapes import Finder
from shared.reading.roles.columns import Profile
from shared.reading.roles.roles import Roles
from shared.reading.safe_text import quoted, shown_path
from shared.reading.tree import Decoded, Table


class Candidate(msgspec.Struct):
    """A table with its roles, or with the reason why it has none. `axis`: of a chart without times."""

    table: Table
    roles: Roles | None
    fault: str = ""
    rank: tuple[int, ...] = ()
    axis: tuple[Profile, str] | None = None


class Choice(msgspec.Struct):
    """The tables that are read, all candidates, what was left out on the way, and the note of the choice."""

    chosen: list[Candidate]
    candidates: list[Candidate]
    rejected: Counter[str]
    note: str
    document: Decoded


class Unreadable(Rejected):
    """A document without a readable table. `candidates`: what was looked at; `placeholder`: it holds no table."""

    def __init__(self, reason: str, candidates: Sequence[Candidate] = (), *, placeholder: bool = False) -> None:
        super().__init__(reason)
        self.candidates = candidates
        self.placeholder = placeholder


def no_measures(assigned: Roles) -> str:
    where = shown_path(assigned.table.path)
    texts = [
        entry.profile.name
        for entry in assigned.assigned
        if entry.role in ("label", "note", "sensor") and entry.profile.column.origin == "cell"
    ]
    numbers = [
        (entry.profile.name, entry.role)
        for entry in assigned.assigned
        if entry.profile.kind == "number" and entry.role != "time"
    ]
    if numbers:
        name, role = numbers[0]
        return f"rows found at {where}, but no column of measurements: {quoted(name)} is taken for {_article(role)}"
    if texts:
        return f"rows found at {where}, but no column of numbers: {quoted(texts[0])} holds text"
    return f"rows found at {where}, but no column of numbers"


_ROLE_NAMES = {
    "bookkeeping": "a number of the envelope",
    "calendar": "a part of the date",
    "epoch": "a time",
    "note": "a remark",
    "outside": "a number beside the measurements",
}


def _article(role: str) -> str:
    if role in _ROLE_NAMES:
        return _ROLE_NAMES[role]
    return f"{'an' if role[0] in 'aeiou' else 'a'} {role}"


def unreadable(value: Any, candidates: list[Candidate], finder: Finder, *, chart: bool) -> Unreadable:
    faults = [candidate.fault for candidate in candidates if candidate.fault]
    ordered = sorted(candidates, key=lambda candidate: -candidate.table.length)
    if finder.rejected and not candidates:
        reason, _ = finder.rejected.most_common(1)[0]
        return Unreadable(f"no usable reading: {reason}", candidates)
    if faults:
        fault = next(candidate.fault for candidate in ordered if candidate.fault)
        return Unreadable(fault, candidates, placeholder=announced(value, candidates))
    if not isinstance(value, dict | list):
        return Unreadable("neither an object nor a list", candidates)
    empty = "no points" if chart else "no readings"
    if not value or (isinstance(value, dict) and not any(value.values())) or _is_hollow(value):
        return Unreadable(empty, candidates, placeholder=True)
    if isinstance(value, list):
        if set(map(type, value)) <= {int, float, bool}:
            return Unreadable("numbers alone, without names or times", candidates)
        return Unreadable("a list, but not of rows", candidates)
    if finder.loose:
        place, values = max(finder.loose, key=lambda item: len(item[1]))
        return Unreadable(
            f"a list of {len(values)} values at {shown_path(place)}, but no axis and no names for it", candidates
        )
    return Unreadable("an object without a table", candidates, placeholder=True)


def announced(value: Any, candidates: Sequence[Candidate]) -> bool:
    """Whether a document without readings may only announce them: it has no rows, or only empty ones."""
    return (isinstance(value, dict) and not has_rows(value)) or all(map(_is_empty, candidates))


def _is_hollow(value: Any) -> bool:
    """Whether a document has an empty list for points or rows, and no number anywhere."""
    empty, level = False, [value]
    for _ in range(8):
        inner = [item for outer in level for item in (outer.values() if isinstance(outer, dict) else outer)]
        if any(type(item) in (int, float) for item in inner):
            return False
        empty = empty or any(item == [] for item in inner if isinstance(item, list))
        level = [item for item in inner if isinstance(item, dict | list)]
        if not level:
            return empty
    return False


def _is_empty(item: Candidate) -> bool:
    """Whether a table has columns for measurements, but no value in any of them."""
    if item.roles is None or item.roles.measures:
        return False
    roles = {entry.role for entry in item.roles.assigned}
    return "empty" in roles and roles <= {"empty", "time", "sensor", "index", "identifier", "unit", "quality"}


def has_rows(value: Any, depth: int = 0) -> bool:
    """Whether a document holds any list with something in it."""
    if depth > 8:
        return True
    if isinstance(value, list):
        return bool(value)
    return isinstance(value, dict) and any(has_rows(inner, depth + 1) for inner in value.values())
