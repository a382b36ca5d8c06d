"""Charts with a source: refreshed when they lapse and before, by one fetch at a time, and never against a client."""

import asyncio
import json
import time

import msgspec
import pytest
from fastapi import Response
from fastapi.responses import JSONResponse

from shared import namespaces
from shared.app import App, open_app
from shared.charts import reactor as charts
from shared.charts import refresh, schedule
from shared.delivery.reconcile import reconcile
from shared.reactor import Cause
from shared.registry import CHARTS
from tests.support.causes import cause
from tests.support.warm_charts import (
    CACHE,
    CLIENT_ROWS,
    KEY,
    STATE,
    cached,
    failing,
    is_stale,
    reads,
    running,
    until,
    with_source,
    written,
)


async def test_a_watched_chart_is_in_every_read_over_five_of_its_ttls(app_settings, redis_client, source) -> None:
    async with running(with_source(app_settings, source, ttl_s=1, refresh_ahead_s=0.5)) as app:
        await written(app)
        found = await reads(app, 5)
    assert len(found) > 100
    assert all(found)
    assert 5 <= len(source.requests) <= 12
    assert source.most_in_flight["co2-flow:realtime"] == 1
    cache = json.loads(await redis_client.get(CACHE))
    assert (cache["stale"], cache["stats"]["v"]["last"]) == (False, 1.0)


async def test_a_chart_that_nobody_watches_is_fetched_as_soon_as_it_has_lapsed(
    app_settings, redis_client, source
) -> None:
    """No event reports the expiry here: Redis may do so minutes later."""
    settings = msgspec.structs.replace(with_source(app_settings, source), chart_active_s=0)
    async with running(settings) as app:
        await written(app, ttl_ms=300)
        await asyncio.sleep(0.25)
        assert not source.requests
        await until(lambda: redis_client.exists(KEY) if source.requests else asyncio.sleep(0))
        assert json.loads(await redis_client.get(KEY))[-1]["v"] == 1.0
        assert 1500 < await redis_client.pttl(KEY) <= 2000

        async def rendered() -> bool:
            return (await cached(app)).get("stale") is False

        await until(rendered)
        assert (await cached(app))["stats"]["v"]["last"] == 1.0


@pytest.mark.parametrize("event", ["expired", "evicted"])
async def test_an_event_that_reports_the_end_of_a_chart_has_it_fetched(
    app_settings, redis_client, source, event
) -> None:
    async with running(with_source(app_settings, source)) as app:
        await written(app, ttl_ms=60_000)
        await redis_client.delete(KEY)
        await charts.react(app, [KEY], cause(event))
        await until(lambda: redis_client.exists(KEY))


async def test_a_sweep_finds_a_chart_that_lapsed_unnoticed(app_settings, redis_client, source) -> None:
    """Only its cache is left: the app was down, or what it knew of the chart was evicted."""
    settings = with_source(app_settings, source)
    without = open_app(msgspec.structs.replace(settings, chart_sources=""))
    await written(without)
    await redis_client.delete(KEY)
    await without.redis.aclose()
    async with running(settings) as app:
        await reconcile(app, [CHARTS], budget_s=5)
        await until(lambda: redis_client.exists(KEY))


@pytest.mark.parametrize("event", ["del", "rename_from"])
async def test_a_chart_that_a_client_deleted_stays_deleted(app_settings, redis_client, source, event) -> None:
    async with running(with_source(app_settings, source, refresh_ahead_s=0)) as app:
        await written(app, ttl_ms=400)
        await redis_client.delete(KEY)
        await charts.react(app, [KEY], cause(event))
        await reconcile(app, [CHARTS], budget_s=5)
        await schedule.used(app, [KEY])
        await asyncio.sleep(0.6)
        assert not source.requests
        assert not await redis_client.exists(KEY)
        assert (await cached(app))["stale"] is True
        await written(app, ttl_ms=200)  # by a client: from now on it is kept again
        await until(lambda: redis_client.exists(KEY) if source.requests else asyncio.sleep(0))


async def test_a_chart_that_is_deleted_without_an_event_stays_deleted(app_settings, redis_client, source) -> None:
    async with running(with_source(app_settings, source)) as app:
        await written(app, ttl_ms=1300)  # due 1 s before: after 300 ms
        await redis_client.delete(KEY)
        await asyncio.sleep(0.6)
        await reconcile(app, [CHARTS], budget_s=5)
        await asyncio.sleep(0.1)
    assert not source.requests


async def test_what_a_client_writes_during_a_fetch_stays(app_settings, redis_client, source) -> None:
    async def slow(*args) -> Response:
        await redis_client.set(KEY, CLIENT_ROWS, ex=100)
        return await source.rows(*args)

    source.answer = slow
    async with running(with_source(app_settings, source)) as app:
        await charts.react(app, [KEY], cause("expired"))
        await until(lambda: asyncio.sleep(0, bool(source.requests)))
        await asyncio.sleep(0.2)
        assert await redis_client.get(KEY) == CLIENT_ROWS.encode()
        assert await redis_client.ttl(KEY) > 90


@pytest.mark.parametrize("size", [100_000, 1_000_000])
async def test_what_a_client_writes_during_a_fetch_stays_also_where_size_and_ttl_are_the_same(
    app_settings, redis_client, source, size
) -> None:
    """SET with KEEPTTL, of a chart that is small enough to be hashed, and of one that is not. It is about to expire, so
    it is fetched again at once."""
    before, after = (json.dumps([{"t": 1_767_225_600_000, "v": value}]).ljust(size) for value in (7.0, 8.0))
    found = []

    async def slow(*args) -> Response:
        found.append(await redis_client.get(KEY))
        await redis_client.set(KEY, after, keepttl=True)
        return await source.rows(*args)

    source.answer = slow
    async with running(with_source(app_settings, source)) as app:
        await redis_client.set(KEY, before, px=1500)
        await charts.react(app, [KEY], cause("set"))
        await until(lambda: asyncio.sleep(0, len(found) >= 2))
    assert found[:2] == [before.encode(), after.encode()]


async def test_what_a_client_deletes_during_a_fetch_stays_deleted(app_settings, redis_client, source) -> None:
    async def slow(*args) -> Response:
        await redis_client.delete(KEY)
        await charts.react(app, [KEY], cause("del"))
        return await source.rows(*args)

    source.answer = slow
    async with running(with_source(app_settings, source)) as app:
        await written(app, ttl_ms=1050)
        await until(lambda: asyncio.sleep(0, bool(source.requests)))
        await asyncio.sleep(0.3)
        assert not await redis_client.exists(KEY)
    assert len(source.requests) == 1


async def test_a_stampede_makes_at_most_eight_requests_at_a_time_over_all_instances(
    app_settings, redis_client, source, pytestconfig
) -> None:
    number = 1000 if pytestconfig.getoption("--soak") else 60
    keys = [b"fabric:data:chart:c%d:d" % at for at in range(number)]
    source.delay_s = 0.01
    settings = msgspec.structs.replace(
        with_source(app_settings, source, ttl_s=60, refresh_ahead_s=0), work_timeout_s=60
    )
    async with running(settings) as one, running(settings) as two:
        await asyncio.gather(charts.react(one, keys, Cause.EXPIRED), charts.react(two, keys, Cause.EXPIRED))

        async def all_there() -> bool:
            return await redis_client.exists(*keys) == number

        await until(all_there, within_s=60)
    assert source.most_in_flight.pop("") == 8
    assert set(source.most_in_flight.values()) == {1}
    assert len(source.requests) == number


async def test_while_its_source_is_down_the_last_good_data_is_served_marked_stale(
    app_settings, redis_client, source
) -> None:
    async with running(with_source(app_settings, source)) as app:
        await written(app, ttl_ms=300)
        before = await cached(app)
        good, source.answer = source.answer, failing
        await until(lambda: is_stale(app))
        stale = await cached(app)
        assert stale["series"] == before["series"]
        assert isinstance(stale["staleSince"], str)
        assert 3590 <= await redis_client.ttl(CACHE) <= 3600
        end_s = time.monotonic() + 2.5  # longer than the TTL
        while time.monotonic() < end_s:
            now = await cached(app)
            assert (now["stale"], now["staleSince"]) == (True, stale["staleSince"])
            await asyncio.sleep(0.02)
        assert not await redis_client.exists(KEY)
        source.answer = good
        await until(lambda: redis_client.exists(KEY))
        await until(lambda: is_stale(app, False))
        assert (await cached(app))["staleSince"] is None
    state = await redis_client.hgetall(STATE)
    assert b"error" not in state
    assert state[b"failures"] == b"0"


NONSENSE = {
    "no JSON": Response("<html>", media_type="text/html"),
    "no JSON although it says so": Response("<html>", media_type="application/json"),
    "nothing": JSONResponse([]),
    "no numbers": JSONResponse({"detail": "Not Found"}),
    "null": JSONResponse(None),
    "cut short": Response(b'[{"t": 1767225600000, "v": 1', media_type="application/json"),
    "an error of GraphQL": JSONResponse(
        {"data": {"charts": [{"t": 1767225600000, "v": 2}]}, "errors": [{"message": "x"}]}
    ),
}


@pytest.mark.parametrize("nonsense", NONSENSE)
async def test_nonsense_never_replaces_good_data(app_settings, redis_client, source, nonsense) -> None:
    async def answer(*_) -> Response:
        return NONSENSE[nonsense]

    source.answer = answer
    async with running(with_source(app_settings, source, ttl_s=60, refresh_ahead_s=30)) as app:
        await written(app, ttl_ms=20_000)
        chart = schedule.chart_of(app, KEY)
        assert chart
        await schedule.note(app, [chart], "asked")
        await until(lambda: redis_client.hexists(STATE, "error"))
        assert await redis_client.get(KEY) == CLIENT_ROWS.encode()
        assert (await cached(app))["stale"] is False


async def test_a_source_that_asks_for_patience_gets_it(app_settings, redis_client, source) -> None:
    async def busy(*_) -> Response:
        source.answer = source.rows
        return Response(status_code=429, headers={"Retry-After": "1"})

    source.answer = busy
    async with running(with_source(app_settings, source)) as app:
        await charts.react(app, [KEY], Cause.EXPIRED)
        await until(lambda: redis_client.exists(KEY))
    first_s, second_s = [at_s for at_s, _ in source.requests]
    assert second_s - first_s > 0.95


async def test_a_source_that_fails_again_and_again_is_left_alone_for_a_while(
    app_settings, redis_client, source
) -> None:
    source.answer = failing
    settings = msgspec.structs.replace(with_source(app_settings, source), retry_base_s=0.5, retry_cap_s=60)
    keys = [b"fabric:data:chart:c%d:d" % at for at in range(20)]
    async with running(settings) as app:
        await charts.react(app, keys, Cause.EXPIRED)
        await until(lambda: asyncio.sleep(0, len(source.requests) >= 5))
        await asyncio.sleep(0.2)
        begun = len(source.requests)
        assert begun < 20
        await asyncio.sleep(0.2)
        assert len(source.requests) == begun
        source.answer = source.rows

        async def all_there() -> bool:
            return await redis_client.exists(*keys) == 20

        await until(all_there, within_s=10)
    assert source.most_in_flight[""] <= 8


async def test_a_chart_that_a_dashboard_names_is_fetched_and_kept_warm(app_settings, redis_client, source) -> None:
    """Also one that no client has written yet; a name of another shape or without a source is passed over."""
    await redis_client.zadd(
        "functions:charts:interest", {"co2-flow:realtime": time.time() * 1000, "x": time.time() * 1000, "old:d": 1}
    )
    async with running(with_source(app_settings, source)) as app:
        await until(lambda: redis_client.exists(KEY))
        await until(lambda: asyncio.sleep(0, len(source.requests) >= 3))
        assert await redis_client.exists(KEY)
        assert await redis_client.zcard("functions:charts:interest") == 2
        assert (await cached(app))["stale"] is False


async def test_query_caches_are_invalidated_once_per_change_not_once_per_refresh(
    app_settings, redis_client, source
) -> None:
    async with running(with_source(app_settings, source, ttl_s=1, refresh_ahead_s=0.5)) as app:
        await schedule.used(app, [KEY])
        await until(lambda: redis_client.exists(CACHE))
        await redis_client.set("fabric:cache:query:plant-overview", "x")
        count = len(source.requests)
        await until(lambda: asyncio.sleep(0, len(source.requests) >= count + 2))
        assert await redis_client.exists("fabric:cache:query:plant-overview")
        source.value = 2.0

        async def changed() -> bool:
            return (await cached(app))["stats"]["v"]["last"] == 2.0

        await until(changed)
        assert not await redis_client.exists("fabric:cache:query:plant-overview")


@pytest.mark.parametrize("poison", ["other types", "huge", "other values", "another version"])
async def test_what_others_write_under_the_keys_of_the_refresh_holds_no_chart_up(
    app_settings, redis_client, source, poison
) -> None:
    settings = with_source(app_settings, source, refresh_ahead_s=0)
    name = settings.sources.entries[0].name
    hashes = ("functions:charts:state:co2-flow:realtime", f"functions:charts:source:{name}")
    sets = (f"functions:charts:due:{name}", f"functions:charts:fetching:{name}", "functions:charts:interest")
    huge = b"x" * (2 << 20)
    for key in hashes:
        match poison:
            case "other types":
                await redis_client.set(key, huge)
            case "huge":
                await redis_client.hset(
                    key, mapping=dict.fromkeys(("v", "active", "closed", "failures", "deleted"), huge)
                )
            case "other values":
                await redis_client.hset(key, mapping={"v": "1", "closed": "9" * 30, "active": "nan", "expires": "-1"})
            case "another version":
                await redis_client.hset(key, mapping={"v": "2", "deleted": "1", "expires": "9" * 15})
    for key in sets:
        match poison:
            case "other types":
                await redis_client.set(key, huge)
            case "huge":
                await redis_client.zadd(key, {huge + b"%d" % number: 1 for number in range(3)})
            case _:
                await redis_client.zadd(key, {b"no chart": 1, b"": 2, b"later": float("inf")})
    async with running(settings) as app:
        without = App(msgspec.structs.replace(settings, chart_sources=""), app.redis)
        await written(without)  # its cache lets a sweep find it
        await redis_client.delete(KEY)
        await charts.react(app, [KEY], Cause.EXPIRED)

        async def fetched() -> bool:
            await reconcile(app, [CHARTS], budget_s=5)  # restores due times that were removed with huge ones
            return await redis_client.exists(KEY) == 1

        await until(fetched, within_s=15)
        await until(lambda: is_stale(app, False))


async def test_a_large_chart_is_written_with_its_ttl_and_holds_redis_for_no_time(
    app_settings, redis_client, source, measured
) -> None:
    rows = [{"t": 1_767_225_600_000 + 1000 * n, "v": n} for n in range(10)]
    body = json.dumps(rows).encode().ljust(8 << 20)

    async def answer(*_) -> Response:
        return Response(body, media_type="application/json")

    source.answer = answer
    async with running(with_source(app_settings, source, ttl_s=60, timeout_s=20)) as app:
        await schedule.used(app, [KEY])
        await until(lambda: redis_client.exists(CACHE), within_s=15)
        assert await redis_client.strlen(KEY) == len(body)
        assert 50 < await redis_client.ttl(KEY) <= 60
        assert not await redis_client.keys("functions:charts:fetched:*")
    durations_ms = [entry["duration"] / 1000 for entry in await slow_ends(redis_client)]
    measured("Redis held by the write of a chart of 8 MiB", max(durations_ms, default=0.0), "ms")
    assert max(durations_ms, default=0.0) < 20  # 1 ms on a machine for itself


async def slow_ends(client) -> list[dict]:
    """Calls of end_refresh.lua in the slow log, which has those from 10 ms on."""
    return [entry for entry in await client.slowlog_get(128) if refresh.END_REFRESH.sha.encode() in entry["command"]]


async def test_without_sources_nothing_is_scheduled(app_settings, redis_client) -> None:
    async with running(app_settings) as app:
        await written(app)
        await charts.react(app, [KEY], cause("expired"))
        assert not [key async for key in redis_client.scan_iter("functions:charts:*")]
        assert namespaces.build(namespaces.CHART_INTEREST) == b"functions:charts:interest"
