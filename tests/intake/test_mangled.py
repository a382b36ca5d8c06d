"""Events whose keys are not UTF-8: the extension writes U+FFFD, and the key is found at once, by one scan for all."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import redis.asyncio

from local.host.pubsub import message_text
from shared.app import App
from shared.intake import mangled
from shared.intake.events import KeyEvent, parse_event
from shared.intake.mangled import Search, is_mangled
from shared.reactor import Cause, Outcome, processed
from shared.registry import BATCHES, CHARTS, SESSIONS
from tests.support.batches import batch
from tests.support.looks import nextauth, types
from tests.support.reactors import make_reactor

pytestmark = pytest.mark.redis_server

CHART = b'[{"t":1767225600,"v":1}]'


def event_of(key: bytes, name: str = "set") -> KeyEvent:
    """The event as the trigger receives it."""
    return parse_event(message_text(b"pattern", b"__keyspace@0__:" + key, name.encode()))


async def commands(client: redis.asyncio.Redis, name: str) -> int:
    stats: dict[str, Any] = await client.info("commandstats")
    return int(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"])


@pytest.mark.parametrize(
    "name", [b"\xff", b"a\xe2\x82b", b"\xed\xa0\x80:*?[", b"\xf0\x9f\xff\xfe", "literal \ufffd".encode()]
)
async def test_a_key_that_is_not_utf_8_has_its_effect_within_the_invocation(app: App, name: bytes) -> None:
    key, others = b"fastapi:temp:data:" + name, [b"fastapi:temp:data:%d" % number for number in range(600)]
    await app.redis.mset({key: batch()} | dict.fromkeys(others, "not looked at"))
    event = event_of(key)
    assert is_mangled(event.key)
    await Search(BATCHES).find(app, event, queued=False)
    assert await app.redis.keys("fastapi:results:analysis:*") == [b"fastapi:results:analysis:" + name]


async def test_the_cache_of_a_chart_that_is_not_utf_8_is_marked_stale_when_its_source_is_gone(app: App) -> None:
    key, search = b"fabric:data:chart:\xff:d", Search(CHARTS)
    await app.redis.set(key, CHART)
    await search.find(app, event_of(key), queued=False)
    assert b'"stale":false' in await app.redis.get(b"fabric:cache:chart:\xff:d")
    await app.redis.delete(key)
    await search.find(app, event_of(key, "del"), queued=False)
    assert b'"stale":true ' in await app.redis.get(b"fabric:cache:chart:\xff:d")


async def test_the_life_of_a_session_that_is_not_utf_8_is_recorded_at_its_events(app: App) -> None:
    key, search = b"nextauth:session:\xff\xfe-token", Search(SESSIONS)
    await app.redis.set(key, nextauth())
    await search.find(app, event_of(key), queued=False)
    await app.redis.delete(key)
    await search.find(app, event_of(key, "del"), queued=False)
    assert await types(app) == ["created", "ended"]


async def test_all_events_that_wait_share_one_scan(app: App, redis_client: redis.asyncio.Redis) -> None:
    keys = [b"fastapi:temp:data:\xff%d" % number for number in range(40)]
    await redis_client.mset(dict.fromkeys(keys, batch()))
    search = Search(BATCHES)
    before = await commands(redis_client, "scan")
    await asyncio.gather(*(search.find(app, event_of(key), queued=False) for key in keys))
    assert len(await redis_client.keys("fastapi:results:analysis:*")) == 40
    assert await commands(redis_client, "scan") - before <= 2


async def test_a_key_that_is_written_during_a_search_is_found_by_the_next(app: App) -> None:
    began, go_on, reacted = asyncio.Event(), asyncio.Event(), []

    async def react(app: App, keys: Sequence[bytes], cause: Cause) -> list[Outcome]:
        reacted.append((sorted(keys), cause))
        began.set()
        await go_on.wait()
        return [processed(key) for key in keys]

    search = Search(make_reactor(react))
    await app.redis.mset({b"gate:\xff1": "", b"gate:other": ""})
    first = asyncio.create_task(search.find(app, event_of(b"gate:\xff1"), queued=True))
    await began.wait()
    await first
    await app.redis.set(b"gate:\xff2", "")
    await search.find(app, event_of(b"gate:\xff2"), queued=False)
    go_on.set()
    assert search._searching is not None
    await search._searching
    assert reacted == [([b"gate:\xff1"], Cause.WRITTEN), ([b"gate:\xff2"], Cause.WRITTEN)]


async def test_a_search_ends_in_time_and_an_invocation_waits_only_a_moment(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mangled, "BUDGET_S", 0.0)
    monkeypatch.setattr(mangled, "WAIT_S", 0.01)
    never = asyncio.Event()

    async def react(app: App, keys: Sequence[bytes], cause: Cause) -> list[Outcome]:
        await never.wait()
        return []

    await app.redis.set(b"gate:\xff", "")
    search = Search(make_reactor(react))
    await asyncio.wait_for(search.find(app, event_of(b"gate:\xff"), queued=False), 5)
    assert search._searching is not None
    await asyncio.wait_for(search._searching, 5)
    monkeypatch.setattr(mangled, "BUDGET_S", 60.0)
    await asyncio.wait_for(search.find(app, event_of(b"gate:\xff"), queued=False), 5)
    assert not search._searching.done()
    search._searching.cancel()


async def test_an_outage_during_a_search_raises_nothing(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise redis.exceptions.ConnectionError

    monkeypatch.setattr(app.redis, "scan", refuse)
    await Search(BATCHES).find(app, event_of(b"fastapi:temp:data:\xff"), queued=False)
