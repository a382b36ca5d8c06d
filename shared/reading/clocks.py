"""Whether columns hold times of day. Pure."""

from shared.reading.columns import Profile, numbers_of

_SAMPLE = 64
_HOURS = 24


def are_clocks(found: Profile) -> bool:
    """Whether texts are times of day, such as `06:00` or `6:00 PM`."""
    texts = [value for value in found.column.values[:_SAMPLE] if type(value) is str]
    if not texts or ":" not in texts[0]:
        return False
    from shared.reading import time_formats  # its patterns cost import time

    return all(time_formats.clock(text) is not None for text in texts)


def are_hours(found: Profile) -> bool:
    """Whether whole numbers are hours of a day."""
    values = numbers_of(found).values
    return found.integral and min(values, default=-1) >= 0 and max(values, default=_HOURS) < _HOURS
