"""Reconciliation and bursts in the running app: lost events get their effects, and a burst is processed in bulk."""

import asyncio
import hashlib
import json
import logging
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
import redis.asyncio

from local.host.host import Host
from tests.e2e.conftest import AUDIT_KEY, ROOT, App, Effects, environment
from tests.support.intake import in_step, settled

pytestmark = pytest.mark.redis_server

NEVER, EACH_SECOND = "0 0 0 1 1 *", "* * * * * *"
FLAGS = "notify-keyspace-events"
ROWS = [{"timestamp": 1_767_225_600_000 + 1000 * n, "co2Flow": n / 10} for n in range(50)]


def batch(value: float) -> bytes:
    rows = [{"timestamp": f"2026-01-01T00:00:{n:02}Z", "data": {"co2": value + n / 100, "temp": 24}} for n in range(20)]
    return json.dumps({"records": rows}).encode()


@asynccontextmanager
async def running_app(client: redis.asyncio.Redis, *, overhead_s: float = 0.0, **settings: str) -> AsyncIterator[App]:
    """Run the app on this Redis with these settings, and collect its effects."""
    effects = Effects()
    root, logger = logging.getLogger(), logging.getLogger("keyspace_functions")
    root.addHandler(effects)
    logger.setLevel(logging.INFO)
    address = f"127.0.0.1:{client.connection_pool.connection_kwargs['port']}"
    host = Host(ROOT, http_port=0, invocation_overhead_s=overhead_s)
    try:
        with environment({"Redis": address, "AUDIT_KEY": AUDIT_KEY} | settings):
            await host.__aenter__()
            app_context = sys.modules["shared.app"].current_app()  # the app's own, imported anew by the worker
        yield App(host, client, effects)
    finally:
        await host.__aexit__(None, None, None)
        await app_context.redis.aclose()
        root.removeHandler(effects)
        logger.setLevel(logging.NOTSET)


@asynccontextmanager
async def no_notifications(client: redis.asyncio.Redis) -> AsyncIterator[None]:
    """Turn notifications off during the block."""
    flags = (await client.config_get(FLAGS))[FLAGS]
    await client.config_set(FLAGS, "")
    try:
        yield
    finally:
        await client.config_set(FLAGS, flags)


def digest(content: bytes) -> bytes:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest().encode()


class Results:
    """Counts the results that are announced, and keeps the last digest of each batch."""

    def __init__(self, pubsub: redis.asyncio.client.PubSub) -> None:
        self._pubsub = pubsub
        self._last: dict[str, str] = {}
        self.count = 0

    async def next(self) -> None:
        result = json.loads((await self._pubsub.get_message(timeout=30))["data"])
        self._last[result["batchId"]] = result["inputDigest"]
        self.count += 1

    async def up_to_date(self, contents: list[bytes]) -> None:
        """Wait until the last result of each batch b0, b1, ... is for its content in `contents`."""
        missing = {f"b{number}": digest(content).decode() for number, content in enumerate(contents)}
        while missing := {key: value for key, value in missing.items() if self._last.get(key) != value}:
            for _ in missing:
                await self.next()


@pytest.fixture
async def results(redis_client: redis.asyncio.Redis) -> AsyncIterator[Results]:
    async with redis_client.pubsub() as pubsub:
        await pubsub.subscribe("fastapi:events:analysis")
        assert (await pubsub.get_message(timeout=5))["type"] == "subscribe"
        yield Results(pubsub)


async def digests(client: redis.asyncio.Redis, count: int) -> list[bytes | None]:
    """The digests with which the results of batches b0, b1, ... begin; None for a batch without a result."""
    stored = await client.mget([f"fastapi:results:analysis:b{number}" for number in range(count)])
    return [result.split(b'"', 4)[3] if result else None for result in stored]


def operations(app: App) -> Counter[str]:
    """The number of processed batches by cause: event name, or sweep."""
    return Counter(
        effect["operation"]
        for effect in app.effects.so_far()
        if effect["outcome"] == "processed" and effect["key"].startswith("fastapi:")
    )


async def test_the_timers_are_registered_with_the_schedules_of_the_settings(redis_client: redis.asyncio.Redis) -> None:
    async with running_app(redis_client, SWEEP_SCHEDULE="*/7 * * * * *") as app:
        assert app.host.errors == {}
        triggers = {function.name: function.trigger for function in app.host.functions}
    for name, schedule in (("sweep", "*/7 * * * * *"), ("retry", "*/5 * * * * *")):
        assert triggers[name]["schedule"] == schedule
        assert triggers[name]["useMonitor"] is False
    assert "runOnStartup" not in triggers["sweep"], "a process sweeps by itself after its start, without a lock"


async def test_keys_written_before_the_start_are_processed_at_once(
    redis_client: redis.asyncio.Redis, results: Results
) -> None:
    contents = [batch(number) for number in range(100)]
    await redis_client.mset({f"fastapi:temp:data:b{number}": content for number, content in enumerate(contents)})
    async with running_app(redis_client, SWEEP_SCHEDULE=NEVER, RETRY_SCHEDULE=NEVER, EXPIRY_SCHEDULE=NEVER) as app:
        await results.up_to_date(contents)
        assert operations(app) == {}, "no invocation runs: the host would drop the log lines"
        async with aiohttp.ClientSession() as session, session.get(f"{app.host.url}/api/health"):
            pass
    assert operations(app) == {"sweep": 100}


async def test_keys_written_without_notifications_are_processed_by_the_next_pass(
    redis_client: redis.asyncio.Redis, results: Results
) -> None:
    async with running_app(redis_client, SWEEP_SCHEDULE=EACH_SECOND, RETRY_SCHEDULE=NEVER) as app:
        await redis_client.set("fastapi:temp:data:b0", batch(0))
        await redis_client.set("fabric:data:chart:gone:realtime", json.dumps(ROWS))
        await settled(app.host)
        async with no_notifications(redis_client):
            contents = [batch(100 + number) for number in range(50)]
            await redis_client.mset(
                {f"fastapi:temp:data:b{number}": content for number, content in enumerate(contents)}
            )
            await redis_client.set("fabric:data:chart:new:realtime", json.dumps(ROWS))
            await redis_client.delete("fabric:data:chart:gone:realtime")
        await results.up_to_date(contents)
        swept = {"fabric:data:chart:new:realtime", "fabric:data:chart:gone:realtime"}  # in any order
        while swept:
            swept.discard((await app.effect(function="sweep", outcome="processed"))["key"])
        assert json.loads(await redis_client.get("fabric:cache:chart:new:realtime"))["stale"] is False
        assert json.loads(await redis_client.get("fabric:cache:chart:gone:realtime"))["stale"] is True


async def write_burst(client: redis.asyncio.Redis, contents: list[bytes]) -> None:
    pipeline = client.pipeline(transaction=False)
    for number, content in enumerate(contents):
        pipeline.set(f"fastapi:temp:data:b{number}", content, ex=3600)
    await pipeline.execute()


async def session_times_s(app: App, client: redis.asyncio.Redis, stop: asyncio.Event) -> list[float]:
    """The times from a session's write to its record, one session after the other, until `stop`."""
    times_s = []
    last = "0"
    while not stop.is_set():
        started_s = time.perf_counter()
        await client.set(f"nextauth:session:s{len(times_s)}", '{"userId":"u","expires":"2036-01-01T00:00:00.000Z"}')
        [[_, [(last, _)]]] = await client.xread({"functions:audit:sessions": last}, block=10_000)
        times_s.append(time.perf_counter() - started_s)
        await asyncio.sleep(0.01)
    return times_s


@pytest.mark.any_server
@pytest.mark.parametrize("burst_sweep", ["true", "false"])
async def test_a_burst_ends_with_every_result_and_delays_no_other_function(
    redis_client: redis.asyncio.Redis, results: Results, measured, burst_sweep: str
) -> None:
    """Each invocation takes 1 ms longer than the app needs, as on the real host. Then the messages take longer than the
    work, and results come from a scan of the keys, if it may."""
    count, overhead_s = 1000 if burst_sweep == "true" else 300, 0.001
    contents = [batch(number) for number in range(count)]
    schedules = {"SWEEP_SCHEDULE": NEVER, "RETRY_SCHEDULE": NEVER}
    async with running_app(redis_client, overhead_s=overhead_s, BURST_SWEEP=burst_sweep, **schedules) as app:
        await in_step()
        stop = asyncio.Event()
        started_s = time.perf_counter()
        await write_burst(redis_client, contents)
        others = asyncio.create_task(session_times_s(app, redis_client, stop))
        await results.up_to_date(contents)
        burst_s = time.perf_counter() - started_s
        await settled(app.host)
        stop.set()
        times_s = await others
        # Lines written outside an invocation come with the next one.
        await redis_client.set("nextauth:session:last", "{}")
        await settled(app.host)
        processed = operations(app)
    label = f"burst of {count} batches, BURST_SWEEP={burst_sweep}"
    measured(label, count / burst_s, "results/s")
    measured(f"{label}: slowest reaction of another function", max(times_s) * 1000, "ms")
    assert await digests(redis_client, count) == [digest(content) for content in contents]
    assert processed.total() == count, "one result per content"
    if burst_sweep == "true":
        assert processed["sweep"] > 0.5 * count
    else:
        assert processed["set"] > 0.5 * count, "only a pass may have found some"
    assert len(times_s) > 5
    assert statistics.median(times_s) < 0.25
    assert max(times_s) < 2


@pytest.mark.any_server
async def test_content_overwritten_during_a_burst_ends_with_the_result_of_the_last_content(
    redis_client: redis.asyncio.Redis, results: Results
) -> None:
    contents = [batch(number) for number in range(1000)]
    async with running_app(redis_client, overhead_s=0.001, SWEEP_SCHEDULE=NEVER, RETRY_SCHEDULE=NEVER) as app:
        await in_step()
        await write_burst(redis_client, contents)
        overwritten = 0
        while results.count < len(contents):
            for _ in range(50):
                await results.next()
            for number in (overwritten % 50, overwritten * 37 % len(contents)):
                contents[number] = batch(10_000 + overwritten)
                await redis_client.set(f"fastapi:temp:data:b{number}", contents[number], ex=3600)
                overwritten += 1
        await settled(app.host)
        assert overwritten >= 20
        async with asyncio.timeout(10):  # the last events may be buffered for a moment
            await results.up_to_date(contents)
        assert await digests(redis_client, len(contents)) == [digest(content) for content in contents]
        assert operations(app)["sweep"] > 0
