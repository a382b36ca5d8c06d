"""The notations of time that `datetime.fromisoformat` does not know. Pure.

Regular expressions without nested repetition, applied to texts of at most 80 characters. A general date parser
(python-dateutil) is not used: it guesses where this project has to refuse.
"""

import math
import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january januar janvier enero",
            "feb february februar février febrero",
            "mar march märz mär mrz mars marzo",
            "apr april avril abril",
            "may mai mayo",
            "jun june juni juin junio",
            "jul july juli juillet julio",
            "aug august août agosto",
            "sep sept september septembre septiembre",
            "oct october okt oktober octobre octubre",
            "nov november novembre noviembre",
            "dec december dez dezember décembre diciembre",
        ),
        1,
    )
    for name in names.split()
}
ZONES_MIN = {
    "z": 0, "utc": 0, "gmt": 0, "ut": 0, "wet": 0, "cet": 60, "cest": 120, "mez": 60, "mesz": 120, "eet": 120,
    "eest": 180, "msk": 180, "jst": 540, "est": -300, "edt": -240, "cst": -360, "cdt": -300, "mst": -420,
    "mdt": -360, "pst": -480, "pdt": -420,
}  # fmt: skip
"""Abbreviations of RFC 822, and those of Europe and Japan that have one meaning."""

_CLOCK = r"(?P<h>\d{1,2}):(?P<mi>\d{2})(?::(?P<s>\d{2})(?:[.,:](?P<f>\d{1,9}))?)?(?:\s?(?P<ap>[AaPp])\.?[Mm]\.?)?"
_ZONE = (
    r"(?:\s?(?P<z>Z|z|[A-Za-z]{2,4}|(?:UTC|GMT)?\s?[+-]\d{1,2}:?(?:\d{2})?(?::\d{2})?)"
    r"(?:\s?\([^)]{0,40}\)|\[[^\]]{0,40}\])?)?"
)
_TAIL = rf"(?:(?:T|t|,?\s+|\s+(?:at|um|à)\s+|_|:){_CLOCK}{_ZONE})?"
_SLASHED = re.compile(rf"(?P<a>\d{{1,2}})(?P<sep>[/-])(?P<b>\d{{1,2}})(?P=sep)(?P<y>\d{{4}}|\d{{2}}){_TAIL}")
_DOTTED = re.compile(rf"(?P<d>\d{{1,2}})\.\s?(?P<m>\d{{1,2}})\.\s?(?P<y>\d{{4}}|\d{{2}}){_TAIL}")
_YEAR_FIRST = re.compile(rf"(?P<y>\d{{4}})(?P<sep>[-/.])(?P<m>\d{{1,2}})(?P=sep)(?P<d>\d{{1,2}}){_TAIL}")
_NAMED = re.compile(
    rf"(?:[^\W\d_]{{2,10}}\.?,?\s+)?(?P<d>\d{{1,2}})(?:st|nd|rd|th|\.)?[\s-](?:of\s)?(?P<m>[^\W\d_]{{3,10}})\.?,?[\s-](?P<y>\d{{4}}|\d{{2}}){_TAIL}"
)
_NAMED_US = re.compile(
    rf"(?:[^\W\d_]{{2,10}}\.?,?\s+)?(?P<m>[^\W\d_]{{3,10}})\.?\s+(?P<d>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<y>\d{{4}}){_TAIL}"
)
_CTIME = re.compile(
    rf"[A-Za-z]{{3}},?\s+(?P<m>[A-Za-z]{{3}})\s+(?P<d>\d{{1,2}})\s+{_CLOCK}(?:\s+(?P<z>[A-Za-z]{{1,4}}|[+-]\d{{4}}))?\s+(?P<y>\d{{4}})"
)
_COMMON_LOG = re.compile(rf"(?P<d>\d{{1,2}})/(?P<m>[A-Za-z]{{3}})/(?P<y>\d{{4}}){_TAIL}")
_MICROSOFT = re.compile(r"\\?/?Date\((?P<ms>-?\d{1,17})(?P<z>[+-]\d{4})?\)\\?/?")
_GOOGLE = re.compile(
    r"(?:new\s)?Date\((\d{4}),\s?(\d{1,2})(?:,\s?(\d{1,2}))?(?:,\s?(\d{1,2}),\s?(\d{1,2}),\s?(\d{1,2})(?:,\s?(\d{1,3}))?)?\)"
)
_ORDINAL = re.compile(r"(?P<y>\d{4})-?(?P<n>\d{3})(?:[Tt ](?P<rest>.+))?")
_YEAR_MONTH = re.compile(r"(?P<y>\d{4})(?:[-/](?P<m>\d{2}))?")
_DIGITS_AND_CLOCK = re.compile(r"(\d{8})[:_ -](\d{2}):?(\d{2}):?(\d{2})?")
"""`20260301:0600`, as PVGIS writes it, and with seconds."""
_DIGITS = re.compile(r"\d{8}|\d{10}|\d{12}|\d{14}")
_ISO_FRACTION = re.compile(r"(.*[Tt ]\d{2}:?\d{2}(?::?\d{2})?)[.,](\d{1,12})(.*)")
_ISO_ZONE = re.compile(
    r"(.*\d)\s*(?:(Z|z)|\s(?:UTC|GMT|Z)|\s?(?:UTC|GMT)?([+-]\d{1,2}(?::?\d{2})?))?(?:\[[^\]]{1,40}\])?"
)
_GO_ZONE = re.compile(r"(.{19,29}\s[+-]\d{4})\s(?:[A-Z]{2,5}|[+-]\d{2,4})(?:\sm=[+-][\d.]{1,24})?")
"""Go's `Time.String()`: the zone's name behind its offset, and the monotonic clock."""
_DATE = re.compile(r"(\d{1,4})\s?([-/._ ])\s?(?:\d{1,2}|[^\W\d_]{3,9})\s?\2\s?(\d{1,4})(?!\d)")
_MONTH_YEAR = re.compile(r"(?P<m>[^\W\d_]{3,10})\.?[\s-](?P<y>\d{4})")
_RATIO_12 = 12


def read(text: str, *, day_first: bool | None) -> datetime | float | None:
    """A moment (naive without a zone), epoch milliseconds, or None. `day_first` rules `3/4/2026`; None refuses it."""
    if (match := _MICROSOFT.fullmatch(text)) is not None and "Date" in text:
        return float(match["ms"])
    if (match := _GOOGLE.fullmatch(text)) is not None:
        year, month, *rest = (int(part or 0) for part in match.groups())
        return _moment(year, month + 1, rest[0] or 1, *rest[1:4], rest[4] * 1000)
    if (match := _GO_ZONE.fullmatch(text)) is not None:
        text = match[1]
    if _DIGITS.fullmatch(text):
        ms = digits_ms(text)
        return None if math.isnan(ms) else ms
    if (match := _DIGITS_AND_CLOCK.fullmatch(text)) is not None:
        ms = digits_ms("".join(match.groups(default="")))
        return None if math.isnan(ms) else _naive(ms)
    if (match := _YEAR_MONTH.fullmatch(text)) is not None:
        return _moment(int(match["y"]), int(match["m"] or 1), 1)
    if (match := _MONTH_YEAR.fullmatch(text)) is not None:
        named = _MONTHS.get(match["m"].lower())
        return None if named is None else _moment(int(match["y"]), named, 1)
    iso = _iso(text)
    if iso is not None:
        return iso
    if (match := _SLASHED.fullmatch(text)) is not None:
        return None if day_first is None else _slashed(match, day_first=day_first)
    for pattern in (_DOTTED, _YEAR_FIRST, _NAMED, _NAMED_US, _CTIME, _COMMON_LOG):
        if (match := pattern.fullmatch(text)) is not None:
            return _from_match(match)
    return None


def digits_ms(text: str) -> float:
    """Epoch milliseconds of yyyymmdd, with hour, minute and second or without; NaN for no date. UTC."""
    parts = [int(text[:4]), int(text[4:6]), int(text[6:8]), *(int(text[at : at + 2]) for at in range(8, len(text), 2))]
    moment = _moment(*parts)
    return math.nan if moment is None else moment.replace(tzinfo=UTC).timestamp() * 1e3


def _naive(ms: float) -> datetime:
    return datetime.fromtimestamp(ms / 1e3, UTC).replace(tzinfo=None)


def day_and_month(text: str) -> tuple[int, int, bool] | None:
    """The two numbers of a date such as `3/4/2026`, and whether its clock has AM or PM; None for any other text."""
    match = _SLASHED.fullmatch(text.strip()) if len(text) <= 80 else None
    return None if match is None else (int(match["a"]), int(match["b"]), match["ap"] is not None)


def mask(text: str) -> str:
    """How a text is written, without what it says: digits as 9, letters as a."""
    return re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "9", text.strip()[:40]))


def has_date(text: str) -> bool:
    """Whether a text starts like a date: three parts with the same mark between them, a year or a clock among them."""
    match = _DATE.match(text.strip())
    if match is None:
        return False
    rest = text.strip()[match.end() :]
    year = 4 in (len(match[1]), len(match[3]))
    return rest[:1] not in (match[2], "%") and (year or re.search(r"\d{1,2}[:h.]\d{2}", rest) is not None)


def clock(text: str) -> timedelta | None:
    """A time of day alone, such as `06:00` or `6:00:00 AM`."""
    match = _clock_pattern().fullmatch(text.strip()) if len(text) <= 20 else None
    if match is None:
        return None
    parts = _clock_parts(match)
    return (
        None if parts is None else timedelta(hours=parts[0], minutes=parts[1], seconds=parts[2], microseconds=parts[3])
    )


def notation(text: str, *, day_first: bool | None) -> str:
    """A few words on how `text` is written."""
    text = text.strip()
    if day_and_month(text) is not None:
        return "dates with the day first" if day_first else "dates with the month first"
    if re.fullmatch(r"[+-]?[\d.]+([eE]\+?\d+)?", text):
        return "epoch or date as digits"
    if _iso(text) is not None or re.match(r"\d{4}-", text):
        return "ISO 8601"
    if "Date(" in text:
        return "Date(...) of JSON"
    return "dates with the day first" if _DOTTED.fullmatch(text) else "dates with the month's name"


@lru_cache(1)
def _clock_pattern() -> re.Pattern[str]:
    return re.compile(rf"{_CLOCK}(?P<z>Z)?")


def _iso(text: str) -> datetime | None:
    """ISO 8601 in the forms that `fromisoformat` refuses: lower case, long fractions, blanks, ordinals."""
    if not text[:4].isdigit():
        return None
    zone = _ISO_ZONE.fullmatch(text)
    if zone is None:
        return None
    body, suffix = zone[1], ""
    offset = zone[3]
    if len(body) <= 10 and offset:  # `2026-03-01` is no `2026-03` with an offset
        body, offset = text.split("[", maxsplit=1)[0], None
    elif len(text) > len(body):
        suffix = _iso_offset(offset) if offset else "+00:00"
    match = _ISO_FRACTION.fullmatch(body)
    if match is not None and not match[3]:
        body = f"{match[1]}.{match[2][:9]}"
    body = body.replace("t", "T")
    try:
        return datetime.fromisoformat(body + suffix)
    except ValueError:
        return _ordinal(body, suffix)


def _iso_offset(offset: str) -> str:
    digits = offset[1:].replace(":", "")
    if len(digits) <= 2:
        digits = f"{digits:0>2}00"
    return f"{offset[0]}{digits[:-2]:0>2}:{digits[-2:]}"


def _ordinal(body: str, suffix: str) -> datetime | None:
    match = _ORDINAL.fullmatch(body)
    if match is None or not 1 <= int(match["n"]) <= 366:
        return None
    try:
        day = datetime(int(match["y"]), 1, 1) + timedelta(days=int(match["n"]) - 1)  # noqa: DTZ001  # zone follows
        if day.year != int(match["y"]):
            return None
        return datetime.fromisoformat(f"{day:%Y-%m-%d}T{match['rest'] or '00:00'}{suffix}")
    except ValueError:
        return None


def _slashed(match: re.Match[str], *, day_first: bool) -> datetime | None:
    day, month = (match["a"], match["b"]) if day_first else (match["b"], match["a"])
    return _from_match(match, day=int(day), month=int(month))


def _from_match(match: re.Match[str], day: int | None = None, month: int | None = None) -> datetime | None:
    if month is None:
        name = match["m"]
        number = int(name) if name.isdigit() else _MONTHS.get(name.lower())
        if number is None:
            return None
        month = number
    year = int(match["y"])
    parts = _clock_parts(match) if match["h"] else (0, 0, 0, 0)
    if parts is None:
        return None
    zone_min = _zone_min(match["z"]) if match["z"] else None
    if match["z"] and zone_min is None:
        return None
    moment = _moment(year + 2000 if year < 100 else year, month, int(match["d"]) if day is None else day, *parts)
    if moment is None or zone_min is None:
        return moment
    return moment.replace(tzinfo=timezone(timedelta(minutes=zone_min)))


def _clock_parts(match: re.Match[str]) -> tuple[int, int, int, int] | None:
    """Hour, minute, second, microsecond; None for an hour that AM and PM do not have."""
    hour, meridiem = int(match["h"]), match["ap"]
    if meridiem:
        if not 1 <= hour <= _RATIO_12:
            return None
        hour = hour % _RATIO_12 + (_RATIO_12 if meridiem in "Pp" else 0)
    fraction = (match["f"] or "")[:6]
    return hour, int(match["mi"]), int(match["s"] or 0), int(f"{fraction:0<6}") if fraction else 0


def _zone_min(text: str) -> int | None:
    name = text.strip().lower()
    if name in ZONES_MIN:
        return ZONES_MIN[name]
    match = re.fullmatch(r"(?:utc|gmt)?\s?([+-])(\d{1,2}):?(\d{2})?(?::\d{2})?", name)
    if match is None:
        return None
    minutes = int(match[2]) * 60 + int(match[3] or 0)
    return None if minutes > 15 * 60 else (-minutes if match[1] == "-" else minutes)


def _moment(*parts: int) -> datetime | None:
    try:
        return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001  # a naive one gets the column's zone
    except (ValueError, OverflowError):
        return None
