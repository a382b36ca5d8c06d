"""Several worker processes: each message goes to one of them in turn, one at a time for each function."""

import asyncio
import json
import os
import signal
from itertools import pairwise

import aiohttp
import pytest

from local.host.host import Host, HostStartError, Invocation

PLACES = """
    import json, os, time
    import redis

    client = redis.Redis(port=int(os.environ["Redis"].partition(":")[2].partition(",")[0]))

    @on("__keyspace@0__:first:*")
    async def first(message: str):
        began_s = time.monotonic()
        await asyncio.sleep(0.001)
        client.rpush("log", json.dumps([os.getpid(), json.loads(message)["Channel"][-2:], began_s, time.monotonic()]))

    @app.route("who", auth_level=func.AuthLevel.ANONYMOUS)
    def who(req: func.HttpRequest) -> func.HttpResponse:
        number = os.environ["FUNCTIONS_WORKER_PROCESS_COUNT"]
        return func.HttpResponse(f"{os.getpid()} {req.params['name']} {number}", headers={"X-Name": "a"})
"""


async def test_messages_and_requests_go_to_the_processes_in_turn_and_a_killed_one_fails_its_invocations_only(
    make_app, redis_client
) -> None:
    ended: list[Invocation] = []
    async with (
        Host(make_app(PLACES), http_port=0, workers=2, on_invocation=ended.append) as host,
        aiohttp.ClientSession(f"{host.url}/api/") as session,
    ):
        for number in range(10, 30):
            await redis_client.set(f"first:{number}", "")
        await host.drained()
        calls = [json.loads(line) for line in await redis_client.lrange("log", 0, -1)]
        assert [key for _, key, _, _ in calls] == [str(number) for number in range(10, 30)]
        processes = [process for process, _, _, _ in calls]
        assert processes == processes[:2] * 10
        assert len({*processes[:2], os.getpid()}) == 3
        assert all(before[3] <= after[2] for before, after in pairwise(calls))
        for process in processes[:2]:
            async with session.get("who", params={"name": "b"}) as response:
                assert (await response.text(), response.headers["X-Name"]) == (f"{process} b 2", "a")
        os.kill(processes[0], signal.SIGKILL)
        async with asyncio.timeout(10):
            await host._worker._connections[0].reading
        for key in ("a1", "a2"):
            await redis_client.set(f"first:{key}", "")
        await host.drained()
        assert await redis_client.llen("log") == len(calls) + 1
    assert [invocation.error for invocation in ended if not invocation.ok] == ["the worker process has ended"]


async def test_an_app_that_cannot_be_loaded_ends_the_start_with_the_workers_text(make_app) -> None:
    with pytest.raises(HostStartError, match="no such thing"):
        async with Host(make_app("raise ValueError('no such thing')"), http_port=0, workers=2):
            pass
