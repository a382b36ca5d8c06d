"""The readings that the parts of `times` write, and their theme."""

import datetime as dt
import email.utils
import time
from collections.abc import Callable
from typing import Any

import pandas as pd
from kit import Theme, epoch_ms, iso, lib, wave

theme = Theme("times")

PYTHON = "Python 3.13"

CET = dt.timezone(dt.timedelta(hours=1))


def values(count: int = 24) -> dict[str, list[float]]:
    return {"flow.m3h": wave(count, 31.5, 4.2, 0.5), "pH": wave(count, 7.4, 0.3, 2)}


def ms_text(moment: pd.Timestamp) -> str:
    return str(epoch_ms(moment))


FORMS: list[tuple[str, str, str, Callable[[pd.Timestamp], Any]]] = [
    ("iso with offset", f"{PYTHON} datetime.isoformat", "Time", lambda m: m.tz_convert(CET).isoformat()),
    (
        "iso with offset without colon",
        f"{PYTHON} strftime %z",
        "timestamp",
        lambda m: m.tz_convert(CET).strftime("%Y-%m-%dT%H:%M:%S%z"),
    ),
    ("iso basic", "ISO 8601 basic format", "dt", lambda m: m.strftime("%Y%m%dT%H%M%SZ")),
    (
        "iso without seconds",
        "Open-Meteo API documentation, hourly.time",
        "time",
        lambda m: m.strftime("%Y-%m-%dT%H:%M"),
    ),
    (
        "iso without zone, us",
        f"{PYTHON} datetime.utcnow().isoformat",
        "recorded_at",
        lambda m: (m + pd.Timedelta(microseconds=123456)).strftime("%Y-%m-%dT%H:%M:%S.%f"),
    ),
    ("iso with 7 digits", ".NET DateTime round-trip format O", "TimeStamp", lambda m: iso(m, 7)),
    ("iso with 9 digits", "Go time.RFC3339Nano", "ts", lambda m: iso(m, 9)),
    ("iso lower case", "RFC 3339 section 5.6, lower-case t and z", "datetime", lambda m: iso(m).lower()),
    ("iso with decimal comma", "ISO 8601 decimal sign", "Zeitstempel", lambda m: m.strftime("%Y-%m-%dT%H:%M:%S,000Z")),
    ("space and offset", f"{lib('pandas')} str(Timestamp)", "DATETIME", str),
    (
        "space and short offset",
        "PostgreSQL timestamptz output",
        "observed_at",
        lambda m: m.strftime("%Y-%m-%d %H:%M:%S") + "+00",
    ),
    ("space and UTC", "Ruby Time#to_s, BigQuery TIMESTAMP text", "time", lambda m: m.strftime("%Y-%m-%d %H:%M:%S UTC")),
    ("Go time.String", "Go time.Time.String", "Timestamp", lambda m: m.strftime("%Y-%m-%d %H:%M:%S +0000 UTC")),
    ("slashes, year first", "R format.POSIXct", "date_time", lambda m: m.strftime("%Y/%m/%d %H:%M:%S")),
    (
        "rfc 1123",
        f"{PYTHON} email.utils.format_datetime",
        "date",
        lambda m: email.utils.format_datetime(m.to_pydatetime(), usegmt=True),
    ),
    (
        "rfc 2822 with offset",
        f"{PYTHON} email.utils.format_datetime",
        "Date",
        lambda m: email.utils.format_datetime(m.to_pydatetime().astimezone(CET)),
    ),
    (
        "JavaScript Date.toString",
        "ECMAScript Date.prototype.toString",
        "time",
        lambda m: m.strftime("%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)"),
    ),
    ("asctime", f"{PYTHON} time.asctime", "timestamp", lambda m: time.asctime(m.timetuple())),
    (
        "month first, AM / PM",
        "en-US Date.toLocaleString",
        "Date/Time",
        lambda m: f"{m.month}/{m.day}/{m.year}, {m.strftime('%I').lstrip('0')}:{m.strftime('%M:%S %p')}",
    ),
    (
        "month name, 12 hours",
        "Intl.DateTimeFormat en-US medium",
        "time",
        lambda m: f"{m.strftime('%b')} {m.day}, {m.year}, {m.strftime('%I').lstrip('0')}:{m.strftime('%M:%S %p')}",
    ),
    ("day-month name-year", "Oracle and PI time text", "Timestamp", lambda m: m.strftime("%d-%b-%Y %H:%M:%S")),
    ("epoch s", f"{PYTHON} int(time.time())", "t", lambda m: epoch_ms(m) // 1000),
    ("epoch s with fraction", f"{PYTHON} time.time", "ts", lambda m: epoch_ms(m) / 1000 + 0.25),
    ("epoch ms", "JavaScript Date.now", "createdAt", epoch_ms),
    ("epoch ms as text", "SQL bigint through node-postgres", "time_ms", ms_text),
    ("epoch s as text", "InfluxDB epoch=s through a string column", "Epoch", lambda m: str(epoch_ms(m) // 1000)),
    ("epoch s with fraction as text", f"{PYTHON} str(time.time())", "timestamp", lambda m: f"{epoch_ms(m) / 1000:.6f}"),
    ("epoch us", "Java ChronoUnit.MICROS", "ts_us", lambda m: epoch_ms(m) * 1000),
    ("epoch ns as text", "InfluxDB line protocol time", "timestamp", lambda m: str(epoch_ms(m) * 1_000_000)),
    ("epoch s as a float that is whole", "Lua os.time through cjson", "when", lambda m: float(epoch_ms(m) // 1000)),
    (
        "microsoft with offset",
        "JavaScriptSerializer /Date(ms+zone)/",
        "ReadingTime",
        lambda m: f"/Date({epoch_ms(m)}+0000)/",
    ),
    ("mongo $date text", "MongoDB Extended JSON v2, relaxed", "at", lambda m: {"$date": iso(m)}),
    (
        "mongo $date $numberLong",
        "MongoDB Extended JSON v2, canonical",
        "at",
        lambda m: {"$date": {"$numberLong": ms_text(m)}},
    ),
    (
        "firestore timestamp",
        "Firestore Timestamp toJSON",
        "createdAt",
        lambda m: {"_seconds": epoch_ms(m) // 1000, "_nanoseconds": 0},
    ),
    (
        "protobuf timestamp",
        "google.protobuf.Timestamp as object",
        "time",
        lambda m: {"seconds": epoch_ms(m) // 1000, "nanos": 0},
    ),
]
