"""Hand-written with redis-py's asyncio client: key events in micro-batches, without guarantees."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from bench.peers import AT_ONCE, EVENTS, HOST, PORT, RESULTS_TTL_S, Share, main, ready, result, written

type Pair = tuple[bytes, bytes]
"""A key and its content."""
type Work = Callable[[Sequence[Pair]], Iterable[Pair]]
"""From batches to their results."""


@asynccontextmanager
async def listen(client: Redis, share: Share, arrived: asyncio.Queue[bytes]) -> AsyncIterator[None]:
    """Put the keys of write events into `arrived` during the block."""
    events = client.pubsub()
    await events.psubscribe(EVENTS)
    await anext(events.listen())  # the confirmation of the subscription

    async def forward() -> None:
        async for message in events.listen():
            if key := written(share, message["channel"], message["data"]):
                arrived.put_nowait(key)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(forward())
        yield


async def in_batches(arrived: asyncio.Queue[bytes]) -> AsyncIterator[list[bytes]]:
    """Groups of up to AT_ONCE keys: all that have arrived, at least one."""
    while True:
        keys = [await arrived.get()]
        while len(keys) < AT_ONCE and not arrived.empty():
            keys.append(arrived.get_nowait())
        yield keys


def one_by_one(pairs: Sequence[Pair]) -> Iterable[Pair]:
    return (result(*pair) for pair in pairs)


async def react(client: Redis, keys: Sequence[bytes], work: Work = one_by_one) -> None:
    """Process a group in two round trips."""
    pipeline = client.pipeline(transaction=False)
    contents = await client.mget(keys)
    for key, document in work([pair for pair in zip(keys, contents, strict=True) if pair[1] is not None]):
        pipeline.set(key, document, ex=RESULTS_TTL_S)
    await pipeline.execute()


async def consume(share: Share) -> None:
    client = Redis(host=HOST, port=PORT)
    arrived: asyncio.Queue[bytes] = asyncio.Queue()
    async with listen(client, share, arrived):
        ready()
        async for keys in in_batches(arrived):
            await react(client, keys)


if __name__ == "__main__":
    main(consume)
