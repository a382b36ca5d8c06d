"""The timers: the sweep, which finds keys whose events were lost; retries; keys whose own time has come, such as
sessions that expire; the export of the audit log to storage.

In Azure a timer runs on one instance, which holds a lock in storage. The lock of a host that was killed keeps its
timers silent for a while; shared/delivery/self_repair.py does the work that cannot wait. Leases of the app's own make
timers on several instances harmless.
"""

import azure.functions as func
from redis.exceptions import RedisError

from shared import settings, telemetry
from shared.app import App, current_app
from shared.delivery.catch_up import budget_of, catch_up, react_to_all_due, timer_ran
from shared.delivery.failures import report_outage
from shared.errors import ConfigurationError
from shared.registry import REACTORS
from triggers.invocations import invocation, repair

blueprint = func.Blueprint()


# use_monitor would store the schedule's state in the storage account; the platform supports that from 1 minute on.


@blueprint.function_name("sweep")
@blueprint.timer_trigger(arg_name="timer", schedule=settings.current().sweep_schedule, use_monitor=False)
async def run_sweep(timer: func.TimerRequest, context: func.Context) -> None:
    repair.stood_in = True
    with invocation(context):
        await catch_up(current_app(), REACTORS, repair.watch, due=True)
        await _record_backlog(current_app())


@blueprint.function_name("retry")
@blueprint.timer_trigger(arg_name="timer", schedule=settings.current().retry_schedule, use_monitor=False)
async def run_retry(timer: func.TimerRequest, context: func.Context) -> None:
    with invocation(context):
        await catch_up(current_app(), REACTORS, repair.watch, due=False)
        try:
            await timer_ran(current_app())
            await current_app().write_minute_counts()
        except (RedisError, OSError) as error:
            report_outage(error, "statistics")
        else:
            telemetry.recovered("Redis", "statistics")


@blueprint.function_name("session_expiry")
@blueprint.timer_trigger(arg_name="timer", schedule=settings.current().expiry_schedule, use_monitor=False)
async def run_session_expiry(timer: func.TimerRequest, context: func.Context) -> None:
    with invocation(context):
        await react_to_all_due(current_app(), REACTORS)


@blueprint.function_name("audit_export")
@blueprint.timer_trigger(arg_name="timer", schedule=settings.current().audit_schedule, use_monitor=False)
async def run_audit_export(timer: func.TimerRequest, context: func.Context) -> None:
    app = current_app()
    from shared.audit import export

    with invocation(context):
        try:
            await export.export(app, budget_s=min(budget_of(app), export.BUDGET_S))
        except (RedisError, OSError) as error:
            report_outage(error, "audit export")
        except ConfigurationError as error:  # logged every minute until it is corrected
            telemetry.logger.error("audit records stay in Redis: %s", error)
        else:
            telemetry.recovered("Redis", "audit export")


async def _record_backlog(app: App) -> None:
    """Set the gauges. Raises nothing when Redis is away."""
    from shared.operations import backlog

    try:
        for what, number in (await backlog.read(app)).items():
            telemetry.backlog(what, number)
    except (RedisError, OSError) as error:
        telemetry.outage("Redis", error)
