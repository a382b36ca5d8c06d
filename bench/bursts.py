"""Bursts: throughput of a consumer when events come faster than it can process them.

burst            10,000 batches are written at once; time from the first write to the last result
burst-overhead   burst, with other times between two invocations, from none to 10 ms
instances        burst, for one to four hosts; and for as many whose function does nothing, until they are idle
workers          burst, for one host with one and with two worker processes
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
from bench.consumers import CONSUMERS, EMPTY, Consumer, consuming, producing
from bench.hosts import Meter, figures_of, fresh_redis, longest_command, redis_cpu_s, until_all_exist
from bench.processes import Child, still
from bench.trial import REAL_OVERHEAD_MS, Figures, Plan, Size, Trial
from shared.batches.analysis import analyse
from shared.batches.baseline import Baseline
from shared.batches.results import Findings, findings
from shared.reading.read import read_batch

OVERHEADS_MS = (0.0, REAL_OVERHEAD_MS, 1.2, 2.0, 5.0, 10.0)
"""None, and that of the real host: recorded with one and with three busy functions; and of slower ones."""
SLOW_MS, OF_SLOW_NAIVE = 2.0, 1_000
"""From SLOW_MS on a burst for naive has so many batches: 10,000 would take minutes, and it processes an even stream."""
HOSTS = (1, 2, 3, 4)
SEVERAL_PROCESSES = ("app", "handwritten", "raw", "faststream", "faststream-bulk", "faststream-bridge")
"""Consumers whose work two processes can share. Two hosts with the naive function would each do all of it."""
_SAMPLE = 20


class WrongResultError(Exception):
    """A consumer computed another result than the app: its figures are not comparable."""


def trials(plan: Plan) -> list[Trial]:
    count = 10_000 if plan.size is Size.FULL else 1_000
    listed = [_burst_trial(plan, consumer, 1, count) for consumer in CONSUMERS.values()]
    listed += [_burst_trial(plan, CONSUMERS[name], 2, count) for name in SEVERAL_PROCESSES]
    for overhead_ms in OVERHEADS_MS if plan.size is Size.FULL else (0.0, 5.0):
        for name in ("app", "naive"):
            slow = name == "naive" and overhead_ms >= SLOW_MS
            measure = partial(burst, CONSUMERS[name], 1, OF_SLOW_NAIVE if slow else count, until_idle=False)
            parameter = f"overhead_ms={overhead_ms:g}"
            listed.append(plan.hosted("burst-overhead", name, parameter, measure, overhead_ms=overhead_ms))
    app = CONSUMERS["app"]
    for hosts in HOSTS:
        listed.append(plan.hosted("instances", "app", f"hosts={hosts}", partial(burst, app, hosts, count)))
        listed.append(plan.hosted("instances", EMPTY.id, f"hosts={hosts}", partial(invocations, hosts, count)))
    for workers in (1, 2):
        measure = partial(burst, app, 1, count, arguments=("--workers", str(workers)))
        listed.append(plan.hosted("workers", "app", f"workers={workers}", measure))
    for hosts in (1, 2):
        listed.append(plan.hosted("drain", "app", f"processes={hosts}", partial(drain, hosts, count)))
    listed.append(Trial("drain", "analysis", "processes=1", partial(analysis, count)))
    return listed


def _burst_trial(plan: Plan, consumer: Consumer, processes: int, count: int) -> Trial:
    measure = partial(burst, consumer, processes, min(count, consumer.batches))
    parameter = f"processes={processes}"
    if consumer.on_host:
        return plan.hosted("burst", consumer.id, parameter, measure)
    return Trial("burst", consumer.id, parameter, partial(measure, overhead_ms=0))


async def burst(
    consumer: Consumer,
    processes: int,
    count: int,
    *,
    overhead_ms: float,
    arguments: Sequence[str] = (),
    until_idle: bool = True,
) -> Figures:
    """A burst for a consumer that is ready and idle; `until_idle` adds the CPU time until it is idle again. Raises
    ChildError, TimeoutError and WrongResultError."""
    async with (
        fresh_redis() as (server, client),
        producing(consumer, server, count) as producer,
        consuming(consumer, server, processes, overhead_ms=overhead_ms, arguments=arguments) as children,
    ):
        await asyncio.gather(producer.ready(), *(child.ready() for child in children))
        await still(children)
        meter = await Meter.start(client, children)
        producer.go()
        await results(client, count, [producer, *children])
        figures = await (figures_of(meter, count, children) if until_idle else meter.read(count))
        await check(client, count)
        return figures


async def invocations(hosts: int, count: int, *, overhead_ms: float) -> Figures:
    """What the messages of a burst cost hosts whose function does nothing: the CPU time until they are idle."""
    async with (
        fresh_redis() as (server, client),
        producing(EMPTY, server, count) as producer,
        consuming(EMPTY, server, hosts, overhead_ms=overhead_ms) as children,
    ):
        await asyncio.gather(producer.ready(), *(child.ready() for child in children))
        await still(children)
        meter = await Meter.start(client, children)
        producer.go()
        await producer.says("done")
        await still(children)
        return {"cpu_us_per_event_drained": meter.cpu_us / count}


async def drain(hosts: int, count: int, *, overhead_ms: float) -> Figures:
    """`count` batches that exist when the app starts, found by its first pass. Raises the errors of `burst`."""
    app = CONSUMERS["app"]
    async with fresh_redis() as (server, client):
        async with producing(app, server, count) as producer:
            await producer.ready()
            producer.go()
            await producer.says("done")
        async with consuming(app, server, hosts, overhead_ms=overhead_ms, environment={}) as children:
            redis_s = await redis_cpu_s(client)
            ready = await asyncio.gather(*(child.ready() for child in children))
            # A host starts to work at once, the first before the others are ready.
            meter = Meter(client, children, min(at_s for at_s, _ in ready), sum(used_s for _, used_s in ready), redis_s)
            await results(client, count, children)
            figures = await meter.read(count) | await longest_command(client)
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
