"""Events that never come, and a database that is emptied."""

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
SWEEP_AFTER_S = 10
"""When the one sweep of the test is due: late enough for hosts to have started and everything to be written."""


async def test_what_was_written_while_notifications_were_off_is_caught_up_by_one_sweep(
    tmp_path: Path, rng: random.Random, soak: bool, measured: Callable[[str, float, str], None]
) -> None:
    keys = 3000 if soak else 300
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=SWEEP_AFTER_S)
    async with (
        RedisProcess(tmp_path) as server,
        Traffic(server.port) as traffic,
        CommitCounter(server.port) as counter,
    ):
        # Nothing but that sweep shall find the keys: no burst either, in which a function sweeps for itself.
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
            assert datetime.now(UTC) < due, "this machine was too slow for the test to tell anything"
            await traffic.swept(SETTLE_S)
            assert await traffic.lagging() == []
        await counter.complete()
        check_commits(traffic, counter)
    assert len(missed) == keys
    measured("faults: keys whose events were lost", len(missed), "keys")


def make(traffic: Traffic, number: int) -> tuple[bytes, bytes]:
    """A new content of a key; every third key is a chart."""
    return traffic.chart(f"k{number}") if number % 3 == 0 else traffic.batch(f"k{number}")


async def test_the_app_goes_on_after_everything_was_flushed(
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
                # Half of the keys come back with other content, half are gone for good.
                await traffic.write(make(traffic, n) for n in range(50, 150))
            await traffic.quiescent(SETTLE_S)
            await traffic.swept(SETTLE_S)
        await counter.complete()
        assert await traffic.lagging() == []
        assert await traffic.effects() == len(traffic.live), "something came back that was flushed"
        assert await traffic.model_readings() > 0
        check_commits(traffic, counter)
    assert flushed > 0
    measured("faults: keys that a FLUSHALL took", flushed, "keys")
