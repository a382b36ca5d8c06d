"""Columns beside the measurements, odd names and values, and every way to write long rows."""

from importlib import import_module

from kit import Theme

PARTS = (
    "beside",
    "names",
    "values",
    "long_rows",
)


def build() -> Theme:
    """Import the parts in order; each adds its cases to the theme."""
    for part in PARTS:
        import_module(f"columns.{part}")
    return import_module("columns.readings").theme
