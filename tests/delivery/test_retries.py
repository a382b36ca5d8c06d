"""Retries over a real Redis: failures are counted, waits back off, no key that failed is forgotten or taken twice."""

import asyncio
import dataclasses
import time
from typing import Any

import msgspec
import pytest
import redis.asyncio
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from shared.app import App
from shared.delivery import retries
from shared.errors import KeyspaceError, Rejected

pytestmark = pytest.mark.redis_server

DUE = b"functions:retry:due"
ENTRIES = b"functions:retry:entries"
KEY = b"fastapi:temp:data:b1"
FAULT = TimeoutError("what a library says")


def with_settings(app: App, **changes: Any) -> App:
    return dataclasses.replace(app, settings=msgspec.structs.replace(app.settings, **changes))


async def make_all_due(client: redis.asyncio.Redis) -> None:
    for position, member in enumerate(await client.zrange(DUE, 0, -1)):
        await client.zadd(DUE, {member: position})


async def test_failures_are_counted_and_back_off_until_attempts_are_used_up(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    found = [await retries.schedule(app, "batches", KEY, FAULT) for _ in range(7)]
    assert [one.attempts for one in found] == [1, 2, 3, 4, 5, 6, 7]
    assert {one.first_ms for one in found} == {found[0].last_ms}
    assert [one.delay_s is None for one in found] == [False] * 5 + [True] * 2
    for failures, one in enumerate(found[:5]):
        assert 0 <= (one.delay_s or 0) <= 2 * 2**failures
    assert await retries.waiting(app) == 1
    for key in (DUE, ENTRIES):
        assert 7 * 86_400 - 60 < await redis_client.ttl(key) <= 7 * 86_400


async def test_waits_spread_over_their_whole_range_and_stay_below_the_cap(app: App) -> None:
    app = with_settings(app, retry_base_s=100, retry_cap_s=300, retry_attempts=5)
    by_attempt: dict[int, list[float]] = {}
    for number in range(64):
        for _ in range(4):
            one = await retries.schedule(app, "batches", b"%d" % number, FAULT)
            assert one.delay_s is not None
            by_attempt.setdefault(one.attempts, []).append(one.delay_s)
    for attempt, bound_s in ((1, 100), (2, 200), (3, 300), (4, 300)):
        waits_s = by_attempt[attempt]
        assert max(waits_s) <= bound_s
        assert min(waits_s) < bound_s / 2 < max(waits_s)


async def test_a_key_is_due_when_its_wait_is_over_by_redis_clock(app: App, redis_client: redis.asyncio.Redis) -> None:
    one = await retries.schedule(with_settings(app, retry_base_s=300), "batches", KEY, FAULT)
    assert await redis_client.zscore(DUE, b"batches\0" + KEY) == one.last_ms + round((one.delay_s or 0) * 1000)
    seconds, microseconds = await redis_client.time()
    assert abs(seconds * 1000 + microseconds // 1000 - one.last_ms) < 10_000
    await redis_client.zadd(DUE, {b"batches\0" + KEY: one.last_ms + 60_000})
    assert await retries.take_due(app) == {}
    await redis_client.zadd(DUE, {b"batches\0" + KEY: one.last_ms})
    assert await retries.take_due(app) == {"batches": [KEY]}


async def test_due_keys_come_by_reactor_longest_due_first_and_bounded(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    for number in range(6):
        await retries.schedule(app, ("batches", "charts")[number % 2], b"k%d" % number, FAULT)
        await redis_client.zadd(DUE, {(b"batches", b"charts")[number % 2] + b"\0k%d" % number: 100 - number})
    assert await retries.take_due(app, 4) == {"charts": [b"k5", b"k3"], "batches": [b"k4", b"k2"]}
    assert await retries.take_due(app, 4) == {"charts": [b"k1"], "batches": [b"k0"]}
    assert await retries.waiting(app) == 6


async def test_many_takers_take_each_key_once(app: App, redis_client: redis.asyncio.Redis) -> None:
    keys = [b"k%d" % number for number in range(200)]
    for key in keys:
        await retries.schedule(app, "batches", key, FAULT)
    await make_all_due(redis_client)
    taken = await asyncio.gather(*(retries.take_due(app, 40) for _ in range(8)))
    assert sorted(key for one in taken for key in one.get("batches", [])) == sorted(keys)


async def test_a_key_that_was_taken_and_not_settled_is_due_again_after_a_lease(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    await retries.schedule(app, "batches", KEY, FAULT)
    await make_all_due(redis_client)
    assert await retries.take_due(app) == {"batches": [KEY]}
    assert await retries.take_due(app) == {}
    seconds, _ = await redis_client.time()
    due_ms = await redis_client.zscore(DUE, b"batches\0" + KEY)
    assert due_ms == pytest.approx(seconds * 1000 + app.settings.lease_ms, abs=5_000)

    brief = with_settings(app, lease_s=0.02)
    await make_all_due(redis_client)
    assert await retries.take_due(brief) == {"batches": [KEY]}
    deadline = time.monotonic() + 10
    while await retries.take_due(brief) != {"batches": [KEY]}:
        assert time.monotonic() < deadline, "never due again"


async def test_a_key_without_attempts_left_is_due_after_a_lease_should_nobody_bury_it(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    one = await retries.schedule(with_settings(app, retry_attempts=1), "batches", KEY, FAULT)
    assert one.delay_s is None
    assert await redis_client.zscore(DUE, b"batches\0" + KEY) == one.last_ms + app.settings.lease_ms


async def test_keys_that_succeeded_are_forgotten_and_no_others(app: App, redis_client: redis.asyncio.Redis) -> None:
    for key in (b"a", b"b", b"c"):
        await retries.schedule(app, "batches", key, FAULT)
        await retries.schedule(app, "charts", key, FAULT)
    await retries.clear(app, "batches", [b"a", b"b", b"never failed"])
    await retries.clear(app, "batches", [])
    assert sorted(await redis_client.zrange(DUE, 0, -1)) == [b"batches\0c", b"charts\0a", b"charts\0b", b"charts\0c"]
    assert sorted(await redis_client.hkeys(ENTRIES)) == [b"batches\0c", b"charts\0a", b"charts\0b", b"charts\0c"]
    assert (await retries.schedule(app, "batches", b"a", FAULT)).attempts == 1
    assert (await retries.schedule(app, "batches", b"c", FAULT)).attempts == 2


@given(keys=st.sets(st.binary(min_size=1, max_size=40) | st.sampled_from([b"\0", b"a\0b", b"\xff\xfe", b"a\nb"])))
@hypothesis(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_key_comes_back_as_it_was(app: App, redis_client: redis.asyncio.Redis, keys: set[bytes]) -> None:
    await redis_client.flushall()
    for key in keys:
        assert (await retries.schedule(app, "batches", key, FAULT)).attempts == 1
        assert (await retries.schedule(app, "batches", key, FAULT)).attempts == 2
    await make_all_due(redis_client)
    assert set((await retries.take_due(app)).get("batches", [])) == keys
    await retries.clear(app, "batches", keys)
    assert await redis_client.keys() == []


@pytest.mark.parametrize(
    "garbage",
    [b"", b"x", b"1", b"1 2\n", b"-1 2 3\n", b"9" * 400 + b" 1 1\n", b"1 " + b"9" * 400 + b" 1\n", b"\x93\xc4"],
)
async def test_an_entry_written_over_costs_its_count_and_no_other_key(
    app: App, redis_client: redis.asyncio.Redis, garbage: bytes
) -> None:
    await retries.schedule(app, "batches", b"other", FAULT)
    await redis_client.hset(ENTRIES, b"batches\0" + KEY, garbage)
    one = await retries.schedule(app, "batches", KEY, FAULT)
    assert one.attempts in {1, 2}
    assert one.first_ms <= one.last_ms
    assert (await retries.schedule(app, "batches", KEY, FAULT)).attempts == one.attempts + 1
    assert (await retries.schedule(app, "batches", b"other", FAULT)).attempts == 2


async def test_keys_of_another_type_are_nobody_s_and_are_made_ours_by_the_next_failure(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    for key in (DUE, ENTRIES):
        await redis_client.set(key, "of another application")
    assert await retries.take_due(app) == {}
    assert await retries.waiting(app) == 0
    await retries.clear(app, "batches", [KEY])
    assert (await retries.schedule(app, "batches", KEY, FAULT)).attempts == 1
    await make_all_due(redis_client)
    assert await retries.take_due(app) == {"batches": [KEY]}


async def test_members_that_are_none_of_ours_are_removed(app: App, redis_client: redis.asyncio.Redis) -> None:
    await redis_client.zadd(DUE, {b"": 1, b"no zero byte": 2, b"\0key": 3, b"\xff\0key": 4, b"charts\0key": 5})
    assert await retries.take_due(app) == {"charts": [b"key"]}
    assert await redis_client.zrange(DUE, 0, -1) == [b"charts\0key"]


async def test_a_key_whose_entry_was_lost_is_tried_again_all_the_same(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    await retries.schedule(app, "batches", KEY, FAULT)
    await redis_client.delete(ENTRIES)
    await make_all_due(redis_client)
    assert await retries.take_due(app) == {"batches": [KEY]}
    assert (await retries.schedule(app, "batches", KEY, FAULT)).attempts == 1


async def test_keys_whose_due_times_were_lost_are_due_with_the_next_failure(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    for number in range(5):
        await retries.schedule(app, "batches", b"k%d" % number, FAULT)
    await redis_client.delete(DUE)
    await redis_client.zadd(DUE, {b"charts\0c": 1})
    one = await retries.schedule(with_settings(app, retry_base_s=300), "charts", b"c", FAULT)
    assert await redis_client.zscore(DUE, b"charts\0c") == one.last_ms + round((one.delay_s or 0) * 1000)
    assert sorted((await retries.take_due(app))["batches"]) == [b"k%d" % number for number in range(5)]


async def test_a_flush_forgets_and_the_next_failure_begins_anew(app: App, redis_client: redis.asyncio.Redis) -> None:
    await retries.schedule(app, "batches", KEY, FAULT)
    await redis_client.flushall()
    await redis_client.script_flush()
    assert await retries.take_due(app) == {}
    assert (await retries.schedule(app, "batches", KEY, FAULT)).attempts == 1
    assert await retries.waiting(app) == 1


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Rejected("JSON is cut short"), ("Rejected", "JSON is cut short")),
        (KeyspaceError("two\nlines \x1b[31m"), ("KeyspaceError", r"two\nlines \x1b[31m")),
        (KeyspaceError("\udc80" + "é" * 600), ("KeyspaceError", r"\udc80" + "é" * 493 + "…")),
        (ValueError("could not convert string to float: 'secret'"), ("ValueError", "")),
        (KeyError("secret"), ("KeyError", "")),
    ],
)
def test_only_our_own_errors_are_quoted_and_on_one_short_line(error: Exception, told: tuple[str, str]) -> None:
    assert retries.describe(error) == told


async def test_what_a_library_says_is_not_kept(app: App, redis_client: redis.asyncio.Redis) -> None:
    await retries.schedule(app, "batches", KEY, ValueError("secret-in-a-message"))
    (entry,) = await redis_client.hvals(ENTRIES)
    assert b"secret" not in entry
    assert b"ValueError" in entry


async def test_each_step_is_one_round_trip(app: App, redis_client: redis.asyncio.Redis) -> None:
    async def steps() -> None:
        await retries.schedule(app, "batches", KEY, FAULT)
        await retries.take_due(app)
        await retries.clear(app, "batches", [b"%d" % number for number in range(64)])
        await retries.waiting(app)

    await steps()
    before = await redis_client.info("commandstats")
    await steps()
    after = await redis_client.info("commandstats")
    assert after["cmdstat_evalsha"]["calls"] - before["cmdstat_evalsha"]["calls"] == 4
    assert after.get("cmdstat_eval") == before.get("cmdstat_eval")
