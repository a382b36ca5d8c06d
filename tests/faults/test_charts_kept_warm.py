"""Three instances keep charts warm and are killed or paused now and then: never two fetches of a chart at once, none
lost."""

import asyncio
import json
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis.asyncio

from tests.support.chart_source import ChartSource, serving

ROOT = Path(__file__).parents[2]
CHARTS = 20
TIMEOUT_S = 3.0
PAUSE_S = TIMEOUT_S + 2.5
"""Longer than a lease: the others take over what the paused instance had."""


@asynccontextmanager
async def instance(settings: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of its own; killed at the end, if it was not before."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.warm_instance"), cwd=ROOT, env=settings, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    assert await process.stdout.readline() == b"ready\n"
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


@pytest.mark.timeout(240)
async def test_killed_and_paused_instances_never_fetch_a_chart_twice_at_once_and_lose_none(
    redis_port: int, redis_client: redis.asyncio.Redis, pytestconfig: pytest.Config
) -> None:
    faults = 20 if pytestconfig.getoption("--soak") else 1
    source, chance = ChartSource(), random.Random(17)
    source.delay_s = 0.05
    names = [f"c{number}:d" for number in range(CHARTS)]
    async with serving(source.app) as source.port:
        settings = {
            "Redis": f"127.0.0.1:{redis_port}",
            "CHART_SOURCES": json.dumps(
                [{"match": "*", "url": source.url, "ttl_s": 2, "refresh_ahead_s": 1, "timeout_s": TIMEOUT_S}]
            ),
            "CHART_SOURCE_HOSTS": "127.0.0.1",
            "RETRY_BASE_S": "0.05",
            "PATH": "",
        }
        now_ms = time.time() * 1000
        await redis_client.zadd("functions:charts:interest", dict.fromkeys(names, now_ms))
        instances = [instance(settings) for _ in range(3)]
        processes = list(await asyncio.gather(*(each.__aenter__() for each in instances)))
        for fault in range(faults):
            before = len(source.requests)
            while len(source.requests) < before + CHARTS:  # noqa: ASYNC110 (of another process)
                await asyncio.sleep(0.01)
            number = chance.randrange(3)
            if fault % 2:
                processes[number].send_signal(signal.SIGSTOP)
                await asyncio.sleep(PAUSE_S)
                processes[number].send_signal(signal.SIGCONT)
                continue
            processes[number].kill()
            await instances[number].__aexit__(None, None, None)
            instances[number] = instance(settings)
            processes[number] = await instances[number].__aenter__()
        deadline_s = time.monotonic() + 30
        while await redis_client.exists(*(f"fabric:data:chart:{name}" for name in names)) < CHARTS:
            assert time.monotonic() < deadline_s, "a chart was lost"
            await asyncio.sleep(0.02)
        await asyncio.gather(*(each.__aexit__(None, None, None) for each in instances))
    most = source.most_in_flight
    assert most.pop("") <= 8
    assert {name: most[name] for name in names} == dict.fromkeys(names, 1)
