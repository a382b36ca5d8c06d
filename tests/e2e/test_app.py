"""The whole app: a client's write has its effect, and no input makes a function fail."""

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import redis.asyncio

from shared.privacy.masking import fingerprint, mask_key
from tests.e2e.conftest import AUDIT_KEY, App
from tests.support.intake import settled

pytestmark = pytest.mark.redis_server

TOKEN = "5e55107ab1e-70ce2-4ab5-9d2e-aa11bb22cc33"
RECORDS = [{"timestamp": f"2026-01-01T00:00:{n:02}Z", "data": {"co2": 1 + n / 100, "temp": 24}} for n in range(20)]
ROWS = [{"timestamp": 1_767_225_600_000 + 1000 * n, "co2Flow": n / 10} for n in range(200)]
SESSION = {"sessionToken": TOKEN, "userId": "u-1", "expires": "2036-01-01T00:00:00.000Z"}


def test_the_functions_have_the_triggers_that_the_host_needs(live: App) -> None:
    assert live.host.errors == {}
    bindings = {function.name: function.trigger for function in live.host.functions}
    for name, prefix in (
        ("process_fastapi_data", "fastapi:temp:data:*"),
        ("update_charts", "fabric:data:chart:*"),
        ("handle_session_changes", "nextauth:session:*"),
    ):
        assert bindings[name] == {
            "name": "message",
            "type": "redisPubSubTrigger",
            "direction": "IN",
            "connection": "Redis",
            "channel": f"__keyspace@0__:{prefix}",
            "pattern": True,
        }


async def test_a_batch_is_analysed_into_a_result(live: App) -> None:
    await live.redis.set("fastapi:temp:data:b1", json.dumps({"batchId": "b1", "records": RECORDS}), ex=3600)
    await settled(live.host)
    result = json.loads(await live.redis.get("fastapi:results:analysis:b1"))
    assert result["readings"] == 40
    effects = {effect["operation"]: effect for effect in live.effects.so_far()}
    assert effects["set"]["function"] == "process_fastapi_data"
    assert (effects["set"]["outcome"], effects["set"]["key"]) == ("processed", "fastapi:temp:data:b1")
    assert effects["expire"]["outcome"] == "inert"


async def test_a_chart_update_renders_its_cache_and_deletes_dependent_query_caches(live: App) -> None:
    await live.redis.set("fabric:cache:query:plant-overview", "{}")
    await live.redis.set("fabric:data:chart:co2:realtime", json.dumps(ROWS), ex=300)
    assert (await live.effect(function="update_charts", operation="set"))["outcome"] == "processed"
    cache = json.loads(await live.redis.get("fabric:cache:chart:co2:realtime"))
    assert cache["stale"] is False
    assert cache["points"] == 200
    assert len(cache["series"][0]["points"]) == 50
    assert not await live.redis.exists("fabric:cache:query:plant-overview")
    await live.redis.delete("fabric:data:chart:co2:realtime")
    await live.effect(function="update_charts", operation="del")
    assert json.loads(await live.redis.get("fabric:cache:chart:co2:realtime"))["stale"] is True


async def keys(live: App) -> list[bytes]:
    """All keys but those that the app writes whatever happens: statistics, the state of passes, heartbeats."""
    own = (b"functions:stats:", b"functions:sweep", b"functions:heartbeats", b"functions:instances")
    return [key for key in await live.redis.keys() if not key.startswith(own)]


async def records(live: App) -> list[dict[str, Any]]:
    return [json.loads(fields[b"event"]) for _, fields in await live.redis.xrange("functions:audit:sessions")]


async def test_the_life_of_a_session_is_recorded(live: App) -> None:
    key = f"nextauth:session:{TOKEN}"
    await live.redis.set(key, json.dumps(SESSION))
    await live.redis.set("nextauth:session:by-user-id:u-1", key)
    index = mask_key(b"nextauth:session:by-user-id:u-1", AUDIT_KEY)
    await live.effect(key=index, outcome="inert")
    await live.redis.set(key, json.dumps(SESSION | {"expires": "2036-01-02T00:00:00.000Z"}))
    await live.effect(operation="set")
    await live.redis.delete(key)
    await live.effect(operation="del")
    recorded = await records(live)
    assert [record["type"] for record in recorded] == [
        "nextauth.session.created",
        "nextauth.session.refreshed",
        "nextauth.session.ended",
    ]
    assert {record["subject"] for record in recorded} == {fingerprint(TOKEN.encode(), AUDIT_KEY)}
    assert recorded[-1]["data"]["reason"] == "logout"
    assert recorded[-1]["data"]["userId"] == "u-1"


async def test_a_session_token_appears_nowhere(live: App) -> None:
    key = f"nextauth:session:{TOKEN}"
    for value in (json.dumps(SESSION), "{broken", json.dumps([TOKEN]), json.dumps(SESSION | {"userId": "u-2"})):
        await live.redis.set(key, value, ex=100)
        await live.effect(operation="expire")
    await live.redis.delete(key)
    await live.effect(operation="del")
    await live.redis.hset(key, "token", TOKEN)
    await live.effect(operation="hset")
    await live.redis.delete(key)
    await settled(live.host)
    assert live.effects.lines
    assert not [line for line in live.effects.lines if TOKEN in line]
    for name in await live.redis.keys():
        assert TOKEN.encode() not in name
        assert TOKEN.encode() not in await live.redis.dump(name)


type Write = Callable[[redis.asyncio.Redis, bytes], Awaitable[Any]]


def text(value: bytes) -> Write:
    return lambda client, key: client.set(key, value)


HOSTILE_VALUES: dict[str, Write] = {
    "empty": text(b""),
    "null": text(b"null"),
    "a number": text(b"42"),
    "a string": text(b'"x"'),
    "truncated": text(b'{"records":[{"timestamp":"2026'),
    "a BOM and nothing": text(b"\xef\xbb\xbf"),
    "2,000 levels deep": text(b"[" * 2000 + b"]" * 2000),
    "2,000 objects deep": text(b'{"a":' * 2000 + b"1" + b"}" * 2000),
    "a lone surrogate": text(b'{"userId":"\\ud800","records":["\\udfff"]}'),
    "raw bytes": text(bytes(range(256)) * 8),
    "NaN and Infinity": text(b'{"records":[{"data":{"m":NaN}}],"x":Infinity}'),
    "msgpack": text(b"\x82\xa1a\x01\xa1b\x02"),
    "pickle": text(b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94K\x01s."),
    "gzip": text(b"\x1f\x8b\x08\x00\x00\x00\x00\x00"),
    "invalid UTF-8 in a string": text(b'{"userId":"\xff\xfe"}'),
    "duplicate fields": text(b'{"records":[],"records":[]}'),
    "an integer beyond 2^53": text(b"9007199254740993"),
    "a placeholder": text(b'{"batchId":"x","status":"processing"}'),
    "more than the limit": text(b"[" + b" " * (9 * 1024 * 1024) + b"]"),
    "a set": lambda client, key: client.sadd(key, "x"),
    "a sorted set": lambda client, key: client.zadd(key, {"x": 1}),
    "a stream": lambda client, key: client.xadd(key, {"x": "1"}),
    "an odd hash": lambda client, key: client.hset(key, mapping={"": "", "a": "\x00"}),
    "an odd list": lambda client, key: client.rpush(key, "", "{", "\x00"),
}


@pytest.mark.parametrize("name", HOSTILE_VALUES)
@pytest.mark.parametrize("key", [b"fastapi:temp:data:h", b"fabric:data:chart:h:realtime", b"nextauth:session:hhhh"])
async def test_no_hostile_value_makes_a_function_fail_or_writes_an_effect(live: App, key: bytes, name: str) -> None:
    await HOSTILE_VALUES[name](live.redis, key)
    # Sets and streams cause no event with these flags; a rename causes one for every type.
    await live.redis.rename(key, b"elsewhere")
    await live.redis.rename(b"elsewhere", key)
    await settled(live.host)
    assert [invocation.error for invocation in live.invocations if not invocation.ok] == []
    effects = live.effects.so_far()
    if key.startswith(b"nextauth") and name in VALID_SESSIONS:
        assert {effect["outcome"] for effect in effects} <= {"processed", "duplicate", "ignored", "inert"}
        transitions = [record["type"].removeprefix("nextauth.session.") for record in await records(live)]
        # Renamed away and back, the session ended and began again, unless both happened before the first look.
        assert transitions in (["created", "unbounded"], ["created", "unbounded", "ended", "created", "unbounded"])
        return
    assert {effect["outcome"] for effect in effects} <= {"rejected", "ignored", "inert", "duplicate"}
    refusals = [effect for effect in effects if effect["outcome"] in {"rejected", "ignored", "inert"}]
    assert refusals
    assert all(effect["reason"] for effect in refusals)
    others = {other for other in await keys(live) if other != key}
    letters = await live.redis.hlen("functions:dead:letters")
    assert letters == any(effect["outcome"] == "rejected" for effect in refusals)
    # A life that was heard of and not seen, since the key was renamed before the first look, has a phantom.
    unseen = (b"functions:phantom:", b"functions:sessions:due") if key.startswith(b"nextauth") else ()
    assert all(other.startswith((b"functions:dead:", *unseen)) for other in others)


VALID_SESSIONS = {
    "a lone surrogate",
    "NaN and Infinity",
    "invalid UTF-8 in a string",
    "duplicate fields",
    "a placeholder",
}
"""HOSTILE_VALUES that are JSON objects. Any JSON object is a session: express-session stores arbitrary fields."""

HOSTILE_IDS = {
    "a space": b" ",
    "a newline": b"a\nb",
    "an emoji": "🌋".encode(),
    "glob characters": b"*[a]?\\",
    "4,000 characters": b"x" * 4000,
    "quotes": b"\"'\\u0000",
    "a NUL": b"a\x00b",
    "a forged log line": b"a\r\n2026-01-01T00:00:00Z ERROR forged\x1b[31m",
    "a path": b"../../%2e%2e/audit/heads.json",
    "markup and a formula": b"=1+1<script>alert(1)</script>",
    "what is not seen and what turns text around": "a\u202e\u061c\u200b\ufeffb\u2028c".encode(),
    "Lua and a template": b"'] redis.call('FLUSHALL') --{tag}${x}{{7*7}}%s",
}


@pytest.mark.parametrize("name", HOSTILE_IDS)
async def test_any_id_in_a_key_is_processed(live: App, name: str) -> None:
    odd = HOSTILE_IDS[name]
    await live.redis.set("fastapi:results:analysis:neighbour", "untouched")
    await live.redis.set(b"fastapi:temp:data:" + odd, json.dumps(RECORDS))
    await live.redis.set(b"fabric:data:chart:" + odd + b":realtime", json.dumps(ROWS))
    await live.redis.set(b"nextauth:session:" + odd, json.dumps(SESSION))
    await settled(live.host)
    assert [invocation.error for invocation in live.invocations if not invocation.ok] == []
    assert await live.redis.exists(b"fastapi:results:analysis:" + odd)
    assert await live.redis.exists(b"fabric:cache:chart:" + odd + b":realtime")
    assert [record["type"] for record in await records(live)] == ["nextauth.session.created"]
    assert not [
        line
        for line in live.effects.lines
        if any(character in line for character in "\n\r\x00\x1b\u202e\u061c\u200b\ufeff\u2028")
    ]
    assert await live.redis.get("fastapi:results:analysis:neighbour") == b"untouched"


async def test_the_name_of_an_event_forges_no_log_line(live: App) -> None:
    """Whoever may publish chooses it."""
    await live.redis.set("fastapi:temp:data:b1", json.dumps(RECORDS))
    await settled(live.host)
    forged = "set\r\n2026-01-01T00:00:00Z ERROR forged\x1b[31m\u202e" + "x" * 100_000
    for key in ("fastapi:temp:data:b1", "fabric:data:chart:c:d", f"nextauth:session:{TOKEN}"):
        await live.redis.publish(f"__keyspace@0__:{key}", forged)
    await settled(live.host)
    operations = [effect["operation"] for effect in live.effects.so_far()]
    assert len([shown for shown in operations if shown.startswith("set\\r\\n2026") and len(shown) <= 40]) == 3
    assert not [line for line in live.effects.lines if any(character in line for character in "\n\r\x1b\u202e")]


async def test_keys_that_are_not_utf_8_have_their_effects_at_once(live: App) -> None:
    """The platform's trigger replaces bytes that are not UTF-8."""
    await live.redis.set(b"fastapi:temp:data:\xff\xfe", json.dumps(RECORDS))
    await live.redis.set(b"fabric:data:chart:\xff:realtime", json.dumps(ROWS))
    await live.redis.set(b"nextauth:session:\xff", json.dumps(SESSION))
    for function in ("process_fastapi_data", "update_charts", "handle_session_changes"):
        effect = await live.effect(function=function, outcome="inert")
        assert effect["reason"] == "the key is not UTF-8: it is searched for"
    await settled(live.host)
    assert await live.redis.exists(b"fastapi:results:analysis:\xff\xfe")
    assert await live.redis.exists(b"fabric:cache:chart:\xff:realtime")
    assert [record["type"] for record in await records(live)] == ["nextauth.session.created"]


async def test_keys_that_almost_match_a_pattern_have_no_effect(live: App) -> None:
    for key in (b"nextauth:sessions:x", b"fastapi:temp:data", b"fabric:data:chart", b"xnextauth:session:x"):
        await live.redis.set(key, json.dumps(SESSION))
    for key in (b"fastapi:temp:data:", b"fabric:data:chart::id", b"fabric:data:chart:" + b"a" * 64):
        await live.redis.set(key, json.dumps(ROWS))
    await live.redis.hset("fabric:data:chart:__sharedTags__", "tag", "1")
    await live.redis.hset("fabric:data:chart:cache:__revalidated_tags__", "tag", "1")
    await settled(live.host)
    assert [invocation.error for invocation in live.invocations if not invocation.ok] == []
    assert len(live.invocations) == 5
    assert len(await keys(live)) == 9


@pytest.mark.parametrize(
    ("key", "operation"),
    [
        ("fastapi:temp:data:b", "expire"),
        ("fastapi:temp:data:b", "del"),
        ("fastapi:temp:data:b", "persist"),
        ("fabric:data:chart:c:d", "expire"),
        ("nextauth:session:by-user-id:u", "set"),
    ],
)
async def test_an_event_that_changes_nothing_takes_no_command(live: App, key: str, operation: str) -> None:
    await live.redis.get("warm")
    before = await live.redis.info("commandstats")
    await live.redis.publish(f"__keyspace@0__:{key}", operation)
    assert (await live.effect(operation=operation))["outcome"] == "inert"
    after = await live.redis.info("commandstats")
    calls = {name: entry["calls"] - before.get(name, {"calls": 0})["calls"] for name, entry in after.items()}
    assert {name: count for name, count in calls.items() if count} == {"cmdstat_info": 1, "cmdstat_publish": 1}


async def test_health_reports_the_round_trip_and_the_flags(live: App) -> None:
    headers = {"x-functions-key": live.host.function_key}
    async with aiohttp.ClientSession(live.host.url, headers=headers) as http:
        async with http.get("/api/health/details") as response:
            assert response.status == 200
            health = await response.json()
        assert health["status"] in {"ok", "degraded"}
        assert 0 < health["redis"]["roundTripMs"] < 1000
        assert "K" in health["redis"]["notifyKeyspaceEvents"]
        flags = health["redis"]["notifyKeyspaceEvents"]
        try:
            await live.redis.config_set("notify-keyspace-events", "Ex")
            async with http.get("/api/health/details") as response:
                assert response.status == 503
                health = await response.json()
            async with http.get("/api/health") as response:
                assert response.status == 503
                assert await response.json() == {"status": "failed"}
        finally:
            await live.redis.config_set("notify-keyspace-events", flags)
        assert health["status"] == "failed"
        assert "delivers no event" in health["reasons"][0]


async def test_a_reaction_takes_less_than_a_second(live: App) -> None:
    for key, value in (
        ("fastapi:temp:data:t", json.dumps(RECORDS)),
        ("fabric:data:chart:t:t", json.dumps(ROWS)),
        (f"nextauth:session:{TOKEN}", json.dumps(SESSION)),
    ):
        started = time.perf_counter()
        await live.redis.set(key, value)
        assert (await live.effect(operation="set", outcome="processed"))["duration_ms"] < 1000
        assert time.perf_counter() - started < 1
