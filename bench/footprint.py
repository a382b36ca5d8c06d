"""Cold start; CPU and memory of an idle host, without keys and beside many."""

import asyncio
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable
from functools import partial
from itertools import chain, islice
from time import perf_counter

from bench import charts, sessions, work
from bench.hosts import (
    Write,
    fill_foreign,
    fresh_redis,
    is_paced,
    longest_command,
    ready_hosts,
    redis_cpu_s,
    rss_mb,
    until,
    watched,
)
from bench.processes import cpu_s, still
from bench.results import ROOT
from bench.trial import Figures, Plan, Size, Trial
from local.run.servers import RedisServer
from shared import namespaces
from shared.app import open_app
from shared.delivery.reconcile import reconcile
from shared.registry import REACTORS
from shared.settings import Settings

FOLDERS = {"app": ROOT, "naive": ROOT / "bench" / "naive"}
IMPORTS = {Size.FULL: 7, Size.QUICK: 3}
STARTS = {Size.FULL: 3, Size.QUICK: 1}
IDLE_S = {Size.FULL: 20.0, Size.QUICK: 4.0}
REST_S = {Size.FULL: 60.0, Size.QUICK: 6.0}
"""Long enough for a dozen slices of the sweep."""
SETTLE_S = {Size.FULL: 10.0, Size.QUICK: 0.0}
KEYS_AT_REST = {
    Size.FULL: (("sessions", 100_000), ("batches", 50_000), ("foreign", 1_000_000), ("foreign", 5_000_000)),
    Size.QUICK: (("sessions", 500), ("batches", 500), ("foreign", 5_000)),
}
_AT_ONCE = 10_000
_IMPORT = """
import time
began_s = time.perf_counter()
import function_app
print(time.perf_counter() - began_s)
"""


def trials(plan: Plan) -> list[Trial]:
    size = plan.size
    return [
        *(plan.hosted("cold-start", name, "", partial(start_cold, name, size)) for name in FOLDERS),
        *(plan.hosted("idle", name, "", partial(stay_idle, name, IDLE_S[size]), runs=1) for name in FOLDERS),
        *(
            plan.hosted("rest", "app", f"{kind}={count}", partial(rest, kind, count, size), runs=1)
            for kind, count in KEYS_AT_REST[size]
        ),
    ]


async def start_cold(consumer: str, size: Size, *, overhead_ms: float) -> Figures:
    """Import time of function_app in new processes, after one that compiled the modules; and time from the first write
    to its result in hosts that have just become ready."""
    async with fresh_redis() as (server, client):
        imports_ms = [await asyncio.to_thread(_import_ms, consumer, server) for _ in range(IMPORTS[size] + 1)][1:]
        first_events_ms = []
        for number in range(STARTS[size]):
            content = work.batch(number)
            async with (
                watched(client, namespaces.RESULT.prefix) as result,
                ready_hosts(consumer, server, overhead_ms=overhead_ms, environment={}),
            ):
                began_s = perf_counter()
                await client.set(work.batch_key(number), content, ex=namespaces.TEMP_DATA_TTL_S)
                first_events_ms.append((await result() - began_s) * 1000)
    return {"import_ms": statistics.median(imports_ms), "first_event_ms": statistics.median(first_events_ms)}


def _import_ms(consumer: str, server: RedisServer) -> float:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    run = subprocess.run(
        [sys.executable, "-c", _IMPORT],
        cwd=FOLDERS[consumer],
        env=environment | {"Redis": f"{server.host}:{server.port}", "AzureWebJobsStorage": "", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(run.stdout) * 1000


async def stay_idle(consumer: str, seconds: float, *, overhead_ms: float) -> Figures:
    """CPU and memory of a host without events, with its default schedules; and its memory after an event of each kind,
    which loads all modules."""
    async with (
        fresh_redis() as (server, client),
        ready_hosts(consumer, server, overhead_ms=overhead_ms, environment={}) as hosts,
    ):
        await still(hosts)
        before_s, began_s = cpu_s(hosts), perf_counter()
        await asyncio.sleep(seconds)
        busy = (cpu_s(hosts) - before_s) / (perf_counter() - began_s)
        idle_mb = rss_mb(hosts[0])
        await client.mset(dict(chain(work.batches(1), charts.charts(1, charts.POINTS), sessions.created(1))))
        await still(hosts)
        return {"cpu_percent": busy * 100, "rss_mb": idle_mb, "rss_used_mb": rss_mb(hosts[0])}


async def rest(kind: str, count: int, size: Size, *, overhead_ms: float) -> Figures:
    """Share of the time that Redis and a host are busy beside `count` keys whose effects exist, with the default
    schedules; how much the host's memory grows meanwhile; and the length of a pass of the sweep without pauses."""
    async with fresh_redis() as (server, client):
        if kind == "foreign":
            await fill_foreign(client, count)
        contents = iter(_keys(kind, count))
        while part := dict(islice(contents, _AT_ONCE)):
            await client.mset(part)
        async with ready_hosts("app", server, overhead_ms=overhead_ms, environment={}) as hosts:
            for _ in range(2):  # a start is swept for twice, and the second pass begins later
                await until(lambda: is_paced(client), hosts)
                await still(hosts)  # the messages of the writes, too
                await asyncio.sleep(SETTLE_S[size])
            before_s, redis_before_s, began_s = cpu_s(hosts), await redis_cpu_s(client), perf_counter()
            before_mb = rss_mb(hosts[0])
            await asyncio.sleep(REST_S[size])
            took_s = perf_counter() - began_s
            app_s, redis_s = cpu_s(hosts) - before_s, await redis_cpu_s(client) - redis_before_s
            grown_mb = rss_mb(hosts[0]) - before_mb
            longest = await longest_command(client)
        app = open_app(Settings(redis=f"{server.host}:{server.port}"))
        report = await reconcile(app, REACTORS, budget_s=600, anew=True)
        await app.redis.aclose()
    return {
        "redis_percent": redis_s / took_s * 100,
        "app_percent": app_s / took_s * 100,
        "rss_growth_mb": grown_mb,
        "pass_s": report.duration_s,
        **longest,
    }


def _keys(kind: str, count: int) -> Iterable[Write]:
    match kind:
        case "sessions":
            return sessions.created(count)
        case "batches":
            return work.batches(count)
        case _:
            return ()
