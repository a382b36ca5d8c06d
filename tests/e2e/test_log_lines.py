"""No log line of the app is lost, although the host drops those written outside a running invocation."""

import asyncio
import logging
from collections.abc import Iterator

import aiohttp
import pytest
import redis.asyncio

from local.host.worker import in_invocation
from tests.e2e.test_sweep import running_app
from tests.support.intake import settled

COUNT = 1000


class LikeTheHost(logging.Handler):
    """Keeps the lines of running invocations and drops the others."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[str] = []
        self.dropped: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        (self.kept if in_invocation() else self.dropped).append(record.getMessage())


@pytest.fixture
def host_log() -> Iterator[LikeTheHost]:
    handler = LikeTheHost()
    logger = logging.getLogger("keyspace_functions")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


async def test_each_line_of_a_burst_is_within_an_invocation(
    redis_client: redis.asyncio.Redis, host_log: LikeTheHost
) -> None:
    async with running_app(redis_client) as app:
        pipeline = redis_client.pipeline(transaction=False)
        for number in range(COUNT):
            pipeline.set(f"fastapi:temp:data:bad-{number}", "not a batch")
            pipeline.set(f"fabric:data:chart:{number}:d", '[{"t": 1767225600, "v": 1}]')
        await pipeline.execute()
        async with asyncio.timeout(20):
            while await redis_client.zcard("functions:dead:index") + await charts(redis_client) < 2 * COUNT:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await settled(app.host)
        async with aiohttp.ClientSession() as session, session.get(f"{app.host.url}/api/health"):
            pass
    lines = [line for line in host_log.kept if "bad-" in line]
    assert len([line for line in lines if " rejected " in line]) == COUNT
    assert len([line for line in host_log.kept if " processed fabric:" in line]) == COUNT
    assert not [line for line in host_log.kept if "None" in line]
    assert host_log.dropped == []


async def charts(client: redis.asyncio.Redis) -> int:
    return len(await client.keys("fabric:cache:chart:*"))
