"""What a function does when its messages queue up: it takes them together, and sweeps its keys in bulk.

The host hands a function one message at a time and waits for it to end. So where messages wait, an event is put aside
and its invocation ends; those put aside are reacted to as one group. An invocation that ends early gives up nothing:
the platform forgets a message in either case, and should this process die, the sweep finds the key.

Where the messages that wait have effects, one at a time is still the pace. Then the keys are looked for instead: a
sweep of the function's own keys, in slices, each within an invocation, lap after lap until one finds nothing more to
do. It needs no lease: what others do at the same time is found done. The messages that wait find their work done too.
"""

import asyncio
import secrets
import time
from collections.abc import Sequence

import msgspec

from shared import shutdown, telemetry, tracing
from shared.context import Context
from shared.events import KeyEvent
from shared.lanes import Lane
from shared.outcomes import Outcome, Result, duplicate
from shared.sweep import GROUP, Scan, SweptReactor, react_in_groups

SLICE_S = 0.25
"""How long one invocation goes on sweeping; then the host may take its other messages."""
MAX_SEEN = 100_000
"""Keys that a sweep remembers: 15 MB. It looks at further ones again in each lap."""
PATIENCE_S = 0.005
"""How long an event waits for others at the most: several hand-overs of the host, at about 0.5 ms each."""

_DONE = frozenset({Result.PROCESSED, Result.DUPLICATE, Result.IGNORED, Result.REJECTED, Result.DEAD})


class _Taken(msgspec.Struct, frozen=True):
    """An event that its function was invoked with."""

    event: KeyEvent
    invocation_id: str
    began_s: float


class _Catching:
    """A sweep of a reactor's keys, lap after lap.

    The first lap begins anywhere, so that several instances that begin at once do not all go for the same keys: SCAN
    goes on from any number as from a cursor. Keys that this sweep has seen done it does not look at again: what
    happens to them from then on has events of its own.
    """

    def __init__(self, reactor: SweptReactor) -> None:
        self._reactor = reactor
        self._scan = Scan([reactor], cursor=secrets.randbits(62))
        self._whole = False
        self._found = False
        self._seen: set[bytes] = set()
        self.processed = 0
        self.ended = False

    async def go_on(self, app: Context, function: str) -> None:
        """React to one page. Raises what the Redis client raises."""
        reactor, keys = await self._scan.page(app)
        new = [key for key in keys if key not in self._seen]
        outcomes = await react_in_groups(app, reactor, new, "sweep", function)
        if len(self._seen) < MAX_SEEN:
            self._seen |= {one.key for one in outcomes if one.result in _DONE}
        processed = sum(one.result is Result.PROCESSED for one in outcomes)
        self.processed += processed
        self._found |= processed > 0
        if self._scan.done:
            self.ended = self._whole and not self._found
            self._scan, self._whole, self._found = Scan([self._reactor]), True, False


class Burst:
    """One function's messages. Its invocations come one after the other."""

    def __init__(self, function: str, reactor: SweptReactor) -> None:
        self.lane = Lane()
        self.function = function
        self._reactor = reactor
        self._aside: list[_Taken] = []
        self._reacting = asyncio.Lock()
        self._late: asyncio.Task[None] | None = None
        self._catching: _Catching | None = None

    async def take(self, app: Context, event: KeyEvent, began_s: float) -> None:
        """React to an event: now, or together with others when messages queue up. Nothing is raised.

        `began_s` is by time.perf_counter().
        """
        taken = _Taken(event, tracing.invocation_id.get(), began_s)
        if self._aside and self._aside[0].event.operation != event.operation:
            await self._react_to_those_aside(app)  # what happened to a key first is told first
        if not self.lane.queued and not self._aside:
            await self._react(app, [taken])
            return
        self._aside.append(taken)
        if len(self._aside) >= GROUP:
            await self._react_to_those_aside(app)
        elif self._late is None or self._late.done():
            self._late = asyncio.create_task(self._react_late(app))

    async def _react_late(self, app: Context) -> None:
        shutdown.before_exit(self.finish)
        while self._aside:
            await asyncio.sleep(max(0.0, self._aside[0].began_s + PATIENCE_S - time.perf_counter()))
            if self._aside and time.perf_counter() - self._aside[0].began_s >= PATIENCE_S:
                with tracing.span(self.function):
                    await self._react_to_those_aside(app)

    async def finish(self) -> None:
        """Return when nothing is put aside any more."""
        if self._late is not None:
            await asyncio.wait([self._late])

    async def _react_to_those_aside(self, app: Context) -> None:
        taken, self._aside = self._aside, []
        async with self._reacting:
            if taken:
                await self._react(app, taken)

    async def _react(self, app: Context, taken: Sequence[_Taken]) -> None:
        """React to events of one operation, to each key once; a further event of a key finds its work done."""
        operation = taken[0].event.operation
        keys = list(dict.fromkeys(one.event.key for one in taken))
        of_key = {outcome.key: outcome for outcome in await self._reactor.react(app, keys, operation)}
        ended_s = time.perf_counter()
        for one in taken:
            outcome = of_key.get(one.event.key) or duplicate(one.event.key)
            if outcome.result is Result.PROCESSED:
                of_key[one.event.key] = duplicate(one.event.key)
                self.lane.effect()
            self._tell(app, one, outcome, ended_s)

    def _tell(self, app: Context, one: _Taken, outcome: Outcome, ended_s: float) -> None:
        tracing.invocation_id.set(one.invocation_id)
        duration_ms = (ended_s - one.began_s) * 1000
        telemetry.record(
            self.function, self._reactor.NAME, one.event.operation, outcome, duration_ms, app.settings.audit_key
        )

    @property
    def due(self) -> bool:
        """Whether to sweep. A sweep that has begun goes on to its end, even if no more messages wait."""
        return self._catching is not None or self.lane.saturated

    async def sweep_slice(self, app: Context) -> None:
        """Sweep for SLICE_S, or to the end. Redis being away ends the sweep: nothing is raised."""
        from redis.exceptions import RedisError

        catching = self._catching = self._catching or _Catching(self._reactor)
        until_s = time.monotonic() + SLICE_S
        try:
            while not catching.ended and time.monotonic() < until_s:
                await catching.go_on(app, self.function)
        except (RedisError, OSError) as fault:
            telemetry.outage("Redis", fault)
        else:
            if not catching.ended:
                return
        self.lane.caught_up(worthwhile=catching.processed >= GROUP)
        self._catching = None
