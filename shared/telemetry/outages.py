"""Outages of the services that the app depends on: a log line at the start, a log line at the end."""

import time
from dataclasses import dataclass

from shared.telemetry import metrics
from shared.telemetry.logger import logger


@dataclass
class _Outage:
    started_s: float
    failures: int = 1


_current: dict[str, _Outage] = {}
_begun: dict[str, int] = {}


def outage(what: str, error: BaseException) -> None:
    """Record that a call of `what` failed. Logs one warning until `recovered(what)`, however many calls fail.

    The line names only the error's class: a client's text may hold an address or a secret.
    """
    if current := _current.get(what):
        current.failures += 1
        return
    _current[what] = _Outage(time.monotonic())
    _begun[what] = _begun.get(what, 0) + 1
    metrics.counts[what, "outage"] += 1
    logger.warning("%s is away (%s)", what, type(error).__name__)


def recovered(what: str) -> None:
    """Record that a call of `what` succeeded. Logs the end of an outage, if any. Cheap enough for every call."""
    if ended := _current.pop(what, None):
        length_s = time.monotonic() - ended.started_s
        logger.info("%s is back after %.1f s; failed calls: %d", what, length_s, ended.failures)


def outages_begun(what: str) -> int:
    """The number of outages of `what` that this process has noticed since its start."""
    return _begun.get(what, 0)


def in_outage() -> bool:
    """Whether an outage of any service is in progress."""
    return bool(_current)
