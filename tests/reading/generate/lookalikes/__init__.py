"""Payloads that look like readings and are not, or hold readings beside numbers that look like them."""

from importlib import import_module

from kit import Theme

PARTS = ("codes", "stamps", "lone_objects", "places", "limits_and_quality", "zones", "drawings", "preambles", "clear")


def build() -> Theme:
    """Import the parts in order; each adds its cases to the theme."""
    for part in PARTS:
        import_module(f"lookalikes.{part}")
    return import_module("lookalikes.readings").theme
