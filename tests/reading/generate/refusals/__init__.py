"""What must not be read: formats refused by name, broken documents, errors, placeholders."""

from importlib import import_module

from kit import Theme

PARTS = (
    "formats",
    "broken",
    "errors",
    "placeholders",
)


def build() -> Theme:
    """Import the parts in order; each adds its cases to the theme."""
    for part in PARTS:
        import_module(f"refusals.{part}")
    return import_module("refusals.readings").theme
