"""The Redis triggers: a function per reactor of shared/registry.py.

Each parses its event, drops events that change nothing, and passes the key to its reactor. When messages queue up,
shared/intake/burst.py takes them together and scans the reactor's keys in bulk. shared/intake/mangled.py finds the keys
of events whose keys are not UTF-8.
"""

import time
from collections.abc import Awaitable, Callable

import azure.functions as func

from shared import telemetry
from shared.app import current_app
from shared.errors import MalformedEvent
from shared.intake.burst import Burst
from shared.intake.events import KeyEvent, parse_event
from shared.intake.mangled import Search, is_mangled
from shared.reactor import Reactor, Source, inert
from shared.registry import REACTORS
from shared.telemetry import tracing
from triggers.invocations import invocation

blueprint = func.Blueprint()


async def _handle(burst: Burst, search: Search, message: str) -> None:
    started_s = time.perf_counter()
    burst.lane.begin(started_s)
    with tracing.span(burst.reactor.function):
        if event := _relevant_event(burst.reactor, message, started_s):
            if is_mangled(event.key):
                _ignore(burst.reactor, event, "the key is not UTF-8: it is searched for", started_s)
                await search.find(current_app(), event, queued=burst.lane.queued)
            else:
                await burst.take(current_app(), event, started_s)
    app = current_app()
    if burst.due and app.settings.burst_sweep:
        await burst.scan_slice(app)
    burst.lane.end(time.perf_counter())


def _relevant_event(reactor: Reactor, message: str, started_s: float) -> KeyEvent | None:
    """The event in a message; None for one that is malformed or cannot change the reactor's effect."""
    try:
        event = parse_event(message)
    except MalformedEvent as error:
        telemetry.malformed(reactor.function, error)
        return None
    if event.cause not in reactor.inert:
        return event
    _ignore(reactor, event, "the event changes nothing", started_s)
    return None


def _ignore(reactor: Reactor, event: KeyEvent, reason: str, started_s: float) -> None:
    outcome = inert(event.key, reason)
    duration_ms = (time.perf_counter() - started_s) * 1000
    audit_key = current_app().settings.audit_key
    telemetry.record(reactor.function, reactor.name, Source.EVENT, outcome, duration_ms, audit_key, event=event.name)


def _function(reactor: Reactor) -> Callable[[str, func.Context], Awaitable[None]]:
    burst, search = Burst(reactor), Search(reactor)

    async def handle(message: str, context: func.Context) -> None:
        with invocation(context):
            await _handle(burst, search, message)

    handle.__name__ = reactor.function
    return handle


for _reactor in REACTORS:
    # The host chooses the binding's constructor by the properties that are present, so all of them are spelled out.
    _trigger = blueprint.generic_trigger(
        arg_name="message",
        type="redisPubSubTrigger",
        connection="Redis",
        channel=_reactor.channel,
        pattern=True,
    )
    blueprint.function_name(_reactor.function)(_trigger(_function(_reactor)))
