"""Bursts: how many events a second a consumer gets through when they come faster than it can.

burst            10,000 batches are written at once; the clock runs from the first write to the last result
burst-overhead   the same where every invocation costs 0.5 ms more, about what the platform adds
drain            the batches were written before the host started; the clock runs from `ready` to the last result
"""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import batched
from typing import Any

import msgspec
from redis.asyncio import Redis

from bench import work
from bench.consumers import CONSUMERS, Consumer, consuming, producing
from bench.processes import Child, cpu_s, still
from bench.trial import Figures, Size, Trial
from local.servers import redis_server
from shared import readings
from shared.analysis import analyse, as_result
from shared.baseline import Baseline
from shared.notifications import REQUIRED

TIMEOUT_S = 300.0
OVERHEAD = ("--invocation-overhead", "0.5ms")
SEVERAL_PROCESSES = ("app", "handwritten", "raw", "faststream", "faststream-bridge")
"""Those whose work two processes share. Two hosts with the naive function would each do all of it."""
_POLL_S = 0.005
_KEYS_AT_ONCE = 500
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
        redis_server(REQUIRED) as server,
        Redis(host=server.host, port=server.port) as client,
        producing(one, server, count) as producer,
        consuming(one, server, processes, arguments=arguments) as children,
    ):
        await asyncio.gather(producer.ready(), *(child.ready() for child in children))
        await still(children)
        meter = await Meter.start(client, children)
        producer.go()
        await results(client, count, [producer, *children])
        figures = await meter.read(count)
        await still(children)
        figures["cpu_us_per_event_drained"] = meter.cpu_us / count
        await check(client, count)
        return figures


async def drain(hosts: int, count: int) -> Figures:
    """`count` batches that are there when the app starts: its sweep finds them. Raises as `burst` does."""
    app = CONSUMERS["app"]
    async with (
        redis_server(REQUIRED) as server,
        Redis(host=server.host, port=server.port) as client,
    ):
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


def _result(content: bytes) -> dict[str, Any]:
    given = readings.from_json(content)
    return as_result(given, analyse(given, Baseline(), threshold=3.5, min_samples=100))


@dataclass
class Meter:
    """Time and CPU from a moment on: what the clock showed then, and the CPU time that had been used, all in s."""

    _client: Redis
    _children: Sequence[Child]
    _started_s: float
    _cpu_s: float
    _redis_s: float

    @classmethod
    async def start(cls, client: Redis, children: Sequence[Child]) -> "Meter":
        redis_s = await redis_cpu_s(client)
        return cls(client, children, time.monotonic(), cpu_s(children), redis_s)

    @property
    def cpu_us(self) -> float:
        """Of the processes so far."""
        return (cpu_s(self._children) - self._cpu_s) * 1e6

    async def read(self, events: int, ended_s: float | None = None) -> dict[str, float]:
        """The figures of so many events, by now, or by `ended_s` of the monotonic clock."""
        took_s, cpu_us = (ended_s or time.monotonic()) - self._started_s, self.cpu_us
        redis_s = await redis_cpu_s(self._client) - self._redis_s
        return {
            "events_per_s": events / took_s,
            "cpu_us_per_event": cpu_us / events,
            "redis_us_per_event": redis_s * 1e6 / events,
        }


async def redis_cpu_s(client: Redis) -> float:
    info = await client.info("cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])


async def results(client: Redis, count: int, processes: Sequence[Child]) -> None:
    """Wait until there are the results of batches 0 to `count`. Raises TimeoutError, and ChildError for a process that
    ended.

    Looks at single keys only once there are enough of them, and at each but once or so: asking costs Redis time.
    """
    async with asyncio.timeout(TIMEOUT_S):
        while await client.dbsize() < 2 * count:
            await _again(processes)
        for some in batched(map(work.result_key, range(count)), _KEYS_AT_ONCE, strict=False):
            while await client.exists(*some) < len(some):
                await _again(processes)


async def _again(processes: Sequence[Child]) -> None:
    for one in processes:
        await one.must_run()
    await asyncio.sleep(_POLL_S)


async def check(client: Redis, count: int) -> None:
    """Look at some results. The app scores against what came before, so what all have in common are the statistics."""
    for number in random.sample(range(count), min(count, _SAMPLE)):
        found = msgspec.json.decode(await client.get(work.result_key(number)) or b"{}")
        expected = msgspec.json.decode(msgspec.json.encode(_result(work.batch(number))))
        if found.get("metrics") != expected["metrics"]:
            raise WrongResultError(f"the result of batch {number} is {found}")
