"""A session that was created and deleted before it was read is a life if both events arrived: one for all instances."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.app import App, open_app
from shared.reactor import Cause, Result
from shared.sessions.reactor import END_REASONS, react
from shared.settings import Settings
from tests.support.audit_stream import AuditStream, check_stream
from tests.support.causes import cause
from tests.support.looks import KEY, TOMBSTONE_S, event, expire_tombstone, lives, nextauth, phantom_key, records, types
from tests.support.rig import RedisProcess, hosts
from tests.support.traffic import open_client

pytestmark = pytest.mark.redis_server

UNSEEN = {"userId": None, "expires": None, "contentSeen": False, "detectedBy": "event"}


@pytest.fixture(scope="module")
async def instances(redis_port: int) -> AsyncIterator[list[App]]:
    settings = Settings(redis=f"127.0.0.1:{redis_port}", audit_key="an audit key of the tests", session_lost_after_s=0)
    opened = [open_app(settings) for _ in range(3)]
    yield opened
    for instance in opened:
        await instance.redis.aclose()


async def test_the_records_of_a_life_whose_content_was_never_seen(app: App) -> None:
    assert (await event(app, "set")).result is Result.DUPLICATE
    assert await types(app) == []
    outcome = await event(app, "del")
    assert (outcome.result, outcome.detail) == (Result.PROCESSED, "nextauth.session.created, nextauth.session.ended")
    created, ended = await records(app)
    assert created["data"] == UNSEEN
    assert ended["data"] == {**UNSEEN, "reason": "logout", "duration_s": None, "touches": 0}
    assert created["id"].rpartition(".")[0] == ended["id"].rpartition(".")[0]
    assert 0 < await app.redis.ttl(phantom_key(app)) <= TOMBSTONE_S
    for operation in ("set", "del", "sweep", "schedule", "expired"):
        assert (await event(app, operation)).result is Result.DUPLICATE
    assert await types(app) == ["created", "ended"]


@pytest.mark.parametrize(
    ("operation", "reason"), [("expired", "expired"), ("evicted", "evicted"), ("rename_from", "renamed")]
)
async def test_the_reason_of_its_end_is_that_of_the_event(app: App, operation: str, reason: str) -> None:
    await event(app, "set")
    await event(app, operation)
    assert (await records(app))[1]["data"]["reason"] == END_REASONS[cause(operation)]


@pytest.mark.parametrize("operation", ["set", "del"])
async def test_one_event_alone_is_no_life(app: App, operation: str) -> None:
    for _ in range(3):
        assert (await event(app, operation)).result is Result.DUPLICATE
    for timer in ("sweep", "schedule"):
        await event(app, timer)
    assert await types(app) == []
    assert (await app.redis.ttl(phantom_key(app)) > 0) == (operation == "set")


async def test_a_session_that_was_written_again_meanwhile_begins_a_life_of_its_own(app: App) -> None:
    await event(app, "set")
    await app.redis.set(KEY, nextauth("user-2"))
    await event(app, "del")
    await event(app, "set")
    await app.redis.delete(KEY)
    await event(app, "del")
    assert await lives(app) == [["created", "ended"], ["created", "ended"]]
    assert [record["data"]["userId"] for record in await records(app)] == [None, None, "user-2", "user-2"]


async def test_late_events_of_a_long_life_make_no_second_one(app: App, app_settings: Settings) -> None:
    await app.redis.set(KEY, nextauth())
    await event(app, "set")
    await app.redis.delete(KEY)
    await event(app, "del")
    lagging = open_app(app_settings)
    for operation in ("set", "expire", "del"):
        await event(lagging, operation)
    await lagging.redis.aclose()
    assert await lives(app) == [["created", "ended"]]
    await expire_tombstone(app)  # an instance that lags by more than that
    await event(app, "del")
    assert await lives(app) == [["created", "ended"]]


@pytest.mark.any_server
@given(st.data())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_in_whatever_order_three_instances_hear_of_a_brief_session_it_is_one_life(
    instances: list[App], data: st.DataObject
) -> None:
    """Each instance hears `set`, perhaps `expire`, and `del`; some twice. The key goes at any time before the first
    `del` is heard."""
    queues = [
        [operation for operation in ("set", *extra, "del") for _ in range(data.draw(st.integers(1, 2)))]
        for extra in data.draw(st.tuples(*[st.sampled_from([(), ("expire",)])] * 3))
    ]
    order = data.draw(st.permutations([number for number, queue in enumerate(queues) for _ in queue]))
    heard = [(number, queues[number].pop(0)) for number in order]
    first_del = next(at for at, (_, operation) in enumerate(heard) if operation == "del")
    gone_at = data.draw(st.integers(0, first_del))
    client = instances[0].redis
    await client.flushall()
    await client.set(KEY, nextauth())
    for at, (number, operation) in enumerate(heard):
        if at == gone_at:
            await client.delete(KEY)
        await react(instances[number], [KEY], cause(operation))
    await react(instances[0], [KEY, phantom_key(instances[0])], Cause.RECONCILE)
    assert await lives(instances[0]) == [["created", "ended"]]
    for record in await records(instances[0]):
        assert ("contentSeen" in record["data"]) == (gone_at == 0)
        assert record["data"]["userId"] == (None if gone_at == 0 else "user-1")


@pytest.mark.any_server
async def test_two_hosts_record_each_of_many_brief_sessions_once(tmp_path: Path) -> None:
    """Each is written and deleted in one pipeline, so no host can read it."""
    tokens = [f"token-{number}" for number in range(300)]
    async with (
        RedisProcess(tmp_path) as server,
        open_client(server.port) as client,
        AuditStream(server.port) as stream,
        hosts(2, f"127.0.0.1:{server.port}", tmp_path),
    ):
        pipeline = client.pipeline(transaction=False)
        for token in tokens:
            pipeline.set(f"nextauth:session:{token}", nextauth())
            pipeline.delete(f"nextauth:session:{token}")
        await pipeline.execute()
        for token in tokens:
            assert await stream.wait_for(token, "ended", 1, 20), token
        await client.set("nextauth:session:last", nextauth())
        assert await stream.wait_for("last", "created", 1, 20)
    check_stream(stream)
    for token in tokens:
        created, ended = stream.of(token)
        assert [record["data"]["contentSeen"] for record in (created, ended)] == [False, False]
        assert ended["data"]["reason"] == "logout"
