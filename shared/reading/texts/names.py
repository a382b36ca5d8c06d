"""What a column's name says about its role. Pure; every answer is cached by name.

A name is evidence only: shared.reading.roles.roles looks at the values first and asks here second.
"""

import re
from enum import IntEnum
from functools import lru_cache

import msgspec

from shared.reading.texts import other_words, vocabulary
from shared.reading.texts.measured_words import measured, speaks
from shared.reading.texts.name_words import compact, words

__all__ = ["compact", "measured", "speaks", "words"]


class Hint(IntEnum):
    """What a name suggests."""

    PLAIN = 0
    TIME = 1
    CLOCK = 2
    IDENTIFIER = 3
    INDEX = 4
    UNIT = 5
    QUALITY = 6
    SENSOR = 7
    PLACE = 8
    LABEL = 9
    VALUE = 10
    AGGREGATE = 11
    CALENDAR = 12
    BOOKKEEPING = 13
    AXIS = 14
    NOTE = 15
    COORDINATE = 16
    CODE = 17


class NameHint(msgspec.Struct, frozen=True, gc=False):
    """`rank` orders columns with the same hint: the lowest is the best evidence."""

    hint: Hint
    rank: int = 0


_TIME_ENDINGS = ("timestamp", "datetime", "time", "date", "utc")
_ID_ENDINGS = ("id", "uuid", "guid", "uid", "pk")
_JOINED_ID = re.compile(
    r"(device|sensor|batch|tag|user|row|record|message|msg|event|node|station|site|asset|machine|meter|equipment|gateway|point|"
    r"channel|object|parent|run|job|task|request|trace|session|tenant|customer|plant|unit|reading|measurement|series|metric|signal|"
    r"stream|item|entity|parameter|group|statement|sample|lot|order|location|area|line|tank|sub|source|primary|foreign|external|data)"
    r"_?(id|uid|uuid|guid|pk)"
)


_QUALITY_ENDINGS = ("quality", "status", "flag", "valid", "qc", "alarm", "ok", "good", "bad", "fault", "invalid")
_END = re.compile(r"(?:end|stop|until)(?:time|date|ts|stamp|utc|gmt)")
_TIME_UNITS = (
    "s",
    "sec",
    "secs",
    "second",
    "seconds",
    "ms",
    "msec",
    "millis",
    "milliseconds",
    "us",
    "micros",
    "ns",
    "nanos",
    "gmt",
)


@lru_cache(4096)
def hint(name: str) -> NameHint:
    """What a name suggests when nothing is known about the values."""
    joined, parts = compact(name), words(name)
    lowered = name.lower()
    if not parts:
        return NameHint(Hint.INDEX) if lowered in ("", "#", "№") else NameHint(Hint.PLAIN)
    if lowered in ("_measurement", "_field", "__name__"):
        return NameHint(Hint.LABEL, {"_measurement": 2, "_field": 0, "__name__": 0}[lowered])
    if lowered in ("__v", "_v") or joined in vocabulary.NEVER_MEASURES:
        return NameHint(Hint.BOOKKEEPING)
    if joined in vocabulary.COORDINATES or parts[-1] in ("lat", "lng", "latitude", "longitude"):
        return NameHint(Hint.COORDINATE, int(joined in vocabulary.HEIGHTS))
    if states_zone(name):
        return NameHint(Hint.NOTE)
    if joined in vocabulary.TIMES:
        return NameHint(Hint.TIME, vocabulary.TIMES[joined])
    for names, role in (
        (vocabulary.UNITS, Hint.UNIT),
        (vocabulary.QUALITIES, Hint.QUALITY),
        (vocabulary.INDEXES, Hint.INDEX),
        (vocabulary.VALUES, Hint.VALUE),
        (vocabulary.AGGREGATES, Hint.AGGREGATE),
        (vocabulary.CALENDAR, Hint.CALENDAR),
        (vocabulary.BOOKKEEPING, Hint.BOOKKEEPING),
    ):
        if joined in names:
            return NameHint(role, int(role is Hint.BOOKKEEPING))
    if len(parts) > 1 and set(parts) <= vocabulary.VALUE_WORDS and set(parts) & {"value", "val", "v"}:
        return NameHint(Hint.VALUE)
    if joined in vocabulary.LABELS:
        return NameHint(Hint.LABEL, vocabulary.LABELS[joined])
    if joined in vocabulary.NOTES:
        return NameHint(Hint.NOTE)
    return _hint_by_words(joined, parts)


def _hint_by_words(joined: str, parts: tuple[str, ...]) -> NameHint:
    last = parts[-1]
    if set(parts) <= vocabulary.SENSOR_WORDS | vocabulary.QUALIFIERS and set(parts) & vocabulary.SENSOR_WORDS:
        return NameHint(Hint.SENSOR, 0 if last in ("id", "name", "key") or len(parts) == 1 else 1)
    if joined in vocabulary.IDENTIFIERS or (len(parts) > 1 and last in _ID_ENDINGS) or _JOINED_ID.fullmatch(joined):
        stem = _JOINED_ID.fullmatch(joined)
        if stem and stem[1] in vocabulary.SENSOR_WORDS:
            return NameHint(Hint.SENSOR, 0)
        return NameHint(Hint.IDENTIFIER)
    if len(parts) > 1 and last == "index" and any(map(speaks, parts[:-1])):
        return NameHint(Hint.PLAIN)  # of ultraviolet light, of heat
    if len(parts) > 1 and last in ("number", "no", "nr", "num", "index", "idx", "seq", "sequence"):
        return NameHint(Hint.INDEX, 1)
    if set(parts) <= vocabulary.PLACE_WORDS | vocabulary.QUALIFIERS and set(parts) & vocabulary.PLACE_WORDS:
        return NameHint(Hint.PLACE, 0 if last in ("name", "id") or len(parts) == 1 else 1)
    if last in ("unit", "units", "uom"):
        return NameHint(Hint.UNIT, 1)
    if parts[0] in ("qc", "quality", "flag", "qf") and len(parts) > 1:
        return NameHint(Hint.QUALITY, 1)
    if last in _QUALITY_ENDINGS and len(parts) > 1:
        return NameHint(Hint.QUALITY, 1)
    if len(parts) > 1 and _ends_like_time(parts):
        return NameHint(Hint.TIME, _time_rank(joined, set(parts)))
    if parts[0] in ("timestamp", "datetime", "date", "time") and len(parts) <= 3:
        return NameHint(Hint.TIME, 1)
    if last in ("version", "firmware"):
        return NameHint(Hint.BOOKKEEPING)
    return NameHint(Hint.CODE) if is_code(joined, parts) else NameHint(Hint.PLAIN)


def _ends_like_time(parts: tuple[str, ...]) -> bool:
    last = parts[-1]
    if last in _TIME_ENDINGS or last in ("stamp", "ts") or (last == "at" and len(parts) == 2):
        return True
    return last in _TIME_UNITS and parts[0] not in _TIME_ENDINGS and parts[-2].endswith(_TIME_ENDINGS[:4])


def _time_rank(joined: str, parts: set[str]) -> int:
    """How good a time is by its words: a start before an arrival or a change, and these before an end."""
    if _END.search(joined) or parts & {"end", "ending", "stop", "until", "to", "finish", "finished"}:
        return 4
    changed = parts & {
        "display",
        "updated",
        "update",
        "modified",
        "changed",
        "received",
        "ingested",
        "stored",
        "synced",
        "processed",
        "seen",
    }
    return 3 if changed or joined in vocabulary.NEVER_TIMES else 2


def is_code(joined: str, parts: tuple[str, ...]) -> bool:
    """Whether whole numbers under a name say which order, machine, place or kind."""
    last = parts[-1]
    if (
        joined in other_words.CODES
        or last in other_words.ENTITIES
        or (len(parts) > 1 and last in ("code", "type", "nbr", "kode", "codigo", "key"))
    ):
        return True
    if len(parts) > 1 and parts[0] in ("code", "codigo"):
        return True
    return len(last) > 4 and last.endswith(other_words.CODE_ENDINGS)


@lru_cache(4096)
def is_clock(name: str) -> bool:
    """Whether the name can be that of a time of day."""
    return compact(name) in vocabulary.CLOCKS or words(name)[-1:] in (("time",), ("hour",))


@lru_cache(4096)
def is_axis(name: str) -> bool:
    """Whether the name can be that of a numeric or named axis."""
    return compact(name) in vocabulary.AXES


@lru_cache(4096)
def is_container(name: str) -> bool:
    """Whether a member of this name only wraps measurements, so that it adds nothing to their names."""
    return compact(name) in vocabulary.GENERIC_CONTAINERS


@lru_cache(4096)
def holds_measurements(name: str) -> bool:
    """Whether numbers beside a member of this name describe the message, not what was measured."""
    return compact(name) in vocabulary.MEASUREMENT_CONTAINERS


@lru_cache(4096)
def is_aside(name: str) -> bool:
    """Whether a member of this name usually stands beside the data: summaries, links, layout."""
    return compact(name) in vocabulary.ASIDES


@lru_cache(4096)
def describes(name: str) -> bool:
    """Whether a member of this name describes a device, a place or a drawing, so that its numbers are no measures."""
    parts = words(name)
    return compact(name) in vocabulary.DESCRIPTIONS or parts[-1:] in (
        ("style",),
        ("ids",),
        ("id",),
        ("info",),
        ("options",),
    )


@lru_cache(4096)
def is_geometry(name: str) -> bool:
    """Whether lists in a member of this name are places on the earth."""
    return compact(name) in vocabulary.GEOMETRIES


@lru_cache(4096)
def is_envelope(name: str) -> bool:
    """Whether a member of this name is about the message, the session or an error, so that it holds no measurement."""
    return compact(name) in vocabulary.ENVELOPES


@lru_cache(4096)
def is_limit(name: str) -> bool:
    """Whether a name is that of a limit or a set point."""
    parts = words(name)
    if (
        compact(name) in other_words.LIMITS
        or set(parts) & other_words.LIMIT_WORDS
        or parts[-1:] in (("sp",), ("soll",))
    ):
        return True
    return len(parts) > 1 and bool(set(parts) & other_words.ALARM_WORDS) and bool(set(parts) & other_words.BOUND_WORDS)


@lru_cache(4096)
def states_zone(name: str) -> bool:
    """Whether a member of this name states the zone of times, also numbered as in `6. Time Zone`."""
    joined = compact(name).lstrip("0123456789")
    if "offset" in words(name) and {"tz", "timezone", "utc", "gmt", "zone"} & set(words(name)):
        return True
    if words(name)[-1:] in (("tz",), ("timezone",)) or words(name)[-2:] == ("time", "zone"):
        return True
    return joined in other_words.ZONES or joined in other_words.OFFSETS or joined == "timezoneoffset"


@lru_cache(4096)
def is_style(name: str) -> bool:
    """Whether a member of this name styles a drawing, where it stands beside the values that are drawn."""
    parts = words(name)
    return compact(name) in other_words.STYLES or parts[-1:] in tuple((word,) for word in other_words.STYLE_ENDINGS)


@lru_cache(4096)
def is_unlikely_reading(name: str, *, timed: bool = True) -> bool:
    """Whether a number under this name in an object of its own belongs to a cart, a job, a setting or a process."""
    joined = compact(name)
    if joined in other_words.NO_READINGS or (not timed and joined in other_words.UNTIMED_NO_READINGS):
        return True
    if set(words(name)) & other_words.COMMERCE:
        return True
    return hint(name).hint is Hint.CODE or is_limit(name)


@lru_cache(1024)
def is_plain_measure(name: str) -> bool:
    """Whether no rule would take a column of numbers with this name for anything but a measurement."""
    return hint(name).hint is Hint.PLAIN and "[" not in name and "@" not in name and speaks(name) and not is_limit(name)
