"""Holds the local host to the real one: `python -m local.compare_hosts` runs the same traffic on both.

Prints what differs and exits with 1 if anything does. Needs Azure Functions Core Tools (`func`) on PATH; `--hosts local
local` compares the local host with itself.
"""

import argparse
import asyncio
import gzip
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aiohttp
from redis.asyncio import Redis

from local.host import event_loop
from local.host.app_settings import load_app_settings
from local.repo.bootstrap import ROOT
from local.run import servers
from local.run.hosts import StartError, func_host, local_host, until_ready
from local.run.servers import LOCALHOST, ServerError
from shared.operations.notification_flags import REQUIRED
from shared.store.connection_setting import variables

HOSTS = {"local": local_host, "func": func_host}
READY_TIMEOUT_S = 120.0
EFFECT_TIMEOUT_S = 20.0
KEY = "a-key-of-this-comparison"
RECORDS = [{"timestamp": f"2026-01-01T00:00:{n:02}Z", "data": {"co2": 1 + n / 100, "temp": 24}} for n in range(20)]
ROWS = [{"timestamp": 1_767_225_600_000 + 1000 * n, "co2Flow": n / 10} for n in range(200)]
SESSION = {"userId": "u-1", "expires": "2036-01-01T00:00:00.000Z"}
# Without "/": there the real host shows a page of its own.
REQUESTS = (
    *(("GET", path) for path in ("/api/health", "/API/Health", "/api/health/", "/api/health/details", "/api/nothing")),
    *((method, "/api/health") for method in ("HEAD", "OPTIONS", "POST", "DELETE")),
    *(("GET", path) for path in ("/api/openapi.json", "/api/stats", "/api/stats?minutes=x", "/api/debug/session")),
    *(("GET", path) for path in ("/api/monitor", "/api/monitor/data", "/api/monitor/none.js", "/api/monitor/..%2Fx")),
    *(("GET", path) for path in ("/api/events/dead", "/api/events/dead/none", "/api/events/dead/a%2Fb")),
    *(("GET", path) for path in ("/api/%68ealth", "/api/charts/a%2Fb%20c/d", "/api/charts/a/b/c", "/api/charts/")),
    *(("POST", path) for path in ("/api/events/dead/none/replay", "/api/events/dead/none/discard")),
)
_VOLATILE = re.compile(r"(At|Ms|_ms|_s|revision|id|time|source|analysisTime|windowStart|generation)$")


@dataclass(frozen=True)
class Site:
    url: str
    redis: Redis

    async def wait[T](self, look: Callable[[], Awaitable[T | None]]) -> T | None:
        """What `look` returns, once that is not None; None after EFFECT_TIMEOUT_S. Looks only, so that it works on any
        host."""
        for _ in range(int(EFFECT_TIMEOUT_S / 0.02)):
            if (seen := await look()) is not None:
                return seen
            await asyncio.sleep(0.02)
        return None


async def observe(site: Site) -> dict[str, Any]:
    """What a client sees of the app on this host, by name, without what differs between two runs."""
    seen = await _effects(site)
    async with aiohttp.ClientSession(site.url, headers={"x-functions-key": KEY}) as http:
        for method, path in REQUESTS:
            async with http.request(method, path, allow_redirects=False) as response:
                body = await response.read()
                seen[f"{method} {path}"] = [response.status, response.content_type if body else "empty"]
    return seen


async def _effects(site: Site) -> dict[str, Any]:
    redis = site.redis
    contents: dict[str, bytes] = {
        "records": json.dumps({"batchId": "b", "records": RECORDS}).encode(),
        "lines": "\n".join(map(json.dumps, RECORDS)).encode(),
        "gzip": gzip.compress(json.dumps(RECORDS).encode(), mtime=0),
        "an id *[a]? é": json.dumps(RECORDS).encode(),
        "cut": b'{"records": [',
    }
    for name, content in contents.items():
        await redis.set(f"fastapi:temp:data:{name}", content, ex=3600)
    await redis.set("fabric:data:chart:co2:realtime", json.dumps(ROWS), ex=300)
    await redis.set("nextauth:session:token-1", json.dumps(SESSION), ex=3600)
    seen: dict[str, Any] = {}
    for name in contents.keys() - {"cut"}:
        seen[f"batch {name}"] = await site.wait(lambda name=name: _json(redis, f"fastapi:results:analysis:{name}"))  # type: ignore[misc]
    seen["chart"] = await site.wait(lambda: _json(redis, "fabric:cache:chart:co2:realtime"))
    seen["dead letters"] = await site.wait(lambda: _count(redis, "functions:dead:letters", 1))
    await site.wait(lambda: _records(redis, 1))
    await redis.delete("fabric:data:chart:co2:realtime", "nextauth:session:token-1")
    seen["stale chart"] = await site.wait(lambda: _stale(redis, "fabric:cache:chart:co2:realtime"))
    records = await site.wait(lambda: _records(redis, 2)) or []
    seen["session"] = [[record["type"], record.get("data", {}).get("reason")] for record in records]
    return {name: _steady(value) for name, value in seen.items()}


async def _json(redis: Redis, key: str) -> Any:
    value = await redis.get(key)
    return None if value is None else json.loads(value)


async def _stale(redis: Redis, key: str) -> Any:
    value = await _json(redis, key)
    return value if value and value["stale"] else None


async def _count(redis: Redis, key: str, at_least: int) -> int | None:
    count = int(await redis.hlen(key))
    return count if count >= at_least else None


async def _records(redis: Redis, at_least: int) -> list[Any] | None:
    entries: Any = await redis.xrange("functions:audit:sessions")
    records = [json.loads(fields[b"event"]) for _, fields in entries]
    return records if len(records) >= at_least else None


def _steady(value: Any) -> Any:
    match value:
        case dict():
            return {name: "..." if _VOLATILE.search(name) else _steady(item) for name, item in value.items()}
        case list():
            return [_steady(item) for item in value]
    return value


def differences(first: Any, second: Any, path: str = "") -> Iterator[str]:
    """One line per place in which two JSON values differ."""
    if isinstance(first, dict) and isinstance(second, dict):
        for name in sorted(first.keys() | second.keys()):
            yield from differences(first.get(name), second.get(name), f"{path}/{name}")
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            yield from differences(one, other, f"{path}/{index}")
    elif first != second:
        yield f"{path[1:]}: {json.dumps(first)[:200]} | {json.dumps(second)[:200]}"


async def run_on(kind: str) -> dict[str, Any]:
    """Start the app on a host of this kind, with servers of its own, and observe it.

    Raises StartError or ServerError.
    """
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(servers.redis_server(REQUIRED))
        azurite = await stack.enter_async_context(servers.azurite())
        settings = load_app_settings(ROOT) | os.environ
        environment = settings | {name: "" for name, _ in variables(settings, "Redis")}
        environment |= {
            "Redis": f"{LOCALHOST}:{server.port}",
            "AzureWebJobsStorage": azurite.connection_string if azurite else "",
            "FUNCTIONS_LOCAL_KEY": KEY,
            "DEBUG_ENDPOINT_ENABLED": "true",
        }
        output = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (the stack closes it)
        port = servers.free_port()
        process = await stack.enter_async_context(HOSTS[kind](environment, port, output))
        url = f"http://{LOCALHOST}:{port}"
        await until_ready(f"{url}/api/health", READY_TIMEOUT_S, asyncio.ensure_future(process.wait()))
        redis = await stack.enter_async_context(Redis(port=server.port))
        return await observe(Site(url, redis))


async def compare(kinds: list[str]) -> list[str]:
    """The differences between two kinds of host, a line each."""
    first, second = [await run_on(kind) for kind in kinds]
    return list(differences(first, second))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.compare_hosts", description=__doc__.partition("\n")[0])
    parser.add_argument("--hosts", nargs=2, choices=sorted(HOSTS), default=["local", "func"], help="which to compare")
    kinds: list[str] = parser.parse_args().hosts
    if "func" in kinds and shutil.which("func") is None:
        print("func (Azure Functions Core Tools) is not installed: npm install --global azure-functions-core-tools@4")
        return 2
    try:
        found = event_loop.run(compare(kinds))
    except (StartError, ServerError) as error:
        print(error)
        return 2
    print("\n".join(found) or f"no difference between {kinds[0]} and {kinds[1]}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
