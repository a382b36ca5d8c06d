"""A host was killed and its timers are silent, because it held their locks: the next process does their work itself."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import redis.asyncio

from tests.support.rig import HostProcess, RedisProcess

BATCHES = 20
BOUND_S = 10.0
"""The second pass of a started process comes 5 s after the first, and covers what came before the subscription."""
DEFAULTS = {"LEASE_S": "1", "SWEEP_SCHEDULE": "*/30 * * * * *", "RETRY_SCHEDULE": "*/5 * * * * *"}


async def test_what_a_killed_host_missed_does_not_wait_for_the_locks_of_its_timers(
    tmp_path: Path, measured: Callable[[str, float, str], None]
) -> None:
    locks = tmp_path / "locks"
    locks.mkdir()
    async with RedisProcess(tmp_path) as server, redis.asyncio.Redis(port=server.port) as client:
        connection = f"127.0.0.1:{server.port}"
        killed = HostProcess(connection, tmp_path / "killed.log", locks=locks, **DEFAULTS)
        await killed.start()
        holder = lease(locks)["owner"]
        await killed.kill()
        content = json.dumps([{"metric": "m", "ts": 1, "value": 1}])
        await client.mset({f"fastapi:temp:data:missed-{number}": content for number in range(BATCHES)})
        await client.zadd("functions:retry:due", {b"batches\0fastapi:temp:data:missed-0": 0})
        began_s = time.monotonic()
        started = HostProcess(connection, tmp_path / "started.log", locks=locks, **DEFAULTS)
        await started.start()
        async with asyncio.timeout(BOUND_S):
            while len(await client.keys("fastapi:results:analysis:*")) < BATCHES:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        took_s = time.monotonic() - began_s
        assert lease(locks)["owner"] == holder, "the timers are still locked"
        assert lease(locks)["until_s"] > time.time()
        assert await client.zcard("functions:retry:due") == 0
        await started.end()
    measured("faults: from the start of a process to the effects that a killed host missed", took_s, "s")


def lease(locks: Path) -> dict[str, float]:
    return json.loads((locks / "sweep.lock").read_text())
