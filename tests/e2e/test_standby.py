"""The slot that is not live: it answers, and leaves production's keys to production."""

import asyncio
import json
import re
from pathlib import Path

import aiohttp
import redis.asyncio

from tests.support.rig import HostProcess

KEY, RESULT = "fastapi:temp:data:b1", "fastapi:results:analysis:b1"
BATCH = json.dumps([{"timestamp": "2026-01-01T00:00:00Z", "co2": 1.5}])
FUNCTION_KEY = "a-key-of-this-test"


async def test_an_app_in_standby_answers_and_reacts_to_nothing_until_a_swap_starts_it_without(
    redis_client: redis.asyncio.Redis, redis_port: int, tmp_path: Path
) -> None:
    names = {"FUNCTIONS_LOCAL_KEY": FUNCTION_KEY, "AzureWebJobsStorage": ""}
    waiting = HostProcess(f"127.0.0.1:{redis_port}", tmp_path / "standby.log", STANDBY="true", **names)
    try:
        await waiting.start()
        await redis_client.set(KEY, BATCH)
        (url,) = re.findall(r"ready (http\S+)", waiting.output_text())
        async with aiohttp.ClientSession(url, headers={"x-functions-key": FUNCTION_KEY}) as http:
            async with http.get("/api/health") as answer:
                assert (answer.status, await answer.json()) == (200, {"status": "degraded"})
            async with http.get("/api/health/details") as answer:
                details = await answer.json()
        assert details["reasons"][0].startswith("STANDBY: ")
        assert (details["trigger"], details["instances"]) == (None, [])
        assert await redis_client.client_list(_type="pubsub") == [], "nobody listens"
        await waiting.stop()
        assert await redis_client.keys("functions:sweep*") == []
        assert not await redis_client.exists(RESULT)
    finally:
        await waiting.end()
    live = HostProcess(f"127.0.0.1:{redis_port}", tmp_path / "live.log", **names)
    try:
        await live.start()
        async with asyncio.timeout(20):
            while not await redis_client.exists(RESULT):  # noqa: ASYNC110 (a key)
                await asyncio.sleep(0.02)
        await live.stop()
    finally:
        await live.end()
