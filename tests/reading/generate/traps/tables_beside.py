"""Payloads that a careless reader misreads without a word: tables beside."""

import json

import pandas as pd
from kit import Truth, epoch_ms, rename, timeless

from traps.readings import EXPORT, FRAME, HAND, ROWS, STAMPS, TRUTH, theme

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
                (epoch_ms(day) + 3_600_000 * hour, 40 + hour + i) for i, day in enumerate(days) for hour in range(24)
            ]
        },
        {day.strftime("%Y-%m-%d"): [(None, 40 + hour + i) for hour in range(24)] for i, day in enumerate(days)},
    ],
    doubt="The date is a key, the hour a column.",
)
