"""One fetch of a chart at a time: a process that comes late asks nobody, writes nothing and takes nothing away."""

import asyncio

import pytest
import redis.asyncio

from shared.app import App
from shared.charts import reactor as charts
from shared.charts import refresh, schedule
from shared.reactor import Cause, Result
from shared.settings import Settings
from shared.sources import config
from shared.sources.config import Source
from tests.support.chart_source import ChartSource
from tests.support.warm_charts import KEY, STATE, opened, until, with_source

LIMIT = 8


@pytest.fixture(autouse=True)
def _short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "LEASE_MARGIN_MS", 0)


async def taken(app: App, source: Source) -> refresh.Taken:
    """The chart, as soon as nobody has it."""
    attempts: list[refresh.Taken] = []

    async def take() -> bool:
        attempts.append(await refresh.take(app, source, LIMIT))
        return bool(attempts[-1].keys)

    await until(take)
    assert attempts[-1].keys == [KEY]
    return attempts[-1]


async def test_a_process_that_wakes_after_its_lease_makes_no_request(
    app_settings: Settings, redis_client: redis.asyncio.Redis, source: ChartSource
) -> None:
    settings = with_source(app_settings, source, timeout_s=1)
    (entry,) = settings.sources.entries
    async with opened(settings) as slept, opened(settings) as other:
        await charts.react(other, [KEY], Cause.EXPIRED)
        old = await taken(slept, entry)
        new = await taken(other, entry)
        assert await refresh.refresh(slept, entry, KEY, old) is None
        assert not source.requests
        assert await redis_client.zscore(refresh.fetching_key(entry), KEY) == new.lease_ms
        outcome = await refresh.refresh(other, entry, KEY, new)
        assert outcome
        assert outcome.result is Result.PROCESSED
        assert await redis_client.exists(KEY)


async def test_a_request_does_not_begin_when_its_time_is_up(
    app_settings: Settings, redis_client: redis.asyncio.Redis, source: ChartSource
) -> None:
    """The process was busy after it took the chart; by Redis' clock the lease is about to end."""
    settings = with_source(app_settings, source, timeout_s=5)
    (entry,) = settings.sources.entries
    async with opened(settings) as app:
        await charts.react(app, [KEY], Cause.EXPIRED)
        late = (await taken(app, entry))._replace(until_s=asyncio.get_running_loop().time())
        outcome = await refresh.refresh(app, entry, KEY, late)
        assert outcome
        assert (outcome.result, source.requests) == (Result.RETRIED, [])
        assert await redis_client.zcard(refresh.fetching_key(entry)) == 0


async def test_an_answer_that_comes_after_another_fetch_began_is_not_written(
    app_settings: Settings, redis_client: redis.asyncio.Redis, source: ChartSource
) -> None:
    """Also where what was known of the chart was lost in between: fences never repeat."""
    settings = with_source(app_settings, source, timeout_s=5)
    (entry,) = settings.sources.entries
    async with opened(settings) as slow, opened(settings) as other:
        await charts.react(other, [KEY], Cause.EXPIRED)
        old = await taken(slow, entry)
        source.delay_s = 0.3
        fetch = asyncio.create_task(refresh.refresh(slow, entry, KEY, old))
        await until(lambda: asyncio.sleep(0, bool(source.requests)))
        fence = int(await redis_client.hget(STATE, "fence") or 0)
        await redis_client.delete(STATE, schedule.due_key(entry), refresh.fetching_key(entry))
        source.delay_s = 5  # the other one is still waiting when the first has its answer
        await charts.react(other, [KEY], Cause.EXPIRED)
        waiting = asyncio.create_task(refresh.refresh(other, entry, KEY, await taken(other, entry)))
        await until(lambda: asyncio.sleep(0, len(source.requests) == 2))
        assert int(await redis_client.hget(STATE, "fence") or 0) > fence
        assert await fetch is None
        assert not await redis_client.exists(KEY)
        waiting.cancel()
        await asyncio.wait([waiting])
        source.delay_s = 0


async def test_a_poisoned_fence_holds_its_chart_up_no_longer_than_a_fetch(
    app_settings: Settings, redis_client: redis.asyncio.Redis, source: ChartSource
) -> None:
    settings = with_source(app_settings, source)
    (entry,) = settings.sources.entries
    async with opened(settings) as app:
        for poison in ("x", "9e99", "-1", "9007199254740991", "nan", "inf"):
            await redis_client.delete(KEY)
            await redis_client.hset(
                STATE, mapping={"v": "1", "fence": poison, "failures": poison, "expires": poison, "evicted": poison}
            )
            await charts.react(app, [KEY], cause=Cause.DELETED)
            chart = schedule.chart_of(app, KEY)
            assert chart
            await schedule.note(app, [chart], "asked")
            await refresh.refresh(app, entry, KEY, await taken(app, entry))
            assert await redis_client.exists(KEY), poison
