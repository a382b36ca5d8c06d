"""Operators are told of a source of charts that is away, and of a user that may not write what is fetched."""

import json
import time

import msgspec
import redis.asyncio

from shared.app import App
from shared.charts.refresh import state_key
from shared.operations import health
from shared.operations.doctor import app_state
from shared.operations.doctor.access import check_access
from shared.operations.doctor.findings import Severity
from shared.settings import Settings
from shared.store.connection import open_client

NAMED = "chart source co2-* from https://api.example.com is away"


def with_sources(settings: Settings) -> Settings:
    entries = [{"match": glob, "url": "https://api.example.com/x"} for glob in ("co2-*", "plant-*")]
    return msgspec.structs.replace(
        settings, chart_sources=json.dumps(entries), chart_source_hosts="api.example.com", storage="none"
    )


async def test_a_source_that_is_away_degrades_health_and_is_a_finding_until_it_answers(
    app_settings: Settings, redis_client: redis.asyncio.Redis
) -> None:
    app = App(with_sources(app_settings), redis_client)
    name = state_key(app.settings.sources.entries[0])
    now_ms = round(time.time() * 1000)
    states = [
        ({"failures": 5, "closed": now_ms + 9000, "error": "HTTP 500"}, f"{NAMED} (HTTP 500)"),
        ({"failures": 7, "closed": now_ms - 10, "error": "HTTP 500"}, f"{NAMED} (HTTP 500)"),  # between two trials
        ({"failures": 1, "closed": now_ms + 9000, "error": "HTTP 429"}, f"{NAMED} (HTTP 429)"),
        ({"failures": 2, "closed": 0, "error": "HTTP 500"}, None),  # not yet
        ({"failures": 0, "closed": now_ms - 10, "ok": now_ms}, None),
    ]
    for state, expected in states:
        await redis_client.delete(name)
        await redis_client.hset(name, mapping={"v": "1"} | state)
        reasons = [reason for reason in (await health.check_app(app)).reasons if "source" in reason]
        (finding,) = await app_state.check_sources(app)
        assert reasons == ([expected] if expected else [])
        assert finding.severity is (Severity.WARNING if expected else Severity.OK)
        assert finding.found == (expected or "2 sources, none away")


async def test_without_sources_nothing_is_said_of_them(app: App) -> None:
    assert await app_state.check_sources(app) == []


async def test_a_user_that_may_only_read_charts_is_a_finding_where_charts_are_fetched(
    app_settings: Settings, redis_client: redis.asyncio.Redis
) -> None:
    rules = ("on", "nopass", "+@all", "allchannels", "resetkeys", "%R~fabric:data:chart:*")
    others = ("fastapi:*", "nextauth:*", "fabric:cache:*", "fabric:user:*", "functions:*")
    await redis_client.execute_command("ACL", "SETUSER", "reader", *rules, *(f"~{pattern}" for pattern in others))
    settings = msgspec.structs.replace(app_settings, redis=f"{app_settings.redis},user=reader,password=any")
    client = open_client(settings.redis_options)
    try:
        (without,) = await check_access(client, settings)
        (fetching,) = await check_access(client, with_sources(settings))
    finally:
        await client.aclose()
        await redis_client.execute_command("ACL", "DELUSER", "reader")
    assert without.severity is Severity.OK
    assert (fetching.severity, fetching.found) == (
        Severity.ERROR,
        "user 'reader' is refused: keys fabric:data:chart:*",
    )
