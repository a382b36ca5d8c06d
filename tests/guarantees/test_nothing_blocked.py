"""One bad key delays the others of its reactor by a bounded time: poison, 8 MiB, work that hangs or always fails."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import redis.asyncio

from shared.app import App, open_app
from shared.batches import claims
from shared.batches import reactor as batches
from shared.delivery import dead_letters, retries
from shared.delivery.due import retry_due
from shared.reactor import Result
from shared.registry import BATCHES
from shared.settings import MIB, Settings
from tests.support.causes import cause

pytestmark = pytest.mark.redis_server

BAD = b"fastapi:temp:data:bad"
GOOD = [f"fastapi:temp:data:good-{number}".encode() for number in range(20)]
WORK_TIMEOUT_S = 0.3
QUOTED_INPUT = "5ecret"
"""What the message of a library's exception may quote."""
FILLER = [{"metric": "m", "ts": number, "value": number / 7} for number in range(2000)]
"""Enough for the work to leave the event loop."""


@pytest.fixture
async def app(app_settings: Settings, redis_client: redis.asyncio.Redis) -> AsyncIterator[App]:
    """A worker with short times, and twenty good batches."""
    settings = msgspec.structs.replace(
        app_settings, work_timeout_s=WORK_TIMEOUT_S, retry_base_s=0.001, retry_cap_s=0.001, retry_attempts=3
    )
    for number, key in enumerate(GOOD):
        await redis_client.set(key, json.dumps([{"metric": "m", "ts": 1, "value": number}]))
    context = open_app(settings)
    yield context
    await context.redis.aclose()


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The analysis of a batch with a metric called `hang` does not return before the test ends."""
    end = threading.Event()

    analyse = batches.analyse

    def analyse_or_hang(group: Any, *args: Any) -> Any:
        if any("hang" in readings.series for readings in group):
            end.wait(30)
        return analyse(group, *args)

    monkeypatch.setattr(batches, "analyse", analyse_or_hang)
    yield
    end.set()


@asynccontextmanager
async def good_ones_done(client: redis.asyncio.Redis) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Waits for the messages of all good batches."""
    async with client.pubsub() as channel:
        await channel.subscribe("fastapi:events:analysis")

        async def wait() -> None:
            missing = {key.rpartition(b":")[2].decode() for key in GOOD}
            async with asyncio.timeout(20):
                while missing:
                    message = await channel.get_message(ignore_subscribe_messages=True, timeout=None)
                    if message is not None:
                        missing.discard(json.loads(message["data"])["batchId"])

        yield wait


async def test_work_that_hangs_ends_at_its_limit_and_the_others_are_done_before(
    app: App, redis_client: redis.asyncio.Redis, hanging: None, measured: Callable[[str, float, str], None]
) -> None:
    await redis_client.set(BAD, json.dumps([*FILLER, {"metric": "hang", "ts": 1, "value": 1}]))
    async with good_ones_done(redis_client) as until_good_ones_are_done:
        started_s = time.perf_counter()
        working = asyncio.create_task(batches.react(app, [BAD, *GOOD], cause("sweep")))
        await until_good_ones_are_done()
    others_s = time.perf_counter() - started_s
    assert not working.done()
    outcomes = await working
    whole_s = time.perf_counter() - started_s
    measured("good batches beside one that hangs, all done after", others_s * 1000, "ms")
    measured(f"a batch that hangs holds its lane for (limit {WORK_TIMEOUT_S * 1000:.0f} ms)", whole_s * 1000, "ms")
    assert outcomes[0].result is Result.RETRIED
    assert "WorkTimeout" in str(outcomes[0].detail)
    assert whole_s < WORK_TIMEOUT_S + 1


async def test_work_that_hangs_every_time_becomes_a_dead_letter_and_starves_nobody(
    app: App, redis_client: redis.asyncio.Redis, hanging: None
) -> None:
    """More hung threads than any pool of threads here would have."""
    bad = [BAD + str(number).encode() for number in range(4)]
    for key in bad:
        await redis_client.set(key, json.dumps([*FILLER, {"metric": "hang", "ts": 1, "value": 1}]))
        await batches.react(app, [key], cause("set"))
    async with asyncio.timeout(20):
        while await retries.waiting(app):
            await retry_due(app, (BATCHES,), budget_s=5)
    letters = (await dead_letters.list_page(app)).letters
    assert sorted(letter.key for letter in letters) == bad
    assert {(letter.error, letter.attempts) for letter in letters} == {("WorkTimeout", 3)}
    await redis_client.set(GOOD[0], json.dumps(FILLER))
    (outcome,) = await batches.react(app, [GOOD[0]], cause("set"))
    assert outcome.result is Result.PROCESSED


async def test_a_claim_that_gets_no_answer_holds_up_no_other_group(app: App, redis_client: redis.asyncio.Redis) -> None:
    keys = [f"fastapi:temp:data:many-{number}".encode() for number in range(batches.BURST_BATCHES)]
    await redis_client.mset(dict.fromkeys(keys, json.dumps(FILLER[:3])))
    async with app.state(batches._claim_turn).taken():  # as long as the claim of another group is under way
        outcomes = await batches.react(app, keys, cause("sweep"))
    assert {outcome.result for outcome in outcomes} == {Result.PROCESSED}


async def test_a_failure_of_our_own_is_retried_and_then_a_dead_letter_with_its_payload(
    app: App, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError(QUOTED_INPUT)

    await redis_client.set(BAD, json.dumps(FILLER))
    with monkeypatch.context() as patch:
        patch.setattr(batches, "analyse", broken)
        (outcome,) = await batches.react(app, [BAD], cause("set"))
        assert outcome.result is Result.RETRIED
        async with asyncio.timeout(10):
            while await retries.waiting(app):
                await retry_due(app, (BATCHES,), budget_s=5)
    (letter,) = (await dead_letters.list_page(app)).letters
    assert (letter.error, letter.attempts, letter.key) == ("ZeroDivisionError", 3, BAD)
    assert QUOTED_INPUT not in letter.message + caplog.text
    content = await dead_letters.payload(app, letter.id)
    assert content is not None
    assert json.loads(content.parts[0]) == FILLER


async def test_a_failure_that_passes_is_made_good_by_its_retry(
    app: App, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await redis_client.set(BAD, json.dumps(FILLER))
    with monkeypatch.context() as patch:
        patch.setattr(batches, "analyse", lambda *_, **__: 1 / 0)
        await batches.react(app, [BAD], cause("set"))
    assert await retries.waiting(app) == 1
    async with asyncio.timeout(10):
        while await retries.waiting(app):
            await retry_due(app, (BATCHES,), budget_s=5)
    assert await redis_client.exists("fastapi:results:analysis:bad")
    assert (await dead_letters.list_page(app)).letters == []


async def test_content_that_kills_its_workers_becomes_a_dead_letter(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    """Each worker claims it and is gone; the lease runs out; the next one is warned by the count."""
    await redis_client.set(BAD, json.dumps(FILLER))
    for attempt in range(1, 4):
        (held,) = await claims.claim(app, [claims.Batch(BAD, b"bad")])
        assert isinstance(held, claims.Claim)
        assert held.attempt == attempt
        await redis_client.hset("fastapi:queue:processing:bad", "lease_until_ms", 0)
    (outcome,) = await batches.react(app, [BAD], cause("sweep"))
    assert outcome.result is Result.DEAD
    (letter,) = (await dead_letters.list_page(app)).letters
    assert letter.error == "WorkerLost"


async def test_a_poison_key_and_8_mib_delay_the_others_by_no_more_than_their_own_work(
    app: App, redis_client: redis.asyncio.Redis, measured: Callable[[str, float, str], None]
) -> None:
    large = msgspec.json.encode([{"metric": f"m{n % 5}", "ts": n, "value": n / 7} for n in range(200_000)])[: 8 * MIB]
    large = large[: large.rindex(b"}") + 1] + b"]"
    assert 7 * MIB < len(large) <= 8 * MIB
    settings = msgspec.structs.replace(app.settings, work_timeout_s=20)
    app = open_app(settings)
    await redis_client.set(BAD, b"\x80\x04\x95.")
    await redis_client.set(BAD + b"-large", large)
    async with good_ones_done(redis_client) as until_good_ones_are_done:
        started_s = time.perf_counter()
        working = asyncio.create_task(batches.react(app, [BAD, BAD + b"-large", *GOOD], "sweep"))
        await until_good_ones_are_done()
    measured("good batches beside poison and 8 MiB, all done after", (time.perf_counter() - started_s) * 1000, "ms")
    assert not working.done()
    outcomes = await working
    measured("8 MiB took", (time.perf_counter() - started_s) * 1000, "ms")
    await app.redis.aclose()
    assert [one.result for one in outcomes[:2]] == [Result.REJECTED, Result.PROCESSED]
