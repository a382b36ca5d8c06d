"""Retries on a real Redis: attempts, backoff, due keys, and keys that other applications overwrote."""

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
FAULT = TimeoutError("a library's message")


def with_settings(app: App, **changes: Any) -> App:
    return dataclasses.replace(app, settings=msgspec.structs.replace(app.settings, **changes))


async def make_all_due(client: redis.asyncio.Redis) -> None:
    for position, member in enumerate(await client.zrange(DUE, 0, -1)):
        await client.zadd(DUE, {member: position})


async def test_failures_are_counted_and_back_off_until_attempts_are_used_up(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    schedules = [await retries.schedule(app, "batches", KEY, FAULT) for _ in range(7)]
    assert [schedule.attempts for schedule in schedules] == [1, 2, 3, 4, 5, 6, 7]
    assert {schedule.first_ms for schedule in schedules} == {schedules[0].last_ms}
    assert [schedule.delay_s is None for schedule in schedules] == [False] * 5 + [True] * 2
    for failures, schedule in enumerate(schedules[:5]):
        assert 0 <= (schedule.delay_s or 0) <= 2 * 2**failures
    assert await retries.waiting(app) == 1
    for key in (DUE, ENTRIES):
        assert 7 * 86_400 - 60 < await redis_client.ttl(key) <= 7 * 86_400


async def test_delays_spread_over_their_whole_range_and_stay_below_the_cap(app: App) -> None:
    app = with_settings(app, retry_base_s=100, retry_cap_s=300, retry_attempts=5)
    by_attempt: dict[int, list[float]] = {}
    for number in range(64):
        for _ in range(4):
            schedule = await retries.schedule(app, "batches", b"%d" % number, FAULT)
            assert schedule.delay_s is not None
            by_attempt.setdefault(schedule.attempts, []).append(schedule.delay_s)
    for attempt, bound_s in ((1, 100), (2, 200), (3, 300), (4, 300)):
        delays_s = by_attempt[attempt]
        assert max(delays_s) <= bound_s
        assert min(delays_s) < bound_s / 2 < max(delays_s)


async def test_a_key_is_due_after_its_delay_by_redis_clock(app: App, redis_client: redis.asyncio.Redis) -> None:
    schedule = await retries.schedule(with_settings(app, retry_base_s=300), "batches", KEY, FAULT)
    assert await redis_client.zscore(DUE, b"batches\0" + KEY) == schedule.last_ms + round(
        (schedule.delay_s or 0) * 1000
    )
    seconds, microseconds = await redis_client.time()
    assert abs(seconds * 1000 + microseconds // 1000 - schedule.last_ms) < 10_000
    await redis_client.zadd(DUE, {b"batches\0" + KEY: schedule.last_ms + 60_000})
    assert await retries.take_due(app) == {}
    await redis_client.zadd(DUE, {b"batches\0" + KEY: schedule.last_ms})
    assert await retries.take_due(app) == {"batches": [KEY]}


async def test_due_keys_are_taken_by_reactor_longest_due_first_up_to_the_limit(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    for number in range(6):
        await retries.schedule(app, ("batches", "charts")[number % 2], b"k%d" % number, FAULT)
        await redis_client.zadd(DUE, {(b"batches", b"charts")[number % 2] + b"\0k%d" % number: 100 - number})
    assert await retries.take_due(app, 4) == {"charts": [b"k5", b"k3"], "batches": [b"k4", b"k2"]}
    assert await retries.take_due(app, 4) == {"charts": [b"k1"], "batches": [b"k0"]}
    assert await retries.waiting(app) == 6


async def test_concurrent_workers_take_each_key_once(app: App, redis_client: redis.asyncio.Redis) -> None:
    keys = [b"k%d" % number for number in range(200)]
    for key in keys:
        await retries.schedule(app, "batches", key, FAULT)
    await make_all_due(redis_client)
    taken = await asyncio.gather(*(retries.take_due(app, 40) for _ in range(8)))
    assert sorted(key for due in taken for key in due.get("batches", [])) == sorted(keys)


async def test_a_taken_key_without_a_result_is_due_again_after_a_lease(
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


async def test_a_key_without_attempts_left_is_due_after_a_lease_unless_it_is_buried(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    schedule = await retries.schedule(with_settings(app, retry_attempts=1), "batches", KEY, FAULT)
    assert schedule.delay_s is None
    assert await redis_client.zscore(DUE, b"batches\0" + KEY) == schedule.last_ms + app.settings.lease_ms


async def test_clear_forgets_these_keys_only(app: App, redis_client: redis.asyncio.Redis) -> None:
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
async def test_any_key_is_returned_unchanged(app: App, redis_client: redis.asyncio.Redis, keys: set[bytes]) -> None:
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
async def test_an_overwritten_entry_loses_its_count_and_affects_no_other_key(
    app: App, redis_client: redis.asyncio.Redis, garbage: bytes
) -> None:
    await retries.schedule(app, "batches", b"other", FAULT)
    await redis_client.hset(ENTRIES, b"batches\0" + KEY, garbage)
    schedule = await retries.schedule(app, "batches", KEY, FAULT)
    assert schedule.attempts in {1, 2}
    assert schedule.first_ms <= schedule.last_ms
    assert (await retries.schedule(app, "batches", KEY, FAULT)).attempts == schedule.attempts + 1
    assert (await retries.schedule(app, "batches", b"other", FAULT)).attempts == 2


async def test_keys_of_another_type_hold_no_retries_and_the_next_failure_replaces_them(
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


async def test_malformed_members_are_removed(app: App, redis_client: redis.asyncio.Redis) -> None:
    await redis_client.zadd(DUE, {b"": 1, b"no zero byte": 2, b"\0key": 3, b"\xff\0key": 4, b"charts\0key": 5})
    assert await retries.take_due(app) == {"charts": [b"key"]}
    assert await redis_client.zrange(DUE, 0, -1) == [b"charts\0key"]


async def test_a_key_whose_entry_was_lost_is_still_retried(app: App, redis_client: redis.asyncio.Redis) -> None:
    await retries.schedule(app, "batches", KEY, FAULT)
    await redis_client.delete(ENTRIES)
    await make_all_due(redis_client)
    assert await retries.take_due(app) == {"batches": [KEY]}
    assert (await retries.schedule(app, "batches", KEY, FAULT)).attempts == 1


async def test_keys_whose_due_times_were_lost_are_due_after_the_next_failure(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    for number in range(5):
        await retries.schedule(app, "batches", b"k%d" % number, FAULT)
    await redis_client.delete(DUE)
    await redis_client.zadd(DUE, {b"charts\0c": 1})
    schedule = await retries.schedule(with_settings(app, retry_base_s=300), "charts", b"c", FAULT)
    assert await redis_client.zscore(DUE, b"charts\0c") == schedule.last_ms + round((schedule.delay_s or 0) * 1000)
    assert sorted((await retries.take_due(app))["batches"]) == [b"k%d" % number for number in range(5)]


async def test_after_a_flush_the_next_failure_is_the_first(app: App, redis_client: redis.asyncio.Redis) -> None:
    await retries.schedule(app, "batches", KEY, FAULT)
    await redis_client.flushall()
    await redis_client.script_flush()
    assert await retries.take_due(app) == {}
    assert (await retries.schedule(app, "batches", KEY, FAULT)).attempts == 1
    assert await retries.waiting(app) == 1


@pytest.mark.parametrize(
    ("error", "description"),
    [
        (Rejected("JSON is cut short"), ("Rejected", "JSON is cut short")),
        (KeyspaceError("two\nlines \x1b[31m"), ("KeyspaceError", r"two\nlines \x1b[31m")),
        (KeyspaceError("\udc80" + "é" * 600), ("KeyspaceError", r"\udc80" + "é" * 493 + "…")),
        (ValueError("could not convert string to float: 'secret'"), ("ValueError", "")),
        (KeyError("secret"), ("KeyError", "")),
    ],
)
def test_only_messages_of_the_app_s_own_errors_are_stored_on_one_short_line(
    error: Exception, description: tuple[str, str]
) -> None:
    assert retries.describe(error) == description


async def test_the_message_of_a_library_s_error_is_not_stored(app: App, redis_client: redis.asyncio.Redis) -> None:
    await retries.schedule(app, "batches", KEY, ValueError("secret-in-a-message"))
    (entry,) = await redis_client.hvals(ENTRIES)
    assert b"secret" not in entry
    assert b"ValueError" in entry


async def test_each_call_is_one_round_trip(app: App, redis_client: redis.asyncio.Redis) -> None:
    async def make_calls() -> None:
        await retries.schedule(app, "batches", KEY, FAULT)
        await retries.take_due(app)
        await retries.clear(app, "batches", [b"%d" % number for number in range(64)])
        await retries.waiting(app)

    await make_calls()
    before = await redis_client.info("commandstats")
    await make_calls()
    after = await redis_client.info("commandstats")
    assert after["cmdstat_evalsha"]["calls"] - before["cmdstat_evalsha"]["calls"] == 4
    assert after.get("cmdstat_eval") == before.get("cmdstat_eval")
