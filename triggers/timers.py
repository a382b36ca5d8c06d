"""The timers: the sweep, which finds keys whose events were lost; retries; keys whose own time has come, such as
sessions that expire; the export of the audit log to storage.

In Azure a timer runs on one instance. On the local host each instance runs its own; the leases of the sweep, the export
and due keys make that harmless.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import azure.functions as func
from redis.exceptions import RedisError

from shared import settings, telemetry
from shared.app import App, current_app
from shared.delivery import dead_letters, retries
from shared.delivery.due import react_to_due, retry_due
from shared.delivery.reconcile import reconcile, server_id
from shared.errors import ConfigurationError
from shared.reactor import Reactor
from shared.registry import REACTORS
from shared.runtime import shutdown
from shared.runtime.bursts import prepare_for_bursts

blueprint = func.Blueprint()

MAX_BUDGET_S = 60.0
"""Longest run; half of functionTimeout where that is less. The next run continues where this one stopped."""


@dataclass
class Watch:
    """What the timers remember of Redis from run to run, to notice that events may have been lost.

    `behind` is set when they may have been: at the start, when Redis was away from a timer or any function since the
    last run, and when the server process has changed.
    """

    behind: bool = True
    away: bool = False
    server: str | None = None
    outages: int = 0
    """Number of outages that this process had seen by the last run."""

    def reached(self, server: str, outages: int) -> None:
        if self.away or self.server not in {None, server} or outages != self.outages:
            self.behind = True
        self.away, self.server, self.outages = False, server, outages


_watch = Watch()


async def catch_up(app: App, reactors: Sequence[Reactor], watch: Watch, *, due: bool) -> None:
    """Run the retries that are due. Sweep when the sweep is `due`, and at once when events may have been lost.

    Raises nothing when Redis is away: the outage is logged once, and the first run that reaches Redis again sweeps.
    """
    budget_s = _budget_s(app)
    try:
        watch.reached(await server_id(app), telemetry.outages_begun("Redis"))
        telemetry.recovered("Redis")
        if not (due or watch.behind):
            await retry_due(app, reactors, budget_s=budget_s)
            await app.write_minute_counts()
            return
        anew, watch.behind = watch.behind, False
        report = await reconcile(app, reactors, budget_s=budget_s, anew=anew)
        await _record_backlog(app)
    except (RedisError, OSError) as error:
        watch.away = True
        telemetry.outage("Redis", error)
    else:
        watch.behind |= anew and report.held_by_other


async def _record_backlog(app: App) -> None:
    from shared.audit import state

    telemetry.backlog("retries", await retries.waiting(app))
    telemetry.backlog("dead_letters", (await dead_letters.totals(app)).count)
    telemetry.backlog("audit_records", (await state.state(app)).pending)


def _budget_s(app: App) -> float:
    return min(app.settings.function_timeout_s / 2, MAX_BUDGET_S)


# use_monitor would store the schedule's state in the storage account; the platform supports that from 1 minute on.


@blueprint.function_name("sweep")
@blueprint.timer_trigger(
    arg_name="timer", schedule=settings.current().sweep_schedule, run_on_startup=True, use_monitor=False
)
async def run_sweep(timer: func.TimerRequest) -> None:
    shutdown.before_exit(_export)  # here because this timer runs at start-up
    await catch_up(current_app(), REACTORS, _watch, due=True)
    prepare_for_bursts()  # here because the first sweep comes before any burst


@blueprint.function_name("retry")
@blueprint.timer_trigger(arg_name="timer", schedule=settings.current().retry_schedule, use_monitor=False)
async def run_retry(timer: func.TimerRequest) -> None:
    await catch_up(current_app(), REACTORS, _watch, due=False)


@blueprint.function_name("session_expiry")
@blueprint.timer_trigger(arg_name="timer", schedule=settings.current().expiry_schedule, use_monitor=False)
async def run_session_expiry(timer: func.TimerRequest) -> None:
    app = current_app()
    try:
        for reactor in REACTORS:
            await react_to_due(app, reactor, budget_s=_budget_s(app))
    except (RedisError, OSError) as error:
        telemetry.outage("Redis", error)


@blueprint.function_name("audit_export")
@blueprint.timer_trigger(arg_name="timer", schedule=settings.current().audit_schedule, use_monitor=False)
async def run_audit_export(timer: func.TimerRequest) -> None:
    await _export()


async def _export() -> None:
    app = current_app()
    from shared.audit import export

    try:
        await export.export(app, budget_s=min(_budget_s(app), export.BUDGET_S))
    except (RedisError, OSError) as error:
        telemetry.outage("Redis", error)
    except ConfigurationError as error:  # logged every minute until it is corrected
        telemetry.logger.error("audit records stay in Redis: %s", error)
