"""The option objects of the large chart libraries, in the data forms that their documentation lists."""

from importlib import import_module

from kit import Theme

PARTS = (
    "chart_js",
    "highcharts",
    "echarts",
    "apex",
    "columns",
)


def build() -> Theme:
    """Import the parts in order; each adds its cases to the theme."""
    for part in PARTS:
        import_module(f"chartforms.{part}")
    return import_module("chartforms.readings").theme
