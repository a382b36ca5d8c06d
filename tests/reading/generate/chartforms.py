"""The option objects of the large chart libraries, in the data forms that their documentation lists."""

from typing import Any

import pandas as pd
from kit import Row, Theme, Truth, epoch_ms, iso, rename, rows, table, timeless, wave, wide

FRAME = table({"Inlet °C": wave(16, 33, 3), "Outlet °C": wave(16, 29, 2, 1)}, start="2026-12-31T22:00:00Z", step_s=900)
TRUTH = wide(FRAME)
ROWS: list[Row] = rows(FRAME)
NAMES = ("Inlet °C", "Outlet °C")
TEXTS = [row["ts"] for row in ROWS]
STAMPS = [epoch_ms(text) for text in TEXTS]
VALUES = {name: [row[name] for row in ROWS] for name in NAMES}
CLOCK = [text[11:16] for text in TEXTS]
TANKS = ["Tank 1", "Tank 2", "Tank 3", "Tank 4"]
LEVELS = [3.5, 2.25, 9.0, 7.75]
BY_NAME: Truth = {"Level": [(None, value) for value in LEVELS]}


def chart_js(theme: Theme) -> None:
    style = {"borderColor": "rgb(75, 192, 192)", "tension": 0.1, "borderWidth": 2, "pointRadius": 0}
    data = {"labels": TEXTS, "datasets": [{"label": name, "data": VALUES[name], **style} for name in NAMES]}
    theme.add(
        "c",
        "Chart.js configuration",
        "Chart.js documentation, configuration",
        {
            "type": "line",
            "data": data,
            "options": {
                "responsive": True,
                "scales": {"y": {"min": 0, "max": 50}},
                "plugins": {"legend": {"position": "top"}},
            },
        },
        TRUTH,
    )
    holes: dict[str, list[Any]] = {name: list(values) for name, values in VALUES.items()}
    holes["Inlet °C"][4] = None
    theme.add(
        "c",
        "Chart.js with a gap",
        "Chart.js documentation, data structures",
        {"labels": STAMPS, "datasets": [{"label": name, "data": holes[name]} for name in NAMES]},
        {**TRUTH, "Inlet °C": [point for i, point in enumerate(TRUTH["Inlet °C"]) if i != 4]},
    )
    theme.add(
        "c",
        "Chart.js points of epoch ms",
        "Chart.js documentation, data structures, Object[]",
        {
            "datasets": [
                {"label": name, "data": [{"x": STAMPS[i], "y": value} for i, value in enumerate(VALUES[name])]}
                for name in NAMES
            ]
        },
        TRUTH,
    )
    theme.add(
        "c",
        "Chart.js points as pairs",
        "Chart.js documentation, data structures",
        {
            "datasets": [
                {"label": name, "data": [[STAMPS[i], value] for i, value in enumerate(VALUES[name])]} for name in NAMES
            ]
        },
        TRUTH,
    )
    theme.add(
        "c",
        "Chart.js parsing keys",
        "Chart.js documentation, parsing",
        {
            "type": "line",
            "data": {
                "datasets": [
                    {
                        "label": name,
                        "data": [
                            {"when": TEXTS[i], "nested": {"value": value}} for i, value in enumerate(VALUES[name])
                        ],
                        "parsing": {"xAxisKey": "when", "yAxisKey": "nested.value"},
                    }
                    for name in NAMES
                ]
            },
        },
        TRUTH,
    )
    theme.add(
        "c",
        "Chart.js data as one object",
        "Chart.js documentation, data structures, Object",
        {"datasets": [{"label": name, "data": dict(zip(TEXTS, VALUES[name], strict=True))} for name in NAMES]},
        TRUTH,
    )
    theme.add(
        "c",
        "Chart.js scatter, numeric axis",
        "Chart.js documentation, scatter",
        {
            "datasets": [
                {"label": "curve", "data": [{"x": i / 2 - 3, "y": value} for i, value in enumerate(wave(16, 5, 2))]}
            ]
        },
        {"curve": [(None, value) for value in wave(16, 5, 2)]},
    )
    theme.add(
        "c",
        "Chart.js over times of day",
        "Chart.js documentation, labels",
        {"labels": CLOCK, "datasets": [{"label": name, "data": VALUES[name]} for name in NAMES]},
        timeless(TRUTH),
        doubt="A time of day has no date: categories.",
    )
    theme.add(
        "c",
        "Chart.js over months",
        "Chart.js documentation, line chart",
        {
            "labels": ["January", "February", "March", "April"],
            "datasets": [{"label": "Level", "data": LEVELS, "backgroundColor": ["red", "blue", "green", "black"]}],
        },
        BY_NAME,
    )
    theme.add(
        "c",
        "Chart.js, one dataset without a label",
        "Chart.js documentation, data structures",
        {"labels": TEXTS, "datasets": [{"data": VALUES["Inlet °C"]}]},
        {"value": TRUTH["Inlet °C"]},
        alt=[
            {name: TRUTH["Inlet °C"]}
            for name in (
                "data",
                "y",
                "values",
                "series",
                "series 1",
                "0",
                "1",
                "c",
                "datasets",
                "dataset 1",
                "dataset_1",
                "series_1",
                "v",
            )
        ],
    )
    theme.add(
        "c",
        "Frappe Charts",
        "Frappe Charts documentation",
        {
            "labels": TEXTS,
            "datasets": [{"name": name, "type": "line", "values": VALUES[name]} for name in NAMES],
            "yMarkers": [{"label": "Limit", "value": 40}],
        },
        TRUTH,
    )
    theme.add(
        "c",
        "Chartist with names",
        "Chartist, series with meta",
        {"labels": TEXTS, "series": [{"name": name, "data": VALUES[name]} for name in NAMES]},
        TRUTH,
    )


def highcharts(theme: Theme) -> None:
    theme.add(
        "c",
        "Highcharts start and interval",
        "Highcharts API, plotOptions.series.pointStart",
        {
            "xAxis": {"type": "datetime"},
            "plotOptions": {"series": {"pointStart": STAMPS[0], "pointInterval": 900_000}},
            "series": [{"name": name, "data": VALUES[name]} for name in NAMES],
        },
        TRUTH,
        alt=[timeless(TRUTH)],
        doubt="The times follow from pointStart and pointInterval; a numeric axis is a weaker reading.",
    )
    theme.add(
        "c",
        "Highcharts objects with style",
        "Highcharts API, series.line.data",
        {
            "series": [
                {
                    "type": "spline",
                    "name": name,
                    "data": [
                        {"x": STAMPS[i], "y": value, "color": "#BF0B23", "marker": {"radius": 4}}
                        for i, value in enumerate(VALUES[name])
                    ],
                }
                for name in NAMES
            ]
        },
        TRUTH,
    )
    theme.add(
        "c",
        "Highcharts categories",
        "Highcharts API, xAxis.categories",
        {
            "chart": {"type": "column", "height": 400},
            "xAxis": {"categories": TANKS},
            "series": [{"name": "Level", "data": LEVELS}],
        },
        BY_NAME,
    )
    theme.add(
        "c",
        "Highcharts pie",
        "Highcharts API, series.pie.data",
        {
            "series": [
                {
                    "name": "Level",
                    "colorByPoint": True,
                    "data": [
                        {"name": tank, "y": level, "sliced": i == 0}
                        for i, (tank, level) in enumerate(zip(TANKS, LEVELS, strict=True))
                    ],
                }
            ]
        },
        BY_NAME,
    )
    theme.add(
        "c",
        "Highcharts named pairs",
        "Highcharts API, series.column.data",
        {"series": [{"name": "Level", "data": [[tank, level] for tank, level in zip(TANKS, LEVELS, strict=True)]}]},
        BY_NAME,
    )
    theme.add(
        "c",
        "Highcharts data columns",
        "Highcharts API, data.columns",
        {"data": {"columns": [["x", *STAMPS], *([name, *VALUES[name]] for name in NAMES)]}},
        TRUTH,
    )
    theme.add(
        "c",
        "Highcharts data rows",
        "Highcharts API, data.rows",
        {"data": {"rows": [["Time", *NAMES], *([TEXTS[i], *(VALUES[name][i] for name in NAMES)] for i in range(16))]}},
        TRUTH,
    )
    bands = [[STAMPS[i], round(value - 1, 2), round(value + 1, 2)] for i, value in enumerate(VALUES["Inlet °C"])]
    low = [(stamp, value) for stamp, value, _ in bands]
    high = [(stamp, value) for stamp, _, value in bands]
    theme.add(
        "c",
        "Highcharts range of low and high",
        "Highcharts API, series.arearange.data",
        {"series": [{"type": "arearange", "name": "band", "data": bands}]},
        {"band.low": low, "band.high": high},
        or_refuse=True,
        alt=[
            {"band 1": low, "band 2": high},
            {"low": low, "high": high},
            {"band.1": low, "band.2": high},
            {"band_1": low, "band_2": high},
            {"band[1]": low, "band[2]": high},
            {"band": low, "band 2": high},
            {"band.0": low, "band.1": high},
        ],
        doubt="Two values a point; the low values alone under the name `band` would be a misreading.",
    )


def echarts(theme: Theme) -> None:
    theme.add(
        "c",
        "ECharts dataset, objects and dimensions",
        "Apache ECharts handbook, dataset",
        {
            "dataset": {"dimensions": ["ts", *NAMES], "source": ROWS},
            "xAxis": {"type": "time"},
            "yAxis": {},
            "series": [{"type": "line"}, {"type": "line"}],
        },
        TRUTH,
    )
    theme.add(
        "c",
        "ECharts dataset, rows with a header",
        "Apache ECharts handbook, dataset",
        {
            "legend": {},
            "dataset": {
                "source": [["ts", *NAMES], *([TEXTS[i], *(VALUES[name][i] for name in NAMES)] for i in range(16))]
            },
            "xAxis": {"type": "time"},
            "series": [{"type": "line"}, {"type": "line"}],
        },
        TRUTH,
    )
    theme.add(
        "c",
        "ECharts dataset, columns",
        "Apache ECharts handbook, dataset",
        {"dataset": {"source": {"ts": TEXTS, **VALUES}}, "xAxis": {"type": "time"}},
        TRUTH,
    )
    theme.add(
        "c",
        "ECharts series of pairs",
        "Apache ECharts option, series-line.data",
        {
            "tooltip": {"trigger": "axis"},
            "grid": {"left": 40, "right": 20, "top": 10},
            "dataZoom": [{"start": 0, "end": 100}],
            "xAxis": {"type": "time"},
            "series": [
                {"name": name, "type": "line", "data": [[TEXTS[i], value] for i, value in enumerate(VALUES[name])]}
                for name in NAMES
            ],
        },
        TRUTH,
    )
    theme.add(
        "c",
        "ECharts series of value objects",
        "Apache ECharts option, series-line.data",
        {
            "xAxis": {"type": "time"},
            "series": [
                {
                    "name": name,
                    "type": "line",
                    "data": [{"name": TEXTS[i], "value": [STAMPS[i], value]} for i, value in enumerate(VALUES[name])],
                }
                for name in NAMES
            ],
        },
        TRUTH,
    )
    theme.add(
        "c",
        "ECharts category axis of names",
        "Apache ECharts handbook, bar",
        {
            "xAxis": [{"type": "category", "data": TANKS}],
            "yAxis": [{"type": "value", "min": 0, "max": 10}],
            "series": [{"name": "Level", "type": "bar", "data": LEVELS, "barWidth": 40}],
        },
        BY_NAME,
    )
    theme.add(
        "c",
        "ECharts pie",
        "Apache ECharts handbook, pie",
        {
            "series": [
                {
                    "type": "pie",
                    "name": "Level",
                    "radius": ["40%", "70%"],
                    "data": [{"value": level, "name": tank} for tank, level in zip(TANKS, LEVELS, strict=True)],
                }
            ]
        },
        BY_NAME,
    )
    theme.add(
        "c",
        "ECharts with gaps as dashes",
        "Apache ECharts option, empty data",
        {
            "xAxis": {"type": "category", "data": TEXTS},
            "series": [
                {
                    "name": name,
                    "type": "line",
                    "data": ["-" if i == 3 else value for i, value in enumerate(VALUES[name])],
                }
                for name in NAMES
            ],
        },
        {name: [point for i, point in enumerate(points) if i != 3] for name, points in TRUTH.items()},
    )
    theme.add(
        "c",
        "ECharts mark line beside the data",
        "Apache ECharts option, markLine",
        {
            "xAxis": {"data": TEXTS},
            "series": [
                {
                    "name": NAMES[0],
                    "type": "line",
                    "data": VALUES[NAMES[0]],
                    "markLine": {"data": [{"yAxis": 40, "name": "limit"}]},
                    "markPoint": {"data": [{"type": "max", "name": "Max"}]},
                }
            ],
        },
        {NAMES[0]: TRUTH[NAMES[0]]},
    )


def apex(theme: Theme) -> None:
    theme.add(
        "c",
        "ApexCharts categories of dates",
        "ApexCharts documentation, series",
        {
            "chart": {"height": 350, "type": "line"},
            "series": [{"name": name, "data": VALUES[name]} for name in NAMES],
            "xaxis": {"type": "datetime", "categories": TEXTS},
        },
        TRUTH,
    )
    theme.add(
        "c",
        "ApexCharts pairs",
        "ApexCharts documentation, series",
        {
            "series": [
                {"name": name, "data": [[STAMPS[i], value] for i, value in enumerate(VALUES[name])]} for name in NAMES
            ],
            "xaxis": {"type": "datetime"},
        },
        TRUTH,
    )
    theme.add(
        "c",
        "ApexCharts donut",
        "ApexCharts documentation, pie",
        {"series": LEVELS, "labels": TANKS, "chart": {"type": "donut", "width": 380}},
        {"series": [(None, value) for value in LEVELS]},
        alt=[
            {name: [(None, value) for value in LEVELS]}
            for name in ("value", "y", "values", "data", "donut", "1", "0", "c")
        ],
    )
    theme.add(
        "c",
        "ApexCharts options beside series",
        "react-apexcharts props",
        {
            "options": {"xaxis": {"categories": TEXTS}, "stroke": {"width": 2}},
            "series": [{"name": name, "data": VALUES[name]} for name in NAMES],
        },
        TRUTH,
    )


def columns(theme: Theme) -> None:
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
        timeless(
            {"Sales": [(0, v) for v in (1000, 1170, 660, 1030)], "Expenses": [(0, v) for v in (400, 460, 1120, 540)]}
        ),
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
            "dataset": [
                {"seriesname": name, "data": [{"value": str(value)} for value in VALUES[name]]} for name in NAMES
            ],
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


def stamp_at(position: int) -> pd.Timestamp:
    return pd.Timestamp(STAMPS[position], unit="ms", tz="UTC")


def build() -> Theme:
    theme = Theme("chartforms")
    for part in (chart_js, highcharts, echarts, apex, columns):
        part(theme)
    return theme
