"""dramatiq: a task per batch, in threads. A task that fails or whose worker died runs again."""

from collections.abc import Sequence
from threading import Event

from dramatiq import Worker, actor, set_broker
from dramatiq.brokers.redis import RedisBroker
from redis import Redis

from bench.peers import HOST, PORT, Share, main, react_to_blocking, ready

set_broker(RedisBroker(host=HOST, port=PORT))
client = Redis(host=HOST, port=PORT)


@actor
def analyse(batch: str) -> None:
    react_to_blocking(client, batch.encode())


def consume(_: Share) -> None:
    Worker(analyse.broker, worker_threads=8).start()
    ready()
    Event().wait()


async def enqueue(keys: Sequence[bytes]) -> None:
    for key in keys:
        analyse.send(key.decode())


if __name__ == "__main__":
    main(consume, enqueue=enqueue)
