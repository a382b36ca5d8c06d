"""Trials, the units of the benchmark, which the runner (__main__.py) runs alternately."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

type Figures = Mapping[str, float]
"""The figures of a trial by name, with the unit in the name: {"events_per_s": 4321.0, "cpu_us_per_event": 180.0}."""


class Size(StrEnum):
    """The size of the trials."""

    FULL = "full"
    """The size of docs/performance.md."""
    QUICK = "quick"
    """Small, to check that every experiment works."""


@dataclass(frozen=True)
class Trial:
    """One consumer under one load. `measure` starts and ends all processes, including a Redis on a free port."""

    experiment: str
    consumer: str
    parameter: str
    """The varied parameter as name=value, or empty."""
    measure: Callable[[], Awaitable[Figures]]
    once: bool = False
    """Whether one run is enough: for long trials, whose figure is a slope or a level."""
