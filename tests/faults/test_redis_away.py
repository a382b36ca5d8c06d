"""Redis that dies and comes back, and connections that break in every way."""

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
"""A connection that says nothing more is given up after a second."""

QUEUED = 200
"""Events that wait in each host when Redis dies: each of them meets the outage."""
LINES_PER_OUTAGE = 40
"""A host's three subscriptions say that they are lost, that they try again (at growing intervals) and that they are
back; the app says once that Redis is away."""
LINES_PER_FAULT = 5


async def test_nothing_is_lost_or_done_twice_when_redis_is_killed_and_comes_back(
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
            await traffic.swept(SETTLE_S)
        await counter.complete()
        assert await traffic.lagging() == []
        check_commits(traffic, counter)
    assert counter.gaps >= restarts
    assert traffic.repeated > 0, "no write met a Redis that was away"
    lines = max(calm(host, LINES_PER_OUTAGE * restarts) for host in running)
    measured("faults: Redis killed and started again", restarts, "times")
    measured("faults: lines that a host logged per outage of Redis", lines / restarts, "lines")


async def test_nothing_is_lost_or_done_twice_when_connections_break(
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
            await traffic.swept(SETTLE_S)
        await counter.complete()
        assert await traffic.lagging() == []
        assert counter.gaps == 0
        check_commits(traffic, counter)
    for fault in FAULTS:
        assert proxy.injected[fault] > 0, f"no connection was {fault}"
        measured(f"faults: connections {fault}", proxy.injected[fault], "times")
    faults = sum(proxy.injected[fault] for fault in FAULTS if fault != DELAY)
    lines = max(calm(host, LINES_PER_FAULT * faults) for host in running)
    measured("faults: lines that a host logged per broken connection", lines / faults, "lines")


async def write_rounds(traffic: Traffic, rounds: int, rng: random.Random) -> None:
    """A few batches and charts at a time, one in five of them a change, with short pauses."""
    for _ in range(rounds):
        written = len(traffic.contents)
        numbers = [*rng.sample(range(written), min(written, 2)), *range(written, written + 8)]
        await traffic.write(traffic.chart(f"k{n}") if n % 3 == 0 else traffic.batch(f"k{n}") for n in numbers)
        await asyncio.sleep(rng.uniform(0, 0.04))


def calm(host: HostProcess, most_lines: int) -> int:
    """The number of lines that a host said, which is bounded; no function failed, nothing was unexpected."""
    said = host.said()
    lines = said.splitlines()
    assert "Traceback" not in said, said[-3000:]
    assert [line for line in lines if "(Failed," in line] == []
    assert len(lines) <= most_lines, f"{len(lines)} lines, the last of them: {lines[-20:]}"
    return len(lines)
