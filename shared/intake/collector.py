"""Group commit for the events of one reactor: while a group is being worked on, whatever arrives joins the next.

    event a -> react([a])
    event b, c, d arrive meanwhile
                              -> react([b, c, d])

One event at a time costs a group of one; a thousand that wait cost groups of GROUP. Nothing waits for others to come. A
key's events stay in order, and no key is in two groups at once. A key that another worker has claimed (a scan, another
instance) is looked at again: what that worker has read may be older than the event.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import msgspec

from shared import telemetry
from shared.app import App
from shared.delivery.scan import DONE, GROUP, WINDOW
from shared.intake.events import KeyEvent
from shared.reactor import Outcome, Reactor, Result, Source, duplicate
from shared.telemetry import tracing

ROOM = WINDOW * GROUP
"""Waiting keys from which on an invocation waits too: to take in more would only take time from the reactions."""
MAX_WAITING = 20_000
"""Events that wait at most, about 20 MB, be they of as many keys or of one that is written all the time. What the app's
own ear hears beyond that is left to a pass."""
WAIT_S = 1.0
"""How long an invocation waits for room, and for its outcome, and how long a group holds up the next one. So a key
whose reaction takes long delays no message by more, and its function is not taken for deaf (lane.DEAF_S)."""
AGAIN_S, MAX_AGAIN_S = 0.05, 1.0
"""Time until a claimed key is looked at again, doubled each time, and its maximum."""
_LOOKED_THROUGH = 4 * GROUP
"""Waiting keys that are looked through for a group of one cause."""
_REPORTED_ONCE = frozenset({Result.PROCESSED, Result.REJECTED, Result.RETRIED, Result.DEAD})
"""Results that are recorded once per key of a group, however many events it had."""


class Waiting(msgspec.Struct):
    """An event, with the invocation that brought it and when (time.perf_counter)."""

    event: KeyEvent
    invocation_id: str
    started_s: float
    outcome: asyncio.Future[None] | None = None
    again_s: float = 0.0
    """How long it was postponed the last time; 0 if it was not."""


def _keep(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.get_running_loop().create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


class Collector:
    """The waiting events of one reactor. `done(key, began_s)` is called for each key whose content was looked at to the
    end, with the time at which the look began (time.monotonic)."""

    def __init__(self, reactor: Reactor, done: Callable[[bytes, float], None]) -> None:
        self.reactor = reactor
        self._done = done
        self._waiting: dict[bytes, list[Waiting]] = {}
        self._count = 0
        """Events that wait."""
        self._postponed: set[asyncio.Task[None]] = set()
        self._busy: set[bytes] = set()
        self._workers: set[asyncio.Task[None]] = set()
        self._singles: set[asyncio.Task[None]] = set()
        """Reactions to an event that nothing waited before."""
        self._room = asyncio.Event()

    @property
    def full(self) -> bool:
        return self._count >= MAX_WAITING

    @property
    def idle(self) -> bool:
        return not self._waiting and not self._busy

    @property
    def _working(self) -> bool:
        return any(not worker.done() for worker in self._workers)

    @property
    def _tasks(self) -> set[asyncio.Task[None]]:
        return self._workers | self._singles | self._postponed

    def has(self, key: bytes) -> bool:
        """Whether the key waits or is being worked on."""
        return key in self._waiting or key in self._busy

    async def take(self, app: App, event: KeyEvent, started_s: float, *, wait: bool) -> None:
        """React to an event. With `wait`, return when that is done, else as soon as there is room for it. Neither takes
        longer than WAIT_S, unless MAX_WAITING events wait.

        `started_s` is the start of the invocation (time.perf_counter). Raises nothing.
        """
        entry = Waiting(event, tracing.invocation_id.get(), started_s)
        if len(self._waiting) >= ROOM or self.full:
            await self._room_for_one()
        if not wait:
            self.put(app, entry)
            return
        entry.outcome = asyncio.get_running_loop().create_future()
        if self.idle:
            self._busy.add(event.key)  # now: before the task runs, another event of the key may come
            _keep(self._singles, self._react(app, [entry]))
        else:
            self.put(app, entry)
        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S):
                await entry.outcome

    async def _room_for_one(self) -> None:
        until_s = time.monotonic() + WAIT_S
        while self.full or (len(self._waiting) >= ROOM and time.monotonic() < until_s):
            self._room.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(WAIT_S):
                    await self._room.wait()

    def put(self, app: App, entry: Waiting) -> None:
        """Let an event wait for the next group."""
        self._waiting.setdefault(entry.event.key, []).append(entry)
        self._count += 1
        if not self._working or (len(self._waiting) >= GROUP and len(self._workers) < WINDOW):
            self._start(app)

    def _start(self, app: App) -> None:
        _keep(self._workers, self._work(app))

    def _help(self, app: App) -> None:
        if self._waiting and len(self._workers) < WINDOW:
            self._start(app)

    def _postpone(self, app: App, entry: Waiting) -> None:
        """Look at a claimed key again, until the claim of a worker that died has ended. A pass finds the rest."""
        gone_s = app.settings.lease_ms / 1000 + 2 * MAX_AGAIN_S
        if len(self._postponed) < MAX_WAITING and time.perf_counter() - entry.started_s < gone_s:
            _keep(self._postponed, self._again(app, entry))

    async def _again(self, app: App, entry: Waiting) -> None:
        again_s = min(2 * entry.again_s or AGAIN_S, MAX_AGAIN_S)
        await asyncio.sleep(again_s)
        if entry.event.key not in self._waiting:  # a later event looks at the same content
            self.put(app, Waiting(entry.event, entry.invocation_id, entry.started_s, again_s=again_s))

    async def settled(self) -> None:
        """Return when nothing waits any more."""
        while working := [task for task in self._tasks if not task.done()]:
            await asyncio.wait(working)

    async def _work(self, app: App) -> None:
        while group := self._next_group():
            self._room.set()
            help_later = asyncio.get_running_loop().call_later(WAIT_S, self._help, app)
            try:
                with tracing.span(self.reactor.function, events=len(group)):
                    await self._react(app, group)
            finally:
                help_later.cancel()
            await asyncio.sleep(0)  # let other functions run

    def _next_group(self) -> list[Waiting]:
        """The next events of one cause, of up to GROUP keys, for each key the first that wait."""
        cause = None
        keys: list[bytes] = []
        for key, entries in islice(self._waiting.items(), _LOOKED_THROUGH):
            if key in self._busy or (cause is not None and entries[0].event.cause is not cause):
                continue
            cause = entries[0].event.cause
            keys.append(key)
            if len(keys) == GROUP:
                break
        group: list[Waiting] = []
        for key in keys:
            entries = self._waiting.pop(key)
            same = next((n for n, entry in enumerate(entries) if entry.event.cause is not cause), len(entries))
            group += entries[:same]
            if same < len(entries):
                self._waiting[key] = entries[same:]
        self._count -= len(group)
        return group

    async def _react(self, app: App, entries: Sequence[Waiting]) -> None:
        """React to events of one cause, once per key; further events of a key are recorded as duplicates."""
        keys = list(dict.fromkeys(entry.event.key for entry in entries))
        self._busy.update(keys)
        began_s = time.monotonic()
        try:
            outcomes = await self.reactor.react(app, keys, entries[0].event.cause)
            for outcome in outcomes:
                if outcome.result in DONE:
                    self._done(outcome.key, began_s)
            self._record(app, entries, {outcome.key: outcome for outcome in outcomes})
        finally:
            self._busy.difference_update(keys)
            for entry in entries:
                if entry.outcome is not None and not entry.outcome.done():
                    entry.outcome.set_result(None)
            if self._waiting and not self._working:  # events of a key that was busy
                self._start(app)

    def _record(self, app: App, entries: Sequence[Waiting], by_key: dict[bytes, Outcome]) -> None:
        ended_s = time.perf_counter()
        for entry in entries:
            key = entry.event.key
            outcome = by_key.get(key) or duplicate(key)
            if outcome.result is Result.LATER:
                self._postpone(app, entry)
                if entry.again_s:
                    continue  # it was recorded the first time
            if outcome.result in _REPORTED_ONCE or outcome.result is Result.LATER:
                by_key[key] = duplicate(key)
            token = tracing.invocation_id.set(entry.invocation_id)
            telemetry.record(
                self.reactor.function,
                self.reactor.name,
                Source.EVENT,
                outcome,
                (ended_s - entry.started_s) * 1000,
                app.settings.audit_key,
                event=entry.event.name,
            )
            tracing.invocation_id.reset(token)
