"""Lost events: the time until reconciliation finds their keys, beside keys of other applications.

unnoticed   the keys are written while notifications are off, within one transaction: nothing tells of the loss
noticed     the trigger hears nothing for OUTAGE_S, as when a path is frozen and thaws, while other keys are written,
            as they were before: heartbeats are 2 s apart then, so some are missing; at rest they are 10 s apart
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from statistics import median
from time import monotonic

from redis.asyncio import Redis

from bench import work
from bench.hosts import fill_foreign, fresh_redis, is_paced, longest_command, ready_hosts, until
from bench.processes import Child, still
from bench.trial import Figures, Plan, Size, Trial
from shared.namespaces import TEMP_DATA_TTL_S
from shared.operations.notification_flags import REQUIRED

FOREIGN = {Size.FULL: (100_000, 1_000_000, 5_000_000), Size.QUICK: (5_000,)}
LOST = 20
"""Keys of one trial: their places in the keyspace differ, and so the times until a pass finds them."""
OUTAGE_S = 5.0
BESIDE_PER_S = 20
TIMEOUT_S = 1800.0
_FLAGS = "notify-keyspace-events"


def trials(plan: Plan) -> list[Trial]:
    return [
        plan.hosted("lost", "app", f"loss={loss} foreign={foreign}", partial(lost, loss, foreign), runs=1)
        for foreign in FOREIGN[plan.size]
        for loss in ("noticed", "unnoticed")
    ]


async def lost(loss: str, foreign: int, *, overhead_ms: float) -> Figures:
    """The times from the writes to the results of LOST batches whose events are lost, with one idle host."""
    async with fresh_redis() as (server, client):
        await fill_foreign(client, foreign)
        faults = ("--fault", "deaf@signal")
        async with ready_hosts("app", server, overhead_ms=overhead_ms, arguments=faults, environment={}) as hosts:
            await until(lambda: is_paced(client), hosts)
            await still(hosts)
            if loss == "unnoticed":
                started_s = await _write_silently(client)
                took_s = await _until_found(client, hosts, started_s)
            else:
                async with _writing_beside(client):
                    await asyncio.sleep(OUTAGE_S)
                    started_s = await _write_while_deaf(client, hosts[0])
                    took_s = await _until_found(client, hosts, started_s)
            longest = await longest_command(client)
    return {"repair_p50_s": median(took_s), "repair_max_s": max(took_s), **longest}


async def _write_silently(client: Redis) -> float:
    """Write the batches in one transaction without notifications. Returns the time (monotonic)."""
    async with client.pipeline(transaction=True) as pipeline:
        pipeline.config_set(_FLAGS, "")
        for key, content in work.batches(LOST):
            pipeline.set(key, content, ex=TEMP_DATA_TTL_S)
        pipeline.config_set(_FLAGS, REQUIRED)
        await pipeline.execute()
    return monotonic()


async def _write_while_deaf(client: Redis, host: Child) -> float:
    """Write the batches while the trigger hears nothing. Returns the time (monotonic)."""
    host.signal(signal.SIGUSR1)
    await asyncio.sleep(OUTAGE_S / 2)
    for key, content in work.batches(LOST):
        await client.set(key, content, ex=TEMP_DATA_TTL_S)
    written_s = monotonic()
    await asyncio.sleep(OUTAGE_S / 2)
    host.signal(signal.SIGUSR2)
    return written_s


@asynccontextmanager
async def _writing_beside(client: Redis) -> AsyncIterator[None]:
    """Writes other batches, one at a time, within the context."""

    async def write() -> None:
        for number in count(LOST):
            await client.set(work.batch_key(number), work.batch(number), ex=TEMP_DATA_TTL_S)
            await asyncio.sleep(1 / BESIDE_PER_S)

    writing = asyncio.create_task(write())
    try:
        yield
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)


async def _until_found(client: Redis, hosts: Sequence[Child], started_s: float) -> list[float]:
    """The time to the result of each batch, in seconds since `started_s`."""
    waiting = {work.result_key(number) for number in range(LOST)}
    took_s: list[float] = []

    async def all_found() -> bool:
        keys = list(waiting)
        for key, there in zip(keys, await client.mget(keys), strict=True):
            if there is not None:
                waiting.discard(key)
                took_s.append(monotonic() - started_s)
        return not waiting

    await until(all_found, hosts, poll_s=0.05, timeout_s=TIMEOUT_S)
    return took_s
