"""What the app says about itself: metrics, a log line per effect, two log lines per outage.

Metrics go through the OpenTelemetry API; without an SDK they cost next to nothing and go nowhere, `counts` apart.

    keyspace_functions.outcomes   counter        function, outcome   how reactions ended, and other events by name
    keyspace_functions.duration   histogram, s   function, outcome   how long a reaction took
    keyspace_functions.lag        histogram, s   function            from a write to its effect, where that is known

Log lines name a key only masked and printable. Each record of an effect carries it as the attribute `effect`, for
whoever renders logs (the local host's console does).
"""

import logging
import time
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from shared.errors import MalformedEvent
from shared.masking import mask_key
from shared.outcomes import Outcome, Result

if TYPE_CHECKING:
    from opentelemetry import metrics

BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""Upper bounds of the histograms' buckets: a duplicate takes less than a ms, a sweep or a backlog minutes."""

logger = logging.getLogger("keyspace_functions")

counts: Counter[tuple[str, str]] = Counter()
"""(function, outcome or other event) to how often, since this process started."""

_LEVEL = {
    Result.PROCESSED: logging.INFO,
    Result.DUPLICATE: logging.DEBUG,
    Result.IGNORED: logging.DEBUG,
    Result.REJECTED: logging.WARNING,
    Result.RETRIED: logging.WARNING,
    Result.DEAD: logging.ERROR,
}


@dataclass
class _Outage:
    started_s: float
    failures: int = 1


_outages: dict[str, _Outage] = {}


@dataclass(frozen=True)
class _Instruments:
    outcomes: "metrics.Counter"
    duration: "metrics.Histogram"
    lag: "metrics.Histogram"


@cache
def _instruments() -> _Instruments:
    """Made at the first recording: the import takes about 6 ms, which a cold start need not wait for."""
    from opentelemetry import metrics

    meter = metrics.get_meter("keyspace_functions")
    return _Instruments(
        meter.create_counter("keyspace_functions.outcomes", description="How reactions ended, and other events."),
        meter.create_histogram(
            "keyspace_functions.duration",
            unit="s",
            description="How long a reaction took.",
            explicit_bucket_boundaries_advisory=BUCKETS_S,
        ),
        meter.create_histogram(
            "keyspace_functions.lag",
            unit="s",
            description="Time from a write to its effect, where it is known.",
            explicit_bucket_boundaries_advisory=BUCKETS_S,
        ),
    )


def record(function: str, operation: str, outcome: Outcome, duration_ms: float, audit_key: str) -> None:
    """Count one outcome of `function`, with its duration, and log it."""
    count(function, outcome.result.value)
    attributes = {"function": function, "outcome": outcome.result.value}
    _instruments().duration.record(duration_ms / 1000, attributes)
    level = _level(outcome.result)
    if not logger.isEnabledFor(level):
        return
    effect = {
        "function": function,
        "key": mask_key(outcome.key, audit_key),
        "operation": operation,
        "outcome": outcome.result.value,
        "reason": outcome.detail,
        "duration_ms": round(duration_ms, 3),
    }
    logger.log(
        level,
        "%(function)s %(outcome)s %(key)s on %(operation)s in %(duration_ms).1f ms: %(reason)s",
        effect,
        extra={"effect": effect},
    )


def _level(result: Result) -> int:
    if result is Result.RETRIED and _outages:
        return logging.DEBUG  # the outage has its own lines; one more per waiting event would be a storm
    return _LEVEL.get(result, logging.INFO)


def malformed(function: str, fault: MalformedEvent) -> None:
    """Count and log a trigger message that holds no key event; it names no key, because there is none to trust."""
    count(function, "malformed")
    logger.warning("%s dropped a malformed trigger message: %s", function, fault)


def count(function: str, what: str, n: int = 1) -> None:
    """Count `n` events of `function`: outcomes, and what is none, such as a claim taken over or keys swept."""
    counts[function, what] += n
    _instruments().outcomes.add(n, {"function": function, "outcome": what})


def lag(function: str, lag_ms: float) -> None:
    """Record the time between a write and its effect. A negative one, from clocks that differ, counts as none."""
    _instruments().lag.record(max(lag_ms, 0.0) / 1000, {"function": function})


def outage(what: str, error: BaseException) -> None:
    """Note that `what` failed: one warning until `recovered(what)`, however many calls fail meanwhile.

    The line names the error's class only: a client's text may hold an address or a secret.
    """
    if found := _outages.get(what):
        found.failures += 1
        return
    _outages[what] = _Outage(time.monotonic())
    counts[what, "outage"] += 1
    logger.warning("%s is away (%s)", what, type(error).__name__)


def recovered(what: str) -> None:
    """Note that `what` works: says so, with the length of the outage, if there was one. Cheap enough for any call."""
    if ended := _outages.pop(what, None):
        length_s = time.monotonic() - ended.started_s
        logger.info("%s is back after %.1f s; failed calls: %d", what, length_s, ended.failures)
