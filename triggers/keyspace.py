"""The three Redis triggers. Each parses its event, drops what changes nothing, and hands the key to its reactor.

When messages queue up, an invocation also sweeps its reactor's keys for a while, in bulk, after its own event.
"""

import time
from collections.abc import Sequence
from typing import Protocol

import azure.functions as func

from shared import batches, charts, events, sessions, settings, telemetry, tracing
from shared.context import Context, current
from shared.errors import MalformedEvent
from shared.outcomes import Outcome, Result, ignored
from shared.sweep import Burst

blueprint = func.Blueprint()


class Reactor(Protocol):
    """What a handler module in shared/ offers."""

    NAME: str
    INERT_OPERATIONS: frozenset[str]
    """Operations that cannot change what the reactor would do: they cost no I/O."""

    async def react(self, app: Context, keys: Sequence[bytes], operation: str) -> list[Outcome]: ...


async def _handle(function: str, reactor: Reactor, message: str) -> list[Outcome]:
    started = time.perf_counter()
    try:
        event = events.parse_event(message)
    except MalformedEvent as fault:
        telemetry.malformed(function, fault)
        return []
    if event.operation in reactor.INERT_OPERATIONS:
        outcomes = [ignored(event.key, "operation changes nothing")]
    else:
        outcomes = await reactor.react(current(), [event.key], event.operation)
    duration_ms = (time.perf_counter() - started) * 1000
    for outcome in outcomes:
        telemetry.record(function, reactor.NAME, event.operation, outcome, duration_ms, settings.current().audit_key)
    return outcomes


async def _handle_and_catch_up(burst: Burst, reactor: Reactor, message: str, invocation: func.Context) -> None:
    tracing.invocation_id.set(invocation.invocation_id)
    burst.lane.begin(time.perf_counter())
    with tracing.span(burst.function):
        outcomes = await _handle(burst.function, reactor, message)
    if any(outcome.result is Result.PROCESSED for outcome in outcomes):
        burst.lane.effect()
    if burst.due and settings.current().burst_sweep:
        await burst.sweep_slice(current())
    burst.lane.end(time.perf_counter())


_batches_burst = Burst("process_fastapi_data", batches)
_charts_burst = Burst("update_charts", charts)
_sessions_burst = Burst("handle_session_changes", sessions)

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
    await _handle_and_catch_up(_batches_burst, batches, message, context)


@blueprint.function_name("update_charts")
@blueprint.generic_trigger(
    arg_name="message",
    type="redisPubSubTrigger",
    connection="Redis",
    channel="__keyspace@0__:fabric:data:chart:*",
    pattern=True,
)
async def update_charts(message: str, context: func.Context) -> None:
    await _handle_and_catch_up(_charts_burst, charts, message, context)


@blueprint.function_name("handle_session_changes")
@blueprint.generic_trigger(
    arg_name="message",
    type="redisPubSubTrigger",
    connection="Redis",
    channel="__keyspace@0__:nextauth:session:*",
    pattern=True,
)
async def handle_session_changes(message: str, context: func.Context) -> None:
    await _handle_and_catch_up(_sessions_burst, sessions, message, context)
