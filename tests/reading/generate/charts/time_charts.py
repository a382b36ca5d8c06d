"""Charts of Python libraries, and chart libraries whose data has a form of its own: time charts."""

from kit import epoch_ms, rename, wave

from charts.readings import NAMES, ONE, ROWS, STAMPS, TEXTS, TRUTH, any_name, theme

pairs = {name: [[STAMPS[i], row[name]] for i, row in enumerate(ROWS)] for name in NAMES}
theme.add(
    "c",
    "uPlot arrays, seconds",
    "uPlot README, data format",
    [[stamp // 1000 for stamp in STAMPS], *([row[name] for row in ROWS] for name in NAMES)],
    rename(TRUTH, {"co2_flow_rate": "1", "water_temp": "2"}),
    or_refuse=True,
    alt=[
        rename(TRUTH, dict(zip(NAMES, names, strict=True)))
        for names in (
            ("0", "1"),
            ("2", "3"),
            ("series 1", "series 2"),
            ("series_1", "series_2"),
            ("column 1", "column 2"),
            ("column 2", "column 3"),
            ("column_1", "column_2"),
            ("column_2", "column_3"),
            ("value 1", "value 2"),
            ("value_1", "value_2"),
            ("c1", "c2"),
            ("y1", "y2"),
        )
    ],
    doubt="No names; names by position, or a refusal. 24 series of three values is a misreading.",
)
theme.add(
    "c",
    "uPlot options and data",
    "uPlot README, options",
    {
        "opts": {
            "width": 800,
            "height": 300,
            "series": [{}, *({"label": name, "stroke": "red"} for name in NAMES)],
        },
        "data": [[stamp // 1000 for stamp in STAMPS], *([row[name] for row in ROWS] for name in NAMES)],
    },
    TRUTH,
    or_refuse=True,
    alt=[rename(TRUTH, {"co2_flow_rate": "1", "water_temp": "2"})],
    doubt="The names stand in another member, the first of them empty.",
)
theme.add(
    "c",
    "Nivo line",
    "Nivo, line chart data",
    [
        {
            "id": name,
            "color": "hsl(1, 70%, 50%)",
            "data": [{"x": TEXTS[i], "y": row[name]} for i, row in enumerate(ROWS)],
        }
        for name in NAMES
    ],
    TRUTH,
)
theme.add(
    "c",
    "Recharts rows",
    "Recharts, LineChart data",
    [{"name": row["ts"], "co2_flow_rate": row["co2_flow_rate"], "water_temp": row["water_temp"]} for row in ROWS],
    TRUTH,
)
theme.add(
    "c",
    "Recharts rows by page name",
    "Recharts, LineChart data",
    [{"name": f"Page {letter}", "uv": 4000 - 137 * i, "pv": 2400 + 91 * (i % 3)} for i, letter in enumerate("ABCDEFG")],
    {"uv": [(None, 4000 - 137 * i) for i in range(7)], "pv": [(None, 2400 + 91 * (i % 3)) for i in range(7)]},
)
theme.add(
    "c",
    "Victory",
    "Victory, data prop",
    [{"x": text, "y": row["water_temp"]} for text, row in zip(TEXTS, ROWS, strict=True)],
    {"y": ONE},
    alt=any_name(ONE),
)
theme.add(
    "c",
    "amCharts 5",
    "amCharts 5, DateAxis data",
    [{"date": stamp, "value": row["water_temp"], "bullet": False} for stamp, row in zip(STAMPS, ROWS, strict=True)],
    {"value": ONE},
    alt=any_name(ONE),
)
theme.add(
    "c",
    "amCharts 5, numeric dates and two values",
    "amCharts 5, DateAxis data",
    [{"date": stamp, **{name: row[name] for name in NAMES}} for stamp, row in zip(STAMPS, ROWS, strict=True)],
    TRUTH,
)
theme.add(
    "c",
    "TradingView lightweight line",
    "Lightweight Charts, LineData",
    [{"time": stamp // 1000, "value": row["water_temp"]} for stamp, row in zip(STAMPS, ROWS, strict=True)],
    {"value": ONE},
    alt=any_name(ONE),
)
days = [f"2026-09-{day:02d}" for day in range(1, 25)]
opens = wave(24, 100, 4)
candles = [
    {
        "time": days[i],
        "open": opens[i],
        "high": round(opens[i] + 1.5, 2),
        "low": round(opens[i] - 1.25, 2),
        "close": round(opens[i] + 0.25, 2),
    }
    for i in range(24)
]
theme.add(
    "c",
    "TradingView lightweight candles",
    "Lightweight Charts, CandlestickData",
    candles,
    {
        name: [(epoch_ms(row["time"] + "T00:00Z"), row[name]) for row in candles]
        for name in ("open", "high", "low", "close")
    },
)
business = [
    {"time": {"year": 2026, "month": 9, "day": i + 1}, "value": row["water_temp"]} for i, row in enumerate(ROWS)
]
theme.add(
    "c",
    "TradingView business days",
    "Lightweight Charts, BusinessDay",
    business,
    {"value": [(epoch_ms(f"{days[i]}T00:00Z"), row["water_temp"]) for i, row in enumerate(ROWS)]},
    or_refuse=True,
    doubt="`year`, `month`, `day` as three series would be a misreading.",
)
theme.add(
    "c",
    "Dygraphs csv",
    "Dygraphs, data format",
    "Date,flow,temp\n"
    + "".join(
        f"{row['ts'][:10].replace('-', '/')} {row['ts'][11:19]},{row['co2_flow_rate']},{row['water_temp']}\n"
        for row in ROWS
    ),
    {"flow": TRUTH["co2_flow_rate"], "temp": ONE},
)
theme.add(
    "c",
    "Dygraphs native array and labels",
    "Dygraphs, native format",
    {"labels": ["x", *NAMES], "file": [[STAMPS[i], *(row[name] for name in NAMES)] for i, row in enumerate(ROWS)]},
    TRUTH,
)
theme.add(
    "c",
    "CanvasJS",
    "CanvasJS, dataSeries",
    {
        "title": {"text": "x"},
        "data": [
            {
                "type": "line",
                "name": name,
                "xValueType": "dateTime",
                "dataPoints": [{"x": x, "y": y} for x, y in pairs[name]],
            }
            for name in NAMES
        ],
    },
    TRUTH,
)
theme.add(
    "c",
    "NVD3",
    "NVD3, line chart",
    [{"key": name, "color": "#2ca02c", "values": [{"x": x, "y": y} for x, y in pairs[name]]} for name in NAMES],
    TRUTH,
)
theme.add(
    "c",
    "Rickshaw",
    "Rickshaw, series",
    [
        {"name": name, "color": "steelblue", "data": [{"x": x // 1000, "y": y} for x, y in pairs[name]]}
        for name in NAMES
    ],
    TRUTH,
)
theme.add("c", "flot", "Flot, data format", [{"label": name, "data": pairs[name]} for name in NAMES], TRUTH)
theme.add(
    "c",
    "one bare list of pairs",
    "Highcharts sample data file",
    pairs["water_temp"],
    {"value": ONE},
    alt=any_name(ONE, "water_temp", "column_2"),
)
theme.add("c", "pairs below the name of the series", "hand-written service", pairs, TRUTH)
theme.add(
    "c",
    "time and value lists below the name of the series",
    "hand-written service",
    {name: {"timestamps": TEXTS, "values": [row[name] for row in ROWS]} for name in NAMES},
    TRUTH,
    alt=[rename(TRUTH, lambda name: f"{name}.values")],
)
