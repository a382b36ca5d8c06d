"""Dead letters on a real Redis: one per content, bounded, with exact totals, whatever other applications write."""

import asyncio
import dataclasses
import random
import statistics
import time
import zlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import redis.asyncio
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from shared import namespaces
from shared.app import App
from shared.delivery import dead_letters, retries
from shared.delivery.dead_letters import LIST_DEAD_LETTERS, Payload, Totals
from shared.errors import KeyspaceError, Rejected

pytestmark = pytest.mark.redis_server

INDEX = b"functions:dead:index"
LETTERS = b"functions:dead:letters"
PAYLOADS = b"functions:dead:payloads"
TOTALS = b"functions:dead:totals"
STORE = [INDEX, LETTERS, PAYLOADS, TOTALS]
KEY = b"fastapi:temp:data:b1"
FAULT = Rejected("JSON is cut short")
WEEK_MS = 7 * 86_400_000


def with_settings(app: App, **changes: Any) -> App:
    return dataclasses.replace(app, settings=msgspec.structs.replace(app.settings, **changes))


def content(number: int, size: int = 100) -> Payload:
    """A payload that does not compress; different numbers give different payloads."""
    return Payload("string", f"{number:040x}", [random.Random(number).randbytes(size)])


async def bury(app: App, number: int, size: int = 100, *, reactor: str = "batches") -> str:
    return await dead_letters.bury(app, reactor, b"k%d" % number, FAULT, content(number, size))


async def ids(client: redis.asyncio.Redis) -> list[str]:
    """The ids of all letters, oldest first."""
    return [letter_id.decode() for letter_id in await client.zrange(INDEX, 0, -1)]


async def walk(app: App, limit: int, reactor: str | None = None) -> list[str]:
    """The ids of the letters on all pages."""
    letter_ids: list[str] = []
    cursor = None
    while True:
        page = await dead_letters.list_page(app, limit=limit, cursor=cursor, reactor=reactor)
        assert len(page.letters) <= limit
        letter_ids += [letter.id for letter in page.letters]
        cursor = page.next_cursor
        if cursor is None:
            return letter_ids


async def true_totals(client: redis.asyncio.Redis) -> tuple[int, int]:
    """The actual number of letters and their bytes; checks that index, letters and payloads are consistent."""
    index = await client.zrange(INDEX, 0, -1)
    letters, payloads = await client.hgetall(LETTERS), await client.hgetall(PAYLOADS)
    assert set(index) == set(letters) >= set(payloads)
    return len(index), sum(map(len, [*letters.values(), *payloads.values()]))


@pytest.mark.parametrize(
    "payload",
    [
        Payload("string", "a" * 40, [b'{"records":[{"timestamp":"2026']),
        Payload("string", "a" * 40, [b""]),
        Payload("list", "b" * 40, [b"\xff\x00", b"", b"x" * 300]),
        Payload("hash", "c" * 40, [b"field", b"value", b"\x00", b"\n"]),
        Payload("list", "d" * 40, [b"x"] * 70_000),
    ],
)
async def test_a_letter_stores_the_failure_and_the_payload_unchanged(
    app: App, redis_client: redis.asyncio.Redis, payload: Payload
) -> None:
    key = b"fastapi:temp:data:\xff\0\n"
    letter_id = await dead_letters.bury(app, "batches", key, FAULT, payload, attempts=3)
    letter = await dead_letters.get(app, letter_id)
    assert letter is not None
    assert (letter.id, letter.reactor, letter.key) == (letter_id, "batches", key)
    assert (letter.error, letter.message, letter.attempts) == ("Rejected", "JSON is cut short", 3)
    assert letter.first_ms == letter.last_ms == await redis_client.zscore(INDEX, letter_id)
    assert abs(letter.first_ms - time.time() * 1000) < 10_000
    assert (letter.digest, letter.payload_bytes, letter.payload_kept) == (
        payload.digest,
        sum(map(len, payload.parts)),
        True,
    )
    assert await dead_letters.payload(app, letter_id) == payload
    for name in STORE:
        assert 7 * 86_400 - 60 < await redis_client.ttl(name) <= 7 * 86_400


async def test_a_letter_without_a_payload_has_no_digest(app: App) -> None:
    letter_id = await dead_letters.bury(app, "charts", KEY, FAULT, None)
    letter = await dead_letters.get(app, letter_id)
    assert letter is not None
    assert (letter.digest, letter.payload_bytes, letter.payload_kept) == (None, 0, False)
    assert await dead_letters.payload(app, letter_id) is None


async def test_an_unknown_id_has_no_letter(app: App) -> None:
    for unknown in ("0" * 32, "", "x", "\udc80", "0" * 31 + "\n"):
        assert await dead_letters.get(app, unknown) is None
        assert await dead_letters.payload(app, unknown) is None
        assert not await dead_letters.discard(app, unknown)


async def test_equal_content_is_one_letter_however_often_it_is_buried(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    letter_ids = await asyncio.gather(*(bury(app, 1) for _ in range(10)))
    assert len(set(letter_ids)) == 1
    first = await dead_letters.get(app, letter_ids[0])
    while (await redis_client.time())[1] // 1000 == (first.last_ms if first else 0) % 1000:
        pass  # until the next millisecond
    assert await dead_letters.bury(app, "batches", b"k1", TimeoutError(), content(1), attempts=6) == letter_ids[0]
    updated = await dead_letters.get(app, letter_ids[0])
    assert first is not None
    assert updated is not None
    assert (first.attempts, updated.attempts) == (10, 16)
    assert updated.first_ms == first.first_ms <= first.last_ms < updated.last_ms
    assert updated.error == "TimeoutError"
    assert (await dead_letters.totals(app)).count == 1
    assert await dead_letters.payload(app, letter_ids[0]) == content(1)


async def test_another_reactor_key_or_content_is_another_letter(app: App) -> None:
    letters = {
        await dead_letters.bury(app, reactor, key, FAULT, payload)
        for reactor, key in (("a", b"bc"), ("ab", b"c"), ("ab", b"c0"), ("a", b"b\0c"))
        for payload in (None, content(0), content(1))
    }
    assert len(letters) == 12
    assert (await dead_letters.totals(app)).count == 12


async def test_burying_a_key_ends_its_retries_and_keeps_the_time_of_the_first_failure(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    scheduled = await retries.schedule(app, "batches", KEY, TimeoutError())
    await retries.schedule(app, "batches", b"other", TimeoutError())
    member = b"batches\0" + KEY
    entry = await redis_client.hget("functions:retry:entries", member)
    assert entry is not None
    earlier_ms = scheduled.first_ms - 60_000
    await redis_client.hset(
        "functions:retry:entries", member, entry.replace(b"%d" % scheduled.first_ms, b"%d" % earlier_ms)
    )
    letter = await dead_letters.get(app, await dead_letters.bury(app, "batches", KEY, FAULT, None, attempts=6))
    assert letter is not None
    assert letter.first_ms == earlier_ms < letter.last_ms
    assert await redis_client.zrange("functions:retry:due", 0, -1) == [b"batches\0other"]
    assert await redis_client.hkeys("functions:retry:entries") == [b"batches\0other"]


async def test_the_mark_holds_the_digest_of_the_content_that_was_given_up(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    mark = dead_letters.mark_key("batches", KEY)
    assert namespaces.parts_of(namespaces.DEAD_MARK, mark)
    assert mark not in {dead_letters.mark_key("charts", KEY), dead_letters.mark_key("batches", KEY + b"1")}
    older = await dead_letters.bury(app, "batches", KEY, FAULT, content(1))
    assert await redis_client.get(mark) == content(1).digest.encode()
    assert 3_590 < await redis_client.ttl(mark) <= 3_600
    newer = await dead_letters.bury(app, "batches", KEY, FAULT, content(2))
    for end in (dead_letters.discard, dead_letters.remove):
        assert await end(app, older)
        assert await redis_client.get(mark) == content(2).digest.encode(), "the mark of another letter"
        older = await dead_letters.bury(app, "batches", KEY, FAULT, content(1))
        newer = await dead_letters.bury(app, "batches", KEY, FAULT, content(2))
    assert await dead_letters.remove(app, newer)
    assert await redis_client.get(mark) is None
    without_payload = await dead_letters.bury(app, "batches", KEY, FAULT, None)
    assert await redis_client.get(mark) == dead_letters.NO_DIGEST
    assert await dead_letters.remove(app, without_payload)
    assert await dead_letters.remove(app, older)
    assert await redis_client.keys() == [TOTALS]


@pytest.mark.parametrize("buried", [content(1), None], ids=["content that was read", "content that was not read"])
async def test_the_mark_of_a_discarded_letter_stays_for_30_days_even_if_it_had_ended(
    app: App, redis_client: redis.asyncio.Redis, buried: Payload | None
) -> None:
    mark = dead_letters.mark_key("batches", KEY)
    for expired in (False, True):
        letter_id = await dead_letters.bury(app, "batches", KEY, FAULT, buried)
        if expired:
            await redis_client.delete(mark)
        assert await dead_letters.discard(app, letter_id)
        assert await redis_client.get(mark) == (buried.digest.encode() if buried else dead_letters.NO_DIGEST)
        assert 2_591_990 < await redis_client.ttl(mark) <= 2_592_000
        assert not await dead_letters.discard(app, letter_id)


async def test_recent_letters_are_counted_by_the_time_of_their_burial(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    old, _ = await bury(app, 1), await bury(app, 2)
    now_s, _ = await redis_client.time()
    await redis_client.zadd(INDEX, {old: (now_s - 3700) * 1000})
    assert await dead_letters.recent(app, 3600) == 1
    assert await dead_letters.recent(app, 7200) == 2
    await redis_client.set(INDEX, "of another application")
    assert await dead_letters.recent(app, 3600) == 0


async def test_discard_removes_this_letter_only(app: App, redis_client: redis.asyncio.Redis) -> None:
    discarded, remaining = await bury(app, 1), await bury(app, 2)
    assert await dead_letters.discard(app, discarded)
    assert not await dead_letters.discard(app, discarded)
    assert await dead_letters.get(app, discarded) is None
    assert await dead_letters.payload(app, remaining) == content(2)
    assert await dead_letters.totals(app) == Totals(*await true_totals(redis_client), dropped=0)


async def test_above_the_maximum_number_the_oldest_letters_are_dropped_and_counted(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    app = with_settings(app, dead_letters_max=3)
    letter_ids = []
    for number in range(5):
        letter_ids.append(await bury(app, number))
        await redis_client.zadd(INDEX, {letter_ids[-1]: int(time.time() * 1000) - 1000 + number})
    assert await ids(redis_client) == letter_ids[2:]
    await bury(app, 2)  # the same letter: takes no further space, and is the newest now
    assert await ids(redis_client) == [letter_ids[3], letter_ids[4], letter_ids[2]]
    newest = await bury(app, 6)
    assert set(await ids(redis_client)) == {letter_ids[4], letter_ids[2], newest}
    assert await dead_letters.totals(app) == Totals(*await true_totals(redis_client), dropped=3)


async def test_above_the_maximum_bytes_the_oldest_letters_are_dropped(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    app = with_settings(app, dead_letters_max_bytes=10_000)
    letter_ids = []
    for number in range(8):
        letter_ids.append(await bury(app, number, 2_000))
        await redis_client.zadd(INDEX, {letter_ids[-1]: int(time.time() * 1000) - 1000 + number})
        count, size = await true_totals(redis_client)
        assert size <= 10_000
    assert await ids(redis_client) == letter_ids[4:]
    assert await dead_letters.totals(app) == Totals(count, size, dropped=4)


async def test_a_payload_above_the_maximum_bytes_is_not_stored_with_its_letter(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    app = with_settings(app, dead_letters_max_bytes=10_000)
    small, large = await bury(app, 1), await bury(app, 2, 10_000)
    letter = await dead_letters.get(app, large)
    assert letter is not None
    assert (letter.digest, letter.payload_bytes, letter.payload_kept) == (content(2).digest, 10_000, False)
    assert await dead_letters.payload(app, large) is None
    assert await dead_letters.payload(app, small) == content(1)
    assert await redis_client.get(dead_letters.mark_key("batches", b"k2")) == content(2).digest.encode()


async def test_a_store_far_above_its_bounds_shrinks_in_bounded_steps(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    for start in range(0, 1_200, 100):
        await asyncio.gather(*(bury(app, number, 10) for number in range(start, start + 100)))
    newest = (await ids(redis_client))[-50:]
    smaller = with_settings(app, dead_letters_max=50)
    assert (await dead_letters.totals(smaller)).count == 200
    assert await dead_letters.totals(smaller) == Totals(*await true_totals(redis_client), dropped=1_150)
    assert await ids(redis_client) == newest


async def test_letters_older_than_a_week_are_removed_by_any_call_and_not_counted_as_dropped(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    now_ms = int(time.time() * 1000)
    for act in (lambda: bury(app, 9), lambda: dead_letters.list_page(app), lambda: dead_letters.totals(app)):
        old, young = await bury(app, 1), await bury(app, 2)
        await redis_client.zadd(INDEX, {old: now_ms - WEEK_MS - 60_000, young: now_ms - WEEK_MS + 60_000})
        await act()
        remaining = await ids(redis_client)
        assert old not in remaining
        assert young in remaining
        assert await dead_letters.totals(app) == Totals(*await true_totals(redis_client), dropped=0)


@pytest.mark.parametrize("limit", [1, 2, 7, 50])
@pytest.mark.parametrize("same_time", [False, True])
async def test_pages_list_each_letter_once_newest_first(
    app: App, redis_client: redis.asyncio.Redis, limit: int, same_time: bool
) -> None:
    now_ms = int(time.time() * 1000)
    of_charts = set()
    for number in range(14):
        letter_id = await bury(app, number, reactor=("batches", "charts")[number % 2])
        await redis_client.zadd(INDEX, {letter_id: now_ms if same_time else now_ms - 100 + number})
        if number % 2:
            of_charts.add(letter_id)
    newest_first = (await ids(redis_client))[::-1]
    assert await walk(app, limit) == newest_first
    charts = [letter_id for letter_id in newest_first if letter_id in of_charts]
    assert len(charts) == 7
    assert await walk(app, limit, "charts") == charts
    assert await walk(app, limit, "sessions") == []


async def test_pages_list_remaining_letters_exactly_once_while_others_come_and_go(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    now_ms = int(time.time() * 1000)
    letter_ids = [await bury(app, number) for number in range(20)]
    for number, letter_id in enumerate(letter_ids):
        await redis_client.zadd(INDEX, {letter_id: now_ms - 1_000 + number // 3})
    newest_first = (await ids(redis_client))[::-1]
    seen: list[str] = []
    cursor = None
    for number in range(100):
        page = await dead_letters.list_page(app, limit=3, cursor=cursor)
        seen += [letter.id for letter in page.letters]
        cursor = page.next_cursor
        if cursor is None:
            break
        await bury(app, 100 + number)
        await dead_letters.discard(app, page.letters[-1].id)  # the letter that the cursor names
    assert seen == newest_first


async def test_letters_of_a_rare_reactor_are_listed_among_more_letters_than_a_call_examines(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    rare = await bury(app, 5_000, reactor="charts")
    await redis_client.zadd(INDEX, {rare: int(time.time() * 1000) - 1_000_000})
    for start in range(0, 1_100, 100):
        await asyncio.gather(*(bury(app, number, 10) for number in range(start, start + 100)))
    page = await dead_letters.list_page(app, reactor="charts")
    assert [letter.id for letter in page.letters] == [rare]
    assert page.next_cursor is None
    time_and_id = await app.run(LIST_DEAD_LETTERS, keys=[INDEX, LETTERS], args=["+inf", "", 50, "charts"])
    assert time_and_id[1].decode() == (await ids(redis_client))[-1_000], (
        "1,000 letters examined, none of them matches: continue from there"
    )
    assert await walk(app, 500) == (await ids(redis_client))[::-1]


@pytest.mark.parametrize("cursor", ["", ":", "x:y", "nan:a", "1e5.5:a", "1_0:a", "1:", "1", "1:\u20ac", " 1:a"])
async def test_an_invalid_cursor_is_refused(app: App, cursor: str) -> None:
    with pytest.raises(KeyspaceError, match="cursor"):
        await dead_letters.list_page(app, cursor=cursor)


@pytest.mark.parametrize(
    "garbage",
    [b"", b"garbage", b"1 2 3 batches\n", b"1 2 3 batches\n\xc1", b"1 2 3\n\x90", b"9" * 400 + b" 1 1 b\n\x90"],
)
async def test_an_overwritten_letter_is_reported_skipped_and_can_be_discarded(
    app: App, redis_client: redis.asyncio.Redis, garbage: bytes
) -> None:
    overwritten, intact = await bury(app, 1), await bury(app, 2)
    await redis_client.hset(LETTERS, overwritten, garbage)
    for call in (dead_letters.get, dead_letters.payload):
        with pytest.raises(KeyspaceError, match=overwritten):
            await call(app, overwritten)
    page = await dead_letters.list_page(app)
    assert ([letter.id for letter in page.letters], page.unreadable) == ([intact], 1)
    assert await dead_letters.discard(app, overwritten)
    assert await ids(redis_client) == [intact]
    assert await bury(app, 1) == overwritten
    assert await dead_letters.payload(app, overwritten) == content(1)


async def test_an_overwritten_payload_is_reported_and_not_decompressed_past_its_size(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    letter_id = await bury(app, 1)
    packed = await redis_client.hget(PAYLOADS, letter_id)
    assert packed is not None
    garbage_values = (b"", b"garbage", packed[:-9], zlib.compress(b"garbage"), zlib.compress(bytes(50_000_000)))
    for garbage in garbage_values:
        await redis_client.hset(PAYLOADS, letter_id, garbage)
        with pytest.raises(KeyspaceError, match=letter_id):
            await dead_letters.payload(app, letter_id)
    await redis_client.hset(PAYLOADS, letter_id, packed)
    assert await dead_letters.payload(app, letter_id) == content(1)


@pytest.mark.parametrize("key", [*STORE, b"functions:retry:due", b"functions:retry:entries", b"mark"])
async def test_a_key_of_another_type_does_not_stop_any_call(
    app: App, redis_client: redis.asyncio.Redis, key: bytes
) -> None:
    key = dead_letters.mark_key("batches", b"k2") if key == b"mark" else key
    earlier = await bury(app, 1)
    await redis_client.delete(key)
    await redis_client.sadd(key, "of another application")
    await dead_letters.get(app, earlier)
    await dead_letters.payload(app, earlier)
    await dead_letters.discard(app, "0" * 32)
    assert (await dead_letters.list_page(app)).unreadable == 0
    await redis_client.delete(key)
    await redis_client.sadd(key, "of another application")
    later = await bury(app, 2)
    assert await dead_letters.payload(app, later) == content(2)
    assert await dead_letters.totals(app) == Totals(*await true_totals(redis_client), dropped=0)


@pytest.mark.parametrize("lost", STORE)
async def test_after_the_loss_of_a_key_the_others_are_consistent_again(
    app: App, redis_client: redis.asyncio.Redis, lost: bytes
) -> None:
    """Redis may evict single keys if its policy is allkeys-lru."""
    letter_ids = [await bury(app, number) for number in range(5)]
    before = await ids(redis_client)
    await redis_client.delete(lost)
    assert await dead_letters.totals(app) == Totals(*await true_totals(redis_client), dropped=0)
    assert await ids(redis_client) == ([] if lost == LETTERS else before)
    for number, letter_id in enumerate(letter_ids):
        expected = None if lost in {LETTERS, PAYLOADS} else content(number)
        assert await dead_letters.payload(app, letter_id) == expected


async def test_after_a_flush_the_store_is_empty_and_the_next_letter_is_stored(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    await bury(app, 1)
    await redis_client.flushall()
    await redis_client.script_flush()
    assert await dead_letters.totals(app) == Totals(0, 0, 0)
    assert (await dead_letters.list_page(app)).letters == []
    assert await redis_client.keys() == [], "reading writes nothing"
    letter_id = await bury(app, 2)
    assert await dead_letters.payload(app, letter_id) == content(2)
    assert await dead_letters.totals(app) == Totals(*await true_totals(redis_client), dropped=0)


MAX_LETTERS, MAX_BYTES = 4, 3_000
numbers = st.integers(0, 7)
acts = st.lists(
    st.one_of(
        st.tuples(st.just("bury"), numbers, st.sampled_from([0, 1, 200, 1_000, 2_500, 3_500])),
        st.tuples(st.just("discard"), numbers, st.just(0)),
        st.tuples(st.just("age"), numbers, st.just(0)),
        st.tuples(st.just("lose"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("wreck"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("flush"), st.just(0), st.just(0)),
    ),
    max_size=25,
)


@given(acts=acts)
@example(acts=[("bury", 1, 200), ("lose", 3, 0), ("discard", 1, 0), ("bury", 2, 200)])
@example(acts=[("bury", 1, 2_500), ("bury", 2, 200), ("lose", 0, 0), ("bury", 3, 2_500), ("wreck", 2, 0)])
@hypothesis(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_after_any_operations_totals_are_exact_and_bounds_hold_and_only_the_oldest_are_dropped(
    app: App, redis_client: redis.asyncio.Redis, acts: list[tuple[str, int, int]]
) -> None:
    await redis_client.flushall()
    app = with_settings(app, dead_letters_max=MAX_LETTERS, dead_letters_max_bytes=MAX_BYTES)
    letter_ids: dict[int, str] = {}
    for act, number, size in acts:
        match act:
            case "bury":
                letter_ids[number] = await bury_and_check_dropped(app, redis_client, number, size)
            case "discard":
                await dead_letters.discard(app, letter_ids.get(number, ""))
            case "age":
                await redis_client.zadd(INDEX, {letter_ids.get(number, ""): 1}, xx=True)
            case "lose":
                await redis_client.delete(STORE[number])
            case "wreck":
                await redis_client.set(STORE[number], "of another application")
            case _:
                await redis_client.flushall()
        totals = await dead_letters.totals(app)
        assert (totals.count, totals.bytes) == await true_totals(redis_client)
        assert totals.count <= MAX_LETTERS
        assert totals.bytes <= MAX_BYTES


async def bury_and_check_dropped(app: App, client: redis.asyncio.Redis, number: int, size: int) -> str:
    """Bury a letter; check that the oldest letters were dropped, and no more than necessary."""
    order = await ids(client)
    sizes = {other: await client.hstrlen(LETTERS, other) + await client.hstrlen(PAYLOADS, other) for other in order}
    dropped_before = (await dead_letters.totals(app)).dropped
    letter_id = await bury(app, number, size)
    remaining = await ids(client)
    others = [other for other in order if other != letter_id]
    dropped = [other for other in others if other not in remaining]
    assert letter_id in remaining
    assert dropped == others[: len(dropped)], "the oldest are dropped first"
    totals = await dead_letters.totals(app)
    assert totals.dropped == dropped_before + len(dropped)
    if dropped:
        assert totals.count == MAX_LETTERS or totals.bytes + sizes[dropped[-1]] > MAX_BYTES, "dropped without need"
    return letter_id


async def test_the_message_of_a_library_s_error_is_not_stored(app: App, redis_client: redis.asyncio.Redis) -> None:
    fault = ValueError("could not convert string to float: 'secret-in-a-message'")
    letter = await dead_letters.get(app, await dead_letters.bury(app, "batches", KEY, fault, content(1)))
    assert letter is not None
    assert (letter.error, letter.message) == ("ValueError", "")
    assert b"secret" not in (await redis_client.hvals(LETTERS))[0]


@pytest.mark.any_server
async def test_a_large_payload_does_not_block_the_event_loop(app: App) -> None:
    payload = Payload("string", "e" * 40, [random.Random(1).randbytes(4_000_000).hex().encode()])
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.001)
            ticks.append(time.perf_counter())

    ticking = asyncio.create_task(tick())
    started = time.perf_counter()
    letter_id = await dead_letters.bury(app, "batches", KEY, FAULT, payload)
    took_s = time.perf_counter() - started
    ticking.cancel()
    longest_s = max(later - earlier for earlier, later in zip([started, *ticks], ticks, strict=False))
    assert longest_s < took_s / 2, f"stalled {longest_s * 1000:.0f} ms of {took_s * 1000:.0f} ms"
    assert await dead_letters.payload(app, letter_id) == payload


async def test_burying_is_one_round_trip(
    app: App, redis_client: redis.asyncio.Redis, measured: Callable[[str, float, str], None]
) -> None:
    await bury(app, 0)
    before = await redis_client.info("commandstats")
    took_us = []
    for number in range(100):
        started = time.perf_counter()
        await bury(app, number, 1_000)
        took_us.append((time.perf_counter() - started) * 1e6)
    after = await redis_client.info("commandstats")
    assert after["cmdstat_evalsha"]["calls"] - before["cmdstat_evalsha"]["calls"] == 100
    assert after.get("cmdstat_eval") == before.get("cmdstat_eval")
    measured("burying 1 kB", statistics.median(took_us), "us")
