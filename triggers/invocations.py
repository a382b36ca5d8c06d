"""What every function of the app does around its own work."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import azure.functions as func

from shared import settings, telemetry
from shared.app import current_app
from shared.charts.refresher import Refresher
from shared.delivery.self_repair import SelfRepair
from shared.intake.intake import Intake
from shared.registry import REACTORS
from shared.telemetry import tracing

repair = SelfRepair()
refresher = Refresher()
intake = Intake(REACTORS, repair.watch, settings.current())
_tasks: set[asyncio.Task[None]] = set()


@contextmanager
def invocation(context: func.Context | None) -> Iterator[None]:
    """Around the body of each function: log lines that were held are written, spans belong to the host's trace, and the
    process repairs itself. `context` is what the worker passes; None where a test calls the function."""
    trace = context.trace_context if context else None
    with telemetry.invocation(), tracing.parent(trace.trace_parent, trace.trace_state) if trace else nullcontext():
        if context:
            tracing.invocation_id.set(context.invocation_id)
        if repair.waits_for_loop:
            begin_repair()
        yield
        if not settings.current().standby:
            repair.look_after(current_app(), REACTORS)
            refresher.look_after(current_app)


def begin_repair() -> None:
    """Begin to stand in for the timers, to watch the triggers, and to keep charts warm: once per process, never in
    standby. function_app.py calls it at import, which the worker does in its event loop; if it did not, the first
    invocation begins."""
    if settings.current().standby:
        return
    with telemetry.background():
        try:
            repair.stand_in(current_app, REACTORS)
            refresher.look_after(current_app)
        except RuntimeError:
            repair.waits_for_loop = True
        else:
            repair.waits_for_loop = False
            _tasks.add(asyncio.get_running_loop().create_task(intake.run(current_app())))
