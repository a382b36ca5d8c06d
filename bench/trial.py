"""What a benchmark is made of: trials, which the runner (__main__.py) makes in turns."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

type Figures = Mapping[str, float]
"""What one trial measured, by name with its unit, such as {"events_per_s": 4321.0, "cpu_us_per_event": 180.0}."""


class Size(StrEnum):
    """How much of everything."""

    FULL = "full"
    """What docs/performance.md tells of."""
    QUICK = "quick"
    """Each experiment once, small: to see that all of it runs, and for the test that guards the ratios."""


@dataclass(frozen=True)
class Trial:
    """One consumer under one load: `measure` starts all it needs (its own Redis, on a free port), and ends it."""

    experiment: str
    consumer: str
    parameter: str
    """What is varied, as name=value, or empty."""
    measure: Callable[[], Awaitable[Figures]]
    once: bool = False
    """Whether one run is enough: long ones, whose figure is a slope or a level."""
