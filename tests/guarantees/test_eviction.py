"""Redis evicts keys at run time: what is lost of the app's own state, and what becomes of the effects."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import redis.asyncio

from shared import namespaces
from shared.app import App
from shared.delivery import dead_letters, retries
from shared.delivery.catch_up import Watch, catch_up
from shared.operations import health
from shared.operations.doctor import server
from shared.reactor import Cause
from shared.registry import BATCHES, CHARTS, REACTORS, SESSIONS
from shared.store.connection import ConnectionOptions
from tests.support.batches import batch, batch_key
from tests.support.looks import lives, nextauth, records, with_settings

pytestmark = pytest.mark.redis_server

COUNT = 60
CHART = '{"timestamps": ["2026-01-01T00:00:00Z", "2026-01-01T00:00:10Z"], "values": [1.5, 2.5]}'
BATCH_KEYS = [batch_key(number) for number in range(COUNT)]
CHART_KEYS = [b"fabric:data:chart:c%d:realtime" % number for number in range(COUNT)]
SESSION_KEYS = [b"nextauth:session:s%d" % number for number in range(COUNT)]
STATE = {
    "phantoms": "functions:phantom:*",
    "retries": "functions:retry:*",
    "letters": "functions:dead:*",
    "audit": "functions:audit:*",
    "results": "fastapi:results:*",
    "caches": "fabric:cache:chart:*",
    "batches": "fastapi:temp:*",
    "charts": "fabric:data:*",
    "sessions": "nextauth:session:*",
}


async def populate(app: App) -> None:
    """Sources with their effects, a retry that waits, a dead letter."""
    for key in BATCH_KEYS:
        await app.redis.set(key, batch(), ex=namespaces.TEMP_DATA_TTL_S)
    for key in CHART_KEYS:
        await app.redis.set(key, CHART, ex=namespaces.CHART_DATA_TTL_S)
    for key in SESSION_KEYS:
        await app.redis.set(key, nextauth(), ex=3600)
    await BATCHES.react(app, BATCH_KEYS, Cause.WRITTEN)
    await CHARTS.react(app, CHART_KEYS, Cause.WRITTEN)
    await SESSIONS.react(app, SESSION_KEYS, Cause.WRITTEN)
    await app.redis.set(b"fastapi:temp:data:poison", b"no batch")
    await BATCHES.react(app, [b"fastapi:temp:data:poison"], Cause.WRITTEN)
    await retries.schedule(app, "batches", b"fastapi:temp:data:gone", ValueError())


async def census(client: redis.asyncio.Redis) -> dict[str, int]:
    return {name: len(await client.keys(pattern)) for name, pattern in STATE.items()}


@asynccontextmanager
async def limited(client: redis.asyncio.Redis, policy: str) -> AsyncIterator[None]:
    """A server whose memory is full with what is there and 1 MiB."""
    used = (await client.info("memory"))["used_memory"]
    await client.config_set("maxmemory-policy", policy)
    await client.config_set("maxmemory", used + 2**20)
    try:
        yield
    finally:
        await client.config_set("maxmemory", 0)
        await client.config_set("maxmemory-policy", "noeviction")


async def press(client: redis.asyncio.Redis, megabytes: int) -> None:
    """Others write keys of 10 KB with a TTL of a day."""
    for start in range(0, megabytes * 100, 100):
        pipeline = client.pipeline(transaction=False)
        for number in range(start, start + 100):
            pipeline.set(f"others:{number}", b"x" * 10_000, ex=86_400)
        await pipeline.execute(raise_on_error=False)


OPTIONS = ConnectionOptions("redis.example", 6379)


async def found(client: redis.asyncio.Redis) -> list[str]:
    """What the doctor says about eviction. How full and fragmented the server is depends on the tests before, too."""
    info = await client.info()
    findings = [*server.check_eviction(info, OPTIONS), *server.check_memory(info, OPTIONS)]
    return [f"{finding.id} {finding.severity}" for finding in findings if finding.id in {"eviction", "evicted"}]


async def test_volatile_ttl_evicts_sources_and_effects_before_what_the_app_cannot_create_again(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    """Keys of others that live longer than batches and charts; Redis has room for a quarter of all."""
    await populate(app)
    before = await census(redis_client)
    async with limited(redis_client, "volatile-ttl"):
        await press(redis_client, 4)
        after = await census(redis_client)
        assert after["batches"] < before["batches"]
        kept = ("phantoms", "retries", "audit")
        assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
        assert (await dead_letters.totals(app)).count == 1
        assert await found(redis_client) == ["eviction ok", "evicted warning"]
    await redis_client.delete(*SESSION_KEYS)  # as if all had been evicted
    await catch_up(with_settings(app, session_lost_after_s=0), REACTORS, Watch(), due=True)
    assert await lives(app) == [["created", "ended"]] * COUNT


async def test_under_allkeys_lru_effects_of_what_remains_are_complete_and_the_doctor_names_the_policy(
    app: App, redis_client: redis.asyncio.Redis, measured: Callable[[str, float, str], None]
) -> None:
    """Any key can go: claims, marks, retries, letters, phantoms, the audit stream. Sessions whose phantoms go are
    recorded as new ones."""
    await populate(app)
    async with limited(redis_client, "allkeys-lru"):
        await press(redis_client, 4)
        assert await found(redis_client) == ["eviction warning", "evicted warning"]
        health_report = await health.check_app(app)
        assert health_report.redis_round_trip_ms is not None
    after = await census(redis_client)
    for name in ("phantoms", "batches", "results"):
        assert after[name] < COUNT
        measured(f"allkeys-lru, {name} that remain of {COUNT}", after[name], "")
    for _ in range(2):
        await catch_up(app, REACTORS, Watch(), due=True)
    for key in BATCH_KEYS:
        if await redis_client.exists(key):
            assert await redis_client.exists(key.replace(b"temp:data", b"results:analysis"))
    for key in CHART_KEYS:
        if await redis_client.exists(key):
            assert await redis_client.exists(key.replace(b"data", b"cache", 1))
    created = Counter(record["subject"] for record in await records(app) if record["type"].endswith("created"))
    assert max(created.values(), default=0) <= 2
    await dead_letters.totals(app)
    await dead_letters.list_page(app)
    assert await retries.waiting(app) <= 1
