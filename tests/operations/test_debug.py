"""The debug endpoint's data and the monitor's: complete, bounded, and nothing secret in them."""

import json
import time
from typing import Any

import msgspec
import pytest

from shared.app import App
from shared.charts import reactor as charts
from shared.charts import views as chart_views
from shared.delivery import dead_letters
from shared.delivery.dead_letters import Payload
from shared.errors import Rejected
from shared.operations import debug, monitor_document, stored_census
from shared.privacy.keyring import keyring
from shared.privacy.masking import fingerprint
from shared.sessions import reactor as sessions
from tests.support.causes import cause

TOKEN = "5e55107ab1e-70ce2-4ab5-9d2e-aa11bb22cc33"
USER = "12345678-1234-1234-1234-123456789abc"
SECRET = "eyJsecret.access-token.c2ln"
ROWS = [{"timestamp": 1_767_225_600_000 + 1000 * n, "co2Flow": n / 10} for n in range(200)]


async def begin_session(app: App, token: str = TOKEN, user: str = USER, **more: Any) -> None:
    key = f"nextauth:session:{token}"
    await app.redis.set(key, json.dumps({"userId": user, "expires": "2036-01-01T00:00:00.000Z", **more}))
    await sessions.react(app, [key.encode()], cause("set"))


async def populate(app: App) -> None:
    await begin_session(app)
    await app.redis.set(f"fabric:user:{USER}:tokens", json.dumps({"accessToken": SECRET}), ex=3300)
    await app.redis.set("nextauth:email:someone@plant.example", USER)
    await app.redis.set(f"unheard-of:{SECRET}", SECRET)
    await app.redis.set("fabric:data:chart:co2:realtime", json.dumps(ROWS), ex=300)
    await charts.react(app, [b"fabric:data:chart:co2:realtime"], "set")


async def test_a_user_s_sessions_are_told_by_fingerprint_and_expiry_and_the_tokens_by_their_end(app: App) -> None:
    await populate(app)
    await begin_session(app, "another-token-0123456789", expires=None)
    found = await debug.report(app, USER)
    assert found is not None
    assert found.user is not None
    key = app.settings.audit_key
    assert [(one.fingerprint, one.expires) for one in found.user.sessions] == [
        (fingerprint(TOKEN.encode(), key), "2036-01-01T00:00:00.000Z"),
        (fingerprint(b"another-token-0123456789", key), None),
    ]
    assert found.user.sessions_total == 2
    assert found.user.tokens.exists
    assert 3290 < (found.user.tokens.expires_in_s or 0) <= 3300


async def test_a_pseudonymised_user_s_sessions_are_found_by_the_user_id(app: App) -> None:
    settings = msgspec.structs.replace(app.settings, audit_pseudonymise_users=True)
    await begin_session(App(settings, app.redis))
    pseudonym = keyring(app.settings.audit_key).pseudonym(USER)
    assert await app.redis.exists(f"functions:sessions:user:{pseudonym}")
    found = await debug.report(app, USER)
    assert found is not None
    assert found.user is not None
    assert [one.fingerprint for one in found.user.sessions] == [fingerprint(TOKEN.encode(), app.settings.audit_key)]
    assert not found.user.tokens.exists


@pytest.mark.parametrize("user", ["nobody", "*", "a:b", "\0", "😀" * 64, "x\ny", "~" + "0" * 32, ":tokens"])
async def test_a_user_whom_nobody_knows_has_nothing(app: App, user: str) -> None:
    found = await debug.report(app, user)
    assert found is not None
    assert found.user == debug.UserReport([], 0, debug.TokenEntry(exists=False, expires_in_s=None))


async def test_what_another_application_put_in_the_place_of_a_user_s_sessions_is_left_out(app: App) -> None:
    await app.redis.set(f"functions:sessions:user:{USER}", SECRET)
    await app.redis.zadd(f"functions:sessions:user:{keyring(app.settings.audit_key).pseudonym(USER)}", {SECRET: 1})
    await app.redis.lpush(f"fabric:user:{USER}:tokens", SECRET)
    found = await debug.report(app, USER)
    assert found is not None
    assert found.user is not None
    assert found.user.sessions == []
    assert found.user.tokens == debug.TokenEntry(exists=True, expires_in_s=None)


async def test_keys_are_counted_and_shown_by_namespace_without_what_is_secret_in_them(app: App) -> None:
    await populate(app)
    found = await debug.report(app, None)
    assert found is not None
    assert found.user is None
    assert found.keyspace.complete
    counts = {one.namespace: one.count for one in found.keyspace.namespaces}
    assert {"nextauth": 2, "unknown": 1, "fabric": 3}.items() <= counts.items()
    kinds = {one.kind: one for of_name in found.keyspace.namespaces for one in of_name.kinds}
    assert kinds["session"].count == kinds["session"].without_ttl == 1
    assert kinds["user-tokens"].without_ttl == 0
    assert (kinds["user-tokens"].bytes or 0) > 50
    text = msgspec.json.encode(found).decode()
    assert f"~{fingerprint(TOKEN.encode(), app.settings.audit_key)[:12]}" in text
    for secret in (TOKEN, SECRET, "someone@plant.example"):
        assert secret not in text


async def test_where_users_go_by_pseudonyms_no_key_names_one(app: App) -> None:
    await populate(app)
    hiding = App(msgspec.structs.replace(app.settings, audit_pseudonymise_users=True), app.redis)
    found = await debug.report(hiding, None)
    assert found is not None
    fabric = next(one for one in found.keyspace.namespaces if one.namespace == "fabric")
    shown = f"fabric:user:~{fingerprint(USER.encode(), app.settings.audit_key)[:12]}:tokens"
    assert shown in fabric.keys
    assert USER not in msgspec.json.encode(found).decode()


async def test_while_redis_takes_no_writes_the_last_survey_is_shown_and_none_is_taken(app: App) -> None:
    await populate(app)
    first = await stored_census.current(app)
    await app.redis.expire("functions:keyspace", 3600 - stored_census.EVERY_S - 1)
    await app.redis.delete("functions:keyspace:lease")
    await app.redis.config_resetstat()
    await app.redis.config_set("maxmemory", 1)
    try:
        found = await monitor_document.monitor(app)
    finally:
        await app.redis.config_set("maxmemory", 0)
    assert first is not None
    assert found.keyspace is not None
    assert found.keyspace.namespaces == first.kinds
    assert found.keyspace.age_s > stored_census.EVERY_S
    assert found.health["status"] == "failed"
    assert await app.redis.exists("functions:keyspace:lease") == 0


async def test_all_instances_together_look_at_the_keys_once_a_minute(app: App) -> None:
    await populate(app)
    other = App(app.settings, app.redis)
    first = await stored_census.current(app)
    await app.redis.config_resetstat()
    second = await stored_census.current(other)
    assert first is not None
    assert second is not None
    assert second.kinds == first.kinds
    assert "cmdstat_scan" not in await app.redis.info("commandstats")
    await app.redis.delete("functions:keyspace")  # lost; nobody looks again before the minute is over
    assert await stored_census.current(other) is None
    assert await debug.report(other, None) is None
    assert 1 <= await stored_census.due_in_s(other) <= stored_census.EVERY_S
    assert "cmdstat_scan" not in await app.redis.info("commandstats")


async def test_an_old_survey_is_taken_anew(app: App) -> None:
    await stored_census.current(app)
    await app.redis.expire("functions:keyspace", 3600 - stored_census.EVERY_S - 1)
    await app.redis.delete("functions:keyspace:lease")
    await app.redis.set("fastapi:temp:data:new", "{}")
    found = await stored_census.current(app)
    assert found is not None
    assert found.age_s == 0
    assert "batch" in {one.kind for one in found.kinds}


@pytest.mark.parametrize("foreign", ["{}", "[", "null", json.dumps({"complete": True, "kinds": [1]}), "\xff" * 100])
async def test_another_application_s_values_in_the_place_of_the_survey_do_not_stop_it(app: App, foreign: str) -> None:
    await app.redis.set("functions:keyspace", foreign)
    await app.redis.lpush("functions:keyspace:lease", foreign)  # without a TTL
    assert await stored_census.current(app) is None
    assert 0 < await app.redis.ttl("functions:keyspace:lease") <= stored_census.EVERY_S
    await app.redis.delete("functions:keyspace:lease")
    assert await stored_census.current(app) is not None


async def test_a_survey_that_another_application_wrote_names_no_more_charts_than_ours(app: App) -> None:
    charts = ["\u20ac", "fabric:cache:chart:a:b", *map(str, range(10_000))]
    foreign = {"complete": True, "kinds": [], "shown": {}, "charts": charts, "charts_total": 1, "unbounded": 0}
    await app.redis.set("functions:keyspace", json.dumps(foreign), ex=3600)
    await app.redis.config_resetstat()
    assert (await monitor_document.monitor(app)).charts == []
    assert (await app.redis.info("commandstats"))["cmdstat_getrange"]["calls"] <= stored_census.SAMPLE + 2


async def test_a_survey_that_runs_out_of_time_estimates_the_rest(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = app.redis.pipeline(transaction=False)
    for number in range(20_000):
        pipeline.set(f"fastapi:temp:data:{number}" if number % 4 else f"fabric:cache:query:{number}", "{}")
    await pipeline.execute()
    monkeypatch.setattr(stored_census, "BUDGET_S", 0.02)
    found = await stored_census.current(app)
    assert found is not None
    assert not found.complete
    counts = {one.kind: one.count for one in found.kinds}
    assert counts["batch"] == pytest.approx(15_000, rel=0.1)
    assert counts["query-cache"] == pytest.approx(5_000, rel=0.2)


async def test_the_monitor_shows_what_there_is(app: App) -> None:
    await populate(app)
    await begin_session(app, "another-token-0123456789", user="someone@plant.example", expires=None)
    await dead_letters.bury(
        app, "batches", b"fastapi:temp:data:<img src=x>\n", Rejected("no JSON"), Payload("string", "0" * 40, [b"{"])
    )
    found = await monitor_document.monitor(app)
    assert found.health["status"] == "degraded", "no storage account is set"
    assert len(found.stats.minutes) == 60
    (letter,) = found.dead_letters.letters
    assert (letter.reactor, letter.key) == ("batches", "fastapi:temp:data:<img src=x>\\n")
    assert (letter.error, letter.message, letter.payload_bytes, letter.payload_kept) == ("Rejected", "no JSON", 1, True)
    assert found.dead_letters.next_cursor is None
    assert found.dead_letters.totals.count == 1
    assert (found.sessions.live, found.sessions.unbounded) == (2, 1)
    assert [record.type.rpartition(".")[2] for record in found.sessions.audit] == ["unbounded", "created", "created"]
    assert found.sessions.audit[-1].subject == fingerprint(TOKEN.encode(), app.settings.audit_key)[:12]
    assert found.sessions.audit[-1].user_id == USER
    assert found.sessions.audit[0].user_id != "someone@plant.example"
    assert found.sessions.export is not None
    assert found.sessions.export.pending == 3
    (chart,) = found.charts
    assert (chart.chart_id, chart.data_type, chart.stale, chart.points) == ("co2", "realtime", False, 200)
    assert chart.sparkline is not None
    assert len(chart.sparkline) == 60
    assert (chart.sparkline[0], chart.sparkline[-1]) == (0.0, 19.9)
    assert found.keyspace is not None
    assert found.keyspace.complete
    assert found.doctor is not None
    assert found.doctor.findings
    text = msgspec.json.encode(found).decode()
    for secret in (TOKEN, SECRET, "someone@plant.example"):
        assert secret not in text


async def test_the_monitor_survives_what_other_applications_put_in_its_place(app: App) -> None:
    for number, event in enumerate(("no JSON", '{"time": 1}', '{"data":{}}', '"' * 20_000, b'{"time":"\xff"}')):
        await app.redis.xadd("functions:audit:sessions", {"event": event, "n": str(number)})
    await app.redis.xadd("functions:audit:sessions", {"other": "field"})
    good = {"time": "now\x1b[0m", "type": "t", "subject": "s" * 99, "data": {"userId": 5, "reason": "\x00<b>"}}
    await app.redis.xadd("functions:audit:sessions", {"event": json.dumps(good)})
    await app.redis.set("functions:sessions:due", "another's")
    for name, value in (
        ("a", "no chart"),
        ("b", '{"stale":false,'),
        ("c", '{"stale":true ,"updatedAt":"x","points":1'),
    ):
        await app.redis.set(f"fabric:cache:chart:{name}:d", value)
    await app.redis.lpush("fabric:cache:chart:list:d", "x")
    found = await monitor_document.monitor(app)
    assert found.charts == []
    assert found.charts_total == 4
    (record,) = found.sessions.audit
    assert record.time == "now\\x1b[0m"
    assert (len(record.subject), record.user_id, record.reason) == (12, None, "\\x00<b>")
    assert found.sessions.live == 0


@pytest.mark.parametrize("key", ["functions:audit:state", "functions:audit:sessions", "functions:sweep"])
async def test_the_monitor_shows_the_rest_when_another_application_took_a_place(app: App, key: str) -> None:
    await app.redis.set(key, "another's")
    found = await monitor_document.monitor(app)
    assert found.health["status"] == "degraded"
    assert (found.sessions.export is None) == key.startswith("functions:audit")


async def test_the_newest_charts_are_shown_and_a_long_series_without_a_line(app: App) -> None:
    def cache(updated_at: str, points: int) -> str:
        line = [[1_767_225_600_000 + n, n / 3] for n in range(points)]
        head = f'{{"stale":false,"sourceDigest":"x","chartId":"c","dataType":"d","updatedAt":"{updated_at}"'
        return (
            f'{head},"points":{points},"series":[{{"name":"s","points":{json.dumps(line, separators=(",", ":"))}}}]}}'
        )

    now = time.time()
    for number in range(60):
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 60 * number))
        await app.redis.set(f"fabric:cache:chart:c{number}:d", cache(at, 5000 if number == 1 else 100), ex=600)
    keys = [f"fabric:cache:chart:c{number}:d".encode() for number in range(60)]
    found = await chart_views.read(app, [*keys, b"fabric:cache:chart:gone:d"])
    assert [one.chart_id for one in found] == [f"c{number}" for number in range(50)]
    assert found[0].sparkline is not None
    assert found[1].sparkline is None
    assert found[2].age_s == pytest.approx(120, abs=5)


async def test_a_document_over_ten_thousand_keys_takes_less_than_a_second_and_then_far_less(
    app: App, measured: Any
) -> None:
    pipeline = app.redis.pipeline(transaction=False)
    for number in range(10_000):
        pipeline.set(("fastapi:temp:data:", "nextauth:session:", "fabric:cache:query:")[number % 3] + str(number), "{}")
    await pipeline.execute()
    took_ms = []
    for _ in range(2):
        started = time.perf_counter()
        found = await monitor_document.monitor(app)
        took_ms.append((time.perf_counter() - started) * 1000)
    assert found.keyspace is not None
    assert found.keyspace.complete
    assert sum(one.count for one in found.keyspace.namespaces) >= 10_000
    measured("monitor document over 10,000 keys, all looked at", took_ms[0], "ms")
    measured("monitor document after that", took_ms[1], "ms")
    assert took_ms[1] < 500
