"""The option objects of the large chart libraries, in the data forms that their documentation lists: highcharts."""

from kit import timeless

from chartforms.readings import BY_NAME, LEVELS, NAMES, STAMPS, TANKS, TEXTS, TRUTH, VALUES, theme

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
