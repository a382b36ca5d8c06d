"""A fault before or after any single Redis call of the data path loses no effect and repeats none."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from types import ModuleType

import msgspec
import pytest
import redis.asyncio

from shared.app import App, open_app
from shared.batches import reactor as batches
from shared.charts import reactor as charts
from shared.delivery import dead_letters
from shared.delivery.reconcile import reconcile
from shared.delivery.replay import replay
from shared.registry import BATCHES, CHARTS
from shared.settings import Settings
from tests.support.causes import cause
from tests.support.faulty import Fault, Moment, faulty_context

pytestmark = [pytest.mark.redis_server, pytest.mark.both_loops]

BATCH = b"fastapi:temp:data:b"
CHART = b"fabric:data:chart:c:d"
GOOD = json.dumps([{"metric": "m", "ts": 1, "value": 2.0}])
ROWS = json.dumps([{"t": 1_767_225_600_000, "v": 1.5}])
LARGE = json.dumps([{"metric": "m", "ts": number, "value": 2.0} for number in range(3000)])
POISON = b"\x80\x04\x95."


async def settle(app: App) -> None:
    """Run the timers' work until all leases have ended and nothing changes."""
    for _ in range(3):
        await asyncio.sleep(app.settings.lease_ms / 1000)
        await reconcile(app, (BATCHES, CHARTS), budget_s=10)


async def commits(client: redis.asyncio.Redis, listen: redis.asyncio.client.PubSub) -> Counter[str]:
    """Number of commit messages so far, by digest."""
    await client.publish("fastapi:events:analysis", "end")
    counts: Counter[str] = Counter()
    while True:
        message = await listen.get_message(timeout=5)
        assert message is not None
        if message["type"] != "message":
            continue
        if message["data"] == b"end":
            return counts
        body = json.loads(message["data"])
        counts[body.get("inputDigest") or body["sourceDigest"]] += 1


async def write_batch(app: App, client: redis.asyncio.Redis) -> None:
    await client.set(BATCH, GOOD)
    await batches.react(app, [BATCH], cause("set"))


async def write_large_batch(app: App, client: redis.asyncio.Redis) -> None:
    await client.set(BATCH, LARGE)
    await batches.react(app, [BATCH], cause("set"))


async def write_batches(app: App, client: redis.asyncio.Redis) -> None:
    for number in range(5):
        await client.set(BATCH + str(number).encode(), json.dumps([{"metric": "m", "ts": 1, "value": number}]))
    await batches.react(app, [BATCH + str(number).encode() for number in range(5)], cause("sweep"))


async def write_chart(app: App, client: redis.asyncio.Redis) -> None:
    await client.set(CHART, ROWS)
    await charts.react(app, [CHART], cause("set"))


async def write_and_delete_chart(app: App, client: redis.asyncio.Redis) -> None:
    await client.set(CHART, ROWS)
    await charts.react(app, [CHART], cause("set"))
    await client.delete(CHART)
    await charts.react(app, [CHART], cause("del"))


async def check_results(client: redis.asyncio.Redis, counts: Counter[str]) -> None:
    for key in await client.keys("fastapi:temp:data:*"):
        result = json.loads(await client.get(key.replace(b"temp:data", b"results:analysis")))
        digest = await client.eval("return redis.sha1hex(redis.call('GET', KEYS[1]))", 1, key)
        assert result["inputDigest"] == digest.decode()
        assert counts[digest.decode()] == 1
    assert await client.keys("fastapi:queue:processing:*") == []
    assert sum(counts.values()) == len(await client.keys("fastapi:temp:data:*"))


async def check_cache(client: redis.asyncio.Redis, counts: Counter[str]) -> None:
    cache = json.loads(await client.get("fabric:cache:chart:c:d"))
    assert cache["stale"] is not bool(await client.exists(CHART))
    assert counts[cache["sourceDigest"]] == 1


type Write = Callable[[App, redis.asyncio.Redis], Awaitable[None]]
type Check = Callable[[redis.asyncio.Redis, Counter[str]], Awaitable[None]]
CASES: dict[str, tuple[Write, Check, int]] = {
    "a batch": (write_batch, check_results, 2),
    "a large batch": (write_large_batch, check_results, 2),
    "several batches": (write_batches, check_results, 2),
    "a chart": (write_chart, check_cache, 2),
    "a deleted chart": (write_and_delete_chart, check_cache, 3),
}
"""What to write, what to check at the end, and the minimum number of calls that the data path makes."""


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("case", CASES)
async def test_a_fault_at_any_call_leaves_each_effect_once(
    app_settings: Settings,
    redis_client: redis.asyncio.Redis,
    measured: Callable[[str, float, str], None],
    case: str,
    moment: Moment,
) -> None:
    write, check, min_calls = CASES[case]
    settings = msgspec.structs.replace(app_settings, lease_s=0.02, retry_base_s=0.001, retry_cap_s=0.001)
    healthy = open_app(settings)
    injected = 0
    while True:
        await redis_client.flushall()
        fault = Fault(injected + 1, moment)
        faulty = faulty_context(settings, fault)
        async with redis_client.pubsub() as listen:
            await listen.subscribe("fastapi:events:analysis", "fabric:events:chart")
            await write(faulty, redis_client)
            await settle(healthy)
            await check(redis_client, await commits(redis_client, listen))
        await faulty.redis.aclose()
        if fault.calls < fault.at:
            break
        injected += 1
    await healthy.redis.aclose()
    measured(f"faults injected, {case}, {moment.name.lower()}", injected, "")
    assert injected >= min_calls


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize(("reactor", "key"), [(batches, BATCH), (charts, CHART)], ids=["batches", "charts"])
async def test_a_fault_while_a_poison_key_is_buried_leaves_one_letter(
    app_settings: Settings, redis_client: redis.asyncio.Redis, reactor: ModuleType, key: bytes, moment: Moment
) -> None:
    settings = msgspec.structs.replace(app_settings, lease_s=0.02)
    healthy = open_app(settings)
    injected = 0
    while True:
        await redis_client.flushall()
        await redis_client.set(key, POISON)
        fault = Fault(injected + 1, moment)
        faulty = faulty_context(settings, fault)
        await reactor.react(faulty, [key], cause("set"))
        await faulty.redis.aclose()
        await settle(healthy)
        page = await dead_letters.list_page(healthy)
        (letter,) = page.letters
        assert (letter.reactor, letter.key, letter.error, letter.message) == (
            reactor.NAME,
            key,
            "Rejected",
            "pickle is not read",
        )
        content = await dead_letters.payload(healthy, letter.id)
        assert content is not None
        assert list(content.parts) == [POISON]
        if fault.calls < fault.at:
            break
        injected += 1
    await healthy.redis.aclose()
    assert injected >= 2


@pytest.mark.parametrize("moment", Moment)
async def test_a_fault_at_any_call_of_a_replay_leaves_one_result(
    app_settings: Settings, redis_client: redis.asyncio.Redis, moment: Moment
) -> None:
    """The letter's content is readable now (for example, by a later version of the app), and its key is gone."""
    settings = msgspec.structs.replace(app_settings, lease_s=0.02)
    healthy = open_app(settings)
    content = dead_letters.Payload("string", "d" * 40, [GOOD.encode()])
    injected = 0
    while True:
        await redis_client.flushall()
        letter_id = await dead_letters.bury(healthy, "batches", BATCH, ValueError(), content)
        fault = Fault(injected + 1, moment)
        faulty = faulty_context(settings, fault)
        async with redis_client.pubsub() as listen:
            await listen.subscribe("fastapi:events:analysis")
            try:
                await replay(faulty, (BATCHES, CHARTS), letter_id)
            except (redis.exceptions.RedisError, OSError):
                assert fault.injected
            await faulty.redis.aclose()
            await asyncio.sleep(settings.lease_s)
            if await dead_letters.get(healthy, letter_id):
                await replay(healthy, (BATCHES, CHARTS), letter_id)
            counts = await commits(redis_client, listen)
        assert counts == {"d" * 40: 1}
        assert json.loads(await redis_client.get("fastapi:results:analysis:b"))["readings"] == 1
        assert await dead_letters.get(healthy, letter_id) is None
        if fault.calls < fault.at:
            break
        injected += 1
    await healthy.redis.aclose()
    assert injected >= 4
