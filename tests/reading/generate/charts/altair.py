"""Charts of Python libraries, and chart libraries whose data has a form of its own: altair."""

import altair as alt_chart
from kit import lib

from charts.readings import FRAME, NAMES, ONE, ROWS, TRUTH, theme

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
