"""Answers of databases: time series, document stores, SQL drivers."""

from importlib import import_module

from kit import Theme

PARTS = (
    "influx",
    "time_series",
    "documents",
    "sql",
)


def build() -> Theme:
    """Import the parts in order; each adds its cases to the theme."""
    for part in PARTS:
        import_module(f"databases.{part}")
    return import_module("databases.readings").theme
