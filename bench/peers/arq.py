"""arq: a task per batch. A task whose worker died runs again."""

import asyncio
from collections.abc import Sequence
from typing import Any

from arq import ArqRedis, Worker, func
from redis.asyncio import Redis
from uvloop import run  # as the command lines of FastStream and taskiq do

from bench.peers import HOST, PORT, Share, main, react_to, ready

CONCURRENCY = 100
POLL_S = 0.01
"""arq polls for new tasks; its default is 0.5 s."""


async def consume(_: Share) -> None:
    client = Redis(host=HOST, port=PORT)

    async def analyse(_: Any, batch: bytes) -> None:
        await react_to(client, batch)

    async def started(_: Any) -> None:
        ready()

    worker = Worker(
        # keep_result: no client waits for the result of a task
        [func(analyse, name="analyse", keep_result=0)],
        redis_pool=ArqRedis(host=HOST, port=PORT),
        on_startup=started,
        max_jobs=CONCURRENCY,
        poll_delay=POLL_S,
        log_results=False,
    )
    await worker.async_run()


queue = ArqRedis(host=HOST, port=PORT)


async def enqueue(keys: Sequence[bytes]) -> None:
    await asyncio.gather(*(queue.enqueue_job("analyse", key) for key in keys))


if __name__ == "__main__":
    main(consume, enqueue=enqueue, run=run)
