"""Health reports whether events reach the app and work gets done, and the reasons if not."""

from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest
import redis.asyncio
from redis.exceptions import NoPermissionError

from local.run.servers import free_port
from shared import telemetry
from shared.app import App, open_app
from shared.delivery import catch_up, dead_letters
from shared.errors import Rejected
from shared.intake import heartbeat
from shared.intake.intake import Report, Running, State
from shared.operations import health
from shared.operations.doctor import triggers
from shared.operations.notification_flags import REQUIRED, missing_flags, wanted_flags
from shared.settings import Settings
from shared.store.connection import open_client, parse_connection_string


@pytest.mark.parametrize("flags", [REQUIRED, "KA", "AK", "AKE", "g$lshzxeK", "K$ghlxem"])
def test_sufficient_flags_have_no_missing_class(flags: str) -> None:
    assert missing_flags(flags) == ()


@pytest.mark.parametrize("flags", ["Ex", "xE", "E", "AE", "g$"])
def test_flags_without_keyspace_channels_are_reported_as_delivering_no_event(flags: str) -> None:
    (sentence,) = missing_flags(flags)
    assert "delivers no event" in sentence
    assert sentence.endswith(f"Set notify-keyspace-events to {wanted_flags(flags)}")


def test_empty_flags_are_reported_as_off() -> None:
    (sentence,) = missing_flags("")
    assert "off" in sentence


def test_each_missing_class_is_reported_with_its_events() -> None:
    sentences = missing_flags("K$h")
    assert [sentence[0] for sentence in sentences] == ["g", "l", "x", "e"]
    assert "expired" in sentences[2]


async def test_a_server_with_notifications_is_ok(redis_client: redis.asyncio.Redis) -> None:
    report = await health.check(redis_client)
    assert report.status == "ok"
    assert report.reasons == ()
    assert report.redis_round_trip_ms is not None
    assert set(report.notify_keyspace_events or "") == set(REQUIRED)


async def test_an_unreachable_server_is_failed_and_the_reason_contains_no_password() -> None:
    client = open_client(parse_connection_string(f"127.0.0.1:{free_port()},password=hunter2"))
    report = await health.check(client)
    await client.aclose()
    assert report.status == "failed"
    assert report.redis_round_trip_ms is None
    assert "hunter2" not in str(report.as_dict())
    assert "does not answer" in report.reasons[0]


async def test_a_server_that_refuses_config_get_is_ok_and_the_reason_says_so(
    redis_client: redis.asyncio.Redis, redis_port: int
) -> None:
    """Azure Cache for Redis refuses CONFIG."""
    name = "no-config"
    await redis_client.acl_setuser(name, enabled=True, nopass=True, commands=["+@all", "-config"], keys=["*"])
    client = redis.asyncio.Redis(port=redis_port, username=name, password="any")
    report = await health.check(client)
    await client.aclose()
    await redis_client.acl_deluser(name)
    assert report.status == "ok"
    assert report.notify_keyspace_events is None
    assert "flags" in report.reasons[0]


async def test_an_app_without_backlog_is_ok_and_every_queue_is_reported(app: App) -> None:
    report = await health.check_app(configured(app))
    assert (report.status, report.reasons) == ("ok", ())
    assert report.as_dict()["retries"] == {"waiting": 0}
    assert report.as_dict()["deadLetters"] == {"count": 0, "bytes": 0, "dropped": 0, "recent": 0}
    assert report.as_dict()["sweep"] is None
    assert report.as_dict()["audit"]["pending"] == 0


async def test_without_a_storage_account_health_is_degraded(app: App) -> None:
    report = await health.check_app(app)
    assert report.status == "degraded"
    assert report.reasons == ("AzureWebJobsStorage is not set: audit records stay in Redis",)


async def test_each_backlog_degrades_health_with_its_reason(app: App) -> None:
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
    report = await health.check_app(app)
    assert report.status == "degraded"
    waiting, recent, dropped, late, away, full = report.reasons
    assert waiting == "1001 keys wait for a retry"
    assert recent == "1 dead letter in the last hour"
    assert dropped.startswith("1 dead letter dropped")
    assert late.startswith("the last sweep stopped 70")
    assert away == "audit records cannot be written to storage: ServiceRequestError; 950 wait in Redis"
    assert "audit records wait in Redis: 950 of 1000 that it keeps" in full


async def test_a_sweep_of_many_keys_that_makes_progress_is_no_reason(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    now_s, _ = await redis_client.time()
    ended = {"ended_ms": (now_s - 5000) * 1000, "duration_ms": 5_000_000, "found": '{"seen":7,"outcomes":{}}'}
    await redis_client.hset("functions:sweep", mapping=ended | {"worked_ms": (now_s - 6) * 1000})
    report = await health.check_app(app)
    assert not [reason for reason in report.reasons if "sweep" in reason]
    assert report.details["sweep"]["durationS"] == 5000
    assert 6 <= report.details["sweep"]["workedAgeS"] < 60


async def test_recent_dead_letters_degrade_health_from_the_number_that_is_set_on(app: App) -> None:
    for number in range(3):
        await dead_letters.bury(app, "batches", b"fastapi:temp:data:%d" % number, Rejected("x"), None)
    reasons = {
        (alert, alert_s): (
            await health.check_app(configured(app, dead_letters_alert=alert, dead_letters_alert_s=alert_s))
        ).reasons
        for alert, alert_s in [(1, 3600), (3, 600), (4, 600), (0, 600)]
    }
    assert reasons == {
        (1, 3600): ("3 dead letters in the last hour",),
        (3, 600): ("3 dead letters in the last 10 minutes",),
        (4, 600): (),
        (0, 600): (),
    }


@pytest.mark.parametrize("key", ["functions:sweep", "functions:audit:state", "functions:audit:sessions"])
async def test_a_foreign_value_at_a_key_degrades_health_and_hides_no_other_reason(app: App, key: str) -> None:
    await app.redis.set(key, "another application's")
    await app.redis.zadd("functions:retry:due", {f"batches\0{number}": 0 for number in range(1001)})
    report = await health.check_app(configured(app))
    assert report.status == "degraded"
    refused, waiting = report.reasons
    assert refused.startswith("Redis refuses to read the ")
    assert refused.endswith(": the key holds another application's value")
    assert waiting == "1001 keys wait for a retry"


@pytest.mark.parametrize("ended_ms", ["9" * 400, "-", "\xff"])
async def test_an_invalid_sweep_state_is_reported_as_none(app: App, ended_ms: str) -> None:
    state = {"ended_ms": ended_ms, "duration_ms": "1", "found": '{"seen":1,"outcomes":{}}'}
    await app.redis.hset("functions:sweep", mapping=state)
    assert (await health.check_app(configured(app))).as_dict()["sweep"] is None


async def test_a_redis_that_refuses_writes_fails_health(app: App) -> None:
    await app.redis.config_set("maxmemory", 1)
    try:
        report = await health.check_app(configured(app))
    finally:
        await app.redis.config_set("maxmemory", 0)
    assert (report.status, report.reasons) == ("failed", ("Redis takes no writes: OutOfMemoryError",))
    await app.redis.replicaof("127.0.0.1", str(free_port()))
    try:
        report = await health.check_app(configured(app))
    finally:
        await app.redis.replicaof("NO", "ONE")
    assert (report.status, report.reasons[0]) == ("failed", "Redis takes no writes: ReadOnlyError")
    assert (await health.check_app(configured(app))).status == "ok"


@pytest.mark.parametrize(("age_s", "status"), [(0, "ok"), (540, "ok"), (700, "degraded")])
async def test_records_without_any_export_degrade_health_once_the_oldest_waits_too_long(
    app: App, age_s: int, status: str
) -> None:
    now_s, _ = await app.redis.time()
    await app.redis.hset("functions:audit:state", "appended", 2)
    await app.redis.xadd("functions:audit:sessions", {"event": "{}", "n": "1"}, id=f"{(now_s - age_s) * 1000}-0")
    await app.redis.xadd("functions:audit:sessions", {"event": "{}", "n": "2"})
    report = await health.check_app(configured(app))
    assert report.status == status
    if status == "degraded":
        (late,) = report.reasons
        assert late.startswith("audit records wait (2); there was no export yet, the oldest is from 70")


async def test_an_unreachable_server_fails_health(app_settings: Settings) -> None:
    context = open_app(msgspec.structs.replace(app_settings, redis=f"127.0.0.1:{free_port()}"))
    report = await health.check_app(context)
    await context.redis.aclose()
    assert report.status == "failed"
    assert "does not answer" in report.reasons[0]


async def test_what_is_set_wrong_and_what_redis_refuses_degrade_health(app: App) -> None:
    telemetry.outage("Redis", NoPermissionError(), "charts")
    report = await health.check_app(configured(app, concerns=("the function sweep is disabled",)))
    assert report.status == "degraded"
    assert report.reasons == ("the function sweep is disabled", "Redis refuses charts: NoPermissionError")


async def test_timers_that_stand_still_degrade_health(app: App) -> None:
    await catch_up.timer_ran(app)
    assert (await health.check_app(configured(app))).status == "ok"
    await app.redis.expire("functions:sweep:timers", 3600 - 75)
    report = await health.check_app(configured(app))
    assert report.status == "degraded"
    assert report.reasons[0].startswith("the platform's timers have not run for 75 s")
    assert report.as_dict()["timers"]["ageS"] == pytest.approx(75, abs=2)
    assert (await health.check_app(configured(app, retry_schedule="0 0 * * * *"))).status == "ok"


def running(app: App, **known: Any) -> None:
    """An intake in this process that reports these figures."""
    report = Report(State.TRIGGER, 60.0, None, {"process_fastapi_data": 0.002}, "here-1", (), 0.5, "")

    class Stub:
        def report(self) -> Report:
            return replace(report, **known)

    app.state(Running).intake = cast("Any", Stub())


@pytest.mark.parametrize(
    ("known", "status", "reason"),
    [
        ({}, "ok", ""),
        ({"state": State.EAR, "deaf_s": 30.0}, "degraded", "the trigger has been deaf for 30 s; the app hears"),
        ({"state": State.EAR, "deaf_s": 121.0}, "failed", "the trigger has been deaf for 121 s: replace this instance"),
        ({"state": State.DEAF, "deaf_s": 11.0}, "failed", "no event is heard: the trigger has been deaf for 11 s"),
        ({"refused": "NOPERM"}, "degraded", "Redis refuses heartbeats (NOPERM)"),
    ],
)
async def test_a_deaf_trigger_degrades_health_and_fails_it_after_the_set_time(
    app: App, known: dict[str, Any], status: str, reason: str
) -> None:
    app = configured(app)
    running(app, **known)
    report = await health.check_app(app)
    assert report.status == status
    assert (report.reasons or ("",))[0].startswith(reason)
    shown = report.as_dict()["trigger"]
    assert (shown["instance"], shown["behindS"], shown["share"]) == ("here-1", {"process_fastapi_data": 0.002}, 0.5)


async def test_of_a_hundred_deaf_instances_a_few_are_named_and_the_rest_counted(app: App) -> None:
    """The page shows every reason and finding above everything else."""
    for number in range(100):
        await heartbeat.send(app, f"host-{number:02}", "deaf" if number == 99 else "ear", [])
    report = await health.check_app(configured(app))
    assert len(report.as_dict()["instances"]) == 100
    assert len(report.reasons) == 6
    assert report.reasons[-1] == "the triggers of 95 further instances are deaf"
    findings = await triggers.check_instances(app)
    assert [finding.severity for finding in findings] == ["error", *["warning"] * 5]
    assert "host-99 is deaf, and the instance does not hear by itself" in findings[0].found
    assert findings[-1].found.startswith("the triggers of 95 further instances are deaf")


async def test_the_living_instances_are_shown_with_state_and_share_and_those_that_are_deaf_degrade_health(
    app: App,
) -> None:
    await heartbeat.send(app, "one", "trigger", [])
    await heartbeat.send(app, "two\x1b", "ear", [])
    await heartbeat.send(app, "new", "starting", [])
    report = await health.check_app(configured(app))
    assert report.status == "degraded"
    assert report.reasons == ("the trigger of instance two\\x1b is deaf",)
    living = {one["instance"]: one for one in report.as_dict()["instances"]}
    assert {name: one["state"] for name, one in living.items()} == {
        "one": "trigger",
        "two\\x1b": "ear",
        "new": "starting",
    }
    assert living["one"]["share"] + living["two\\x1b"]["share"] == pytest.approx(1, abs=0.01)
    assert living["new"]["share"] == 0
    assert all(one["ageS"] < 5 for one in living.values())


def configured(app: App, **changes: Any) -> App:
    """The same app with a storage account in its settings; these tests make no call to it."""
    return App(msgspec.structs.replace(app.settings, storage="UseDevelopmentStorage=true", **changes), app.redis)
