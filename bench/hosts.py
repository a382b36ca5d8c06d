"""Helpers of the experiments on function apps: Redis, hosts, writes, time and CPU."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import batched
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

from redis.asyncio import Redis

from bench.consumers import CONSUMERS, NO_SWEEP, consuming
from bench.processes import Child, cpu_s, still
from bench.trial import Figures
from local.run.servers import RedisServer, redis_server
from shared import namespaces
from shared.operations.notification_flags import REQUIRED
from shared.store.connection import ConnectionOptions

TIMEOUT_S = 300.0
POLL_S = 0.005
_WRITE_BYTES = 1_000_000
_KEYS_AT_ONCE = 500
_SLOW_US = 500
_LOGGED = 1_000_000
_SWEEP = namespaces.build(namespaces.SWEEP)
_FOREIGN_AT_ONCE = 10_000
_WRITE_FOREIGN = """
for number = tonumber(ARGV[1]), tonumber(ARGV[2]) - 1 do
  redis.call('SET', 'nextauth:user:bench-' .. number, '{"name":"bench","email":"bench@example.com"}')
end
"""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

type Write = tuple[bytes, bytes]
"""A key and its new value."""


@dataclass
class Meter:
    """Measures time and CPU from its start on. Its fields are the clock and the CPU times at the start, in s."""

    client: Redis
    _children: Sequence[Child]
    _started_s: float
    _cpu_s: float
    _redis_s: float

    @classmethod
    async def start(cls, client: Redis, children: Sequence[Child]) -> "Meter":
        redis_s = await redis_cpu_s(client)
        return cls(client, children, monotonic(), cpu_s(children), redis_s)

    @property
    def cpu_us(self) -> float:
        """CPU time of the processes since the start."""
        return (cpu_s(self._children) - self._cpu_s) * 1e6

    async def read(self, events: int, ended_s: float | None = None) -> dict[str, float]:
        """The figures of `events` events until now, or until `ended_s` of the monotonic clock."""
        took_s, cpu_us = (ended_s or monotonic()) - self._started_s, self.cpu_us
        redis_s = await redis_cpu_s(self.client) - self._redis_s
        return {
            "events_per_s": events / took_s,
            "cpu_us_per_event": cpu_us / events,
            "redis_us_per_event": redis_s * 1e6 / events,
        }


async def redis_cpu_s(client: Redis) -> float:
    """CPU time of the Redis server since its start."""
    info = await client.info("cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])


@asynccontextmanager
async def fresh_redis() -> AsyncIterator[tuple[RedisServer, Redis]]:
    """An empty Redis with notifications, and a client. It logs commands that take longer than _SLOW_US."""
    async with redis_server(REQUIRED) as server, Redis(host=server.host, port=server.port) as client:
        await client.config_set("slowlog-log-slower-than", _SLOW_US)
        await client.config_set("slowlog-max-len", _LOGGED)
        yield server, client


async def longest_command(client: Redis) -> dict[str, float]:
    """The figure `longest_command_ms`: the longest time that a command of the app blocked Redis, since the start of the
    server; no figure if no command took longer than _SLOW_US."""
    slow: list[dict[str, Any]] = await client.slowlog_get(_LOGGED)
    name = ConnectionOptions.client_name.encode()
    by_app = [command["duration"] for command in slow if command["client_name"].startswith(name)]
    return {"longest_command_ms": max(by_app) / 1000} if by_app else {}


async def fill_foreign(client: Redis, count: int) -> None:
    """Write `count` keys of another application: about 100 bytes each, with the reactors' patterns in no name."""
    for start in range(0, count, _FOREIGN_AT_ONCE):
        await client.eval(_WRITE_FOREIGN, 0, start, min(start + _FOREIGN_AT_ONCE, count))


async def is_paced(client: Redis) -> bool:
    """Whether a pass is complete and none without pauses is in progress."""
    complete, position = await client.hmget(_SWEEP, ["ended_ms", "position"])
    return complete is not None and b'"urgent":true' not in (position or b"")


@asynccontextmanager
async def ready_hosts(
    consumer: str,
    server: RedisServer,
    number: int = 1,
    *,
    overhead_ms: float,
    arguments: Sequence[str] = (),
    environment: dict[str, str] = NO_SWEEP,
) -> AsyncIterator[Sequence[Child]]:
    """Hosts of the app or of the naive functions, ready for events. Raises ChildError."""
    async with consuming(
        CONSUMERS[consumer], server, number, overhead_ms=overhead_ms, arguments=arguments, environment=environment
    ) as children:
        await asyncio.gather(*(child.ready() for child in children))
        yield children


async def write(client: Redis, writes: Iterable[Write], *, ttl_s: int | None) -> None:
    """Write as clients do, in pipelines of about 1 MB. Without `ttl_s`, a key keeps its TTL."""
    pipeline, waiting_bytes = client.pipeline(transaction=False), 0
    for key, content in writes:
        pipeline.set(key, content, ex=ttl_s, keepttl=ttl_s is None)
        waiting_bytes += len(content)
        if waiting_bytes >= _WRITE_BYTES:
            await pipeline.execute()
            waiting_bytes = 0
    await pipeline.execute()


async def until(
    done: Callable[[], Awaitable[object]],
    hosts: Sequence[Child],
    *,
    poll_s: float = POLL_S,
    timeout_s: float = TIMEOUT_S,
) -> None:
    """Wait until `done` returns something true. Raises TimeoutError, and ChildError for a host that ended."""
    async with asyncio.timeout(timeout_s):
        while not await done():
            for host in hosts:
                await host.must_run()
            await asyncio.sleep(poll_s)


async def until_all_exist(client: Redis, keys: Sequence[bytes], hosts: Sequence[Child], *, total: int) -> None:
    """Wait until all of `keys` exist. Checks each about once, and only when the database has `total` keys, which is a
    cheap command: EXISTS takes time of Redis."""

    async def enough() -> bool:
        return int(await client.dbsize()) >= total

    async def exist(page: Sequence[bytes]) -> bool:
        return int(await client.exists(*page)) == len(page)

    await until(enough, hosts)
    for page in batched(keys, _KEYS_AT_ONCE, strict=False):
        await until(partial(exist, page), hosts)


async def figures_of(meter: Meter, events: int, hosts: Sequence[Child]) -> Figures:
    """The figures until now, when the last event has its effect, and the CPU time until the hosts are idle."""
    figures = await meter.read(events)
    await still(hosts)
    drained = {"cpu_us_per_event_drained": meter.cpu_us / events}
    return {**figures, **drained, **await longest_command(meter.client)}


@asynccontextmanager
async def watched(client: Redis, prefix: bytes) -> AsyncIterator[Callable[[], Awaitable[float]]]:
    """A function that waits for the next `set` event of a key with this prefix, and returns its time (perf_counter)."""
    async with client.pubsub() as channel:
        await channel.psubscribe(b"__keyspace@0__:" + prefix + b"*")
        await channel.get_message(timeout=TIMEOUT_S)

        async def next_event() -> float:
            async with asyncio.timeout(TIMEOUT_S):
                while True:
                    message = await channel.get_message(ignore_subscribe_messages=True, timeout=None)
                    if message is not None and message["data"] == b"set":
                        return perf_counter()

        yield next_event


def rss_mb(host: Child) -> float:
    """Resident memory of a host, in 10^6 bytes."""
    pages = Path(f"/proc/{host.pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * _PAGE_BYTES / 1e6
