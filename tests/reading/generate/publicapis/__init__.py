"""Answers of public APIs: weather, water, energy, statistics, markets."""

from importlib import import_module

from kit import Theme

PARTS = ("weather", "energy", "statistics")


def build() -> Theme:
    """Import the parts in order; each adds its cases to the theme."""
    for part in PARTS:
        import_module(f"publicapis.{part}")
    return import_module("publicapis.readings").theme
