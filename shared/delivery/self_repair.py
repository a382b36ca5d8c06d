"""What each process does by itself, without a timer of the platform.

After its start it stands in for the timers: when a host was killed, the platform's timers stay silent until the locks
of the dead host have run out, 30 s to two minutes. It sweeps at once (and again when the triggers hear, see
shared/intake/intake.py), runs retries and due keys, and sweeps every SWEEP_S until the platform's sweep runs here or
STAND_IN_S have passed. The leases of sweep, retries and due keys keep several processes from doing the same work.

While Redis refuses to serve, it tries one refused key per reactor every STEP_S. When all are served again the outage
has ended, and it sweeps: events that came meanwhile had no effect.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from redis.exceptions import NoPermissionError, RedisError

from shared import namespaces, telemetry
from shared.app import App
from shared.delivery import failures
from shared.delivery.catch_up import Watch, catch_up, react_to_all_due
from shared.delivery.failures import report_outage
from shared.delivery.reconcile import last_pass
from shared.reactor import Cause, Reactor
from shared.runtime.bursts import prepare_for_bursts

STEP_S = 5.0
STAND_IN_S = 125.0
"""Two minutes, the longest that the platform's timers stay silent with its default locks, and a step."""
SWEEP_S = 30.0
"""Age of the last complete sweep, by any instance, from which on a process that stands in sweeps."""
_WRITE_TEST = namespaces.build(namespaces.DOCTOR, "repair")
_WRITE_TEST_TTL_MS = 10_000


@dataclass
class SelfRepair:
    """One per process: the state that timers and the process' own task share."""

    watch: Watch = field(default_factory=Watch)
    stood_in: bool = False
    """Whether the platform's sweep runs in this process, or the time of standing in is over."""
    waits_for_loop: bool = False
    """Whether it is to begin with the first invocation, since the app was imported outside an event loop."""
    _task: asyncio.Task[None] | None = None

    def stand_in(self, open_app: Callable[[], App], reactors: Sequence[Reactor]) -> None:
        """Start to stand in for the timers, once per process. Raises RuntimeError without a running event loop."""
        if not self.stood_in and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._stand_in(open_app, reactors))

    def look_after(self, app: App, reactors: Sequence[Reactor]) -> None:
        """Start to try what Redis refuses, if it refuses anything. Cheap: called with every invocation."""
        if telemetry.refused_parts("Redis") and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._try_refused(app, reactors))

    async def _stand_in(self, open_app: Callable[[], App], reactors: Sequence[Reactor]) -> None:
        app, end_s = open_app(), time.monotonic() + STAND_IN_S
        first = True
        while first or (not self.stood_in and time.monotonic() < end_s):
            await catch_up(app, reactors, self.watch, due=first or await _sweep_is_late(app))
            await react_to_all_due(app, reactors)
            prepare_for_bursts()
            first = False
            await asyncio.sleep(STEP_S)
            if telemetry.refused_parts("Redis"):
                await probe(app, reactors)
        self.stood_in = True
        await self._try_refused(app, reactors)

    async def _try_refused(self, app: App, reactors: Sequence[Reactor]) -> None:
        while telemetry.refused_parts("Redis") or self.watch.behind:  # behind: a refused sweep still has the lease
            await asyncio.sleep(STEP_S)
            if await probe(app, reactors):
                await catch_up(app, reactors, self.watch, due=False)
                await react_to_all_due(app, reactors)


async def probe(app: App, reactors: Sequence[Reactor]) -> bool:
    """Try the refused keys. Returns whether Redis serves them all, and a write.

    A key that is gone or done shows nothing, so a write is tried first: a server that is full or a replica refuses it.
    """
    refused = app.state(failures.refused_keys)
    try:
        await app.redis.set(_WRITE_TEST, b"", px=_WRITE_TEST_TTL_MS)
    except NoPermissionError:  # about this key or command; the refused keys tell
        pass
    except (RedisError, OSError) as error:
        report_outage(error, next(iter(refused), "sweep"))
        return False
    for reactor in reactors:
        if key := refused.pop(reactor.name, None):
            (outcome,) = await reactor.react(app, [key], Cause.RETRY)
            if outcome.detail == failures.AWAY:
                refused.setdefault(reactor.name, key)
            if reactor.name not in refused:  # it was not refused again
                telemetry.recovered("Redis", reactor.name)
    return not refused


async def _sweep_is_late(app: App) -> bool:
    try:
        last = await last_pass(app)
    except (RedisError, OSError):
        return False
    return last is None or last.age_s > SWEEP_S
