"""Answers of cloud services and query APIs."""

from importlib import import_module

from kit import Theme

PARTS = (
    "azure",
    "microsoft_data",
    "google_and_aws",
    "open_data",
)


def build() -> Theme:
    """Import the parts in order; each adds its cases to the theme."""
    for part in PARTS:
        import_module(f"services.{part}")
    return import_module("services.readings").theme
