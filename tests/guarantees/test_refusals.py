"""A server that refuses commands: full, read-only, forbidden, with its clock set back, or with keys in the way."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import redis.asyncio

from shared import telemetry
from shared.app import App, open_app
from shared.batches import claims
from shared.batches import reactor as batches
from shared.batches.baseline import Baseline
from shared.batches.claims import Batch, Claim
from shared.charts import cache as chart_cache
from shared.charts import reactor as charts
from shared.delivery import dead_letters, retries
from shared.delivery.due import retry_due
from shared.delivery.reconcile import reconcile
from shared.reactor import Result
from shared.registry import BATCHES
from shared.settings import Settings
from tests.support.causes import cause

pytestmark = pytest.mark.redis_server

KEYS = [f"fastapi:temp:data:{number}".encode() for number in range(100)]
B0 = Batch(KEYS[0], b"0")
FILLER = [{"metric": "m", "ts": number, "value": number / 7} for number in range(2000)]


def batch(value: float) -> str:
    return json.dumps([{"metric": "m", "ts": 1, "value": value}])


async def write_all(client: redis.asyncio.Redis) -> None:
    for number, key in enumerate(KEYS):
        await client.set(key, batch(number))


async def results(client: redis.asyncio.Redis) -> int:
    return int(await client.exists(*(key.replace(b"temp:data", b"results:analysis") for key in KEYS)))


@pytest.fixture
async def slow_to_retry(app_settings: Settings, redis_client: redis.asyncio.Redis) -> AsyncIterator[App]:
    instance = open_app(msgspec.structs.replace(app_settings, retry_base_s=200, retry_cap_s=200))
    yield instance
    await instance.redis.aclose()


@pytest.mark.parametrize(
    ("setting", "value", "usual"),
    [("maxmemory", "1", "0"), ("min-replicas-to-write", "3", "0")],
    ids=["full", "no replicas to write to"],
)
async def test_a_server_that_refuses_writes_logs_few_lines_and_a_pass_repairs_the_effects(
    app: App,
    redis_client: redis.asyncio.Redis,
    caplog: pytest.LogCaptureFixture,
    server_version: tuple[int, int],
    setting: str,
    value: str,
    usual: str,
) -> None:
    if setting == "min-replicas-to-write" and server_version < (7, 0):
        pytest.skip("a server before 7.0 does not apply that to scripts")
    await write_all(redis_client)
    await redis_client.config_set(setting, value)
    refused = 0
    try:
        for operation in ("set", "sweep"):
            outcomes = await batches.react(app, KEYS, cause(operation))
            assert {outcome.result for outcome in outcomes} <= {
                Result.RETRIED,
                Result.PROCESSED,
                Result.DUPLICATE,
                Result.LATER,
            }
            refused += sum(outcome.result is Result.RETRIED for outcome in outcomes)
    finally:
        await redis_client.config_set(setting, usual)
    assert refused > 0
    assert len([record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}]) <= 5
    await redis_client.delete(*await redis_client.keys("fastapi:queue:*"), b"none")
    await reconcile(app, (BATCHES,), budget_s=10)
    assert await results(redis_client) == len(KEYS)


async def test_if_the_message_is_refused_no_result_is_written(
    app_settings: Settings, redis_client: redis.asyncio.Redis, server_version: tuple[int, int]
) -> None:
    if server_version < (6, 2):
        pytest.skip("channels have no permissions before 6.2")
    await redis_client.execute_command("ACL", "SETUSER", "mute", "on", "nopass", "+@all", "~*", "resetchannels")
    mute = open_app(msgspec.structs.replace(app_settings, redis=f"{app_settings.redis},user=mute,password=any"))
    await redis_client.set(KEYS[0], batch(1))
    (outcome,) = await batches.react(mute, [KEYS[0]], cause("set"))
    await mute.redis.aclose()
    await redis_client.execute_command("ACL", "DELUSER", "mute")
    assert outcome.result is Result.RETRIED
    assert await results(redis_client) == 0


async def test_a_key_that_cannot_be_claimed_does_not_stop_the_others(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    await write_all(redis_client)
    await redis_client.set(b"fastapi:results:analysis:40", "x")
    await redis_client.delete(b"fastapi:results:analysis:40")
    await redis_client.rpush(dead_letters.mark_key("batches", KEYS[40]), "in the way")
    await redis_client.rpush("fastapi:queue:processing:41", "a job")
    outcomes = await batches.react(app, KEYS, cause("sweep"))
    assert await results(redis_client) == len(KEYS) - 1
    assert outcomes[41].result is Result.RETRIED


async def test_content_written_while_the_holder_fails_does_not_wait_for_the_next_pass(
    app: App, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await redis_client.set(B0.key, json.dumps([*FILLER, {"metric": "bad", "ts": 1, "value": 1}]))
    started, written = threading.Event(), threading.Event()

    analyse = batches.analyse

    def analyse_or_fail(group: Any, *args: Any) -> Any:
        if any("bad" in readings.series for readings in group):
            started.set()
            written.wait(10)
            raise ZeroDivisionError
        return analyse(group, *args)

    monkeypatch.setattr(batches, "analyse", analyse_or_fail)
    working = asyncio.create_task(batches.react(app, [B0.key], cause("set")))
    await asyncio.to_thread(started.wait, 10)
    await redis_client.set(B0.key, batch(2))
    (outcome,) = await batches.react(app, [B0.key], cause("set"))
    assert outcome.result is Result.LATER
    written.set()
    await working
    assert await results(redis_client) == 1


async def test_a_pass_does_not_shorten_a_backoff(
    slow_to_retry: App, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await redis_client.set(B0.key, batch(1))
    with monkeypatch.context() as patch:
        patch.setattr(batches, "analyse_many", lambda *_, **__: 1 / 0)
        await batches.react(slow_to_retry, [B0.key], cause("set"))
        for _ in range(8):
            report = await reconcile(slow_to_retry, (BATCHES,), budget_s=5)
            assert report.outcomes == {Result.LATER: 1}
    assert (await dead_letters.totals(slow_to_retry)).count == 0


async def test_attempts_are_counted_per_content(slow_to_retry: App) -> None:
    for attempt in range(1, 5):
        schedule = await retries.schedule(slow_to_retry, "batches", B0.key, ValueError(), digest="a" * 40)
        assert schedule.attempts == attempt
    assert (await retries.schedule(slow_to_retry, "batches", B0.key, ValueError())).attempts == 5
    assert (await retries.schedule(slow_to_retry, "batches", B0.key, ValueError(), digest="b" * 40)).attempts == 1


async def test_a_retry_during_a_live_claim_keeps_the_attempts(
    app_settings: Settings, redis_client: redis.asyncio.Redis
) -> None:
    app = open_app(msgspec.structs.replace(app_settings, retry_base_s=0.001, retry_cap_s=0.001))
    await redis_client.set(B0.key, batch(1))
    for _ in range(3):
        await retries.schedule(app, "batches", B0.key, ValueError())
    (claimed,) = await claims.claim(app, [B0])
    assert isinstance(claimed, Claim)
    await redis_client.zadd("functions:retry:due", {retries.member("batches", B0.key): 0})
    assert await retry_due(app, (BATCHES,), budget_s=0) == 1
    assert (await retries.schedule(app, "batches", B0.key, ValueError())).attempts == 4
    await app.redis.aclose()


async def test_a_lease_from_before_the_clock_was_set_back_does_not_block(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    await redis_client.set(B0.key, batch(1))
    (claimed,) = await claims.claim(app, [B0])
    assert isinstance(claimed, Claim)
    await redis_client.hset(claimed.claim_key, "lease_until_ms", str(round(time.time() * 1000) + 36_000_000))
    (outcome,) = await batches.react(app, [B0.key], cause("sweep"))
    assert outcome.result is Result.PROCESSED


@pytest.mark.parametrize("kind", ["list", "hash"])
async def test_too_many_elements_are_not_read(app: App, redis_client: redis.asyncio.Redis, kind: str) -> None:
    count = claims.MAX_PARTS + 1
    if kind == "list":
        await redis_client.rpush(B0.key, *([b""] * count))
    else:
        await redis_client.hset(B0.key, mapping={str(number): "" for number in range(count)})
    before = await redis_client.info("commandstats")
    (outcome,) = await batches.react(app, [B0.key], cause("set"))
    after = await redis_client.info("commandstats")
    assert outcome.result is Result.REJECTED
    assert str(count) in str(outcome.detail)
    for command in ("cmdstat_lrange", "cmdstat_hscan"):
        assert after.get(command) == before.get(command)
    (repeated,) = await batches.react(app, [B0.key], cause("sweep"))
    assert repeated.result is Result.DUPLICATE


async def test_a_pass_with_hanging_batches_ends_in_time_and_processes_the_others(
    app_settings: Settings, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_app(msgspec.structs.replace(app_settings, work_timeout_s=0.2))
    end = threading.Event()

    analyse = batches.analyse

    def analyse_or_hang(group: Any, *args: Any) -> Any:
        if any(readings.count > 1 for readings in group):
            end.wait(30)
        return analyse(group, *args)

    monkeypatch.setattr(batches, "analyse", analyse_or_hang)
    await write_all(redis_client)
    for key in KEYS[:20]:
        await redis_client.set(key, json.dumps(FILLER))
    report = await reconcile(app, (BATCHES,), budget_s=0.3)
    end.set()
    await app.redis.aclose()
    assert report.duration_s < 2, "20 hanging batches take 4 s one after the other"
    assert report.outcomes[Result.LATER] > 0
    assert await results(redis_client) >= 40


async def test_a_small_chart_does_not_wait_for_hanging_large_ones(
    app_settings: Settings, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_app(msgspec.structs.replace(app_settings, work_timeout_s=0.3))
    end = threading.Event()
    render = chart_cache.render

    def render_or_hang(payload: bytes, *args: Any) -> bytes:
        if len(payload) > charts.THREAD_BYTES:
            end.wait(30)
        return render(payload, *args)

    monkeypatch.setattr(chart_cache, "render", render_or_hang)
    large = json.dumps([{"t": 1_767_225_600 + number, "v": number} for number in range(5000)])
    for number in range(5):
        await redis_client.set(f"fabric:data:chart:large-{number}:d", large)
    await redis_client.set("fabric:data:chart:small:d", json.dumps([{"t": 1_767_225_600, "v": 1}]))
    keys = [f"fabric:data:chart:large-{number}:d".encode() for number in range(5)] + [b"fabric:data:chart:small:d"]
    async with redis_client.pubsub() as channel:
        await channel.subscribe("fabric:events:chart")
        await channel.get_message(timeout=5)
        working = asyncio.create_task(charts.react(app, keys, cause("sweep")))
        message = await channel.get_message(timeout=5)
        assert not working.done()
    end.set()
    outcomes = await working
    await app.redis.aclose()
    assert message is not None
    assert json.loads(message["data"])["chartId"] == "small"
    assert outcomes[5].result is Result.PROCESSED


async def test_takeovers_and_lost_leases_are_counted(app: App, redis_client: redis.asyncio.Redis) -> None:
    before = telemetry.counts.copy()
    await redis_client.set(B0.key, batch(1), ex=3600)
    (old,) = await claims.claim(app, [B0])
    assert isinstance(old, Claim)
    await redis_client.hset(old.claim_key, "lease_until_ms", 0)
    await batches.react(app, [B0.key], cause("set"))
    await redis_client.delete("fastapi:results:analysis:0")
    await batches.commit(app, batches._compute({0: old}, Baseline(), app.settings))
    new = telemetry.counts - before
    assert new["batches", "taken_over"] == 1
    assert new["batches", "lost_lease"] == 1
