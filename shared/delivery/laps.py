"""A bulk scan for bursts: laps over the keyspace, without a lease, until a lap has no effect."""

import secrets
from collections import Counter
from collections.abc import Sequence

from redis.exceptions import ResponseError

from shared.app import App
from shared.delivery.scan import GROUP, Feed, Scan, react_to_feed
from shared.reactor import Cause, Reactor, Result

MAX_SEEN = 100_000
"""Maximum number of keys remembered between laps, as hashes: 20 MB. Further keys are looked at in each lap."""
_DONE = frozenset({Result.PROCESSED, Result.DUPLICATE, Result.IGNORED, Result.REJECTED, Result.DEAD})


class Laps:
    """The laps of one bulk scan over the keys of `reactors`.

    The first lap starts at a random cursor, so that instances that start together begin with different keys (SCAN
    continues from any number). Keys with a final outcome are skipped in later laps: later changes have events of their
    own. Laps look at new keys only (Cause.BULK) while they find many; after a lap that found few, the next one also
    looks at the keys that were passed over.

        lap 0    random cursor to the end    BULK         part of the keyspace: does not count as a lap
        lap 1    whole keyspace              BULK         while a lap processes at least GROUP keys
        lap 2    whole keyspace              RECONCILE    also keys passed over
        end      after a RECONCILE lap without an effect
    """

    def __init__(self, reactors: Sequence[Reactor]) -> None:
        self._reactors = reactors
        self._feed: Feed | None = None
        self._whole = False
        self._effects = False
        self._processed_before = 0
        self._new_only = True
        self._seen: set[int] = set()
        self._passed: set[int] = set()
        self.seen = 0
        self.outcomes: Counter[Result] = Counter()
        self.laps = 0
        """Complete laps so far."""
        self.ended = False

    @property
    def processed(self) -> int:
        return self.outcomes[Result.PROCESSED]

    async def advance(self, app: App, until_s: float, function: str = "sweep") -> None:
        """React until `until_s` (time.monotonic) or the end of a lap. Raises what the Redis client raises."""
        if self._feed is None:
            scan = Scan(self._reactors, cursor=0 if self._whole else secrets.randbits(62))
            self._feed = Feed(app, scan, self._passed if self._new_only else self._seen)
        cause = Cause.BULK if self._new_only else Cause.RECONCILE
        try:
            outcomes = await react_to_feed(
                self._feed, cause, scan_until_s=until_s, react_until_s=until_s, function=function
            )
        except ResponseError:
            if self._whole:
                raise
            self._feed, self._whole = None, True  # this server accepts only cursors of its own
            return
        hashes = [hash(outcome.key) for outcome in outcomes]
        done = [key for key, outcome in zip(hashes, outcomes, strict=True) if outcome.result in _DONE]
        self._seen.update(done[: max(0, MAX_SEEN - len(self._seen))])
        passed = hashes if self._new_only else done
        self._passed.update(passed[: max(0, MAX_SEEN - len(self._passed))])
        before = self.processed
        self.seen += len(outcomes)
        self.outcomes.update(outcome.result for outcome in outcomes)
        self._effects |= self.processed > before
        if self._feed.done:
            self._end_lap()

    def _end_lap(self) -> None:
        self.laps += self._whole
        self.ended = self._whole and not self._effects and not self._new_only
        self._new_only = self.processed - self._processed_before >= GROUP or not self._whole
        self._processed_before = self.processed
        self._feed, self._whole, self._effects = None, True, False
