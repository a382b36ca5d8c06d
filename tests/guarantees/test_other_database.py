"""SWAPDB and MOVE: keys that appear in the app's database, or leave it, without having been written there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis
import redis.asyncio

from shared.app import App
from shared.batches import reactor as batches
from shared.delivery.catch_up import Watch, catch_up
from shared.intake.events import cause_of
from shared.reactor import Cause, Result
from shared.registry import BATCHES, CHARTS, REACTORS, SESSIONS
from tests.support.batches import batch, batch_key, digest, digests
from tests.support.looks import lives, nextauth, with_settings
from tests.support.passes import make_pass

pytestmark = pytest.mark.redis_server

CHART = b"fabric:data:chart:co2:realtime"
CONTENT = '{"timestamps": ["2026-01-01T00:00:00Z", "2026-01-01T00:00:10Z"], "values": [1.5, 2.5]}'
SESSION = b"nextauth:session:in-another-database"


@asynccontextmanager
async def other_database(redis_port: int) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis(port=redis_port, db=1) as client:
        yield client


async def effects(client: redis.asyncio.Redis) -> tuple[int, int]:
    return len(await client.keys("fastapi:results:*")), len(await client.keys("fabric:cache:chart:*"))


async def write_all(client: redis.asyncio.Redis, first: int) -> None:
    for number in range(first, first + 20):
        await client.set(batch_key(number), batch())
    await client.set(CHART, CONTENT)
    await client.set(SESSION, nextauth())


async def test_a_swapped_database_gets_its_effects_by_the_next_sweep_and_keeps_those_of_its_own(
    app: App, redis_client: redis.asyncio.Redis, redis_port: int
) -> None:
    """SWAPDB publishes no event. The app's state is swapped with the keys that it is about."""
    await write_all(redis_client, 0)
    watch = Watch()
    await catch_up(app, REACTORS, watch, due=True)
    async with other_database(redis_port) as other:
        await write_all(other, 100)
        await redis_client.swapdb(0, 1)
        assert await effects(redis_client) == (0, 0)
        await catch_up(app, REACTORS, watch, due=True)
        assert await effects(redis_client) == (20, 1)
        assert await lives(app) == [["created"]]
        await redis_client.swapdb(0, 1)
    report = await make_pass(app, REACTORS)
    assert report.outcomes.keys() == {Result.DUPLICATE}
    assert await lives(app) == [["created"]]


async def test_work_on_content_that_is_swapped_away_meanwhile_is_not_committed_into_the_other_database(
    app: App, redis_client: redis.asyncio.Redis, redis_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyse = batches.analyse
    async with other_database(redis_port) as other:
        await redis_client.set(batch_key(1), batch(1.0))
        await other.set(batch_key(1), batch(2.0))

        def swap_and_analyse(*args: Any) -> Any:
            monkeypatch.undo()
            with redis.Redis(port=redis_port) as client:
                client.swapdb(0, 1)
            return analyse(*args)

        monkeypatch.setattr(batches, "analyse", swap_and_analyse)
        await BATCHES.react(app, [batch_key(1)], Cause.WRITTEN)
        assert await digests(app, 2) == [None, digest(batch(2.0))]
        assert await effects(other) == (0, 0)


async def test_a_key_that_is_moved_in_is_a_write_and_one_that_is_moved_out_is_gone(
    app: App, redis_client: redis.asyncio.Redis, redis_port: int
) -> None:
    app = with_settings(app, session_lost_after_s=0)
    keys = {BATCHES: batch_key(1), CHARTS: CHART, SESSIONS: SESSION}
    async with other_database(redis_port) as other, redis_client.pubsub() as heard:
        await heard.psubscribe("__keyspace@0__:*")
        await write_all(other, 1)
        for reactor, key in keys.items():
            await other.move(key, 0)
            event = await moved(heard, key)
            (outcome,) = await reactor.react(app, [key], cause_of(event))
            assert (event, outcome.result) == ("move_to", Result.PROCESSED)
        assert await effects(redis_client) == (1, 1)
        for reactor, key in keys.items():
            await redis_client.move(key, 1)
            event = await moved(heard, key)
            assert event == "move_from"
            await reactor.react(app, [key], cause_of(event))
    assert await lives(app) == [["created", "ended"]]
    assert b'"stale":true' in await redis_client.get("fabric:cache:chart:co2:realtime")
    assert (await make_pass(app, REACTORS)).outcomes.keys() <= {Result.DUPLICATE, Result.IGNORED}


async def moved(heard: redis.asyncio.client.PubSub, key: bytes) -> str:
    """The event of MOVE about `key`."""
    while True:
        message = await heard.get_message(timeout=5)
        assert message is not None
        if message["type"] == "pmessage" and message["channel"].endswith(key) and message["data"].startswith(b"move"):
            return str(message["data"].decode())
