"""FastStream as in faststream.py, for producers that only SET: a task in the same process listens to the key events and
adds the keys to the stream. Keys in the stream are processed at least once; an event that the bridge misses is lost.
"""

import asyncio

from redis.asyncio import Redis
from uvloop import run

from bench.peers import HOST, PORT, Share, main, ready
from bench.peers.faststream import STREAM, broker, message
from bench.peers.handwritten import in_batches, listen


async def consume(share: Share) -> None:
    client = Redis(host=HOST, port=PORT)
    arrived: asyncio.Queue[bytes] = asyncio.Queue()
    async with broker(share) as redis_broker, listen(client, share, arrived):
        await redis_broker.start()
        ready()
        async for keys in in_batches(arrived):
            pipeline = client.pipeline(transaction=False)
            for key in keys:
                pipeline.xadd(STREAM, message(key))
            await pipeline.execute()


if __name__ == "__main__":
    main(consume, run=run)
