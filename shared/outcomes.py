"""What came of one key: the one thing that a reactor gives back."""

from enum import StrEnum

import msgspec


class Result(StrEnum):
    """How a reaction ended. The values are the names in logs and metrics."""

    PROCESSED = "processed"
    """The effect was written."""
    DUPLICATE = "duplicate"
    """The effect was there already; nothing was written."""
    IGNORED = "ignored"
    """Nothing of this reactor's: another kind of key, an operation that changes nothing, data not there yet."""
    LATER = "later"
    """Nothing was done now: another worker is at it, or this call had no time left. It will be looked at again."""
    REJECTED = "rejected"
    """Input that cannot be read: a dead letter (sessions: none); existing outputs were left alone."""
    RETRIED = "retried"
    """It failed for now and is due again; or Redis is away, and the sweep after that finds the key."""
    DEAD = "dead"
    """It failed as often as it may: a dead letter."""


class Outcome(msgspec.Struct, frozen=True):
    """The result for `key`; `detail` is a few words of why or what, and never holds input."""

    key: bytes
    result: Result
    detail: str | None = None


def processed(key: bytes, detail: str | None = None) -> Outcome:
    return Outcome(key, Result.PROCESSED, detail)


def duplicate(key: bytes, detail: str | None = None) -> Outcome:
    return Outcome(key, Result.DUPLICATE, detail)


def ignored(key: bytes, detail: str) -> Outcome:
    return Outcome(key, Result.IGNORED, detail)


def later(key: bytes, detail: str) -> Outcome:
    return Outcome(key, Result.LATER, detail)


def rejected(key: bytes, detail: str) -> Outcome:
    return Outcome(key, Result.REJECTED, detail)


def retried(key: bytes, detail: str) -> Outcome:
    return Outcome(key, Result.RETRIED, detail)


def dead(key: bytes, detail: str) -> Outcome:
    return Outcome(key, Result.DEAD, detail)
