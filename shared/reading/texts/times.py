"""A column of times as its writer wrote them, read as epoch milliseconds. Pure.

The notation is decided for the column as a whole, so that `03/04/2026` is read the same way in each row, and is refused
when nothing in the column tells the day from the month. Sub-millisecond parts are rounded to the nearest millisecond,
halves to even.
"""

import math
import re
from array import array
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo
from itertools import repeat
from typing import cast

import msgspec

from shared.errors import Rejected

MAX_TEXT_CHARS = 80
"""Longer texts are no times."""
MAX_TIME_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""
EPOCH_FROM_S, EPOCH_TO_S = 978_307_200, 4_133_980_800
"""2001-01-01 and 2101-01-01: a number is a plausible time between them."""

_SCALES = ((1, 1e3), (1_000, 1.0), (1_000_000, 1e-3), (1_000_000_000, 1e-6))
"""Units per second, and milliseconds per unit; their plausible ranges do not overlap."""
_HOUR_KEY_FROM, _HOUR_KEY_TO = 2_001_010_100, 2_041_010_100
_TICKS_FROM, _TICKS_TO = 631_139_040_000_000_000, 662_695_776_000_000_000
"""2001 and 2101 in .NET ticks: 100 ns since the year 1."""
_TICKS_AT_EPOCH = 621_355_968_000_000_000
_FILETIME_AT_EPOCH = 116_444_736_000_000_000
_FILETIME_FROM, _FILETIME_TO = 126_227_808_000_000_000, 157_784_544_000_000_000
"""2001 and 2101 in 100 ns since the year 1601, as Windows counts them."""
_NUMBER_TEXT = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{0,20})?|[0-9](\.[0-9]+)?[eE]\+?[0-9]{1,2}")
_DIGITS = re.compile(r"\d\D*\d\D*\d\D*\d")
_CLOCK = re.compile(
    r"([^:]{6,40}[ T])(\d{1,2}):([0-5]\d):([0-5]\d)(\s?[AaPp][Mm])?(\s?(?:GMT|UTC|Z|[+-]\d\d:?\d\d)?)", re.ASCII
)
_JAVASCRIPT_LINE = b"0000-00-00T00:00:00.000Z\n"
_SECONDS_LINE = b"0000-00-00T00:00:00Z\n"
_DIGITS_AS_ZERO = bytes.maketrans(b"123456789", b"000000000")
_NAN = math.nan


class Times(msgspec.Struct, frozen=True, gc=False):
    """`ms[i]` is the epoch time of item i, NaN where it is none. `notation` says how the column was read."""

    ms: array[float]
    notation: str
    read: int


class Ambiguous(Rejected):
    """The day cannot be told from the month in any row of a column."""


def number_ms(number: float) -> float:
    """Epoch milliseconds of a number in s, ms, us or ns (or .NET ticks); NaN outside the years 2001 to 2100."""
    if is_hour_key(number):
        return datekey_ms(number)
    for per_second, to_ms in _SCALES:
        if EPOCH_FROM_S * per_second <= number < EPOCH_TO_S * per_second:
            return number * 1e3 if per_second == 1 else number * to_ms
    if _TICKS_FROM <= number < _TICKS_TO:
        return (number - _TICKS_AT_EPOCH) / 1e4
    if _FILETIME_FROM <= number < _FILETIME_TO:
        return (number - _FILETIME_AT_EPOCH) / 1e4
    return _NAN


def is_hour_key(number: float) -> bool:
    """Whether a number is a date with its hour, 2026030106: as seconds, it would be a time from 2033 to 2034."""
    return _HOUR_KEY_FROM <= number < _HOUR_KEY_TO and not math.isnan(datekey_ms(number))


def is_epoch(number: float) -> bool:
    """Whether a number is a plausible time."""
    return not math.isnan(number_ms(number))


def datekey_ms(number: float) -> float:
    """Epoch milliseconds of a number such as 20260301, 202603010600 or 20260301060000; NaN for any other."""
    from shared.reading.texts import time_formats

    if not 0 < number < 1e14 or number != int(number):
        return _NAN
    text = str(int(number))
    if len(text) not in (8, 10, 12, 14) or not "2001" <= text[:4] <= "2100":
        return _NAN
    return time_formats.digits_ms(text)


def looks_like_time(value: object) -> bool:
    """Whether one value alone could be a time: a text in any known notation or a plausible epoch."""
    if type(value) is str:
        return len(value) <= MAX_TEXT_CHARS and not (
            math.isnan(_text_ms(value, None, day_first=True)) and math.isnan(_text_ms(value, None, day_first=False))
        )
    if type(value) is int or type(value) is float:
        return is_epoch(value)
    return isinstance(value, datetime)


def is_date_text(value: object) -> bool:
    """Whether a text is a time that is no plain number."""
    return type(value) is str and not _NUMBER_TEXT.fullmatch(value.strip()) and looks_like_time(value)


def parse(
    values: Sequence[object], *, zone: tzinfo | None = None, day_first: bool | None = None, datekeys: bool = False
) -> Times:
    """The times of a column.

    zone: of texts without one; None is UTC. day_first: what `03/04/2026` is; None asks the column.
    datekeys: whether numbers such as 20260301 count.
    Raises Ambiguous when the day cannot be told from the month.
    """
    kinds = set(map(type, values))
    if kinds == {str}:
        fast = javascript(cast("Sequence[str]", values))
        if fast is not None:
            return Times(fast, "ISO 8601", len(fast))
    if kinds <= {int, float}:
        return _numbers(cast("Sequence[float]", values), datekeys=datekeys)
    if str in kinds and day_first is None:
        day_first = _day_first(values)
    texts = _Texts(zone, day_first)
    ms = array("d", bytes(8 * len(values)))
    for index, value in enumerate(values):
        if type(value) is str:
            ms[index] = texts.ms(value)
        elif type(value) is int or type(value) is float:
            ms[index] = _rounded(_any_number(value, datekeys=datekeys))
        else:
            ms[index] = _moment_ms(value, zone) if isinstance(value, datetime) else _NAN
    read = sum(1 for item in ms if not math.isnan(item))
    return Times(ms, _notation(values, kinds, day_first), read)


class _Texts:
    """The texts of one column. Those that differ only in their clock share the date, which is read once."""

    def __init__(self, zone: tzinfo | None, day_first: bool | None) -> None:
        self.zone, self.day_first = zone, day_first
        self.whole: dict[str, float] = {}
        self.dates: dict[tuple[str, str, str], float] = {}

    def ms(self, text: str) -> float:
        match = _CLOCK.fullmatch(text) if self.zone is None and len(text) <= MAX_TEXT_CHARS else None
        if match is None:
            known = self.whole.get(text)
            if known is None:
                known = self.whole[text] = _text_ms(text, self.zone, day_first=self.day_first)
            return known
        date, hour_text, minute, second, meridiem, rest = match.groups(default="")
        hour = int(hour_text)
        if meridiem:
            if not 1 <= hour <= 12:
                return _NAN
            hour %= 12
        key = date, meridiem, rest
        start = self.dates.get(key)
        if start is None:
            midnight = f"12:00:00{meridiem}" if meridiem else "00:00:00"
            start = self.dates[key] = _text_ms(f"{date}{midnight}{rest}", None, day_first=self.day_first)
        if hour > 23 or math.isnan(start):
            return _text_ms(text, None, day_first=self.day_first)
        return start + ((hour * 60 + int(minute)) * 60 + int(second)) * 1000


def _numbers(values: Sequence[float], *, datekeys: bool) -> Times:
    """Numbers alone. The unit of the first is tried for all at once."""
    first = values[0] if values else _NAN
    for per_second, to_ms in _SCALES:
        low, high = EPOCH_FROM_S * per_second, EPOCH_TO_S * per_second
        if is_hour_key(first):
            break
        if low <= first < high and low <= min(values) and max(values) < high:
            ms = array("d", [round(value * to_ms) for value in values] if to_ms != 1.0 else map(round, values))
            unit = {1: "s", 1_000: "ms", 1_000_000: "us", 1_000_000_000: "ns"}[per_second]
            return Times(ms, f"epoch {unit}", len(ms))
    ms = array("d", [_rounded(_any_number(value, datekeys=datekeys)) for value in values])
    read = sum(1 for item in ms if not math.isnan(item))
    return Times(ms, "dates as numbers" if not is_epoch(first) and read else "epoch", read)


def _any_number(value: float, *, datekeys: bool) -> float:
    try:
        number = float(value)
    except OverflowError:
        return _NAN
    ms = number_ms(value if type(value) is int else number)
    return datekey_ms(number) if datekeys and math.isnan(ms) else ms


def _rounded(ms: float) -> float:
    return float(round(ms)) if not math.isnan(ms) else ms


def _notation(values: Sequence[object], kinds: set[type], day_first: bool | None) -> str:
    from shared.reading.texts import time_formats

    if str not in kinds:
        return "epoch"
    sample = next((value for value in values if type(value) is str), "")
    return time_formats.notation(sample, day_first=day_first)


def _text_ms(text: str, zone: tzinfo | None, *, day_first: bool | None) -> float:
    """NaN where the text is no time of 1970 to 9999."""
    if not 4 <= len(text) <= MAX_TEXT_CHARS or _DIGITS.search(text) is None:
        return _NAN
    if text[4:5] == "-" and text[10:11] in ("T", " ", ""):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            pass
        else:
            return _in_range(_moment_ms(moment, zone))
    if not text.isascii() and any(mark.isdigit() and not mark.isascii() for mark in text):
        return _NAN
    text = text.strip()
    if _NUMBER_TEXT.fullmatch(text) and len(text) not in (4, 8, 10, 12, 14):
        return _rounded(number_ms(_exact(text)))
    if _NUMBER_TEXT.fullmatch(text):
        ms = _rounded(number_ms(_exact(text)))
        if not math.isnan(ms):
            return ms
    from shared.reading.texts import time_formats  # its patterns cost import time

    moment_or_ms = time_formats.read(text, day_first=day_first)
    if moment_or_ms is None:
        return _NAN
    if isinstance(moment_or_ms, datetime):
        return _in_range(_moment_ms(moment_or_ms, zone))
    return _in_range(moment_or_ms)


def _exact(text: str) -> float:
    return int(text) if text.isdecimal() and text.isascii() else float(text)


def _moment_ms(moment: datetime, zone: tzinfo | None) -> float:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone or UTC)
    try:
        return float(round(moment.timestamp() * 1e3))
    except (OverflowError, ValueError):
        return _NAN


def _in_range(ms: float) -> float:
    return ms if 0 <= ms <= MAX_TIME_MS else _NAN


def _day_first(values: Sequence[object]) -> bool | None:
    """Whether dates such as `3/4/2026` start with the day, as the column proves; None if it has no such dates.

    Proof: a number above 12 in one place in some row; or a clock with AM and PM (United States). Raises Ambiguous
    without proof.
    """
    from shared.reading.texts import time_formats

    pairs = {pair for value in values if type(value) is str and (pair := time_formats.day_and_month(value)) is not None}
    if not pairs:
        return None
    first_is_day = any(first > 12 for first, _, _ in pairs)
    second_is_day = any(second > 12 for _, second, _ in pairs)
    if first_is_day and second_is_day:
        raise Ambiguous("dates with the day first and others with the month first")
    if first_is_day or second_is_day:
        return first_is_day
    if any(has_meridiem for _, _, has_meridiem in pairs):
        return False
    if all(first == second for first, second, _ in pairs):
        return True  # the same date either way
    raise Ambiguous("dates that could start with the month or with the day")


def javascript(values: Sequence[str]) -> "array[float] | None":
    """The times where every item is as JavaScript's `toISOString` writes it, also without milliseconds; else None."""
    if len(values) < 64:
        return _javascript_few(values)
    import numpy as np

    line = _JAVASCRIPT_LINE if len(values[0]) == 24 else _SECONDS_LINE
    try:
        lines = ("\n".join(values) + "\n").encode("ascii")
        # No item can hold a line break: there are as many of them as items, and they stand behind each.
        if len(lines) != len(line) * len(values) or lines.translate(_DIGITS_AS_ZERO) != line * len(values):
            return None
        texts = np.ndarray(len(values), f"S{len(line) - 2}", lines, strides=len(line))  # numpy knows no Z
        ms = texts.astype("datetime64[ms]").astype(np.float64)
    except (TypeError, ValueError):  # not ASCII, or a thirteenth month: each item is read on its own
        return None
    if not ((ms >= 0) & (ms <= MAX_TIME_MS)).all():
        return None
    return array("d", ms.tobytes())


def _javascript_few(values: Sequence[str]) -> "array[float] | None":
    if set(map(len, values)) > {20, 24} or not all(map(str.endswith, values, repeat("Z"))):
        return None
    read: Callable[[str], datetime] = datetime.fromisoformat
    try:
        ms = array("d", [float(round(moment.timestamp() * 1e3)) for moment in map(read, values)])
    except (ValueError, OverflowError):
        return None
    return ms if min(ms) >= 0 and max(ms) <= MAX_TIME_MS else None
