"""Several columns that could be the time: which of them it is. Pure."""

from array import array

import msgspec

from shared.errors import Rejected
from shared.reading.roles.columns import Profile
from shared.reading.safe_text import quoted
from shared.reading.texts import times
from shared.reading.texts.names import compact

_DAY_MS, _SECOND_MS = 86_400_000, 1_000
PLAIN_NAMES = ("timestamp", "time", "ts", "datetime", "date")


class Candidate(msgspec.Struct):
    profile: Profile
    rank: tuple[float, ...]
    reason: str


def agreed(equal: list[Candidate]) -> Candidate:
    """One of several equal candidates: any of them where they say the same, else a tie."""
    first = min(equal, key=lambda profile: profile.profile.column.parts)
    values = [list(profile.profile.column.values) for profile in equal]
    if all(sum(value is not None for value in row) <= 1 for row in zip(*values, strict=True)):
        return _coalesced(first, equal)
    if all(other == values[0] for other in values[1:]):
        return first
    try:
        ms = [times.parse(profile.profile.column.values, datekeys=True).ms for profile in equal]
    except times.Ambiguous:
        ms = []
    if ms and all(max(map(abs, map(float.__sub__, one, ms[0])), default=0.0) < _SECOND_MS for one in ms[1:]):
        named = [profile for profile in equal if compact(profile.profile.name) in PLAIN_NAMES]
        return named[0] if named else first
    finer = _finer(equal, ms)
    if finer is not None:
        return finer
    known = [profile for profile in equal if compact(profile.profile.name) in PLAIN_NAMES]
    if len(known) == 1:
        return known[0]
    if (
        len({profile.profile.column.parts[:-1] for profile in equal}) == len(equal)
        and len({profile.profile.name for profile in equal}) == 1
    ):
        return first  # each measure has a time of its own
    names = sorted({profile.profile.name for profile in equal})
    if len(names) < 2:
        names = sorted(".".join(profile.profile.column.parts) for profile in equal)
    raise Rejected(f"{quoted(names[0])} and {quoted(names[1])} could both be the time; set `time` in INPUTS")


def finer_of(best: Candidate, other: Candidate) -> Candidate | None:
    try:
        ms = [times.parse(item.profile.column.values, datekeys=True).ms for item in (best, other)]
    except times.Ambiguous:
        return None
    return _finer([best, other], ms)


def _finer(equal: list[Candidate], ms: "list[array[float]]") -> Candidate | None:
    """Of dates and the times within them, the times."""
    if len(ms) != 2:
        return None
    for place, dates in enumerate(ms):
        moments = ms[1 - place]
        if all(date % _DAY_MS == 0 for date in dates) and any(moment % _DAY_MS for moment in moments):
            within = all(abs(moment - date) <= _DAY_MS for date, moment in zip(dates, moments, strict=True))
            return equal[1 - place] if within else None
    return None


def with_other_rows(best: Candidate, others: list[Candidate]) -> Candidate:
    """The time, with those of rows of another kind, which have it under another name."""
    values = best.profile.column.values
    if None not in values:
        return best
    for other in others:
        pairs = zip(values, other.profile.column.values, strict=True)
        if all(left is None or right is None for left, right in pairs):
            other.profile.kind = "empty" if other.profile.kind != "text" else "text"
            return _coalesced(best, [best, other])
    return best


def _coalesced(first: Candidate, equal: list[Candidate]) -> Candidate:
    """Rows of two kinds, each with its own name for the time: one column with the time of every row."""
    rows = zip(*(profile.profile.column.values for profile in equal), strict=True)
    first.profile.column.values = [next((value for value in row if value is not None), None) for row in rows]
    first.profile.kind = (
        "text" if any(type(value) is str for value in first.profile.column.values) else first.profile.kind
    )
    return first
