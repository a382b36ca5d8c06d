"""One rule for every stored time: one that is further ahead than this app would write it now counts as reached.

The stored times are what a clock that was a day ahead, and was then set right, leaves behind.
"""

import json
from typing import Any

import msgspec
import pytest
import redis.asyncio

from shared.app import App
from shared.batches import claims
from shared.batches import reactor as batches
from shared.batches.claims import Batch, Claim
from shared.delivery import dead_letters, reconcile, retries
from shared.delivery.due import retry_due
from shared.operations import stored_census
from shared.reactor import Payload, Result
from shared.registry import BATCHES
from tests.support.causes import cause

pytestmark = pytest.mark.redis_server

DAY_MS = 86_400_000
KEY = b"fastapi:temp:data:b"
CLAIM = b"fastapi:queue:processing:b"
DUE = b"functions:retry:due"
CONTENT = json.dumps([{"metric": "m", "ts": 1, "value": 2.0}])


async def now_ms(client: redis.asyncio.Redis) -> int:
    seconds, micros = await client.time()
    return int(seconds) * 1000 + int(micros) // 1000


async def test_a_retry_that_was_scheduled_a_day_ahead_is_due_now_and_not_skipped_by_a_pass(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    await redis_client.set(KEY, CONTENT)
    member = retries.member("batches", KEY)
    for due_ms in (await now_ms(redis_client) + DAY_MS, float("inf")):
        await retries.schedule(app, "batches", KEY, ValueError())
        await redis_client.zadd(DUE, {member: due_ms})
        assert await retries.not_yet_due(app, "batches", [KEY]) == set()
        await redis_client.zadd(DUE, {member: due_ms})
        assert await retry_due(app, (BATCHES,), budget_s=5) == 1
        assert await retries.waiting(app) == 0
    assert await redis_client.exists(b"fastapi:results:analysis:b")


async def test_a_retry_within_the_longest_delay_keeps_its_backoff(app: App, redis_client: redis.asyncio.Redis) -> None:
    await retries.schedule(app, "batches", KEY, ValueError())
    longest_ms = app.settings.longest_delay_ms
    await redis_client.zadd(DUE, {retries.member("batches", KEY): await now_ms(redis_client) + longest_ms})
    assert await retries.not_yet_due(app, "batches", [KEY]) == {KEY}
    assert await retries.take_due(app) == {}


@pytest.mark.parametrize("ahead_ms", [DAY_MS, 60_000])
async def test_a_lease_that_ends_later_than_a_new_one_holds_nothing_up(
    app: App, redis_client: redis.asyncio.Redis, ahead_ms: int
) -> None:
    await redis_client.set(KEY, CONTENT)
    (claimed,) = await claims.claim(app, [Batch(KEY, b"b")])
    assert isinstance(claimed, Claim)
    until_ms = await now_ms(redis_client) + app.settings.lease_ms + ahead_ms
    ahead_us = (until_ms - app.settings.lease_ms) * 1000
    await redis_client.hset(CLAIM, mapping={"lease_until_ms": until_ms, "token": ahead_us})
    (outcome,) = await batches.react(app, [KEY], cause("sweep"))
    assert outcome.result is Result.PROCESSED
    await redis_client.delete(KEY, b"fastapi:results:analysis:b")
    await redis_client.hset(CLAIM, mapping={"owner": "x", "lease_until_ms": until_ms, "token": ahead_us})
    replayed = await claims.claim_replay(app, Batch(KEY, b"b"), Payload("string", "d" * 40, [CONTENT.encode()]))
    assert isinstance(replayed, Claim)
    assert int(replayed.token) == ahead_us + 1


async def test_a_pass_whose_lease_ends_later_than_a_new_one_is_taken_over(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    ahead_ms = await now_ms(redis_client) + DAY_MS
    state = {"token": ahead_ms, "until_ms": ahead_ms, "owner": "x", "ended_ms": ahead_ms, "duration_ms": "-5"}
    await redis_client.hset("functions:sweep", mapping=state | {"found": "{}"})
    last = await reconcile.last_pass(app)
    assert last is not None
    assert (last.age_s, last.duration_s) == (0, 0)
    assert (await reconcile.reconcile(app, (BATCHES,), budget_s=5)).finished


async def test_a_lease_of_the_census_from_ahead_of_the_clock_ends_as_a_new_one(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    await redis_client.set("functions:keyspace:lease", "x", px=DAY_MS)
    assert await stored_census.current(app) is None
    assert 0 < await redis_client.pttl("functions:keyspace:lease") <= stored_census.EVERY_S * 1000


async def test_a_letter_from_ahead_of_the_clock_is_kept_for_seven_days_from_now(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    first = await dead_letters.bury(app, "batches", KEY, ValueError(), None)
    await redis_client.zadd("functions:dead:index", {first: await now_ms(redis_client) + 40 * DAY_MS})
    await dead_letters.totals(app)
    assert await redis_client.zscore("functions:dead:index", first) <= await now_ms(redis_client)


FORGED: dict[str, Any] = {
    "token": {"token": "9" * 400},
    "an infinite token": {"token": "inf"},
    "lease": {"token": "1", "lease_until_ms": "inf"},
    "attempts": {"token": "1", "attempt": "9" * 15},
    "no number": {"token": "1", "attempt": "nan", "lease_until_ms": "x"},
}


@pytest.mark.parametrize("fields", FORGED.values(), ids=FORGED.keys())
async def test_a_claim_with_numbers_that_this_app_did_not_write_holds_nothing_up_for_good(
    app: App, redis_client: redis.asyncio.Redis, fields: dict[str, str]
) -> None:
    await redis_client.set(KEY, CONTENT)
    await redis_client.hset(CLAIM, mapping={"owner": "x", "content": "y"} | fields)
    (outcome,) = await batches.react(app, [KEY], cause("set"))
    if len(fields["token"]) > 256:
        assert outcome.result is Result.RETRIED, "left alone as another application's"
        return
    assert outcome.result is Result.PROCESSED


async def test_a_position_of_a_pass_with_numbers_past_64_bits_does_not_stop_the_sweep(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    await redis_client.set(KEY, CONTENT)
    patterns = [f"{BATCHES.name}={BATCHES.scanned[0].pattern!r}"]
    position = {"server": await reconcile.server_id(app), "places": patterns, "began_ms": 1, "index": 0, "cursor": 0}
    for found in ({"seen": 10**30}, {"outcomes": {"processed": 2**64 - 1}}, {"seen": -1}, {"seen": 1.5}):
        await redis_client.hset("functions:sweep", "position", msgspec.json.encode(position | {"found": {}}))
        text = json.dumps(position | {"found": {"seen": 0, "outcomes": {}} | found})
        await redis_client.hset("functions:sweep", mapping={"position": text, "until_ms": "0", "token": "9" * 300})
        await redis_client.delete(b"fastapi:results:analysis:b")
        report = await reconcile.reconcile(app, (BATCHES,), budget_s=5)
        assert report.finished
        assert report.outcomes == {Result.PROCESSED: 1}
