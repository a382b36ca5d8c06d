"""The producer of batches, a process of its own: `python -m bench.produce HOST:PORT COUNT [PER_S]`.

It prints `ready` when all contents are in memory, waits for a line on stdin, writes the batches and prints `done`.
Without PER_S it writes in pipelines, as fast as Redis accepts them. With PER_S it writes one by one, evenly, at that
rate; then `done` is followed by a JSON list of the times before each write, in seconds of the monotonic clock.

Consumers of key events need no more. For task queues and streams, the modules in bench/peers run this with functions
that enqueue the keys.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import batched

from redis import Redis
from redis.client import Pipeline

from bench import work
from shared.namespaces import TEMP_DATA_TTL_S

CHUNK = 200
"""Batches per pipeline."""

type Beside = Callable[[Pipeline, bytes], object]
"""Adds further commands for a key to the pipeline of its SET."""
type Enqueue = Callable[[Sequence[bytes]], Awaitable[None]]
"""Enqueues keys that were just SET."""


class Producer:
    def __init__(self, address: str, beside: Beside | None, enqueue: Enqueue | None) -> None:
        host, _, port = address.rpartition(":")
        self._redis = Redis(host=host, port=int(port))
        self._redis.ping()
        self._beside = beside
        self._enqueue = enqueue

    async def write(self, batches: Sequence[tuple[bytes, bytes]]) -> None:
        """Write batches (keys and contents) in one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        for key, content in batches:
            pipeline.set(key, content, ex=TEMP_DATA_TTL_S)
            if self._beside:
                self._beside(pipeline, key)
        pipeline.execute()
        if self._enqueue:
            await self._enqueue([key for key, _ in batches])

    async def burst(self, batches: Sequence[tuple[bytes, bytes]]) -> None:
        """Write batches as fast as possible, in pipelines."""
        for chunk in batched(batches, CHUNK, strict=False):
            await self.write(chunk)

    async def evenly(self, batches: Sequence[tuple[bytes, bytes]], per_s: float) -> list[float]:
        """Write batches at a steady rate. Returns the time of each write; a late write does not delay later ones."""
        times_s = []
        start_s = time.monotonic()
        for number, batch in enumerate(batches):
            await asyncio.sleep(max(0.0, start_s + number / per_s - time.monotonic()))
            times_s.append(time.monotonic())
            await self.write([batch])
        return times_s


async def produce(producer: Producer, count: int, per_s: float | None) -> None:
    batches = list(work.batches(count))
    gc.freeze()
    print("ready", flush=True)
    if not sys.stdin.readline():
        return  # the parent process has ended
    if per_s is None:
        await producer.burst(batches)
        print("done", flush=True)
    else:
        print("done", json.dumps(await producer.evenly(batches, per_s)), flush=True)


def main(arguments: Sequence[str], *, beside: Beside | None = None, enqueue: Enqueue | None = None) -> None:
    """Run with the arguments of the command line."""
    address, count, *per_s = arguments
    asyncio.run(produce(Producer(address, beside, enqueue), int(count), float(per_s[0]) if per_s else None))


if __name__ == "__main__":
    main(sys.argv[1:])
