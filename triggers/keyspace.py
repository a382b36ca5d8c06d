"""The Redis triggers: a function per reactor of shared/registry.py.

Each parses its event, drops events that change nothing, and passes the rest to shared/intake/intake.py, which drops
what is another instance's or known already, and collects what is left for the reactor. shared/intake/mangled.py finds
the keys of events whose keys are not UTF-8.
"""

import time
from collections.abc import Awaitable, Callable

import azure.functions as func

from shared import telemetry
from shared.app import current_app
from shared.errors import MalformedEvent
from shared.intake.events import KeyEvent, parse_event
from shared.intake.heartbeat import parse_heartbeat
from shared.intake.intake import Intake
from shared.intake.mangled import Search, is_mangled
from shared.intake.way import Way
from shared.reactor import Reactor, Source, inert
from shared.registry import REACTORS
from shared.telemetry import tracing
from triggers.invocations import intake, invocation

blueprint = func.Blueprint()


async def _handle(intake: Intake, way: Way, search: Search, message: str) -> None:
    started_s = time.perf_counter()
    try:
        event = parse_event(message)
    except MalformedEvent as error:
        telemetry.malformed(way.reactor.function, error)
        return
    if event.key == way.prefix and (heartbeat := parse_heartbeat(event.name)):
        intake.hear(way, heartbeat)
        return
    with tracing.span(way.reactor.function):
        behind = intake.invoked(way)
        if event.cause in way.reactor.inert:
            _ignore(way.reactor, event, "the event changes nothing", started_s)
        elif not await intake.admits(way, event):
            return
        elif is_mangled(event.key):
            _ignore(way.reactor, event, "the key is not UTF-8: it is searched for", started_s)
            await search.find(current_app(), event, queued=behind)
        else:
            await way.collector.take(current_app(), event, started_s, wait=not behind)


def _ignore(reactor: Reactor, event: KeyEvent, reason: str, started_s: float) -> None:
    outcome = inert(event.key, reason)
    duration_ms = (time.perf_counter() - started_s) * 1000
    audit_key = current_app().settings.audit_key
    telemetry.record(reactor.function, reactor.name, Source.EVENT, outcome, duration_ms, audit_key, event=event.name)


def _function(reactor: Reactor) -> Callable[[str, func.Context], Awaitable[None]]:
    way, search = intake.ways[reactor.name], Search(reactor)

    async def handle(message: str, context: func.Context) -> None:
        with invocation(context):
            await _handle(intake, way, search, message)

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
