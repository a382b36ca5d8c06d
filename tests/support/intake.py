"""The intake of the app that runs in this process' local host."""

import asyncio
import math
import sys
from typing import Any

from local.host.host import Host, Invocation


def intake() -> Any:
    """The running app's own, since the worker imports the app anew."""
    return sys.modules["triggers.invocations"].intake


def never_behind() -> None:
    """Let the running app never count as behind, however loaded this machine is: events come by the trigger, and their
    outcomes are logged within their invocations."""
    for bound in ("BEHIND_S", "FAR_BEHIND_S"):
        setattr(sys.modules["shared.intake.intake"], bound, math.inf)


def is_heartbeat(invocation: Invocation) -> bool:
    return invocation.message is not None and '"Message":"heartbeat ' in invocation.message


async def settled(host: Host) -> None:
    """Return once every message that Redis sent before this call has been invoked and reacted to."""
    await host.drained()
    for way in intake().ways.values():
        while not way.collector.idle:  # noqa: ASYNC110 (an event of its own would be for tests only)
            await asyncio.sleep(0.001)


async def in_step() -> None:
    """Return once the heartbeats that Redis knows have come back, and no sweep that they caused is under way: after a
    flush their numbers begin anew, which looks like a loss."""
    running = intake()
    tick = running._redis_offset_s
    running._wake.set()
    async with asyncio.timeout(20):
        while (  # noqa: ASYNC110
            running._redis_offset_s == tick
            or running.report().state == "starting"
            or any(way.lane.heard != way.lane.newest or way.lane._unconfirmed for way in running.ways.values())
            or running._watch.behind
            or not (running._catching_up is None or running._catching_up.done())
        ):
            await asyncio.sleep(0.001)
