"""Which column is the time. Pure.

Texts that are dates and numbers that are plausible epochs are candidates; the name decides between them: the time of
measuring before that of creation, before that of arrival. An expiry is never the time.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from math import isnan

from shared.errors import Rejected
from shared.reading.overrides import Override
from shared.reading.roles import stamps
from shared.reading.roles.clocks import are_clock_digits, are_clocks, are_hours
from shared.reading.roles.columns import Profile, numbers_of, profile_of
from shared.reading.roles.time_ties import Candidate, agreed, finer_of, with_other_rows
from shared.reading.safe_text import quoted
from shared.reading.texts import times, vocabulary
from shared.reading.texts.names import Hint, compact, is_clock, words
from shared.reading.tree import Column

_DAY_MS = 86_400_000
_CLOCK_DIGITS = 6
_DATE_PARTS = ("year", "month", "day", "hour", "minute", "second")
_LEAST_TIME = 20_010_101.0
"""The smallest number that can be a date or a time."""
_BY_NAME_ALONE = ("timestamp", "ts", "time")
"""In batches a column of these names is the time as it stands, even where it cannot be read as one."""
_UNNAMED_RANK, _ENTRY_RANK = 1.5, 9.0


def choose(
    profiles: Sequence[Profile], override: Override, *, chart: bool
) -> tuple[Profile | None, Profile | None, str]:
    """The column of times, one of times of day that belongs to it, and the reason.

    Raises Rejected when two candidates are equally good and differ, or the one that INPUTS names is not there.
    """
    if override.time is not None:
        named = next((profile for profile in profiles if _is_named(profile, override.time)), None)
        if named is None:
            raise Rejected(f"no column {quoted(override.time)}, which INPUTS sets as the time")
        return named, _clock_beside(named, profiles), "set by INPUTS"
    candidates = [item for profile in profiles if (item := _candidate(profile, chart=chart)) is not None]
    if not candidates:
        for profile in profiles:
            if profile.hint.hint is Hint.TIME and profile.column.origin == "context" and is_time(profile):
                clock = _clock_beside(profile, profiles)
                if clock is not None:
                    return profile, clock, "the date around the rows"
        joined = _joined_date(profiles)
        if joined is not None:
            return joined, None, "the parts of a date"
        stamped = stamps.the_time(profiles)
        if stamped is None:
            return None, None, ""
        return stamped, _clock_beside(stamped, profiles), "numbers that are times"
    best = min(candidates, key=lambda profile: profile.rank)
    equal = [profile for profile in candidates if profile.rank == best.rank]
    if len(equal) > 1:
        best = agreed(equal)
    others = [profile for profile in candidates if profile is not best and profile.profile.column.origin == "cell"]
    if others and best.profile.column.origin == "cell":
        best = with_other_rows(best, others)
        if all(map(_is_date_only, _sample(best.profile.column.values))):
            best = next((finer for other in others if (finer := finer_of(best, other)) is not None), best)
    return best.profile, _clock_beside(best.profile, profiles), best.reason


def _joined_date(profiles: Sequence[Profile]) -> Profile | None:
    """The time in columns of year, month, day and so on; None without a year and a month."""
    parts = {
        compact(profile.name): profile.column.values
        for profile in profiles
        if profile.kind == "number" and profile.integral
    }
    if "year" not in parts or "month" not in parts:
        return None
    count = len(parts["year"])
    columns = [parts.get(name, [1 if name == "day" else 0] * count) for name in _DATE_PARTS]
    texts: list[str | None] = []
    for row in zip(*columns, strict=True):
        try:
            year, month, day, hour, minute, second = map(int, row)
            texts.append(datetime(year, month, day, hour, minute, second).isoformat())  # noqa: DTZ001  # has no zone
        except (TypeError, ValueError, OverflowError):
            texts.append(None)
    return profile_of(Column(("year-month-day",), texts)) if any(texts) else None


def _is_named(profile: Profile, name: str) -> bool:
    return name in (profile.name, profile.column.parts[-1], ".".join(profile.column.parts))


def _candidate(profile: Profile, *, chart: bool) -> Candidate | None:
    column, hint = profile.column, profile.hint
    if (
        profile.kind == "number"
        and hint.hint is Hint.PLAIN
        and column.origin == "cell"
        and type(column.values[0]) is not str
    ):
        return None
    joined = compact(profile.name)
    if joined in vocabulary.NEVER_TIMES or hint.hint in (Hint.UNIT, Hint.QUALITY):
        return None
    named = hint.hint is Hint.TIME
    if column.origin == "context" and not (named and (hint.rank <= 1 or not _constant(profile))):
        return None
    if column.origin == "context" and chart and _constant(profile) and hint.rank > 0:
        return None
    place = float(column.origin == "context")
    depth = float(min(len(column.parts), 3))
    if column.origin == "entry":
        return Candidate(profile, (_ENTRY_RANK, 0.0, 0.0), "the time in the entry's id")
    if not is_time(profile):
        if (
            not chart
            and joined in _BY_NAME_ALONE
            and (profile.kind in ("number", "text") or _has_text(profile))
            and column.origin in ("cell", "axis")
        ):
            return Candidate(profile, (8.0, depth, float(_BY_NAME_ALONE.index(joined))), "called a time")
        return None
    if named:
        return Candidate(
            profile, (place * 4 + hint.rank, depth, _zone_rank(profile.name)), "times under the name of a time"
        )
    if column.origin in ("axis", "index", "key"):
        return Candidate(profile, (0.5, depth, 0.0), "times along the axis")
    return Candidate(profile, (_UNNAMED_RANK + place * 4, depth, 0.0), "texts that are times")


def _has_text(profile: Profile) -> bool:
    """Whether a column that holds no values at least has empty texts."""
    return profile.kind == "empty" and any(type(value) is str for value in profile.column.values)


def _zone_rank(name: str) -> float:
    """Of a time in UTC and the same in local time, the former."""
    parts = words(name)
    return -1.0 if "utc" in parts or "gmt" in parts else float("local" in parts)


def is_time(profile: Profile) -> bool:
    """Whether a column's values are times: by a sample of them, and for numbers also by the name."""
    values = profile.column.values
    if profile.kind == "moment":
        return True
    named = (
        profile.hint.hint is Hint.TIME
        or profile.column.origin in ("axis", "index", "key")
        or compact(profile.name) in vocabulary.NEVER_TIMES
    )
    sample = _sample(values)
    if profile.kind in ("text", "other"):
        texts = [value for value in sample if type(value) is str]
        if not texts:
            return False
        if all(map(times.is_date_text, texts)):
            return True
        return named and any(map(times.looks_like_time, _different(values[:256])))
    if profile.kind != "number" or not sample:
        return False
    if not named:
        return any(type(value) is str for value in sample) and all(map(times.is_date_text, sample))
    if all(map(_is_epoch, sample)):
        return True
    return _are_datekeys(profile, sample) or (
        any(map(times.is_date_text, sample)) and any(map(times.looks_like_time, sample))
    )


def _different(values: Sequence[object]) -> Iterable[object]:
    try:
        return dict.fromkeys(values)
    except TypeError:
        return values


def _is_epoch(value: object) -> bool:
    if type(value) is str:
        return times.looks_like_time(value) and len(value) > 4
    return times.looks_like_time(value)


def _are_datekeys(profile: Profile, sample: Sequence[object]) -> bool:
    if not profile.integral or compact(profile.name) in ("t", "x", "value"):
        return False
    return all(map(_is_datekey, sample))


def _is_datekey(value: object) -> bool:
    """Whether a number is a date such as 20260301."""
    return isinstance(value, int | float) and not isnan(times.datekey_ms(value))


def _sample(values: Sequence[object]) -> list[object]:
    count = len(values)
    places = (0, 1, count // 3, count // 2, count - 1)
    sample = [values[place] for place in places if place < count and values[place] is not None]
    return sample or [value for value in values if value is not None][:3]


def _constant(profile: Profile) -> bool:
    values = profile.column.values
    return all(value == values[0] for value in values)


def _clock_beside(time: Profile, profiles: Sequence[Profile]) -> Profile | None:
    """The column with the time of day, where the time's own texts are dates only."""
    if time.kind == "moment" or time.column.origin not in ("cell", "context", "key"):
        return None
    sample = _sample(time.column.values)
    if not sample or not all(_is_date_only(value) for value in sample):
        return None
    for profile in profiles:
        if profile.kind == "number" and "hour" in words(profile.name)[:1] and are_hours(profile):
            return profile
        if profile is not time and profile.kind == "text" and is_clock(profile.name) and are_clocks(profile):
            return profile
    digits = [profile for profile in profiles if profile is not time and are_clock_digits(profile)]
    return digits[0] if len(digits) == 1 else None


def _is_date_only(value: object) -> bool:
    if _is_datekey(value):
        return True
    if not isinstance(value, str):
        return False
    text = value.strip()
    return ":" not in text or text.endswith(("T00:00:00", "T00:00:00Z", " 00:00:00", "T00:00:00.000Z", "T00:00:00.000"))


def repeats(profile: Profile, time: Profile) -> bool:
    """Whether numbers are the times once more: each within a day of the time of its row."""
    values = numbers_of(profile).values
    if not values or max(values) < _LEAST_TIME:
        return False
    if not times.is_epoch(values[0]):
        sample = _sample(profile.column.values)
        if not sample or not all(map(_is_datekey, sample)):
            return False
    try:
        own = times.parse(profile.column.values, datekeys=True).ms
        other = times.parse(time.column.values, datekeys=True).ms
    except times.Ambiguous:
        return False
    pairs = [(left, right) for left, right in zip(own, other, strict=True) if not (isnan(left) or isnan(right))]
    return bool(pairs) and all(abs(left - right) <= _DAY_MS for left, right in pairs)


def times_of(time: Profile, clock: Profile | None, *, zone: tzinfo | None, day_first: bool | None) -> times.Times:
    """The times of the rows in epoch milliseconds. Raises Ambiguous when the day cannot be told from the month."""
    values: Sequence[object] = raw_times(time, clock)
    return times.parse(values, zone=zone, day_first=day_first, datekeys=True)


def raw_times(time: Profile, clock: Profile | None) -> Sequence[object]:
    """The times as they were written; a date and a time of day joined by a blank."""
    if clock is None:
        return time.column.values
    joined: list[object] = []
    for date, hour in zip(time.column.values, clock.column.values, strict=True):
        if date is None or hour is None:
            joined.append(date)
        elif type(hour) is str and len(hour) == _CLOCK_DIGITS and hour.isdecimal():
            joined.append(f"{_date_text(date)} {hour[:2]}:{hour[2:4]}:{hour[4:]}")
        elif type(hour) is int or type(hour) is float or (type(hour) is str and hour.strip().isdecimal()):
            joined.append(f"{_date_text(date)} {int(hour):02d}:00")
        else:
            joined.append(f"{_date_text(date)} {str(hour).strip()}")
    return joined


def _date_text(date: object) -> str:
    text = str(int(date)) if isinstance(date, int | float) else str(date).strip()
    if len(text) == 8 and text.isdecimal():
        return f"{text[:4]}-{text[4:6]}-{text[6:]}"
    for mark in ("T00:00:00", " 00:00:00"):
        text = text.split(mark)[0]
    return text


def own_time(time: Profile | None, others: Sequence[Profile], measure: Profile) -> Profile | None:
    """The time of one measure: a time in the same member as its value, else the table's."""
    around = measure.column.parts[:-1]
    if time is None or not around or len(time.column.parts) < 2 or time.column.parts[:-1] == around:
        return time
    return next((other for other in others if other.column.parts[:-1] == around and is_time(other)), time)
