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
from bench.processes import Child, cpu_s, still
from bench.trial import Figures, Size, Trial
from local.run.servers import RedisServer, redis_server
from shared import namespaces
from shared.operations.notification_flags import REQUIRED

PER_S = 200
WARM_UP_S = 2
TIMEOUT_S = 60.0
MEASURED = ("app", "naive", "handwritten", "raw", "faststream", "faststream-bridge", "saq", "taskiq")
_CHANNEL = b"__keyspace@0__:"


def trials(size: Size) -> list[Trial]:
    measured_s = 10 if size is Size.FULL else 3
    return [
        Trial("steady", name, f"events_per_s={PER_S}", partial(steady, CONSUMERS[name], measured_s))
        for name in MEASURED
    ]


async def steady(consumer: Consumer, measured_s: int) -> Figures:
    """Latency percentiles and CPU time. Raises ChildError, and TimeoutError if results are missing."""
    first, count = WARM_UP_S * PER_S, (WARM_UP_S + measured_s) * PER_S
    async with (
        redis_server(REQUIRED) as server,
        producing(consumer, server, count, per_s=PER_S) as producer,
        consuming(consumer, server) as children,
    ):
        await asyncio.gather(producer.ready(), *(child.ready() for child in children))
        await still(children)
        arrivals = Arrivals(children, first, count)
        await arrivals.start(server)
        producer.go()
        async with asyncio.timeout(measured_s + TIMEOUT_S):
            sent_s = json.loads(await producer.says("done"))
            await arrivals.complete.wait()
    latencies_ms = sorted(
        (arrivals.times_s[work.result_key(number)] - sent_s[number]) * 1000 for number in range(first, count)
    )
    percentiles = quantiles(latencies_ms, n=100, method="inclusive")
    return {
        "p50_ms": percentiles[49],
        "p99_ms": percentiles[98],
        "cpu_us_per_event": arrivals.cpu_s * 1e6 / (count - first),
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
