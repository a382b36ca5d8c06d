"""Whether columns hold times of day, or texts that look like times and are none. Pure."""

import re

from shared.reading.roles.columns import Profile, numbers_of
from shared.reading.texts.names import Hint, words

_SAMPLE = 64
_HOURS = 24
_MARKED_DIGITS = re.compile(r"\d\s?[-/.:,T_ ]\s?\d")
_CLOCK_DIGITS = re.compile(r"(?:[01]\d|2[0-3])[0-5]\d[0-5]\d")
_TIME_WORDS = (("time",), ("date",), ("datetime",), ("timestamp",))


def are_clocks(profile: Profile) -> bool:
    """Whether texts are times of day, such as `06:00` or `6:00 PM`."""
    texts = [value for value in profile.column.values[:_SAMPLE] if type(value) is str]
    if not texts or ":" not in texts[0]:
        return False
    from shared.reading.texts import time_formats  # its patterns cost import time

    return all(time_formats.clock(text) is not None for text in texts)


def are_clock_digits(profile: Profile) -> bool:
    """Whether texts are times of day without marks, such as `060000`, as SAP writes them."""
    if profile.column.origin != "cell" or profile.kind not in ("text", "number"):
        return False
    return all(type(text) is str and _CLOCK_DIGITS.fullmatch(text) for text in profile.column.values[:_SAMPLE])


def are_hours(profile: Profile) -> bool:
    """Whether whole numbers are hours of a day."""
    values = numbers_of(profile).values
    return profile.integral and min(values, default=-1) >= 0 and max(values, default=_HOURS) < _HOURS


def resemble_times(profile: Profile) -> bool:
    """Whether nearly all texts of a column that cannot be read as times are written like some, or hold a date."""
    from shared.reading.texts import time_formats  # its patterns cost import time

    texts = [value for value in profile.column.values[:_SAMPLE] if type(value) is str and value.strip()]
    called = words(profile.name)[-1:] in _TIME_WORDS
    named = called or profile.hint.hint is Hint.TIME
    if named:
        # A name such as period may also be that of a season: there, three groups of digits are needed.
        groups = 2 if called or profile.hint.rank == 0 else 3
        alike = sum(_are_marked(text, groups) and time_formats.clock(text) is None for text in texts)
    else:
        alike = sum(map(time_formats.has_date, texts))
    return bool(texts) and alike * 10 >= len(texts) * 9


def _are_marked(text: str, groups: int) -> bool:
    """Whether a text has so many groups of digits, with a mark between two of them."""
    return _MARKED_DIGITS.search(text) is not None and len(re.findall(r"\d+", text)) >= groups
