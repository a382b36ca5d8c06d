"""How figures grow with the keyspace, the size of a batch and the number of events."""

import hashlib
import json
import statistics
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import count
from time import perf_counter
from typing import Any

from redis.asyncio import Redis

from bench import work
from bench.hosts import (
    Meter,
    Write,
    figures_of,
    fill_foreign,
    fresh_redis,
    longest_command,
    ready_hosts,
    rss_mb,
    until,
    until_all_exist,
    watched,
    write,
)
from bench.processes import Child, still
from bench.trial import Figures, Plan, Size, Trial
from shared import namespaces
from shared.namespaces import TEMP_DATA_TTL_S

FOREIGN_KEYS = {Size.FULL: (10_000, 100_000, 1_000_000), Size.QUICK: (10_000,)}
BATCHES_BESIDE = 1000
PAYLOAD_BYTES = (1024, 8192, 65_536, 524_288, 8_388_608)
"""The largest is MAX_PAYLOAD_BYTES."""
PAYLOADS_BYTES = {Size.FULL: 40_000_000, Size.QUICK: 2_000_000}
"""Total bytes of the batches of one size."""
MIN_PAYLOADS = {Size.FULL: 5, Size.QUICK: 2}
ALONE = 20
EVENTS = {Size.FULL: 1_000_000, Size.QUICK: 20_000}
KEYS_REWRITTEN = 10_000
MEMORY_READINGS = 20
"""Number of memory readings during the events."""
_SWEEP = namespaces.build(namespaces.SWEEP)
_KEYS_AT_ONCE = 500
_HEAD_BYTES = 80
"""Bytes of a result that contain its input digest."""


def trials(plan: Plan) -> list[Trial]:
    size = plan.size
    listed = [_trial(plan, "growth-keys", f"keys={keys}", partial(grow_keys, keys)) for keys in FOREIGN_KEYS[size]]
    for payload_bytes in PAYLOAD_BYTES:
        number = max(MIN_PAYLOADS[size], PAYLOADS_BYTES[size] // payload_bytes)
        measure = partial(grow_payload, payload_bytes, number)
        listed.append(_trial(plan, "growth-payload", f"bytes={payload_bytes}", measure))
    return [*listed, _trial(plan, "growth-events", f"events={EVENTS[size]}", partial(grow_events, EVENTS[size]))]


def _trial(plan: Plan, experiment: str, parameter: str, measure: Callable[..., Awaitable[Figures]]) -> Trial:
    return plan.hosted(experiment, "app", parameter, measure, runs=1)


async def grow_keys(foreign: int, *, overhead_ms: float) -> Figures:
    """The first pass of a host, with BATCHES_BESIDE batches among `foreign` keys of other applications.

    Seconds are from the start of the pass, by Redis' clock; `longest_command_ms` is the longest time that a command of
    the app blocked Redis.
    """
    async with fresh_redis() as (server, client):
        await fill_foreign(client, foreign)
        await write(client, work.batches(BATCHES_BESIDE), ttl_s=TEMP_DATA_TTL_S)
        meter = await Meter.start(client, [])
        async with ready_hosts("app", server, overhead_ms=overhead_ms, environment={}) as hosts:
            results = [work.result_key(number) for number in range(BATCHES_BESIDE)]
            await until_all_exist(client, results, hosts, total=foreign + 2 * BATCHES_BESIDE)
            seconds, micros = await client.time()
            await until(lambda: client.hexists(_SWEEP, "ended_ms"), hosts)
            redis_us = (await meter.read(1))["redis_us_per_event"]
            state: dict[Any, Any] = await client.hgetall(_SWEEP)
            longest = await longest_command(client)
    ended_ms, duration_ms = int(state[b"ended_ms"]), int(state[b"duration_ms"])
    return {
        "sweep_s": duration_ms / 1000,
        "last_result_s": seconds + micros / 1e6 - (ended_ms - duration_ms) / 1000,
        "redis_share": redis_us / 1000 / duration_ms,
        **longest,
    }


async def grow_payload(payload_bytes: int, number: int, *, overhead_ms: float) -> Figures:
    """A burst of `number` batches of at most `payload_bytes` each, then ALONE further batches one at a time."""
    rows = _rows_in(payload_bytes)
    writes = [(work.batch_key(index), work.batch(index, rows=rows)) for index in range(number)]
    mb = sum(len(content) for _, content in writes) / 1e6
    async with fresh_redis() as (server, client), ready_hosts("app", server, overhead_ms=overhead_ms) as hosts:
        await still(hosts)
        meter = await Meter.start(client, hosts)
        await write(client, writes, ttl_s=TEMP_DATA_TTL_S)
        await until_all_exist(client, [work.result_key(index) for index in range(number)], hosts, total=2 * number)
        figures = await figures_of(meter, number, hosts)
        took_ms: list[float] = []
        async with watched(client, namespaces.RESULT.prefix) as result:
            for _, index in zip(range(min(ALONE, number)), count(number), strict=False):
                content = work.batch(index, rows=rows)
                began_s = perf_counter()
                await client.set(work.batch_key(index), content, ex=TEMP_DATA_TTL_S)
                took_ms.append((await result() - began_s) * 1000)
    return {
        **figures,
        "mb_per_s": figures["events_per_s"] * mb / number,
        "p50_alone_ms": statistics.median(took_ms),
    }


def _rows_in(payload_bytes: int) -> int:
    """The number of rows of a batch of at most `payload_bytes`, with a reserve because numbers differ in length."""
    of_1_row, of_101_rows = len(work.batch(0, rows=1)), len(work.batch(0, rows=101))
    return 1 + int((payload_bytes - 50 - of_1_row) / ((of_101_rows - of_1_row) / 100 + 1))


async def grow_events(events: int, *, overhead_ms: float) -> Figures:
    """Memory of one host while the same KEYS_REWRITTEN batches are rewritten with new contents.

    It is read when the host has handled every message of a round, so queued messages do not count. The slope is that of
    a line through all readings but those in the first tenth. Events per second include the pauses of this experiment.
    """
    per_round = min(KEYS_REWRITTEN, events // MEMORY_READINGS)
    memory: list[tuple[int, float]] = []
    async with fresh_redis() as (server, client), ready_hosts("app", server, overhead_ms=overhead_ms) as hosts:
        began_s = perf_counter()
        for done in range(per_round, events + 1, per_round):
            writes = [(work.batch_key(index), _small_batch(done + index)) for index in range(per_round)]
            # From the second round on, a write keeps the TTL, and so causes one message instead of two.
            await write(client, writes, ttl_s=TEMP_DATA_TTL_S if done == per_round else None)
            await _until_all_are_of(client, writes, hosts)
            await still(hosts)
            if done * MEMORY_READINGS // events > len(memory):
                memory.append((done, rss_mb(hosts[0])))
        took_s = perf_counter() - began_s
    settled = [(done / 1e6, mb) for done, mb in memory if done * 10 >= events]
    slope, _ = statistics.linear_regression(*zip(*settled, strict=True))
    return {
        "rss_mb_at_tenth": settled[0][1],
        "rss_mb": settled[-1][1],
        "rss_slope_mb_per_million": slope,
        "events_per_s": events / took_s,
    }


def _small_batch(number: int) -> bytes:
    """A batch with four readings, which differ between numbers."""
    data = {name: round(mean + number % 1000 * spread / 1000, 4) for name, (mean, spread) in work.METRICS.items()}
    row = {"timestamp": "2026-01-01T00:00:00.000Z", "data": data}
    return json.dumps({"batchId": f"bench-{number}", "records": [row]}).encode()


async def _until_all_are_of(client: Redis, writes: Sequence[Write], hosts: Sequence[Child]) -> None:
    """Wait until the result of each batch is for its content in `writes`."""
    pending = [
        (
            namespaces.RESULT.prefix + key.removeprefix(namespaces.BATCH.prefix),
            hashlib.sha1(content, usedforsecurity=False).hexdigest().encode(),
        )
        for key, content in writes
    ]

    async def none_pending() -> bool:
        nonlocal pending
        page, others = pending[:_KEYS_AT_ONCE], pending[_KEYS_AT_ONCE:]
        pipeline = client.pipeline(transaction=False)
        for key, _ in page:
            pipeline.getrange(key, 0, _HEAD_BYTES)
        heads: list[bytes] = await pipeline.execute()
        pending = [expected for expected, head in zip(page, heads, strict=True) if expected[1] not in head] + others
        return not pending

    await until(none_pending, hosts)
