"""Charts of Python libraries, and chart libraries whose data has a form of its own: plotly."""

import json

import numpy as np
import plotly.express as px
import plotly.graph_objects as go
from kit import lib

from charts.readings import FRAME, NAMES, ONE, TEXTS, TRUTH, any_name, theme


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
