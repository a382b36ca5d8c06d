"""The option objects of the large chart libraries, in the data forms that their documentation lists: echarts."""

from chartforms.readings import BY_NAME, LEVELS, NAMES, ROWS, STAMPS, TANKS, TEXTS, TRUTH, VALUES, theme

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
        "dataset": {"source": [["ts", *NAMES], *([TEXTS[i], *(VALUES[name][i] for name in NAMES)] for i in range(16))]},
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
