"""Users of sessions: limits, tokens, pseudonyms, and a change of AUDIT_KEY."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from shared import namespaces, telemetry
from shared.app import App, open_app
from shared.delivery import dead_letters
from shared.delivery.due import react_to_due
from shared.delivery.reconcile import reconcile
from shared.privacy.keyring import keyring
from shared.reactor import Result
from shared.registry import SESSIONS
from shared.sessions import reactor as sessions
from shared.sessions.keys import phantom_key as phantom_of
from shared.sessions.reactor import react
from shared.settings import Settings
from tests.support.causes import cause
from tests.support.looks import (
    DUE,
    KEY,
    NOON,
    ONE,
    TOKEN,
    data,
    event,
    in_s,
    lives,
    nextauth,
    numbers,
    own_keys,
    phantom_key,
    records,
    sealed,
    tokens_key,
    types,
    user_key,
    with_settings,
    write,
)

pytestmark = pytest.mark.redis_server

OTHER = KEY + b"-2"
NEW_KEY = "another audit key of the tests"
REVOKED = "fabric.tokens.revoked"


def index_key(user_id: str = "user-1") -> bytes:
    return namespaces.build(namespaces.SESSION_BY_USER, user_id)


async def members(app: App, user_id: str = "user-1") -> set[bytes]:
    return set(await app.redis.zrange(user_key(user_id), 0, -1))


def fingerprints(app: App, *keys: bytes) -> set[bytes]:
    prefix = namespaces.SESSION.prefix
    return {app.keyrings[0].fingerprint(key.removeprefix(prefix)).encode() for key in keys}


async def log_out(app: App, key: bytes = KEY, operation: str = "del") -> None:
    assert await app.redis.delete(key) == 1
    assert (await event(app, operation, key)).result is Result.PROCESSED


# A user's sessions


async def test_the_set_of_a_users_sessions_has_the_live_ones(app: App) -> None:
    for key in (KEY, OTHER):
        await write(app, nextauth(), key=key)
    assert await members(app) == fingerprints(app, KEY, OTHER)
    assert 0 <= namespaces.PHANTOM_TTL_S - await app.redis.ttl(user_key()) <= 5
    await write(app, nextauth("user-2"))
    assert await members(app) == fingerprints(app, OTHER)
    assert await members(app, "user-2") == fingerprints(app, KEY)
    await log_out(app)
    await write(app, nextauth(expires=in_s(-1)), key=OTHER)
    assert await app.redis.exists(user_key(), user_key("user-2")) == 0


async def test_a_session_without_a_user_is_in_no_set(app: App) -> None:
    await write(app, json.dumps({"cookie": {"expires": NOON}}))
    assert await app.redis.keys("functions:sessions:user:*") == []
    await write(app, json.dumps({"cookie": {"expires": NOON}, "passport": {"user": "user-1"}}))
    assert await members(app) == fingerprints(app, KEY)


async def test_each_session_past_a_users_limit_is_signalled(app: App) -> None:
    limited = with_settings(app, max_sessions_per_user=2)
    keys = [KEY + b"-%d" % number for number in range(4)]
    for key in keys:
        await write(limited, nextauth(), key=key)
        await event(limited, "sweep", key)
        await write(limited, nextauth(expires=ONE), key=key)  # a refresh adds no session
    excess = [record["data"] for record in await records(app) if record["type"] == "nextauth.session.excess"]
    assert excess == [{"userId": "user-1", "sessions": count, "limit": 2, "detectedBy": "event"} for count in (3, 4)]
    for key in keys[:3]:
        await log_out(limited, key)
    await write(limited, nextauth(), key=KEY)
    assert (await types(app)).count("excess") == 2
    await write(limited, nextauth("user-2"), key=OTHER)
    await write(limited, nextauth("user-1"), key=OTHER)  # now a session of this user
    assert (await types(app))[-2:] == ["changed", "excess"]


async def test_lapsed_sessions_do_not_count_towards_the_limit(app: App) -> None:
    limited = with_settings(app, max_sessions_per_user=1)
    await write(limited, nextauth(), key=OTHER)
    await app.redis.zadd(user_key(), dict.fromkeys(fingerprints(app, OTHER), 1))  # it lapsed and was not due yet
    await write(limited, nextauth())
    assert await types(app) == ["created", "created"]


async def test_there_is_no_limit_unless_one_is_set(app: App) -> None:
    for number in range(20):
        await write(app, nextauth(), key=KEY + b"-%d" % number)
    assert set(await types(app)) == {"created"}


# Tokens


@pytest.fixture
async def revoking(app: App) -> App:
    """An instance that deletes tokens at the last logout; user-1 has tokens."""
    await app.redis.set(tokens_key(), "tokens")
    return with_settings(app, revoke_tokens_on_last_logout=True, session_lost_after_s=0)


async def test_the_end_of_a_users_last_session_deletes_the_users_tokens(revoking: App) -> None:
    for key in (KEY, OTHER):
        await write(revoking, nextauth(), key=key)
    await log_out(revoking)
    assert await revoking.redis.exists(tokens_key()) == 1
    await log_out(revoking, OTHER)
    assert await revoking.redis.exists(tokens_key()) == 0
    assert await lives(revoking) == [["created", "ended"], ["created", "ended", REVOKED]]
    revoked = (await records(revoking))[-1]
    assert revoked["data"] == {"userId": "user-1", "detectedBy": "event"}
    for _ in range(3):
        await event(revoking, "del", OTHER)
    assert await numbers(revoking) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("operation", ["del", "expired", "evicted", "sweep"])
async def test_tokens_are_deleted_however_the_last_session_ended(revoking: App, operation: str) -> None:
    await write(revoking, nextauth())
    await log_out(revoking, operation=operation)
    assert await types(revoking) == ["created", "ended", REVOKED]


async def test_tokens_are_deleted_after_a_lapse_and_after_a_change_of_user(revoking: App) -> None:
    await write(revoking, nextauth())
    await write(revoking, nextauth(expires=in_s(-1)))
    assert await types(revoking) == ["created", "ended", REVOKED]
    await revoking.redis.set(tokens_key(), "tokens")
    await write(revoking, nextauth())
    await write(revoking, nextauth("user-2"))
    assert await lives(revoking) == [["created", "ended", REVOKED], ["created", "changed", REVOKED]]
    assert (await data(revoking))["userId"] == "user-1"


async def test_without_tokens_no_revocation_is_recorded(revoking: App) -> None:
    await revoking.redis.delete(tokens_key())
    await write(revoking, nextauth())
    await log_out(revoking)
    assert await types(revoking) == ["created", "ended"]


async def test_tokens_stay_unless_the_setting_says_so(app: App) -> None:
    await app.redis.set(tokens_key(), "tokens")
    await write(app, nextauth())
    await log_out(app)
    assert await app.redis.get(tokens_key()) == b"tokens"
    assert await types(app) == ["created", "ended"]


@pytest.mark.parametrize("indexed", [OTHER, OTHER.removeprefix(b"nextauth:session:")], ids=["key", "bare token"])
async def test_tokens_stay_while_the_index_names_another_live_session(revoking: App, indexed: bytes) -> None:
    """A session whose event has not arrived yet."""
    await revoking.redis.mset({OTHER: nextauth(), index_key(): indexed})
    await write(revoking, nextauth())
    await log_out(revoking)
    assert await revoking.redis.exists(tokens_key()) == 1
    await revoking.redis.delete(OTHER)
    await write(revoking, nextauth())
    await log_out(revoking)
    assert await revoking.redis.exists(tokens_key()) == 0


INDEXES: dict[str, Sequence[Any]] = {
    "this session": ["SET", index_key(), KEY],
    "its bare token": ["SET", index_key(), TOKEN],
    "a session that is gone": ["SET", index_key(), OTHER],
    "nothing": ["SET", index_key(), ""],
    "bytes": ["SET", index_key(), b"\xff\x00"],
    "a long text": ["SET", index_key(), "x" * 10_000],
    "a hash": ["HSET", index_key(), "a", "b"],
}


@pytest.mark.parametrize("command", INDEXES.values(), ids=INDEXES.keys())
async def test_tokens_are_deleted_if_the_index_names_no_other_session(revoking: App, command: Sequence[Any]) -> None:
    await revoking.redis.execute_command(*command)
    await write(revoking, nextauth())
    await log_out(revoking)
    assert await types(revoking) == ["created", "ended", REVOKED]


async def test_tokens_stay_if_the_session_continues_under_another_token(revoking: App) -> None:
    await write(revoking, nextauth())
    await revoking.redis.rename(KEY, OTHER)
    await event(revoking, "rename_from")
    await event(revoking, "rename_to", OTHER)
    assert await revoking.redis.exists(tokens_key()) == 1
    await log_out(revoking, OTHER)
    assert await lives(revoking) == [["created", "ended"], ["created", "ended", REVOKED]]


async def test_tokens_stay_if_the_user_has_signed_in_again(revoking: App) -> None:
    """The logout is handled after the token was reused: the tokens may belong to the new sign-in."""
    await write(revoking, nextauth())
    await revoking.redis.delete(KEY)
    await write(revoking, nextauth(), "del")
    assert await lives(revoking) == [["created", "ended"], ["created"]]
    assert await revoking.redis.exists(tokens_key()) == 1
    await revoking.redis.delete(KEY)
    await revoking.redis.hset(phantom_key(revoking), "prior_end_ms", 0)
    await write(revoking, nextauth("user-2"), "del")
    assert await lives(revoking) == [["created", "ended"], ["created", "ended", REVOKED], ["created"]]


async def test_tokens_are_deleted_at_the_end_of_a_session_from_before_the_setting(app: App, revoking: App) -> None:
    await write(app, nextauth())
    await log_out(revoking)
    assert await types(app) == ["created", "ended", REVOKED]


async def test_tokens_stay_after_a_session_that_began_under_a_pseudonym(app: App, revoking: App) -> None:
    """The two settings exclude each other and were changed in between, so at its end the user is not known by id."""
    await write(revoking, nextauth())
    await write(with_settings(app, audit_pseudonymise_users=True), nextauth(), key=OTHER)
    for key in (KEY, OTHER):
        await log_out(revoking, key)
        assert await revoking.redis.exists(tokens_key()) == 1
    assert await types(app) == ["created", "created", "ended", "ended"]


@pytest.mark.parametrize("user_id", ["a~1", "~" + "a" * 31, "x~" + "a" * 32, "~"])
async def test_a_user_id_that_resembles_a_pseudonym_is_treated_as_a_user_id(revoking: App, user_id: str) -> None:
    await revoking.redis.set(tokens_key(user_id), "tokens")
    await write(revoking, nextauth(user_id))
    await log_out(revoking)
    assert await types(revoking) == ["created", "ended", REVOKED]


async def test_a_refused_deletion_of_tokens_fails_the_call_and_is_completed_once_it_is_allowed(
    app: App, revoking: App, app_settings: Settings
) -> None:
    """The Redis user of the app has no rights on the tokens at first."""
    rights = {"enabled": True, "passwords": ["+secret"], "commands": ["+@all"], "reset": True}
    await app.redis.acl_setuser("restricted", keys=["functions:*", "nextauth:*"], **rights)
    restricted = open_app(
        msgspec.structs.replace(revoking.settings, redis=f"{app_settings.redis},user=restricted,password=secret")
    )
    await write(restricted, nextauth())
    await app.redis.delete(KEY)
    results = [(await event(restricted, operation)).result for operation in ("del", "retry", "sweep", "del")]
    assert results == [Result.RETRIED] * 4
    assert await types(app) == ["created", "ended"]
    assert await app.redis.get(tokens_key()) == b"tokens"
    await app.redis.acl_setuser("restricted", keys=["*"], **rights)
    results = [(await event(restricted, operation)).result for operation in ("sweep", "retry", "del")]
    assert results == [Result.PROCESSED, Result.DUPLICATE, Result.DUPLICATE]
    assert await lives(app) == [["created", "ended", REVOKED]]
    assert await app.redis.exists(tokens_key()) == 0
    assert await numbers(app) == [1, 2, 3]
    await restricted.redis.aclose()
    await app.redis.acl_deluser("restricted")


async def test_a_sweep_restores_the_set_of_a_users_sessions(revoking: App) -> None:
    """After an eviction, for instance: without the set, the end of one session would delete the tokens of both."""
    limited = with_settings(revoking, max_sessions_per_user=1)
    for key in (KEY, OTHER):
        await write(limited, nextauth(), key=key)
    before = await limited.redis.zrange(user_key(), 0, -1, withscores=True)
    await limited.redis.delete(user_key())
    await reconcile(limited, (SESSIONS,), budget_s=10)
    assert await limited.redis.zrange(user_key(), 0, -1, withscores=True) == before
    assert 0 < await limited.redis.ttl(user_key()) <= namespaces.PHANTOM_TTL_S
    await log_out(limited)
    assert await limited.redis.exists(tokens_key()) == 1
    assert await types(limited) == ["created", "created", "excess", "ended"]


# Pseudonyms


@pytest.fixture
def masking(app: App) -> App:
    return with_settings(app, audit_pseudonymise_users=True, max_sessions_per_user=1)


async def test_with_pseudonyms_no_user_id_is_recorded_or_stored(masking: App) -> None:
    users = ["11111111-planted", "22222222-planted", "ü" * 100, "3" * 300]
    for number, user_id in enumerate(users):
        for key in (KEY, OTHER):
            await write(masking, nextauth(user_id, expires=f"2031-05-0{number + 1}T12:00:00Z"), key=key)
    await write(masking, nextauth(users[0], expires=in_s(-1)), key=OTHER)
    await write(masking, '{"userId":"11111111-planted')
    stored = repr(await own_keys(masking)) + repr(await masking.redis.keys("functions:*"))
    assert (await types(masking)).count("changed") == 6
    assert (await types(masking)).count("excess") == 4
    for user_id in users[:2]:
        assert user_id not in stored
    assert r"\xc3\xbc" not in stored
    assert "ü" not in stored
    assert "333333" not in stored
    pseudonyms = {masking.keyrings[0].pseudonym(user_id) for user_id in users[:3]}
    recorded = await records(masking)
    assert pseudonyms < {record["data"]["userId"] for record in recorded}
    assert pseudonyms == {
        record["data"]["previousUserId"] for record in recorded if record["type"] == "nextauth.session.changed"
    }


@pytest.mark.parametrize("user_id", ["user-1", "ü" * 100, "\N{GRINNING FACE}", "a\nb", "x" * 64, "9007199254740993"])
async def test_the_pseudonym_is_that_of_the_keyring(masking: App, user_id: str) -> None:
    await write(masking, nextauth(int(user_id) if user_id.isdecimal() else user_id))
    pseudonym = masking.keyrings[0].pseudonym(user_id)
    assert (await data(masking))["userId"] == pseudonym
    assert await members(masking, pseudonym) == fingerprints(masking, KEY)


@pytest.mark.parametrize("initially", [False, True], ids=["set", "unset"])
async def test_a_change_of_the_pseudonym_setting_is_no_change_of_user(app: App, initially: bool) -> None:
    before = with_settings(app, audit_pseudonymise_users=initially, audit_refresh_min_s=0)
    after = with_settings(app, audit_pseudonymise_users=not initially, audit_refresh_min_s=0)
    forms = {False: "user-1", True: app.keyrings[0].pseudonym("user-1")}
    await write(before, nextauth())
    await event(after, "sweep")
    await write(after, nextauth(expires=ONE))
    await write(before, nextauth(lastSeen=1))
    await log_out(after)
    assert await types(app) == ["created", "refreshed", "refreshed", "ended"]
    assert {record["data"]["userId"] for record in await records(app)} == {forms[initially]}
    await write(after, nextauth())  # the next life has the new form, although the content is the same
    assert (await data(app))["userId"] == forms[not initially]


async def test_a_change_of_user_is_recorded_with_pseudonyms_too(masking: App) -> None:
    await write(masking, nextauth("user-1"))
    await write(masking, nextauth("user-2"))
    changed = await data(masking)
    assert [changed["previousUserId"], changed["userId"]] == [
        masking.keyrings[0].pseudonym(user_id) for user_id in ("user-1", "user-2")
    ]


# A change of AUDIT_KEY


@pytest.fixture
def rotated(app: App) -> App:
    """An instance with a new AUDIT_KEY and the former one as AUDIT_KEY_PREVIOUS."""
    return with_settings(app, audit_key=NEW_KEY, audit_key_previous=app.settings.audit_key, session_lost_after_s=0)


@pytest.mark.parametrize("pseudonymise", [False, True], ids=["plain", "pseudonyms"])
async def test_a_life_continues_under_a_new_key(app: App, rotated: App, pseudonymise: bool) -> None:
    app = with_settings(app, audit_pseudonymise_users=pseudonymise)
    rotated = with_settings(rotated, audit_pseudonymise_users=pseudonymise)
    await write(app, nextauth())
    due = await app.redis.zscore(DUE, sealed(app))
    assert (await event(rotated, "sweep")).result is Result.DUPLICATE
    assert await app.redis.exists(phantom_key(app)) == 0
    assert await app.redis.exists(phantom_key(rotated)) == 1
    assert await app.redis.zrange(DUE, 0, -1) == [sealed(rotated)]
    assert await app.redis.zscore(DUE, sealed(rotated)) == due
    assert (await write(rotated, nextauth(lastSeen=1))).detail == "touch counted"
    await write(rotated, nextauth("user-2"))
    await log_out(rotated)
    await event(rotated, "sweep", phantom_key(rotated))
    assert await lives(app) == [["created", "changed", "ended"]]
    recorded = await records(app)
    assert {(record["subject"], record["keyid"]) for record in recorded} == {
        (app.keyrings[0].fingerprint(TOKEN.encode()), app.keyrings[0].key_id)
    }
    await write(rotated, nextauth())
    created = (await records(app))[-1]
    assert (created["subject"], created["keyid"]) == (
        rotated.keyrings[0].fingerprint(TOKEN.encode()),
        keyring(NEW_KEY).key_id,
    )


@pytest.mark.parametrize("alive", [True, False], ids=["alive", "gone"])
async def test_a_sweep_after_a_new_key_moves_all_phantoms_and_records_each_end_once(
    app: App, rotated: App, alive: bool
) -> None:
    keys = [KEY + b"-%d" % number for number in range(5)]
    await app.redis.mset(dict.fromkeys(keys, nextauth()))
    await react(app, keys, cause("set"))
    if not alive:
        await app.redis.delete(*keys)
    for _ in range(2):
        await reconcile(rotated, (SESSIONS,), budget_s=10)
    expected = {"created": 5} if alive else {"created": 5, "ended": 5}
    assert Counter(await types(app)) == expected
    moved = {rotated.keyrings[0].seal(key.removeprefix(b"nextauth:session:")).encode() for key in keys}
    assert set(await app.redis.keys("functions:phantom:*")) == {phantom_of(sealed_token) for sealed_token in moved}
    assert set(await app.redis.zrange(DUE, 0, -1)) == (moved if alive else set())


async def test_a_due_time_under_the_former_key_is_still_taken(app: App, rotated: App) -> None:
    await write(app, nextauth())
    await app.redis.zadd(DUE, {sealed(app): 1})
    (due,) = await sessions.take_due(rotated, 10)
    assert due == phantom_key(app)
    await app.redis.delete(KEY)
    assert (await event(rotated, "schedule", due)).result is Result.PROCESSED
    assert await types(app) == ["created", "ended"]
    assert await app.redis.exists(DUE, phantom_key(app)) == 0


async def test_without_the_former_key_a_session_begins_a_new_life(app: App) -> None:
    await write(app, nextauth())
    unrelated = with_settings(app, audit_key=NEW_KEY)
    assert (await event(unrelated, "sweep", phantom_key(app))).result is Result.IGNORED
    assert (await event(unrelated, "sweep")).result is Result.PROCESSED
    assert {record["keyid"] for record in await records(app)} == {app.keyrings[0].key_id, keyring(NEW_KEY).key_id}


async def test_phantoms_that_no_key_unseals_are_counted_and_logged_once(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    """After two changes of the key, the ends of earlier sessions cannot be recorded."""
    await write(app, nextauth())
    await app.redis.zadd(DUE, {sealed(app): 1})
    await app.redis.delete(KEY)
    telemetry.counts.pop((sessions.NAME, "unopened"), None)
    unrelated = with_settings(app, audit_key=NEW_KEY, audit_key_previous="the key before that one")
    for _ in range(2):
        await reconcile(unrelated, (SESSIONS,), budget_s=10)
    assert await react_to_due(unrelated, SESSIONS, budget_s=5) == 1
    assert [record.levelname for record in caplog.records if "AUDIT_KEY_PREVIOUS" in record.message] == ["WARNING"]
    assert telemetry.counts[sessions.NAME, "unopened"] == 4
    assert await types(app) == ["created"]


async def test_instances_before_and_after_a_change_of_the_key_record_a_life_once_if_both_have_both_keys(
    app: App, rotated: App
) -> None:
    """Instances do not restart at the same time: first the new key is set as AUDIT_KEY_PREVIOUS."""
    before = with_settings(app, audit_key_previous=NEW_KEY, session_lost_after_s=0)
    for number, instance in enumerate((before, rotated, before, rotated)):
        await write(instance, nextauth(lastSeen=number))
        await reconcile(instance, (SESSIONS,), budget_s=10)
    await app.redis.delete(KEY)
    for instance in (before, rotated):
        await event(instance, "del")
        await reconcile(instance, (SESSIONS,), budget_s=10)
    assert await lives(app) == [["created", "ended"]]
    assert (await data(app))["touches"] == 3
    assert await app.redis.exists(DUE) == 0


async def test_a_dead_letter_from_before_a_new_key_can_be_replayed(app: App, rotated: App) -> None:
    await write(app, "null")
    (letter,) = (await dead_letters.list_page(app)).letters
    await app.redis.set(KEY, nextauth())
    assert letter.key == phantom_key(app)
    assert (await event(rotated, "replay", letter.key)).result is Result.PROCESSED
    assert (await data(app))["detectedBy"] == "schedule"
