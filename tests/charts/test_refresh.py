"""Charts with a source: refreshed when they lapse and before, by one fetch at a time, and never against a client."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp  # noqa: F401  # before the clock runs: the app imports it with its first request
import msgspec
import numpy  # noqa: F401  # the same, with its first chart
import pytest

from shared.app import App, open_app
from shared.charts import reactor as charts
from shared.charts import refresh
from shared.charts.refresher import Refresher
from shared.settings import Settings
from tests.support.causes import cause
from tests.support.chart_source import ChartSource, serving

KEY = b"fabric:data:chart:co2-flow:realtime"
CACHE = b"fabric:cache:chart:co2-flow:realtime"
CLIENT_ROWS = json.dumps([{"t": 1_767_225_600_000 + 1000 * n, "v": 7.0} for n in range(3)])


@pytest.fixture
async def source() -> AsyncIterator[ChartSource]:
    source = ChartSource()
    async with serving(source.app) as source.port:
        yield source


def with_source(settings: Settings, source: ChartSource, **members: object) -> Settings:
    """Settings with this source for all charts: TTL 2 s, refreshed 1 s before, unless `members` say otherwise."""
    entry = {"match": "*", "url": source.url, "ttl_s": 2, "refresh_ahead_s": 1, "timeout_s": 1} | members
    return msgspec.structs.replace(
        settings,
        chart_sources=json.dumps([entry]),
        chart_source_hosts="127.0.0.1",
        retry_base_s=0.05,
        retry_cap_s=0.2,
    )


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[App]:
    """An app of an instance that keeps charts warm."""
    app, refresher = open_app(settings), Refresher()
    refresher.look_after(lambda: app)
    try:
        yield app
    finally:
        await refresher.stop()
        await refresh.close(app)
        await app.redis.aclose()


async def until(holds: Callable[[], Awaitable[object]], within_s: float = 5.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not await holds():
        assert time.monotonic() < deadline_s, "not within its time"
        await asyncio.sleep(0.01)


async def cached(app: App, key: bytes = CACHE) -> dict[str, object]:
    return json.loads(await app.redis.get(key) or b"{}")


async def written(app: App, key: bytes = KEY, ttl_ms: int = 2000) -> None:
    """A client's write and the reaction to its event."""
    await app.redis.set(key, CLIENT_ROWS, px=ttl_ms)
    await charts.react(app, [key], cause("set"))


async def test_a_watched_chart_is_in_every_read_over_five_of_its_ttls(app_settings, redis_client, source) -> None:
    async with running(with_source(app_settings, source, ttl_s=1, refresh_ahead_s=0.5)) as app:
        await written(app, ttl_ms=1000)
        reads, end_s = [], time.monotonic() + 5
        while time.monotonic() < end_s:
            reads.append(await redis_client.exists(KEY))
            await asyncio.sleep(0.01)
    assert len(reads) > 100
    assert all(reads)
    assert 5 <= len(source.requests) <= 12
    assert source.most_in_flight["co2-flow:realtime"] == 1
    assert (await cached(app))["stale"] is False
    assert (await cached(app))["stats"]["v"]["last"] == 1.0


async def test_debug(app_settings, redis_client, source) -> None:
    async with running(with_source(app_settings, source, ttl_s=1, refresh_ahead_s=0.5)) as app:
        await written(app, ttl_ms=1000)
        for _ in range(20):
            await asyncio.sleep(0.1)
            print(await redis_client.pttl(KEY), await redis_client.hgetall(b"functions:charts:state:co2-flow:realtime"), len(source.requests))
