"""A chart with a source is fetched and cached although Redis refuses any command of any script of that for a while.

As test_refused_commands.py, for the scripts of the refresh: what a process took is taken again when its lease ends.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator

import msgspec
import pytest
import redis.asyncio
from fastapi import Request, Response
from redis.exceptions import RedisError

from shared.app import open_app
from shared.charts import reactor as charts
from shared.charts import refresh
from shared.charts.refresher import Refresher
from shared.delivery.reconcile import reconcile
from shared.registry import CHARTS
from shared.settings import Settings
from shared.sources import config
from tests.guarantees.test_refused_commands import COMMANDS, DENIED_CALLS, FULL, REFRESHING, WRITING, Denying
from tests.support.causes import cause
from tests.support.chart_source import ChartSource, serving

KEY = b"fabric:data:chart:c:d"
CACHE = b"fabric:cache:chart:c:d"
PAIRS = [(script, command) for script in sorted(REFRESHING) for command in sorted(COMMANDS[script] & WRITING)]
PAIRS += [(script, FULL) for script in sorted(REFRESHING)]
USUAL = {("end_refresh", "SET"), ("end_refresh", "HSET"), ("begin_refresh", "HSET"), ("take_refreshes", "ZADD")}
"""Those that every run tries; the others with --soak."""


@pytest.fixture
async def source() -> AsyncIterator[ChartSource]:
    source = ChartSource()
    async with serving(source.app) as source.port:
        yield source


@pytest.mark.parametrize(("script", "command"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
async def test_a_chart_is_fetched_in_the_end(
    app_settings: Settings,
    redis_client: redis.asyncio.Redis,
    source: ChartSource,
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
    script: str,
    command: str,
) -> None:
    if (script, command) not in USUAL and not pytestconfig.getoption("--soak"):
        pytest.skip("with --soak")
    monkeypatch.setattr(config, "LEASE_MARGIN_MS", 0)
    failures = [500] * 4

    async def answer(request: Request, *ids: str) -> Response:  # so that all scripts are used
        return Response(status_code=failures.pop()) if failures else await source.rows(request, *ids)

    source.answer = answer
    await redis_client.execute_command("ACL", "SETUSER", "limited", "on", "nopass", "~*", "&*", "+@all")
    entry = {"match": "*", "url": source.url, "ttl_s": 60, "timeout_s": 0.4}
    settings = msgspec.structs.replace(
        app_settings,
        redis=f"{app_settings.redis},user=limited,password=any",
        chart_sources=json.dumps([entry]),
        chart_source_hosts="127.0.0.1",
        retry_base_s=0.01,
        retry_cap_s=0.01,
    )
    app = Denying(settings, open_app(settings).redis, admin=redis_client, denied_in=script, command=command)
    refresher = Refresher()
    await redis_client.set(KEY, json.dumps([{"t": 1_767_225_600_000, "v": 7}]), px=100)
    refresher.look_after(lambda: app)
    try:
        await fetched_in_the_end(app, redis_client, script)
    finally:
        await refresher.stop(app)
        await refresh.close(app)
        await app.redis.aclose()
    for key in await redis_client.keys("functions:charts:*"):
        assert await redis_client.ttl(key) > 0, f"{key!r} stays for ever"


async def fetched_in_the_end(app: Denying, redis_client: redis.asyncio.Redis, script: str) -> None:
    deadline_s = time.monotonic() + 15
    while b'"last":1.0' not in (await redis_client.get(CACHE) or b"") or app.denied[script] < DENIED_CALLS:
        assert time.monotonic() < deadline_s, app.denied
        with contextlib.suppress(RedisError):  # the command is denied to every script meanwhile
            await reconcile(app, [CHARTS], budget_s=1, anew=True)
        if app.denied[script] < DENIED_CALLS:  # once more, until the script was used often enough
            await redis_client.delete(KEY)
            await charts.react(app, [KEY], cause("expired"))
        await asyncio.sleep(0.1)
