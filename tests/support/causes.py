"""Causes by short names: Redis' name of an event, or the source of a call."""

from shared.intake.events import cause_of
from shared.reactor import Cause

_TIMERS = {
    "sweep": Cause.RECONCILE,
    "bulk": Cause.BULK,
    "schedule": Cause.DUE,
    "retry": Cause.RETRY,
    "replay": Cause.REPLAY,
}


_NAMES = {Cause.WRITTEN: "set", Cause.TOUCHED: "expire", Cause.DELETED: "del", Cause.EXPIRED: "expired"}


def cause(name: str) -> Cause:
    """The cause for Redis' name of an event, or for the source of a call: sweep, bulk, schedule, retry, replay."""
    return _TIMERS.get(name) or cause_of(name)


def name_of(cause: Cause) -> str:
    """The inverse of `cause`, for the events in _NAMES."""
    return next((name for name, timer in _TIMERS.items() if timer is cause), None) or _NAMES[cause]
