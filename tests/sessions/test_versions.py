"""State of the former version of the app is read, and what this version writes can be read by the former one.

state_version_1.json was recorded from the version before phantoms had a field `v`: sessions and the app's own keys.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from shared import namespaces
from shared.app import App
from shared.reactor import Result
from shared.sessions import phantom
from tests.support.looks import (
    DUE,
    ONE,
    STREAM,
    event,
    in_s,
    lives,
    nextauth,
    numbers,
    own_keys,
    phantom_key,
    records,
    with_settings,
)

pytestmark = pytest.mark.redis_server

STATE_1: dict[str, Any] = json.loads(Path(__file__).with_name("state_version_1.json").read_text(encoding="utf-8"))
ALIVE = sorted(STATE_1["sessions"].keys() - {"lapsed"})


def key_of(name: str) -> bytes:
    return namespaces.build(namespaces.SESSION, name)


@pytest.fixture
async def upgraded(app: App) -> App:
    """An instance on the state of the former version."""
    for name, text in STATE_1["sessions"].items():
        await app.redis.set(key_of(name), text)
    for key, value in STATE_1["own"].items():
        if isinstance(value, dict):
            await app.redis.hset(key, mapping=value)
        elif key.encode() == STREAM:
            for id_, fields in value:
                await app.redis.xadd(key, fields, id=id_)
        else:
            await app.redis.zadd(key, {member: float(score) for member, score in value})
    return with_settings(app, audit_refresh_min_s=0)


async def records_of(app: App, name: str) -> list[dict[str, Any]]:
    subject = app.keyrings[0].fingerprint(name.encode())
    return [record for record in await records(app) if record["subject"] == subject]


async def test_nothing_is_recorded_about_sessions_that_have_not_changed(upgraded: App) -> None:
    before = await own_keys(upgraded)
    for name in STATE_1["sessions"]:
        for operation in ("set", "sweep"):
            assert (await event(upgraded, operation, key_of(name))).result is Result.DUPLICATE
    assert (await own_keys(upgraded))[STREAM] == before[STREAM]
    assert {key: value for key, value in (await own_keys(upgraded)).items() if key != STREAM} == {
        key: value for key, value in before.items() if key != STREAM
    }


@pytest.mark.parametrize("name", ALIVE)
async def test_a_life_goes_on_with_its_id_its_user_and_its_numbers(upgraded: App, name: str) -> None:
    """Also that of a user whose pseudonym is by HMAC-SHA-1."""
    begun = await records_of(upgraded, name)
    user_id = begun[-1]["data"]["userId"]
    text = STATE_1["sessions"][name]
    fields = json.loads(text)
    expires = {"cookie": {"expires": ONE}} if "cookie" in fields else {"expires": ONE}
    await upgraded.redis.set(key_of(name), json.dumps({**fields, **expires}))
    await event(upgraded, "set", key_of(name))
    await upgraded.redis.delete(key_of(name))
    await event(upgraded, "del", key_of(name))
    refreshed, ended = (await records_of(upgraded, name))[len(begun) :]
    assert [refreshed["type"], ended["type"]] == ["nextauth.session.refreshed", "nextauth.session.ended"]
    life, _, number = begun[-1]["id"].rpartition(".")
    assert [refreshed["id"], ended["id"]] == [f"{life}.{int(number) + 1}", f"{life}.{int(number) + 2}"]
    assert {record["data"]["userId"] for record in (refreshed, ended)} == {user_id}
    assert refreshed["data"]["touches"] == (1 if name == "touched" else 0)
    assert await numbers(upgraded) == list(range(1, len(await records(upgraded)) + 1))


async def test_an_end_that_was_recorded_is_not_recorded_again(upgraded: App) -> None:
    for operation in ("set", "del", "sweep", "schedule"):
        for name in ("ended", "lapsed"):
            assert (await event(upgraded, operation, key_of(name))).result is Result.DUPLICATE


async def test_a_session_that_was_missing_is_lost_after_its_time(upgraded: App) -> None:
    assert (await event(upgraded, "sweep", key_of("missing"))).result in {Result.LATER, Result.PROCESSED}
    await event(with_settings(upgraded, session_lost_after_s=0), "schedule", key_of("missing"))
    ended = (await records_of(upgraded, "missing"))[-1]
    assert (ended["data"]["reason"], ended["data"]["detectedBy"]) == ("lost", "sweep")


NUMBERS = ("first_seen_ms", "sequence", "recorded_ms", "touches")
TIMES = ("expires_ms", "told_ms", "cookie_ms", "missing_ms", "ended_ms", "prior_end_ms")


async def test_what_this_version_writes_is_a_phantom_to_the_former_one(app: App) -> None:
    """These are the rules by which it read them: it took an empty time for none, and the rest had to be valid."""
    app = with_settings(app, session_lost_after_s=600, audit_refresh_min_s=0)
    key, phantoms = key_of("token"), []

    async def step(operation: str, text: str | None = None) -> None:
        await (app.redis.set(key, text) if text else app.redis.delete(key))
        await event(app, operation, key)
        phantoms.append(await app.redis.hgetall(phantom_key(app, b"token")))

    await step("set", nextauth())
    await step("set", nextauth("user-2"))
    await step("set", json.dumps({"userId": "user-2"}))
    await step("sweep")
    await step("del")
    await step("set", nextauth(lastSeen=1))
    await step("set", nextauth(expires=in_s(-1)))
    for fields in phantoms:
        assert re.fullmatch(rb"[0-9a-f]{32}", fields[b"fingerprint"])
        assert re.fullmatch(rb"[0-9a-f]{8}", fields[b"key_id"])
        assert re.fullmatch(rb"\d{16}", fields[b"life"])
        assert all(re.fullmatch(rb"\d{1,15}", fields[name.encode()]) for name in NUMBERS)
        assert all(re.fullmatch(rb"\d{0,15}", fields.get(name.encode(), b"")) for name in TIMES)
        assert fields[b"digest"]
        assert b"user_id" in fields
        assert fields[b"v"] == b"2"
    assert [bool(fields.get(b"ended_ms")) for fields in phantoms] == [False] * 4 + [True, False, True]
    assert len(await lives(app)) == 2


async def test_the_state_of_a_newer_version_is_left_to_it(app: App) -> None:
    await app.redis.set(key_of("token"), nextauth())
    await event(app, "set", key_of("token"))
    await app.redis.hset(phantom_key(app, b"token"), "v", str(phantom.VERSION + 1))
    before = await own_keys(app)
    await app.redis.delete(key_of("token"))
    for operation in ("del", "sweep"):
        assert (await event(app, operation, key_of("token"))).result is Result.LATER
    assert await own_keys(app) == before
    assert await app.redis.exists(DUE) == 1


@pytest.mark.parametrize("script", ["look_session", "apply_session"])
def test_the_scripts_read_the_fields_of_a_phantom_in_their_order(script: str) -> None:
    text = (Path(phantom.__file__).parent / f"{script}.lua").read_text(encoding="utf-8")
    names = text.partition("local FIELDS = {")[2].partition("}")[0]
    assert tuple(re.findall(r"'(\w+)'", names)) == phantom.FIELDS
