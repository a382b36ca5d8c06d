"""A log line, counters and span attributes per outcome.

Log lines show keys masked and printable. Each log record also has its parts as attributes (function, reactor, masked
key, ..., invocation_id), and all of them as `effect`, which the local host's console renders.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from shared import namespaces
from shared.errors import MalformedEvent
from shared.privacy.masking import mask_key, printable
from shared.reactor import Outcome, Result, Source
from shared.telemetry import effects, metrics, minute_counts, tracing
from shared.telemetry.logger import logger
from shared.telemetry.outages import in_outage

_LEVEL = {
    Result.PROCESSED: logging.INFO,
    Result.DUPLICATE: logging.DEBUG,
    Result.IGNORED: logging.DEBUG,
    Result.REJECTED: logging.WARNING,
    Result.RETRIED: logging.WARNING,
    Result.DEAD: logging.ERROR,
}

INERT = "inert"
"""In place of an outcome: the event had nothing to react to."""

MAX_OPERATION_CHARS = 32
_READ_CHARS = 2 * MAX_OPERATION_CHARS
"""What is kept of an event's name to cut it short: it may have megabytes."""
_WITHOUT_REASON = "%(function)s %(outcome)s %(key)s on %(operation)s in %(duration_ms).1f ms"
_WITH_REASON = _WITHOUT_REASON + ": %(reason)s"


def record(
    function: str,
    reactor: str,
    source: Source,
    outcome: Outcome,
    duration_ms: float,
    audit_key: str,
    *,
    event: str | None = None,
) -> None:
    """Count one outcome of a reactor, with its duration, and log it.

    `function` is the trigger or timer that ran; `event` is Redis' name of the event, if an event was the cause.
    """
    result = outcome.result
    operation = _printable(event[:_READ_CHARS]) if event else source.value
    if source is Source.EVENT and result is Result.IGNORED and (outcome.inert or namespaces.is_probe(outcome.key)):
        _inert(function, reactor, operation, outcome, duration_ms, audit_key)
        return
    metrics.count(function, result)
    minute_counts.outcome(reactor, source, result, duration_ms)
    effects.note(reactor, operation, (outcome,), duration_ms)
    metrics.duration(function, result, duration_ms)
    if _is_visible(result):
        _show(function, reactor, operation, outcome, duration_ms, audit_key)


def _inert(function: str, reactor: str, operation: str, outcome: Outcome, duration_ms: float, audit_key: str) -> None:
    """Count an event that had nothing to react to, such as the `expire` of SET EX, and log it at DEBUG.

    It counts neither as an outcome nor as a duration: events per second and latency are those of reactions.
    """
    metrics.count(function, INERT)
    if _is_visible(Result.IGNORED):
        _show(function, reactor, operation, outcome, duration_ms, audit_key, shown_as=INERT)


def record_group(
    function: str, reactor: str, source: Source, outcomes: Sequence[Outcome], duration_ms: float, audit_key: str
) -> None:
    """`record` for a group of outcomes, which together took `duration_ms`."""
    effects.note(reactor, source.value, outcomes, duration_ms)
    for result, number in Counter([outcome.result for outcome in outcomes]).items():
        metrics.count(function, result, number)
        minute_counts.outcome(reactor, source, result, duration_ms, number)
        metrics.duration(function, result, duration_ms, number)
        if _is_visible(result):
            for outcome in outcomes:
                if outcome.result is result:
                    _show(function, reactor, source.value, outcome, duration_ms, audit_key)


def malformed(function: str, fault: MalformedEvent) -> None:
    """Count and log a trigger message that holds no key event. The line names no key, because none can be trusted."""
    metrics.count(function, "malformed")
    logger.warning("%s dropped a malformed trigger message: %s", function, fault)


def _is_visible(result: Result) -> bool:
    """Whether single outcomes with this result are logged or traced, which costs more than counting them."""
    return tracing.enabled() or logger.isEnabledFor(_level(result))


def _show(
    function: str,
    reactor: str,
    operation: str,
    outcome: Outcome,
    duration_ms: float,
    audit_key: str,
    *,
    shown_as: str | None = None,
) -> None:
    """Log one outcome, and add it to the open span."""
    effect = {
        "function": function,
        "reactor": reactor,
        "key": mask_key(outcome.key, audit_key),
        "operation": operation,
        "outcome": shown_as or outcome.result.value,
        "reason": outcome.detail,
        "duration_ms": round(duration_ms, 3),
    }
    attributes = {name: value for name, value in effect.items() if value is not None}
    if tracing.enabled():
        tracing.annotate(**attributes)
    level = _level(outcome.result)
    if logger.isEnabledFor(level):
        logger.log(
            level,
            _WITH_REASON if outcome.detail else _WITHOUT_REASON,
            effect,
            extra={"effect": effect, "invocation_id": tracing.invocation_id.get(), **attributes},
        )


@lru_cache(maxsize=256)
def _printable(operation: str) -> str:
    """The name of an event on one line, cut short: any client that may publish on a keyspace channel can choose it."""
    return printable(operation.encode(errors="backslashreplace"), MAX_OPERATION_CHARS)


def _level(result: Result) -> int:
    if result is Result.RETRIED and in_outage("Redis"):
        return logging.DEBUG  # the outage has its own lines; a further line per waiting event would flood the log
    return _LEVEL.get(result, logging.INFO)
