"""A source that fails, or fails for some charts only: what is kept, what is asked, and how often."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import msgspec
import pytest
import redis.asyncio
from fastapi import Request, Response
from fastapi.responses import JSONResponse

from shared.app import App
from shared.charts import reactor as charts
from shared.charts import refresh, schedule, source_state
from shared.charts.source_state import State
from shared.reactor import Cause
from shared.settings import Settings
from tests.support.chart_source import Answer, ChartSource
from tests.support.warm_charts import (
    CACHE,
    KEY,
    STATE,
    cached,
    failing,
    is_stale,
    opened,
    reads,
    running,
    until,
    with_source,
    written,
)

POISON = [b"fabric:data:chart:poison-%d:d" % number for number in range(20)]
HOSTILE = [b"fabric:data:chart:%s:d" % name for name in (b"..", b"a/b", b"%2e%2e%2fadmin", b"x" * 2000, b"a\\..\\b")]


def answering(source: ChartSource, status: int | Callable[[], int]) -> Answer:
    """Rows for the good chart; this status for the others."""

    async def answer(request: Request, chart_id: str, data_type: str) -> Response:
        if chart_id == "co2-flow":
            return await source.rows(request, chart_id, data_type)
        return JSONResponse({"detail": "no"}, status_code=status if isinstance(status, int) else status())

    return answer


async def view(app: App) -> source_state.SourceView:
    (found,) = await source_state.read_sources(app)
    return found


async def test_charts_that_the_source_does_not_know_say_nothing_about_it(
    app_settings: Settings, redis_client: redis.asyncio.Redis, source: ChartSource
) -> None:
    """Nor do ids that make no request. Anybody who may name charts could have the source left alone otherwise."""
    source.answer = answering(source, 404)
    async with running(with_source(app_settings, source)) as app:
        await charts.react(app, POISON + HOSTILE, Cause.EXPIRED)

        async def all_failed() -> bool:
            states = [key.replace(b"fabric:data:chart", b"functions:charts:state") for key in POISON + HOSTILE]
            return all([await redis_client.hexists(state, "error") for state in states])

        await until(all_failed)
        assert ((await view(app)).state, (await view(app)).failures) == (State.UNKNOWN, 0)
        await charts.react(app, [KEY], Cause.EXPIRED)
        await until(lambda: redis_client.exists(KEY))
        assert (await view(app)).state is State.OK
    assert {chart for _, chart in source.requests} == {f"poison-{n}:d" for n in range(20)} | {"co2-flow:realtime"}


async def test_a_chart_that_nobody_has_ever_seen_is_asked_for_as_long_as_it_is_watched(
    app_settings: Settings, redis_client: redis.asyncio.Redis, source: ChartSource
) -> None:
    """Not for CHART_KEEP_S: names that were mistyped would be asked for during a week."""
    source.answer = answering(source, 404)
    settings = msgspec.structs.replace(with_source(app_settings, source), chart_active_s=0.3)
    due = schedule.due_key(settings.sources.entries[0])
    async with running(settings) as app:
        await schedule.used(app, [POISON[0]])
        await until(lambda: redis_client.zcard(due))
        await until(lambda: asyncio.sleep(0, len(source.requests) >= 1))
        await until(lambda: not_there(redis_client, due))
        assert not await redis_client.keys("functions:charts:state:*")


async def not_there(client: redis.asyncio.Redis, key: bytes) -> bool:
    return not await client.exists(key)


async def test_charts_that_fail_keep_no_other_from_being_there_in_every_read(
    app_settings: Settings, source: ChartSource
) -> None:
    """They fail in a row between two refreshes of the good one, so the source is left alone again and again."""
    source.answer = answering(source, 500)
    settings = msgspec.structs.replace(with_source(app_settings, source), retry_base_s=2, retry_cap_s=60)
    async with running(settings) as app:
        await written(app)
        await charts.react(app, POISON, Cause.EXPIRED)
        assert all(await reads(app, 4))
    asked = Counter(chart for _, chart in source.requests)
    assert asked.pop("co2-flow:realtime") >= 2
    assert sum(asked.values()) >= 8


async def test_a_source_that_comes_and_goes_leaves_no_read_without_a_chart(
    app_settings: Settings, source: ChartSource
) -> None:
    answers = iter(range(1000))

    async def flapping(request: Request, chart_id: str, data_type: str) -> Response:
        return await (failing() if next(answers) % 3 else source.rows(request, chart_id, data_type))

    source.answer = flapping
    async with running(with_source(app_settings, source)) as app:
        await written(app)
        assert all(await reads(app, 4))
        assert (await cached(app))["stale"] is False


async def test_a_source_that_was_left_alone_is_tried_with_one_request_by_all_instances_together(
    app_settings: Settings, source: ChartSource
) -> None:
    source.answer = failing
    source.delay_s = 0.03
    settings = msgspec.structs.replace(with_source(app_settings, source), retry_base_s=0.2)
    async with running(settings) as one, running(settings), running(settings):
        await charts.react(one, POISON, Cause.EXPIRED)

        async def is_left_alone() -> bool:
            state = await view(one)
            return state.failures >= refresh.FAILURES_TO_REST and state.in_flight == 0

        await until(is_left_alone)
        source.most_in_flight.clear()
        before = len(source.requests)
        await until(lambda: asyncio.sleep(0, len(source.requests) >= before + 5))
        assert source.most_in_flight[""] == 1
        # A rest of up to 0.2 s (RETRY_CAP_S) lies between two of these requests.
        times = [at_s for at_s, _ in source.requests[before : before + 5]]
        assert all(later - earlier > 0.15 for earlier, later in pairwise(times))


async def test_a_chart_that_lapses_while_its_source_is_left_alone_is_marked_stale_in_time(
    app_settings: Settings, redis_client: redis.asyncio.Redis, source: ChartSource
) -> None:
    """Without an event: Redis reports an expiry when it finds it, which can be minutes late."""

    async def busy(*_: object) -> Response:
        return Response(status_code=429, headers={"Retry-After": "3600"})

    source.answer = busy
    async with running(with_source(app_settings, source)) as app:
        await written(app, ttl_ms=1500)
        await charts.react(app, POISON[:1], Cause.EXPIRED)
        await until(lambda: asyncio.sleep(0, bool(source.requests)))
        assert await redis_client.pttl(KEY) > 0
        await until(lambda: is_stale(app), within_s=3)
        assert 3590 <= await redis_client.ttl(CACHE) <= 3600
        assert ((await view(app)).state, len(source.requests)) == (State.RESTING, 1)


async def test_stale_data_is_kept_no_longer_than_it_is_set(
    app_settings: Settings, redis_client: redis.asyncio.Redis, source: ChartSource
) -> None:
    """Also where that is less than the cache had left."""
    source.answer = failing
    settings = msgspec.structs.replace(with_source(app_settings, source), chart_max_stale_s=1)
    async with running(settings) as app:
        await written(app, ttl_ms=200)
        assert await redis_client.ttl(CACHE) > 300
        await until(lambda: is_stale(app))
        assert 0 < await redis_client.pttl(CACHE) <= 1000
        await until(lambda: not_there(redis_client, CACHE))


async def test_other_charts_and_instances_keep_to_retry_after(
    app_settings: Settings, redis_client: redis.asyncio.Redis, source: ChartSource
) -> None:
    async def busy(*_: object) -> Response:
        source.answer = source.rows
        return Response(status_code=503, headers={"Retry-After": "1"})

    source.answer = busy
    settings = with_source(app_settings, source)
    async with running(settings) as one:
        await charts.react(one, [KEY], Cause.EXPIRED)
        await until(lambda: asyncio.sleep(0, bool(source.requests)))
        async with running(settings) as two:
            await charts.react(two, POISON, Cause.EXPIRED)
            await until(lambda: redis_client.exists(KEY, *POISON))
    times = sorted(at_s for at_s, _ in source.requests)
    assert times[1] - times[0] > 0.95


async def test_what_is_known_of_sources_is_read_by_the_clock_of_redis_and_without_large_values(
    app_settings: Settings, redis_client: redis.asyncio.Redis, source: ChartSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = with_source(app_settings, source)
    name = settings.sources.entries[0].name
    now_ms = time.time() * 1000
    state = {"closed": round(now_ms + 5000), "failed": round(now_ms), "failures": 6, "error": b"x" * (2 << 20)}
    await redis_client.hset(f"functions:charts:source:{name}", mapping=state)
    await redis_client.hset(STATE, mapping={"error": b"x" * (2 << 20), "failures": 2})
    await redis_client.set("functions:charts:state:other:d", b"x" * (2 << 20))
    monkeypatch.setattr(time, "time", lambda: now_ms / 1000 + 3600)
    async with opened(settings) as app:
        seen = await view(app)
        assert (seen.state, seen.failures, seen.error) == (State.RESTING, 6, None)
        assert 3 < seen.rests_for_s <= 5
        assert seen.failed_age_s is not None
        assert seen.failed_age_s < 3
        refreshes = await source_state.read_refreshes(app, [KEY, b"fabric:data:chart:other:d"])
        assert [refresh and (refresh.failures, refresh.error) for refresh in refreshes] == [(2, None), (0, None)]
        assert source_state.away([seen]) == [
            f"chart source * from http://127.0.0.1:{source.port} is away (it asks to be left alone)"
        ]
