"""Devices, gateways and their brokers."""

from importlib import import_module

from kit import Theme

PARTS = (
    "senml",
    "opc_ua",
    "lorawan",
    "brokers",
)


def build() -> Theme:
    """Import the parts in order; each adds its cases to the theme."""
    for part in PARTS:
        import_module(f"devices.{part}")
    return import_module("devices.readings").theme
