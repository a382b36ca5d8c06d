"""The contract between the app's machinery and its reactors.

A reactor brings the effect of a key up to date with its content, for keys of one kind. Triggers, reconciliation,
retries and replays call it through this contract; shared/registry.py lists the reactors.
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from shared.namespaces import Kind

if TYPE_CHECKING:
    from shared.app import App

CHANNEL_PREFIX = "__keyspace@0__:"
"""Redis publishes the events of a key of database 0 on the channel with this prefix, followed by the key."""


class Source(StrEnum):
    """What called a reactor, as logs, metrics and audit records name it."""

    EVENT = "event"
    SWEEP = "sweep"
    SCHEDULE = "schedule"
    RETRY = "retry"
    REPLAY = "replay"


class Cause(Enum):
    """Why a reactor is called. The first seven are events of Redis: shared/intake/events.py maps their names to these.

    The content of the key decides what a reactor does; the cause is a hint that saves work or names a reason.
    """

    WRITTEN = (Source.EVENT, "written")
    """The key has content that may be new: set, hset, rpush, rename_to, restore, ... and any unknown event."""
    TOUCHED = (Source.EVENT, "touched")
    """Only the TTL changed: expire, persist."""
    DELETED = (Source.EVENT, "deleted")
    EXPIRED = (Source.EVENT, "expired")
    EVICTED = (Source.EVENT, "evicted")
    RENAMED = (Source.EVENT, "renamed")
    """The key has another name, or is in another database: rename_from, move_from."""
    NOTHING = (Source.EVENT, "nothing")
    """An event that changes no content, or that accompanies an event which does: keymiss, new, overwritten."""
    RECONCILE = (Source.SWEEP, "reconcile")
    """A reconciliation pass found the key."""
    BULK = (Source.SWEEP, "bulk")
    """A scan found the key while an instance was far behind. The reactor may pass over a key that has an effect
    or a claim, as `later`, whatever its content: its own event is still waiting."""
    DUE = (Source.SCHEDULE, "due")
    """The time that the reactor set for the key has come, such as a session's expiry."""
    RETRY = (Source.RETRY, "retry")
    REPLAY = (Source.REPLAY, "replay")
    """An operator replays its dead letter."""

    @property
    def source(self) -> Source:
        return self.value[0]


class Result(StrEnum):
    """How a reaction ended. The values are the names in logs and metrics."""

    PROCESSED = "processed"
    """The effect was written."""
    DUPLICATE = "duplicate"
    """Nothing was written: the content has its effect already, or is a dead letter already."""
    IGNORED = "ignored"
    """Nothing to do: a key of another kind, an event that changes nothing, or a placeholder."""
    LATER = "later"
    """Postponed: another worker has the claim, or this call had no time left. The key is looked at again."""
    REJECTED = "rejected"
    """The input cannot be read: a dead letter. Existing outputs do not change."""
    RETRIED = "retried"
    """The reaction failed and is due again; or Redis is away, and reconciliation finds the key after its return."""
    DEAD = "dead"
    """The reaction failed and has no attempts left: a dead letter."""


class Outcome(msgspec.Struct, frozen=True):
    """The result for `key`. `detail` gives the reason in a few words and never holds input. `effect` says whether the
    key's present content has its effect. `inert` says that no content was looked at, since there was nothing to react
    to: such an event counts in no rate and no latency."""

    key: bytes
    result: Result
    detail: str | None = None
    effect: bool = False
    inert: bool = False


def processed(key: bytes, detail: str | None = None) -> Outcome:
    return Outcome(key, Result.PROCESSED, detail, effect=True)


def duplicate(key: bytes) -> Outcome:
    """The content has its effect already."""
    return Outcome(key, Result.DUPLICATE, effect=True)


def already(key: bytes, detail: str) -> Outcome:
    """Nothing to write, although the content has no effect: for example, it is a dead letter."""
    return Outcome(key, Result.DUPLICATE, detail)


def ignored(key: bytes, detail: str) -> Outcome:
    return Outcome(key, Result.IGNORED, detail)


def inert(key: bytes, detail: str) -> Outcome:
    """Ignored before any look at the key: its name or the event says that there is no effect."""
    return Outcome(key, Result.IGNORED, detail, inert=True)


NO_TIME = "no time left in this call"
"""Detail of a key that a call did not come to: a pass comes back to it."""


def later(key: bytes, detail: str) -> Outcome:
    return Outcome(key, Result.LATER, detail)


def rejected(key: bytes, detail: str) -> Outcome:
    return Outcome(key, Result.REJECTED, detail)


def retried(key: bytes, detail: str) -> Outcome:
    return Outcome(key, Result.RETRIED, detail)


def dead(key: bytes, detail: str) -> Outcome:
    return Outcome(key, Result.DEAD, detail)


class Payload(msgspec.Struct, frozen=True, dict=True):
    """Content as it was read. `shape` is string, list, hash or stream. `parts` is the value of a string; the elements
    of a list; the fields and values of a hash in turn; or, per entry of a stream, its id, the number of its fields, and
    its fields and values in turn. `known_digest` is "" if it is not known yet."""

    shape: str
    known_digest: str
    parts: Sequence[bytes]

    @cached_property
    def digest(self) -> str:
        """SHA-1 of the content in hex, as claim_batches.lua defines it. Computed on first use: for large content, in
        the thread that works on it."""
        if self.known_digest:
            return self.known_digest
        if self.shape == "string":
            return hashlib.sha1(self.parts[0], usedforsecurity=False).hexdigest()
        framed = b"".join(text for part in self.parts for text in (b"%d:" % len(part), part))
        return hashlib.sha1(framed, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Withheld:
    """Content that must not be stored, such as a session's; only its digest may be."""

    digest: str


@dataclass(frozen=True)
class Scanned:
    """Keys that reconciliation scans for a reactor: those with this `prefix`.

    `key_of` maps such a key to the key to react to, or to None. The two differ for derived keys, which show that a
    deleted source existed: a chart's cache, a session's phantom. A derived key whose source exists needs no look: the
    same pass finds the source.
    """

    prefix: bytes
    key_of: Callable[[bytes], bytes | None] = lambda key: key
    derived: bool = False


@dataclass(frozen=True)
class Reactor:
    """A reactor, as triggers and timers call it.

    `react(app, keys, cause)` returns one outcome per key, in order. It raises nothing but CancelledError; failures go
    to shared/delivery/failures.py. `replay(app, key, payload)` reacts to the payload of a dead letter whose key is
    gone. `take_due(app, limit)` returns keys that are due by the reactor's own schedule, each to one instance only; it
    may raise what the Redis client raises.
    """

    name: str
    """Its name in logs, metrics, retries and dead letters."""
    function: str
    """The Azure function whose trigger calls it."""
    kind: Kind
    """The keys it reacts to; their prefix determines the trigger's channel."""
    effect: str
    """The effect of a key, in a few words for operators."""
    react: Callable[["App", Sequence[bytes], Cause], Awaitable[list[Outcome]]]
    replay: Callable[["App", bytes, Payload], Awaitable[Outcome]]
    scanned: tuple[Scanned, ...]
    inert: frozenset[Cause] = frozenset({Cause.NOTHING})
    """Causes that cannot change the effect: the trigger drops such events before any I/O."""
    take_due: Callable[["App", int], Awaitable[list[bytes]]] | None = None
    source: Callable[["App", bytes], bytes] = lambda app, key: key
    """The client's key for a key of an outcome, a retry or a dead letter; the two differ if the client's key holds a
    secret."""
    bulk: bool = False
    """Whether it supports Cause.BULK."""
    ordered: bool = False
    """Whether every event of a key matters, not only its final content: then a bulk scan must not delay messages."""

    @property
    def pattern(self) -> str:
        """Glob of the keys whose events the trigger receives."""
        return f"{self.kind.prefix.decode()}*"

    @property
    def channel(self) -> str:
        """Pattern of the channels that the trigger subscribes to."""
        return CHANNEL_PREFIX + self.pattern

    @property
    def noun(self) -> str:
        """The kind of its keys in one word, such as `batch`."""
        return self.kind.name.partition("-")[0]
