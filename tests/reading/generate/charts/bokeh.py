"""Charts of Python libraries, and chart libraries whose data has a form of its own: bokeh."""

import json

from bokeh.embed import json_item
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure
from kit import lib

from charts.readings import FRAME, ONE, TRUTH, theme

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
