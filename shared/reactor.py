"""The contract between the app's machinery and its reactors.

A reactor brings an effect up to the content of keys of one kind. Triggers, reconciliation, retries and replays all call
it through this contract; shared/registry.py lists the reactors.
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
"""Redis publishes the events of a key of database 0 on this prefix plus the key."""


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
    """An event that changes nothing, or that accompanies one which tells the change: keymiss, new, overwritten."""
    RECONCILE = (Source.SWEEP, "reconcile")
    """A pass over all keys found it."""
    BULK = (Source.SWEEP, "bulk")
    """A bulk scan during a burst found it: a key that has an effect or a claim already may be passed over as `later`,
    whatever its content, since its own event is still waiting."""
    DUE = (Source.SCHEDULE, "due")
    """Its own time has come, such as a session's expiry."""
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
    """Nothing was written: the effect is there already, or the content is a dead letter already."""
    IGNORED = "ignored"
    """Not for this reactor: a key of another kind, an event that changes nothing, data that is not there yet."""
    LATER = "later"
    """Nothing was done now: another worker has the claim, or this call had no time left. The key is looked at again."""
    REJECTED = "rejected"
    """Input that cannot be read: a dead letter. Existing outputs stay as they are."""
    RETRIED = "retried"
    """The reaction failed and is due again; or Redis is away, and reconciliation finds the key after its return."""
    DEAD = "dead"
    """The reaction failed as often as it may: a dead letter."""


class Outcome(msgspec.Struct, frozen=True):
    """The result for `key`. `detail` gives the reason in a few words and never holds input. `effect` tells whether the
    effect of the key's present content is in place."""

    key: bytes
    result: Result
    detail: str | None = None
    effect: bool = False


def processed(key: bytes, detail: str | None = None) -> Outcome:
    return Outcome(key, Result.PROCESSED, detail, effect=True)


def duplicate(key: bytes) -> Outcome:
    """The effect of this content is there already."""
    return Outcome(key, Result.DUPLICATE, effect=True)


def already(key: bytes, detail: str) -> Outcome:
    """Nothing to write, although the content has no effect: it is a dead letter, say."""
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


class Payload(msgspec.Struct, frozen=True, dict=True):
    """Content as it was read. `parts` is the single value of a string, the elements of a list, or the fields and values
    of a hash in turn; `shape` is string, list or hash. `known_digest` may be "" for a string."""

    shape: str
    known_digest: str
    parts: Sequence[bytes]

    @cached_property
    def digest(self) -> str:
        """SHA-1 of the content in hex, as claim_batches.lua defines it. Computed on first use: for large content that
        is in the thread which works on it."""
        return self.known_digest or hashlib.sha1(self.parts[0], usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Withheld:
    """Content that must not be stored, such as a session's: only its digest is."""

    digest: str


@dataclass(frozen=True)
class Scanned:
    """Keys that reconciliation scans for a reactor.

    `pattern` is the glob for SCAN's MATCH. `key_of` maps a key that was found to the key to react to, or to None; they
    differ where a deleted source is known only by what the app made of it: a chart by its cache, a session by its
    phantom.
    """

    pattern: bytes
    key_of: Callable[[bytes], bytes | None] = lambda key: key


@dataclass(frozen=True)
class Reactor:
    """A reactor as the machinery sees it.

    `react(app, keys, cause)` returns one outcome per key, in order, and raises nothing but CancelledError: failures go
    to shared/delivery/failures.py. `replay(app, key, payload)` reacts to the payload of a dead letter whose key is
    gone. `take_due(app, limit)` returns keys whose own time has come, each to one instance only; it may raise what the
    Redis client raises.
    """

    name: str
    """In logs, metrics, retries and dead letters."""
    function: str
    """The Azure function whose trigger feeds it."""
    kind: Kind
    """The keys it reacts to; the trigger's channel follows from their prefix."""
    effect: str
    """What it makes of a key, in a few words for operators."""
    react: Callable[["App", Sequence[bytes], Cause], Awaitable[list[Outcome]]]
    replay: Callable[["App", bytes, Payload], Awaitable[Outcome]]
    scanned: tuple[Scanned, ...]
    inert: frozenset[Cause] = frozenset({Cause.NOTHING})
    """Causes that cannot change the effect: their events end before any I/O."""
    take_due: Callable[["App", int], Awaitable[list[bytes]]] | None = None
    source: Callable[["App", bytes], bytes] = lambda app, key: key
    """The client's key for a key as outcomes, retries and dead letters name it; they differ where it holds a secret."""
    bulk: bool = False
    """Whether it makes use of Cause.BULK."""
    ordered: bool = False
    """Whether each event of a key counts, not only its final content: then a bulk scan must not hold up messages."""

    @property
    def pattern(self) -> str:
        """Glob over the keys whose events the trigger receives."""
        return f"{self.kind.prefix.decode()}*"

    @property
    def channel(self) -> str:
        """Pattern of the channels that the trigger subscribes to."""
        return CHANNEL_PREFIX + self.pattern

    @property
    def noun(self) -> str:
        """The kind of its keys in one word."""
        return self.kind.name.partition("-")[0]
