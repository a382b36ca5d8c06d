"""Numbers that are times by their values, whatever their column is called. Pure.

A number of the size of an epoch measures something only where its name says so (bytes, energy). Days as Excel counts
them are small numbers: they are told by the name of a time, or by steps that are all the same number of seconds.
"""

import math
import re
from collections.abc import Sequence
from itertools import pairwise

from shared.errors import Rejected
from shared.reading.roles.columns import Profile, numbers_of
from shared.reading.safe_text import quoted
from shared.reading.texts import times
from shared.reading.texts.names import Hint, compact, is_unlikely_reading, speaks, words

_YEAR_S = 31_556_952
_FROM_S, _TO_S = 40 * _YEAR_S, 70 * _YEAR_S
"""2010 to 2040: where the time of a reading or of a device lies."""
_SINCE_1601_S = 11_644_473_600
_SINCE_0001_S = 62_135_596_800
_RANGES = tuple(
    ((_FROM_S + since_s) * per_second, (_TO_S + since_s) * per_second)
    for since_s, per_second in (
        (0, 1), (0, 1e3), (0, 1e6), (0, 1e9), (_SINCE_1601_S, 1e6), (_SINCE_1601_S, 1e7), (_SINCE_0001_S, 1e7),
    )
)  # fmt: skip
"""Epochs in s, ms, us, ns; WebKit's us and FILETIME's 100 ns since 1601; .NET's ticks since the year 1."""
_LEAST = 10_000_000
_SERIAL_FROM = 36_526
_DAYS = ((_SERIAL_FROM, 73_051), (730_486, 767_376), (2_451_545, 2_488_435))
"""2000 and 2100 in days since 1900, as Excel counts them; since the year 0 (MATLAB); Julian."""
_LARGE = 1e15
_COUNTS = re.compile(r"byte|bits|count|total|energ|packet|cycle|number|volume|counter|octets|wh$")
"""Names of numbers that may be as large as times in microseconds and finer."""
_DAY_S = 86_400
_SAYS_TIME = frozenset(
    [
        "at",
        "boot",
        "born",
        "calibrated",
        "changed",
        "date",
        "day",
        "epoch",
        "expiry",
        "installed",
        "last",
        "micros",
        "millis",
        "nanos",
        "next",
        "seconds",
        "seen",
        "since",
        "stamp",
        "start",
        "synced",
        "ticks",
        "time",
        "ts",
        "unix",
    ]
)
_NEAR_MS = 400 * _DAY_S * 1000


def are_stamps(profile: Profile, time: Profile | None) -> bool:
    """Whether all numbers of a column are times. `time`: of the rows."""
    numbers = numbers_of(profile).values
    first = next((value for value in numbers if not math.isnan(value)), 0.0)
    if first < _SERIAL_FROM:
        return False
    values = [value for value in numbers if not math.isnan(value)]
    low, high = min(values, default=0.0), max(values, default=0.0)
    if low < _LEAST:
        return are_serial_days(profile)
    if (
        speaks(profile.name)
        and not _SAYS_TIME & set(words(profile.name))
        and (high < _LARGE or _COUNTS.search(compact(profile.name)))
    ):
        return False
    if profile.hint.hint in (Hint.VALUE, Hint.AGGREGATE):
        return time is not None and _are_near(values, time)
    if are_datekeys(profile, values):
        return True
    if not are_epochs(low, high):
        return False
    if time is not None and not _follow(low, high, time) and not _SAYS_TIME & set(words(profile.name)):
        raise Rejected(
            f"{quoted(profile.name)} holds numbers of the size of times beside those in {quoted(time.name)}; "
            "set `ignore` or `measures` in INPUTS"
        )
    return True


def _follow(low: float, high: float, time: Profile) -> bool:
    """Whether numbers spread no more than the times of the rows, but for a day."""
    spread_ms = times.number_ms(high) - times.number_ms(low)
    try:
        ms = [item for item in times.parse(time.column.values).ms if not math.isnan(item)]
    except times.Ambiguous:
        return False
    return bool(ms) and spread_ms <= 2 * (max(ms) - min(ms)) + _DAY_S * 1000


def are_epochs(low: float, high: float) -> bool:
    return any(start <= low and high < end for start, end in _RANGES)


def are_datekeys(profile: Profile, values: Sequence[float]) -> bool:
    """Whether whole numbers are all dates such as 20260301 or 20260301060000."""
    return profile.integral and not any(math.isnan(times.datekey_ms(value)) for value in dict.fromkeys(values))


def are_serial_days(profile: Profile) -> bool:
    """Whether numbers are days since 1900."""
    values = [value for value in numbers_of(profile).values if not math.isnan(value)]
    if not values or speaks(profile.name):
        return False
    if not any(start <= min(values) and max(values) < end for start, end in _DAYS):
        return False
    if profile.hint.hint is Hint.TIME and profile.hint.rank <= 1:
        return True
    steps = [(right - left) * _DAY_S for left, right in pairwise(values)]
    if len(steps) < 2 or profile.integral or min(steps) < 0.5:
        return False
    second = round(steps[0])
    return all(abs(step - second) < 0.01 for step in steps)


def _are_near(values: Sequence[float], time: Profile) -> bool:
    """Whether numbers lie within about a year of the times of their rows."""
    try:
        ms = [item for item in times.parse(time.column.values[:64]).ms if not math.isnan(item)]
    except times.Ambiguous:
        return False
    own = [times.number_ms(value) for value in values]
    return bool(ms) and all(abs(item - ms[0]) < _NEAR_MS for item in own)


def the_time(profiles: Sequence[Profile]) -> Profile | None:
    """The only column of numbers that are times, in a table that has no other time; None where there are several."""
    stamped = [
        profile
        for profile in profiles
        if profile.kind == "number"
        and profile.column.origin == "cell"
        and profile.hint.hint in (Hint.PLAIN, Hint.CODE, Hint.TIME, Hint.INDEX, Hint.AXIS)
        and not is_unlikely_reading(profile.name)
        and are_stamps(profile, None)
        and not are_serial_days(profile)
        and times.parse(profile.column.values, datekeys=True).read > 0
    ]
    return stamped[0] if len(stamped) == 1 else None
