"""Charts of Python libraries, and chart libraries whose data has a form of its own."""

import json
from typing import Any

import altair as alt_chart
import numpy as np
import plotly.express as px
import plotly.graph_objects as go
from bokeh.embed import json_item
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure
from kit import Row, Theme, Truth, epoch_ms, iso, lib, plant, rename, rows, wave, wide
from pyecharts import options as opts
from pyecharts.charts import Bar, Line

FRAME = plant(24, start="2026-09-01T05:00:00Z", step_s=120)
TRUTH = wide(FRAME)
ROWS: list[Row] = rows(FRAME)
NAMES = ("co2_flow_rate", "water_temp")
STAMPS = [epoch_ms(row["ts"]) for row in ROWS]
TEXTS = [row["ts"] for row in ROWS]
ONE = TRUTH["water_temp"]


def any_name(points: Any, *names: str) -> list[Truth]:
    return [
        {name: points}
        for name in (*names, "value", "y", "values", "series", "data", "v", "c", "series 1", "series_1", "1", "0")
    ]


def plotly(theme: Theme) -> None:
    def lean(chart: go.Figure) -> str:
        return json.dumps(
            {**json.loads(chart.to_json()), "layout": {"title": {"text": "line 1"}, "xaxis": {"range": [0, 1]}}}
        )

    arrays = go.Figure([go.Scatter(x=FRAME["ts"], y=np.array(FRAME[name]), name=name) for name in NAMES])
    theme.add("bc", "plotly with binary arrays", f"{lib('plotly')} Figure.to_json of numpy arrays", lean(arrays), TRUTH)
    express = px.line(FRAME, x="ts", y=list(NAMES))
    theme.add("c", "plotly express", f"{lib('plotly')} express.line, Figure.to_json", lean(express), TRUTH)
    numbers = go.Figure(
        [go.Scatter(x=np.linspace(0, 10, 24), y=np.array(FRAME["water_temp"], dtype="float32"), name="profile")]
    )
    single = np.array(FRAME["water_temp"], dtype="float32").astype(float).tolist()
    theme.add(
        "c",
        "plotly, numeric axis, float32",
        f"{lib('plotly')} Figure.to_json of numpy arrays",
        lean(numbers),
        {"profile": [(None, value) for value in single]},
    )
    counts = go.Figure([go.Bar(x=["Tank A", "Tank B", "Tank C"], y=np.array([12, 0, 7], dtype="int16"), name="alarms")])
    theme.add(
        "c",
        "plotly, categories and int16",
        f"{lib('plotly')} Figure.to_json of numpy arrays",
        lean(counts),
        {"alarms": [(None, value) for value in (12, 0, 7)]},
    )
    theme.add(
        "c",
        "plotly, one trace without a name",
        f"{lib('plotly')} Figure.to_json",
        lean(go.Figure([go.Scatter(x=TEXTS, y=[v for _, v in ONE])])),
        {"y": ONE},
        alt=any_name(ONE, "trace 0", "scatter", "trace_0", "trace 1", "line 1"),
    )


def altair(theme: Theme) -> None:
    chart = alt_chart.Chart(FRAME).mark_line().encode(x="ts:T", y="water_temp:Q")
    theme.add(
        "c",
        "altair, named datasets",
        f"{lib('altair')} Chart.to_json",
        chart.to_json(),
        TRUTH,
        alt=[{"water_temp": ONE}],
        doubt="The encoding draws one of two columns.",
    )
    inline = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": 400,
        "height": 200,
        "data": {"values": ROWS},
        "mark": "line",
        "encoding": {"x": {"field": "ts", "type": "temporal"}, "y": {"field": "water_temp", "type": "quantitative"}},
    }
    theme.add(
        "c", "Vega-Lite data.values", "Vega-Lite documentation, inline data", inline, TRUTH, alt=[{"water_temp": ONE}]
    )
    folded = [{"date": row["ts"], "symbol": name, "reading": row[name]} for row in ROWS for name in NAMES]
    theme.add(
        "c",
        "Vega data sets, long",
        "Vega documentation, data",
        {
            "$schema": "https://vega.github.io/schema/vega/v6.json",
            "width": 400,
            "data": [{"name": "source", "values": folded}],
            "marks": [],
        },
        TRUTH,
    )


def bokeh(theme: Theme) -> None:
    source = ColumnDataSource(FRAME)
    columns = {
        name: [int(v.timestamp() * 1000) for v in FRAME["ts"]] if name == "ts" else [float(v) for v in values]
        for name, values in source.data.items()
        if name != "index"
    }
    theme.add(
        "c",
        "bokeh ColumnDataSource data",
        f"{lib('bokeh')} ColumnDataSource.data",
        {"index": list(range(24)), **columns},
        TRUTH,
    )
    plot = figure(x_axis_type="datetime")
    plot.line("ts", "water_temp", source=source)
    document = json.dumps(json_item(plot))
    theme.add(
        "c",
        "bokeh json_item",
        f"{lib('bokeh')} embed.json_item",
        document,
        TRUTH,
        or_refuse=True,
        alt=[{"water_temp": ONE}],
        doubt="A whole document of models with binary arrays: a refusal is allowed, figures of a tool are not.",
    )


def echarts_python(theme: Theme) -> None:
    line = Line().add_xaxis([text[:19].replace("T", " ") for text in TEXTS])
    for name in NAMES:
        line.add_yaxis(name, FRAME[name].tolist(), label_opts=opts.LabelOpts(is_show=False))
    theme.add(
        "c", "pyecharts line", f"{lib('pyecharts')} dump_options_with_quotes", line.dump_options_with_quotes(), TRUTH
    )
    bar = Bar().add_xaxis(["North", "South", "East", "West"]).add_yaxis("stock", [14, 9.5, 22, 3.25])
    theme.add(
        "c",
        "pyecharts bar over names",
        f"{lib('pyecharts')} dump_options_with_quotes",
        bar.dump_options_with_quotes(),
        {"stock": [(None, value) for value in (14, 9.5, 22, 3.25)]},
    )


def time_charts(theme: Theme) -> None:
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
        [
            {"name": f"Page {letter}", "uv": 4000 - 137 * i, "pv": 2400 + 91 * (i % 3)}
            for i, letter in enumerate("ABCDEFG")
        ],
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


def tools(theme: Theme) -> None:
    theme.add(
        "c",
        "Superset chart data",
        "Apache Superset API, /chart/data",
        {
            "result": [
                {
                    "cache_key": None,
                    "cached_dttm": None,
                    "cache_timeout": 300,
                    "error": None,
                    "rowcount": 24,
                    "status": "success",
                    "from_dttm": None,
                    "colnames": ["ts", *NAMES],
                    "coltypes": [2, 0, 0],
                    "indexnames": list(range(24)),
                    "stacktrace": None,
                    "is_cached": False,
                    "data": [
                        {"ts": float(STAMPS[i]), **{name: row[name] for name in NAMES}} for i, row in enumerate(ROWS)
                    ],
                }
            ]
        },
        TRUTH,
    )
    theme.add(
        "c",
        "Metabase dataset",
        "Metabase API, /api/dataset",
        {
            "data": {
                "rows": [[row["ts"], *(row[name] for name in NAMES)] for row in ROWS],
                "cols": [
                    {
                        "display_name": name,
                        "source": "native",
                        "field_ref": ["field", name, {}],
                        "name": name,
                        "base_type": kind,
                    }
                    for name, kind in (
                        ("ts", "type/DateTimeWithLocalTZ"),
                        ("co2_flow_rate", "type/Float"),
                        ("water_temp", "type/Float"),
                    )
                ],
                "rows_truncated": 2000,
                "results_timezone": "UTC",
            },
            "row_count": 24,
            "running_time": 31,
            "status": "completed",
            "database_id": 2,
        },
        TRUTH,
    )
    theme.add(
        "c",
        "Redash query result",
        "Redash API, query results",
        {
            "query_result": {
                "id": 91,
                "query_hash": "ab",
                "data": {
                    "columns": [
                        {"name": "ts", "friendly_name": "ts", "type": "datetime"},
                        *({"name": name, "friendly_name": name, "type": "float"} for name in NAMES),
                    ],
                    "rows": ROWS,
                },
                "data_source_id": 1,
                "runtime": 0.02,
                "retrieved_at": "2026-09-01T06:00:00Z",
            }
        },
        TRUTH,
    )
    theme.add(
        "c",
        "Cube load",
        "Cube REST API, /v1/load",
        {
            "query": {"measures": ["plant.water_temp"], "timezone": "UTC", "limit": 10000},
            "data": [
                {
                    "plant.ts.minute": iso(row["ts"], 3, ""),
                    "plant.ts": iso(row["ts"], 3, ""),
                    "plant.water_temp": str(row["water_temp"]),
                }
                for row in ROWS
            ],
            "annotation": {"measures": {}},
            "slowQuery": False,
            "total": None,
        },
        {"plant.water_temp": ONE},
        alt=[{"water_temp": ONE}],
    )
    theme.add(
        "c",
        "pivot: one row per series, one column per time",
        "pandas pivot_table, transposed to_dict('records')",
        [{"name": name, **{TEXTS[i]: row[name] for i, row in enumerate(ROWS[:6])}} for name in NAMES],
        {name: points[:6] for name, points in TRUTH.items()},
        or_refuse=True,
        doubt="Six series over two categories is a misreading.",
    )
    theme.add(
        "c",
        "one value",
        "single stat tile",
        {"title": "Level", "value": 4.25, "unit": "m"},
        {"value": [(None, 4.25)]},
        or_refuse=True,
        alt=any_name([(None, 4.25)], "Level"),
        doubt="One number without a time: a chart of one point, or no chart.",
    )
    theme.add(
        "c",
        "numeric axis, descending",
        "depth profile",
        [{"depth_m": 40 - 2 * i, "salinity": value} for i, value in enumerate(wave(21, 35, 0.4))],
        {"salinity": [(None, value) for value in wave(21, 35, 0.4)]},
        or_refuse=True,
        alt=[
            {
                "salinity": [(None, value) for value in wave(21, 35, 0.4)],
                "depth_m": [(None, 40 - 2 * i) for i in range(21)],
            }
        ],
        doubt="Nothing but the name tells that the first column is the axis.",
    )


def build() -> Theme:
    theme = Theme("charts")
    for part in (plotly, altair, bokeh, echarts_python, time_charts, tools):
        part(theme)
    return theme
