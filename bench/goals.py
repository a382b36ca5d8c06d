"""Goals: each has a value computed from the medians of a set, and a bound; and whether they are met."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from bench.results import Series

type Medians = Mapping[Series, float]
type Value = Callable[[Medians], float]
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


@dataclass(frozen=True)
class Judged:
    goal: Goal
    value: float | None
    """None if it was not measured."""
    verdict: Verdict


def figure(series: Series) -> Value:
    return lambda medians: medians[series]


def ratio(above: Series, below: Series) -> Value:
    return lambda medians: medians[above] / medians[below]


def least(*values: Value) -> Value:
    return lambda medians: min(value(medians) for value in values)


def largest(*values: Value) -> Value:
    return lambda medians: max(value(medians) for value in values)


def _burst(consumer: str, processes: int, name: str = "events_per_s") -> Series:
    return Series("burst", consumer, f"processes={processes}", name)


def _drain(consumer: str, processes: int) -> Series:
    return Series("drain", consumer, f"processes={processes}", "events_per_s")


def _of_app(experiment: str, parameter: str, name: str) -> Series:
    return Series(experiment, "app", parameter, name)


def _to_naive(experiment: str, parameter: str, name: str) -> Value:
    return ratio(Series(experiment, "app", parameter, name), Series(experiment, "naive", parameter, name))


QUEUES = ("saq", "taskiq", "arq", "dramatiq", "celery", "rq")
_KEYS = ("keys=10000", "keys=100000", "keys=1000000")
_EVENTS = "events=1000000"

_KEYS_AT_REST = ("sessions=100000", "batches=50000", "foreign=1000000")
GOALS = (
    Goal(
        "burst",
        "events/s of the app over naive's, 1 process",
        _to_naive("burst", "processes=1", "events_per_s"),
        Bound.AT_LEAST,
        3.5,
    ),
    Goal(
        "burst, 2 processes",
        "events/s of the app with 2 processes over 1",
        ratio(_burst("app", 2), _burst("app", 1)),
        Bound.AT_LEAST,
        1.4,
    ),
    Goal(
        "burst, overhead",
        "with 0.5 ms more for each invocation, events/s of the app over naive's",
        _to_naive("burst-overhead", "processes=1", "events_per_s"),
        Bound.AT_LEAST,
        7,
    ),
    *(
        Goal(
            f"burst, {name}, {processes} process" + "es" * (processes > 1),
            f"events/s of the app over those of FastStream {how}",
            ratio(_burst("app", processes), _burst(name, processes)),
            Bound.AT_LEAST,
            bound,
        )
        for name, how, bound in (
            ("faststream-bridge", "behind a key-event bridge", 1.5),
            ("faststream", "fed by its producer", 1.1),
        )
        for processes in (1, 2)
    ),
    Goal(
        "burst, queues",
        "events/s of the app over the fastest task queue's, 1 process",
        least(*(ratio(_burst("app", 1), _burst(queue, 1)) for queue in QUEUES)),
        Bound.AT_LEAST,
        4,
    ),
    Goal(
        "burst, cpu",
        "CPU per event of the app over naive's, until idle, 1 process",
        _to_naive("burst", "processes=1", "cpu_us_per_event_drained"),
        Bound.AT_MOST,
        0.35,
    ),
    Goal(
        "burst, limit",
        "CPU per event of the app over the hand-written consumer's, to the last result, 1 process",
        ratio(_burst("app", 1, "cpu_us_per_event"), _burst("handwritten", 1, "cpu_us_per_event")),
        Bound.AT_MOST,
        1.5,
    ),
    Goal(
        "drain",
        "events/s of one host over those of the analysis in a loop, without Redis",
        ratio(_drain("app", 1), _drain("analysis", 1)),
        Bound.AT_LEAST,
        0.5,
    ),
    Goal(
        "drain, 2 hosts",
        "events/s of two hosts over one",
        ratio(_drain("app", 2), _drain("app", 1)),
        Bound.AT_LEAST,
        1.6,
    ),
    Goal(
        "steady, p50",
        "p50 of the app over naive's",
        _to_naive("steady", "events_per_s=200", "p50_ms"),
        Bound.AT_MOST,
        1.3,
    ),
    Goal(
        "steady, p99",
        "p99 of the app over naive's",
        _to_naive("steady", "events_per_s=200", "p99_ms"),
        Bound.AT_MOST,
        2,
    ),
    Goal(
        "charts, each once",
        "updates/s of the app over naive's: 5,000 charts of 1,000 points, to the last cache",
        _to_naive("charts", "charts=5000", "events_per_s"),
        Bound.AT_LEAST,
        2,
    ),
    Goal(
        "charts, 10 rounds",
        "updates/s of the app over naive's: 500 charts of 1,000 points in 10 rounds, until idle",
        _to_naive("charts", "charts=500", "events_per_s"),
        Bound.AT_LEAST,
        2,
    ),
    Goal(
        "sessions",
        "events/s of the app over naive's",
        _to_naive("sessions", "", "events_per_s"),
        Bound.AT_LEAST,
        1,
    ),
    Goal(
        "growth, sweep",
        "time of a sweep among 1,000,000 keys over one among 100,000: at the worst linear",
        ratio(_of_app("growth-keys", _KEYS[2], "sweep_s"), _of_app("growth-keys", _KEYS[1], "sweep_s")),
        Bound.AT_MOST,
        10,
    ),
    Goal(
        "growth, command",
        "longest single command of a sweep",
        largest(*(figure(_of_app("growth-keys", keys, "longest_command_ms")) for keys in _KEYS)),
        Bound.AT_MOST,
        5,
        "ms",
    ),
    Goal(
        "growth, memory",
        "memory of a host after 1,000,000 events over that after 100,000",
        ratio(_of_app("growth-events", _EVENTS, "rss_mb"), _of_app("growth-events", _EVENTS, "rss_mb_at_tenth")),
        Bound.AT_MOST,
        1.05,
    ),
    Goal(
        "cold start, import",
        "import of function_app",
        figure(_of_app("cold-start", "", "import_ms")),
        Bound.AT_MOST,
        250,
        "ms",
    ),
    Goal(
        "cold start, first event",
        "first event answered after that",
        figure(_of_app("cold-start", "", "first_event_ms")),
        Bound.AT_MOST,
        50,
        "ms",
    ),
    Goal(
        "idle, cpu",
        "CPU of one core",
        figure(_of_app("idle", "", "cpu_percent")),
        Bound.AT_MOST,
        1,
        "%",
    ),
    Goal(
        "rest, Redis",
        "Redis busy beside 100,000 sessions, 50,000 batches or 1,000,000 keys of others, the most",
        largest(*(figure(_of_app("rest", keys, "redis_percent")) for keys in _KEYS_AT_REST)),
        Bound.AT_MOST,
        2,
        "%",
    ),
    Goal(
        "rest, cpu",
        "CPU of one core beside these, the most",
        largest(*(figure(_of_app("rest", keys, "app_percent")) for keys in _KEYS_AT_REST)),
        Bound.AT_MOST,
        2,
        "%",
    ),
    Goal(
        "idle, memory",
        "memory, before the first event and after one of each kind",
        largest(*(figure(_of_app("idle", "", name)) for name in ("rss_mb", "rss_used_mb"))),
        Bound.AT_MOST,
        120,
        "MB",
    ),
)


def judge(goal: Goal, medians: Medians) -> Judged:
    try:
        value = goal.value(medians)
    except KeyError:
        return Judged(goal, None, Verdict.NOT_MEASURED)
    met = value >= goal.bound if goal.direction is Bound.AT_LEAST else value <= goal.bound
    return Judged(goal, value, Verdict.MET if met else Verdict.NOT_MET)


def judged(medians: Medians) -> list[Judged]:
    return [judge(goal, medians) for goal in GOALS]
