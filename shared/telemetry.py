"""What the app says about itself: metrics, spans, a log line per effect, two log lines per outage.

Metrics go through the OpenTelemetry API; without an SDK they cost next to nothing and go nowhere, `counts` apart.
METRICS lists them; docs/metrics.md is made from it.

Log lines name a key only masked and printable. Each record of an effect carries what it tells as attributes too
(function, reactor, masked key, ..., and invocation_id), and all of it as `effect`, for whoever renders logs (the local
host's console does).
"""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from shared import tally, tracing
from shared.errors import MalformedEvent
from shared.masking import mask_key
from shared.outcomes import Outcome, Result

if TYPE_CHECKING:
    from opentelemetry import metrics


@dataclass(frozen=True)
class Metric:
    """One metric: what it is called, its kind and unit, its attributes, and what it tells."""

    name: str
    kind: str
    unit: str
    attributes: tuple[str, ...]
    description: str


OUTCOMES = Metric(
    "keyspace_functions.outcomes",
    "counter",
    "1",
    ("function", "outcome"),
    "How reactions ended (processed, duplicate, ignored, rejected, retried, dead), and other events by name: malformed "
    "trigger messages, claims taken over, leases lost, keys swept, sessions that no AUDIT_KEY opens, audit records "
    "written, gaps in the audit log.",
)
DURATION = Metric("keyspace_functions.duration", "histogram", "s", ("function", "outcome"), "How long a reaction took.")
LAG = Metric(
    "keyspace_functions.lag", "histogram", "s", ("function",), "Time from a write to its effect, where it is known."
)
BACKLOG = Metric(
    "keyspace_functions.backlog",
    "gauge",
    "1",
    ("what",),
    "What waits: `retries`, `dead_letters`, `audit_records` (not in storage yet). Set with each sweep.",
)
METRICS = (OUTCOMES, DURATION, LAG, BACKLOG)

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
    backlog: Any


@cache
def _instruments() -> _Instruments:
    """Made at the first recording: the import takes about 6 ms, which a cold start need not wait for."""
    from opentelemetry import metrics

    meter = metrics.get_meter("keyspace_functions")
    duration, lag = (
        meter.create_histogram(one.name, one.unit, one.description, explicit_bucket_boundaries_advisory=BUCKETS_S)
        for one in (DURATION, LAG)
    )
    return _Instruments(
        meter.create_counter(OUTCOMES.name, OUTCOMES.unit, OUTCOMES.description),
        duration,
        lag,
        meter.create_gauge(BACKLOG.name, BACKLOG.unit, BACKLOG.description),
    )


def start_export(connection_string: str, *, by_worker: bool) -> None:
    """Have metrics and spans sent to Application Insights, unless there is none or the worker library does it.

    Importing what does that takes a second or more, which is why it happens only where a connection string is set.
    Log lines go through the host, as always: it exports them.
    """
    if not connection_string or by_worker:
        return
    from azure.monitor.opentelemetry import configure_azure_monitor

    instrumented = ("azure_sdk", "django", "fastapi", "flask", "psycopg2", "requests", "urllib", "urllib3")
    configure_azure_monitor(
        connection_string=connection_string,
        disable_logging=True,
        instrumentation_options={name: {"enabled": False} for name in instrumented},
    )


def record(function: str, reactor: str, operation: str, outcome: Outcome, duration_ms: float, audit_key: str) -> None:
    """Count one outcome of a reactor, with its duration, and log it. `function` is what ran: a trigger or a timer."""
    result = outcome.result
    count(function, result)
    tally.outcome(reactor, operation, result, duration_ms)
    _instruments().duration.record(duration_ms / 1000, _attributes(function, result))
    if _told(result):
        _tell(function, reactor, operation, outcome, duration_ms, audit_key)


def record_group(
    function: str, reactor: str, operation: str, outcomes: Sequence[Outcome], duration_ms: float, audit_key: str
) -> None:
    """As `record` for each of these outcomes, which took so long together."""
    for result, number in Counter([outcome.result for outcome in outcomes]).items():
        count(function, result, number)
        tally.outcome(reactor, operation, result, duration_ms, number)
        for _ in range(number):
            _instruments().duration.record(duration_ms / 1000, _attributes(function, result))
        if _told(result):
            for outcome in outcomes:
                if outcome.result is result:
                    _tell(function, reactor, operation, outcome, duration_ms, audit_key)


def _told(result: Result) -> bool:
    """Whether somebody reads or collects single outcomes of this kind: they cost more than to count them."""
    return tracing.enabled() or logger.isEnabledFor(_level(result))


def _tell(function: str, reactor: str, operation: str, outcome: Outcome, duration_ms: float, audit_key: str) -> None:
    """Log one outcome, and say it in the open span."""
    effect = {
        "function": function,
        "reactor": reactor,
        "key": mask_key(outcome.key, audit_key),
        "operation": operation,
        "outcome": outcome.result.value,
        "reason": outcome.detail,
        "duration_ms": round(duration_ms, 3),
    }
    told = {name: value for name, value in effect.items() if value is not None}
    if tracing.enabled():
        tracing.annotate(**told)
    level = _level(outcome.result)
    if logger.isEnabledFor(level):
        logger.log(
            level,
            "%(function)s %(outcome)s %(key)s on %(operation)s in %(duration_ms).1f ms: %(reason)s",
            effect,
            extra={"effect": effect, "invocation_id": tracing.invocation_id.get(), **told},
        )


def _level(result: Result) -> int:
    if _outages and result is Result.RETRIED:
        return logging.DEBUG  # the outage has its own lines; one more per waiting event would be a storm
    return _LEVEL.get(result, logging.INFO)


def malformed(function: str, fault: MalformedEvent) -> None:
    """Count and log a trigger message that holds no key event; it names no key, because there is none to trust."""
    count(function, "malformed")
    logger.warning("%s dropped a malformed trigger message: %s", function, fault)


def count(function: str, what: str, n: int = 1) -> None:
    """Count `n` events of `function`: outcomes, and what is none, such as a claim taken over or keys swept."""
    counts[function, what] += n
    _instruments().outcomes.add(n, _attributes(function, what))


@cache
def _attributes(function: str, outcome: str) -> dict[str, str]:
    """Of a data point, made once: functions and outcomes are few. Nobody who is given them changes them."""
    return {"function": function, "outcome": str(outcome)}


def lag(reactor: str, lag_ms: float) -> None:
    """Record the time between a write and its effect. A negative one, from clocks that differ, counts as none."""
    tally.lag(reactor, lag_ms)
    _instruments().lag.record(max(lag_ms, 0.0) / 1000, {"function": reactor})


def backlog(what: str, waiting: int) -> None:
    """Tell how much of something waits."""
    _instruments().backlog.set(waiting, {"what": what})


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
