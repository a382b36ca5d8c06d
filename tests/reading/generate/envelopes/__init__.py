"""Rows below members: what web frameworks and APIs wrap around them."""

from importlib import import_module

from kit import Theme

PARTS = (
    "python_frameworks",
    "django",
    "web_forms",
)


def build() -> Theme:
    """Import the parts in order; each adds its cases to the theme."""
    for part in PARTS:
        import_module(f"envelopes.{part}")
    return import_module("envelopes.readings").theme
