"""Checks schedules as the Functions host reads them: an NCRONTAB expression or a time span.

A schedule that the host cannot read puts its function in error while the rest of the app runs, so it is found before.
"""

import re

_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 6, _DAYS),
)
_TIME_SPAN = re.compile(r"(?:(\d{1,7})\.)?(\d{1,2}):(\d{1,2}):(\d{1,2})")
_RANGE = re.compile(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?")


def fault(schedule: str) -> str | None:
    """Why the host cannot read a schedule; None if it can."""
    text = schedule.strip()
    if span := _TIME_SPAN.fullmatch(text):
        days, hours, minutes, seconds = (int(part or 0) for part in span.groups())
        if hours > 23 or minutes > 59 or seconds > 59 or not (days or hours or minutes or seconds):
            return "the time span must be at least 00:00:01, with hours to 23, minutes and seconds to 59"
        return None
    fields = text.split()
    if len(fields) not in (5, 6):
        return "expected an NCRONTAB expression of six fields, or hh:mm:ss"
    for field, (name, least, most, names) in zip(fields, _FIELDS[-len(fields) :], strict=True):
        for part in field.split(","):
            if not _is_valid(part, least, most, names):
                return f"{name}: {part[:20]!r} is not within {least} to {most}"
    return None


def _is_valid(part: str, least: int, most: int, names: tuple[str, ...]) -> bool:
    """Whether a part such as `*`, `5`, `1-5`, `*/10` or `mon-fri` is valid for a field."""
    match = _RANGE.fullmatch(part)
    if match is None:
        return False
    first, last, step = match.groups()
    if step is not None and int(step) < 1:
        return False
    if first == "*":
        return last is None
    return all(_is_value(value, least, most, names) for value in (first, last) if value is not None)


def _is_value(text: str, least: int, most: int, names: tuple[str, ...]) -> bool:
    if text.isascii() and text.isdigit():
        return len(text) < 4 and least <= int(text) <= most
    return any(name.startswith(text.lower()) for name in names)
