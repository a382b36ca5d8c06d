"""Health tells whether events can flow, and why not."""

from typing import Any

import msgspec
import pytest
import redis.asyncio

from local.run.servers import free_port
from shared.app import App, open_app
from shared.delivery import dead_letters
from shared.errors import Rejected
from shared.operations import health
from shared.operations.notification_flags import REQUIRED, missing_flags
from shared.settings import Settings
from shared.store.connection import open_client, parse_connection_string


@pytest.mark.parametrize("flags", [REQUIRED, "KA", "AK", "AKE", "g$lshzxeK", "K$ghlxem"])
def test_sufficient_flags_miss_nothing(flags: str) -> None:
    assert missing_flags(flags) == ()


@pytest.mark.parametrize("flags", ["Ex", "xE", "E", "AE", "g$"])
def test_flags_without_keyspace_channels_deliver_nothing(flags: str) -> None:
    (found,) = missing_flags(flags)
    assert "delivers no event" in found
    assert REQUIRED in found


def test_no_flags_at_all_are_named() -> None:
    (found,) = missing_flags("")
    assert "off" in found


def test_each_missing_class_is_named_with_what_it_is_for() -> None:
    found = missing_flags("K$h")
    assert [sentence[0] for sentence in found] == ["g", "l", "x", "e"]
    assert "expired" in found[2]


async def test_a_server_that_notifies_is_ok(redis_client: redis.asyncio.Redis) -> None:
    found = await health.check(redis_client)
    assert found.status == "ok"
    assert found.reasons == ()
    assert found.redis_round_trip_ms is not None
    assert set(found.notify_keyspace_events or "") == set(REQUIRED)


async def test_a_server_that_is_away_is_failed_and_its_reason_holds_no_password() -> None:
    client = open_client(parse_connection_string(f"127.0.0.1:{free_port()},password=hunter2"))
    found = await health.check(client)
    await client.aclose()
    assert found.status == "failed"
    assert found.redis_round_trip_ms is None
    assert "hunter2" not in str(found.as_dict())
    assert "does not answer" in found.reasons[0]


async def test_a_server_that_hides_its_flags_is_ok_and_says_so(
    redis_client: redis.asyncio.Redis, redis_port: int
) -> None:
    """As Azure Cache for Redis does."""
    name = "no-config"
    await redis_client.acl_setuser(name, enabled=True, nopass=True, commands=["+@all", "-config"], keys=["*"])
    client = redis.asyncio.Redis(port=redis_port, username=name, password="any")
    found = await health.check(client)
    await client.aclose()
    await redis_client.acl_deluser(name)
    assert found.status == "ok"
    assert found.notify_keyspace_events is None
    assert "flags" in found.reasons[0]


async def test_an_app_with_nothing_waiting_is_ok_and_says_what_it_looked_at(app: App) -> None:
    found = await health.check_app(configured(app))
    assert (found.status, found.reasons) == ("ok", ())
    assert found.as_dict()["retries"] == {"waiting": 0}
    assert found.as_dict()["deadLetters"] == {"count": 0, "bytes": 0, "dropped": 0}
    assert found.as_dict()["sweep"] is None
    assert found.as_dict()["audit"]["pending"] == 0


async def test_without_a_storage_account_health_is_degraded(app: App) -> None:
    found = await health.check_app(app)
    assert found.status == "degraded"
    assert found.reasons == ("AzureWebJobsStorage is not set: audit records stay in Redis",)


async def test_each_thing_that_piles_up_degrades_health_with_its_reason(app: App) -> None:
    app = configured(app, dead_letters_max=1, audit_buffer=1000)
    now_s, _ = await app.redis.time()
    await app.redis.zadd("functions:retry:due", {f"batches\0{number}": 0 for number in range(1001)})
    for number in range(2):
        await dead_letters.bury(app, "batches", b"fastapi:temp:data:%d" % number, Rejected("x"), None)
    ended = {"ended_ms": (now_s - 700) * 1000, "duration_ms": 1, "found": '{"seen":1,"outcomes":{}}'}
    await app.redis.hset("functions:sweep", mapping=ended)
    await app.redis.hset("functions:audit:state", mapping={"appended": 950, "error": "ServiceRequestError"})
    pipeline = app.redis.pipeline()
    for number in range(950):
        pipeline.xadd("functions:audit:sessions", {"event": "{}", "n": str(number + 1)})
    await pipeline.execute()
    found = await health.check_app(app)
    assert found.status == "degraded"
    waiting, dropped, late, away, full = found.reasons
    assert waiting == "1001 keys wait for a retry"
    assert dropped.startswith("1 dead letters were dropped")
    assert late.startswith("the last sweep ended 70")
    assert away == "audit records cannot be written to storage: ServiceRequestError; 950 wait in Redis"
    assert "950 audit records wait in Redis, which keeps 1000" in full


@pytest.mark.parametrize("key", ["functions:sweep", "functions:audit:state", "functions:audit:sessions"])
async def test_another_application_s_value_degrades_health_and_hides_nothing_else(app: App, key: str) -> None:
    await app.redis.set(key, "another application's")
    await app.redis.zadd("functions:retry:due", {f"batches\0{number}": 0 for number in range(1001)})
    found = await health.check_app(configured(app))
    assert found.status == "degraded"
    refused, waiting = found.reasons
    assert refused.startswith("Redis refuses to read the ")
    assert waiting == "1001 keys wait for a retry"


@pytest.mark.parametrize("ended_ms", ["9" * 400, "-", "\xff"])
async def test_a_sweep_that_no_app_wrote_is_none(app: App, ended_ms: str) -> None:
    state = {"ended_ms": ended_ms, "duration_ms": "1", "found": '{"seen":1,"outcomes":{}}'}
    await app.redis.hset("functions:sweep", mapping=state)
    assert (await health.check_app(configured(app))).as_dict()["sweep"] is None


async def test_a_redis_that_takes_no_writes_fails_the_app(app: App) -> None:
    await app.redis.config_set("maxmemory", 1)
    try:
        found = await health.check_app(configured(app))
    finally:
        await app.redis.config_set("maxmemory", 0)
    assert (found.status, found.reasons) == ("failed", ("Redis takes no writes: OutOfMemoryError",))
    await app.redis.replicaof("127.0.0.1", str(free_port()))
    try:
        found = await health.check_app(configured(app))
    finally:
        await app.redis.replicaof("NO", "ONE")
    assert (found.status, found.reasons[0]) == ("failed", "Redis takes no writes: ReadOnlyError")
    assert (await health.check_app(configured(app))).status == "ok"


@pytest.mark.parametrize(("age_s", "status"), [(0, "ok"), (540, "ok"), (700, "degraded")])
async def test_records_that_no_export_ever_took_are_late_once_the_oldest_waits_too_long(
    app: App, age_s: int, status: str
) -> None:
    now_s, _ = await app.redis.time()
    await app.redis.hset("functions:audit:state", "appended", 2)
    await app.redis.xadd("functions:audit:sessions", {"event": "{}", "n": "1"}, id=f"{(now_s - age_s) * 1000}-0")
    await app.redis.xadd("functions:audit:sessions", {"event": "{}", "n": "2"})
    found = await health.check_app(configured(app))
    assert found.status == status
    if status == "degraded":
        (late,) = found.reasons
        assert late.startswith("2 audit records wait; there was no export yet, the oldest is from 70")


async def test_a_server_that_is_away_fails_the_app(app_settings: Settings) -> None:
    context = open_app(msgspec.structs.replace(app_settings, redis=f"127.0.0.1:{free_port()}"))
    found = await health.check_app(context)
    await context.redis.aclose()
    assert found.status == "failed"
    assert "does not answer" in found.reasons[0]


def configured(app: App, **changes: Any) -> App:
    """The same app with a storage account, which these tests do not reach."""
    return App(msgspec.structs.replace(app.settings, storage="UseDevelopmentStorage=true", **changes), app.redis)
