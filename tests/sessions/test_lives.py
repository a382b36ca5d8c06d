"""The life of a session: one beginning, one end in time, and the touches in between."""

import asyncio
import json
from datetime import datetime

import msgspec
import pytest

from shared import namespaces
from shared.app import App
from shared.delivery.due import react_to_due
from shared.delivery.reconcile import reconcile
from shared.reactor import Result
from shared.registry import SESSIONS
from shared.sessions import reactor as sessions
from shared.sessions.keys import phantom_key as phantom_of
from shared.sessions.transition import LATE_EVENT_MS
from shared.settings import Settings
from tests.support.looks import (
    DUE,
    KEY,
    NOON,
    ONE,
    TOMBSTONE_S,
    age,
    begin_brief_life,
    begin_lapsing_life,
    data,
    event,
    expire_tombstone,
    in_s,
    lives,
    nextauth,
    own_keys,
    phantom_key,
    records,
    sealed,
    types,
    until,
    user_key,
    with_settings,
    write,
)

pytestmark = pytest.mark.redis_server


async def key_is_gone(app: App) -> bool:
    return not await app.redis.exists(KEY)


OPERATIONS = ("set", "del", "expired", "sweep", "schedule")


@pytest.fixture
def app_settings(app_settings: Settings) -> Settings:
    """Every loss is recorded at once, except in the tests of the grace period."""
    return msgspec.structs.replace(app_settings, session_lost_after_s=0)


# Reused tokens


async def test_a_del_that_is_handled_after_the_token_was_reused_ends_the_previous_life(app: App) -> None:
    await write(app, nextauth("user-1"))
    await app.redis.delete(KEY)
    outcome = await write(app, nextauth("user-2"), "del")
    assert outcome.detail == "nextauth.session.ended, nextauth.session.created"
    assert await lives(app) == [["created", "ended"], ["created"]]
    _, ended, created = await records(app)
    assert (ended["data"]["reason"], ended["data"]["userId"], created["data"]["userId"]) == (
        "logout",
        "user-1",
        "user-2",
    )
    assert (await event(app, "set")).result is Result.DUPLICATE
    await app.redis.delete(KEY)
    await event(app, "del")
    assert await lives(app) == [["created", "ended"], ["created", "ended"]]


@pytest.mark.parametrize("late", ["del", "expired", "evicted", "rename_from"])
async def test_a_late_event_of_an_end_does_not_end_the_next_life(app: App, late: str) -> None:
    await write(app, nextauth())
    await app.redis.delete(KEY)
    await event(app, late)
    await write(app, nextauth())
    before = await own_keys(app)
    for _ in range(3):
        assert (await event(app, late)).result is Result.DUPLICATE
    assert await own_keys(app) == before
    assert await lives(app) == [["created", "ended"], ["created"]]


async def test_the_event_of_an_unseen_life_does_not_end_the_next_life(app: App) -> None:
    """Deleted and created again before the first reaction; the `del` of all three instances comes first."""
    await write(app, nextauth(), "del")
    for _ in range(3):
        assert (await event(app, "del")).result is Result.DUPLICATE
    assert await lives(app) == [["created"]]


async def test_the_event_of_an_end_that_arrives_with_a_new_life_does_not_end_it(app: App) -> None:
    """Other instances receive it too, however long ago the previous life ended."""
    await write(app, nextauth())
    await write(app, nextauth(expires=in_s(-1)))
    await age(app, LATE_EVENT_MS / 1000 + 1, "ended_ms")
    await write(app, nextauth(), "del")
    for _ in range(3):
        assert (await event(app, "del")).result is Result.DUPLICATE
    assert await lives(app) == [["created", "ended"], ["created"]]


async def test_an_event_long_after_the_previous_end_ends_the_life(app: App) -> None:
    await write(app, nextauth("user-1"))
    await app.redis.delete(KEY)
    await event(app, "del")
    await write(app, nextauth("user-1"))
    await age(app, TOMBSTONE_S + 1, "prior_end_ms")
    await app.redis.delete(KEY)
    await write(app, nextauth("user-2"), "del")
    assert await lives(app) == [["created", "ended"], ["created", "ended"], ["created"]]


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_nothing_is_recorded_after_the_end(app: App, operation: str) -> None:
    await write(app, nextauth())
    await app.redis.delete(KEY)
    await event(app, "del")
    before = await own_keys(app)
    assert (await event(app, operation)).result is Result.DUPLICATE
    assert await own_keys(app) == before
    await expire_tombstone(app)
    assert (await event(app, operation)).result is Result.DUPLICATE
    assert await types(app) == ["created", "ended"]
    assert await app.redis.exists(DUE, user_key()) == 0
    noted = await app.redis.hexists(phantom_key(app), "heard_ms")
    assert noted == (operation == "set"), "perhaps the `del` of this `set` is still to come"


# Touches


async def test_touches_are_counted_and_reported_in_the_next_record(app: App) -> None:
    await write(app, nextauth(lastSeen=0))
    for request in range(1, 6):
        assert (await write(app, nextauth(lastSeen=request))).detail == "touch counted"
    assert await types(app) == ["created"]
    await write(app, nextauth("user-2"))
    assert await data(app) == {
        "userId": "user-2",
        "expires": NOON,
        "previousUserId": "user-1",
        "touches": 5,
        "detectedBy": "event",
    }
    await write(app, nextauth("user-2", lastSeen=6))
    await app.redis.delete(KEY)
    await event(app, "del")
    assert (await data(app))["touches"] == 1


async def test_refreshes_are_recorded_at_most_once_per_interval(app: App) -> None:
    """connect-redis touches and starsessions rewrites a session on each request; both move the TTL."""
    await write(app, json.dumps({"user": {"id": "user-1"}}), ex=100)
    for ttl_s in range(110, 160, 10):
        await app.redis.expire(KEY, ttl_s)
        assert (await event(app, "expire")).result is Result.DUPLICATE
        assert await app.redis.hget(phantom_key(app), "touches") == b"%d" % (ttl_s / 10 - 10)
        due_ms = await app.redis.zscore(DUE, sealed(app))
        now_s, microseconds = await app.redis.time()
        assert due_ms == pytest.approx((now_s + ttl_s) * 1000 + microseconds / 1000, abs=1000)
    await age(app, app.settings.audit_refresh_min_s, "recorded_ms")
    await app.redis.expire(KEY, 200)
    assert (await event(app, "expire")).detail == "nextauth.session.refreshed"
    assert (await data(app))["touches"] == 5
    await app.redis.expire(KEY, 300)
    assert (await event(app, "expire")).result is Result.DUPLICATE
    assert await types(app) == ["created", "refreshed"]


async def test_a_change_of_user_is_recorded_at_once(app: App) -> None:
    await write(app, nextauth("user-1"))
    await write(app, nextauth("user-2", ONE))
    await write(app, nextauth("user-1", NOON))
    assert await types(app) == ["created", "changed", "changed"]


# Expiry


async def test_an_expiry_is_detected_when_it_is_due(app: App) -> None:
    """No client reads the key, so Redis removes it only when it samples it."""
    await begin_brief_life(app, lambda seconds: app.redis.set(KEY, "{}", px=round(seconds * 1000)))

    async def detected() -> bool:
        await react_to_due(app, SESSIONS, budget_s=5)
        return (await types(app))[-1] == "ended"

    await until(detected)
    ended = await data(app)
    assert (ended["reason"], ended["detectedBy"]) == ("expired", "schedule")
    assert "keyRemains" not in ended
    assert 0 < ended["duration_s"] < 5
    assert await app.redis.exists(DUE) == 0
    assert (await event(app, "expired")).result is Result.DUPLICATE


async def test_a_session_that_lapses_while_its_key_remains_is_ended_once(app: App) -> None:
    expires = await begin_lapsing_life(app)
    assert await react_to_due(app, SESSIONS, budget_s=5) == 1
    assert await data(app) == {
        "userId": "user-1",
        "expires": expires,
        "reason": "expired",
        "duration_s": pytest.approx(0, abs=5),
        "touches": 0,
        "keyRemains": True,
        "detectedBy": "schedule",
    }
    for operation in OPERATIONS:
        assert (await event(app, operation)).result is Result.DUPLICATE
    assert await app.redis.ttl(phantom_key(app)) > namespaces.PHANTOM_TTL_S - 60
    await app.redis.expire(phantom_key(app), namespaces.PHANTOM_TTL_S // 2 - 60)
    await event(app, "sweep")  # the phantom has to outlive the key that remains
    assert await app.redis.ttl(phantom_key(app)) > namespaces.PHANTOM_TTL_S - 60
    await app.redis.delete(KEY)  # as NextAuth does on its next read
    assert (await event(app, "del")).result is Result.DUPLICATE
    assert 0 < await app.redis.ttl(phantom_key(app)) <= TOMBSTONE_S
    assert await types(app) == ["created", "ended"]


async def test_a_lapsed_session_whose_expiry_is_renewed_begins_a_new_life(app: App) -> None:
    await write(app, nextauth())
    await write(app, nextauth(expires=in_s(-1)))
    assert (await write(app, nextauth(expires=ONE))).detail == "nextauth.session.created"
    assert await lives(app) == [["created", "ended"], ["created"]]
    assert await app.redis.zscore(DUE, sealed(app)) == datetime.fromisoformat(ONE).timestamp() * 1000


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_session_that_has_lapsed_before_it_is_first_seen_is_not_recorded(app: App, operation: str) -> None:
    for _ in range(2):
        assert (await write(app, nextauth(expires=in_s(-1)), operation)).result is Result.DUPLICATE
    assert await own_keys(app) == {}


async def test_the_deletion_of_a_lapsed_session_is_recorded_as_expired(app: App) -> None:
    expires = await begin_lapsing_life(app)
    await app.redis.delete(KEY)
    await event(app, "del")
    ended = await data(app)
    assert (ended["reason"], ended["expires"]) == ("expired", expires)


async def test_a_lapsed_session_that_was_deleted_and_reused_is_recorded_as_expired(app: App) -> None:
    await begin_lapsing_life(app)
    await app.redis.delete(KEY)
    await write(app, nextauth(), "del")
    assert await lives(app) == [["created", "ended"], ["created"]]
    assert (await records(app))[1]["data"]["reason"] == "expired"


async def test_an_end_followed_by_a_lapsed_session_is_recorded_once(app: App) -> None:
    await write(app, nextauth())
    await app.redis.delete(KEY)
    outcome = await write(app, nextauth(expires=in_s(-1)), "del")
    assert (outcome.result, outcome.detail) == (Result.PROCESSED, "nextauth.session.ended")
    for operation in OPERATIONS:
        assert (await event(app, operation)).result is Result.DUPLICATE
    assert await lives(app) == [["created", "ended"]]


async def test_lapsed_sessions_are_deleted_if_the_setting_says_so(app: App) -> None:
    deleting = with_settings(app, delete_lapsed_sessions=True)
    await write(deleting, nextauth())
    assert (await write(deleting, nextauth(expires=in_s(-1)))).detail == "nextauth.session.ended"
    assert await app.redis.exists(KEY) == 0
    ended = await data(app)
    assert (ended["reason"], ended["deleted"], "keyRemains" in ended) == ("expired", True, False)
    assert (await event(deleting, "del")).result is Result.DUPLICATE
    assert 0 < await app.redis.ttl(phantom_key(app)) <= TOMBSTONE_S
    assert await types(app) == ["created", "ended"]


async def test_a_session_is_never_deleted_because_of_cookie_expires(app: App) -> None:
    """connect-redis without TTLs leaves it unchanged while the session is in use."""
    deleting = with_settings(app, delete_lapsed_sessions=True)
    await write(deleting, json.dumps({"cookie": {"expires": NOON}}))
    await write(deleting, json.dumps({"cookie": {"expires": in_s(-1)}}))
    ended = await data(app)
    assert (ended["reason"], ended["keyRemains"], "deleted" in ended) == ("expired", True, False)
    for operation in OPERATIONS:
        assert (await event(deleting, operation)).result is Result.DUPLICATE
    await app.redis.delete(phantom_key(app))
    assert (await event(deleting, "sweep")).detail == "lapsed earlier"
    assert await app.redis.exists(KEY) == 1
    assert await types(app) == ["created", "ended"]


async def test_a_lapsed_session_that_was_never_seen_alive_is_deleted_and_recorded(app: App) -> None:
    deleting = with_settings(app, delete_lapsed_sessions=True)
    expires = in_s(-1)
    await write(deleting, nextauth(expires=expires), "sweep")
    assert await app.redis.exists(KEY) == 0
    assert 0 < await app.redis.ttl(phantom_key(app)) <= TOMBSTONE_S
    assert await data(app) == {
        "userId": "user-1",
        "expires": expires,
        "reason": "expired",
        "duration_s": None,
        "touches": 0,
        "deleted": True,
        "detectedBy": "sweep",
    }
    assert (await event(deleting, "del")).result is Result.DUPLICATE
    assert await types(app) == ["ended"]


async def test_a_lapsed_session_whose_end_is_recorded_is_deleted_without_another_record(app: App) -> None:
    await write(app, nextauth())
    await write(app, nextauth(expires=in_s(-1)))
    outcome = await event(with_settings(app, delete_lapsed_sessions=True), "sweep")
    assert outcome.detail == "lapsed session deleted"
    assert await app.redis.exists(KEY) == 0
    assert await types(app) == ["created", "ended"]


async def test_a_session_that_was_renewed_is_not_deleted(app: App) -> None:
    """It was due, and renewed before the reaction: the script decides by the present content."""
    deleting = with_settings(app, delete_lapsed_sessions=True)
    await begin_lapsing_life(deleting)
    (due,) = await sessions.take_due(deleting, 10)
    await app.redis.set(KEY, nextauth(expires=NOON))
    await event(deleting, "schedule", due)
    assert await app.redis.exists(KEY) == 1
    assert await app.redis.zscore(DUE, sealed(app)) == datetime.fromisoformat(NOON).timestamp() * 1000
    assert await types(app) == ["created"]


# Lost events


async def test_a_session_that_is_gone_without_an_event_is_lost(app: App) -> None:
    await write(app, nextauth())
    await app.redis.delete(KEY)
    assert (await event(app, "sweep")).result is Result.PROCESSED
    ended = await data(app)
    assert (ended["reason"], ended["detectedBy"]) == ("lost", "sweep")
    assert (await event(app, "del")).result is Result.DUPLICATE


async def test_a_session_that_is_gone_after_its_expiry_is_expired_not_lost(app: App) -> None:
    await begin_brief_life(app, lambda seconds: app.redis.set(KEY, "{}", px=round(seconds * 1000)))
    await until(lambda: key_is_gone(app))
    await event(app, "sweep")
    ended = await data(app)
    assert (ended["reason"], ended["detectedBy"]) == ("expired", "sweep")


async def test_a_session_that_is_gone_within_a_second_of_its_expiry_is_expired(app: App) -> None:
    """A TTL that moved by less than a second is no refresh, so the expiry in the phantom may be that much too late."""
    await write(app, "{}", ex=100)
    now_s, microseconds = await app.redis.time()
    await app.redis.hset(phantom_key(app), "expires_ms", now_s * 1000 + microseconds // 1000 + 900)
    await app.redis.delete(KEY)
    await event(app, "sweep")
    assert (await data(app))["reason"] == "expired"


async def test_a_sweep_reacts_to_a_live_session_by_its_own_key_only(app: App) -> None:
    await write(app, nextauth("user-1"))
    await app.redis.set(KEY, nextauth("user-2"))
    outcome = await event(app, "sweep", phantom_key(app))
    assert (outcome.result, outcome.detail) == (Result.DUPLICATE, "its own key is swept too")
    assert (await reconcile(app, (SESSIONS,), budget_s=10)).outcomes == {Result.PROCESSED: 1}
    assert await types(app) == ["created", "changed"]


async def test_an_end_after_the_clock_was_set_back_ends_the_life(app: App) -> None:
    """The previous end is in the future now. An event that passed for its late event would cause a false `changed`."""
    await write(app, nextauth("user-1"))
    await app.redis.delete(KEY)
    await event(app, "del")
    await write(app, nextauth("user-1"))
    await age(app, -3600, "prior_end_ms")
    await app.redis.delete(KEY)
    await write(app, nextauth("user-2"), "del")
    assert await lives(app) == [["created", "ended"], ["created", "ended"], ["created"]]


async def test_a_missing_session_waits_for_the_event_with_the_reason(app: App) -> None:
    patient = with_settings(app, session_lost_after_s=10)
    await write(patient, nextauth())
    await app.redis.delete(KEY)
    for operation in ("sweep", "schedule", "sweep"):
        assert (await event(patient, operation)).result is Result.LATER
    assert await types(app) == ["created"]
    missing_ms = int(await app.redis.hget(phantom_key(app), "missing_ms"))
    assert await app.redis.zscore(DUE, sealed(app)) == missing_ms + 10_000
    await event(patient, "del")
    ended = await data(app)
    assert (ended["reason"], ended["detectedBy"]) == ("logout", "event")


async def test_a_loss_is_recorded_after_the_grace_period_with_the_source_that_detected_it(app: App) -> None:
    patient = with_settings(app, session_lost_after_s=10)
    await write(patient, nextauth())
    await app.redis.delete(KEY)
    await event(patient, "sweep")
    await age(app, 11, "missing_ms")
    await app.redis.zadd(DUE, {sealed(app): 1})
    assert await react_to_due(patient, SESSIONS, budget_s=5) == 1
    ended = await data(app)
    assert (ended["reason"], ended["detectedBy"]) == ("lost", "sweep")
    assert await app.redis.exists(DUE) == 0


async def test_a_loss_does_not_wait_for_a_clock_that_was_set_back(app: App) -> None:
    patient = with_settings(app, session_lost_after_s=10)
    await write(patient, nextauth())
    await app.redis.delete(KEY)
    await event(patient, "sweep")
    await age(app, -3600, "missing_ms")
    await event(patient, "sweep")
    assert (await data(app))["reason"] == "lost"


async def test_a_session_that_was_missing_before_its_expiry_is_lost_not_expired(app: App) -> None:
    """Its expiry passes within the grace period, after the key was found missing."""
    patient = with_settings(app, session_lost_after_s=10)
    await write(patient, nextauth())
    await app.redis.delete(KEY)
    await event(patient, "sweep")
    await age(app, 11, "missing_ms")
    await app.redis.hset(
        phantom_key(app), "expires_ms", int(await app.redis.hget(phantom_key(app), "missing_ms")) + 1001
    )
    await event(patient, "schedule")
    assert (await data(app))["reason"] == "lost"


async def test_a_session_that_is_back_within_the_grace_period_is_another_life(app: App) -> None:
    patient = with_settings(app, session_lost_after_s=10)
    await write(patient, nextauth("user-1"))
    await app.redis.delete(KEY)
    await event(patient, "sweep")
    await write(patient, nextauth("user-2"))
    assert await lives(app) == [["created", "ended"], ["created"]]
    ended = (await records(app))[1]["data"]
    assert (ended["reason"], ended["userId"], ended["detectedBy"]) == ("lost", "user-1", "sweep")
    assert (await event(patient, "del")).result is Result.DUPLICATE  # a late event


# Signals, and long lives


async def test_an_unbounded_session_is_signalled_once_per_life(app: App) -> None:
    star = json.dumps({"user": {"id": "user-1"}})
    for _ in range(2):
        await write(app, star)
        await event(app, "sweep")
        await write(app, star, ex=100)
        await write(app, star)
        await app.redis.delete(KEY)
        await event(app, "del")
    assert await lives(app) == [["created", "unbounded", "refreshed", "ended"]] * 2


async def test_a_session_that_becomes_unbounded_is_signalled(app: App) -> None:
    await write(app, "{}", ex=100)
    await app.redis.persist(KEY)
    await event(app, "persist")
    assert await types(app) == ["created", "refreshed", "unbounded"]
    assert await app.redis.exists(DUE) == 0


async def test_the_phantom_outlives_a_long_life(app: App) -> None:
    await write(app, nextauth())
    keys = (phantom_key(app), user_key(), DUE)
    for key in keys:
        assert await app.redis.expire(key, namespaces.PHANTOM_TTL_S // 2 - 60)
    before = await own_keys(app)
    assert (await event(app, "sweep")).result is Result.DUPLICATE
    assert [await app.redis.ttl(key) > namespaces.PHANTOM_TTL_S - 60 for key in keys] == [True] * 3
    assert await own_keys(app) == before
    await app.redis.expire(phantom_key(app), namespaces.PHANTOM_TTL_S // 2 + 60)
    await event(app, "sweep")
    assert await app.redis.ttl(phantom_key(app)) < namespaces.PHANTOM_TTL_S // 2 + 61


# Due times


async def test_a_due_session_is_taken_by_one_instance_only(app: App) -> None:
    tokens = [b"token-%d" % number for number in range(40)]
    await app.redis.zadd(DUE, {sealed(app, token): number for number, token in enumerate(tokens)})
    await app.redis.zadd(DUE, {sealed(app, b"not due yet"): 4e12})
    taken = sorted(await asyncio.gather(*(sessions.take_due(app, 16) for _ in range(4))), key=len, reverse=True)
    assert [len(keys) for keys in taken] == [16, 16, 8, 0]
    earliest_due_first = [phantom_of(sealed(app, token)) for token in tokens]
    assert sorted(earliest_due_first) == sorted(key for keys in taken for key in keys)
    assert [sorted(keys, key=earliest_due_first.index) for keys in taken] == taken
    lease_ms = app.settings.lease_ms
    now_ms = (await app.redis.time())[0] * 1000
    for token in tokens:
        assert await app.redis.zscore(DUE, sealed(app, token)) == pytest.approx(now_ms + lease_ms, abs=5000)


async def test_a_due_session_is_taken_again_after_its_lease(app: App) -> None:
    brief = with_settings(app, lease_s=0.01)
    await app.redis.zadd(DUE, {sealed(app): 1})
    assert await sessions.take_due(brief, 10) == [phantom_key(app)]
    assert await until(lambda: sessions.take_due(brief, 10)) == [phantom_key(app)]


async def test_a_due_time_without_a_session_is_removed(app: App) -> None:
    """A session without a phantom, and members that no AUDIT_KEY unseals."""
    await app.redis.zadd(DUE, {sealed(app): 1, "junk": 2, b"\xff\x00": 3})
    assert await react_to_due(app, SESSIONS, budget_s=5) == 3
    assert await app.redis.exists(DUE) == 0


async def test_a_sweep_restores_due_times_that_were_lost(app: App) -> None:
    await write(app, nextauth())
    due = await app.redis.zscore(DUE, sealed(app))
    await app.redis.delete(DUE)
    assert (await event(app, "sweep")).result is Result.DUPLICATE
    assert await app.redis.zscore(DUE, sealed(app)) == due


async def test_a_lapse_that_a_sweep_detects_is_recorded_with_the_sweep_as_its_source(app: App) -> None:
    """Without an event, and after the due time was lost."""
    await begin_lapsing_life(app)
    await app.redis.delete(DUE)
    report = await reconcile(app, (SESSIONS,), budget_s=10)
    assert report.outcomes[Result.PROCESSED] == 1
    ended = await data(app)
    assert (ended["reason"], ended["keyRemains"], ended["detectedBy"]) == ("expired", True, "sweep")
