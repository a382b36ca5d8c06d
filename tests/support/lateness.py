"""How late the reactions to batches are that a client writes at a steady rate."""

import asyncio
import json
import time
from typing import Self

from shared import namespaces
from tests.support.batches import batch
from tests.support.traffic import open_client


class Lateness:
    """Writes batches, and notes when the message of each result comes. A result that is published twice is an error."""

    def __init__(self, port: int) -> None:
        self._redis = open_client(port)
        self._pubsub = self._redis.pubsub(ignore_subscribe_messages=True)
        self._written_s: dict[str, float] = {}
        self.late_s: dict[float, float] = {}
        """Time of each write (monotonic) to the time until its result."""
        self.doubled: list[str] = []
        self._done = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._pubsub.subscribe(namespaces.BATCH_EVENTS_CHANNEL)
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._listening is not None
        self._listening.cancel()
        await asyncio.wait([self._listening])
        await self._pubsub.aclose()
        await self._redis.aclose()

    async def write(self, per_s: float, for_s: float) -> None:
        """Write batches at a steady rate."""
        began_s = time.monotonic()
        for number in range(round(per_s * for_s)):
            await asyncio.sleep(began_s + number / per_s - time.monotonic())
            name = f"late{len(self._written_s)}"
            self._written_s[name] = time.monotonic()
            self._done.clear()
            await self._redis.set(f"fastapi:temp:data:{name}", batch(number), ex=3600)

    async def complete(self, within_s: float) -> None:
        """Wait until each batch has its result."""
        async with asyncio.timeout(within_s):
            while len(self.late_s) < len(self._written_s):
                await self._done.wait()
                self._done.clear()

    def worst_s(self, from_s: float, until_s: float = float("inf")) -> float:
        """The greatest lateness of the batches that were written between two times (monotonic)."""
        return max((late for at, late in self.late_s.items() if from_s <= at < until_s), default=0.0)

    async def _listen(self) -> None:
        async for message in self._pubsub.listen():
            name = json.loads(message["data"])["batchId"]
            written_s = self._written_s[name]
            if written_s in self.late_s:
                self.doubled.append(name)
            self.late_s[written_s] = time.monotonic() - written_s
            self._done.set()
