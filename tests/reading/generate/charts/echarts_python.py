"""Charts of Python libraries, and chart libraries whose data has a form of its own: echarts python."""

from kit import lib
from pyecharts import options as opts
from pyecharts.charts import Bar, Line

from charts.readings import FRAME, NAMES, TEXTS, TRUTH, theme

line = Line().add_xaxis([text[:19].replace("T", " ") for text in TEXTS])
for name in NAMES:
    line.add_yaxis(name, FRAME[name].tolist(), label_opts=opts.LabelOpts(is_show=False))
theme.add("c", "pyecharts line", f"{lib('pyecharts')} dump_options_with_quotes", line.dump_options_with_quotes(), TRUTH)
bar = Bar().add_xaxis(["North", "South", "East", "West"]).add_yaxis("stock", [14, 9.5, 22, 3.25])
theme.add(
    "c",
    "pyecharts bar over names",
    f"{lib('pyecharts')} dump_options_with_quotes",
    bar.dump_options_with_quotes(),
    {"stock": [(None, value) for value in (14, 9.5, 22, 3.25)]},
)
