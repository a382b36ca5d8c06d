"""Payloads that a careless reader misreads without a word."""

from importlib import import_module

from kit import Theme

PARTS = (
    "numbers_that_are_no_measurements",
    "axes",
    "labels",
    "texts",
    "tables_beside",
)


def build() -> Theme:
    """Import the parts in order; each adds its cases to the theme."""
    for part in PARTS:
        import_module(f"traps.{part}")
    return import_module("traps.readings").theme
