"""What styles a chart, beside its data."""

from lookalikes.readings import FLOW, ISO, MS, SPACED, TEMP, TWO, N, theme, truth

PAIRS = [[MS[i], TEMP[i]] for i in range(N)]
ONE = truth(temp=TEMP)


def add(name, source, payload, expected, **how):
    theme.add("c", name, source, payload, expected, **how)


add(
    "Chart.js point radius",
    "Chart.js",
    {
        "labels": ISO,
        "datasets": [
            {
                "label": "temp",
                "data": TEMP,
                "pointRadius": [3] * N,
                "borderWidth": 2,
                "pointHoverRadius": [5] * N,
                "order": 1,
            },
            {"label": "flow", "data": FLOW, "pointRadius": [2] * N, "pointBorderWidth": [1] * N},
        ],
    },
    TWO,
)
add(
    "Chart.js segment widths",
    "Chart.js",
    {
        "type": "line",
        "data": {
            "labels": ISO,
            "datasets": [{"label": "temp", "data": TEMP, "borderWidth": [1, 2] * 6, "rotation": [0] * N}],
        },
    },
    ONE,
)
add(
    "Plotly text and sizes",
    "plotly.js",
    {
        "data": [
            {
                "type": "scatter",
                "name": "temp",
                "x": SPACED,
                "y": TEMP,
                "text": [f"{value:.1f}" for value in TEMP],
                "marker": {"size": [6] * N, "color": TEMP},
                "customdata": list(range(N)),
            }
        ]
    },
    ONE,
)
add(
    "Plotly numbers as text",
    "plotly.js",
    {
        "data": [
            {
                "name": "temp",
                "x": SPACED,
                "y": TEMP,
                "text": FLOW,
                "hovertext": FLOW,
                "width": [1] * N,
                "ids": list(range(N)),
            }
        ],
        "layout": {},
    },
    ONE,
)
add(
    "Highcharts error bars",
    "Highcharts",
    {
        "series": [
            {"name": "temp", "data": PAIRS},
            {"name": "temp error", "type": "errorbar", "data": [[MS[i], TEMP[i] - 1, TEMP[i] + 1] for i in range(N)]},
        ]
    },
    ONE,
    or_refuse=True,
)
add(
    "Highcharts flags",
    "Highcharts",
    {
        "series": [
            {"name": "temp", "data": PAIRS},
            {"type": "flags", "data": [{"x": MS[2], "title": "A"}, {"x": MS[5], "title": "B"}]},
        ]
    },
    ONE,
)
add(
    "Highcharts zones",
    "Highcharts",
    {
        "series": [
            {
                "name": "temp",
                "data": PAIRS,
                "zones": [{"value": 40, "color": "#f00"}, {"value": 42, "color": "#fa0"}, {"color": "#0a0"}],
            }
        ]
    },
    ONE,
)
add(
    "Highcharts plot lines",
    "Highcharts",
    {
        "yAxis": {"plotLines": [{"value": 45, "width": 2}, {"value": 38, "width": 2}]},
        "series": [{"name": "temp", "data": PAIRS}],
    },
    ONE,
)
add(
    "ECharts symbol sizes",
    "Apache ECharts",
    {
        "xAxis": {"type": "time"},
        "yAxis": {"type": "value"},
        "series": [
            {
                "name": "temp",
                "type": "line",
                "symbolSize": 4,
                "data": PAIRS,
                "markLine": {"data": [{"yAxis": 45}, {"yAxis": 38}]},
            }
        ],
    },
    ONE,
)
add(
    "sensors, times and a matrix",
    "hand-written service",
    {"sensors": ["temp", "flow"], "times": ISO, "values": [TEMP, FLOW]},
    TWO,
)
add(
    "a matrix by time",
    "hand-written service",
    {"sensors": ["temp", "flow"], "times": ISO, "values": [[TEMP[i], FLOW[i]] for i in range(N)]},
    TWO,
)
add(
    "ApexCharts annotations",
    "ApexCharts",
    {
        "series": [{"name": "temp", "data": PAIRS}],
        "stroke": {"width": [2, 3]},
        "markers": {"size": [4, 5]},
        "annotations": {"yaxis": [{"y": 45}, {"y": 38}]},
    },
    ONE,
)
bars = {"A": 4.5, "B": 7.25, "C": 1.0}
add(
    "ECharts horizontal bars",
    "Apache ECharts",
    {
        "xAxis": {"type": "value"},
        "yAxis": {"type": "category", "data": list(bars)},
        "series": [{"name": "level", "type": "bar", "data": list(bars.values())}],
    },
    {"level": [(None, value) for value in bars.values()]},
)
