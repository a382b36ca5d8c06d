"""What the reader made of a payload, and why: plain data, for the command line, the monitor page and JSON. Pure.

Called for one key at a time, never on the path of a batch. Names are bounded and masked where they look like a token;
values are abbreviated to a few digits and texts are never shown but as names of series and columns.
"""

import json
import textwrap
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from shared.errors import NotReady, Rejected
from shared.reading import batches, charts, reader
from shared.reading.documents import document
from shared.reading.limits import LIMITS, Limits
from shared.reading.model import Reading, Series
from shared.reading.overrides import NONE, Override
from shared.reading.overruling import Setting, entry_of, template_for
from shared.reading.roles import labels
from shared.reading.roles.columns import Profile
from shared.reading.roles.roles import Roles
from shared.reading.safe_text import shown, shown_path
from shared.reading.tree import Budget, Decoded
from shared.words import counted

MAX_COLUMNS, MAX_SERIES, MAX_TABLES, FIRST_POINTS = 64, 64, 16, 3
_WIDTH = 80


class ColumnNote(msgspec.Struct, frozen=True):
    """A column, its role and the reason for it."""

    name: str
    role: str
    reason: str
    values: int


class SeriesNote(msgspec.Struct, frozen=True):
    """A series, how many values it has and the first of them, each as its place on the axis and its value."""

    name: str
    unit: str | None
    count: int
    first: list[tuple[str, str]]


class TableNote(msgspec.Struct, frozen=True):
    """Another place where rows were found, and why they were not read."""

    path: str
    shape: str
    rows: int
    reason: str


class Explanation(msgspec.Struct, frozen=True, rename="camel"):
    """What the reader made of a payload.

    outcome: read, rejected or not ready. reason: of a rejection. encoding: from the outside in.

    members: encodings of texts inside. path, shape, rows: of the table that is read. x: time, number or category.
    rejected: values left out, by reason. inputs: an entry of the setting INPUTS that says what was decided here; change
    it to overrule that. glob: over keys, for that entry; "" where it is unknown.
    """

    kind: str
    outcome: str
    reason: str = ""
    bytes: int = 0
    encoding: list[str] = []
    members: list[str] = []
    path: str = ""
    shape: str = ""
    rows: int = 0
    notes: list[str] = []
    x: str = ""
    columns: list[ColumnNote] = []
    series: list[SeriesNote] = []
    series_omitted: int = 0
    rejected: Mapping[str, int] = {}
    tables: list[TableNote] = []
    inputs: Mapping[str, Setting] = {}
    glob: str = ""


def explain_batch(kind: str, parts: Sequence[bytes], override: Override = NONE, limits: Limits = LIMITS) -> Explanation:
    """What read_batch makes of the same arguments. Raises nothing for what a client wrote."""
    budget = Budget(limits.expanded_bytes, limits.layers, limits.nodes)
    size = sum(map(len, parts))
    try:
        decoded = batches.decode(kind, parts, budget)
    except Rejected as fault:
        return Explanation("batch", "rejected", str(fault), size, _failed_chain(kind), inputs={})
    return _explained("batch", decoded, budget, override, limits, size)


def explain_chart(raw: bytes, override: Override = NONE, limits: Limits = LIMITS) -> Explanation:
    """What read_chart makes of the same arguments. Raises nothing for what a client wrote."""
    budget = Budget(limits.expanded_bytes, limits.layers, limits.nodes)
    try:
        decoded = document.decode(raw, budget)
    except Rejected as fault:
        return Explanation("chart", "rejected", str(fault), len(raw), inputs={})
    return _explained("chart", decoded, budget, override, limits, len(raw))


def _failed_chain(kind: str) -> list[str]:
    return [] if kind == "string" else [kind]


def _explained(
    kind: str, decoded: Decoded, budget: Budget, override: Override, limits: Limits, size: int
) -> Explanation:
    chart = kind == "chart"
    chain = list(decoded.chain)
    try:
        choice = reader.find(decoded, budget, limits, override, chart=chart)
    except reader.Unreadable as fault:
        outcome = "not ready" if fault.placeholder and not chart else "rejected"
        reason = "a placeholder without data" if outcome == "not ready" else str(fault)
        template = template_for(str(fault))
        if outcome == "not ready" or "rows" in template or not fault.candidates:  # none of the tables is the one
            return Explanation(
                kind, outcome, reason, size, chain, _members(budget), tables=_tables(fault.candidates, []),
                inputs={} if outcome == "not ready" else template,
            )  # fmt: skip
        best = max(fault.candidates, key=lambda item: item.table.length)
        return Explanation(
            kind, outcome, reason, size, chain, _members(budget), shown_path(best.table.path), best.table.shape,
            best.table.length, columns=_columns(best.roles), tables=_tables(fault.candidates, [best]),
            inputs=template_for(reason, best),
        )  # fmt: skip
    except Rejected as fault:
        reason = str(fault)
        return Explanation(kind, "rejected", reason, size, chain, _members(budget), inputs=template_for(reason))
    candidate = choice.chosen[0]
    reading, outcome, reason = _read(choice, override, limits, chart=chart)
    shown_series, omitted = _series(reading)
    return Explanation(
        kind, outcome, reason, size, chain, _members(budget), shown_path(candidate.table.path), candidate.table.shape,
        candidate.table.length, [note for note in (choice.note, *candidate.table.notes) if note],
        reading.x if reading is not None else "", _columns(candidate.roles), shown_series, omitted,
        dict(choice.rejected if reading is None else reading.rejected), _tables(choice.candidates, choice.chosen),
        entry_of(candidate, override) | template_for(reason),
    )  # fmt: skip


def _read(choice: reader.Choice, override: Override, limits: Limits, *, chart: bool) -> tuple[Reading | None, str, str]:
    try:
        if chart:
            return charts.read_chosen(choice, override, limits), "read", ""
        return batches.read_chosen(choice, limits), "read", ""
    except NotReady as fault:
        return None, "not ready", str(fault)
    except Rejected as fault:
        return None, "rejected", str(fault)


def _members(budget: Budget) -> list[str]:
    """The encodings of members, each once."""
    return list(dict.fromkeys(" > ".join(chain) for chain in budget.steps))[:16]


def _columns(roles: Roles | None) -> list[ColumnNote]:
    if roles is None:
        return []
    notes = [
        ColumnNote(_column_name(entry.profile), entry.role, entry.reason, _present(entry.profile))
        for entry in roles.assigned[:MAX_COLUMNS]
    ]
    return sorted(notes, key=lambda note: (note.role not in ("time", "axis"), note.role != "measure"))


def _present(profile: Profile) -> int:
    values = profile.column.values
    return len(values) - sum(1 for value in values if value is None)


def _column_name(profile: Profile) -> str:
    return labels.SEPARATOR.join(shown(part) for part in profile.column.parts[-4:])


def _series(reading: Reading | None) -> tuple[list[SeriesNote], int]:
    if reading is None:
        return [], 0
    notes = [_series_note(line, reading.x) for line in list(reading.series.values())[:MAX_SERIES]]
    return notes, len(reading.series) - len(notes)


def _series_note(line: Series, x: str) -> SeriesNote:
    places = line.x if len(line.x) else line.raw_times
    first = [
        (_place(place, x if len(line.x) else "raw"), f"{value:.6g}")
        for place, value in zip(places[:FIRST_POINTS], line.values[:FIRST_POINTS], strict=False)
    ]
    return SeriesNote(shown(line.name), None if line.unit is None else shown(line.unit), len(line.values), first)


def _place(place: object, x: str) -> str:
    if place is None:
        return "no time"
    if x == "time" and isinstance(place, int):
        return datetime.fromtimestamp(place / 1e3, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"{place:.10g}" if isinstance(place, float) else shown(str(place))


def _tables(candidates: Sequence[reader.Candidate], chosen: Sequence[reader.Candidate]) -> list[TableNote]:
    notes = []
    for candidate in candidates[:MAX_TABLES]:
        if any(candidate is other for other in chosen):
            continue
        reason = candidate.fault or ("as good as another table" if not chosen else "another table is the better one")
        notes.append(TableNote(shown_path(candidate.table.path), candidate.table.shape, candidate.table.length, reason))
    return notes


def to_json(explanation: Explanation) -> bytes:
    return msgspec.json.encode(explanation)


def to_text(explanation: Explanation, key: str = "") -> str:
    """The explanation as lines of at most 80 columns. `key`: another glob for the entry of INPUTS."""
    lines = [_outcome(explanation)]
    if explanation.encoding:
        lines += _wrapped("Encoding", " > ".join(explanation.encoding))
    if explanation.members:
        lines += _wrapped("Members", ", ".join(explanation.members))
    if explanation.path:
        lines += _wrapped("Table", f"{explanation.shape}, {counted(explanation.rows, 'row')} at {explanation.path}")
    for note in explanation.notes:
        lines += _wrapped("Note", note)
    if explanation.x:
        lines += _wrapped("Axis", explanation.x)
    lines += _section("Columns", [f"{note.name}: {note.role} ({note.reason})" for note in explanation.columns])
    lines += _section("Series", [_series_line(note) for note in explanation.series])
    if explanation.series_omitted:
        lines.append(f"  and {explanation.series_omitted} more")
    lines += _section("Left out", [f"{count:,} x {reason}" for reason, count in explanation.rejected.items()])
    lines += _section(
        "Other tables" if explanation.path else "Tables",
        [f"{note.path}, {counted(note.rows, 'row')}: {note.reason}" for note in explanation.tables],
    )
    if explanation.inputs:
        glob = key or explanation.glob or "<glob over keys>"
        lines += ["To overrule it, INPUTS:", *_setting(glob, explanation.inputs)]
    return "\n".join(lines) + "\n"


def _setting(glob: str, entry: Mapping[str, Setting]) -> list[str]:
    """The value of INPUTS in lines that are JSON together: broken between texts, never within one."""
    words: list[str] = []
    for name, value in entry.items():
        if isinstance(value, list) and value:
            *front, last = map(_json, value)
            items = [*(f"{item}," for item in front), f"{last}]"]
            items[0] = f"[{items[0]}"
        else:
            items = [_json(value)]
        words += [f"{_json(name)}: {items[0]}", *items[1:]]
        words[-1] += ","
    words[0] = "{" + words[0]
    words[-1] = words[-1][:-1] + "}}"
    lines = [f"  {{{_json(glob)}:"]
    for word in words:
        if len(lines[-1]) + 1 + len(word) > _WIDTH:
            lines.append("   ")
        lines[-1] += f" {word}"
    return lines


def _json(value: Setting) -> str:
    return json.dumps(value, ensure_ascii=False)


def _outcome(explanation: Explanation) -> str:
    if explanation.outcome == "read":
        count = sum(note.count for note in explanation.series)
        series = counted(len(explanation.series), "series", "series")
        return f"{explanation.kind.capitalize()}: read, {series}, {counted(count, 'value')}"
    text = f"{explanation.kind.capitalize()}: {explanation.outcome}: {explanation.reason}"
    return "\n  ".join(textwrap.wrap(text, _WIDTH - 2))


def _series_line(note: SeriesNote) -> str:
    points = ", ".join(f"{place} = {value}" for place, value in note.first)
    unit = f" [{note.unit}]" if note.unit else ""
    return f"{note.name}{unit}: {counted(note.count, 'value')}; {points}"


def _wrapped(title: str, text: str) -> list[str]:
    return textwrap.wrap(f"{title}: {text}", _WIDTH, subsequent_indent="  ")


def _section(title: str, items: Sequence[str]) -> list[str]:
    if not items:
        return []
    lines = [f"{title}:"]
    for item in items:
        lines += textwrap.wrap(item, _WIDTH - 2, initial_indent="  ", subsequent_indent="    ")
    return lines
