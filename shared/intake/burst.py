"""What a function does when its messages queue up: it reacts to them in groups, and scans its keys in bulk.

The host passes a function one message at a time and waits for the invocation to end. So if messages queue up, an
invocation buffers its event and ends, and buffered events are reacted to as one group. This gives up no guarantee: the
platform does not redeliver a message in either case, and if this process dies, reconciliation finds the key.

    invocation 1   event a -> buffer
    invocation 2   event b -> buffer
    ...                                  react([a, b, ...])        one group, at the latest PATIENCE_S after a
    invocation n   scan for SLICE_S      react to keys found       later messages for these keys are duplicates

If the waiting messages have effects, one message per invocation still limits the throughput. Then the keys are scanned
instead: in slices, each within an invocation, in laps over the keyspace until a lap has no effect. The scan needs no
lease: if others react to a key at the same time, the second reaction is a duplicate. If keys are written faster than a
lap takes, every lap has effects; so after LAPS laps, messages get as much time as the scan, which ends when none wait.
"""

import asyncio
import time
from collections.abc import Sequence

import msgspec
from redis.exceptions import RedisError

from shared import telemetry
from shared.app import App
from shared.delivery.laps import Laps
from shared.delivery.scan import GROUP
from shared.intake.events import KeyEvent
from shared.intake.lane import Lane
from shared.reactor import Outcome, Reactor, Result, Source, duplicate
from shared.runtime.malloc import give_back_freed
from shared.store.refusals import is_away
from shared.telemetry import tracing

SLICE_S = 0.25
"""How long an invocation scans before the host can pass the next message."""
PATIENCE_S = 0.005
"""How long a buffered event waits for others: the time of several invocations, at about 0.5 ms each."""
LAPS = 4
"""Complete laps after which messages get as much time as the scan. For an ordered reactor, messages always share the
time with the scan."""

_REPORTED_ONCE = frozenset({Result.PROCESSED, Result.REJECTED, Result.RETRIED, Result.DEAD})
"""Results that are recorded once per key of a group, however many events it had."""


class _Buffered(msgspec.Struct, frozen=True):
    """An event with the invocation that brought it."""

    event: KeyEvent
    invocation_id: str
    started_s: float


class Burst:
    """Handles the messages of one reactor's function, whose invocations come one after the other."""

    def __init__(self, reactor: Reactor) -> None:
        self.lane = Lane()
        self.reactor = reactor
        self._undisturbed_laps = 0 if reactor.ordered else LAPS
        self._buffer: list[_Buffered] = []
        self._reacting = asyncio.Lock()
        self._late: asyncio.Task[None] | None = None
        self._laps: Laps | None = None
        self._rest_until_s = 0.0

    async def take(self, app: App, event: KeyEvent, started_s: float) -> None:
        """React to an event: at once, or in a group if messages queue up. Raises nothing.

        `started_s` is the start of the invocation (time.perf_counter).
        """
        entry = _Buffered(event, tracing.invocation_id.get(), started_s)
        if self._buffer and self._buffer[0].event.cause is not event.cause:
            await self._flush(app)  # keeps the order of a key's events
        if not self.lane.queued and not self._buffer:
            async with self._reacting:  # after the events that were buffered before
                await self._react(app, [entry])
            return
        self._buffer.append(entry)
        if len(self._buffer) >= GROUP:
            await self._flush(app)
        elif self._late is None or self._late.done():
            self._late = asyncio.create_task(self._flush_late(app))

    async def _flush_late(self, app: App) -> None:
        while self._buffer:
            await asyncio.sleep(max(0.0, self._buffer[0].started_s + PATIENCE_S - time.perf_counter()))
            if self._buffer and time.perf_counter() - self._buffer[0].started_s >= PATIENCE_S:
                await self._flush(app)

    async def _flush(self, app: App) -> None:
        async with self._reacting:
            entries, self._buffer = self._buffer, []
            if entries:
                with tracing.span(self.reactor.function, events=len(entries)):
                    await self._react(app, entries)

    async def _react(self, app: App, entries: Sequence[_Buffered]) -> None:
        """React to events of one cause, once per key; further events of a key are recorded as duplicates."""
        keys = list(dict.fromkeys(entry.event.key for entry in entries))
        outcomes = await self.reactor.react(app, keys, entries[0].event.cause)
        by_key = {outcome.key: outcome for outcome in outcomes}
        ended_s = time.perf_counter()
        for entry in entries:
            key = entry.event.key
            outcome = by_key.get(key) or duplicate(key)
            if outcome.result is Result.PROCESSED:
                self.lane.effect()
            if outcome.result in _REPORTED_ONCE:
                by_key[key] = duplicate(key)
            self._record(app, entry, outcome, ended_s)

    def _record(self, app: App, entry: _Buffered, outcome: Outcome, ended_s: float) -> None:
        duration_ms = (ended_s - entry.started_s) * 1000
        token = tracing.invocation_id.set(entry.invocation_id)
        telemetry.record(
            self.reactor.function,
            self.reactor.name,
            Source.EVENT,
            outcome,
            duration_ms,
            app.settings.audit_key,
            event=entry.event.name,
        )
        tracing.invocation_id.reset(token)

    @property
    def due(self) -> bool:
        """Whether to scan a slice now. A scan makes at least one complete lap, even if no messages wait."""
        return self.lane.saturated if self._laps is None else time.monotonic() >= self._rest_until_s

    async def scan_slice(self, app: App) -> None:
        """Scan for SLICE_S, or to the end of the scan. An error of Redis ends the scan; raises nothing."""
        laps = self._laps = self._laps or Laps([self.reactor])
        started_s = time.monotonic()
        until_s = started_s + SLICE_S
        try:
            while not laps.ended and time.monotonic() < until_s:
                await laps.advance(app, until_s, function=self.reactor.function)
        except (RedisError, OSError) as fault:
            if is_away(fault):  # the sweep reports a refusal: it scans the same way
                telemetry.outage("Redis", fault)
        else:
            if not laps.ended and (self.lane.queued or not laps.laps):
                now_s = time.monotonic()
                rests = laps.laps >= self._undisturbed_laps
                self._rest_until_s = now_s + (now_s - started_s) if rests else now_s
                return
        self.lane.caught_up(worthwhile=laps.processed >= GROUP)
        self._laps = None
        if laps.processed >= GROUP:
            give_back_freed()
