"""What the data frame libraries write."""

from importlib import import_module

from kit import Theme

PARTS = (
    "pandas_orients",
    "pandas_values",
    "pandas_sizes",
    "polars",
    "others",
)


def build() -> Theme:
    """Import the parts in order; each adds its cases to the theme."""
    for part in PARTS:
        import_module(f"dataframes.{part}")
    return import_module("dataframes.readings").theme
