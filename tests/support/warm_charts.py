"""Charts kept warm in a test: an app with a source on loopback, its refresher, a client's writes."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp  # noqa: F401  # before the clock runs: the app imports it with its first request
import msgspec
import numpy  # noqa: F401  # the same, with its first chart
from fastapi.responses import JSONResponse

from shared.app import App, open_app
from shared.charts import reactor as charts
from shared.charts import refresh
from shared.charts.refresher import Refresher
from shared.settings import Settings
from tests.support.causes import cause
from tests.support.chart_source import ChartSource

KEY = b"fabric:data:chart:co2-flow:realtime"
CACHE = b"fabric:cache:chart:co2-flow:realtime"
STATE = b"functions:charts:state:co2-flow:realtime"
CLIENT_ROWS = json.dumps([{"t": 1_767_225_600_000 + 1000 * n, "v": 7.0} for n in range(3)])


def with_source(settings: Settings, source: ChartSource, **members: object) -> Settings:
    """Settings with this source for all charts: TTL 2 s, refreshed 1 s before, unless `members` say otherwise."""
    entry = {"match": "*", "url": source.url, "ttl_s": 2, "refresh_ahead_s": 1, "timeout_s": 5} | members
    return msgspec.structs.replace(
        settings,
        chart_sources=json.dumps([entry]),
        chart_source_hosts="127.0.0.1",
        retry_base_s=0.05,
        retry_cap_s=0.2,
    )


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[App]:
    """An app without a refresher."""
    app = open_app(settings)
    try:
        yield app
    finally:
        await refresh.close(app)
        await app.redis.aclose()


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[App]:
    """An app of an instance that keeps charts warm."""
    async with opened(settings) as app:
        refresher = Refresher()
        refresher.look_after(lambda: app)
        try:
            yield app
        finally:
            await refresher.stop(app)


async def until(holds: Callable[[], Awaitable[object]], within_s: float = 5.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not await holds():
        assert time.monotonic() < deadline_s, "not within its time"
        await asyncio.sleep(0.01)


async def cached(app: App, key: bytes = CACHE) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(await app.redis.get(key) or b"{}")
    return document


async def is_stale(app: App, stale: bool = True) -> bool:
    return (await cached(app)).get("stale") is stale


async def written(app: App, key: bytes = KEY, ttl_ms: int = 2000) -> None:
    """A client's write and the reaction to its event."""
    await app.redis.set(key, CLIENT_ROWS, px=ttl_ms)
    await charts.react(app, [key], cause("set"))


async def reads(app: App, seconds: float, key: bytes = KEY) -> list[bool]:
    """Whether each of many reads in this time found the chart."""
    found, end_s = [], time.monotonic() + seconds
    while time.monotonic() < end_s:
        found.append(bool(await app.redis.exists(key)))
        await asyncio.sleep(0.01)
    return found


async def failing(*_: object) -> JSONResponse:
    return JSONResponse({"detail": "no"}, status_code=500)
