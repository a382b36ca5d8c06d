"""Helpers of the reader's tests."""

import json
from typing import Any

from shared.errors import NotReady, Rejected
from shared.reading.model import Reading
from shared.reading.overrides import NONE, Override
from shared.reading.read import read_batch, read_chart


def encoded(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def batch(value: Any, override: Override = NONE) -> Reading:
    return read_batch("string", [encoded(value)], override)


def chart(value: Any, override: Override = NONE) -> Reading:
    return read_chart(encoded(value), override)


def values(reading: Reading) -> dict[str, list[float]]:
    return {name: list(series.values) for name, series in reading.series.items()}


def points(reading: Reading) -> dict[str, list[tuple[Any, float]]]:
    return {name: list(zip(series.x, series.values, strict=True)) for name, series in reading.series.items()}


def flat(reading: Reading) -> dict[str, list[tuple[float, str | None, Any]]]:
    """Value, sensor and time of every reading of a batch."""
    return {
        name: list(zip(series.values, series.sensors, series.raw_times, strict=True))
        for name, series in reading.series.items()
    }


def outcome(read: Any, *arguments: Any) -> Any:
    """All that a caller sees, also of a rejection."""
    try:
        reading = read(*arguments)
    except (Rejected, NotReady) as fault:
        return type(fault).__name__, str(fault)
    return (
        [
            (name, series.unit, list(series.values), list(series.x), list(series.raw_times), list(series.sensors))
            for name, series in reading.series.items()
        ],
        dict(reading.rejected),
        reading.x,
    )
