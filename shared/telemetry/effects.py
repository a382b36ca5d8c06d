"""The latest effects of this process, on their way to the live feed of the monitor page.

The write of the counts takes them along (App.write_minute_counts), so the feed costs no round trip. It is a sample: of
each write, which is at most one a second, it has the last KEPT effects of this process, and those of a write that fails
are lost. The counts of minute_counts.py are complete. shared/operations/effects.py reads the feed.
"""

import time
from collections import deque
from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from shared.privacy.masking import mask_key
from shared.reactor import Outcome, Result

KEPT = 50
FEED_LENGTH = 200
"""Effects that Redis keeps, of all instances together."""
SHOWN: Final = frozenset({Result.PROCESSED, Result.REJECTED, Result.RETRIED, Result.DEAD})
"""A pass of reconciliation has a duplicate for each key that is in order: those are counted, and not shown."""

type _Text = Annotated[str, msgspec.Meta(max_length=1000)]


class Stored(msgspec.Struct, array_like=True, frozen=True):
    """An effect as the feed stores it. `operation` is Redis' name of the event, or the source (sweep, retry, ...);
    `key` is masked."""

    time_ms: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
    reactor: _Text
    operation: _Text
    outcome: _Text
    key: _Text
    duration_ms: Annotated[float, msgspec.Meta(ge=0, lt=1e12)]
    reason: _Text | None


_effects: deque[tuple[int, str, str, Outcome, float]] = deque(maxlen=KEPT)


def note(reactor: str, operation: str, outcomes: Iterable[Outcome], duration_ms: float) -> None:
    """Keep the outcomes that the feed shows."""
    now_ms = int(time.time() * 1000)
    _effects.extend(
        (now_ms, reactor, operation, outcome, duration_ms) for outcome in outcomes if outcome.result in SHOWN
    )


def take(audit_key: str, *, hide_users: bool) -> list[bytes]:
    """Remove and return the effects as they are stored, oldest first."""
    taken = list(_effects)
    _effects.clear()
    return [
        msgspec.json.encode(
            Stored(
                time_ms,
                reactor,
                operation,
                outcome.result.value,
                mask_key(outcome.key, audit_key, hide_users=hide_users),
                round(duration_ms, 3),
                outcome.detail,
            )
        )
        for time_ms, reactor, operation, outcome, duration_ms in taken
    ]
