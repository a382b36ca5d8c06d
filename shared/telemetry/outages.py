"""Outages of the services that the app depends on: a log line at the start, a log line at the end.

An outage has parts. `""` is the whole service: it cannot be reached, and any call that succeeds ends that part. Other
parts are what the service refuses although it replies, such as `batches` when Redis is full: only that work itself
shows when it is served again.
"""

import time
from collections import Counter
from dataclasses import dataclass, field

from shared.store.refusals import is_refusal, name_of
from shared.telemetry import metrics
from shared.telemetry.logger import logger

FORGOTTEN_S = 600.0
"""A part that did not fail for so long is forgotten: nobody tries it in this process any more."""


@dataclass
class _Outage:
    started_s: float
    error: str
    parts: dict[str, float] = field(default_factory=dict)
    """When each part failed last (time.monotonic)."""
    failures: int = 0


_current: dict[str, _Outage] = {}
_begun: Counter[str] = Counter()
_ended: Counter[str] = Counter()


def outage(what: str, error: BaseException, part: str = "") -> None:
    """Record that a call of `what` failed. Logs one warning until every part has recovered, however many calls fail.

    The line names the error's class or code only: a client's text may hold an address or a secret.
    """
    current = _current.get(what)
    if current is None:
        current = _current[what] = _Outage(time.monotonic(), name_of(error))
        _begun[what] += 1
        metrics.counts[what, "outage"] += 1
        logger.warning("%s %s (%s)", what, "refuses to serve" if is_refusal(error) else "is away", current.error)
    current.parts[part] = time.monotonic()
    current.failures += 1


def recovered(what: str, part: str = "") -> None:
    """Record that a call of `what`, or the part that was refused, succeeded. The last part ends the outage and logs
    that. Cheap enough for every call."""
    current = _current.get(what)
    if current is None:
        return
    current.parts.pop(part, None)
    if current.parts and min(current.parts.values()) < time.monotonic() - FORGOTTEN_S:
        current.parts = {name: at_s for name, at_s in current.parts.items() if at_s >= time.monotonic() - FORGOTTEN_S}
    if not current.parts:
        del _current[what]
        _ended[what] += 1
        length_s = time.monotonic() - current.started_s
        logger.warning("%s is back after %.1f s; failed calls: %d", what, length_s, current.failures)


def outages_begun(what: str) -> int:
    """The number of outages of `what` that this process has noticed since its start."""
    return _begun[what]


def outages_ended(what: str) -> int:
    """The number of outages of `what` that have ended since this process started."""
    return _ended[what]


def forget(what: str) -> None:
    """End an outage without a line: nobody needs `what` any more, and so nobody will notice its return."""
    _current.pop(what, None)


def in_outage(what: str) -> bool:
    """Whether an outage of `what` is in progress."""
    return what in _current


def refused_parts(what: str) -> dict[str, str]:
    """The parts that `what` refuses at present, with the class of the outage's first error."""
    current = _current.get(what)
    return dict.fromkeys(sorted(current.parts.keys() - {""}), current.error) if current else {}
