"""Charts of Python libraries, and chart libraries whose data has a form of its own."""

from importlib import import_module

from kit import Theme

PARTS = (
    "plotly",
    "altair",
    "bokeh",
    "echarts_python",
    "time_charts",
    "tools",
)


def build() -> Theme:
    """Import the parts in order; each adds its cases to the theme."""
    for part in PARTS:
        import_module(f"charts.{part}")
    return import_module("charts.readings").theme
