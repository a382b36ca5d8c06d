"""Bursts: throughput of a consumer when events come faster than it can process them.

burst            10,000 batches are written at once; time from the first write to the last result
burst-overhead   burst, with 0.5 ms more per invocation, which is about what the platform adds
drain            the batches were written before the host started; time from `ready` to the last result
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
from shared.reading.read import read_batch

OVERHEAD = ("--invocation-overhead", "0.5ms")
SEVERAL_PROCESSES = ("app", "handwritten", "raw", "faststream", "faststream-bulk", "faststream-bridge")
"""Consumers whose work two processes can share. Two hosts with the naive function would each do all of it."""
_SAMPLE = 20


class WrongResultError(Exception):
    """A consumer computed another result than the app: its figures are not comparable."""


def trials(size: Size) -> list[Trial]:
    count = 10_000 if size is Size.FULL else 1_000
    listed = [_burst_trial(consumer, 1, count) for consumer in CONSUMERS.values()]
    listed += [_burst_trial(CONSUMERS[name], 2, count) for name in SEVERAL_PROCESSES]
    for name in ("app", "naive"):
        measure = partial(burst, CONSUMERS[name], 1, count, OVERHEAD)
        listed.append(Trial("burst-overhead", name, "processes=1", measure))
    for hosts in (1, 2):
        listed.append(Trial("drain", "app", f"processes={hosts}", partial(drain, hosts, count)))
    listed.append(Trial("drain", "analysis", "processes=1", partial(analysis, count)))
    return listed


def _burst_trial(consumer: Consumer, processes: int, count: int) -> Trial:
    measure = partial(burst, consumer, processes, min(count, consumer.batches))
    return Trial("burst", consumer.id, f"processes={processes}", measure)


async def burst(consumer: Consumer, processes: int, count: int, arguments: Sequence[str] = ()) -> Figures:
    """A burst for a consumer that is ready and idle. Raises ChildError, TimeoutError and WrongResultError."""
    async with (
        fresh_redis() as (server, client),
        producing(consumer, server, count) as producer,
        consuming(consumer, server, processes, arguments=arguments) as children,
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
    """`count` batches that exist when the app starts, found by its first pass. Raises the errors of `burst`."""
    app = CONSUMERS["app"]
    async with fresh_redis() as (server, client):
        async with producing(app, server, count) as producer:
            await producer.ready()
            producer.go()
            await producer.says("done")
        async with consuming(app, server, hosts, environment={}) as children:
            redis_s = await redis_cpu_s(client)
            ready = await asyncio.gather(*(child.ready() for child in children))
            # A host starts to work at once, the first before the others are ready.
            meter = Meter(client, children, min(at_s for at_s, _ in ready), sum(used_s for _, used_s in ready), redis_s)
            await results(client, count, children)
            figures = await meter.read(count)
        await check(client, count)
        return figures


async def analysis(count: int) -> Figures:
    """The computation in a loop, without Redis: decode, analyse, encode."""
    contents = [work.batch(number) for number in range(count)]
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    for content in contents:
        msgspec.json.encode(_result(content))
    took_s, cpu_s = time.perf_counter() - started_s, time.process_time() - started_cpu_s
    return {"events_per_s": count / took_s, "cpu_us_per_event": cpu_s / count * 1e6}


def _result(content: bytes) -> Findings:
    decoded = read_batch("string", [content])
    return findings(decoded, analyse(decoded, Baseline(), threshold=3.5, min_samples=100))


async def results(client: Redis, count: int, processes: Sequence[Child]) -> None:
    """Wait until the results of batches 0 to `count` - 1 exist. Raises the errors of hosts.until_all_exist."""
    await until_all_exist(client, [work.result_key(number) for number in range(count)], processes, total=2 * count)


async def check(client: Redis, count: int) -> None:
    """Check the statistics of some results (anomalies differ: the app has a rolling baseline)."""
    for number in random.sample(range(count), min(count, _SAMPLE)):
        document = msgspec.json.decode(await client.get(work.result_key(number)) or b"{}")
        expected = msgspec.json.decode(msgspec.json.encode(_result(work.batch(number))))
        if not _same_metrics(document.get("metrics"), expected["metrics"]):
            raise WrongResultError(f"the result of batch {number} is {document}")


def _same_metrics(metrics: object, expected: dict[str, dict[str, float]]) -> bool:
    """Whether statistics agree within a tolerance: groups add values in another order (shared/batches/analysis.py)."""
    if not isinstance(metrics, dict) or metrics.keys() != expected.keys():
        return False
    return all(
        math.isclose(metrics[metric][name], value, rel_tol=1e-9)
        for metric, figures in expected.items()
        for name, value in figures.items()
    )
