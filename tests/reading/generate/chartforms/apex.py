"""The option objects of the large chart libraries, in the data forms that their documentation lists: apex."""

from chartforms.readings import LEVELS, NAMES, STAMPS, TANKS, TEXTS, TRUTH, VALUES, theme

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
        {name: [(None, value) for value in LEVELS]} for name in ("value", "y", "values", "data", "donut", "1", "0", "c")
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
