"""One table in every form of time that libraries write."""

import datetime as dt
import email.utils
import json
import time
from collections.abc import Callable
from typing import Any

import pandas as pd
from kit import Theme, Truth, epoch_ms, iso, lib, rows, table, timeless, times, wave, wide

PYTHON = "Python 3.13"
CET = dt.timezone(dt.timedelta(hours=1))


def values(count: int = 24) -> dict[str, list[float]]:
    return {"flow.m3h": wave(count, 31.5, 4.2, 0.5), "pH": wave(count, 7.4, 0.3, 2)}


def ms_text(moment: pd.Timestamp) -> str:
    return str(epoch_ms(moment))


# name, source, name of the column, form of the time
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


def forms(theme: Theme) -> None:
    for position, (name, source, column, form) in enumerate(FORMS):
        frame = table(values(), start="2026-03-14T10:30:00Z", step_s=300, time=column)
        shift = {"iso without zone, us": 123, "epoch s with fraction": 250}.get(name, 0)
        truth = wide(frame.assign(**{column: frame[column] + pd.Timedelta(milliseconds=shift)}), column)
        payload = [
            {column: form(pd.Timestamp(row[column])), "flow.m3h": row["flow.m3h"], "pH": row["pH"]}
            for row in frame.to_dict("records")
        ]
        theme.add("cb" if position % 6 == 0 else "c", name, source, json.dumps(payload), truth)


def noon_to_midnight(theme: Theme) -> None:
    frame = table({"temp": wave(30, 19, 2)}, start="2026-02-13T09:00:00Z", step_s=3600)
    theme.add(
        "c",
        "month first, 12 hours over noon and midnight",
        "SQL Server style 22, en-US",
        [{"When": row.ts.strftime("%m/%d/%Y %I:%M:%S %p"), "temp": row.temp} for row in frame.itertuples()],
        wide(frame),
    )
    german = [{"Zeit": row.ts.strftime("%d.%m.%Y %H:%M"), "temp": row.temp} for row in frame.itertuples()]
    theme.add("c", "day first with dots, days over 12", "de-DE spreadsheet export", german, wide(frame))
    british = "time,temp\n" + "".join(
        f"{row.ts.strftime('%d/%m/%Y %H:%M:%S')},{row.temp}\n" for row in frame.itertuples()
    )
    theme.add(
        "cb",
        "day first with slashes, days over 12, csv",
        "en-GB spreadsheet export",
        british,
        wide(frame),
        pandas={"call": "read_csv", "time": "time", "dayfirst": True},
    )
    ambiguous = table({"temp": wave(6, 19, 2)}, start="2026-02-03T09:00:00Z", step_s=3600)
    text = [{"time": row.ts.strftime("%d/%m/%Y %H:%M"), "temp": row.temp} for row in ambiguous.itertuples()]
    theme.add(
        "c",
        "day or month first cannot be told",
        "spreadsheet export",
        text,
        None,
        refuse="",
        doubt="02/03: both orders are plausible, so no answer is sure. A reader may also read month first.",
    )
    theme.add(
        "b",
        "day or month first cannot be told",
        "spreadsheet export",
        text,
        wide(ambiguous),
        or_refuse=True,
        doubt="The figures of a batch do not depend on the order of day and month.",
    )


def dates(theme: Theme) -> None:
    daily = table(
        {"CO2 [ppm]": wave(31, 415, 9), "rain_mm": wave(31, 4, 3)}, start="2026-01-05T00:00:00Z", step_s=86400
    )
    truth = wide(daily)
    for name, form, kinds in (
        ("dates", "%Y-%m-%d", "bc"),
        ("datekeys as text", "%Y%m%d", "c"),
        ("dates, day-month name-year", "%d %B %Y", "c"),
    ):
        theme.add(
            kinds,
            f"daily: {name}",
            f"{PYTHON} strftime {form}",
            rows(daily, form=lambda moment, form=form: moment.strftime(form)),
            truth,
        )
    theme.add(
        "b",
        "daily: datekeys as numbers",
        "date dimension of a star schema",
        rows(daily, form=lambda moment: int(moment.strftime("%Y%m%d"))),
        truth,
    )
    months = pd.date_range("2025-01-01", periods=14, freq="MS", tz="UTC")
    monthly = pd.DataFrame({"ts": months, "energy_kWh": wave(14, 8200, 900, digits=0)})
    theme.add(
        "c",
        "monthly: year and month",
        "SQL to_char 'YYYY-MM'",
        rows(monthly, form=lambda moment: moment.strftime("%Y-%m")),
        wide(monthly),
        alt=[timeless(wide(monthly))],
        doubt="A month as text may also be a category.",
    )
    theme.add(
        "c",
        "date and time columns",
        "data logger export",
        [
            {"Date": row.ts.strftime("%Y-%m-%d"), "Time": row.ts.strftime("%H:%M:%S"), "Level": row.level}
            for row in table({"level": wave(24, 3.1, 0.4)}).itertuples()
        ],
        {"Level": wide(table({"level": wave(24, 3.1, 0.4)}))["level"]},
    )
    split = table({"TEMP": wave(20, 22, 2), "RH": wave(20, 51, 6)}, start="2026-04-20T21:30:00Z", step_s=1800)
    lines = "DATE;TIME;TEMP;RH\n" + "".join(
        f"{row.ts.strftime('%d.%m.%Y')};{row.ts.strftime('%H:%M')};{row.TEMP};{row.RH}\n" for row in split.itertuples()
    )
    theme.add("cb", "date and time columns, day first, over midnight, csv", "data logger export", lines, wide(split))
    key = [
        {"datekey": int(row.ts.strftime("%Y%m%d")), "hour": row.ts.hour, "load_MW": row.load}
        for row in table({"load": wave(48, 42, 11)}, start="2026-03-01T00:00:00Z", step_s=3600).itertuples()
    ]
    hourly = table({"load": wave(48, 42, 11)}, start="2026-03-01T00:00:00Z", step_s=3600)
    days = wide(hourly.assign(ts=hourly["ts"].dt.floor("D")))["load"]
    theme.add(
        "b",
        "datekey and hour",
        "star schema with an hour column",
        key,
        {"load_MW": days},
        or_refuse=True,
        alt=[{"load_MW": days, "hour": [(None, float(i % 24)) for i in range(48)]}],
        doubt="`hour` is a part of the time, hardly a measurement; named like one, it may be kept.",
    )


def steps(theme: Theme) -> None:
    base = times(24)
    frame = table(values())
    irregular = frame.assign(ts=[moment + pd.Timedelta(seconds=(i * i * 7) % 53) for i, moment in enumerate(base)])
    theme.add(
        "c",
        "irregular steps",
        f"{lib('pandas')} to_json",
        irregular.to_json(orient="records", date_format="iso"),
        wide(irregular),
    )
    twice = frame.assign(ts=[base[i - i % 2] for i in range(24)])
    theme.add(
        "b",
        "each time twice",
        f"{lib('pandas')} to_json",
        twice.to_json(orient="records", date_format="iso"),
        wide(twice),
    )
    shuffled = frame.iloc[[(i * 7) % 24 for i in range(24)]].reset_index(drop=True)
    theme.add(
        "c",
        "no order",
        f"{lib('pandas')} to_json",
        shuffled.to_json(orient="records", date_format="iso"),
        wide(shuffled),
    )
    summer = pd.date_range("2026-03-29T00:00:00Z", periods=12, freq="20min").tz_convert("Europe/Berlin")
    clock = pd.DataFrame({"ts": summer, "temp": wave(12, 8, 1)})
    theme.add(
        "c",
        "offsets change at summer time",
        f"{PYTHON} zoneinfo isoformat",
        [{"ts": row.ts.isoformat(), "temp": row.temp} for row in clock.itertuples()],
        wide(clock),
    )
    old = table({"temp": wave(12, 8, 1)}, start="2001-09-09T01:40:00Z", step_s=60)
    theme.add(
        "c",
        "epoch s just above 10^9",
        f"{PYTHON} time.time",
        [{"ts": epoch_ms(row.ts) // 1000, "temp": row.temp} for row in old.itertuples()],
        wide(old),
    )


def two_times(theme: Theme) -> None:
    frame = table(values(), start="2026-05-05T12:00:00Z")
    late = [moment + pd.Timedelta(seconds=95) for moment in frame["ts"]]
    truth: Truth = wide(frame)
    theme.add(
        "c",
        "event time beside ingest time",
        "Azure Stream Analytics output columns",
        [
            {
                "EventProcessedUtcTime": iso(late[i], 7),
                "PartitionId": 3,
                "EventEnqueuedUtcTime": iso(late[i], 3),
                "eventTime": iso(row["ts"]),
                "flow.m3h": row["flow.m3h"],
                "pH": row["pH"],
            }
            for i, row in enumerate(frame.to_dict("records"))
        ],
        truth,
        doubt="The event time is the right axis; the enqueued time would give another first time.",
    )
    theme.add(
        "cb",
        "epoch beside iso",
        "weather station API",
        [
            {
                "dateEpoch": epoch_ms(row["ts"]) // 1000,
                "date": iso(row["ts"]),
                "flow.m3h": row["flow.m3h"],
                "pH": row["pH"],
            }
            for row in frame.to_dict("records")
        ],
        truth,
    )
    theme.add(
        "c",
        "created and updated beside the time",
        "ORM rows",
        [
            {
                "id": 9000 + i,
                "created_at": iso(late[0], 6),
                "updated_at": iso(late[0], 6),
                "timestamp": iso(row["ts"]),
                "flow.m3h": row["flow.m3h"],
                "pH": row["pH"],
            }
            for i, row in enumerate(frame.to_dict("records"))
        ],
        truth,
    )
    java = [
        {"time": [row.ts.year, row.ts.month, row.ts.day, row.ts.hour, row.ts.minute], "pH": row.pH}
        for row in frame.itertuples()
    ]
    theme.add(
        "c",
        "Java LocalDateTime as array",
        "Jackson WRITE_DATES_AS_TIMESTAMPS",
        java,
        {"pH": truth["pH"]},
        or_refuse=True,
        doubt="Five whole numbers: a reader that does not know the form should refuse.",
    )


def build() -> Theme:
    theme = Theme("times")
    for part in (forms, noon_to_midnight, dates, steps, two_times):
        part(theme)
    return theme
