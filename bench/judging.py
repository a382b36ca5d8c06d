"""What a goal is: a value computed from the figures of a set, a bound, and whether it is met."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from bench.results import Series

type Runs = Mapping[Series, Mapping[int, float]]
"""The value of each series in each run."""
type Value = Callable[[Runs], float]
"""Computes a value. Raises KeyError if one of its figures was not measured."""


class Verdict(StrEnum):
    MET = "met"
    NOT_MET = "not met"
    NOT_MEASURED = "not measured"


class Bound(StrEnum):
    AT_LEAST = "at least"
    AT_MOST = "at most"


@dataclass(frozen=True)
class Goal:
    name: str
    text: str
    value: Value
    direction: Bound
    bound: float
    unit: str = ""
    """Unit of value and bound; empty for a ratio."""
    before: str = ""
    """Its value before the work on issue 16, where it was measured."""


@dataclass(frozen=True)
class Judged:
    goal: Goal
    value: float | None
    """None if it was not measured."""
    verdict: Verdict


def figure(series: Series) -> Value:
    return lambda runs: median(runs[series].values())


def ratio(above: Series, below: Series) -> Value:
    return lambda runs: figure(above)(runs) / figure(below)(runs)


def worst_ratio(above: Series, below: Series) -> Value:
    """The largest value of any run over a median."""
    return lambda runs: max(runs[above].values()) / figure(below)(runs)


def least_ratio_in_a_run(above: Series, below: Series) -> Value:
    """The least of the ratios of two values of the same run. Raises ValueError if no run has both."""
    return lambda runs: min(runs[above][run] / runs[below][run] for run in runs[above].keys() & runs[below].keys())


def least(*values: Value) -> Value:
    return lambda runs: min(value(runs) for value in values)


def largest(*values: Value) -> Value:
    return lambda runs: max(value(runs) for value in values)


def largest_measured(*series: Series) -> Value:
    """The largest median of those series that were measured. Raises KeyError if none was."""

    def value(runs: Runs) -> float:
        measured = []
        for of_series in series:
            with suppress(KeyError):
                measured.append(figure(of_series)(runs))
        if not measured:
            raise KeyError(series)
        return max(measured)

    return value


def judge(goal: Goal, runs: Runs) -> Judged:
    try:
        value = goal.value(runs)
    except KeyError:
        return Judged(goal, None, Verdict.NOT_MEASURED)
    met = value >= goal.bound if goal.direction is Bound.AT_LEAST else value <= goal.bound
    return Judged(goal, value, Verdict.MET if met else Verdict.NOT_MET)
