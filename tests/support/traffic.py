"""Simulated clients: writes of batches and charts, the expected effects, and the number of commits."""

import asyncio
import hashlib
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from itertools import count
from typing import Any, Self

import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from shared import namespaces
from shared.batches import baseline
from shared.batches.results import MODEL_NAME

POLL_S = 0.05
AWAY = (
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.BusyLoadingError,
    OSError,
)
METRIC = "co2"

type Write = tuple[bytes, bytes]
"""A key and its new value."""


def open_client(port: int) -> Any:
    """A client without retries: retries would repeat writes, and hide that a subscription was lost.

    The type is Any, because redis-py types replies as str or bytes; this client returns bytes.
    """
    return redis.asyncio.Redis(port=port, retry=Retry(NoBackoff(), 0))


class Traffic:
    """Writes batches and charts with distinct values, and records every content that a key has had."""

    def __init__(self, port: int) -> None:
        self.redis = open_client(port)
        self.contents: dict[bytes, list[str]] = defaultdict(list)
        """Key to the digests of all its contents, in order."""
        self.live: dict[bytes, str] = {}
        """Key to the digest of its content, for the keys that exist."""
        self.readings: dict[str, int] = {}
        """Digest of a batch's content to the number of readings in it."""
        self.repeated = 0
        """Writes that were repeated because their reply was lost."""
        self._serial = count()
        self._writing = asyncio.Lock()
        """Writes reach Redis in the order in which they are recorded."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.redis.aclose()

    def batch(self, name: str, records: int = 3) -> Write:
        key = namespaces.build(namespaces.BATCH, name)
        value = f'{{"batchId":"{name}","serial":{next(self._serial)},"records":{_records(records)}}}'.encode()
        self.readings[_digest(value)] = records
        return key, value

    def chart(self, name: str, rows: int = 20) -> Write:
        serial = next(self._serial)
        points = [{"timestamp": 1_767_225_600_000 + 1000 * index, METRIC: serial + index} for index in range(rows)]
        return namespaces.build(namespaces.CHART_DATA, name, "realtime"), json.dumps(points).encode()

    async def write(self, writes: Iterable[Write]) -> None:
        """Write in one pipeline, with a TTL as the applications do, so each write causes two events.

        While Redis is away the pipeline is repeated. A key must then not occur twice in it: a repetition would bring
        back an older content.
        """
        async with self._writing:
            await self._write(list(writes))

    async def _write(self, writes: Sequence[Write]) -> None:
        for key, value in writes:
            self.live[key] = _digest(value)
            self.contents[key].append(self.live[key])
        while True:
            pipeline = self.redis.pipeline(transaction=False)
            for key, value in writes:
                chart = key.startswith(namespaces.CHART_DATA.prefix)
                pipeline.set(key, value, ex=namespaces.CHART_DATA_TTL_S if chart else namespaces.TEMP_DATA_TTL_S)
            try:
                await pipeline.execute()
            except AWAY:
                assert len({key for key, _ in writes}) == len(writes)
                self.repeated += len(writes)
                await asyncio.sleep(POLL_S)
            else:
                return

    async def flush(self) -> None:
        """Delete all keys and scripts."""
        await self.redis.flushall()
        await self.redis.script_flush()
        self.live.clear()

    async def lagging(self, among: Sequence[bytes] | None = None) -> list[bytes]:
        """The keys whose effect is not that of their present content."""
        keys = list(self.live) if among is None else among
        effects = await self.redis.mget([_effect_key(key) for key in keys]) if keys else []
        return [key for key, effect in zip(keys, effects, strict=True) if _effect_digest(effect) != self.live[key]]

    async def quiescent(self, within_s: float) -> None:
        """Wait until every key has the effect of its present content. Raises AssertionError with the other keys."""
        pending = list(self.live)
        deadline_s = time.monotonic() + within_s
        while True:
            with suppress(*AWAY):
                pending = await self.lagging(pending) or await self.lagging()
                if not pending:
                    return
                if time.monotonic() > deadline_s:
                    shown = [await self._describe(key) for key in pending[:10]]
                    raise AssertionError(f"{len(pending)} of {len(self.live)} keys lag behind: {shown}")
            await asyncio.sleep(POLL_S)

    async def _describe(self, key: bytes) -> str:
        contents, digest = self.contents[key], _effect_digest(await self.redis.get(_effect_key(key)))
        effect = f"write {contents.index(digest) + 1}" if digest in contents else f"{digest}"
        live = _digest(await self.redis.get(key) or b"") == self.live[key]
        claim = {}
        if key.startswith(namespaces.BATCH.prefix):
            batch_id = key.removeprefix(namespaces.BATCH.prefix)
            claim = await self.redis.hgetall(namespaces.build(namespaces.PROCESSING, batch_id))
        return f"{key!r}: effect of {effect}, {len(contents)} writes, last one live: {live}, claim: {claim}"

    async def complete_pass(self, within_s: float) -> dict[str, Any]:
        """Wait for a complete pass that begins after this call. Returns its counts."""
        seconds, microseconds = await self.redis.time()
        now_ms = seconds * 1000 + microseconds / 1000
        async with asyncio.timeout(within_s):
            while True:
                state = namespaces.build(namespaces.SWEEP)
                ended_ms, duration_ms, counts = await self.redis.hmget(state, "ended_ms", "duration_ms", "found")
                if ended_ms is not None and int(ended_ms) - int(duration_ms) > now_ms:
                    return dict(json.loads(counts))
                await asyncio.sleep(POLL_S)

    async def claims(self) -> set[tuple[bytes, ...]]:
        """The claims in Redis: key, fencing token and end of lease of each."""
        keys = await self.redis.keys(namespaces.PROCESSING.prefix + b"*")
        pipeline = self.redis.pipeline(transaction=False)
        for key in keys:
            pipeline.hmget(key, "token", "lease_until_ms")
        return {(key, *values) for key, values in zip(keys, await pipeline.execute(), strict=True) if all(values)}

    async def taken_over(self, claims: set[tuple[bytes, ...]], within_s: float) -> None:
        """Wait until none of these claims exists unchanged."""
        async with asyncio.timeout(within_s):
            while True:
                if not claims & await self.claims():
                    return
                await asyncio.sleep(POLL_S)

    async def effects(self) -> int:
        """The number of results and chart caches."""
        kinds = (namespaces.RESULT, namespaces.CHART_CACHE)
        return sum([len(await self.redis.keys(kind.prefix + b"*")) for kind in kinds])

    async def model_readings(self) -> int:
        """The number of readings in the baseline."""
        fields = await self.redis.hgetall(namespaces.build(namespaces.MODEL, MODEL_NAME))
        now_s, _ = await self.redis.time()
        model = baseline.decode_model([part for pair in fields.items() for part in pair], now_s)
        return model.sketches[METRIC].samples


class CommitCounter:
    """Counts the commits of each content of each key, by the app's messages, over a direct connection to Redis."""

    def __init__(self, port: int) -> None:
        self.counts: Counter[tuple[bytes, str]] = Counter()
        """(key, digest of its content) to the number of commits."""
        self.gaps = 0
        """How often the subscription was lost; some messages may be lost with it."""
        self._redis = open_client(port)
        self._mark = f"tests:mark:{port}"
        self._marked: asyncio.Queue[None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        pubsub = await self._subscribe()
        self._task = asyncio.create_task(self._listen(pubsub))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._redis.aclose()

    async def complete(self) -> None:
        """Wait until every message published before this call is counted."""
        await self._redis.publish(self._mark, "")
        async with asyncio.timeout(10):
            await self._marked.get()

    def of_batches(self) -> dict[tuple[bytes, str], int]:
        """The counts for batches only."""
        prefix = namespaces.BATCH.prefix
        return {content: times for content, times in self.counts.items() if content[0].startswith(prefix)}

    async def _subscribe(self) -> Any:
        pubsub = self._redis.pubsub()
        await pubsub.subscribe(namespaces.BATCH_EVENTS_CHANNEL, namespaces.CHART_EVENTS_CHANNEL, self._mark)
        for _ in range(3):
            assert (await pubsub.get_message(timeout=10) or {}).get("type") == "subscribe"
        return pubsub

    async def _listen(self, pubsub: Any) -> None:
        try:
            while True:
                try:
                    self._take(await pubsub.get_message(timeout=None))
                except AWAY:
                    self.gaps += 1
                    await pubsub.aclose()
                    pubsub = await self._subscribe_again()
        finally:
            await pubsub.aclose()

    async def _subscribe_again(self) -> Any:
        while True:
            with suppress(*AWAY):
                return await self._subscribe()
            await asyncio.sleep(POLL_S)

    def _take(self, message: dict[str, Any] | None) -> None:
        match message:
            case {"type": "message", "channel": namespaces.BATCH_EVENTS_CHANNEL, "data": data}:
                message_body = json.loads(data)
                self.counts[
                    namespaces.build(namespaces.BATCH, message_body["batchId"]), message_body["inputDigest"]
                ] += 1
            case {"type": "message", "channel": namespaces.CHART_EVENTS_CHANNEL, "data": data}:
                message_body = json.loads(data)
                key = namespaces.build(namespaces.CHART_DATA, message_body["chartId"], message_body["dataType"])
                self.counts[key, message_body["sourceDigest"]] += 1
            case {"type": "message"}:
                self._marked.put_nowait(None)


def check_commits(traffic: Traffic, counter: CommitCounter, *, flushed: bool = False) -> None:
    """Check that every present content was committed exactly once, every earlier one at most once, and nothing else.

    With `flushed`, an earlier chart may have been committed twice: a flush removes the cache that shows the first time.
    If the counter lost its subscription it may have missed commits: then only "at most once" is checked.
    """
    written = {(key, digest) for key, digests in traffic.contents.items() for digest in digests}
    present = set(traffic.live.items())
    wrong = [
        (content, times)
        for content, times in counter.counts.items()
        if content not in written or times > (2 if flushed and content not in present and b"chart" in content[0] else 1)
    ]
    if not counter.gaps:
        wrong += [(content, 0) for content in traffic.live.items() if content not in counter.counts]
    assert not wrong, f"{len(wrong)} contents were not committed once: {wrong[:10]}"


@cache
def _records(number: int) -> str:
    rows = [
        {"timestamp": f"2026-01-01T00:00:{index % 60:02}Z", "data": {METRIC: index / 1000}} for index in range(number)
    ]
    return json.dumps(rows, separators=(",", ":"))


def _digest(value: bytes) -> str:
    """SHA-1 in hex, as the app's scripts compute it."""
    return hashlib.sha1(value, usedforsecurity=False).hexdigest()


def _effect_key(key: bytes) -> bytes:
    if parts := namespaces.parts_of(namespaces.BATCH, key):
        return namespaces.build(namespaces.RESULT, *parts)
    return namespaces.build(namespaces.CHART_CACHE, *(namespaces.parts_of(namespaces.CHART_DATA, key) or ()))


def _effect_digest(effect: bytes | None) -> str | None:
    """The digest of the content that a result or a fresh cache is for; None for no effect or a stale cache."""
    document = json.loads(effect) if effect else {}
    if document.get("stale"):
        return None
    digest: str | None = document.get("inputDigest") or document.get("sourceDigest")
    return digest
