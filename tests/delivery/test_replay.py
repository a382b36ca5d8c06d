"""Replays of dead letters: through claims and commits, once, and never over newer results."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator

import msgspec
import pytest
import redis.asyncio

from cli.dead_letters import chosen, replayed
from shared.app import App, open_app
from shared.batches import reactor as batches
from shared.delivery import dead_letters
from shared.delivery.dead_letters import Payload
from shared.delivery.replay import replay
from shared.errors import KeyspaceError
from shared.operations.letter_selection import LetterSelection
from shared.reactor import Outcome, Result
from shared.registry import BATCHES, CHARTS
from shared.settings import Settings
from tests.support.causes import cause

pytestmark = pytest.mark.redis_server

REACTORS = (BATCHES, CHARTS)
KEY = b"fastapi:temp:data:b1"
RESULT = b"fastapi:results:analysis:b1"
CHART = b"fabric:data:chart:c:d"
CACHE = b"fabric:cache:chart:c:d"
GOOD = json.dumps([{"metric": "m", "ts": 1, "value": 2.0}]).encode()
ROWS = json.dumps([{"t": 1_767_225_600_000, "v": 1.5}]).encode()
OLD = Payload("string", "d" * 40, [GOOD])
"""Content that is readable now, unlike when it was buried."""


@pytest.fixture
async def other(app_settings: Settings) -> AsyncIterator[App]:
    instance = open_app(app_settings)
    yield instance
    await instance.redis.aclose()


async def bury(app: App, key: bytes = KEY, content: Payload = OLD) -> str:
    reactor = "batches" if key == KEY else "charts"
    return await dead_letters.bury(app, reactor, key, ValueError(), content)


async def test_a_letter_whose_key_is_gone_is_replayed_from_its_payload(app: App) -> None:
    letter_id = await bury(app)
    outcome = await replay(app, REACTORS, letter_id)
    assert outcome.result is Result.PROCESSED
    assert json.loads(await app.redis.get(RESULT))["inputDigest"] == OLD.digest
    assert await dead_letters.get(app, letter_id) is None
    assert not await app.redis.exists(KEY), "the app never writes a key of another application"


async def test_lists_and_hashes_are_replayed(app: App) -> None:
    for shape, parts in (("list", [b'{"metric":"temp","ts":1,"value":3}']), ("hash", [b"temp", b"3", b"flow", b"4"])):
        await app.redis.flushall()
        letter_id = await bury(app, content=Payload(shape, "e" * 40, parts))
        assert (await replay(app, REACTORS, letter_id)).result is Result.PROCESSED
        assert json.loads(await app.redis.get(RESULT))["metrics"]["temp"]["mean"] == 3


async def test_if_the_key_exists_its_present_content_is_replayed(app: App) -> None:
    letter_id = await bury(app)
    await app.redis.set(KEY, json.dumps([{"metric": "now", "ts": 1, "value": 9}]))
    assert (await replay(app, REACTORS, letter_id)).result is Result.PROCESSED
    assert set(json.loads(await app.redis.get(RESULT))["metrics"]) == {"now"}
    assert await dead_letters.get(app, letter_id) is None


async def test_a_newer_result_is_not_replaced_and_the_letter_stays(app: App) -> None:
    letter_id = await bury(app)
    await app.redis.set(KEY, json.dumps([{"metric": "now", "ts": 1, "value": 9}]))
    await batches.react(app, [KEY], cause("set"))
    await app.redis.delete(KEY)
    before = await app.redis.dump(RESULT)
    assert await replay(app, REACTORS, letter_id) == Outcome(KEY, Result.IGNORED, "there is a newer result")
    assert await app.redis.dump(RESULT) == before
    assert await dead_letters.get(app, letter_id) is not None


async def test_content_that_is_still_unreadable_stays_a_letter(app: App) -> None:
    poison = Payload("string", "f" * 40, [b"\x80\x04."])
    letter_id = await bury(app, content=poison)
    assert (await replay(app, REACTORS, letter_id)).result is Result.REJECTED
    letter = await dead_letters.get(app, letter_id)
    assert letter is not None
    assert (letter.attempts, letter.error) == (2, "Rejected")
    assert not await app.redis.exists("fastapi:queue:processing:b1"), "the claim was released"


async def test_concurrent_replays_of_a_letter_have_one_effect(app: App, other: App) -> None:
    letter_id = await bury(app)
    async with app.redis.pubsub() as channel:
        await channel.subscribe("fastapi:events:analysis")
        await channel.get_message(timeout=5)
        await asyncio.gather(
            replay(app, REACTORS, letter_id), replay(other, REACTORS, letter_id), return_exceptions=True
        )
        await app.redis.publish("fastapi:events:analysis", "end")
        messages = []
        while (message := await channel.get_message(timeout=5)) is not None and message["data"] != b"end":
            messages.append(message)
    assert len(messages) == 1
    assert json.loads(await app.redis.get(RESULT))["inputDigest"] == OLD.digest


async def test_a_chart_whose_source_is_gone_is_rendered_into_a_stale_cache_unless_a_cache_exists(app: App) -> None:
    letter_id = await bury(app, CHART, Payload("string", "c" * 40, [ROWS]))
    assert (await replay(app, REACTORS, letter_id)).result is Result.PROCESSED
    cache = json.loads(await app.redis.get(CACHE))
    assert cache["stale"] is True
    assert cache["stats"]["v"]["last"] == 1.5
    second_id = await bury(app, CHART, Payload("string", "b" * 40, [ROWS]))
    assert (await replay(app, REACTORS, second_id)).result is Result.DUPLICATE
    assert json.loads(await app.redis.get(CACHE)) == cache


async def test_all_letters_of_a_reactor_are_replayed_and_no_others(app: App) -> None:
    for number in range(7):
        key = f"fastapi:temp:data:{number}".encode()
        good = msgspec.json.encode([{"metric": "m", "ts": 1, "value": number}])
        parts = [good if number % 2 else b"\x80\x04."]
        await dead_letters.bury(app, "batches", key, ValueError(), Payload("string", f"{number:040}", parts))
    chart = await bury(app, CHART, Payload("string", "c" * 40, [ROWS]))
    rows = [row async for row in replayed(app, await chosen(app, None, LetterSelection("batches")))]
    assert Counter(row["outcome"] for row in rows) == {"processed": 3, "rejected": 4}
    assert (await dead_letters.totals(app)).count == 5
    assert await dead_letters.get(app, chart) is not None


async def test_an_unknown_id_is_an_error(app: App) -> None:
    with pytest.raises(KeyspaceError, match="no dead letter"):
        await replay(app, REACTORS, "0" * 32)


async def test_a_letter_without_a_payload_is_replayed_when_its_key_exists(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    letter_id = await dead_letters.bury(app, "batches", KEY, ValueError(), None)
    assert "no payload" in str((await replay(app, REACTORS, letter_id)).detail)
    await redis_client.set(KEY, GOOD)
    assert (await replay(app, REACTORS, letter_id)).result is Result.PROCESSED
