"""The option objects of the large chart libraries, in the data forms that their documentation lists: chart js."""

from typing import Any

from kit import timeless, wave

from chartforms.readings import BY_NAME, CLOCK, LEVELS, NAMES, STAMPS, TEXTS, TRUTH, VALUES, theme

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
                    "data": [{"when": TEXTS[i], "nested": {"value": value}} for i, value in enumerate(VALUES[name])],
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
