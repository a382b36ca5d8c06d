"""Redis that is killed and restarted, and connections that break in several ways."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.proxy import CUT_ANSWER, CUT_COMMAND, DELAY, FAULTS, HALF_CLOSE, STALL, TcpProxy
from tests.support.rig import HostProcess, RedisProcess, hosts
from tests.support.traffic import CommitCounter, Traffic, check_commits

pytestmark = pytest.mark.timeout(120)

SETTLE_S = 40.0
OPTIONS = "connectTimeout=1000,syncTimeout=1000"
"""A silent connection times out after a second."""

QUEUED = 200
"""Events that wait in each host when Redis is killed: each of them fails because of the outage."""
LINES_PER_OUTAGE = 40
"""Each of a host's three subscriptions logs its loss, its attempts to reconnect (at growing intervals) and its return;
the app logs once that Redis is away."""
LINES_PER_FAULT = 5


async def test_killing_and_restarting_redis_loses_and_repeats_nothing(
    tmp_path: Path, rng: random.Random, soak: bool, measured: Callable[[str, float, str], None]
) -> None:
    restarts, rounds = (8, 60) if soak else (2, 15)
    async with (
        RedisProcess(tmp_path, append_only=True) as server,
        Traffic(server.port) as traffic,
        CommitCounter(server.port) as counter,
    ):
        async with hosts(2, f"127.0.0.1:{server.port},{OPTIONS}", tmp_path) as running:
            for _ in range(restarts):
                writing = asyncio.create_task(write_rounds(traffic, rounds, random.Random(rng.random())))
                await asyncio.sleep(rng.uniform(0, 0.3))
                await traffic.write(traffic.batch(f"q{n}") for n in range(QUEUED))
                await asyncio.sleep(rng.uniform(0, 0.03))
                await server.kill()
                await asyncio.sleep(rng.uniform(0, 1))
                await server.start()
                await writing
            await traffic.quiescent(SETTLE_S)
            await traffic.complete_pass(SETTLE_S)
        await counter.complete()
        assert await traffic.lagging() == []
        check_commits(traffic, counter)
    assert counter.gaps >= restarts
    assert traffic.repeated > 0, "no write failed because Redis was away"
    lines = max(checked_lines(host, LINES_PER_OUTAGE * restarts) for host in running)
    measured("faults: Redis killed and restarted", restarts, "times")
    measured("faults: log lines of a host per outage of Redis", lines / restarts, "lines")


async def test_broken_connections_lose_and_repeat_nothing(
    tmp_path: Path, rng: random.Random, soak: bool, measured: Callable[[str, float, str], None]
) -> None:
    rounds = 600 if soak else 100
    async with (
        RedisProcess(tmp_path) as server,
        Traffic(server.port) as traffic,
        CommitCounter(server.port) as counter,
        TcpProxy(server.port, random.Random(rng.random())) as proxy,
    ):
        async with hosts(2, f"127.0.0.1:{proxy.port},{OPTIONS}", tmp_path) as running:
            proxy.chances = {CUT_COMMAND: 0.01, CUT_ANSWER: 0.01, HALF_CLOSE: 0.005, STALL: 0.003, DELAY: 0.01}
            await write_rounds(traffic, rounds, rng)
            while set(FAULTS) - set(proxy.injected):
                await write_rounds(traffic, 5, rng)
            proxy.chances = {}
            await traffic.quiescent(SETTLE_S)
            await traffic.complete_pass(SETTLE_S)
        await counter.complete()
        assert await traffic.lagging() == []
        assert counter.gaps == 0
        check_commits(traffic, counter)
    for fault in FAULTS:
        assert proxy.injected[fault] > 0, f"no connection was {fault}"
        measured(f"faults: connections {fault}", proxy.injected[fault], "times")
    faults = sum(proxy.injected[fault] for fault in FAULTS if fault != DELAY)
    lines = max(checked_lines(host, LINES_PER_FAULT * faults) for host in running)
    measured("faults: log lines of a host per broken connection", lines / faults, "lines")


async def write_rounds(traffic: Traffic, rounds: int, rng: random.Random) -> None:
    """Up to ten batches and charts at a time, one in five of them a change, with short pauses."""
    for _ in range(rounds):
        written = len(traffic.contents)
        numbers = [*rng.sample(range(written), min(written, 2)), *range(written, written + 8)]
        await traffic.write(traffic.chart(f"k{n}") if n % 3 == 0 else traffic.batch(f"k{n}") for n in numbers)
        await asyncio.sleep(rng.uniform(0, 0.04))


def checked_lines(host: HostProcess, max_lines: int) -> int:
    """The number of log lines of a host. Checks that it is bounded, no function failed and nothing was unexpected."""
    text = host.output_text()
    lines = text.splitlines()
    assert "Traceback" not in text, text[-3000:]
    assert [line for line in lines if "(Failed," in line] == []
    assert len(lines) <= max_lines, f"{len(lines)} lines, the last of them: {lines[-20:]}"
    return len(lines)
