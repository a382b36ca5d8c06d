"""The data of the debug endpoint and of the monitor page: complete, bounded, without secrets."""

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


async def test_a_user_s_sessions_are_reported_by_fingerprint_and_expiry_and_tokens_by_ttl(app: App) -> None:
    await populate(app)
    await begin_session(app, "another-token-0123456789", expires=None)
    report = await debug.report(app, USER)
    assert report is not None
    assert report.user is not None
    key = app.settings.audit_key
    assert [(session.fingerprint, session.expires) for session in report.user.sessions] == [
        (fingerprint(TOKEN.encode(), key), "2036-01-01T00:00:00.000Z"),
        (fingerprint(b"another-token-0123456789", key), None),
    ]
    assert report.user.sessions_total == 2
    assert report.user.tokens.exists
    assert 3290 < (report.user.tokens.expires_in_s or 0) <= 3300


async def test_a_pseudonymised_user_s_sessions_are_found_by_the_user_id(app: App) -> None:
    settings = msgspec.structs.replace(app.settings, audit_pseudonymise_users=True)
    await begin_session(App(settings, app.redis))
    pseudonym = keyring(app.settings.audit_key).pseudonym(USER)
    assert await app.redis.exists(f"functions:sessions:user:{pseudonym}")
    report = await debug.report(app, USER)
    assert report is not None
    assert report.user is not None
    assert [session.fingerprint for session in report.user.sessions] == [
        fingerprint(TOKEN.encode(), app.settings.audit_key)
    ]
    assert not report.user.tokens.exists


@pytest.mark.parametrize("user", ["nobody", "*", "a:b", "\0", "😀" * 64, "x\ny", "~" + "0" * 32, ":tokens"])
async def test_an_unknown_user_has_no_sessions_and_no_tokens(app: App, user: str) -> None:
    report = await debug.report(app, user)
    assert report is not None
    assert report.user == debug.UserReport([], 0, debug.TokenEntry(exists=False, expires_in_s=None))


async def test_foreign_values_at_the_keys_of_a_user_s_sessions_are_ignored(app: App) -> None:
    await app.redis.set(f"functions:sessions:user:{USER}", SECRET)
    await app.redis.zadd(f"functions:sessions:user:{keyring(app.settings.audit_key).pseudonym(USER)}", {SECRET: 1})
    await app.redis.lpush(f"fabric:user:{USER}:tokens", SECRET)
    report = await debug.report(app, USER)
    assert report is not None
    assert report.user is not None
    assert report.user.sessions == []
    assert report.user.tokens == debug.TokenEntry(exists=True, expires_in_s=None)


async def test_keys_are_counted_and_shown_by_namespace_with_their_secret_parts_masked(app: App) -> None:
    await populate(app)
    report = await debug.report(app, None)
    assert report is not None
    assert report.user is None
    assert report.keyspace.complete
    counts = {namespace.namespace: namespace.count for namespace in report.keyspace.namespaces}
    assert {"nextauth": 2, "unknown": 1, "fabric": 3}.items() <= counts.items()
    kinds = {kind.kind: kind for namespace in report.keyspace.namespaces for kind in namespace.kinds}
    assert kinds["session"].count == kinds["session"].without_ttl == 1
    assert kinds["user-tokens"].without_ttl == 0
    assert (kinds["user-tokens"].bytes or 0) > 50
    text = msgspec.json.encode(report).decode()
    assert f"~{fingerprint(TOKEN.encode(), app.settings.audit_key)[:12]}" in text
    for secret in (TOKEN, SECRET, "someone@plant.example"):
        assert secret not in text


async def test_with_pseudonyms_no_shown_key_contains_a_user_id(app: App) -> None:
    await populate(app)
    pseudonymising = App(msgspec.structs.replace(app.settings, audit_pseudonymise_users=True), app.redis)
    report = await debug.report(pseudonymising, None)
    assert report is not None
    fabric = next(entry for entry in report.keyspace.namespaces if entry.namespace == "fabric")
    shown = f"fabric:user:~{fingerprint(USER.encode(), app.settings.audit_key)[:12]}:tokens"
    assert shown in fabric.keys
    assert USER not in msgspec.json.encode(report).decode()


async def test_while_redis_refuses_writes_the_last_census_is_shown_and_no_new_one_is_taken(app: App) -> None:
    await populate(app)
    first = await stored_census.current(app)
    await app.redis.expire("functions:keyspace", 3600 - stored_census.EVERY_S - 1)
    await app.redis.delete("functions:keyspace:lease")
    await app.redis.config_resetstat()
    await app.redis.config_set("maxmemory", 1)
    try:
        document = await monitor_document.monitor(app)
    finally:
        await app.redis.config_set("maxmemory", 0)
    assert first is not None
    assert document.keyspace is not None
    assert document.keyspace.namespaces == first.kinds
    assert document.keyspace.age_s > stored_census.EVERY_S
    assert document.health["status"] == "failed"
    assert await app.redis.exists("functions:keyspace:lease") == 0


async def test_all_instances_together_take_a_census_at_most_once_a_minute(app: App) -> None:
    await populate(app)
    other = App(app.settings, app.redis)
    first = await stored_census.current(app)
    await app.redis.config_resetstat()
    second = await stored_census.current(other)
    assert first is not None
    assert second is not None
    assert second.kinds == first.kinds
    assert "cmdstat_scan" not in await app.redis.info("commandstats")
    await app.redis.delete("functions:keyspace")  # lost: no instance takes another census within the minute
    assert await stored_census.current(other) is None
    assert await debug.report(other, None) is None
    assert 1 <= await stored_census.due_in_s(other) <= stored_census.EVERY_S
    assert "cmdstat_scan" not in await app.redis.info("commandstats")


async def test_an_old_census_is_replaced(app: App) -> None:
    await stored_census.current(app)
    await app.redis.expire("functions:keyspace", 3600 - stored_census.EVERY_S - 1)
    await app.redis.delete("functions:keyspace:lease")
    await app.redis.set("fastapi:temp:data:new", "{}")
    census = await stored_census.current(app)
    assert census is not None
    assert census.age_s == 0
    assert "batch" in {entry.kind for entry in census.kinds}


@pytest.mark.parametrize("foreign", ["{}", "[", "null", json.dumps({"complete": True, "kinds": [1]}), "\xff" * 100])
async def test_foreign_values_at_the_keys_of_the_census_do_not_block_it(app: App, foreign: str) -> None:
    await app.redis.set("functions:keyspace", foreign)
    await app.redis.lpush("functions:keyspace:lease", foreign)  # without a TTL
    assert await stored_census.current(app) is None
    assert 0 < await app.redis.ttl("functions:keyspace:lease") <= stored_census.EVERY_S
    await app.redis.delete("functions:keyspace:lease")
    assert await stored_census.current(app) is not None


async def test_a_forged_census_does_not_make_the_monitor_read_more_charts_than_a_real_one(app: App) -> None:
    charts = ["\u20ac", "fabric:cache:chart:a:b", *map(str, range(10_000))]
    foreign = {"complete": True, "kinds": [], "shown": {}, "charts": charts, "charts_total": 1, "unbounded": 0}
    await app.redis.set("functions:keyspace", json.dumps(foreign), ex=3600)
    await app.redis.config_resetstat()
    assert (await monitor_document.monitor(app)).charts == []
    assert (await app.redis.info("commandstats"))["cmdstat_getrange"]["calls"] <= stored_census.SAMPLE + 2


async def test_a_census_that_runs_out_of_time_estimates_the_rest(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = app.redis.pipeline(transaction=False)
    for number in range(20_000):
        pipeline.set(f"fastapi:temp:data:{number}" if number % 4 else f"fabric:cache:query:{number}", "{}")
    await pipeline.execute()
    monkeypatch.setattr(stored_census, "BUDGET_S", 0.02)
    census = await stored_census.current(app)
    assert census is not None
    assert not census.complete
    counts = {entry.kind: entry.count for entry in census.kinds}
    # A loaded machine sees few keys in that time, and estimates from them.
    assert counts["batch"] == pytest.approx(15_000, rel=0.2)
    assert counts["query-cache"] == pytest.approx(5_000, rel=0.4)


async def test_the_monitor_document_has_every_part(app: App) -> None:
    await populate(app)
    await begin_session(app, "another-token-0123456789", user="someone@plant.example", expires=None)
    await dead_letters.bury(
        app, "batches", b"fastapi:temp:data:<img src=x>\n", Rejected("no JSON"), Payload("string", "0" * 40, [b"{"])
    )
    document = await monitor_document.monitor(app)
    assert document.health["status"] == "degraded", "no storage account is set"
    assert len(document.stats.minutes) == 60
    (letter,) = document.dead_letters.letters
    assert (letter.reactor, letter.key) == ("batches", "fastapi:temp:data:<img src=x>\\n")
    assert (letter.error, letter.message, letter.payload_bytes, letter.payload_kept) == ("Rejected", "no JSON", 1, True)
    assert document.dead_letters.next_cursor is None
    assert document.dead_letters.totals.count == 1
    assert (document.sessions.live, document.sessions.unbounded) == (2, 1)
    assert [record.type.rpartition(".")[2] for record in document.sessions.audit] == ["unbounded", "created", "created"]
    assert document.sessions.audit[-1].subject == fingerprint(TOKEN.encode(), app.settings.audit_key)[:12]
    assert document.sessions.audit[-1].user_id == USER
    assert document.sessions.audit[0].user_id != "someone@plant.example"
    assert document.sessions.export is not None
    assert document.sessions.export.pending == 3
    users = {user.user: user.sessions for user in document.sessions.users}
    assert (users[USER], len(users), document.sessions.users_total) == (1, 2, 2)
    (chart,) = document.charts
    assert (chart.chart_id, chart.data_type, chart.stale, chart.points) == ("co2", "realtime", False, 200)
    assert chart.sparkline is not None
    assert len(chart.sparkline) == 60
    assert (chart.sparkline[0], chart.sparkline[-1]) == (0.0, 19.9)
    assert document.keyspace is not None
    assert document.keyspace.complete
    assert document.doctor is not None
    assert document.doctor.findings
    text = msgspec.json.encode(document).decode()
    for secret in (TOKEN, SECRET, "someone@plant.example"):
        assert secret not in text


async def test_foreign_values_at_the_app_s_keys_are_ignored_or_escaped_by_the_monitor(app: App) -> None:
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
    document = await monitor_document.monitor(app)
    assert document.charts == []
    assert document.charts_total == 4
    (record,) = document.sessions.audit
    assert record.time == "now\\x1b[0m"
    assert (len(record.subject), record.user_id, record.reason) == (12, None, "\\x00<b>")
    assert document.sessions.live == 0


@pytest.mark.parametrize("key", ["functions:audit:state", "functions:audit:sessions", "functions:sweep"])
async def test_a_foreign_value_at_one_key_does_not_affect_the_rest_of_the_monitor(app: App, key: str) -> None:
    await app.redis.set(key, "another's")
    document = await monitor_document.monitor(app)
    assert document.health["status"] == "degraded"
    assert (document.sessions.export is None) == key.startswith("functions:audit")


async def test_the_newest_charts_are_shown_and_a_series_that_is_too_long_has_no_sparkline(app: App) -> None:
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
    views = await chart_views.read(app, [*keys, b"fabric:cache:chart:gone:d"])
    assert [view.chart_id for view in views] == [f"c{number}" for number in range(50)]
    assert views[0].sparkline is not None
    assert views[1].sparkline is None
    assert views[2].age_s == pytest.approx(120, abs=5)


async def test_after_the_census_of_10_000_keys_a_monitor_document_takes_less_than_500_ms(
    app: App, measured: Any
) -> None:
    pipeline = app.redis.pipeline(transaction=False)
    for number in range(10_000):
        pipeline.set(("fastapi:temp:data:", "nextauth:session:", "fabric:cache:query:")[number % 3] + str(number), "{}")
    await pipeline.execute()
    took_ms = []
    for _ in range(2):
        started = time.perf_counter()
        document = await monitor_document.monitor(app)
        took_ms.append((time.perf_counter() - started) * 1000)
    assert document.keyspace is not None
    assert document.keyspace.complete
    assert sum(entry.count for entry in document.keyspace.namespaces) >= 10_000
    measured("monitor document over 10,000 keys, all looked at", took_ms[0], "ms")
    measured("monitor document after that", took_ms[1], "ms")
    assert took_ms[1] < 500
