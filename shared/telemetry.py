"""What the app says about itself: a counter and a log line per outcome.

Log lines name a key only masked and printable. Each record of an effect carries it as the attribute `effect`, for
whoever renders logs (the local host's console does).
"""

import logging
from collections import Counter

from shared.errors import MalformedEvent
from shared.masking import mask_key
from shared.outcomes import Outcome, Result

logger = logging.getLogger("keyspace_functions")

counts: Counter[tuple[str, str]] = Counter()
"""(function, result) to how often, since this process started."""

_LEVEL = {
    Result.PROCESSED: logging.INFO,
    Result.DUPLICATE: logging.DEBUG,
    Result.IGNORED: logging.DEBUG,
    Result.REJECTED: logging.WARNING,
}


def record(function: str, operation: str, outcome: Outcome, duration_ms: float, audit_key: str) -> None:
    """Count one outcome of `function` and log it."""
    counts[function, outcome.result] += 1
    level = _LEVEL[outcome.result]
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


def malformed(function: str, fault: MalformedEvent) -> None:
    """Count and log a trigger message that holds no key event; it names no key, because there is none to trust."""
    counts[function, "malformed"] += 1
    logger.warning("%s dropped a malformed trigger message: %s", function, fault)
