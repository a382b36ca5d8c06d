"""Bursts: how many events a second a consumer gets through when they come faster than it can.

burst            10,000 batches are written at once; the clock runs from the first write to the last result
burst-overhead   the same where every invocation costs 0.5 ms more, about what the platform adds
drain            the batches were written before the host started; the clock runs from `ready` to the last result
"""

import asyncio
import math
import random
import time
from collections.abc import Sequence
from functools import partial

import msgspec
from redis.asyncio import Redis

from bench import work
from bench.consumers import CONSUMERS, Consumer, consuming, producing
from bench.hosts import Meter, figures_of, fresh_redis, redis_cpu_s, until_all_exist
from bench.processes import Child, still
from bench.trial import Figures, Size, Trial
from shared.batches.analysis import analyse
from shared.batches.baseline import Baseline
from shared.batches.results import Findings, findings
from shared.reading import readings

OVERHEAD = ("--invocation-overhead", "0.5ms")
SEVERAL_PROCESSES = ("app", "handwritten", "raw", "faststream", "faststream-bulk", "faststream-bridge")
"""Those whose work two processes share. Two hosts with the naive function would each do all of it."""
_SAMPLE = 20


class WrongResultError(Exception):
    """A consumer that did other work than the rest: its figures would mean nothing."""


def trials(size: Size) -> list[Trial]:
    count = 10_000 if size is Size.FULL else 1_000
    found = [_burst_trial(one, 1, count) for one in CONSUMERS.values()]
    found += [_burst_trial(CONSUMERS[name], 2, count) for name in SEVERAL_PROCESSES]
    for name in ("app", "naive"):
        measure = partial(burst, CONSUMERS[name], 1, count, OVERHEAD)
        found.append(Trial("burst-overhead", name, "processes=1", measure))
    for hosts in (1, 2):
        found.append(Trial("drain", "app", f"processes={hosts}", partial(drain, hosts, count)))
    found.append(Trial("drain", "analysis", "processes=1", partial(analysis, count)))
    return found


def _burst_trial(one: Consumer, processes: int, count: int) -> Trial:
    measure = partial(burst, one, processes, min(count, one.batches))
    return Trial("burst", one.id, f"processes={processes}", measure)


async def burst(one: Consumer, processes: int, count: int, arguments: Sequence[str] = ()) -> Figures:
    """`count` batches for a consumer that is up and idle. Raises ChildError, TimeoutError and WrongResultError."""
    async with (
        fresh_redis() as (server, client),
        producing(one, server, count) as producer,
        consuming(one, server, processes, arguments=arguments) as children,
    ):
        await asyncio.gather(producer.ready(), *(child.ready() for child in children))
        await still(children)
        meter = await Meter.start(client, children)
        producer.go()
        await results(client, count, [producer, *children])
        figures = await figures_of(meter, count, children)
        await check(client, count)
        return figures


async def drain(hosts: int, count: int) -> Figures:
    """`count` batches that are there when the app starts: its sweep finds them. Raises as `burst` does."""
    app = CONSUMERS["app"]
    async with fresh_redis() as (server, client):
        async with producing(app, server, count) as producer:
            await producer.ready()
            producer.go()
            await producer.says("done")
        async with consuming(app, server, hosts, environment={}) as children:
            redis_s = await redis_cpu_s(client)
            ready = await asyncio.gather(*(child.ready() for child in children))
            # A host begins at once, the first before the others are up.
            meter = Meter(client, children, min(at_s for at_s, _ in ready), sum(used_s for _, used_s in ready), redis_s)
            await results(client, count, children)
            figures = await meter.read(count)
        await check(client, count)
        return figures


async def analysis(count: int) -> Figures:
    """The pure part of the work in a loop, without Redis: decode, analyse, encode."""
    contents = [work.batch(number) for number in range(count)]
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    for content in contents:
        msgspec.json.encode(_result(content))
    took_s, cpu_s = time.perf_counter() - started_s, time.process_time() - started_cpu_s
    return {"events_per_s": count / took_s, "cpu_us_per_event": cpu_s / count * 1e6}


def _result(content: bytes) -> Findings:
    given = readings.from_json(content)
    return findings(given, analyse(given, Baseline(), threshold=3.5, min_samples=100))


async def results(client: Redis, count: int, processes: Sequence[Child]) -> None:
    """Wait until there are the results of batches 0 to `count`. Raises as hosts.until_all_exist does."""
    await until_all_exist(client, [work.result_key(number) for number in range(count)], processes, total=2 * count)


async def check(client: Redis, count: int) -> None:
    """Look at some results. The app scores against what came before, so what all have in common are the statistics."""
    for number in random.sample(range(count), min(count, _SAMPLE)):
        found = msgspec.json.decode(await client.get(work.result_key(number)) or b"{}")
        expected = msgspec.json.decode(msgspec.json.encode(_result(work.batch(number))))
        if not _same_metrics(found.get("metrics"), expected["metrics"]):
            raise WrongResultError(f"the result of batch {number} is {found}")


def _same_metrics(metrics: object, expected: dict[str, dict[str, float]]) -> bool:
    """Within a tolerance: alone and in a group, values are added in another order (shared/batches/analysis.py)."""
    if not isinstance(metrics, dict) or metrics.keys() != expected.keys():
        return False
    return all(
        math.isclose(metrics[metric][name], value, rel_tol=1e-9)
        for metric, figures in expected.items()
        for name, value in figures.items()
    )
