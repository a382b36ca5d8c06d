"""Heartbeats: numbered without a gap, shared by all instances, and nothing that others write makes them stop."""

import asyncio
import time

import msgspec
import pytest
import redis.asyncio
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from shared import namespaces
from shared.app import App, open_app
from shared.intake.heartbeat import HOLDS_MS, Heartbeat, Member, Reply, parse_heartbeat, send
from shared.intake.sharing import division_of
from shared.registry import REACTORS
from shared.store.refusals import is_refusal

pytestmark = pytest.mark.redis_server

INSTANCES, HEARTBEATS = namespaces.build(namespaces.INSTANCES), namespaces.build(namespaces.HEARTBEATS)
CHANNELS = [reactor.channel.removesuffix("*") for reactor in REACTORS]
NOW = 0
"""A pace at which every call publishes."""
IDLE = 10_000


async def beat(app: App, pace_ms: int = NOW, *, who: str = "a", state: str = "trigger", heard: int = 0) -> Reply:
    return await send(app, who, state, [(channel, pace_ms, heard) for channel in CHANNELS])


async def now_ms(client: redis.asyncio.Redis) -> int:
    seconds, microseconds = await client.time()
    return seconds * 1000 + microseconds // 1000


def of(reply: Reply) -> dict[str, str]:
    return {member.identity: member.state for member in reply.members}


# Numbers


async def test_numbers_grow_by_one_per_channel_and_arrive_as_they_were_published(app, redis_client):
    async with redis_client.pubsub() as listen:
        await listen.psubscribe(*(reactor.channel for reactor in REACTORS))
        replies = [await beat(app) for _ in range(3)]
        heard: dict[str, list[Heartbeat]] = {channel: [] for channel in CHANNELS}
        async for message in listen.listen():
            if message["type"] == "pmessage":
                heartbeat = parse_heartbeat(message["data"].decode())
                assert heartbeat
                heard[message["channel"].decode()].append(heartbeat)
            if sum(map(len, heard.values())) == 9:
                break
    for position, channel in enumerate(CHANNELS):
        reports = [reply.lanes[position] for reply in replies]
        assert [(report.number, report.sent_ms) for report in reports] == heard[channel]
        first = reports[0].number
        assert [report.number for report in reports] == [first, first + 1, first + 2]
        assert [report.sent_ms for report in reports] == [reply.now_ms for reply in replies]


async def test_numbers_begin_at_redis_time_so_that_a_flush_makes_them_jump(app, redis_client):
    await beat(app)
    before = (await beat(app)).lanes[0].number
    await redis_client.flushall()
    while await now_ms(redis_client) <= before:
        pass
    after = await beat(app)
    assert after.lanes[0].number == after.now_ms > before


async def test_instances_share_the_pace(app):
    first = await beat(app, IDLE, who="a")
    assert (await beat(app, IDLE, who="b")).lanes == first.lanes
    assert [lane.number for lane in (await beat(app, NOW, who="b")).lanes] == [lane.number + 1 for lane in first.lanes]


async def test_nothing_is_stored_but_two_keys_that_expire(app, redis_client):
    await beat(app)
    assert set(await redis_client.keys("*")) == {INSTANCES, HEARTBEATS}
    for key in (INSTANCES, HEARTBEATS):
        assert 0 < await redis_client.ttl(key) <= 3600


async def test_without_a_state_an_instance_asks_and_is_not_registered(app):
    assert (await beat(app, state="")).members == ()


# Hostile state


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"x",
        b"-1 -1",
        b"1e9 1",
        b"nan inf",
        b"9" * 400,
        b"1764408840124",
        b"1 2 3",
        b"\xff\x00 1",
        b"1764408840124 trigger 1,2,3",
        b"1764408840124 trigger x 1,2,3",
        b"1764408840124 x",
    ],
)
async def test_a_heartbeat_that_the_app_cannot_have_written_counts_as_none(app, redis_client, value):
    await redis_client.hset(HEARTBEATS, CHANNELS[0], value)
    await redis_client.hset(INSTANCES, "b", value)
    reply = await beat(app, IDLE)
    assert reply.lanes[0].number == reply.now_ms
    assert of(reply) == {"a": "trigger"}
    assert await redis_client.hkeys(INSTANCES) == [b"a"], "it is dropped"


async def test_a_heartbeat_from_the_future_is_followed_by_one_now(app, redis_client):
    """The clock was set back."""
    future_ms = await now_ms(redis_client) + 86_400_000
    await redis_client.hset(HEARTBEATS, CHANNELS[0], f"7 {future_ms}")
    lane = (await beat(app, IDLE)).lanes[0]
    assert lane.number == 8
    assert lane.sent_ms < future_ms
    assert (await beat(app, IDLE)).lanes[0] == lane


async def test_numbers_do_not_grow_past_those_that_are_recognised(app, redis_client):
    await redis_client.hset(HEARTBEATS, CHANNELS[0], "999999999999999 1")
    reply = await beat(app)
    assert reply.lanes[0].number == reply.now_ms
    assert (await beat(app)).lanes[0].number == reply.now_ms + 1


@pytest.mark.parametrize("key", [INSTANCES, HEARTBEATS])
@pytest.mark.parametrize("content", ["string", "list", "many fields", "large field"])
async def test_state_of_another_type_or_size_is_replaced_and_never_slow(app, redis_client, key, content):
    await beat(app)
    await redis_client.delete(key)
    match content:
        case "string":
            await redis_client.set(key, b"x" * 1_000_000)
        case "list":
            await redis_client.rpush(key, *range(1000))
        case "many fields":
            await redis_client.hset(key, mapping={f"f{number}": "1 trigger 1" for number in range(5000)})
        case "large field":
            await redis_client.hset(key, "x", b"1" * 32_000_000)
    await redis_client.config_resetstat()
    reply = await beat(app)
    usec = (await redis_client.info("commandstats"))["cmdstat_evalsha"]["usec_per_call"]
    assert usec < 20_000, "on a loaded machine; 0.1 ms alone"
    assert of(reply) == {"a": "trigger"}
    assert await redis_client.type(key) == b"hash"
    assert await redis_client.hlen(key) <= len(CHANNELS)


@given(st.text())
def test_any_other_message_is_no_heartbeat(text):
    assert parse_heartbeat(text) is None
    beat_of = parse_heartbeat(f"heartbeat {text}")
    assert beat_of is None or f"{beat_of.number} {beat_of.sent_ms}".split() == [
        str(int(part)) for part in text.split(" ")
    ]


@pytest.mark.parametrize(
    "text",
    [
        "heartbeat",
        "heartbeat ",
        "heartbeat 1",
        "heartbeat 1 2 3",
        "heartbeat -1 2",
        "heartbeat ١ 2",
        "heartbeat 1 " + "9" * 16,
        "heartbeat 1  2",
        "Heartbeat 1 2",
        "heartbeat 1 2\n",
        "set",
    ],
)
def test_a_message_that_resembles_a_heartbeat_is_none(text):
    assert parse_heartbeat(text) is None


# What Redis refuses


async def user_without(app: App, client: redis.asyncio.Redis, *rules: str) -> App:
    await client.acl_setuser(
        "limited", enabled=True, passwords=["+secret-of-the-tests"], commands=["+@all"], keys=["*"], channels=["*"]
    )
    await client.execute_command("ACL", "SETUSER", "limited", *rules)
    address = app.settings.redis
    return open_app(msgspec.structs.replace(app.settings, redis=f"{address},user=limited,password=secret-of-the-tests"))


@pytest.mark.parametrize("rule", [("-publish",), ("resetchannels", "&other:*")])
async def test_where_publishing_is_refused_the_reply_says_so_and_no_number_is_used(app, redis_client, rule):
    first = await beat(app)
    limited = await user_without(app, redis_client, *rule)
    try:
        stored = await redis_client.hgetall(HEARTBEATS)
        for _ in range(2):
            reply = await beat(limited, who="b")
            assert is_refusal(ResponseError(reply.refused)), reply.refused
            assert [lane.number for lane in reply.lanes] == [lane.number for lane in first.lanes]
            assert of(reply) == {"a": "trigger", "b": "trigger"}, "instances still see each other"
        assert await redis_client.hgetall(HEARTBEATS) == stored
        await redis_client.delete(HEARTBEATS)
        await beat(limited)
        assert not await redis_client.exists(HEARTBEATS), "nothing is stored"
    finally:
        await limited.redis.aclose()
        await redis_client.execute_command("ACL", "DELUSER", "limited")


async def test_while_redis_is_full_no_number_is_published_and_afterwards_none_is_missing(app, redis_client):
    before = await beat(app)
    await redis_client.config_set("maxmemory", 1)
    try:
        async with redis_client.pubsub() as listen:
            await listen.psubscribe(*(reactor.channel for reactor in REACTORS))
            full = await beat(app)
            assert [lane.number for lane in full.lanes] == [lane.number for lane in before.lanes]
            assert full.refused == ""
            assert (await beat(app, IDLE)).lanes == full.lanes
            await redis_client.config_set("maxmemory", 0)
            after = await beat(app)
            assert [lane.number for lane in after.lanes] == [lane.number + 1 for lane in before.lanes]
            async for message in listen.listen():
                if message["type"] == "pmessage":
                    heartbeat = parse_heartbeat(message["data"].decode())
                    assert heartbeat
                    assert heartbeat.number == after.lanes[0].number
                    break
    finally:
        await redis_client.config_set("maxmemory", 0)


# Instances


async def test_living_instances_are_told_with_state_and_age_and_silent_ones_are_not(app, redis_client):
    now = await now_ms(redis_client)
    await redis_client.hset(
        INSTANCES,
        mapping={
            "living": f"{now - 1000} behind 0 5,6,7",
            "ahead": f"{now + 1000} ear 0 5",
            "silent": f"{now - HOLDS_MS - 1} trigger 0 5",
            "gone": f"{now - 61_000} trigger 0 5",
            "future": f"{now + HOLDS_MS + 5000} trigger 0 5",
        },
    )
    reply = await beat(app)
    ages = {member.identity: member.age_ms for member in reply.members}
    assert of(reply) == {"a": "trigger", "living": "behind", "ahead": "ear"}
    assert 1000 <= ages["living"] < HOLDS_MS
    assert ages["ahead"] == ages["a"] == 0
    assert set(await redis_client.hkeys(INSTANCES)) == {b"a", b"living", b"ahead", b"silent"}


async def test_what_one_process_of_an_instance_heard_is_told_to_the_others_while_it_lives(app, redis_client):
    number = (await beat(app, who="a/1", heard=0)).lanes[0].number
    assert [lane.heard for lane in (await beat(app, IDLE, who="a/1", heard=number)).lanes] == [number] * 3
    assert [lane.heard for lane in (await beat(app, IDLE, who="a/2", heard=number - 1)).lanes] == [number] * 3
    assert [lane.heard for lane in (await beat(app, IDLE, who="b/1")).lanes] == [0] * 3
    _, _, _, heard = (await redis_client.hget(INSTANCES, "a/1")).split()
    await redis_client.hset(INSTANCES, "a/1", b"%d trigger 0 %s" % (await now_ms(redis_client) - HOLDS_MS - 1, heard))
    assert [lane.heard for lane in (await beat(app, IDLE, who="a/2")).lanes] == [0] * 3, "from a former process"


async def test_forged_instances_are_bounded(app, redis_client):
    now = await now_ms(redis_client)
    await redis_client.hset(INSTANCES, mapping={f"forged {number}": f"{now} trigger 0 1" for number in range(190)})
    began_s = time.perf_counter()
    reply = await beat(app)
    assert len(reply.members) <= 200
    assert time.perf_counter() - began_s < 1
    assert Member("a", "trigger", division_of(tuple(CHANNELS)), 0) in reply.members


async def test_many_calls_at_once_publish_each_number_once(app):
    replies = await asyncio.gather(*(beat(app, NOW, who=f"i{number}") for number in range(20)))
    first = min(reply.lanes[0].number for reply in replies)
    assert sorted(reply.lanes[0].number for reply in replies) == [first + number for number in range(20)]
