"""Celery: a task per batch, in the worker's own process (pool `solo`). If a worker dies, its task is lost, which is
Celery's default.
"""

from collections.abc import Sequence
from typing import Any

from celery import Celery
from celery.signals import worker_ready
from redis import Redis

from bench.peers import HOST, PORT, URL, Share, main, react_to_blocking, ready

app = Celery("bench", broker=URL)
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=64, worker_redirect_stdouts=False)
client = Redis(host=HOST, port=PORT)


@app.task(name="analyse")
def analyse(batch: str) -> None:
    react_to_blocking(client, batch.encode())


@worker_ready.connect
def started(**_: Any) -> None:
    ready()


def consume(_: Share) -> None:
    app.worker_main(
        ["worker", "--pool=solo", "--loglevel=ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    )


async def enqueue(keys: Sequence[bytes]) -> None:
    with app.producer_pool.acquire(block=True) as producer:
        for key in keys:
            analyse.apply_async((key.decode(),), producer=producer)


if __name__ == "__main__":
    main(consume, enqueue=enqueue)
