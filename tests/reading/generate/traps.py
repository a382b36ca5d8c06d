"""Payloads that a careless reader misreads without a word."""

import json
from typing import Any

import pandas as pd
from kit import Row, Theme, Truth, epoch_ms, iso, rename, rows, table, timeless, wave, wide

FRAME = table({"temp": wave(24, 41, 3), "ph": wave(24, 6.8, 0.2, 1)}, start="2026-03-18T09:00:00Z", step_s=300)
TRUTH = wide(FRAME)
ROWS: list[Row] = rows(FRAME)
STAMPS = [epoch_ms(row["ts"]) for row in ROWS]
HAND = "hand-written service"
EXPORT = "spreadsheet export"


def numbers_that_are_no_measurements(theme: Theme) -> None:
    def add(kinds: str, name: str, make: Any, truth: Truth = TRUTH, **more: Any) -> None:
        theme.add(kinds, name, HAND, [{**make(i), **row} for i, row in enumerate(ROWS)], truth, **more)

    add(
        "bc",
        "order and customer numbers",
        lambda i: {"order_id": 100200 + 37 * i, "customerId": 88 + i % 3, "batch_no": 20260318},
    )
    add("b", "epoch s beside the time", lambda i: {"updated": STAMPS[i] // 1000 + 7})
    add(
        "c",
        "epoch ms of the server beside the time",
        lambda i: {"server_ms": STAMPS[i] + 812, "received": str(STAMPS[i] + 900)},
    )
    add("b", "status codes", lambda i: {"status": 200, "httpStatus": 200 if i % 6 else 304, "error_code": 0})
    add(
        "c",
        "a moving place",
        lambda i: {"latitude": round(52.5 + i / 1000, 6), "longitude": round(13.4 + i / 900, 6)},
        alt=[
            {
                **TRUTH,
                "latitude": [(STAMPS[i], round(52.5 + i / 1000, 6)) for i in range(24)],
                "longitude": [(STAMPS[i], round(13.4 + i / 900, 6)) for i in range(24)],
            }
        ],
        doubt="A place that moves: a measurement, or none.",
    )
    add(
        "b",
        "parts of the time",
        lambda i: {"year": 2026, "month": 3, "day": 18, "hour": 9 + i // 12, "minute": i * 5 % 60},
        or_refuse=True,
        alt=[
            {
                **TRUTH,
                "hour": [(STAMPS[i], 9 + i // 12) for i in range(24)],
                "minute": [(STAMPS[i], i * 5 % 60) for i in range(24)],
            }
        ],
        doubt="Parts of a time that stands beside them.",
    )
    add("b", "telephone and post code", lambda _: {"phone": "+493012345678", "zip": "01069", "account": "4711"})
    add(
        "b",
        "limits beside the value",
        lambda _: {"temp_min": 10, "temp_max": 60},
        {**TRUTH, "temp_min": [(stamp, 10) for stamp in STAMPS], "temp_max": [(stamp, 60) for stamp in STAMPS]},
        alt=[TRUTH],
        doubt="Constant limits: series, or left out.",
    )


def axes(theme: Theme) -> None:
    years = list(range(2016, 2026))
    tonnes = wave(10, 980, 120)
    theme.add(
        "c",
        "years as numbers",
        HAND,
        [{"year": year, "emissions_t": value} for year, value in zip(years, tonnes, strict=True)],
        {"emissions_t": [(None, value) for value in tonnes]},
        alt=[
            {
                "emissions_t": [
                    (epoch_ms(f"{year}-01-01T00:00Z"), value) for year, value in zip(years, tonnes, strict=True)
                ]
            }
        ],
        doubt="Years: a numeric axis, categories or times; a series of 2016..2025 is a misreading.",
    )
    theme.add(
        "b",
        "years as numbers",
        HAND,
        [{"year": year, "emissions_t": value} for year, value in zip(years, tonnes, strict=True)],
        {"emissions_t": [(None, value) for value in tonnes]},
    )
    theme.add(
        "c",
        "months 1 to 12",
        HAND,
        [{"month": i + 1, "rain_mm": value} for i, value in enumerate(wave(12, 55, 20))],
        {"rain_mm": [(None, value) for value in wave(12, 55, 20)]},
        doubt="A numeric or category axis; 1970 or a series of 1..12 is a misreading.",
    )
    theme.add(
        "c",
        "labels 1 to 12",
        "Chart.js documentation",
        {"labels": list(range(1, 13)), "datasets": [{"label": "rain_mm", "data": wave(12, 55, 20)}]},
        {"rain_mm": [(None, value) for value in wave(12, 55, 20)]},
    )
    theme.add(
        "c",
        "x from 0 to 10",
        HAND,
        [{"x": i / 2, "y": value} for i, value in enumerate(wave(21, 3, 1))],
        {"y": [(None, v) for v in wave(21, 3, 1)]},
        alt=[{name: [(None, v) for v in wave(21, 3, 1)]} for name in ("value", "values", "series", "c", "data", "1")],
    )
    theme.add(
        "c",
        "numbers below 2001 in epoch form",
        HAND,
        [{"x": 900_000_000 + 1000 * i, "force_N": value} for i, value in enumerate(wave(21, 3, 1))],
        {"force_N": [(None, value) for value in wave(21, 3, 1)]},
        doubt="1998 as epoch s: no plausible time by the specification.",
    )
    theme.add(
        "c",
        "t in seconds since the start",
        HAND,
        [{"t": 0.5 * i, "torque": value} for i, value in enumerate(wave(40, 12, 2))],
        {"torque": [(None, value) for value in wave(40, 12, 2)]},
    )
    theme.add(
        "c",
        "t is the temperature, ts the time",
        HAND,
        [{"ts": stamp, "t": row["temp"], "p": row["ph"]} for stamp, row in zip(STAMPS, ROWS, strict=True)],
        {"t": TRUTH["temp"], "p": TRUTH["ph"]},
    )
    theme.add(
        "c",
        "t is the time, T the temperature",
        HAND,
        [{"t": stamp // 1000, "T": row["temp"]} for stamp, row in zip(STAMPS, ROWS, strict=True)],
        {"T": TRUTH["temp"]},
    )
    theme.add(
        "b",
        "time is a duration, at the time",
        HAND,
        [{"at": row["ts"], "time": row["temp"], "ph": row["ph"]} for row in ROWS],
        {"time": TRUTH["temp"], "ph": TRUTH["ph"]},
        doubt="`time` holds durations of 38 to 45.",
    )
    theme.add(
        "c",
        "date is a number of samples",
        HAND,
        [{"sampled": row["ts"], "date": 3 + i % 4, "ph": row["ph"]} for i, row in enumerate(ROWS)],
        {"ph": TRUTH["ph"]},
        or_refuse=True,
        alt=[{"ph": TRUTH["ph"], "date": [(STAMPS[i], 3 + i % 4) for i in range(24)]}],
    )
    theme.add(
        "c",
        "shelves with numeric labels",
        HAND,
        {"categories": ["101", "102", "103"], "series": [{"name": "stock", "data": [4, 0, 9]}]},
        {"stock": [(None, value) for value in (4, 0, 9)]},
    )


def labels(theme: Theme) -> None:
    sensors = ("A-1", "B-2")
    mixed = [
        {"sensor": sensors[i % 2], "ts": row["ts"], "temp": row["temp"] + 100 * (i % 2)} for row in ROWS for i in (0, 1)
    ]
    truth = {
        f"temp.{name}": [(stamp, value + 100 * k) for stamp, value in TRUTH["temp"]] for k, name in enumerate(sensors)
    }
    forms = [
        "{s}",
        "{s}.temp",
        "temp {s}",
        "{s} temp",
        "temp/{s}",
        "{s}/temp",
        "temp ({s})",
        "temp@{s}",
        "temp_{s}",
        "{s}_temp",
        "{s}:temp",
        "temp:{s}",
        "temp · {s}",
        "{s} · temp",
        "temp[{s}]",
        "temp{{sensor={s}}}",
        "temp sensor={s}",
        "{s}: temp",
        "temp: {s}",
        "temp | {s}",
        "temp, {s}",
        "{s}, temp",
        "{s} - temp",
        "temp - {s}",
    ]
    alt = [{form.format(s=name): truth[f"temp.{name}"] for name in sensors} for form in forms]
    theme.add(
        "c",
        "two sensors in wide rows",
        HAND,
        mixed,
        truth,
        alt=alt,
        or_refuse=True,
        doubt="Names may differ; one line of 48 points is a misreading.",
    )
    theme.add(
        "b",
        "two sensors in wide rows",
        HAND,
        mixed,
        truth,
        alt=[*alt, {"temp": [point for points in truth.values() for point in points]}],
        doubt="Statistics per metric over both sensors are defensible for a batch.",
    )
    same = [
        {"sensorId": sensors[i % 2], "metric": "temp", "ts": epoch_ms(row["ts"]), "value": row["temp"] + 100 * (i % 2)}
        for row in ROWS
        for i in (0, 1)
    ]
    theme.add(
        "c", "one metric of two sensors", HAND, same, truth, alt=alt, doubt="Two labels at one time are two series."
    )
    theme.add(
        "b",
        "one metric of two sensors",
        HAND,
        same,
        {"temp": [point for points in truth.values() for point in points]},
        alt=[truth, *alt],
        doubt="The documented long form names the series after the metric; per sensor is defensible.",
    )
    theme.add(
        "bc",
        "a label that is a number",
        HAND,
        [
            {"channel": channel, "ts": row["ts"], "value": row[name]}
            for row in ROWS
            for channel, name in ((1, "temp"), (2, "ph"))
        ],
        {"1": TRUTH["temp"], "2": TRUTH["ph"]},
        alt=[
            {form.format(1): TRUTH["temp"], form.format(2): TRUTH["ph"]}
            for form in (
                "channel {}",
                "channel={}",
                "value.{}",
                "value {}",
                "channel_{}",
                "value channel={}",
                "{}.value",
                "channel.{}",
                "channel:{}",
                "value/{}",
                "value ({})",
                "value_{}",
                "value[{}]",
                "channel: {}",
                "value · {}",
                "value@{}",
                "value{{channel={}}}",
                "value: {}",
            )
        ],
        doubt="Names may differ; `channel` as a series, or 48 values in one, is a misreading.",
    )
    theme.add(
        "b",
        "ids in text that look like exponents",
        HAND,
        [
            {"sensor": sensor, "ts": row["ts"], "value": row[name]}
            for row in ROWS
            for sensor, name in (("12e4", "temp"), ("13e2", "ph"))
        ],
        {"12e4": TRUTH["temp"], "13e2": TRUTH["ph"]},
        alt=[
            {form.format("12e4"): TRUTH["temp"], form.format("13e2"): TRUTH["ph"]}
            for form in ("value.{}", "value {}", "value sensor={}", "{}.value")
        ],
        doubt="A batch of one value column may also be one metric; 48 values of two sensors would mix them.",
    )
    theme.add(
        "b",
        "unit as the only text",
        HAND,
        [{"ts": row["ts"], "value": row["temp"], "unit": "°C"} for row in ROWS],
        {"value": TRUTH["temp"]},
        doubt="A unit is no name; the series is `value`.",
    )
    theme.add(
        "c",
        "units that differ by sensor",
        HAND,
        [
            {"tag": name, "ts": row["ts"], "value": row[name], "unit": unit}
            for row in ROWS
            for name, unit in (("temp", "°C"), ("ph", "1"))
        ],
        TRUTH,
    )
    theme.add(
        "c",
        "quality that differs by row",
        HAND,
        [
            {"tag": name, "ts": row["ts"], "value": row[name], "quality": "good" if i % 3 else "bad"}
            for i, row in enumerate(ROWS)
            for name in ("temp", "ph")
        ],
        TRUTH,
        doubt="A flag by row is no label: four series would be a misreading.",
    )
    flags = [
        {"metric": name, "ts": row["ts"], "value": value}
        for i, row in enumerate(ROWS)
        for name, value in (("temp", row["temp"]), ("valve_open", i % 2 == 0), ("mode", "auto"))
    ]
    theme.add(
        "b",
        "numbers, flags and texts in one value column",
        HAND,
        flags,
        {"temp": TRUTH["temp"]},
        alt=[{"temp": TRUTH["temp"], "valve_open": [(stamp, float(i % 2 == 0)) for i, stamp in enumerate(STAMPS)]}],
    )


def texts(theme: Theme) -> None:
    def column(name: str, form: Any) -> list[Row]:
        return [{"ts": row["ts"], name: form(row["temp"]), "ph": row["ph"]} for row in ROWS]

    rest: Truth = {"ph": TRUTH["ph"]}
    theme.add(
        "b",
        "percent as text",
        EXPORT,
        column("humidity", lambda v: f"{v:.2f} %"),
        {"humidity": TRUTH["temp"], "ph": TRUTH["ph"]},
        alt=[rest],
        doubt="`41.00 %` is 41 or is left out with a reason; 0.41 is a misreading.",
    )
    theme.add("c", "a unit after each number", EXPORT, column("temp", lambda v: f"{v:.2f} °C"), TRUTH, alt=[rest])
    big = table(
        {"volume": [round(1_234.5 + 1_011.25 * i, 2) for i in range(24)], "ph": wave(24, 6.8, 0.2, 1)},
        start="2026-03-18T09:00:00Z",
        step_s=300,
    )
    commas = [{"ts": iso(row.ts), "volume": f"{row.volume:,.2f}", "ph": row.ph} for row in big.itertuples()]
    theme.add(
        "b",
        "thousands with commas",
        EXPORT,
        commas,
        wide(big),
        alt=[{"ph": wide(big)["ph"]}],
        doubt="1,234.50 is 1234.5 or is left out.",
    )
    german = [
        {
            "ts": iso(row.ts),
            "volume": f"{row.volume:,.2f}".replace(",", "_").replace(".", ",").replace("_", "."),
            "ph": row.ph,
        }
        for row in big.itertuples()
    ]
    theme.add(
        "c",
        "thousands with dots, decimal comma",
        "de-DE export",
        german,
        wide(big),
        alt=[{"ph": wide(big)["ph"]}],
        doubt="1.234,50 is 1234.5 or is left out; 1.234 is a misreading.",
    )
    theme.add(
        "b",
        "decimal commas in text",
        "de-DE export",
        column("temp", lambda v: f"{v:.2f}".replace(".", ",")),
        TRUTH,
        alt=[rest],
        doubt="41,25 is 41.25 or is left out; 4125 is a misreading.",
    )
    ambiguous = [{"ts": row["ts"], "temp": f"{i + 1},{250 + i}", "ph": row["ph"]} for i, row in enumerate(ROWS)]
    theme.add(
        "b",
        "comma before three digits",
        EXPORT,
        ambiguous,
        rest,
        or_refuse=True,
        alt=[
            {**rest, "temp": [(STAMPS[i], float(f"{i + 1}.{250 + i}")) for i in range(24)]},
            {**rest, "temp": [(STAMPS[i], float(f"{i + 1}{250 + i}")) for i in range(24)]},
        ],
        doubt="1,250 is 1.25 or 1250: only leaving it out is sure.",
    )
    theme.add(
        "b",
        "less-than signs",
        "laboratory export",
        [
            {"ts": row["ts"], "lead_ug": "<0.5" if i % 2 else f"{0.5 + i / 10:.1f}", "ph": row["ph"]}
            for i, row in enumerate(ROWS)
        ],
        {**rest, "lead_ug": [(STAMPS[i], round(0.5 + i / 10, 1)) for i in range(0, 24, 2)]},
        alt=[rest, {**rest, "lead_ug": [(STAMPS[i], 0.5 if i % 2 else round(0.5 + i / 10, 1)) for i in range(24)]}],
        doubt="Below the limit of detection: left out, or the limit.",
    )
    theme.add(
        "b",
        "hex and versions as text",
        HAND,
        [{"ts": row["ts"], "mask": f"0x{i:02X}", "firmware": "2.10", "ph": row["ph"]} for i, row in enumerate(ROWS)],
        rest,
        doubt="`2.10` is a version, constant under that name.",
    )
    halves = table({"temp": wave(8, 41, 3)}, start="2026-03-18T09:00:00Z", step_s=10800)
    theme.add(
        "c",
        "12-hour clock without seconds",
        "en-US export",
        [
            {
                "Date": row.ts.strftime("%m/%d/%Y"),
                "Time": f"{row.ts.strftime('%I').lstrip('0')}:{row.ts.strftime('%M %p')}",
                "temp": row.temp,
            }
            for row in halves.itertuples()
        ],
        wide(halves),
    )


def tables_beside(theme: Theme) -> None:
    theme.add(
        "b",
        "a table of totals beside the data",
        HAND,
        {
            "totals": [
                {"name": name, "count": 24, "sum": round(FRAME[name].sum(), 2), "avg": round(FRAME[name].mean(), 3)}
                for name in ("temp", "ph")
            ],
            "rows": ROWS,
        },
        TRUTH,
    )
    theme.add(
        "c",
        "a larger table of events beside the data",
        HAND,
        {
            "points": ROWS[:6],
            "events": [{"id": i, "at": row["ts"], "text": "ok", "severity": i % 3} for i, row in enumerate(ROWS)],
        },
        {name: points[:6] for name, points in TRUTH.items()},
        or_refuse=True,
        doubt="The larger table holds events; a refusal that names both is right as well, the series `severity` is not.",
    )
    pair = {"actual": ROWS[:12], "forecast": [{**row, "temp": row["temp"] + 1} for row in ROWS[12:]]}
    split: Truth = {f"actual.{name}": points[:12] for name, points in TRUTH.items()} | {
        "forecast.temp": [(stamp, value + 1) for stamp, value in TRUTH["temp"][12:]],
        "forecast.ph": TRUTH["ph"][12:],
    }
    theme.add(
        "c",
        "actual and forecast, the same columns",
        HAND,
        pair,
        split,
        or_refuse=True,
        alt=[
            rename(split, lambda name: name.replace(".", " ")),
            rename(split, lambda name: name.replace(".", "/")),
            rename(split, lambda name: name.replace(".", "_")),
            rename(split, lambda name: ".".join(reversed(name.split(".")))),
        ],
        doubt="A tie between two tables; only the first one would be a misreading.",
    )
    theme.add(
        "b",
        "statistics and the rows they are of",
        HAND,
        {"stats": {"temp": {"min": 1, "max": 2, "mean": 1.5}, "n": 24}, "limits": {"temp": [0, 60]}, "readings": ROWS},
        TRUTH,
    )
    lines = "ts,temp,ph\n" + "".join(f"{row['ts']},{row['temp']},{row['ph']}\n" for row in ROWS)
    theme.add(
        "c",
        "csv with a row of totals",
        EXPORT,
        lines + f"Total,{FRAME['temp'].sum():.2f},{FRAME['ph'].sum():.2f}\n",
        TRUTH,
        or_refuse=True,
        doubt="The last row has no time; a sum among the points is a misreading.",
    )
    theme.add(
        "b",
        "csv with the header twice",
        "two appended files",
        lines + lines.splitlines()[0] + "\n" + "\n".join(lines.splitlines()[1:4]) + "\n",
        {name: points + points[:3] for name, points in TRUTH.items()},
        doubt="The second header is no row: counted as left out.",
    )
    theme.add(
        "c",
        "rows without a time among others",
        HAND,
        [{**row, "ts": None} if i in (4, 5) else row for i, row in enumerate(ROWS)],
        {name: [point for i, point in enumerate(points) if i not in (4, 5)] for name, points in TRUTH.items()},
    )
    theme.add(
        "b",
        "rows without a time among others",
        HAND,
        [{**row, "ts": None} if i in (4, 5) else row for i, row in enumerate(ROWS)],
        {name: [point for i, point in enumerate(points) if i not in (4, 5)] for name, points in TRUTH.items()},
        alt=[TRUTH],
        doubt="A batch reading without a time: left out, or counted.",
    )
    theme.add(
        "b",
        "aggregates beside each other",
        HAND,
        [
            {"bucket": row["ts"], "min": row["temp"] - 1, "avg": row["temp"], "max": row["temp"] + 1, "n": 12}
            for row in ROWS
        ],
        {
            "min": [(s, v - 1) for s, v in TRUTH["temp"]],
            "avg": TRUTH["temp"],
            "max": [(s, v + 1) for s, v in TRUTH["temp"]],
            "n": [(s, 12) for s in STAMPS],
        },
        alt=[
            {
                "min": [(s, v - 1) for s, v in TRUTH["temp"]],
                "avg": TRUTH["temp"],
                "max": [(s, v + 1) for s, v in TRUTH["temp"]],
            }
        ],
        doubt="`n` is a count of readings: with or without it.",
    )
    theme.add(
        "c",
        "duplicate names in an object",
        "RFC 8259 section 4",
        '[{"ts":"2026-03-18T09:00:00Z","temp":1,"temp":41.5},{"ts":"2026-03-18T09:05:00Z","temp":2,"temp":42.5}]',
        {"temp": [(STAMPS[0], 41.5), (STAMPS[1], 42.5)]},
        or_refuse=True,
        doubt="The last one wins, as in most parsers; a refusal is allowed.",
    )
    pages = [{"page": 1, "rows": ROWS[:12]}, {"page": 2, "rows": ROWS[12:]}]
    theme.add(
        "b",
        "two pages one after the other",
        HAND,
        json.dumps({"pages": pages, "pageParams": [None, 2]}),
        TRUTH,
        or_refuse=True,
        doubt="TanStack infinite query. Both pages, or a refusal; the first page alone is a misreading.",
    )
    days = pd.date_range("2026-03-01", periods=3, tz="UTC")
    theme.add(
        "c",
        "days of hours",
        HAND,
        {
            day.strftime("%Y-%m-%d"): [{"hour": hour, "load": 40 + hour + i} for hour in range(24)]
            for i, day in enumerate(days)
        },
        timeless({"load": [(0, 40 + hour + i) for i in range(3) for hour in range(24)]}),
        or_refuse=True,
        alt=[
            {
                "load": [
                    (epoch_ms(day) + 3_600_000 * hour, 40 + hour + i)
                    for i, day in enumerate(days)
                    for hour in range(24)
                ]
            },
            {day.strftime("%Y-%m-%d"): [(None, 40 + hour + i) for hour in range(24)] for i, day in enumerate(days)},
        ],
        doubt="The date is a key, the hour a column.",
    )


def build() -> Theme:
    theme = Theme("traps")
    for part in (numbers_that_are_no_measurements, axes, labels, texts, tables_beside):
        part(theme)
    return theme
