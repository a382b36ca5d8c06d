"""The platform's trigger goes deaf for good while Redis answers: the app notices, hears by itself, loses nothing."""

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from local.host.faults import Fault
from tests.support.lateness import Lateness
from tests.support.rig import HostProcess, RedisProcess

pytestmark = pytest.mark.timeout(120)

NEVER = "0 0 0 1 1 *"
PER_S = 40
BEFORE_S, AFTER_S, HEALED_S = 1.5, 11.5, 7.0
NOTICED_S = 10.0
FAST_S = 0.5
"""Longest reaction of the app on a loaded test machine, when it hears."""


async def test_when_the_trigger_is_deaf_nothing_is_lost_and_after_ten_seconds_reactions_are_as_fast_as_ever(
    tmp_path: Path, measured: Callable[[str, float, str], None]
) -> None:
    """Each way to go deaf, on a host and a Redis of its own, side by side. One of them heals."""
    async with asyncio.TaskGroup() as group:
        for fault in (Fault.DEAF, Fault.HALF_OPEN, Fault.NEVER_AGAIN):
            folder = tmp_path / fault
            folder.mkdir()
            group.create_task(go_deaf(folder, fault, measured, heals=fault is Fault.DEAF))


async def go_deaf(folder: Path, fault: Fault, measured: Callable[[str, float, str], None], *, heals: bool) -> None:
    async with RedisProcess(folder) as server:
        host = HostProcess(
            f"127.0.0.1:{server.port}",
            folder / "host.log",
            options=("--fault", f"{fault}@signal"),
            SWEEP_SCHEDULE=NEVER,
            RETRY_SCHEDULE=NEVER,
            DEAF_UNHEALTHY_S="3",
        )
        try:
            await host.start()
            async with Lateness(server.port) as late:
                await late.write(PER_S, BEFORE_S)
                host.begin_fault()
                deaf_s = time.monotonic()
                await late.write(PER_S, AFTER_S)
                while_deaf = await health(host)
                if heals:
                    host.end_fault()
                    await late.write(PER_S, HEALED_S)
                await late.complete(20)
                at_the_end = await health(host)
        finally:
            await host.end()
    output, worst_s = host.output_text(), late.worst_s(deaf_s)
    measured(f"trigger {fault}: latest reaction", worst_s, "s")
    measured(f"trigger {fault}: latest reaction from 10 s on", late.worst_s(deaf_s + NOTICED_S) * 1000, "ms")
    assert not late.doubled
    assert worst_s < NOTICED_S
    assert late.worst_s(deaf_s + NOTICED_S) < FAST_S
    assert while_deaf == 503, "the platform's health check replaces the instance"
    assert at_the_end == (200 if heals else 503)
    assert output.count("the platform's trigger is deaf") == 1
    assert output.count("the platform's trigger hears again") == heals


async def health(host: HostProcess) -> int:
    """The status code of the health check that the platform makes."""
    (url,) = re.findall(r"ready (http\S+)", host.output_text())
    async with aiohttp.ClientSession() as session, session.get(f"{url}/api/health") as response:
        return response.status
