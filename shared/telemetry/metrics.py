"""Metrics, through the OpenTelemetry API. Without an SDK they cost little and go nowhere, except `counts`.

METRICS lists them; docs/metrics.md is generated from it. Counters and histograms are also added up in Redis, over all
instances, for GET /api/metrics (minute_counts.py).
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from shared.reactor import Result
from shared.telemetry import minute_counts

if TYPE_CHECKING:
    from opentelemetry import metrics


@dataclass(frozen=True)
class Metric:
    """One metric: name, kind, unit, attributes, and meaning."""

    name: str
    kind: str
    unit: str
    attributes: tuple[str, ...]
    description: str


OUTCOMES = Metric(
    "keyspace_functions.outcomes",
    "counter",
    "{outcome}",
    ("function", "outcome"),
    "How reactions ended: processed, duplicate, ignored, later, rejected, retried, dead. Also counts other events by "
    "name: malformed trigger messages, `inert` events (nothing to react to, such as the `expire` of SET EX), claims "
    "taken over, leases lost, keys swept, sessions that no AUDIT_KEY opens, audit records written, gaps in the audit "
    "log. Charts with a source: the result of a fetch (`written`, `newer`, `deleted`, `lost`; see docs/charts.md). The "
    "baseline: `model_full` (no room for more metrics or groups of values), `model_dropped` (fields that another "
    "application wrote). A trigger's events: `elsewhere` (another instance owns the key), `heard` (the app's own "
    "subscription or a scan reacted first). `processed` with the function `sweep` counts effects that a pass made "
    "because no event had arrived.",
)
DURATION = Metric("keyspace_functions.duration", "histogram", "s", ("function", "outcome"), "How long a reaction took.")
LAG = Metric(
    "keyspace_functions.lag", "histogram", "s", ("function",), "Time from a write to its effect, where it is known."
)
BACKLOG = Metric(
    "keyspace_functions.backlog",
    "gauge",
    "{item}",
    ("what",),
    "What waits: `retries`, `dead_letters`, `audit_records` (not in storage yet). Set with each sweep.",
)
BEHIND = Metric(
    "keyspace_functions.behind",
    "gauge",
    "s",
    ("function",),
    "How far a function's trigger is behind, by its heartbeats. Per instance, set once a second.",
)
DEAF = Metric("keyspace_functions.deaf", "gauge", "s", (), "How long the trigger has been deaf; 0 if it hears.")
SHARE = Metric("keyspace_functions.share", "gauge", "1", (), "The share of the keys that the instance owns, 0 to 1.")
INSTANCES = Metric(
    "keyspace_functions.instances",
    "gauge",
    "{instance}",
    ("state",),
    "Living instances by the state of their triggers: starting, trigger, behind, ear, deaf. Each instance reports all "
    "of them: take the maximum, not the sum. In `ear` and `deaf` the platform's trigger is deaf.",
)
METRICS = (OUTCOMES, DURATION, LAG, BACKLOG, BEHIND, DEAF, SHARE, INSTANCES)

BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""Upper bounds of the histograms' buckets: a duplicate takes less than 1 ms, a pass or a backlog minutes."""

counts: Counter[tuple[str, str]] = Counter()
"""Number per (function, outcome or other event) since this process started."""


@dataclass(frozen=True)
class _Instruments:
    outcomes: "metrics.Counter"
    duration: "metrics.Histogram"
    lag: "metrics.Histogram"
    gauges: Mapping[Metric, Any]


@cache
def _instruments() -> _Instruments:
    """Created with the first recording, because the import takes about 6 ms of a cold start."""
    from opentelemetry import metrics

    meter = metrics.get_meter("keyspace_functions")
    duration, lag = (
        meter.create_histogram(
            metric.name, metric.unit, metric.description, explicit_bucket_boundaries_advisory=BUCKETS_S
        )
        for metric in (DURATION, LAG)
    )
    return _Instruments(
        meter.create_counter(OUTCOMES.name, OUTCOMES.unit, OUTCOMES.description),
        duration,
        lag,
        {
            metric: meter.create_gauge(metric.name, metric.unit, metric.description)
            for metric in METRICS
            if metric.kind == "gauge"
        },
    )


def count(function: str, event: str, n: int = 1) -> None:
    """Count `n` outcomes of `function`, or other events such as a claim taken over or keys swept."""
    counts[function, event] += n
    minute_counts.total_outcomes(function, event, n)
    _instruments().outcomes.add(n, _attributes(function, event))


def duration(function: str, result: Result, duration_ms: float, n: int = 1) -> None:
    """Record the duration of `n` reactions."""
    minute_counts.total_duration(function, result, bisect_left(BUCKETS_S, duration_ms / 1000), duration_ms, n)
    for _ in range(n):
        _instruments().duration.record(duration_ms / 1000, _attributes(function, result))


def lag(reactor: str, lag_ms: float) -> None:
    """Record the time between a write and its effect. A negative lag, from clocks that differ, counts as 0."""
    minute_counts.lag(reactor, lag_ms)
    minute_counts.total_lag(reactor, bisect_left(BUCKETS_S, lag_ms / 1000), max(lag_ms, 0.0))
    _instruments().lag.record(max(lag_ms, 0.0) / 1000, {"function": reactor})


def backlog(what: str, waiting: int) -> None:
    """Set the number of waiting items of a kind, such as `retries`."""
    _instruments().gauges[BACKLOG].set(waiting, {"what": what})


def triggers(behind_s: Mapping[str, float], deaf_s: float, share: float, instances: Mapping[str, int]) -> None:
    """Set what is known of this instance's triggers, and the number of living instances by state; `behind_s` is by
    function."""
    gauges = _instruments().gauges
    for function, seconds in behind_s.items():
        gauges[BEHIND].set(seconds, {"function": function})
    gauges[DEAF].set(deaf_s)
    gauges[SHARE].set(share)
    for state, number in instances.items():
        gauges[INSTANCES].set(number, {"state": state})


@cache
def _attributes(function: str, outcome: str) -> dict[str, str]:
    """The attributes of a data point, cached because functions and outcomes are few. Callers must not change them."""
    return {"function": function, "outcome": str(outcome)}
