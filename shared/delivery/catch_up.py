"""Catching up: retries that are due, and a sweep where events may have been lost. Timers call it, and each process by
itself after its start and after Redis refused to serve (self_repair.py)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from redis.exceptions import RedisError, ResponseError

from shared import namespaces, telemetry
from shared.app import App
from shared.delivery.due import react_to_due
from shared.delivery.failures import report_outage
from shared.delivery.reconcile import passed_since, reconcile, server_id
from shared.reactor import Reactor

_TIMERS = namespaces.build(namespaces.TIMERS)
MAX_BUDGET_S = 60.0
"""Longest run; half of functionTimeout where that is less. The next run continues where this one stopped."""


def _outages() -> int:
    return telemetry.outages_begun("Redis") + telemetry.outages_ended("Redis")


@dataclass
class Watch:
    """What a process remembers of Redis from run to run, to notice that events may have been lost.

    `behind` is set when they may have been: at the start, when Redis was away from, or refused, any function of the
    process, and when the server process has changed.
    """

    behind: bool = True
    behind_ms: int | None = None
    """Redis' time when another instance prevented the pass: one that begins later, by any instance, does as well."""
    server: str | None = None
    outages: int = field(default_factory=_outages)
    """Number of outages that this process had seen begin or end at the last look."""

    def lost(self) -> None:
        """Events may have been lost: the next run sweeps."""
        self.behind, self.behind_ms = True, None

    def notice_outages(self) -> None:
        """Take over the outages of this process' calls. Cheap."""
        before, self.outages = self.outages, _outages()
        if self.outages != before:
            self.lost()

    def reached(self, server: str) -> None:
        self.notice_outages()
        if self.server not in {None, server}:
            self.lost()
        self.server = server


async def catch_up(app: App, reactors: Sequence[Reactor], watch: Watch, *, due: bool) -> None:
    """Run the retries that are due, and continue the sweep. It begins when it is `due`, and without pauses when events
    may have been lost.

    Raises nothing when Redis is away or refuses to serve: the outage is logged once, and the first run that reaches
    Redis again sweeps.
    """
    budget_s = budget_of(app)
    try:
        server = await server_id(app)
        telemetry.recovered("Redis")
        watch.reached(server)
        since_ms = watch.behind_ms
        if since_ms is not None and await _passed_since(app, reactors, since_ms) and watch.behind_ms == since_ms:
            watch.behind = False
        anew, watch.behind, watch.behind_ms = watch.behind, False, None
        report = await reconcile(
            app, reactors, budget_s=budget_s, anew=anew, begin=due, share=app.settings.reconcile_share
        )
        if anew and report.held_by_other:
            seconds, micros = await app.redis.time()
            if not watch.behind:  # by another loss meanwhile
                watch.behind, watch.behind_ms = True, seconds * 1000 + micros // 1000
    except (RedisError, OSError) as error:
        watch.lost()
        report_outage(error, "sweep")
    else:
        telemetry.recovered("Redis", "sweep")


async def _passed_since(app: App, reactors: Sequence[Reactor], since_ms: int) -> bool:
    """Whether another instance has made the pass meanwhile: of N that notice a loss, N need not sweep one by one."""
    try:
        return await passed_since(app, reactors, since_ms)
    except ResponseError:  # another application's value is in the place of the state: the pass replaces it
        return False


async def react_to_all_due(app: App, reactors: Sequence[Reactor]) -> None:
    """React to the keys that are due by their reactor's schedule. Raises nothing when Redis is away or refuses."""
    try:
        for reactor in reactors:
            await react_to_due(app, reactor, budget_s=budget_of(app))
    except (RedisError, OSError) as error:
        report_outage(error, "schedule")
    else:
        telemetry.recovered("Redis", "schedule")


async def timer_ran(app: App) -> None:
    """Note that the platform's timer for retries runs: the TTL of a key tells when. Raises what the client raises."""
    await app.redis.set(_TIMERS, b"", ex=namespaces.TIMERS_TTL_S)


async def timer_age_s(app: App) -> float | None:
    """Time since that timer ran on any instance; None if nothing is known. Raises what the Redis client raises."""
    ttl_ms = await app.redis.pttl(_TIMERS)
    return None if ttl_ms < 0 else namespaces.TIMERS_TTL_S - ttl_ms / 1000


def budget_of(app: App) -> float:
    """How long one run may take, in seconds."""
    return min(app.settings.function_timeout_s / 2, MAX_BUDGET_S)
