"""Batches, charts and sessions written at once: until the last effect of the last of them.

All three functions are busy, so the real host needs 1.2 ms between two invocations of each. The figures of single runs
count, since a scheduler that has to guess may be fast in one and slow in the next.
"""

import asyncio
from functools import partial

from bench import charts, sessions, work
from bench.hosts import Meter, fresh_redis, longest_command, ready_hosts, until, until_all_exist, write
from bench.processes import still
from bench.trial import Figures, Plan, Size, Trial
from shared import namespaces

EACH = {Size.FULL: (1_000, 3_000), Size.QUICK: (100,)}
BUSY_MS = 1.2
RUNS = 10
POINTS = 100
"""Points of a chart: 10 KB, about as much as a batch."""


def trials(plan: Plan) -> list[Trial]:
    return [
        plan.hosted(
            "mixed",
            consumer,
            f"each={each} overhead_ms={overhead_ms:g}",
            partial(mixed, consumer, each),
            runs=RUNS,
            overhead_ms=overhead_ms,
        )
        for each in EACH[plan.size]
        for consumer, overhead_ms in (("app", 0.0), ("app", BUSY_MS), ("naive", BUSY_MS))
    ]


async def mixed(consumer: str, each: int, *, overhead_ms: float) -> Figures:
    """From the first write to the last result, cache and record of `each` batches, charts and sessions."""
    numbers = range(each)
    batches, updates = list(work.batches(each)), list(charts.charts(each, POINTS))
    created = list(sessions.created(each))
    effects = [work.result_key(number) for number in numbers]
    effects += [charts.cache_key(number) for number in numbers]
    async with fresh_redis() as (server, client), ready_hosts(consumer, server, overhead_ms=overhead_ms) as hosts:

        async def all_recorded() -> bool:
            return int(await client.xlen(sessions.STREAMS[consumer])) >= each

        await still(hosts)
        meter = await Meter.start(client, hosts)
        await asyncio.gather(
            write(client, batches, ttl_s=namespaces.TEMP_DATA_TTL_S),
            write(client, updates, ttl_s=namespaces.CHART_DATA_TTL_S),
            write(client, created, ttl_s=None),
        )
        await until_all_exist(client, effects, hosts, total=len(batches) + len(updates) + len(created) + len(effects))
        await until(all_recorded, hosts)
        figures = await meter.read(3 * each)
        return {"took_s": 3 * each / figures["events_per_s"], **figures, **await longest_command(client)}
