"""RQ: a task per batch, in the worker's own process (SimpleWorker; RQ's usual worker forks for each task)."""

from collections.abc import Sequence
from typing import Any

from redis import Redis
from rq import Queue, SimpleWorker

from bench.peers import HOST, PORT, Share, main, react_to_blocking, ready

client = Redis(host=HOST, port=PORT)
queue = Queue(connection=client)


def analyse(batch: bytes) -> None:
    react_to_blocking(client, batch)


class Worker(SimpleWorker):
    def bootstrap(self, *arguments: Any, **options: Any) -> None:
        super().bootstrap(*arguments, **options)
        ready()


def consume(_: Share) -> None:
    Worker([queue], connection=client, log_job_description=False).work(logging_level="ERROR")


async def enqueue(keys: Sequence[bytes]) -> None:
    queue.enqueue_many([Queue.prepare_data("bench.peers.rq.analyse", (key,), result_ttl=0, timeout=60) for key in keys])


if __name__ == "__main__":
    main(consume, enqueue=enqueue)
