"""Lost events, and a flushed database."""

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.rig import FLAGS, RedisProcess, hosts
from tests.support.traffic import CommitCounter, Traffic, check_commits

pytestmark = pytest.mark.timeout(120)

SETTLE_S = 30.0
PASS_AFTER_S = 10
"""When the only pass of the test is due: after the start of the host and after all writes."""


async def test_one_pass_processes_everything_written_while_notifications_were_off(
    tmp_path: Path, rng: random.Random, soak: bool, measured: Callable[[str, float, str], None]
) -> None:
    keys = 3000 if soak else 300
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=PASS_AFTER_S)
    async with (
        RedisProcess(tmp_path) as server,
        Traffic(server.port) as traffic,
        CommitCounter(server.port) as counter,
    ):
        # Only that pass may find the keys: no bulk scan by a function either.
        settings = {"SWEEP_SCHEDULE": f"{due.second} * * * * *", "BURST_SWEEP": "false"}
        async with hosts(1, f"127.0.0.1:{server.port}", tmp_path, **settings):
            await traffic.write(traffic.batch(f"before{n}") for n in range(20))
            await traffic.quiescent(SETTLE_S)
            await traffic.redis.config_set("notify-keyspace-events", "")
            for start in range(0, keys, 50):
                await traffic.write(make(traffic, n) for n in range(start, start + 50))
                await traffic.write(make(traffic, rng.randrange(start + 50)) for _ in range(10))
            await traffic.redis.config_set("notify-keyspace-events", FLAGS)
            missed = await traffic.lagging()
            assert datetime.now(UTC) < due, "this machine was too slow for the test"
            await traffic.complete_pass(SETTLE_S)
            assert await traffic.lagging() == []
        await counter.complete()
        check_commits(traffic, counter)
    assert len(missed) == keys
    measured("faults: keys whose events were lost", len(missed), "keys")


def make(traffic: Traffic, number: int) -> tuple[bytes, bytes]:
    """New content for a key; every third key is a chart."""
    return traffic.chart(f"k{number}") if number % 3 == 0 else traffic.batch(f"k{number}")


async def test_the_app_continues_after_flushes(
    tmp_path: Path, rng: random.Random, soak: bool, measured: Callable[[str, float, str], None]
) -> None:
    flushes = 20 if soak else 4
    flushed = 0
    async with (
        RedisProcess(tmp_path) as server,
        Traffic(server.port) as traffic,
        CommitCounter(server.port) as counter,
    ):
        async with hosts(2, f"127.0.0.1:{server.port}", tmp_path):
            for _ in range(flushes):
                await traffic.write(make(traffic, n) for n in range(100))
                await asyncio.sleep(rng.uniform(0, 0.1))
                flushed += len(traffic.live)
                await traffic.flush()
                # Half of the keys are written again with other content, the others stay deleted.
                await traffic.write(make(traffic, n) for n in range(50, 150))
            await traffic.quiescent(SETTLE_S)
            await traffic.complete_pass(SETTLE_S)
        await counter.complete()
        assert await traffic.lagging() == []
        assert await traffic.effects() == len(traffic.live), "an effect of flushed content was written"
        assert await traffic.model_readings() > 0
        check_commits(traffic, counter, flushed=True)
    assert flushed > 0
    measured("faults: keys removed by FLUSHALL", flushed, "keys")
