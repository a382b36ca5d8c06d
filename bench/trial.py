"""Trials, the units of the benchmark, which the runner (__main__.py) runs alternately."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

type Figures = Mapping[str, float]
"""The figures of a trial by name, with the unit in the name: {"events_per_s": 4321.0, "cpu_us_per_event": 180.0}."""

REAL_OVERHEAD_MS = 0.65
"""Between two invocations of a function on the real host, recorded (p50) with one busy function."""


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
    """The varied parameters as name=value, separated by spaces, or empty."""
    measure: Callable[[], Awaitable[Figures]]
    runs: int | None = None
    """How often it runs, if not as often as the others: 1 for long trials, whose figure is a slope or a level."""
    overhead_ms: float | None = None
    """Invocation overhead of the local host; None if it does not run one."""


@dataclass(frozen=True)
class Plan:
    """What all experiments have in common."""

    size: Size
    overhead_ms: float = REAL_OVERHEAD_MS

    def hosted(
        self,
        experiment: str,
        consumer: str,
        parameter: str,
        measure: Callable[..., Awaitable[Figures]],
        *,
        runs: int | None = None,
        overhead_ms: float | None = None,
    ) -> Trial:
        """A trial of a function app on the local host. `measure` gets `overhead_ms`, which is the plan's by default."""
        overhead_ms = self.overhead_ms if overhead_ms is None else overhead_ms
        return Trial(experiment, consumer, parameter, partial(measure, overhead_ms=overhead_ms), runs, overhead_ms)
