"""The three Redis triggers. Each parses its event, drops what changes nothing, and hands the key to its reactor.

When messages queue up, shared/bursts.py takes them together, and sweeps the reactor's keys in bulk.
"""

import time
from typing import Protocol

import azure.functions as func

from shared import batches, charts, events, sessions, settings, telemetry, tracing
from shared.bursts import Burst
from shared.context import current
from shared.errors import MalformedEvent
from shared.events import KeyEvent
from shared.outcomes import ignored
from shared.sweep import SweptReactor

blueprint = func.Blueprint()


class Reactor(SweptReactor, Protocol):
    """What a handler module in shared/ offers."""

    INERT_OPERATIONS: frozenset[str]
    """Operations that cannot change what the reactor would do: they cost no I/O."""


async def _handle(burst: Burst, reactor: Reactor, message: str, invocation: func.Context) -> None:
    tracing.invocation_id.set(invocation.invocation_id)
    began_s = time.perf_counter()
    burst.lane.begin(began_s)
    with tracing.span(burst.function):
        if event := _telling(burst, reactor, message, began_s):
            await burst.take(current(), event, began_s)
    if burst.due and settings.current().burst_sweep:
        await burst.sweep_slice(current())
    burst.lane.end(time.perf_counter())


def _telling(burst: Burst, reactor: Reactor, message: str, began_s: float) -> KeyEvent | None:
    """The event in a message that tells of something to react to; any other is done with here."""
    try:
        event = events.parse_event(message)
    except MalformedEvent as fault:
        telemetry.malformed(burst.function, fault)
        return None
    if event.operation not in reactor.INERT_OPERATIONS:
        return event
    outcome = ignored(event.key, "operation changes nothing")
    duration_ms = (time.perf_counter() - began_s) * 1000
    key = settings.current().audit_key
    telemetry.record(burst.function, reactor.NAME, event.operation, outcome, duration_ms, key)
    return None


_batches_burst = Burst("process_fastapi_data", batches)
_charts_burst = Burst("update_charts", charts)
_sessions_burst = Burst("handle_session_changes", sessions, laps=0)

# The host picks the binding's constructor by the properties present, so every one of them is spelled out.


@blueprint.function_name("process_fastapi_data")
@blueprint.generic_trigger(
    arg_name="message",
    type="redisPubSubTrigger",
    connection="Redis",
    channel="__keyspace@0__:fastapi:temp:data:*",
    pattern=True,
)
async def process_fastapi_data(message: str, context: func.Context) -> None:
    await _handle(_batches_burst, batches, message, context)


@blueprint.function_name("update_charts")
@blueprint.generic_trigger(
    arg_name="message",
    type="redisPubSubTrigger",
    connection="Redis",
    channel="__keyspace@0__:fabric:data:chart:*",
    pattern=True,
)
async def update_charts(message: str, context: func.Context) -> None:
    await _handle(_charts_burst, charts, message, context)


@blueprint.function_name("handle_session_changes")
@blueprint.generic_trigger(
    arg_name="message",
    type="redisPubSubTrigger",
    connection="Redis",
    channel="__keyspace@0__:nextauth:session:*",
    pattern=True,
)
async def handle_session_changes(message: str, context: func.Context) -> None:
    await _handle(_sessions_burst, sessions, message, context)
