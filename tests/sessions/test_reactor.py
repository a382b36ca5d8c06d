"""The sessions reactor: each transition of a client's session becomes one record, and nothing else does."""

import asyncio
import hashlib
import json
import logging
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis.asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import namespaces, telemetry
from shared.app import App, open_app
from shared.delivery import dead_letters, failures
from shared.delivery.reconcile import reconcile
from shared.privacy.masking import fingerprint
from shared.reactor import Outcome, Result, Source, inert, processed
from shared.registry import SESSIONS
from shared.sessions.reactor import MAX_SESSION_BYTES, NAME, react
from shared.settings import Settings
from tests.support.causes import cause
from tests.support.looks import (
    DUE,
    KEY,
    NOON,
    ONE,
    STATE,
    STREAM,
    TOKEN,
    TOMBSTONE_S,
    TWO,
    data,
    event,
    nextauth,
    numbers,
    own_keys,
    phantom_key,
    records,
    sealed,
    types,
    user_key,
    with_settings,
    write,
)

pytestmark = pytest.mark.redis_server

hypothesis_settings = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def app_settings(app_settings: Settings) -> Settings:
    """Every refresh and every loss is recorded at once; the throttle and the grace period have their own tests."""
    return msgspec.structs.replace(app_settings, audit_refresh_min_s=0, session_lost_after_s=0)


@pytest.fixture
async def second_app(app: App, app_settings: Settings) -> AsyncIterator[App]:
    """Another instance of the app, on the same Redis."""
    instance = open_app(app_settings)
    yield instance
    await instance.redis.aclose()


async def test_a_life_is_recorded_from_created_to_ended(app: App) -> None:
    subject = fingerprint(TOKEN.encode(), app.settings.audit_key)
    await app.redis.set(KEY, nextauth(expires=NOON))
    assert await event(app, "set") == processed(KEY, "nextauth.session.created")
    phantom = await app.redis.hgetall(phantom_key(app))
    await app.redis.set(KEY, nextauth(expires=ONE))
    assert await event(app, "set") == processed(KEY, "nextauth.session.refreshed")
    await app.redis.set(KEY, nextauth("user-2", expires=TWO))
    assert await event(app, "set") == processed(KEY, "nextauth.session.changed")
    await app.redis.delete(KEY)
    assert await event(app, "del") == processed(KEY, "nextauth.session.ended")

    recorded = await records(app)
    times = [record.pop("time") for record in recorded]
    duration_s = recorded[3]["data"].pop("duration_s")
    life = phantom[b"life"].decode()
    common = {
        "specversion": "1.0",
        "source": "urn:keyspace-functions:sessions",
        "subject": subject,
        "datacontenttype": "application/json",
        "keyid": app.keyrings[0].key_id,
    }
    data_by_type = {
        "created": {"userId": "user-1", "expires": NOON},
        "refreshed": {"userId": "user-1", "expires": ONE, "touches": 0},
        "changed": {"userId": "user-2", "expires": TWO, "previousUserId": "user-1", "touches": 0},
        "ended": {"userId": "user-2", "expires": TWO, "reason": "logout", "touches": 0},
    }
    assert recorded == [
        common
        | {
            "id": f"{subject}.{life}.{sequence}",
            "type": f"nextauth.session.{type_}",
            "data": payload | {"detectedBy": "event"},
        }
        for sequence, (type_, payload) in enumerate(data_by_type.items(), start=1)
    ]
    assert await numbers(app) == [1, 2, 3, 4]
    assert times == sorted(times)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time) for time in times)
    first, last = (datetime.fromisoformat(time) for time in (times[0], times[-1]))
    assert duration_s == pytest.approx((last - first).total_seconds(), abs=1e-9)
    assert phantom[b"first_seen_ms"] == b"%d" % round(first.timestamp() * 1000)
    assert await own_keys(app) == {
        STREAM: await app.redis.xrange(STREAM),
        STATE: {b"appended": b"4"},
        phantom_key(app): await app.redis.hgetall(phantom_key(app)),
    }
    assert 0 < await app.redis.ttl(phantom_key(app)) <= TOMBSTONE_S


async def test_the_phantom_is_the_last_recorded_state_and_has_a_ttl(app: App) -> None:
    await app.redis.set(KEY, nextauth(expires=NOON))
    await event(app, "set")
    phantom = await app.redis.hgetall(phantom_key(app))
    first_seen_ms = phantom.pop(b"first_seen_ms")
    assert phantom.pop(b"life").startswith(first_seen_ms)
    noon_ms = b"%d" % round(datetime.fromisoformat(NOON).timestamp() * 1000)
    assert phantom == {
        b"fingerprint": fingerprint(TOKEN.encode(), app.settings.audit_key).encode(),
        b"key_id": app.keyrings[0].key_id.encode(),
        b"sequence": b"1",
        b"recorded_ms": first_seen_ms,
        b"touches": b"0",
        b"v": b"2",
        b"user_id": b"user-1",
        b"expires_ms": noon_ms,
        b"told_ms": noon_ms,
        b"digest": hashlib.sha1(nextauth(expires=NOON).encode(), usedforsecurity=False).hexdigest().encode(),
    }
    assert await app.redis.zrange(DUE, 0, -1) == [sealed(app)]
    assert await app.redis.zscore(DUE, sealed(app)) == float(noon_ms)
    assert await app.redis.zrange(user_key(), 0, -1) == [fingerprint(TOKEN.encode(), app.settings.audit_key).encode()]
    assert 0 <= namespaces.PHANTOM_TTL_S - await app.redis.ttl(phantom_key(app)) <= 5


CONNECT = json.dumps({"cookie": {"originalMaxAge": 3_600_000, "expires": NOON}, "passport": {"user": "user-1"}})
LOGGED_OUT = json.dumps({"cookie": {"originalMaxAge": 3_600_000, "expires": NOON}})
STAR = json.dumps({"user": {"id": "user-1"}})
CLIENTS: dict[str, list[tuple[list[Any], list[str], list[str]]]] = {
    # each step: the command of the client, the events that Redis sends, the records
    "NextAuth": [
        (["SET", KEY, nextauth()], ["set"], ["created"]),
        (["SET", KEY, nextauth(expires=ONE)], ["set"], ["refreshed"]),
        (["SET", KEY, nextauth("user-2")], ["set"], ["changed"]),
        (["DEL", KEY], ["del"], ["ended"]),
    ],
    "connect-redis": [
        (["SET", KEY, LOGGED_OUT, "EX", 3600], ["set", "expire"], ["created"]),
        (["SET", KEY, CONNECT, "EX", 3600], ["set", "expire"], ["changed"]),
        (["EXPIRE", KEY, 3600], ["expire"], []),
        (["EXPIRE", KEY, 7200], ["expire"], ["refreshed"]),
        (["DEL", KEY], ["del"], ["ended"]),
    ],
    "starsessions": [
        (["SETEX", KEY, 3600, STAR], ["set", "expire"], ["created"]),
        (["SETEX", KEY, 3600, STAR], ["set", "expire"], []),
        (["SETEX", KEY, 3605, STAR], ["set", "expire"], ["refreshed"]),
        (["UNLINK", KEY], ["del"], ["ended"]),
    ],
    "a TTL set and dropped by hand": [
        (["SET", KEY, STAR], ["set"], ["created", "unbounded"]),
        (["EXPIRE", KEY, 3600], ["expire"], ["refreshed"]),
        (["PERSIST", KEY], ["persist"], ["refreshed"]),
        (["EXPIRE", KEY, 3600], ["expire"], ["refreshed"]),
        (["PERSIST", KEY], ["persist"], ["refreshed"]),
        (["DEL", KEY], ["del"], ["ended"]),
    ],
    "the same token reused by another user": [
        (["SET", KEY, nextauth("user-1")], ["set"], ["created"]),
        (["DEL", KEY], ["del"], ["ended"]),
        (["SET", KEY, nextauth("user-2")], ["set"], ["created"]),
    ],
    "rename": [
        (["SET", KEY, nextauth()], ["set"], ["created"]),
        (["RENAME", KEY, KEY + b"-2"], ["rename_from", "rename_to"], ["ended", "created"]),
    ],
}


@pytest.mark.parametrize("steps", CLIENTS.values(), ids=CLIENTS.keys())
async def test_the_sessions_of_each_client_are_recorded_from_real_notifications(app: App, steps: list[Any]) -> None:
    expected: list[str] = []
    async with app.redis.pubsub() as subscription:
        await subscription.psubscribe("__keyspace@0__:nextauth:session:*")
        await subscription.get_message(timeout=5)
        for command, operations, recorded in steps:
            await app.redis.execute_command(*command)
            received = []
            for _ in operations:
                message = await subscription.get_message(ignore_subscribe_messages=True, timeout=5)
                received.append(message["data"].decode())
                await event(app, received[-1], message["channel"].removeprefix(b"__keyspace@0__:"))
            assert received == operations
            expected += recorded
            assert await types(app) == expected


@pytest.mark.parametrize("operation", ["set", "expire", "persist", "restore", "rename_to", "copy_to"])
async def test_a_repeated_event_of_a_live_session_writes_nothing(app: App, operation: str) -> None:
    await app.redis.set(KEY, CONNECT, ex=3600)
    await event(app, "set")
    before = await own_keys(app)
    assert await types(app) == ["created"]
    for _ in range(3):
        assert (await event(app, operation)).result is Result.DUPLICATE
    assert await own_keys(app) == before


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        ("del", "logout"),
        ("expired", "expired"),
        ("evicted", "evicted"),
        ("rename_from", "renamed"),
        ("move_from", "renamed"),
    ],
)
async def test_an_end_is_recorded_once_with_its_reason(app: App, operation: str, reason: str) -> None:
    await app.redis.set(KEY, nextauth())
    await event(app, "set")
    await app.redis.delete(KEY)
    assert (await event(app, "set")).result is Result.IGNORED  # a late event, which has no reason
    assert (await event(app, operation)).result is Result.PROCESSED
    ended = await data(app)
    assert (ended["reason"], ended["userId"], ended["expires"]) == (reason, "user-1", NOON)
    assert await types(app) == ["created", "ended"]
    before = await own_keys(app)
    assert (await event(app, operation)).result is Result.DUPLICATE
    assert await own_keys(app) == before


async def test_a_reused_token_begins_another_life(app: App) -> None:
    for _ in range(2):
        await app.redis.set(KEY, nextauth())
        await event(app, "set")
        await app.redis.delete(KEY)
        await event(app, "del")
    ids = [record["id"] for record in await records(app)]
    assert len(set(ids)) == 4
    assert len({identity.rsplit(".", 1)[0] for identity in ids}) == 2


async def test_two_instances_with_the_same_events_write_each_record_once(app: App, second_app: App) -> None:
    keys = [KEY + b"-%d" % number for number in range(40)]

    async def both(operation: str) -> None:
        await asyncio.gather(
            *(
                react(instance, [key], cause(operation))
                for key in keys
                for instance in (app, second_app)
                for _ in range(2)
            )
        )

    await app.redis.mset({key: nextauth(expires=NOON) for key in keys})
    await both("set")
    await app.redis.mset({key: nextauth(expires=ONE) for key in keys})
    await both("set")
    await app.redis.delete(*keys)
    await both("del")
    recorded = await records(app)
    assert len({record["id"] for record in recorded}) == len(recorded) == 3 * len(keys)
    lives: dict[str, list[str]] = {}
    for record in recorded:
        lives.setdefault(record["subject"], []).append(record["type"].rpartition(".")[2])
    assert list(lives.values()) == [["created", "refreshed", "ended"]] * len(keys)


@pytest.mark.parametrize(
    "key", [b"nextauth:session:by-user-id:7", b"nextauth:session:by-user-id:", b"nextauth:session:", b"nextauth:user:7"]
)
async def test_keys_that_are_not_sessions_are_ignored_without_io(key: bytes) -> None:
    unreachable = open_app(Settings(redis="127.0.0.1:1"))
    for operation in ("set", "del"):
        assert await event(unreachable, operation, key) == inert(key, "not a session")


async def test_an_outage_of_redis_raises_nothing() -> None:
    unreachable = open_app(Settings(redis="127.0.0.1:1"))
    assert await event(unreachable, "set") == Outcome(KEY, Result.RETRIED, failures.AWAY)
    telemetry.recovered("Redis")


async def test_outcomes_are_in_the_order_of_the_keys(app: App) -> None:
    index, bad, other = b"nextauth:session:by-user-id:7", KEY + b"-bad", KEY + b"-2"
    await app.redis.mset({KEY: nextauth(), bad: "null", other: nextauth("user-2")})
    outcomes = await react(app, [bad, index, other, KEY], cause("set"))
    assert [(outcome.key, outcome.result.value) for outcome in outcomes] == [
        (bad, "rejected"),
        (index, "ignored"),
        (other, "processed"),
        (KEY, "processed"),
    ]
    assert [record["data"]["userId"] for record in await records(app)] == ["user-2", "user-1"]
    assert await react(app, [], cause("set")) == []


HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the value is not a JSON object"),
    "a BOM alone": (b"\xef\xbb\xbf", "the value is not a JSON object"),
    "null": (b"null", "the value is not a JSON object"),
    "number": (b"17", "the value is not a JSON object"),
    "string": (b'"text"', "the value is not a JSON object"),
    "JSON three times within JSON": (
        json.dumps(json.dumps(json.dumps(nextauth("user-2")))).encode(),
        "the value is not a JSON object",
    ),
    "truncated JSON within JSON": (json.dumps(nextauth("user-2")[:-9]).encode(), "the value is not valid JSON"),
    "array": (b'[{"userId":"user-2"}]', "the value is not a JSON object"),
    "bare token": (TOKEN.encode(), "the value is not a JSON object"),
    "pickle": (b"\x80\x04}\x94.", "the value is not a JSON object"),
    "gzip": (b"\x1f\x8b\x08\x00\x00", "the value is not a JSON object"),
    "truncated": (nextauth("user-2")[:-9].encode(), "the value is not valid JSON"),
    "trailing text": (nextauth("user-2").encode() + b"}", "the value is not valid JSON"),
    "NUL bytes": (b"{\x00}\x00", "the value is not valid JSON"),
    "UTF-16": ("{}".encode("utf-16-le"), "the value is not valid JSON"),
    "2,000 levels": (b'{"a":' * 2000 + b"1" + b"}" * 2000, "the value is not valid JSON"),
    "2,000 arrays": (b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}", "the value is not valid JSON"),
    "too large": (nextauth("user-2", more="x" * MAX_SESSION_BYTES).encode(), "the value is too large"),
}


@pytest.mark.parametrize(("value", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_value_that_cannot_be_read_is_rejected_and_changes_nothing(app: App, value: bytes, reason: str) -> None:
    await app.redis.set(KEY, nextauth())
    await event(app, "set")
    unchanged_keys = (phantom_key(app), STREAM, STATE, DUE, user_key())
    before = await own_keys(app)
    assert sorted(before) == sorted(unchanged_keys)
    await app.redis.set(KEY, value)
    assert await event(app, "set") == Outcome(KEY, Result.REJECTED, reason)
    assert {key: value for key, value in (await own_keys(app)).items() if key in unchanged_keys} == before
    await app.redis.delete(KEY)
    await event(app, "del")
    assert await types(app) == ["created", "ended"]


async def test_a_session_that_cannot_be_read_is_a_dead_letter_without_its_content(app: App) -> None:
    secret = "a-planted-secret"
    await write(app, f'{{"userId":"{secret}')
    (letter,) = (await dead_letters.list_page(app)).letters
    assert (letter.reactor, letter.key, letter.error, letter.message) == (
        NAME,
        phantom_key(app),
        "Rejected",
        "the value is not valid JSON",
    )
    assert (letter.attempts, letter.payload_kept) == (1, False)
    assert await dead_letters.payload(app, letter.id) is None
    stored = repr(await own_keys(app))
    assert secret not in stored
    assert TOKEN not in stored


async def test_a_session_that_cannot_be_read_is_rejected_once_per_content(app: App) -> None:
    assert (await write(app, "null")).result is Result.REJECTED
    duplicate = Outcome(KEY, Result.DUPLICATE, "the content is a dead letter")
    assert [await event(app, operation) for operation in ("set", "sweep", "schedule")] == [duplicate] * 3
    assert (await write(app, "17", "sweep")).result is Result.REJECTED
    assert [letter.attempts for letter in (await dead_letters.list_page(app)).letters] == [1, 1]
    assert (await write(app, nextauth(), "sweep")).result is Result.PROCESSED
    assert await types(app) == ["created"]


async def test_a_lower_limit_in_the_settings_applies(app: App) -> None:
    strict = with_settings(app, max_payload_bytes=1024)
    for padding, result in [(900, Result.PROCESSED), (1024, Result.REJECTED)]:
        await app.redis.set(KEY, nextauth(more="x" * padding))
        assert (await event(strict, "set")).result is result


@pytest.mark.parametrize("command", [["HSET", KEY, "userId", "1"], ["RPUSH", KEY, "1"], ["SADD", KEY, "1"]])
async def test_a_value_of_another_type_is_rejected(app: App, command: list[Any]) -> None:
    await app.redis.execute_command(*command)
    assert await event(app, command[0].lower()) == Outcome(KEY, Result.REJECTED, "the value is not a string")
    assert await event(app, "sweep") == Outcome(KEY, Result.DUPLICATE, "the content is a dead letter")
    assert await app.redis.exists(STREAM, STATE, phantom_key(app), DUE) == 0


def digest_of(raw: bytes) -> str:
    """The suffix of a user id that is recorded as its readable beginning and a digest."""
    return "~" + hashlib.sha1(raw, usedforsecurity=False).hexdigest()


ACCEPTED: dict[str, tuple[bytes, str | None]] = {
    "no user": (b"{}", None),
    "BOM and white space": (b'\xef\xbb\xbf \n{"userId":"u"}', "u"),
    "user.id": (b'{"user":{"id":"u"}}', "u"),
    "sub": (b'{"sub":"u"}', "u"),
    "passport.user": (b'{"passport":{"user":"u"}}', "u"),
    "userId first": (b'{"sub":"s","user":{"id":"i"},"userId":"u"}', "u"),
    "null, then sub": (b'{"userId":null,"user":null,"sub":"u"}', "u"),
    "empty, then sub": (b'{"userId":"","sub":"u"}', "u"),
    "no ids": (
        b'{"userId":{"name":"x"},"user":["x"],"passport":["x"],"sub":true,"user_id":{"id":{"id":{"id":1}}}}',
        None,
    ),
    "duplicate fields: the last": (b'{"userId":"a","userId":"b"}', "b"),
    "integer": (b'{"userId":42}', "42"),
    "beyond 2^53": (b'{"n":1,"userId":9007199254740993}', "9007199254740993"),
    "beyond 2^64, nested": (
        b'{"passport":{"user":-123456789012345678901234567890}}',
        "-123456789012345678901234567890",
    ),
    "digits in text stay text": (b'{"a":"\\"1, 2","userId":18446744073709551617,"b":"3\\\\"}', "18446744073709551617"),
    "NaN is no id": (b'{"userId":NaN,"n":-Infinity}', None),
    "lone surrogates elsewhere": (
        b'{"name":"\\ud83d","alias":"\\udc00\\ud83d","userId":"\\ud83d\\ude00"}',
        "\N{GRINNING FACE}",
    ),
    "lone surrogate": (b'{"userId":"a\\ud83d"}', "a\N{REPLACEMENT CHARACTER}"),
    "longest": (b'{"userId":"%s"}' % (b"u" * 256), "u" * 256),
    "too long": (b'{"userId":"%s"}' % (b"u" * 257), "u" * 215 + digest_of(b"u" * 257)),
    "not UTF-8": (b'{"userId":"a\xff"}', "a?" + digest_of(b"a\xff")),
    "not UTF-8 elsewhere": (b'{"name":"\xc0\x80","userId":"u"}', "u"),
    "surrogates as bytes": (b'{"userId":"\xed\xa0\x80"}', "???" + digest_of(b"\xed\xa0\x80")),
}


@pytest.mark.parametrize(("value", "user_id"), ACCEPTED.values(), ids=ACCEPTED.keys())
async def test_the_user_id_is_recorded_exactly(app: App, value: bytes, user_id: str | None) -> None:
    await app.redis.set(KEY, value)
    assert (await event(app, "set")).result is Result.PROCESSED
    created, unbounded = await records(app)
    assert created["data"] == {"userId": user_id, "expires": None, "detectedBy": "event"}
    assert unbounded["data"] == {"userId": user_id, "detectedBy": "event"}
    assert (await event(app, "set")).result is Result.DUPLICATE


EXPIRIES: dict[str, tuple[Any, str | None]] = {
    "ISO with Z": ("2031-05-01T12:00:00.123Z", "2031-05-01T12:00:00.123Z"),
    "ISO without a fraction": ("2031-05-01T12:00:00Z", NOON),
    "ISO with an offset": ("2031-05-01T14:00:00+02:00", NOON),
    "ISO with a short offset": ("2031-05-01 06:30:00-0530", NOON),
    "leap day": ("2028-02-29T00:00:00Z", "2028-02-29T00:00:00.000Z"),
    "epoch s": (1_935_403_200, NOON),
    "epoch s with a fraction": (1_935_403_200.5, "2031-05-01T12:00:00.500Z"),
    "epoch s with ms": (1_935_403_200.123, "2031-05-01T12:00:00.123Z"),
    "epoch ms": (1_935_403_200_000, NOON),
    "no such day": ("2031-02-29T12:00:00Z", None),
    "no such month": ("2031-13-01T12:00:00Z", None),
    "no such hour": ("2031-05-01T24:00:00Z", None),
    "no zone": ("2031-05-01T12:00:00", None),
    "malformed zone": ("2031-05-01T12:00:00+2:00", None),
    "HTTP date": ("Thu, 01 May 2031 12:00:00 GMT", None),
    "past the year 9999": (1e300, None),
    "a duration in s": (30 * 86_400, None),
    "a duration in ms": (86_400_000, None),
    "0": (0, None),
    "negative": (-5, None),
    "not a number": (float("nan"), None),
    "true": (True, None),
    "a list": ([NOON], None),
    "null": (None, None),
}


@pytest.mark.parametrize(("value", "expires"), EXPIRIES.values(), ids=EXPIRIES.keys())
async def test_the_expiry_is_read_from_the_session(app: App, value: object, expires: str | None) -> None:
    await app.redis.set(KEY, nextauth(expires=value))
    assert (await event(app, "set")).result is Result.PROCESSED
    assert (await records(app))[0]["data"]["expires"] == expires
    assert await types(app) == (["created"] if expires else ["created", "unbounded"])


async def expiry_in_s(app: App) -> float:
    """Time from the newest record to the expiry of its session."""
    record = (await records(app))[-1]
    return (datetime.fromisoformat(record["data"]["expires"]) - datetime.fromisoformat(record["time"])).total_seconds()


@pytest.mark.parametrize(
    ("session", "ttl_s", "expected_s"),
    [
        ({"expires": 600}, 100, 100),
        ({"expires": 100}, 600, 100),
        ({}, 100, 100),
        ({"cookie": 600}, 100, 100),
        ({"cookie": 100}, 600, 600),
        ({"cookie": 100}, None, 100),
        ({"expires": 200, "cookie": 100}, None, 200),
    ],
)
async def test_the_recorded_expiry_is_the_one_that_ends_the_session(
    app: App, session: dict[str, int], ttl_s: int | None, expected_s: int
) -> None:
    value = {
        name: text if name == "expires" else {"expires": text}
        for name, after_s in session.items()
        for text in [(datetime.now(UTC) + timedelta(seconds=after_s)).isoformat()]
    }
    await app.redis.set(KEY, json.dumps(value), ex=ttl_s)
    await event(app, "set")
    assert await expiry_in_s(app) == pytest.approx(expected_s, abs=1)


async def test_changes_of_the_expiry_are_a_refresh_once_they_add_up_to_a_second(app: App) -> None:
    for change_ms, result in [(0, "processed"), (600, "duplicate"), (999, "duplicate"), (1000, "processed")]:
        assert (await write(app, nextauth(expires=1_935_403_200_000 + change_ms))).result == result
    assert await types(app) == ["created", "refreshed"]
    assert (await data(app))["touches"] == 2


async def test_a_session_id_that_is_not_utf8_is_recorded_like_any_other(app: App) -> None:
    token = b"\xff\xfe \n\x00*"
    key = b"nextauth:session:" + token
    await app.redis.set(key, nextauth())
    assert (await event(app, "set", key)).result is Result.PROCESSED
    await app.redis.delete(key)
    assert (await event(app, "del", key)).result is Result.PROCESSED
    assert {record["subject"] for record in await records(app)} == {fingerprint(token, app.settings.audit_key)}


async def test_the_stream_is_bounded(redis_client: redis.asyncio.Redis, app_settings: Settings) -> None:
    await redis_client.config_set("stream-node-max-entries", 10)
    small = open_app(Settings(redis=app_settings.redis, audit_buffer=1000))
    keys = [KEY + b"-%d" % number for number in range(1100)]
    await redis_client.mset(dict.fromkeys(keys, nextauth()))
    await react(small, keys, cause("set"))
    assert 1000 <= await redis_client.xlen(STREAM) < 1020
    assert (await numbers(small))[-1] == 1100
    await redis_client.config_set("stream-node-max-entries", 100)
    await small.redis.aclose()


async def test_scripts_are_loaded_again_after_script_flush(app: App) -> None:
    await app.redis.mset({KEY: nextauth(), KEY + b"-2": nextauth()})
    await app.redis.script_flush()
    outcomes = await react(app, [KEY, KEY + b"-2"], cause("set"))
    assert [outcome.result for outcome in outcomes] == [Result.PROCESSED] * 2
    assert await types(app) == ["created", "created"]


async def test_the_token_is_in_no_record_log_outcome_or_key_of_the_app(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    outcomes = []
    for value in (CONNECT, nextauth(), nextauth("user-2"), TOKEN, f'{{"{TOKEN}', nextauth() + TOKEN, STAR):
        await app.redis.set(KEY, value)
        outcomes += [await event(app, "set"), await event(app, "expire")]
    await app.redis.delete(KEY)
    outcomes += [await event(app, "set"), await event(app, "del"), await event(app, "del")]
    await app.redis.set(KEY, nextauth())
    await event(app, "set")
    for outcome in outcomes:
        telemetry.record(
            "handle_session_changes", "sessions", Source.EVENT, outcome, 1.0, app.settings.audit_key, event="set"
        )
    expected = {Result.PROCESSED, Result.DUPLICATE, Result.IGNORED, Result.REJECTED}
    assert {outcome.result for outcome in outcomes} == expected
    logged = [record for record in caplog.records if record.name == telemetry.logger.name]
    assert len(logged) == len(outcomes)
    assert TOKEN not in "".join(f"{record.getMessage()}{record.__dict__}" for record in caplog.records)
    assert TOKEN not in "".join(str(outcome.detail) for outcome in outcomes)
    assert TOKEN not in repr(await own_keys(app))
    assert {key for key in await app.redis.keys("*") if TOKEN.encode() in key} == {KEY}


@pytest.mark.parametrize("operation", ["keymiss", "new", "overwritten", "type_changed"])
async def test_an_inert_event_changes_nothing(app: App, operation: str) -> None:
    await app.redis.set(KEY, nextauth())
    await event(app, "set")
    before = await own_keys(app)
    assert (await event(app, operation)).result is Result.DUPLICATE
    await app.redis.delete(KEY)
    assert (await event(app, operation)).result is Result.IGNORED
    assert await own_keys(app) == before


async def test_a_session_is_identified_by_its_own_key_or_by_its_phantoms_key(app: App) -> None:
    await app.redis.set(KEY, nextauth())
    assert (await event(app, "retry", phantom_key(app))).result is Result.PROCESSED
    assert (await event(app, "set")).result is Result.DUPLICATE
    await app.redis.delete(KEY)
    assert (await event(app, "sweep", phantom_key(app))).result is Result.PROCESSED
    assert await types(app) == ["created", "ended"]
    for foreign_key in (phantom_key(app)[:-1], phantom_key(app) + b"A", b"functions:phantom:session:!", b"\xff"):
        assert await event(app, "sweep", foreign_key) == inert(foreign_key, "not a session")


async def test_a_sweep_records_sessions_whose_events_were_lost(app: App) -> None:
    """Sessions that were created and ended without an event, among keys that look like sessions."""
    alive = {b"nextauth:session:%d" % number: nextauth(f"user-{number}") for number in range(3)}
    junk = [b"nextauth:session:by-user-id:1", b"nextauth:session:", b"nextauth:sessions:4", b"nextauth:session"]
    await app.redis.mset({**alive, **dict.fromkeys(junk, nextauth("nobody"))})
    for _ in range(2):
        await reconcile(app, (SESSIONS,), budget_s=10)
    assert sorted((record["type"], record["data"]["userId"]) for record in await records(app)) == [
        ("nextauth.session.created", f"user-{number}") for number in range(3)
    ]
    await app.redis.delete(*alive)
    for _ in range(2):
        await reconcile(app, (SESSIONS,), budget_s=10)
    recorded = await records(app)
    assert {record["data"]["detectedBy"] for record in recorded} == {"sweep"}
    assert [(record["type"], record["data"]["reason"]) for record in recorded[3:]] == [
        ("nextauth.session.ended", "lost")
    ] * 3


@pytest.mark.any_server
@given(user_id=st.text() | st.text(alphabet='\x00\x1f"\\/\x7f\u2028é😀'), as_ascii=st.booleans())
@hypothesis_settings
async def test_any_user_id_is_recorded_unchanged(app: App, user_id: str, as_ascii: bool) -> None:
    await app.redis.flushall()
    await app.redis.set(KEY, json.dumps({"userId": user_id}, ensure_ascii=as_ascii))
    await event(app, "set")
    recorded = (await data(app))["userId"]
    raw = user_id.encode()
    assert recorded == (user_id or None) or (len(raw) > 256 and recorded.endswith(digest_of(raw)))


@given(user_id=st.integers(), before=st.text(), after=st.text())
@hypothesis_settings
async def test_any_integer_user_id_keeps_its_digits(app: App, user_id: int, before: str, after: str) -> None:
    await app.redis.flushall()
    session = {before + "1": before, "user": {"n": 1e300, "id": user_id}, after + "2": [after, user_id, -0.5e-7]}
    await app.redis.set(KEY, json.dumps(session, ensure_ascii=False))
    await event(app, "set")
    assert (await data(app))["userId"] == str(user_id)


@given(
    since_1970_us=st.integers(86_400_000_000, 253_402_000_000_000_000),
    offset_minutes=st.integers(-23 * 60, 23 * 60),
)
@hypothesis_settings
async def test_any_expiry_is_recorded_in_utc(app: App, since_1970_us: int, offset_minutes: int) -> None:
    await app.redis.flushall()
    utc = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=since_1970_us)
    moment = utc.astimezone(timezone(timedelta(minutes=offset_minutes)))
    outcome = await write(with_settings(app, delete_lapsed_sessions=True), nextauth(expires=moment.isoformat()))
    assert outcome.result is Result.PROCESSED
    assert (await data(app))["expires"] == utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@given(value=st.binary() | st.binary().map(lambda raw: b'{"userId":"' + raw + b'"}'))
@hypothesis_settings
async def test_any_bytes_lead_to_a_rejection_or_to_valid_records(app: App, value: bytes) -> None:
    await app.redis.flushall()
    await app.redis.set(KEY, value)
    outcome = await event(app, "set")
    expected = {Result.PROCESSED: ["created"], Result.REJECTED: []}
    assert (await types(app))[:1] == expected[outcome.result]


async def test_the_record_in_docs_sessions_md_has_the_fields_of_a_real_one(app: App) -> None:
    page = Path(__file__).parents[2] / "docs" / "sessions.md"
    documented = json.loads(page.read_text(encoding="utf-8").partition("```json")[2].partition("```")[0])
    await app.redis.set(KEY, nextauth())
    await event(app, "set")
    await app.redis.delete(KEY)
    await event(app, "del")
    real = (await records(app))[-1]
    variable = {"id", "subject", "time", "keyid", "data"}
    assert {name: documented[name] for name in real if name not in variable} == {
        name: real[name] for name in real if name not in variable
    }
    assert list(documented) == list(real)
    assert list(documented["data"]) == list(real["data"])
