"""Whatever happens between the look at a session and the write of its record: records are true, complete and single."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import msgspec
import pytest
import redis.asyncio

from shared.app import App, open_app
from shared.delivery.due import retry_due
from shared.delivery.reconcile import reconcile
from shared.reactor import Outcome, Result
from shared.registry import SESSIONS
from shared.sessions import reactor
from shared.sessions.draft import Why
from shared.settings import Settings
from tests.support.causes import cause
from tests.support.faulty import Fault, Moment, faulty_context
from tests.support.looks import KEY, ONE, TOKEN, event, lives, nextauth, own_keys, records, types, write

pytestmark = pytest.mark.redis_server


async def react_while(app: App, change: Callable[[], Awaitable[object]], *, strict: bool = True) -> Outcome | None:
    """The outcome of a reaction during which `change` happens: after the look, before anything is written."""
    subjects = [reactor._subject(app.keyrings, KEY, TOKEN.encode(), Why("event", "", announces=True, hurried=True))]
    looks = await reactor._look(app, subjects, again=False)
    decisions = await reactor._decide(app, subjects, looks)
    await change()
    (outcome,) = await reactor._apply(app, subjects, looks, decisions, strict=strict)
    return outcome


async def test_nothing_is_recorded_of_a_session_that_changed_since_the_look(app: App) -> None:
    await write(app, nextauth("user-1"))
    await app.redis.set(KEY, nextauth("user-2"))
    before = await own_keys(app)
    for value in (nextauth("user-1"), nextauth("user-3"), "x" * len(nextauth("user-2"))):
        assert await react_while(app, lambda value=value: app.redis.set(KEY, value)) is None
        await app.redis.set(KEY, nextauth("user-2"))
    assert await react_while(app, lambda: app.redis.delete(KEY)) is None
    assert await own_keys(app) == before


async def test_nothing_is_recorded_if_another_instance_was_faster(app: App) -> None:
    await write(app, nextauth("user-1"))
    await app.redis.set(KEY, nextauth("user-2"))
    assert await react_while(app, lambda: event(app, "set")) is None
    assert await types(app) == ["created", "changed"]


async def test_a_session_that_is_replaced_by_a_large_value_does_not_hold_up_redis(
    app: App, measured: Callable[[str, float, str], None]
) -> None:
    """The size is compared before anything is hashed."""
    await write(app, nextauth("user-1"))
    await app.redis.set(KEY, nextauth("user-2"))

    async def replace() -> None:
        await app.redis.set(KEY, b"x" * 200_000_000)
        await app.redis.config_set("slowlog-log-slower-than", 1000)
        await app.redis.slowlog_reset()

    assert await react_while(app, replace) is None
    longest_ms = max((entry["duration"] / 1000 for entry in await app.redis.slowlog_get(16)), default=0.0)
    await app.redis.config_set("slowlog-log-slower-than", 10_000)
    measured("apply of a session that was replaced by 200 MB", longest_ms, "ms")
    assert longest_ms < 50


async def test_a_session_that_is_written_all_the_time_is_recorded(app: App) -> None:
    """After STRICT_LOOKS looks the state that was seen is recorded, although the session has changed again."""
    await write(app, nextauth("user-1"))
    await app.redis.set(KEY, nextauth("user-2"))
    outcome = await react_while(app, lambda: app.redis.set(KEY, nextauth("user-3")), strict=False)
    assert outcome is not None
    assert outcome.result is Result.PROCESSED
    stop = asyncio.Event()

    async def keep_writing() -> None:
        number = 0
        while not stop.is_set():
            await app.redis.set(KEY, nextauth(f"user-{number % 2}", ONE, at=number))
            number += 1

    writing = asyncio.create_task(keep_writing())
    results = [(await event(app, "set")).result for _ in range(40)]
    stop.set()
    await writing
    await event(app, "set")
    assert {*results} <= {Result.PROCESSED, Result.DUPLICATE}
    stored = json.loads(await app.redis.get(KEY))["userId"]
    assert [record["data"]["userId"] for record in await records(app)][-1] == stored


@pytest.mark.parametrize("moment", Moment)
async def test_a_fault_at_any_call_leaves_each_record_once(
    app_settings: Settings, redis_client: redis.asyncio.Redis, moment: Moment
) -> None:
    settings = msgspec.structs.replace(app_settings, session_lost_after_s=0, retry_base_s=0.001, retry_cap_s=0.001)
    healthy = open_app(settings)
    injected = 0
    while True:
        await redis_client.flushall()
        fault = Fault(injected + 1, moment)
        faulty = faulty_context(settings, fault)
        for operation, text in (("set", nextauth("user-1")), ("set", nextauth("user-2")), ("del", None)):
            await (redis_client.set(KEY, text) if text else redis_client.delete(KEY))
            await reactor.react(faulty, [KEY], cause(operation))
        await faulty.redis.aclose()
        await retry_due(healthy, (SESSIONS,), budget_s=5)
        await reconcile(healthy, (SESSIONS,), budget_s=5, anew=True)
        assert await lives(healthy) == [["created", "changed", "ended"]]
        if fault.calls < fault.at:
            break
        injected += 1
    await healthy.redis.aclose()
    assert injected >= 6
