"""A bad key delays the other keys of its reactor by a bounded time: poison, 8 MiB, work that hangs or always fails."""

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
"""Stands for input that the message of a library's exception may quote."""
FILLER = [{"metric": "m", "ts": number, "value": number / 7} for number in range(2000)]
"""Enough readings for a thread to analyse the batch."""


@pytest.fixture
async def app(app_settings: Settings, redis_client: redis.asyncio.Redis) -> AsyncIterator[App]:
    """An app with short timeouts, and twenty valid batches in Redis."""
    settings = msgspec.structs.replace(
        app_settings, work_timeout_s=WORK_TIMEOUT_S, retry_base_s=0.001, retry_cap_s=0.001, retry_attempts=3
    )
    for number, key in enumerate(GOOD):
        await redis_client.set(key, json.dumps([{"metric": "m", "ts": 1, "value": number}]))
    instance = open_app(settings)
    yield instance
    await instance.redis.aclose()


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The analysis of a batch with the metric `hang` does not return before the test ends."""
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
async def good_batches_committed(client: redis.asyncio.Redis) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Subscribes to commit messages; yields a function that waits for those of all good batches."""
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


async def test_hanging_work_ends_at_the_work_timeout_and_other_batches_are_committed_before(
    app: App, redis_client: redis.asyncio.Redis, hanging: None, measured: Callable[[str, float, str], None]
) -> None:
    await redis_client.set(BAD, json.dumps([*FILLER, {"metric": "hang", "ts": 1, "value": 1}]))
    async with good_batches_committed(redis_client) as wait_for_good_batches:
        started_s = time.perf_counter()
        working = asyncio.create_task(batches.react(app, [BAD, *GOOD], cause("sweep")))
        await wait_for_good_batches()
    others_s = time.perf_counter() - started_s
    assert not working.done()
    outcomes = await working
    total_s = time.perf_counter() - started_s
    measured("good batches beside a hanging one, all committed after", others_s * 1000, "ms")
    measured(f"a hanging batch occupies its lane (limit {WORK_TIMEOUT_S * 1000:.0f} ms)", total_s * 1000, "ms")
    assert outcomes[0].result is Result.RETRIED
    assert "WorkTimeout" in str(outcomes[0].detail)
    assert total_s < WORK_TIMEOUT_S + 1


@pytest.mark.any_server
async def test_work_that_always_hangs_becomes_a_dead_letter_and_blocks_no_other_batch(
    app: App, redis_client: redis.asyncio.Redis, hanging: None
) -> None:
    """With more hanging threads than a thread pool would have."""
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


async def test_a_claim_without_a_reply_delays_no_other_group(app: App, redis_client: redis.asyncio.Redis) -> None:
    keys = [f"fastapi:temp:data:many-{number}".encode() for number in range(batches.BURST_BATCHES)]
    await redis_client.mset(dict.fromkeys(keys, json.dumps(FILLER[:3])))
    async with app.state(batches._Turns).claim.taken():  # as if the claim of another group were in progress
        outcomes = await batches.react(app, keys, cause("sweep"))
    assert {outcome.result for outcome in outcomes} == {Result.PROCESSED}


async def test_an_unexpected_error_is_retried_and_then_a_dead_letter_with_its_payload(
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


async def test_a_retry_after_a_temporary_error_succeeds(
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
    """Each worker claims the batch and dies; the lease ends; the attempts show the next worker that others died."""
    await redis_client.set(BAD, json.dumps(FILLER))
    for attempt in range(1, 4):
        (claimed,) = await claims.claim(app, [claims.Batch(BAD, b"bad")])
        assert isinstance(claimed, claims.Claim)
        assert claimed.attempt == attempt
        await redis_client.hset("fastapi:queue:processing:bad", "lease_until_ms", 0)
    (outcome,) = await batches.react(app, [BAD], cause("sweep"))
    assert outcome.result is Result.DEAD
    (letter,) = (await dead_letters.list_page(app)).letters
    assert letter.error == "WorkerLost"


@pytest.mark.any_server
async def test_a_poison_key_and_an_8_mib_batch_do_not_delay_other_batches(
    app: App, redis_client: redis.asyncio.Redis, measured: Callable[[str, float, str], None]
) -> None:
    large = msgspec.json.encode([{"metric": f"m{n % 5}", "ts": n, "value": n / 7} for n in range(200_000)])[: 8 * MIB]
    large = large[: large.rindex(b"}") + 1] + b"]"
    assert 7 * MIB < len(large) <= 8 * MIB
    settings = msgspec.structs.replace(app.settings, work_timeout_s=20)
    app = open_app(settings)
    await redis_client.set(BAD, b"\x80\x04\x95.")
    await redis_client.set(BAD + b"-large", large)
    async with good_batches_committed(redis_client) as wait_for_good_batches:
        started_s = time.perf_counter()
        working = asyncio.create_task(batches.react(app, [BAD, BAD + b"-large", *GOOD], cause("sweep")))
        await wait_for_good_batches()
    measured("good batches beside poison and 8 MiB, committed after", (time.perf_counter() - started_s) * 1000, "ms")
    assert not working.done()
    outcomes = await working
    measured("8 MiB took", (time.perf_counter() - started_s) * 1000, "ms")
    await app.redis.aclose()
    assert [outcome.result for outcome in outcomes[:2]] == [Result.REJECTED, Result.PROCESSED]
