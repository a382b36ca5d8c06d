"""The live test of events: canaries arrive if the flags suffice, change nothing, and are removed."""

import asyncio

import pytest
import redis.asyncio

from shared import namespaces
from shared.app import App
from shared.operations.live_events import try_events
from shared.operations.notification_flags import REQUIRED
from shared.operations.routing import explain
from shared.reactor import CHANNEL_PREFIX, Result
from shared.registry import REACTORS
from tests.support.causes import cause

BY_FUNCTION = {reactor.function: reactor for reactor in REACTORS}


async def test_every_canary_arrives_if_the_flags_suffice_and_is_removed(redis_client: redis.asyncio.Redis) -> None:
    arrivals = await try_events(redis_client)
    assert {arrival.reactor.function for arrival in arrivals} == set(BY_FUNCTION)
    assert {arrival.flag for arrival in arrivals} == set(REQUIRED) - {"K", "e"}
    assert all(arrival.delay_ms is not None and 0 <= arrival.delay_ms < 2000 for arrival in arrivals)
    assert await redis_client.dbsize() == 0


async def test_each_event_that_the_flags_exclude_is_reported(redis_client: redis.asyncio.Redis) -> None:
    try:
        await redis_client.config_set("notify-keyspace-events", "K$x")
        arrivals = await try_events(redis_client, wait_s=0.5)
    finally:
        await redis_client.config_set("notify-keyspace-events", REQUIRED)
    assert {arrival.flag for arrival in arrivals if arrival.delay_ms is None} == {"g", "h", "l"}
    assert {arrival.flag for arrival in arrivals if arrival.delay_ms is not None} == {"$", "x"}
    assert await redis_client.dbsize() == 0


async def test_canaries_change_nothing_in_the_app(app: App, redis_client: redis.asyncio.Redis) -> None:
    received: list[tuple[str, bytes, str]] = []
    async with redis_client.pubsub() as pubsub:
        await pubsub.psubscribe(*(reactor.channel for reactor in REACTORS))
        await try_events(redis_client)
        while (message := await pubsub.get_message(timeout=0.1)) is not None:
            if message["type"] == "pmessage":
                key = message["channel"].removeprefix(CHANNEL_PREFIX.encode())
                received.append((str(explain(key).function), key, message["data"].decode()))
    assert len(received) >= 10
    for function, key, operation in received:
        if operation == "set" and key.startswith(namespaces.BATCH.prefix):
            await redis_client.set(key, b'{"status":"canary"}', px=1000)
        (outcome,) = await BY_FUNCTION[function].react(app, [key], cause(operation))
        assert outcome.result is Result.IGNORED, (key, operation, outcome)
        await redis_client.delete(key)
    remaining = [key for key in await redis_client.keys("*") if not key.startswith(b"functions:stats:")]
    assert remaining == []


async def test_a_cancelled_live_test_leaves_no_key(redis_client: redis.asyncio.Redis, redis_port: int) -> None:
    await redis_client.config_set("notify-keyspace-events", "")
    task = asyncio.create_task(try_events(redis_client, wait_s=30))
    try:
        async with redis.asyncio.Redis(port=redis_port) as other:
            async with asyncio.timeout(10):
                while not await other.dbsize():  # noqa: ASYNC110 (Redis sends no event here: notifications are off)
                    await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    finally:
        await redis_client.config_set("notify-keyspace-events", REQUIRED)
    assert await redis_client.dbsize() == 0
