"""Sessions in the forms in which real clients write them: the user and the expiry are found, and never misread."""

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.app import App
from shared.reactor import Outcome, Result
from shared.sessions.reactor import MAX_SESSION_BYTES
from tests.support.looks import (
    KEY,
    NOON,
    ONE,
    TOKEN,
    TWO,
    data,
    in_s,
    own_keys,
    records,
    types,
    with_settings,
    write,
)

pytestmark = pytest.mark.redis_server

PAYLOADS = json.loads(Path(__file__).with_name("payloads.json").read_text(encoding="utf-8"))
NOON_S = 1_935_403_200
ID = "65f0c0ffee0123456789abcd"


@pytest.mark.parametrize("payload", PAYLOADS, ids=[payload["name"] for payload in PAYLOADS])
async def test_a_session_of_a_real_client_is_recorded_with_its_user_and_its_expiry(
    app: App, payload: dict[str, Any]
) -> None:
    value = payload["value"].encode() if "value" in payload else base64.b64decode(payload["base64"])
    outcome = await write(app, value)
    if "rejected" in payload:
        assert outcome == Outcome(KEY, Result.REJECTED, payload["rejected"])
        assert await records(app) == []
        return
    assert outcome.result is Result.PROCESSED
    created = (await records(app))[0]
    assert created["data"] == {"userId": payload["user"], "expires": payload["expires"], "detectedBy": "event"}


USERS: dict[str, tuple[Any, str | None]] = {
    # the same user in each form
    "object with id": ({"userId": {"id": "u"}}, "u"),
    "object with _id": ({"user": {"_id": "u"}}, "u"),
    "object with userId": ({"user": {"userId": "u"}}, "u"),
    "object with user_id": ({"user": {"user_id": "u"}}, "u"),
    "object with sub": ({"user": {"sub": "u"}}, "u"),
    "object with a number": ({"passport": {"user": {"id": 2**63}}}, str(2**63)),
    "ObjectId": ({"user_id": {"$oid": ID}}, ID),
    "ObjectId of a user": ({"user": {"_id": {"$oid": ID}}}, ID),
    "canonical integers": ({"user": {"id": {"$numberLong": "17"}}}, "17"),
    "user is a text": ({"user": "u"}, "u"),
    "user is a number": ({"user": 17}, "17"),
    "user is JSON": ({"user": '{"id":17}'}, "17"),
    "passport is JSON": ({"passport": '{"user":"u"}'}, "u"),
    "Flask-Login": ({"_user_id": "u", "_fresh": True, "_id": "s"}, "u"),
    "Django": ({"_auth_user_id": "u"}, "u"),
    # wrappers
    **{f"{name}.userId": ({name: {"userId": "u"}}, "u") for name in ("session", "value", "data", "json", "user")},
    **{f"{name}.user.id": ({name: {"user": {"id": 7}}}, "7") for name in ("session", "value", "data", "json")},
    **{f"{name}.sub": ({name: {"sub": "u"}}, "u") for name in ("session", "value", "data", "json", "user")},
    **{f"{name} is JSON": ({name: '{"user_id":7}'}, "7") for name in ("session", "value", "data", "json", "user")},
    "superjson in a cache": ({"value": {"json": {"userId": "u"}, "meta": {}}}, "u"),
    "three wrappers": ({"value": {"value": {"value": {"userId": "u"}}}}, None),
    # the order of the names
    "userId, then user": ({"user": {"id": "b"}, "userId": "a"}, "a"),
    "user, then user_id": ({"user_id": "b", "user": {"id": "a"}}, "a"),
    "user_id, then sub": ({"sub": "b", "user_id": "a"}, "a"),
    "sub, then passport": ({"passport": {"user": "b"}, "sub": "a"}, "a"),
    "passport, then the text user": ({"user": "b", "passport": {"user": "a"}}, "a"),
    "the session's own names, then those within": ({"passport": {"user": "a"}, "data": {"userId": "b"}}, "a"),
    "session, then value, then data": (
        {"data": {"userId": "c"}, "value": {"userId": "b"}, "session": {"userId": "a"}},
        "a",
    ),
    "a user without an id, then session": ({"user": {"name": "n"}, "session": {"userId": "a"}}, "a"),
    # what is no user
    "_id alone": ({"_id": "u"}, "u"),
    "_id beside userId": ({"_id": "s", "userId": "a"}, "a"),
    "_id beside a user without an id": ({"_id": "s", "user": {"name": "n"}}, None),
    "_id beside no user": ({"_id": "s", "user": None}, None),
    "_id beside a wrapper": ({"_id": "s", "data": {"userId": "a"}}, "a"),
    "_id beside an empty wrapper": ({"_id": "s", "session": "{}"}, None),
    "_id beside a token": ({"_id": "s", "sessionToken": TOKEN}, None),
    "_id in session": ({"session": {"_id": "s"}}, None),
    "_id is the token": ({"_id": TOKEN}, None),
    "_id of Flask-Login": ({"_id": "s", "_fresh": False}, None),
    "id": ({"id": "s", "data": {"id": "s"}, "session": {"id": "s"}}, None),
    "an e-mail address or a name": ({"user": "ana@example.org", "data": {"user": "Ana Lind"}}, None),
    "other objects": ({"userId": {"type": "Buffer", "data": [1]}, "account": {"userId": "b"}}, None),
    "objects within objects within objects": ({"user": {"id": {"id": {"id": "u"}}}}, None),
    "lists": ({"user": ["b"], "data": [{"userId": "b"}], "json": ["b"]}, None),
    "JSON that is broken": ({"data": '{"userId":"b"', "value": '"{"'}, None),
    "JSON in braces that is none": ({"userId": "{3f2504e0-4f89-11d3}"}, "{3f2504e0-4f89-11d3}"),
}


@pytest.mark.parametrize(("session", "user_id"), USERS.values(), ids=USERS.keys())
async def test_the_user_is_found_under_each_name_in_the_documented_order(
    app: App, session: Any, user_id: str | None
) -> None:
    assert (await write(app, json.dumps(session))).result is Result.PROCESSED
    assert (await records(app))[0]["data"]["userId"] == user_id


@pytest.mark.parametrize("levels", [1, 2])
async def test_json_within_json_is_read_to_two_levels(app: App, levels: int) -> None:
    value: Any = {"userId": 2**60 + 1, "expires": NOON}
    for _ in range(levels + 1):
        value = json.dumps(value)
    await write(app, value)
    assert await data(app) == {"userId": str(2**60 + 1), "expires": NOON, "detectedBy": "event"}


async def test_json_within_json_within_a_member_counts_towards_the_two_levels(app: App) -> None:
    inner = json.dumps({"userId": "u"})
    await write(app, json.dumps({"value": json.dumps({"data": inner})}))
    await write(app, json.dumps({"value": json.dumps({"data": json.dumps(inner)})}))
    recorded = [record["data"]["userId"] for record in await records(app) if "unbounded" not in record["type"]]
    assert recorded == ["u", None]


EXPIRIES: dict[str, tuple[Any, str | None]] = {
    "expiresAt": ({"expiresAt": NOON}, NOON),
    "expires_at": ({"expires_at": NOON_S}, NOON),
    "exp": ({"sub": "u", "exp": NOON_S}, NOON),
    "koa-session": ({"_expire": NOON_S * 1000, "_maxAge": 86_400_000}, NOON),
    "extended JSON": ({"expires": {"$date": NOON}}, NOON),
    "canonical extended JSON": ({"expires": {"$date": {"$numberLong": str(NOON_S * 1000)}}}, NOON),
    "in session": ({"session": {"expiresAt": NOON}}, NOON),
    "in session beside a user": ({"user": {"id": "u"}, "session": {"expires": NOON}}, NOON),
    "in superjson": ({"json": {"expires": NOON}, "meta": {"values": {"expires": ["Date"]}}}, NOON),
    "in JSON": ({"value": json.dumps({"expires": NOON})}, NOON),
    "in data with a user": ({"data": {"userId": "u", "expires": NOON}}, NOON),
    "of a cache and its session: the earlier": ({"value": {"expires": TWO}, "expires": ONE}, ONE),
    "of a session and its cache: the earlier": ({"value": {"expires": ONE}, "expires": TWO}, ONE),
    "expires, then expiresAt": ({"expiresAt": NOON, "expires": ONE}, ONE),
    "a duration, then expiresAt": ({"expires": 3600, "expiresAt": NOON}, NOON),
    "cookie in a cache": ({"value": {"cookie": {"expires": NOON}}}, NOON),
    "cookie in extended JSON": ({"cookie": {"_expires": {"$date": NOON}}}, NOON),
    # what is no expiry
    "originalMaxAge": ({"cookie": {"originalMaxAge": NOON_S * 1000, "maxAge": NOON_S * 1000}}, None),
    "of an OAuth token": ({"userId": "u", "access_token": "a", "expires_at": NOON_S}, None),
    "of a session beside an OAuth token": ({"userId": "u", "accessToken": "a", "exp": NOON_S, "expires": ONE}, ONE),
    "of a user": ({"user": {"id": "u", "expires": NOON}}, None),
    "of data beside a user": ({"userId": "u", "data": {"expires": NOON}}, None),
    "of value beside a user": ({"userId": "u", "value": {"expires": NOON}}, None),
    "of data beside a cookie": ({"cookie": {}, "data": {"userId": "u", "expires": NOON}}, None),
    "of data without a user": ({"data": {"expires": NOON}}, None),
    "of an account": ({"userId": "u", "account": {"expires_at": NOON_S}}, None),
}


@pytest.mark.parametrize(("session", "expires"), EXPIRIES.values(), ids=EXPIRIES.keys())
async def test_the_expiry_is_found_in_each_form(app: App, session: Any, expires: str | None) -> None:
    await write(app, json.dumps(session))
    assert (await records(app))[0]["data"]["expires"] == expires
    assert await types(app) == (["created"] if expires else ["created", "unbounded"])


async def test_a_lapsed_expiry_within_a_wrapper_ends_the_session_and_deletes_its_key(app: App) -> None:
    deleting = with_settings(app, delete_lapsed_sessions=True)
    session = {"session": {"userId": "u", "expiresAt": in_s(3600)}, "user": {"id": "u"}}
    await write(deleting, json.dumps(session))
    session["session"]["expiresAt"] = in_s(-1)
    await write(deleting, json.dumps(session))
    assert await types(app) == ["created", "ended"]
    assert (await data(app))["deleted"] is True
    assert await app.redis.exists(KEY) == 0


WRAPPINGS: dict[str, Callable[[Any], Any]] = {
    "session": lambda session: {"id": "s", "session": session},
    "value": lambda session: {"value": session, "expires": None},
    "data": lambda session: {"_id": "s", "data": session},
    "superjson": lambda session: {"json": session, "meta": {"values": {}}},
    "JSON": json.dumps,
}
WRITTEN: dict[str, Callable[[Any], dict[str, Any]]] = {
    "userId": lambda user_id: {"userId": user_id},
    "user.id": lambda user_id: {"user": {"id": user_id, "name": "n"}},
    "user._id": lambda user_id: {"user": {"_id": user_id}, "cookie": {"originalMaxAge": None}},
    "user_id": lambda user_id: {"user_id": user_id},
    "sub": lambda user_id: {"sub": user_id, "iat": 1},
    "passport.user": lambda user_id: {"passport": {"user": user_id}},
    "passport.user.id": lambda user_id: {"passport": {"user": {"id": user_id}}},
}


@pytest.mark.any_server
@given(
    user_id=st.text(min_size=1, max_size=60) | st.integers(),
    form=st.sampled_from(sorted(WRITTEN)),
    wrappings=st.lists(st.sampled_from(sorted(WRAPPINGS)), max_size=2),
    others=st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.floats(), max_size=3),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_user_in_any_form_and_wrapping_is_recorded_unchanged(
    app: App, user_id: str | int, form: str, wrappings: list[str], others: dict[str, Any]
) -> None:
    await app.redis.flushall()
    session: Any = {**{f"x-{name}": value for name, value in others.items()}, **WRITTEN[form](user_id)}
    for wrapping in wrappings:
        session = WRAPPINGS[wrapping](session)
    await write(app, json.dumps(session, ensure_ascii=False))
    assert (await data(app))["userId"] == str(user_id)


async def test_no_form_brings_the_token_into_a_key_of_the_app(app: App) -> None:
    for session in ({"_id": TOKEN}, {"session": {"id": TOKEN, "token": TOKEN}}, {"data": {"_id": TOKEN}}):
        await write(app, json.dumps(session))
    assert TOKEN not in repr(await own_keys(app))


def nested(depth: int) -> str:
    return '{"user":' * depth + "1" + "}" * depth


HEAVY = {
    "numbers, with a number as the user": json.dumps({"data": {"a": [1] * 80_000, "passport": {"user": 1}}}),
    "text in each wrapper": json.dumps(
        {name: json.dumps({"a": ["x"] * 7000}) for name in ("session", "value", "data", "json", "user")}
    ),
    "text that is no JSON in each wrapper": json.dumps(
        dict.fromkeys(("session", "value", "data", "json", "user", "userId", "sub"), "{" + "[" * 30_000)
    ),
    "text within text": json.dumps(json.dumps({"data": json.dumps({"userId": 1, "a": "x" * 200_000})})),
    "quotes in text": json.dumps(json.dumps({"userId": 1, "a": '"' * 60_000})),
    "wrappers in wrappers": json.dumps({"data": {"data": {"data": [1] * 80_000, "_id": 1}}}),
}


@pytest.mark.parametrize("value", HEAVY.values(), ids=HEAVY.keys())
async def test_a_heavy_session_holds_up_redis_for_a_bounded_time(
    app: App, value: str, measured: Callable[[str, float, str], None]
) -> None:
    assert len(value) <= MAX_SESSION_BYTES
    await write(app, "{}")
    await app.redis.config_resetstat()
    began_s = time.perf_counter()
    assert (await write(app, value)).result in (Result.PROCESSED, Result.DUPLICATE)
    assert time.perf_counter() - began_s < 2
    stats = (await app.redis.info("commandstats"))["cmdstat_evalsha"]
    measured(f"a session of {len(value) // 1024} KiB", stats["usec"] / 1000, "ms in Redis")


@pytest.mark.parametrize("depth", [3, 100, 900])
async def test_depth_is_no_user(app: App, depth: int) -> None:
    await write(app, nested(depth + 1))
    assert (await records(app))[0]["data"]["userId"] is None
