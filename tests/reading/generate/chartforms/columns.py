"""The option objects of the large chart libraries, in the data forms that their documentation lists: columns."""

import pandas as pd
from kit import Truth, epoch_ms, iso, rename, timeless, wave

from chartforms.readings import BY_NAME, LEVELS, NAMES, ROWS, STAMPS, TANKS, TEXTS, TRUTH, VALUES, stamp_at, theme

theme.add(
    "c",
    "C3 columns with x",
    "C3.js reference, data.columns",
    {
        "bindto": "#chart",
        "data": {
            "x": "x",
            "columns": [["x", *TEXTS], *([name, *VALUES[name]] for name in NAMES)],
            "types": {NAMES[0]: "line"},
        },
    },
    TRUTH,
)
theme.add(
    "c",
    "billboard.js json with keys",
    "billboard.js, data.json",
    {"data": {"json": ROWS, "keys": {"x": "ts", "value": list(NAMES)}}},
    TRUTH,
)
theme.add(
    "c",
    "C3 rows",
    "C3.js reference, data.rows",
    {
        "data": {
            "x": "ts",
            "rows": [["ts", *NAMES], *([TEXTS[i], *(VALUES[name][i] for name in NAMES)] for i in range(16))],
        }
    },
    TRUTH,
)
theme.add(
    "c",
    "Google arrayToDataTable",
    "Google Charts, arrayToDataTable",
    [["Time", *NAMES], *([TEXTS[i], *(VALUES[name][i] for name in NAMES)] for i in range(16))],
    TRUTH,
)
theme.add(
    "c",
    "Google arrayToDataTable over years",
    "Google Charts, line chart",
    [
        ["Year", "Sales", "Expenses"],
        ["2022", 1000, 400],
        ["2023", 1170, 460],
        ["2024", 660, 1120],
        ["2025", 1030, 540],
    ],
    timeless({"Sales": [(0, v) for v in (1000, 1170, 660, 1030)], "Expenses": [(0, v) for v in (400, 460, 1120, 540)]}),
    alt=[
        {
            name: [(epoch_ms(f"{2022 + i}-01-01T00:00Z"), v) for i, v in enumerate(values)]
            for name, values in (("Sales", (1000, 1170, 660, 1030)), ("Expenses", (400, 460, 1120, 540)))
        }
    ],
    doubt="Years as text: categories, or times.",
)
theme.add(
    "c",
    "FusionCharts multi-series",
    "FusionCharts, multi-series data",
    {
        "chart": {"caption": "x", "xaxisname": "Time", "theme": "fusion"},
        "categories": [{"category": [{"label": text} for text in TEXTS]}],
        "dataset": [{"seriesname": name, "data": [{"value": str(value)} for value in VALUES[name]]} for name in NAMES],
    },
    TRUTH,
)
theme.add(
    "c",
    "FusionCharts single series",
    "FusionCharts, single-series data",
    {
        "chart": {"caption": "Level", "yaxisname": "m"},
        "data": [{"label": tank, "value": str(level)} for tank, level in zip(TANKS, LEVELS, strict=True)],
    },
    {"value": [(None, value) for value in LEVELS]},
    alt=[BY_NAME, *({name: [(None, value) for value in LEVELS]} for name in ("m", "data", "y", "c"))],
)
theme.add(
    "c",
    "MUI X charts",
    "MUI X Charts, series and xAxis",
    {
        "xAxis": [{"data": STAMPS, "scaleType": "time"}],
        "series": [{"data": VALUES[name], "label": name, "showMark": False} for name in NAMES],
        "height": 300,
    },
    TRUTH,
)
theme.add(
    "c",
    "ZingChart",
    "ZingChart, scale-x values",
    {
        "type": "line",
        "scaleX": {"values": STAMPS},
        "series": [{"values": VALUES[name], "text": name} for name in NAMES],
    },
    TRUTH,
)
theme.add(
    "c",
    "rows of name and value for bars",
    "Recharts, BarChart data",
    [{"name": tank, "value": level} for tank, level in zip(TANKS, LEVELS, strict=True)],
    {"value": [(None, value) for value in LEVELS]},
    or_refuse=False,
    alt=[{tank: [(None, level)] for tank, level in zip(TANKS, LEVELS, strict=True)}],
    doubt="A chart over names; four series of one value each is the long-rows reading.",
)
theme.add(
    "c",
    "object of names and values",
    "hand-written service",
    dict(zip(TANKS, LEVELS, strict=True)),
    {"value": [(None, value) for value in LEVELS]},
    alt=[
        {tank: [(None, level)] for tank, level in zip(TANKS, LEVELS, strict=True)},
        *({name: [(None, value) for value in LEVELS]} for name in ("values", "y", "series", "data", "c", "v")),
    ],
    or_refuse=True,
    doubt="One row of four measurements, or one series over four names.",
)
days = pd.date_range("2026-05-01", periods=7, tz="UTC")
week: Truth = {"Level": [(epoch_ms(day), value) for day, value in zip(days, wave(7, 4, 1), strict=True)]}
theme.add(
    "c",
    "days without a year",
    "hand-written service",
    {"labels": [day.strftime("%d %b") for day in days], "datasets": [{"label": "Level", "data": wave(7, 4, 1)}]},
    timeless(week),
    doubt="`01 May` has no year: categories. A time in the present year is a misreading.",
)
theme.add(
    "c",
    "two datasets, different lengths",
    "Chart.js documentation, data structures",
    {
        "datasets": [
            {
                "label": "dense",
                "data": [{"x": iso(stamp_at(i)), "y": value} for i, value in enumerate(wave(16, 5, 1))],
            },
            {
                "label": "sparse",
                "data": [{"x": iso(stamp_at(i)), "y": value} for i, value in enumerate(wave(4, 9, 1))],
            },
        ]
    },
    rename(
        {
            "a": [(STAMPS[i], value) for i, value in enumerate(wave(16, 5, 1))],
            "b": [(STAMPS[i], value) for i, value in enumerate(wave(4, 9, 1))],
        },
        {"a": "dense", "b": "sparse"},
    ),
)
