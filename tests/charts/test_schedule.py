"""When a chart is due: whatever its owner does to its TTL, and whatever was not heard of it."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
import redis.asyncio

from shared.app import App, open_app
from shared.charts import reactor as charts
from shared.charts import refresh, schedule
from shared.charts.refresher import INTEREST_S, Refresher
from shared.delivery.reconcile import reconcile
from shared.reactor import Cause
from shared.registry import CHARTS
from shared.settings import Settings
from shared.store.script import Script
from tests.support.causes import cause
from tests.support.chart_source import ChartSource
from tests.support.warm_charts import (
    CLIENT_ROWS,
    KEY,
    STATE,
    failing,
    is_stale,
    opened,
    reads,
    running,
    until,
    with_source,
    written,
)

INTEREST = "functions:charts:interest"


@dataclass(frozen=True, eq=False)
class Counting(App):
    calls: Counter[str] = field(default_factory=Counter)

    async def run(self, script: Script, *, keys: Sequence[bytes] = (), args: Sequence[Any] = ()) -> Any:
        self.calls[script.name] += 1
        return await super().run(script, keys=keys, args=args)


async def test_a_ttl_that_comes_by_a_command_of_its_own_is_seen(
    app_settings: Settings, redis_client: redis.asyncio.Redis, source: ChartSource
) -> None:
    """SET, then EXPIRE, whose event changes no content and therefore is dropped."""
    async with running(with_source(app_settings, source)) as app:
        await redis_client.set(KEY, CLIENT_ROWS)
        await charts.react(app, [KEY], cause("set"))
        await redis_client.pexpire(KEY, 2600)
        assert all(await reads(app, 2.8))
    assert source.requests


async def test_a_chart_that_does_not_expire_is_left_alone(
    app_settings: Settings, redis_client: redis.asyncio.Redis, source: ChartSource
) -> None:
    """Also when it is gone without an event: it cannot have expired, so a client deleted it."""
    async with running(with_source(app_settings, source)) as app:
        await written(app, ttl_ms=60_000)
        await redis_client.persist(KEY)
        await charts.react(app, [KEY], cause("set"))
        (chart,) = [schedule.chart_of(app, KEY)]
        assert chart
        assert await schedule.note(app, [chart], "asked") == [False]
        async with asyncio.timeout(10):  # the look that a TTL by a command of its own would need, 1 s later
            while await redis_client.zscore(chart.due, KEY) is not None:  # noqa: ASYNC110 (state of Redis)
                await asyncio.sleep(0.05)
        await redis_client.delete(KEY)
        await reconcile(app, [CHARTS], budget_s=5)
        assert await redis_client.hget(STATE, "deleted") == b"1"
        assert not source.requests
        await charts.react(app, [KEY], cause("evicted"))  # that it was, and the event came late
        await until(lambda: redis_client.exists(KEY))


async def test_a_chart_that_a_sweep_finds_deleted_before_its_time_stays_deleted(
    app_settings: Settings, redis_client: redis.asyncio.Redis, source: ChartSource
) -> None:
    """Nobody watches it, so the first look of the refresher is at its expiry: too late to tell."""
    settings = msgspec.structs.replace(with_source(app_settings, source), chart_active_s=0)
    async with running(settings) as app:
        await written(app, ttl_ms=1200)
        await redis_client.delete(KEY)
        await reconcile(app, [CHARTS], budget_s=5)
        await asyncio.sleep(1.4)
        assert not source.requests
        await written(app, ttl_ms=200)  # by a client: from now on it is kept again
        await until(lambda: asyncio.sleep(0, bool(source.requests)))


async def test_the_writes_of_a_short_lived_chart_are_no_reason_to_fetch_it(
    app_settings: Settings, redis_client: redis.asyncio.Redis, source: ChartSource
) -> None:
    """Its TTL is below `refresh_ahead_s`: each write would make it due at once."""
    async with running(with_source(app_settings, source, ttl_s=10, refresh_ahead_s=5)) as app:
        end_s = time.monotonic() + 0.7
        while time.monotonic() < end_s:
            await written(app, ttl_ms=2000)
            await asyncio.sleep(0.05)
        assert not source.requests
        assert all(await reads(app, 2.2))  # nobody writes it any more
    assert source.requests


async def test_a_name_with_a_time_ahead_is_watched_no_longer_than_others(
    app_settings: Settings, redis_client: redis.asyncio.Redis, source: ChartSource
) -> None:
    """A dashboard whose clock is ahead, or that counts in microseconds."""
    settings = msgspec.structs.replace(with_source(app_settings, source), chart_active_s=0.3)
    async with opened(settings) as app:
        now_ms = time.time() * 1000
        await redis_client.zadd(INTEREST, {"a:d": now_ms * 1000, "b:d": float("inf"), "c:d": now_ms})
        await schedule.read_interest(app)
        scores = [score for _, score in await redis_client.zrange(INTEREST, 0, -1, withscores=True)]
        assert len(scores) == 3
        assert max(scores) < now_ms + 10_000
        await asyncio.sleep(0.4)
        await schedule.read_interest(app)
        assert not await redis_client.exists(INTEREST)


async def test_charts_that_are_due_much_later_wake_nobody(
    app_settings: Settings, redis_client: redis.asyncio.Redis, source: ChartSource
) -> None:
    """A burst of writes would be as many looks at what is due."""
    app, refresher = Counting(with_source(app_settings, source, ttl_s=300), redis_client), Refresher()
    refresher.look_after(lambda: app)
    try:
        await until(lambda: asyncio.sleep(0, app.calls["take_refreshes"]))
        before, began_s = app.calls["take_refreshes"], time.monotonic()
        for number in range(100):
            await written(app, b"fabric:data:chart:c%d:d" % number, ttl_ms=300_000)
        usual = (time.monotonic() - began_s) / INTEREST_S
        assert app.calls["take_refreshes"] <= before + usual + 2
        await written(app, ttl_ms=500)  # due at once
        await until(lambda: asyncio.sleep(0, bool(source.requests)))
    finally:
        await refresher.stop(app)
        await refresh.close(app)


async def test_the_lapse_of_a_chart_whose_refresh_fails_is_noticed_in_time(
    app_settings: Settings, source: ChartSource
) -> None:
    """However long the backoff is, and without an event."""
    source.answer = failing
    settings = msgspec.structs.replace(with_source(app_settings, source), retry_base_s=60, retry_cap_s=300)
    async with running(settings) as app:
        await written(app, ttl_ms=1600)
        await until(lambda: asyncio.sleep(0, bool(source.requests)))
        await until(lambda: is_stale(app), within_s=3)


async def test_a_chart_that_is_evicted_again_and_again_is_fetched_ever_less_often(
    app_settings: Settings, redis_client: redis.asyncio.Redis, source: ChartSource
) -> None:
    """Where memory is short, each write would evict another chart, and its fetch the next one."""
    settings = with_source(app_settings, source, ttl_s=60)
    (entry,) = settings.sources.entries
    async with opened(settings) as app:

        async def evicted() -> float:
            """How long it was to wait for its fetch, which is made now."""
            await redis_client.delete(KEY)
            await charts.react(app, [KEY], cause("evicted"))
            wait_s = (await redis_client.zscore(schedule.due_key(entry), KEY) or 0) / 1000 - time.time()
            await redis_client.zadd(schedule.due_key(entry), {KEY: 0})
            await refresh.refresh(app, entry, KEY, await refresh.take(app, entry, 8))
            assert await redis_client.exists(KEY)
            return wait_s

        waits_s = [await evicted() for _ in range(5)]
        assert waits_s == [pytest.approx(wait_s, abs=0.9) for wait_s in (0, 1, 3, 7, 15)]
        await written(app, ttl_ms=900)  # lives until its refresh
        await redis_client.zadd(schedule.due_key(entry), {KEY: 0})
        await refresh.refresh(app, entry, KEY, await refresh.take(app, entry, 8))
        assert await redis_client.ttl(KEY) > 50
        assert await evicted() == pytest.approx(0, abs=0.9)


async def test_a_key_of_interest_that_has_grown_without_bound_is_removed(
    app_settings: Settings, redis_client: redis.asyncio.Redis, source: ChartSource
) -> None:
    """Removing its members as they age would hold Redis up."""
    async with opened(with_source(app_settings, source)) as app:
        names = {f"c{number}:d": 1 for number in range(20 * schedule.MAX_INTEREST)}
        await redis_client.zadd(INTEREST, names | {"co2-flow:realtime": time.time() * 1000})
        await schedule.read_interest(app)
        assert not await redis_client.exists(INTEREST)
        await redis_client.zadd(INTEREST, {"co2-flow:realtime": time.time() * 1000})
        await schedule.read_interest(app)
        assert await redis_client.exists(STATE)


async def test_a_use_that_could_not_be_written_is_written_with_the_next_one(
    app_settings: Settings, redis_client: redis.asyncio.Redis, source: ChartSource
) -> None:
    async with opened(with_source(app_settings, source)) as app:
        away = open_app(msgspec.structs.replace(app.settings, redis="127.0.0.1:1,connectTimeout=100,connectRetry=1"))
        broken = type(app)(app.settings, away.redis, _states=app._states)
        try:
            await schedule.used(broken, [KEY])
        except (redis.exceptions.RedisError, OSError):
            pass
        else:
            raise AssertionError
        finally:
            await away.redis.aclose()
        await schedule.used(app, [KEY])
        assert await redis_client.exists(STATE)


async def test_a_chart_that_moved_to_another_source_is_forgotten_by_the_first(
    app_settings: Settings, redis_client: redis.asyncio.Redis, source: ChartSource
) -> None:
    """CHART_SOURCES was changed between two starts."""
    before = with_source(app_settings, source, match="co2-*")
    async with opened(before) as app:
        await charts.react(app, [KEY], Cause.EXPIRED)
    after = msgspec.structs.replace(before, chart_sources=before.chart_sources.replace("co2-*", "*-flow"))
    old = schedule.due_key(before.sources.entries[0])
    both = msgspec.structs.replace(
        before, chart_sources=f"[{after.chart_sources.strip('[]')}, {before.chart_sources.strip('[]')}]"
    )
    async with running(both) as app:
        await until(lambda: gone(redis_client, old))
        assert not source.requests
        await charts.react(app, [KEY], Cause.RECONCILE)
        await until(lambda: redis_client.exists(KEY))


async def gone(client: redis.asyncio.Redis, key: bytes) -> bool:
    return not await client.exists(key)
