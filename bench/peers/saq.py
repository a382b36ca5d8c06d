"""SAQ: a task per batch. A task that fails or whose worker dies does not run again, unless it has retries."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from redis.asyncio import Redis
from saq import Worker
from saq.queue.redis import RedisQueue
from uvloop import run  # as the command lines of FastStream and taskiq do

from bench.peers import HOST, PORT, Share, main, react_to, ready

CONCURRENCY = 100
queue = RedisQueue(
    Redis(host=HOST, port=PORT),
    dump=msgspec.json.encode,
    load=msgspec.json.decode,
    max_concurrent_ops=CONCURRENCY,
)


async def consume(_: Share) -> None:
    client = Redis(host=HOST, port=PORT)

    async def analyse(_: Any, *, batch: str) -> None:
        await react_to(client, batch.encode())

    async def started(_: Any) -> None:
        ready()

    await Worker(queue, [("analyse", analyse)], concurrency=CONCURRENCY, startup=started).start()


async def enqueue(keys: Sequence[bytes]) -> None:
    # ttl: no client waits for the result of a task, so it is not stored
    await asyncio.gather(*(queue.enqueue("analyse", batch=key.decode(), ttl=-1) for key in keys))


if __name__ == "__main__":
    main(consume, enqueue=enqueue, run=run)
