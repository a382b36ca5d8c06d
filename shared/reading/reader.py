"""The steps of reading in their order: document -> tables -> roles, and the choice of the table. Pure."""

from typing import Any

from shared.errors import Rejected
from shared.reading.candidates import Candidate, Choice, Unreadable, has_rows, no_measures, unreadable
from shared.reading.documents.document import decode_member
from shared.reading.layouts import tables
from shared.reading.layouts.shapes import Finder
from shared.reading.limits import Limits
from shared.reading.overrides import Override, rows_of
from shared.reading.roles import charts_axis, messages, roles
from shared.reading.roles.roles import Roles
from shared.reading.safe_text import shown_path
from shared.reading.texts import vocabulary
from shared.reading.texts.names import Hint, compact, hint, is_aside, is_container
from shared.reading.tree import Budget, Decoded, Table

__all__ = ["Candidate", "Choice", "Unreadable", "choose", "find", "is_placeholder", "search"]
DESCRIBES = "which describe something else"
DOCUMENTED_LISTS = ("records", "readings", "data")
"""Lists of a batch that all count, wherever several of them stand beside each other."""


_FEW_ROWS = 3


def search(document: Decoded, budget: Budget, limits: Limits, override: Override) -> tuple[Any, Finder, list[Table]]:
    """The document, or the part of it that INPUTS names, and every table in it. Raises Rejected."""
    value = document.value
    if override.rows is not None:
        value = rows_of(override, _expanded(value, budget))
    finder = Finder(budget, limits)
    finder.walk(value)
    return value, finder, tables.tables_of(finder)


def find(document: Decoded, budget: Budget, limits: Limits, override: Override, *, chart: bool) -> Choice:
    """The table of a document with its roles. Raises Rejected (Unreadable, where the document has none)."""
    value, finder, candidates = search(document, budget, limits, override)
    return choose(document, value, finder, candidates, override, chart=chart)


def choose(
    document: Decoded, value: Any, finder: Finder, found_tables: list[Table], override: Override, *, chart: bool
) -> Choice:
    """The best of the tables. Raises Rejected where there is none, or two are equally good."""
    candidates = [_candidate(table, override, chart=chart) for table in found_tables]
    readable = [item for item in candidates if item.roles is not None and item.rank]
    if not readable:
        raise unreadable(value, candidates, finder, chart=chart)
    by_hand = bool(override.rows is not None or override.measures or override.value)
    if not by_hand:
        readable = _readings(document, value, readable, candidates, chart=chart)
    best = max(item.rank for item in readable)
    chosen = _without_copies([item for item in readable if item.rank == best])
    if chosen[0].table.shape == "row" and _announces(value, chosen[0]):
        raise Unreadable("a placeholder without data", candidates, placeholder=True)
    _check_larger(chosen, candidates)
    if chosen[0].table.shape == "row" and any(map(_holds_more, candidates)):
        raise unreadable(value, candidates, finder, chart=chart)  # what stands around a table is no row
    if len(chosen) > 1:
        if not chart and all(_is_documented_list(item.table) for item in readable):
            chosen = readable
        else:
            first, second = (shown_path(item.table.path) for item in chosen[:2])
            raise Unreadable(f"tables found at {first} and at {second}; set `rows` in INPUTS", candidates)
    return Choice(chosen, candidates, finder.rejected, ", ".join(finder.notes), document)


def _readings(
    document: Decoded, value: Any, readable: list[Candidate], candidates: list[Candidate], *, chart: bool
) -> list[Candidate]:
    """Those of the candidates that hold readings. Raises Unreadable where none does."""
    hashed = document.chain[:1] == ("hash",)
    kept: list[Candidate] = []
    best = max(readable, key=lambda item: item.rank)
    for item in readable:
        if item.roles is None:
            continue
        fault = messages.fault_of(item.roles, chart=chart, hashed=hashed)
        kind = messages.kind_of(value, item.roles) if item is best or fault is None else None
        if kind is not None:
            item.fault = f"{kind}, no readings"
        elif fault is not None:
            item.fault = fault
        else:
            kept.append(item)
    if kept:
        return kept
    if best.table.shape == "row" and _announces(value, best):
        raise Unreadable("a placeholder without data", candidates, placeholder=True)
    announced = best.fault.startswith("the progress of work") or is_placeholder(best)
    raise Unreadable(best.fault, candidates, placeholder=announced)


def _check_larger(chosen: list[Candidate], candidates: list[Candidate]) -> None:
    """Raises Unreadable where a larger table could not be read for sure: the one beside it is not what is meant."""
    unsure = max(filter(_is_unsure, candidates), key=lambda item: item.table.length, default=None)
    if unsure is not None and unsure.table.length > max(item.table.length for item in chosen):
        raise Unreadable(unsure.fault, candidates)
    if chosen[0].table.shape.startswith("rows") and chosen[0].table.length == 1:
        longer = next((item for item in candidates if item.rank and item.table.length > _FEW_ROWS), None)
        if longer is not None and longer.rank[0] == 1:
            first, second = shown_path(chosen[0].table.path), shown_path(longer.table.path)
            raise Unreadable(f"one row found at {first} and several at {second}; set `rows` in INPUTS", candidates)


def _is_unsure(item: Candidate) -> bool:
    """Whether a table has measures, or may have some, and could not be read."""
    if item.roles is None:
        return True
    if item.fault.endswith(DESCRIBES):
        return False
    several = item.table.shape.startswith("rows") and item.table.length > _FEW_ROWS
    return several and bool(item.fault and item.roles.measures and item.roles.time is None)


def _announces(value: Any, item: Candidate) -> bool:
    """Whether a single row without a time stands around a list for rows that is empty, so that it counts them."""
    timed = item.roles is not None and item.roles.time is not None
    return not timed and _has_empty_list(value) and not has_rows(value)


def _has_empty_list(value: Any, depth: int = 0) -> bool:
    if depth > 8 or not isinstance(value, dict):
        return False
    return any(
        (inner == [] and (is_container(name) or name in ("hits", "list", "edges", "entries", "nodes")))
        or _has_empty_list(inner, depth + 1)
        for name, inner in value.items()
    )


def _holds_more(item: Candidate) -> bool:
    """Whether a candidate that cannot be read has several rows of measurements."""
    return bool(item.fault) and item.table.length > 1 and item.roles is not None and bool(item.roles.measures)


def _is_documented_list(table: Table) -> bool:
    return len(table.path) == 1 and table.path[0] in DOCUMENTED_LISTS


def _expanded(value: Any, budget: Budget) -> Any:
    """A document with the texts in it that are documents decoded, so that an expression can look into them."""
    budget.visit()
    if isinstance(value, str):
        decoded = decode_member(value, budget)
        return value if decoded is None else _expanded(decoded.value, budget)
    if isinstance(value, dict):
        return {
            name: _expanded(item, budget) if isinstance(item, str | dict | list) else item
            for name, item in value.items()
        }
    if isinstance(value, list) and not set(map(type, value)) <= {int, float, bool}:
        return [_expanded(item, budget) if isinstance(item, str | dict | list) else item for item in value]
    return value


def _candidate(table: Table, override: Override, *, chart: bool) -> Candidate:
    try:
        assigned = roles.assign(table, override, chart=chart)
    except Rejected as fault:
        return Candidate(table, None, str(fault))
    candidate = Candidate(table, assigned)
    if any(isinstance(step, str) and compact(step) in vocabulary.ERRORS for step in table.path):
        candidate.fault = f"rows found at {shown_path(table.path)}, which describe an error"
        return candidate
    if not assigned.measures:
        candidate.fault = no_measures(assigned)
        return candidate
    timed = assigned.time is not None
    if chart and not timed:
        try:
            candidate.axis = charts_axis.choose(assigned)
        except Rejected as fault:
            candidate.fault = str(fault)
            return candidate
        if not assigned.measures:
            candidate.fault = no_measures(assigned)
            return candidate
    if not chart and not table.ordered_names:
        candidate.fault = f"rows of lists at {shown_path(table.path)} without names for their columns"
        return candidate
    if not chart and not timed and _are_pairs(assigned):
        candidate.fault = f"values along an axis at {shown_path(table.path)}, but no times"
        return candidate
    aside = any(isinstance(step, str) and is_aside(step) for step in table.path)
    if aside and not timed and candidate.axis is not None:
        candidate.fault = f"rows found at {shown_path(table.path)}, {DESCRIBES}"
        return candidate
    candidate.rank = (int(not aside), int(timed), int(table.shape != "row"), int(table.length > 1))
    return candidate


def _are_pairs(assigned: Roles) -> bool:
    """Whether values stand over an axis of numbers that are no times: a batch has no such axis."""
    return any(
        entry.profile.column.origin == "axis" and entry.profile.kind in ("number", "text")
        for entry in assigned.assigned
    )


def _without_copies(chosen: list[Candidate]) -> list[Candidate]:
    """Tables that hold the same values as one before them are left out: some services give their rows twice."""
    kept: list[Candidate] = []
    for candidate in chosen:
        content = _content(candidate.table)
        if not any(_content(other.table) == content for other in kept):
            kept.append(candidate)
    return kept


def _content(table: Table) -> list[tuple[tuple[str, ...], list[object]]]:
    return [(column.parts, list(column.values)) for column in table.columns if column.origin in ("cell", "axis")]


def _status_of(table: Table) -> str | None:
    """The text of a member called status or state around or in a single row."""
    for column in table.columns:
        if hint(column.parts[-1]).hint in (Hint.QUALITY, Hint.VALUE) and type(column.values[0]) is str:
            return str(column.values[0])
    return None


def is_placeholder(candidate: Candidate) -> bool:
    """Whether a single object announces data: it says that work goes on, and its numbers only count that work."""
    if candidate.table.shape != "row" or candidate.roles is None:
        return False
    status = _status_of(candidate.table)
    if status is None or compact(status) not in vocabulary.UNFINISHED:
        return False
    roles = candidate.roles
    timed = roles.time is not None and roles.time.hint.hint is Hint.TIME and roles.time.hint.rank <= 1
    return not timed or all(compact(measure.name) in vocabulary.PROGRESS for measure in roles.measures)
