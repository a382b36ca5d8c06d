"""Monitoring systems, historians and home automation."""

from importlib import import_module

from kit import Theme

PARTS = (
    "prometheus",
    "grafana",
    "historians",
    "homes",
    "gauges",
)


def build() -> Theme:
    """Import the parts in order; each adds its cases to the theme."""
    for part in PARTS:
        import_module(f"monitoring.{part}")
    return import_module("monitoring.readings").theme
