"""A steady load of 200 batches per second: latency, and CPU per event without grouping.

Latency is the time from before the SET to the key event of the result in the measuring process, for every consumer.
Task queues are enqueued after the SET.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from functools import partial
from statistics import quantiles
from typing import Any, cast

import hiredis

from bench import work
from bench.consumers import CONSUMERS, Consumer, consuming, producing
from bench.hosts import fresh_redis, longest_command
from bench.processes import Child, cpu_s, still
from bench.trial import Figures, Plan, Size, Trial
from local.run.servers import RedisServer
from shared import namespaces

PER_S = 200
WARM_UP_S = 2
TIMEOUT_S = 60.0
OVERHEADS_MS = (None, 5.0)
"""Of app and naive; None: that of the plan. With 5 ms naive falls behind: each SET EX is two messages."""
MEASURED = ("app", "naive", "handwritten", "raw", "faststream", "faststream-bridge", "saq", "taskiq")
_CHANNEL = b"__keyspace@0__:"


def trials(plan: Plan) -> list[Trial]:
    measured_s = 10 if plan.size is Size.FULL else 3
    listed = []
    for consumer in map(CONSUMERS.__getitem__, MEASURED):
        measure, parameter = partial(steady, consumer, measured_s), f"events_per_s={PER_S}"
        if not consumer.on_host:
            listed.append(Trial("steady", consumer.id, parameter, partial(measure, overhead_ms=0)))
            continue
        for overhead_ms in OVERHEADS_MS:
            varied = parameter if overhead_ms is None else f"{parameter} overhead_ms={overhead_ms:g}"
            listed.append(plan.hosted("steady", consumer.id, varied, measure, overhead_ms=overhead_ms))
    return listed


async def steady(consumer: Consumer, measured_s: int, *, overhead_ms: float) -> Figures:
    """Latency percentiles and CPU time. Raises ChildError, and TimeoutError if results are missing."""
    first, count = WARM_UP_S * PER_S, (WARM_UP_S + measured_s) * PER_S
    async with (
        fresh_redis() as (server, client),
        producing(consumer, server, count, per_s=PER_S) as producer,
        consuming(consumer, server, overhead_ms=overhead_ms) as children,
    ):
        await asyncio.gather(producer.ready(), *(child.ready() for child in children))
        await still(children)
        arrivals = Arrivals(children, first, count)
        await arrivals.start(server)
        producer.go()
        async with asyncio.timeout(measured_s + TIMEOUT_S):
            sent_s = json.loads(await producer.says("done"))
            await arrivals.complete.wait()
        longest = await longest_command(client)
    latencies_ms = sorted(arrivals.latencies_ms(sent_s)[first:])
    percentiles = quantiles(latencies_ms, n=100, method="inclusive")
    return {
        "p50_ms": percentiles[49],
        "p99_ms": percentiles[98],
        "cpu_us_per_event": arrivals.cpu_s * 1e6 / (count - first),
        **longest,
    }


class Arrivals(asyncio.Protocol):
    """The arrival time of each result: its first `set` event, in seconds of the monotonic clock.

    It uses no client library, to keep the overhead of measuring small. `cpu_s` is the CPU time of `children` from
    result number `first` to the last of `count`.
    """

    def __init__(self, children: Sequence[Child], first: int, count: int) -> None:
        self.times_s: dict[bytes, float] = {}
        self.complete = asyncio.Event()
        self.cpu_s = 0.0
        self._children = children
        self._first = first
        self._count = count
        self._subscribed = asyncio.Event()
        self._reader = hiredis.Reader()

    async def start(self, server: RedisServer) -> None:
        await asyncio.get_running_loop().create_connection(lambda: self, server.host, server.port)
        await self._subscribed.wait()

    def latencies_ms(self, sent_s: Sequence[float]) -> list[float]:
        """The time from the write of each batch to its result; the result must have arrived."""
        return [(self.times_s[work.result_key(number)] - at_s) * 1000 for number, at_s in enumerate(sent_s)]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.WriteTransport", transport).write(b"PSUBSCRIBE " + _CHANNEL + namespaces.RESULT.prefix + b"*\r\n")

    def data_received(self, data: bytes) -> None:
        now_s = time.monotonic()
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            self._on_reply(reply, now_s)

    def _on_reply(self, reply: Any, now_s: float) -> None:
        if reply[0] != b"pmessage":
            self._subscribed.set()
        elif reply[3] == b"set":
            self.times_s.setdefault(reply[2].removeprefix(_CHANNEL), now_s)
            if len(self.times_s) == self._first:
                self.cpu_s -= cpu_s(self._children)
            elif len(self.times_s) == self._count and not self.complete.is_set():
                self.cpu_s += cpu_s(self._children)
                self.complete.set()
