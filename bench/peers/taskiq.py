"""taskiq with a Redis list: a task per batch. If a worker dies, its task is lost."""

import asyncio
from collections.abc import Sequence

from redis.asyncio import Redis
from taskiq.api import run_receiver_task
from taskiq_redis import ListQueueBroker
from uvloop import run  # as taskiq's command line does

from bench.peers import HOST, PORT, URL, Share, main, react_to, ready

CONCURRENCY = 100
broker = ListQueueBroker(URL)
client = Redis(host=HOST, port=PORT)


@broker.task(task_name="analyse")
async def analyse(batch: str) -> None:
    await react_to(client, batch.encode())


async def consume(_: Share) -> None:
    await broker.startup()
    ready()
    await run_receiver_task(broker, max_async_tasks=CONCURRENCY, max_prefetch=CONCURRENCY, validate_params=False)


async def enqueue(keys: Sequence[bytes]) -> None:
    await asyncio.gather(*(analyse.kiq(key.decode()) for key in keys))


if __name__ == "__main__":
    main(consume, enqueue=enqueue, run=run)
