"""FastStream: a stream read by a consumer group, in batches. At least once.

The producer adds each key to the stream, in the pipeline of its SET.
"""

import asyncio

from faststream import AckPolicy
from faststream.redis import RedisBroker, StreamSub
from redis.asyncio import Redis
from redis.client import Pipeline
from uvloop import run  # as FastStream's command line does

from bench.peers import AT_ONCE, HOST, PORT, URL, Share, main, ready
from bench.peers.handwritten import Work, one_by_one, react

STREAM = "bench:batches"


def message(key: bytes) -> dict[str, bytes]:
    """An entry of the stream. FastStream reads JSON."""
    return {"__data__": b'"' + key + b'"'}


def broker(share: Share, work: Work = one_by_one) -> RedisBroker:
    client = Redis(host=HOST, port=PORT)
    redis_broker = RedisBroker(URL, logger=None, apply_types=False)
    stream = StreamSub(STREAM, group="bench", consumer=str(share.index), batch=True, max_records=AT_ONCE)

    @redis_broker.subscriber(stream=stream, ack_policy=AckPolicy.NACK_ON_ERROR)
    async def analyse(texts: list[str]) -> None:
        await react(client, [text.encode() for text in texts], work)

    return redis_broker


async def consume(share: Share, work: Work = one_by_one) -> None:
    async with broker(share, work) as redis_broker:
        await redis_broker.start()
        ready()
        await asyncio.Event().wait()


def beside(pipeline: Pipeline, key: bytes) -> None:
    pipeline.xadd(STREAM, message(key))


if __name__ == "__main__":
    main(consume, beside=beside, run=run)
