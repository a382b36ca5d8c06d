"""GET /api/charts: a chart with ETag, Cache-Control and CORS; the list with its sources; a refresh now."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import redis.asyncio

from local.host.host import Host
from tests.e2e.test_http import ROWS, running
from tests.support.chart_source import ChartSource, serving

ORIGIN = "https://dash.example.com"
KEY = "fabric:data:chart:co2:realtime"


@pytest.fixture
async def source() -> AsyncIterator[ChartSource]:
    source = ChartSource()
    async with serving(source.app) as source.port:
        yield source


@pytest.fixture
async def host(app_connection: str, redis_client: redis.asyncio.Redis, source: ChartSource) -> AsyncIterator[Host]:
    settings = {
        "CHART_SOURCES": json.dumps([{"match": "co2*", "url": source.url, "ttl_s": 60}]),
        "CHART_SOURCE_HOSTS": "127.0.0.1",
        "CHART_CORS_ORIGINS": ORIGIN,
    }
    async with running(app_connection, **settings) as (host, _, _):
        yield host


@pytest.fixture
async def http(host: Host) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(host.url, headers={"x-functions-key": host.function_key}) as session:
        yield session


async def test_a_chart_is_served_listed_refreshed_and_pushed(
    host: Host, http: aiohttp.ClientSession, redis_client: redis.asyncio.Redis, source: ChartSource
) -> None:
    """One host for all of it: starting one takes a second."""
    await redis_client.set(KEY, json.dumps(ROWS), ex=300)
    await host.drained()
    async with http.get("/api/charts/co2/realtime", headers={"Origin": ORIGIN}) as response:
        chart, headers = await response.json(), response.headers
        assert response.status == 200
    assert (chart["chartId"], chart["stale"], chart["points"]) == ("co2", False, 200)
    assert headers["ETag"] == f'"{chart["sourceDigest"]}"'
    assert headers["Chart-Stale"] == "false"
    assert 250 < int(headers["Cache-Control"].removeprefix("private, max-age=")) <= 300
    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    for tag, status in {headers["ETag"]: 304, f"W/{headers['ETag']}": 304, "*": 304, '"x"': 200, "": 200}.items():
        async with http.get("/api/charts/co2/realtime", headers={"If-None-Match": tag}) as response:
            assert (response.status, response.headers["ETag"]) == (status, headers["ETag"])
    async with http.get("/api/charts/co2/realtime", headers={"Origin": "https://evil.example.com"}) as response:
        assert "Access-Control-Allow-Origin" not in response.headers
    await check_preflight(host)
    await check_unknown(http)
    await check_list(http)
    await check_refresh(http, redis_client, source)
    await check_stale(http, host, redis_client, source)
    await check_kept_from_its_source(http, host, redis_client)


async def check_preflight(host: Host) -> None:
    async with aiohttp.ClientSession(host.url) as anonymous:
        for origin, allowed in ((ORIGIN, ORIGIN), ("https://evil.example.com", None)):
            for path in ("/api/charts", "/api/charts/co2/realtime"):
                headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
                async with anonymous.options(path, headers=headers) as response:
                    assert response.status == 204
                    assert response.headers.get("Access-Control-Allow-Origin") == allowed


async def check_unknown(http: aiohttp.ClientSession) -> None:
    for path, retry in (("/api/charts/co2-new/realtime", "1"), ("/api/charts/other/d", None)):
        async with http.get(path) as response:
            assert (response.status, response.headers.get("Retry-After")) == (404, retry)
    async with asyncio.timeout(10):  # reading it was a use: it has been fetched
        while (await status(http, "/api/charts/co2-new/realtime")) != 200:  # noqa: ASYNC110 (over HTTP)
            await asyncio.sleep(0.02)
    for path in ("/api/charts/a%2Fb%20c/d", "/api/charts/a/b%3Ac", "/api/charts/%F0%9F%8C%B1/d", "/api/charts/:/d"):
        async with http.get(path, headers={"Origin": ORIGIN}) as response:
            assert response.status == 404
            assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    async with http.head("/api/charts/co2/realtime") as response:
        assert response.status == 404  # the platform's answer to any other method


async def status(http: aiohttp.ClientSession, path: str) -> int:
    async with http.get(path) as response:
        return response.status


async def check_list(http: aiohttp.ClientSession) -> None:
    async with http.get("/api/charts") as response:
        document = await response.json()
    rows = {row["chartId"]: row for row in document["charts"]}
    assert set(rows) == {"co2", "co2-new"}
    assert rows["co2"]["refresh"] | {"dueInS": 0} == {
        "source": "co2*",
        "watched": True,
        "deleted": False,
        "fetchedAgeS": None,
        "dueInS": 0,
        "failures": 0,
        "error": None,
    }
    assert 250 < rows["co2"]["refresh"]["dueInS"] <= 270
    assert 0 < rows["co2"]["ttlS"] <= 600
    (view,) = document["sources"]
    assert (view["match"], view["state"], view["charts"]) == ("co2*", "ok", 2)


async def check_refresh(http: aiohttp.ClientSession, client: redis.asyncio.Redis, source: ChartSource) -> None:
    source.value = 42.0
    async with http.post("/api/charts/other/d/refresh") as response:
        assert response.status == 409
    async with client.pubsub() as messages:
        await messages.subscribe("fabric:events:chart")
        async with http.post("/api/charts/co2/realtime/refresh") as response:
            assert (response.status, await response.json()) == (202, {"scheduled": True})
        async for message in messages.listen():
            if message["type"] == "message" and json.loads(message["data"])["chartId"] == "co2":
                break
    async with http.get("/api/charts/co2/realtime") as response:
        assert (await response.json())["stats"]["v"]["last"] == 42.0
    assert json.loads(await client.get(KEY) or b"")[-1]["v"] == 42.0


async def check_stale(
    http: aiohttp.ClientSession, host: Host, client: redis.asyncio.Redis, source: ChartSource
) -> None:
    source.delay_s = 5  # it does not answer in time for this test
    await client.pexpire(KEY, 1)
    async with asyncio.timeout(10):
        while True:
            async with http.get("/api/charts/co2/realtime") as response:
                headers: Any = response.headers
                if headers["Chart-Stale"] == "true":
                    break
            await client.exists(KEY)  # so that Redis reports the expiry
            await asyncio.sleep(0.02)
    assert headers["Cache-Control"] == "private, no-cache"
    assert headers["Chart-Stale-Since"].endswith("Z")
    source.delay_s = 0


async def check_kept_from_its_source(http: aiohttp.ClientSession, host: Host, client: redis.asyncio.Redis) -> None:
    """A chart that a client deleted, and one that does not expire: nobody is told to wait for them."""
    await client.set("fabric:data:chart:co2-forever:d", json.dumps(ROWS))
    await host.drained()
    async with http.post("/api/charts/co2-forever/d/refresh") as response:
        assert response.status == 409
    await client.set("fabric:data:chart:co2-gone:d", json.dumps(ROWS), ex=300)
    await host.drained()
    await client.delete("fabric:data:chart:co2-gone:d")
    await host.drained()
    assert await status(http, "/api/charts/co2-gone/d") == 200  # stale
    await client.delete("fabric:cache:chart:co2-gone:d")
    async with http.get("/api/charts/co2-gone/d") as response:
        assert (response.status, response.headers.get("Retry-After")) == (404, None)
