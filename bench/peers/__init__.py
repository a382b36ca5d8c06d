"""Alternatives to this app: each module is one consumer, with the fastest of its usual settings.

    python -m bench.peers.NAME [INDEX PROCESSES]                  consume; print `ready` when consuming
    python -m bench.peers.NAME produce HOST:PORT COUNT [PER_S]    produce for it, see bench/produce.py

with REDIS=HOST:PORT for both, in the virtual environment of bench/requirements.txt. The work of an event is the same
for all: decode the batch, analyse it, encode the result.
"""

import asyncio
import gc
import os
import sys
import zlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from bench import produce
from shared import namespaces
from shared.batches.analysis import analyse, analyse_many
from shared.batches.baseline import Baseline
from shared.batches.results import findings
from shared.namespaces import RESULTS_TTL_S
from shared.reading.read import read_batch
from shared.runtime import lazy_numpy

__all__ = [
    "AT_ONCE",
    "EVENTS",
    "HOST",
    "PORT",
    "RESULTS_TTL_S",
    "URL",
    "Share",
    "main",
    "react_to",
    "react_to_blocking",
    "ready",
    "result",
    "results",
    "written",
]

HOST, _, _port = os.environ["REDIS"].rpartition(":")
PORT = int(_port)
URL = f"redis://{HOST}:{PORT}/0"
EVENTS = b"__keyspace@0__:" + namespaces.BATCH.prefix + b"*"
AT_ONCE = 64
"""Batches per group, as in the app."""
_KEYS_FROM = len(b"__keyspace@0__:")
_IDS_FROM = len(namespaces.BATCH.prefix)
_BASELINE = Baseline()


@dataclass(frozen=True)
class Share:
    """The share of the keys of this process, if every event reaches every process."""

    index: int = 0
    processes: int = 1

    def has(self, key: bytes) -> bool:
        return self.processes == 1 or zlib.crc32(key) % self.processes == self.index


def written(share: Share, channel: bytes, event: bytes) -> bytes | None:
    """The key, if this process has to react to the event; else None."""
    if event != b"set":
        return None
    key = channel[_KEYS_FROM:]
    return key if share.has(key) else None


def result(key: bytes, content: bytes) -> tuple[bytes, bytes]:
    """The unit of work: key and content of the result for a batch."""
    decoded = read_batch("string", [content])
    analysis = analyse(decoded, _BASELINE, threshold=3.5, min_samples=100)
    return namespaces.RESULT.prefix + key[_IDS_FROM:], msgspec.json.encode(findings(decoded, analysis))


def results(pairs: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Keys and contents of the results for a group of batches, analysed together as in the app."""
    group = [read_batch("string", [content]) for _, content in pairs]
    analyses = analyse_many(group, _BASELINE, threshold=3.5, min_samples=100)
    return [
        (namespaces.RESULT.prefix + key[_IDS_FROM:], msgspec.json.encode(findings(decoded, analysis)))
        for (key, _), decoded, analysis in zip(pairs, group, analyses, strict=True)
    ]


async def react_to(client: Redis, key: bytes) -> None:
    """Process one batch."""
    if content := await client.get(key):
        await client.set(*result(key, content), ex=RESULTS_TTL_S)


def react_to_blocking(client: BlockingRedis, key: bytes) -> None:
    """Process one batch with a blocking client."""
    if content := client.get(key):
        client.set(*result(key, content), ex=RESULTS_TTL_S)


def ready() -> None:
    """Report that this process consumes."""
    lazy_numpy.load()
    gc.freeze()  # the garbage collector skips imported objects
    print("ready", flush=True)


def main(
    consume: Callable[[Share], Coroutine[Any, Any, None] | None],
    *,
    beside: produce.Beside | None = None,
    enqueue: produce.Enqueue | None = None,
    run: Callable[[Coroutine[Any, Any, None]], None] = asyncio.run,
) -> None:
    """Consume, or produce: `beside` adds to the pipelines of SETs, `enqueue` is called after them."""
    if sys.argv[1:2] == ["produce"]:
        produce.main(sys.argv[2:], beside=beside, enqueue=enqueue)
    elif running := consume(Share(*map(int, sys.argv[1:]))):
        run(running)
