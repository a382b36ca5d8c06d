"""Instances share the keys, join, fall silent and leave under load: nothing is lost, nothing is doubled, nothing is
late."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.lateness import Lateness
from tests.support.rig import HostProcess, RedisProcess

pytestmark = pytest.mark.timeout(120)

NEVER = "0 0 0 1 1 *"
PER_S = 60
TAKEN_OVER_S = 10.0
FAST_S = 0.7
"""Longest reaction on a loaded test machine, when nobody has fallen silent."""


async def test_when_instances_join_stand_still_die_and_leave_nothing_is_lost_or_doubled_or_late(
    tmp_path: Path, measured: Callable[[str, float, str], None]
) -> None:
    async with RedisProcess(tmp_path) as server:
        one, two, three = (
            HostProcess(
                f"127.0.0.1:{server.port}", tmp_path / f"host-{n}.log", SWEEP_SCHEDULE=NEVER, RETRY_SCHEDULE=NEVER
            )
            for n in range(3)
        )
        try:
            async with Lateness(server.port) as late:
                await asyncio.gather(one.start(), two.start())
                alone_s = time.monotonic()
                writing = asyncio.create_task(late.write(PER_S, 24))
                await asyncio.sleep(2)
                await three.start()
                await asyncio.sleep(2)
                killed_s = time.monotonic()
                await one.kill()
                await asyncio.sleep(8)
                two.pause()
                await asyncio.sleep(7)
                two.resume()
                await asyncio.sleep(1)
                left_s = time.monotonic()
                await two.stop()
                await writing
                await late.complete(20)
        finally:
            for host in (one, two, three):
                await host.end()
    measured("instances: latest reaction while one joins", late.worst_s(alone_s, killed_s) * 1000, "ms")
    measured("instances: latest reaction when one is killed", late.worst_s(killed_s, killed_s + 8), "s")
    measured("instances: latest reaction when one stands still or leaves", late.worst_s(killed_s + 8), "s")
    assert not late.doubled
    assert late.worst_s(alone_s, killed_s) < FAST_S, "who joins disturbs nobody"
    assert late.worst_s(killed_s) < TAKEN_OVER_S
    assert late.worst_s(left_s + TAKEN_OVER_S) < FAST_S
