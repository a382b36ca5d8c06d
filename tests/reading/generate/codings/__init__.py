"""The same rows in every encoding, and in combinations of encodings."""

from importlib import import_module

from kit import Theme

PARTS = (
    "json_writers",
    "packed",
    "binary",
    "tables",
)


def build() -> Theme:
    """Import the parts in order; each adds its cases to the theme."""
    for part in PARTS:
        import_module(f"codings.{part}")
    return import_module("codings.readings").theme
