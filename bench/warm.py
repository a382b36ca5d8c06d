"""Charts kept warm: 1,000 charts with a source and a TTL of 60 s, read all the time like a dashboard does.

The source is a server of this process, so its CPU time is not counted; it answers with 200 points at once.
"""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web
from redis.asyncio import Redis

from bench.hosts import fresh_redis, ready_hosts, redis_cpu_s, rss_mb, until
from bench.processes import cpu_s, still
from bench.trial import Figures, Plan, Size, Trial
from shared import namespaces

CHARTS = {Size.FULL: 1000, Size.QUICK: 50}
TTL_S = {Size.FULL: 60.0, Size.QUICK: 4.0}
WATCHED_S = {Size.FULL: 180.0, Size.QUICK: 8.0}
"""Three or two TTLs."""
POINTS = 200
READ_EVERY_S = 0.01
_T0 = 1_767_225_600_000


def trials(plan: Plan) -> list[Trial]:
    count, ttl_s, watched_s = CHARTS[plan.size], TTL_S[plan.size], WATCHED_S[plan.size]
    return [plan.hosted("warm", "app", f"charts={count}", partial(keep_warm, count, ttl_s, watched_s), runs=1)]


async def keep_warm(count: int, ttl_s: float, watched_s: float, *, overhead_ms: float) -> Figures:
    """Requests to the source, CPU of host and Redis, and the share of reads of a random chart that found it."""
    names = [f"bench-{number}:realtime" for number in range(count)]
    async with fresh_redis() as (server, client), source() as (port, requests):
        environment = {
            "CHART_SOURCES": json.dumps(
                [
                    {
                        "match": "bench-*",
                        "url": f"http://127.0.0.1:{port}/{{chartId}}/{{dataType}}",
                        "ttl_s": ttl_s,
                        "refresh_ahead_s": ttl_s / 6,
                    }
                ]
            ),
            "CHART_SOURCE_HOSTS": "127.0.0.1",
        }
        async with ready_hosts("app", server, environment=environment, overhead_ms=overhead_ms) as hosts:
            await still(hosts)
            now_ms = time.time() * 1000
            await client.zadd(namespaces.build(namespaces.CHART_INTEREST), dict.fromkeys(names, now_ms))
            keys = [namespaces.CHART_DATA.prefix + name.encode() for name in names]
            await until(partial(_all_exist, client, keys), hosts, poll_s=0.1)
            await asyncio.sleep(ttl_s)  # until the first wave of refreshes, which came together, is spread
            began_s, cpu, redis, asked = time.monotonic(), cpu_s(hosts), await redis_cpu_s(client), len(requests)
            found = await _reads(client, keys, watched_s)
            took_s = time.monotonic() - began_s
            return {
                "requests_per_min": (len(requests) - asked) * 60 / took_s,
                "found_percent": 100 * sum(found) / len(found),
                "host_cpu_percent": 100 * (cpu_s(hosts) - cpu) / took_s,
                "redis_cpu_percent": 100 * (await redis_cpu_s(client) - redis) / took_s,
                "rss_mb": rss_mb(hosts[0]),
            }


async def _all_exist(client: Redis, keys: list[bytes]) -> bool:
    return int(await client.exists(*keys)) == len(keys)


async def _reads(client: Redis, keys: list[bytes], watched_s: float) -> list[bool]:
    chance, found, end_s = random.Random(17), [], time.monotonic() + watched_s
    while time.monotonic() < end_s:
        found.append(bool(await client.exists(chance.choice(keys))))
        await asyncio.sleep(READ_EVERY_S)
    return found


@asynccontextmanager
async def source() -> AsyncIterator[tuple[int, list[str]]]:
    """A source of charts; its port, and the paths of its requests so far."""
    requests: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        requests.append(request.path)
        value = len(requests) % 97
        return web.json_response([{"timestamp": _T0 + 1000 * row, "flow": row + value} for row in range(POINTS)])

    app = web.Application()
    app.router.add_get("/{chart}/{kind}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1], requests
    finally:
        await runner.cleanup()
