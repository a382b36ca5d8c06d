"""Shapes of Redis that any client writes, and forms that other platforms' caches are known to use."""

from importlib import import_module

from kit import Theme

PARTS = (
    "small_shapes",
    "other_platforms",
    "private_forms",
)


def build() -> Theme:
    """Import the parts in order; each adds its cases to the theme."""
    for part in PARTS:
        import_module(f"platforms.{part}")
    return import_module("platforms.readings").theme
