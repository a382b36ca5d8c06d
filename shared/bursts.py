"""What a function does when its messages queue up: it takes them together, and sweeps its keys in bulk.

The host hands a function one message at a time and waits for it to end. So where messages wait, an event is put aside
and its invocation ends; those put aside are reacted to as one group. An invocation that ends early gives up nothing:
the platform forgets a message in either case, and should this process die, the sweep finds the key.

Where the messages that wait have effects, one at a time is still the pace. Then the keys are looked for instead: a
sweep of the function's own keys, in slices, each within an invocation, lap after lap until one finds nothing more to
do. It needs no lease: what others do at the same time is found done. The messages that wait find their work done too.
Where keys are written faster than all can be looked at, no lap finds nothing. So after some laps the messages have as
much time as the sweep, and it ends when none wait any more.
"""

import asyncio
import time
from collections.abc import Sequence

import msgspec

from shared import shutdown, telemetry, tracing
from shared.context import Context
from shared.events import KeyEvent
from shared.lanes import Lane
from shared.memory import give_back_freed
from shared.outcomes import Outcome, Result, duplicate
from shared.sweep import GROUP, Laps, SweptReactor

SLICE_S = 0.25
"""How long one invocation goes on sweeping; then the host may take its other messages."""
PATIENCE_S = 0.005
"""How long an event waits for others at the most: several hand-overs of the host, at about 0.5 ms each."""
LAPS = 4
"""Whole laps of a sweep after which messages get as much time as it does."""

_NOTED = frozenset({Result.PROCESSED, Result.REJECTED, Result.RETRIED, Result.DEAD})
"""What is told once of a key, however many events it had."""


class _Taken(msgspec.Struct, frozen=True):
    """An event that its function was invoked with."""

    event: KeyEvent
    invocation_id: str
    began_s: float


class Burst:
    """One function's messages. Its invocations come one after the other.

    A sweep goes on for `laps` whole laps with hardly a break for messages. That suits keys which stay: it has their
    effects sooner than their messages would. Where what happens to a key counts and not only what is there in the end,
    as with sessions, messages must not wait so long: there it is 0.
    """

    def __init__(self, function: str, reactor: SweptReactor, laps: int = LAPS) -> None:
        self.lane = Lane()
        self.function = function
        self._reactor = reactor
        self._undisturbed_laps = laps
        self._aside: list[_Taken] = []
        self._reacting = asyncio.Lock()
        self._late: asyncio.Task[None] | None = None
        self._laps: Laps | None = None
        self._rest_until_s = 0.0

    async def take(self, app: Context, event: KeyEvent, began_s: float) -> None:
        """React to an event: now, or together with others when messages queue up. Nothing is raised.

        `began_s` is by time.perf_counter().
        """
        taken = _Taken(event, tracing.invocation_id.get(), began_s)
        if self._aside and self._aside[0].event.operation != event.operation:
            await self._react_to_those_aside(app)  # what happened to a key first is told first
        if not self.lane.queued and not self._aside:
            async with self._reacting:  # not before those that were put aside before it
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
                await self._react_to_those_aside(app)

    async def finish(self) -> None:
        """Return when nothing is put aside any more, nor being reacted to."""
        if self._late is not None:
            await asyncio.wait([self._late])
        async with self._reacting:
            pass

    async def _react_to_those_aside(self, app: Context) -> None:
        async with self._reacting:
            taken, self._aside = self._aside, []
            if taken:
                with tracing.span(self.function, events=len(taken)):
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
                self.lane.effect()
            if outcome.result in _NOTED:
                of_key[one.event.key] = duplicate(one.event.key)
            self._tell(app, one, outcome, ended_s)

    def _tell(self, app: Context, one: _Taken, outcome: Outcome, ended_s: float) -> None:
        duration_ms = (ended_s - one.began_s) * 1000
        running = tracing.invocation_id.set(one.invocation_id)
        telemetry.record(
            self.function, self._reactor.NAME, one.event.operation, outcome, duration_ms, app.settings.audit_key
        )
        tracing.invocation_id.reset(running)

    @property
    def due(self) -> bool:
        """Whether to sweep. A sweep that has begun goes on for a whole lap at the least, even if no messages wait."""
        return self.lane.saturated if self._laps is None else time.monotonic() >= self._rest_until_s

    async def sweep_slice(self, app: Context) -> None:
        """Sweep for SLICE_S, or to the end. Redis being away ends the sweep: nothing is raised."""
        from redis.exceptions import RedisError

        laps = self._laps = self._laps or Laps([self._reactor])
        began_s = time.monotonic()
        until_s = began_s + SLICE_S
        try:
            while not laps.ended and time.monotonic() < until_s:
                await laps.go_on(app, until_s, told=self.function)
        except (RedisError, OSError) as fault:
            telemetry.outage("Redis", fault)
        else:
            if not laps.ended and (self.lane.queued or not laps.laps):
                now_s = time.monotonic()
                self._rest_until_s = now_s + (now_s - began_s) if laps.laps >= self._undisturbed_laps else now_s
                return
        self.lane.caught_up(worthwhile=laps.processed >= GROUP)
        self._laps = None
        if laps.processed >= GROUP:
            give_back_freed()
