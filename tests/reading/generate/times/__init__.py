"""One table in every form of time that libraries write."""

from importlib import import_module

from kit import Theme

PARTS = (
    "forms",
    "noon_to_midnight",
    "dates",
    "steps",
    "two_times",
)


def build() -> Theme:
    """Import the parts in order; each adds its cases to the theme."""
    for part in PARTS:
        import_module(f"times.{part}")
    return import_module("times.readings").theme
