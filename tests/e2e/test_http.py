"""The HTTP functions: they conform to the OpenAPI document for any input, and raise nothing."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import redis.asyncio

from local.host.host import Host, Invocation
from shared.app import App
from shared.delivery import dead_letters
from shared.delivery.dead_letters import Payload
from shared.errors import Rejected
from shared.operations import openapi
from shared.registry import NAMES
from tests.e2e.conftest import AUDIT_KEY, ROOT, environment
from tests.support.intake import settled
from tests.support.json_style import faults
from tests.support.prometheus import parse
from tests.support.redis_users import app_user

TOKEN = "5e55107ab1e-70ce2-4ab5-9d2e-aa11bb22cc33"
USER = "12345678-1234-1234-1234-123456789abc"
RECORDS = [{"timestamp": f"2026-01-01T00:00:{n:02}Z", "data": {"co2": 1 + n / 100, "temp": 24}} for n in range(20)]
ROWS = [{"timestamp": 1_767_225_600_000 + 1000 * n, "co2Flow": n / 10} for n in range(200)]
AS_STORED = {"/api/charts/{chartId}/{dataType}", "/api/openapi.json"}
"""Answers whose form others fix."""
ANONYMOUS = {"/api/health", "/api/openapi.json", "/api/monitor", "/api/monitor/{file}"}


@dataclass
class Site:
    """The running app, an HTTP client with its function key, and a client on its Redis."""

    host: Host
    redis: redis.asyncio.Redis
    app: App
    http: aiohttp.ClientSession
    invocations: list[Invocation]

    async def get(self, path: str, expected: int = 200) -> Any:
        async with self.http.get(path) as response:
            assert response.status == expected, await response.text()
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            return await response.json()

    async def post(self, path: str, expected: int = 200, body: Any = None) -> Any:
        async with self.http.post(path, json=body) as response:
            assert response.status == expected, await response.text()
            return await response.json() if expected != 204 else None

    async def bury(self, key: str, content: bytes = b"{", reactor: str = "batches") -> str:
        letter = Payload("string", "0" * 40, [content])
        return await dead_letters.bury(self.app, reactor, key.encode(), Rejected("the value is not JSON"), letter)


@asynccontextmanager
async def running(connection: str, **settings: str) -> AsyncIterator[tuple[Host, App, list[Invocation]]]:
    """Run the app; at the end, check that no invocation failed."""
    invocations: list[Invocation] = []
    host = Host(ROOT, http_port=0, on_invocation=invocations.append)
    with environment({"AUDIT_KEY": AUDIT_KEY, "Redis": connection, "AzureWebJobsStorage": ""} | settings):
        await host.__aenter__()
        app = sys.modules["shared.app"].current_app()  # the app's own module, imported anew by the worker
    try:
        yield host, app, invocations
    finally:
        if sources := sys.modules.get("shared.charts.refresh"):  # it is loaded where a chart has a source
            await sources.close(app)
        await host.__aexit__(None, None, None)
        await app.redis.aclose()
    assert [invocation for invocation in invocations if not invocation.ok] == []


@pytest.fixture(scope="module")
async def host(redis_port: int) -> AsyncIterator[tuple[Host, App, list[Invocation]]]:
    """The app, with a Redis user that a test can disable."""
    async with app_user(redis_port) as connection, running(connection, DEBUG_ENDPOINT_ENABLED="true") as started:
        yield started


@pytest.fixture
async def site(host: tuple[Host, App, list[Invocation]], redis_client: redis.asyncio.Redis) -> AsyncIterator[Site]:
    started, app, invocations = host
    await settled(started)
    await app.write_minute_counts()
    await redis_client.flushall()
    async with aiohttp.ClientSession(started.url, headers={"x-functions-key": started.function_key}) as http:
        yield Site(started, redis_client, app, http, invocations)
    await settled(started)


async def populate(site: Site) -> list[str]:
    """Write keys of every kind. Returns the ids of the dead letters."""
    client = site.redis
    await client.set("fastapi:temp:data:b1", json.dumps({"batchId": "b1", "records": RECORDS}), ex=3600)
    await client.set("fabric:data:chart:co2:realtime", json.dumps(ROWS), ex=300)
    session = {"userId": USER, "expires": "2036-01-01T00:00:00.000Z"}
    await client.set(f"nextauth:session:{TOKEN}", json.dumps(session))
    await client.set(f"nextauth:session:{TOKEN}-2", json.dumps(session | {"expires": None}))
    await client.set(f"fabric:user:{USER}:tokens", "{}", ex=3300)
    await client.set("fastapi:temp:data:bad", "{", ex=3600)
    await settled(site.host)
    await site.app.write_minute_counts()
    return [await site.bury(f"fastapi:temp:data:<b>{number}</b>\x1b") for number in range(70)]


@pytest.mark.timeout(90)
async def test_every_function_conforms_to_the_document_for_any_request(site: Site, tmp_path: Path) -> None:
    ids = await populate(site)
    document = await site.get("/api/openapi.json")
    for path, operations in document["paths"].items():  # so that some requests name existing things
        for parameter in next(iter(operations.values()))["parameters"]:
            if parameter["name"] == "id":
                parameter["example"] = ids[0 if "replay" in path else 1]
            if parameter["name"] == "userId":
                parameter["example"] = USER
            if parameter["name"] == "file":
                parameter["example"] = "monitor.css"
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("schemathesis")), "run", "openapi.json", "--url", site.host.url),
        *("--header", f"x-functions-key: {site.host.function_key}"),
        *("--max-examples", "10", "--generation-deterministic", "--no-color"),
        *("--phases", "examples,coverage,fuzzing", "--workers", "2"),
        *("--exclude-checks", "unsupported_method"),  # 404 from the real host too
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    invoked = {invocation.function for invocation in site.invocations if invocation.trigger == "httpTrigger"}
    assert invoked == {function.name for function in site.host.functions if function.trigger["type"] == "httpTrigger"}


async def test_the_document_has_every_http_function_with_its_method_and_authorisation(site: Site) -> None:
    document = await site.get("/api/openapi.json")
    assert document["openapi"].startswith("3.1")
    triggers = [function.trigger for function in site.host.functions if function.trigger["type"] == "httpTrigger"]
    described = {
        (path, method): not operation["security"]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert described == {
        (f"/api/{trigger['route']}", str(trigger["methods"][0]).lower()): str(trigger["authLevel"]).lower()
        == "anonymous"
        for trigger in triggers
    }
    without_key = {(path, method) for (path, method), anonymous in described.items() if anonymous}
    assert {path for path, method in without_key if method != "options"} == ANONYMOUS
    assert all(path.startswith("/api/charts") for path, method in without_key if method == "options")


async def test_without_the_key_only_health_page_and_document_are_served(site: Site) -> None:
    document = await site.get("/api/openapi.json")
    async with aiohttp.ClientSession(site.host.url) as http:
        for path, operations in document["paths"].items():
            for method in operations:
                async with http.request(method, path.replace("{file}", "monitor.css")) as response:
                    expected = 204 if method == "options" else 200 if path in ANONYMOUS else 401
                    assert (response.status, await response.read() if expected == 204 else b"") == (expected, b""), path
        async with http.get("/api/health") as response:
            assert await response.json() in ({"status": "ok"}, {"status": "degraded"})


async def test_statistics_count_the_app_s_outcomes(site: Site) -> None:
    await populate(site)
    statistics = await site.get("/api/stats?minutes=2")
    processed = [
        minute["outcomes"].get("batches", {}).get("event", {}).get("processed", 0) for minute in statistics["minutes"]
    ]
    assert len(processed) == 2
    assert sum(processed) == 1
    assert statistics["latencyMs"]["batches"]["count"] >= 1
    assert set(statistics["latencyMs"]["batches"]) == {"count", "p50", "p95", "p99"}


async def test_metrics_are_prometheus_text_with_the_app_s_outcomes_and_its_triggers(site: Site) -> None:
    await populate(site)
    async with site.http.get("/api/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert response.headers["Cache-Control"] == "no-store"
        text = await response.text()
    families = parse(text)
    outcomes = "keyspace_functions_outcomes_total"
    assert families[outcomes].value(outcomes, function="process_fastapi_data", outcome="rejected") >= 1
    assert families["keyspace_functions_backlog"].value("keyspace_functions_backlog", what="dead_letters") == 71
    behind = families["keyspace_functions_behind_seconds"]
    functions = {dict(labels)["function"] for _, labels in behind.samples}
    assert functions == {"process_fastapi_data", "update_charts", "handle_session_changes"}
    assert families["keyspace_functions_deaf_seconds"].samples
    assert TOKEN not in text
    assert USER not in text


async def test_the_json_of_every_answer_has_the_style_of_the_documents(site: Site) -> None:
    letters = await populate(site)
    examples = {"id": letters[0], "chartId": "co2", "dataType": "realtime", "file": "monitor.js"}
    for path, operations in openapi.document()["paths"].items():
        answers = operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        if "application/json" in answers and path not in AS_STORED:
            assert list(faults(await site.get(path.format(**examples)))) == [], path
    body = {"reactor": "batches", "limit": 1}
    for action in ("replay", "discard"):
        assert list(faults(await site.post(f"/api/events/dead-groups/{action}", body=body))) == []
    assert list(faults(await site.post(f"/api/events/dead/{letters[3]}/replay"))) == []


def test_the_openapi_document_names_every_field_in_camel_case() -> None:
    document = openapi.document()
    names = {name for schema in document["components"]["schemas"].values() for name in schema.get("properties", {})} | {
        parameter["name"]
        for operations in document["paths"].values()
        for operation in operations.values()
        for parameter in operation["parameters"]
    }
    assert len(names) > 100
    assert {name for name in names if list(faults({name: 0})) and "camelCase" in "".join(faults({name: 0}))} == set()


@pytest.mark.parametrize(
    "query",
    [
        *("stats?minutes=0", "stats?minutes=121", "stats?minutes=-1", "stats?minutes=1.5", "stats?minutes=%00"),
        *("stats?minutes=1&minutes=2", "stats?minutes=٣", "stats?minutes=" + "9" * 5000, "stats?minutes=1_0"),
        *("events/dead?limit=501", "events/dead?limit=x", "events/dead?reactor=sweep", "events/dead?cursor=x"),
        *(
            "events/dead?cursor=1:" + "x" * 2000,
            "events/dead?cursor=nan:x",
            "events/dead?cursor=%F0%9F%98%80:%E2%82%AC",
        ),
        *("debug/session?userId=" + "x" * 257, "events/dead?reactor=batches%00"),
        *("stats/history?range=8d", "monitor/data?effectsAfter=x", "monitor/data?effectsAfter=%2B"),
        "events/dead?group=" + "x" * 1001,
    ],
)
async def test_an_invalid_parameter_is_refused_with_a_reason_that_does_not_quote_it(site: Site, query: str) -> None:
    body = await site.get(f"/api/{query}", expected=400)
    assert set(body) == {"error"}
    assert len(body["error"]) < 100
    assert query.partition("=")[2][:30] not in body["error"].split() + body["error"].split(":")


async def test_dead_letters_are_paged_newest_first_each_once(site: Site) -> None:
    ids = [await site.bury(f"fastapi:temp:data:{number}") for number in range(25)]
    seen, cursor, pages = [], "", 0
    while cursor is not None:
        params = {"limit": "10", "reactor": "batches"} | ({"cursor": cursor} if cursor else {})
        async with site.http.get("/api/events/dead", params=params) as response:
            page = await response.json()
        seen += [letter["id"] for letter in page["letters"]]
        cursor, pages = page["nextCursor"], pages + 1
    assert pages == 3
    assert len(seen) == 25
    assert set(seen) == set(ids)
    assert page["totals"]["count"] == 25
    lasts = [letter["last"] for letter in page["letters"]]
    assert lasts == sorted(lasts, reverse=True)


async def test_a_replayed_letter_is_removed_if_it_has_its_effect(site: Site) -> None:
    content = json.dumps({"batchId": "b9", "records": RECORDS}).encode()
    good, bad = await site.bury("fastapi:temp:data:b9", content), await site.bury("fastapi:temp:data:b8")
    body = await site.post(f"/api/events/dead/{good}/replay")
    assert (body["id"], body["outcome"], body["removed"]) == (good, "processed", True)
    assert await site.redis.exists("fastapi:results:analysis:b9")
    body = await site.post(f"/api/events/dead/{bad}/replay")
    assert (body["outcome"], body["removed"]) == ("rejected", False)
    assert body["reason"]
    assert [letter["id"] for letter in (await site.get("/api/events/dead"))["letters"]] == [bad]
    await site.post(f"/api/events/dead/{good}/replay", expected=404)
    await site.app.write_minute_counts()
    assert (await site.get("/api/stats?minutes=2"))["minutes"][-1]["outcomes"]["batches"]["replay"]


async def test_a_letter_is_explained_with_names_masked_and_values_abbreviated(site: Site) -> None:
    secret = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0LXRva2VuLXZhbHVl"
    rows = [{"ts": "2026-01-01T00:00:00Z", "temp": f"warm {secret}", secret: "x", "who": "ann@example.com"}]
    content = json.dumps({"result": rows}).encode()
    letter = await site.bury("fabric:data:chart:co2-flow:realtime", content, reactor="charts")
    body = await site.get(f"/api/events/dead/{letter}")
    listed = (await site.get("/api/events/dead"))["letters"]
    explanation, payload = body.pop("explanation"), body.pop("payload")
    assert [body] == listed
    assert (payload["shape"], payload["moreParts"], payload["cut"]) == ("string", 0, False)
    assert secret not in json.dumps(payload)
    assert (explanation["kind"], explanation["outcome"], explanation["encoding"]) == ("chart", "rejected", ["JSON"])
    assert explanation["reason"].startswith("rows found at `result`, but no column of numbers")
    assert explanation["glob"] == "fabric:data:chart:co2-flow:realtime"
    assert {column["name"]: column["role"] for column in explanation["columns"]}["ts"] == "time"
    shown = json.dumps(explanation)
    assert not [text for text in (secret, secret[:20], "ann@", "warm") if text in shown]


async def test_a_letter_without_a_refused_payload_has_no_explanation(site: Site) -> None:
    slow = await dead_letters.bury(
        site.app, "batches", b"fastapi:temp:data:b1", TimeoutError(), Payload("string", "0" * 40, [b"{"])
    )
    without = await dead_letters.bury(site.app, "batches", b"fastapi:temp:data:b2", Rejected("too large"), None)
    session = await dead_letters.bury(
        site.app, "sessions", b"nextauth:session:x", Rejected("no"), Payload("string", "0" * 40, [b"{"])
    )
    overwritten = await site.bury("fastapi:temp:data:b3")
    await site.redis.hset("functions:dead:payloads", overwritten, "another application's")
    for letter in (slow, without, session, overwritten):
        body = await site.get(f"/api/events/dead/{letter}")
        assert (body["id"], body["explanation"]) == (letter, None)


async def test_concurrent_replays_and_discards_have_one_effect_and_report_removed_letters(site: Site) -> None:
    async def act(letter: str, action: str) -> str:
        async with site.http.post(f"/api/events/dead/{letter}/{action}") as response:
            return (
                "discarded" if response.status == 204 else (await response.json()).get("outcome", str(response.status))
            )

    content = json.dumps({"records": RECORDS}).encode()
    letters = [await site.bury(f"fastapi:temp:data:b{number}", content) for number in range(20)]
    results = await asyncio.gather(
        *(act(letter, "replay") for letter in letters * 2), *(act(letter, "discard") for letter in letters)
    )
    assert results.count("discarded") + results.count("processed") >= 20
    assert set(results) <= {"discarded", "processed", "duplicate", "later", "404"}, "no other result"
    assert await site.redis.hlen("functions:dead:letters") == 0


async def test_a_letter_is_discarded_once(site: Site) -> None:
    letter = await site.bury("fastapi:temp:data:b9")
    await site.post(f"/api/events/dead/{letter}/discard", expected=204)
    await site.post(f"/api/events/dead/{letter}/discard", expected=404)
    assert (await site.get("/api/events/dead"))["letters"] == []


async def test_letters_are_grouped_replayed_and_discarded_by_reason(site: Site) -> None:
    content = json.dumps(RECORDS).encode()
    for number in range(3):
        await site.bury(f"fastapi:temp:data:b{number}", content if number else b"{")
    await site.bury("fabric:data:chart:c:d", reactor="charts")
    groups = (await site.get("/api/events/dead-groups"))["groups"]
    assert [(group["count"], group["reactor"]) for group in groups] == [(3, "batches"), (1, "charts")]
    assert len((await site.get("/api/events/dead?reason=NOT+JSON&match=*:b[01]"))["letters"]) == 2
    body = {"reactor": "batches", "reason": groups[0]["reason"], "limit": 2}
    first = await site.post("/api/events/dead-groups/replay", body=body)
    second = await site.post("/api/events/dead-groups/replay", body=body | {"cursor": first["nextCursor"]})
    outcomes = [letter["outcome"] for letter in first["letters"] + second["letters"]]
    assert sorted(outcomes) == ["processed", "processed", "rejected"]
    assert (first["removed"] + second["removed"], second["nextCursor"]) == (2, None)
    for nothing in ({}, {"limit": 5}, {"reactor": "other"}):
        assert (await site.post("/api/events/dead-groups/discard", body=nothing))["letters"] == []
    for invalid in ({"limit": 0, "all": True}, {"cursor": "x", "all": True}, {"other": 1}, {"reason": ""}, [], 7):
        await site.post("/api/events/dead-groups/discard", 400, body=invalid)
    assert (await site.post("/api/events/dead-groups/discard", body={"all": True}))["removed"] == 2
    assert (await site.get("/api/events/dead-groups")) == {"groups": [], "groupsTotal": 0}


async def test_a_letter_that_cannot_be_replayed_is_a_conflict(site: Site) -> None:
    other = await site.bury("fastapi:temp:data:b9", reactor="elsewhere")
    broken = await site.bury("fastapi:temp:data:b8")
    await site.redis.hset("functions:dead:letters", broken, "another application's")
    for letter in (other, broken):
        body = await site.post(f"/api/events/dead/{letter}/replay", expected=409)
        assert "another application's" not in body["error"]
    await site.get(f"/api/events/dead/{broken}", expected=409)
    await site.post(f"/api/events/dead/{broken}/discard", expected=204)


@pytest.mark.parametrize("letter", ["0" * 32, "x", "0" * 31 + "G", "..%2f..", "%00", "A" * 32, "0" * 4000, "%ff%fe"])
async def test_an_unknown_letter_is_not_found(site: Site, letter: str) -> None:
    for action in ("replay", "discard"):
        assert set(await site.post(f"/api/events/dead/{letter}/{action}", expected=404)) == {"error"}
    assert set(await site.get(f"/api/events/dead/{letter}", expected=404)) == {"error"}


async def test_the_debug_endpoint_reports_a_user_without_tokens(site: Site) -> None:
    await populate(site)
    body = await site.get(f"/api/debug/session?userId={USER}")
    assert len(body["user"]["sessions"]) == 2
    assert body["user"]["tokens"]["exists"] is True
    assert {"nextauth", "fabric", "fastapi", "functions"} <= {
        row["namespace"] for row in body["keyspace"]["namespaces"]
    }
    assert TOKEN not in json.dumps(body)


async def test_the_debug_endpoint_sends_retry_after_while_the_keys_are_counted(site: Site) -> None:
    await site.redis.set("functions:keyspace:lease", "another instance", px=30_000)
    async with site.http.get("/api/debug/session") as response:
        assert response.status == 429
        assert 1 <= int(response.headers["Retry-After"]) <= 30


async def test_the_data_of_the_page_is_one_document(site: Site) -> None:
    await populate(site)
    document = await site.get("/api/monitor/data")
    assert set(document) == {
        *("time", "reactors", "health", "stats", "effects", "deadLetters", "retries", "keyspace", "sessions"),
        *("charts", "chartsTotal", "chartSources", "doctor"),
    }
    assert [reactor["name"] for reactor in document["reactors"]] == list(NAMES)
    assert len(document["deadLetters"]["letters"]) == 20
    assert document["deadLetters"]["totals"]["count"] == 71
    assert document["charts"][0]["chartId"] == "co2"
    assert TOKEN not in json.dumps(document)


async def test_the_page_asks_for_the_effects_that_it_does_not_have(site: Site) -> None:
    await site.redis.set("fastapi:temp:data:b1", json.dumps({"records": RECORDS}), ex=3600)
    await settled(site.host)
    effects = (await site.get("/api/monitor/data"))["effects"]
    assert [(effect["key"], effect["outcome"]) for effect in effects] == [("fastapi:temp:data:b1", "processed")]
    later = await site.get(f"/api/monitor/data?effectsAfter={effects[0]['id']}")
    assert later["effects"] == []


async def test_the_history_counts_the_app_s_outcomes(site: Site) -> None:
    await populate(site)
    for of, bars in (("6h", 36), ("24h", 144), ("7d", 168)):
        history = await site.get(f"/api/stats/history?range={of}")
        processed = [bar["outcomes"].get("batches", {}).get("event", {}).get("processed", 0) for bar in history["bars"]]
        assert (len(processed), sum(processed)) == (bars, 1)


async def test_a_key_is_shown_as_far_as_the_rights_of_the_app_go(site: Site) -> None:
    await populate(site)
    await site.redis.hset("fastapi:temp:data:hash", mapping={"a": "1", "b": "2"})
    batch = await site.post("/api/keys/show", body={"key": "fastapi:temp:data:b1"})
    assert (batch["exists"], batch["kind"], batch["explanation"]["outcome"]) == (True, "batch", "read")
    session = await site.post("/api/keys/show", body={"key": f"nextauth:session:{TOKEN}"})
    assert (session["app"]["phantom"], session["explanation"]) == ("alive", None)
    assert TOKEN not in json.dumps(session)
    part = await site.post("/api/keys/show", body={"key": "fastapi:temp:data:hash"})
    assert part["value"]["parts"] == ["a: 1", "b: 2"]
    for other in ("nextauth:user:u1", "nextauth:email:ann@example.com", "another:key"):
        answer = await site.post("/api/keys/show", 404, body={"key": other})
        assert answer["error"].startswith("only keys that the app reads or writes are shown here")


@pytest.mark.parametrize(
    "body", [None, {}, [], 7, {"key": ""}, {"key": 1}, {"key": "x" * 1001}, {"key": "x", "all": 1}]
)
async def test_an_invalid_question_for_a_key_is_refused(site: Site, body: Any) -> None:
    answer = await site.post("/api/keys/show", expected=400, body=body)
    assert "OpenAPI" in answer["error"]
    assert "error" in await site.post("/api/keys/show", expected=413, body={"key": "x" * 10_000})


async def test_the_policy_of_the_page_allows_only_its_own_scripts(site: Site) -> None:
    async with aiohttp.ClientSession(site.host.url) as http:
        async with http.get("/api/monitor") as response:
            assert response.status == 200
            assert response.content_type == "text/html"
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert response.headers["Referrer-Policy"] == "no-referrer"
        async with http.get("/api/monitor/") as response:
            assert (response.status, response.url.path) == (200, "/api/monitor"), "its files are relative to this"
            assert [redirect.status for redirect in response.history] == [308]
        async with http.get("/api/monitor/monitor.css") as response:
            assert (response.status, response.content_type) == (200, "text/css")
            etag = response.headers["ETag"]
        async with http.get("/api/monitor/monitor.css", headers={"If-None-Match": f'"x", {etag}'}) as response:
            assert response.status == 304
        for name in (
            "monitor.html",
            "monitor.md",
            "..%2fhttp.py",
            "%2e%2e%2fmonitor.py",
            "Monitor.css",
            "x",
            "%00",
        ):
            async with http.get(f"/api/monitor/{name}") as response:
                assert response.status == 404, name


async def test_without_redis_every_response_is_a_503_with_its_reason(site: Site) -> None:
    letter = await site.bury("fastapi:temp:data:b9")
    await site.redis.acl_setuser("app", enabled=False)
    await site.redis.client_kill_filter(user="app")
    try:
        for path in ("stats", "metrics", "events/dead", "debug/session", "monitor/data", f"events/dead/{letter}"):
            assert (await site.get(f"/api/{path}", expected=503))["error"].startswith("Redis does not answer")
        for action in ("replay", "discard"):
            await site.post(f"/api/events/dead/{letter}/{action}", expected=503)
        assert (await site.get("/api/health/details", expected=503))["status"] == "failed"
    finally:
        await site.redis.acl_setuser("app", enabled=True)
    assert (await site.get("/api/events/dead"))["letters"][0]["id"] == letter


async def test_a_flood_of_anonymous_requests_pings_redis_once_a_second(site: Site) -> None:
    await site.get("/api/health")
    before = (await site.redis.info("commandstats"))["cmdstat_ping"]["calls"]
    async with aiohttp.ClientSession(site.host.url) as http:

        async def request_health() -> int:
            async with http.get("/api/health") as response:
                return response.status

        assert set(await asyncio.gather(*(request_health() for _ in range(100)))) == {200}
    after = (await site.redis.info("commandstats"))["cmdstat_ping"]["calls"]
    assert after - before <= 2
