"""While Redis refuses to serve: no attempt is used, two log lines, and everything is done once it serves again."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec
import pytest
import redis.asyncio

from shared.app import App, open_app
from shared.delivery import dead_letters, retries, self_repair
from shared.delivery.catch_up import Watch, catch_up
from shared.reactor import Cause, Result
from shared.registry import BATCHES, CHARTS, REACTORS, SESSIONS
from shared.settings import Settings
from tests.support.oldest_server import all_channels

pytestmark = [pytest.mark.redis_server, pytest.mark.both_loops]

BATCH = json.dumps([{"metric": "m", "ts": 1, "value": 1}])
CHART = json.dumps([{"t": 1_767_225_600, "v": 1}])
SESSION = json.dumps({"userId": "u", "expires": "2036-01-01T00:00:00.000Z"})
KEYS = {
    BATCHES: [b"fastapi:temp:data:%d" % number for number in range(20)],
    CHARTS: [b"fabric:data:chart:%d:d" % number for number in range(20)],
    SESSIONS: [b"nextauth:session:%d" % number for number in range(20)],
}


@asynccontextmanager
async def full(client: redis.asyncio.Redis) -> AsyncIterator[None]:
    await client.config_set("maxmemory", "1")
    try:
        yield
    finally:
        await client.config_set("maxmemory", "0")


@asynccontextmanager
async def demoted(client: redis.asyncio.Redis) -> AsyncIterator[None]:
    await client.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        yield
    finally:
        await client.execute_command("REPLICAOF", "NO", "ONE")


@asynccontextmanager
async def mute(client: redis.asyncio.Redis) -> AsyncIterator[None]:
    await client.execute_command("ACL", "SETUSER", "default", "resetchannels")
    try:
        yield
    finally:
        await client.execute_command("ACL", "SETUSER", "default", "allchannels")


@asynccontextmanager
async def without_writes(client: redis.asyncio.Redis) -> AsyncIterator[None]:
    await client.execute_command("ACL", "SETUSER", "default", "-zadd", "-hset", "-set", "-xadd")
    try:
        yield
    finally:
        await client.execute_command("ACL", "SETUSER", "default", "+zadd", "+hset", "+set", "+xadd")


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def effects(client: redis.asyncio.Redis) -> tuple[int, int, int]:
    results = len(await client.keys("fastapi:results:analysis:*"))
    caches = len(await client.keys("fabric:cache:chart:*"))
    return results, caches, await client.xlen("functions:audit:sessions")


@pytest.mark.parametrize("refuses", [full, demoted, mute, without_writes])
async def test_an_outage_by_refusal_uses_no_attempt_logs_two_lines_and_is_made_good(
    app: App,
    redis_client: redis.asyncio.Redis,
    caplog: pytest.LogCaptureFixture,
    refuses: Callable[[redis.asyncio.Redis], AbstractAsyncContextManager[None]],
) -> None:
    if refuses is mute and not await all_channels(redis_client):
        pytest.skip("channels have no permissions before 6.2")
    app, watch = App(msgspec.structs.replace(app.settings, lease_s=0.2), app.redis), Watch()
    await catch_up(app, REACTORS, watch, due=True)
    for reactor, content in ((BATCHES, BATCH), (CHARTS, CHART), (SESSIONS, SESSION)):
        await redis_client.mset(dict.fromkeys(KEYS[reactor], content))
    refused = 0
    async with refuses(redis_client):
        for _ in range(3):
            for reactor, keys in KEYS.items():
                for key in keys:
                    (outcome,) = await reactor.react(app, [key], Cause.WRITTEN)
                    refused += outcome.result is Result.RETRIED
            await catch_up(app, REACTORS, watch, due=True)
            assert not await self_repair.probe(app, REACTORS)
    assert refused >= 60
    assert len(warnings_of(caplog)) == 1, warnings_of(caplog)
    assert await retries.waiting(app) == 0
    assert (await dead_letters.totals(app)).count == 0
    assert await self_repair.probe(app, REACTORS)
    async with asyncio.timeout(10):
        while await effects(redis_client) != (20, 20, 20):  # a refused pass may still have its lease
            await catch_up(app, REACTORS, watch, due=False)
    first, last = warnings_of(caplog)
    assert first.startswith("Redis refuses to serve (")
    assert last.startswith("Redis is back after ")


async def test_a_demoted_primary_is_left_although_its_script_reports_the_refusal_as_data(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    await redis_client.set(KEYS[BATCHES][0], BATCH)
    before = await app.redis.client_id()
    async with demoted(redis_client):
        await BATCHES.react(app, KEYS[BATCHES][:1], Cause.WRITTEN)
        assert await app.redis.client_id() != before


async def test_without_info_retries_and_sweeps_run(
    app_settings: Settings, redis_client: redis.asyncio.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """What is optional is optional: INFO tells only whether the server was restarted."""
    channels = await all_channels(redis_client)
    await redis_client.execute_command("ACL", "SETUSER", "app", "on", "nopass", "+@all", "-info", "~*", *channels)
    user = f"{app_settings.redis},user=app,password=any"
    app = open_app(msgspec.structs.replace(app_settings, redis=user, retry_base_s=0.001, retry_cap_s=0.001))
    watch = Watch()
    await redis_client.set(KEYS[BATCHES][0], BATCH)
    await catch_up(app, REACTORS, watch, due=True)
    assert await effects(redis_client) == (1, 0, 0)
    await redis_client.set(KEYS[BATCHES][1], BATCH)
    await retries.schedule(app, "batches", KEYS[BATCHES][1], ValueError())
    async with asyncio.timeout(5):
        while await effects(redis_client) != (2, 0, 0):
            await catch_up(app, REACTORS, watch, due=False)
    assert warnings_of(caplog) == []
    await app.redis.aclose()
    await redis_client.execute_command("ACL", "DELUSER", "app")


async def test_a_refused_retry_does_not_keep_the_sweep_from_running(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    await redis_client.set(KEYS[BATCHES][0], BATCH)
    await redis_client.execute_command("ACL", "SETUSER", "default", "-zrangebyscore", "-zrange")
    try:
        await catch_up(app, REACTORS, Watch(), due=True)
        assert await effects(redis_client) == (1, 0, 0)
    finally:
        await redis_client.execute_command("ACL", "SETUSER", "default", "+zrangebyscore", "+zrange")
