"""Each symptom of docs/runbook.md is staged, seen as described, and gone after its commands; so is each procedure.

A test is named after the anchor of its section, and runs every command line of it but those that need Azure.
"""

import asyncio
import json
import re
import shlex
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis.asyncio
from fastapi import HTTPException, Request, Response

from local.host.faults import Fault
from tests.audit.conftest import STATE, STREAM, record
from tests.e2e.conftest import AUDIT_KEY
from tests.runbook.conftest import ALL_FLAGS, NOTIFY, RUNBOOK, Stage, commands_of, sections
from tests.support.commands import ROOT
from tests.support.intake import in_step

pytestmark = pytest.mark.timeout(120)

GOOD = json.dumps([{"metric": "m", "ts": 1, "value": 2.0}])
POISON = '{"records": ['
CHART = json.dumps([{"t": 1_767_225_600_000 + 1000 * n, "v": n % 7} for n in range(20)])
BATCH, RESULT = "fastapi:temp:data:batch-1", "fastapi:results:analysis:batch-1"
USER = "12345678-1234-1234-1234-123456789abc"
SESSION = "nextauth:session:5e55107ab1e-70ce2-4ab5-9d2e-aa11bb22cc33"
NEW_KEY = "another audit key of the tests"
EXPIRES = "2036-01-01T00:00:00.000Z"
WORDS = {"30": "1"}
"""Shortens `watch --seconds 30`."""


def test_every_section_of_the_runbook_has_a_test() -> None:
    names = set(re.findall(r"^async def test_(\w+)\(stage: Stage", Path(__file__).read_text(), re.MULTILINE))
    assert {slug.replace("-", "_") for slug in sections()} == names
    assert all(commands_of(section) for section in sections().values())


def test_every_reason_of_the_runbook_is_one_that_health_gives() -> None:
    text = RUNBOOK.read_text(encoding="utf-8")
    table = text.partition("| Reason | Go to |\n")[2].partition("\n\n")[0]
    spans = [span for row in table.splitlines() for span in re.findall(r"`([^`]+)`", row.split(" | ")[0])]
    parts = {part.strip() for span in spans for part in span.split("...")} - {""}
    operations = ROOT / "shared" / "operations"
    files = (
        *(operations / "health.py", operations / "notification_flags.py"),
        *(ROOT / "shared" / "store" / "refusals.py", ROOT / "shared" / "contradictions.py"),
    )
    source = " ".join(file.read_text(encoding="utf-8") for file in files)
    assert len(parts) >= 15
    assert {part for part in parts if part not in source} == set()


async def test_nothing_happens(stage: Stage) -> None:
    await stage.redis.config_set(NOTIFY, "Ex")
    try:
        await stage.until_reason("delivers no event to the triggers")
        assert (await stage.health())["code"] == 503
        await stage.redis.set(BATCH, GOOD)
        doctor = await stage.manage("doctor")
        assert (doctor.code, "notify-keyspace-events is" in doctor.output) == (2, True)
        (command,) = re.findall(r"^    redis-cli .*", doctor.output, re.MULTILINE)
        tried = await stage.manage("patterns test")
        assert (tried.code, "NOT within 2 s" in tried.output) == (1, True)
        whose = await stage.manage("patterns test '*' KEY", KEY=BATCH)
        assert (whose.code, "process_fastapi_data" in whose.output) == (0, True)
        await stage.manage("sweep --now")
        await stage.until_exists(RESULT)
        words = shlex.split(command)
        assert str(stage.server.port) in words
        await stage.redis.execute_command(*words[words.index("CONFIG") :])
        assert "E" in (await stage.redis.config_get(NOTIFY))[NOTIFY], "what was set stays"
    finally:
        await stage.redis.config_set(NOTIFY, ALL_FLAGS)
    await stage.until_reason("delivers no event", gone=True)
    assert (await stage.also("patterns test")).code == 0


async def test_the_trigger_is_deaf(stage: Stage) -> None:
    stage.host.faults.begin(Fault.DEAF)
    try:
        await stage.until_logged("the platform's trigger is deaf: Redis answers, but heartbeats do not come back")
        await stage.until_reason("the trigger has been deaf for")
        await stage.redis.set(BATCH, GOOD)
        await stage.until_exists(RESULT)
        await stage.until_reason("replace this instance")
        assert (await stage.health())["code"] == 503
        doctor = await stage.manage("doctor")
        assert re.search(r"^warning +trigger-deaf", doctor.output, re.MULTILINE)
        watched = await stage.manage("watch --seconds 30", **WORDS)
        assert watched.code == 0
        await stage.manage("sweep")
    finally:
        stage.host.faults.end(Fault.DEAF)
    await stage.until_logged("the platform's trigger hears again")
    await stage.until_reason("deaf", gone=True)
    assert "trigger-deaf" not in (await stage.also("doctor")).output


async def test_heartbeats_are_refused(stage: Stage) -> None:
    await stage.redis.execute_command("ACL", "SETUSER", "default", "-publish")
    try:
        await stage.until_reason("Redis refuses heartbeats (")
        doctor = await stage.manage("doctor")
        assert re.search(r"^warning  heartbeats", doctor.output, re.MULTILINE)
        assert "+publish" in doctor.output
    finally:
        await stage.redis.execute_command("ACL", "SETUSER", "default", "+publish")
    await stage.until_reason("Redis refuses heartbeats", gone=True)
    assert re.search(r"^ok +heartbeats", (await stage.also("doctor")).output, re.MULTILINE)


async def test_dead_letters(stage: Stage) -> None:
    await stage.redis.set(BATCH, POISON)
    await stage.redis.set("fastapi:temp:data:batch-2", POISON)
    await stage.redis.set("fabric:data:chart:test-1:realtime", "no chart")
    await stage.until_reason("3 dead letters in the last hour")
    groups = await stage.manage("deadletters list --by-reason")
    assert (groups.code, "batches" in groups.output, "charts" in groups.output) == (1, True, True)
    listed = await stage.manage("deadletters list --reason TEXT", TEXT="JSON")
    (letter,) = [line.split()[0] for line in listed.output.splitlines() if BATCH in line]
    shown = await stage.manage("deadletters show ID", ID=letter[:8])
    assert (shown.code, "rejected: " in shown.output, "content, a string" in shown.output) == (0, True, False)
    assert "content, a string" in (await stage.manage("deadletters show ID --payload", ID=letter)).output
    assert (await stage.manage("deadletters replay ID", ID=letter)).code == 1, "it still cannot be read, and stays"
    for key in (BATCH, "fastapi:temp:data:batch-2"):  # the writer is corrected
        await stage.redis.set(key, GOOD)
    await stage.until_exists(RESULT)
    dry = await stage.manage("deadletters replay --reactor batches --reason TEXT --dry-run", TEXT="JSON")
    assert "2 would be replayed" in dry.output
    replayed = await stage.manage("deadletters replay --reactor batches --reason TEXT", TEXT="JSON")
    assert (replayed.code, "2 of 2 replayed, 0 stay" in replayed.output) == (0, True)
    line = "deadletters discard --older-than 2d --match 'fabric:data:chart:test-*'"
    assert "0 removed" in (await stage.manage(line, typed="discard\n")).output, "it is not as old"
    assert "1 removed" in (await stage.also(line.replace("--older-than 2d ", ""), typed="discard\n")).output
    await stage.until_reason("dead letter", gone=True)
    await stage.also("sweep --now")
    assert "dead letter" not in await stage.reasons(), "the same content is not buried again"


async def test_audit_records_wait(stage: Stage) -> None:
    seconds, _ = await stage.redis.time()
    earlier = datetime.fromtimestamp(seconds - 700, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    event = json.dumps(record(1, earlier))
    await stage.redis.xadd(STREAM, {"event": event, "n": "1"}, id=f"{(seconds - 700) * 1000}-0")
    await stage.redis.hset(STATE, "appended", "1")  # type: ignore[misc]
    await stage.until_reason("audit records wait (1)")
    state = await stage.manage("audit state")
    assert re.search(r"^waiting +1 record \(", state.output, re.MULTILINE)
    assert "storage" in (await stage.manage("doctor")).output
    assert "1 line written, 0 records left" in (await stage.manage("audit export")).output
    await stage.until_reason("audit records wait", gone=True)


async def test_the_sweep_does_the_work(stage: Stage) -> None:
    await stage.redis.config_set(NOTIFY, "")
    try:
        for number in range(5):
            await stage.redis.set(f"fastapi:temp:data:b{number}", GOOD)
        await stage.also("sweep --now")
    finally:
        await stage.redis.config_set(NOTIFY, ALL_FLAGS)
    await in_step()  # changed flags are a reason to sweep, too
    seconds, _ = await stage.redis.time()
    ended = {"ended_ms": (seconds - 700) * 1000, "duration_ms": 1, "found": '{"seen":1,"outcomes":{}}'}
    await stage.redis.delete("functions:sweep")
    await stage.redis.hset("functions:sweep", mapping=ended)  # type: ignore[misc]
    await stage.until_reason("the last sweep stopped 7")
    assert "ended 11m ago" in (await stage.manage("sweep")).output
    assert (await stage.also("sweep --now")).code == 0
    async with stage.http.get("/api/stats?minutes=2") as response:
        minutes = (await response.json())["minutes"]
    by_source = {
        source: sum(minute["outcomes"].get("batches", {}).get(source, {}).get("processed", 0) for minute in minutes)
        for source in ("sweep", "event")
    }
    assert by_source == {"sweep": 5, "event": 0}
    await stage.until_reason("the last sweep stopped", gone=True)
    assert (await stage.manage("patterns test")).code == 0, "events arrive again"
    doctor = await stage.manage("doctor")
    assert re.search(r"^ok +listeners", doctor.output, re.MULTILINE)


async def test_a_batch_has_no_result(stage: Stage) -> None:
    await stage.redis.set(BATCH, POISON, ex=3600)
    await stage.until_reason("1 dead letter in the last hour")
    assert not await stage.redis.exists(RESULT)
    shown = await stage.manage(f"keys show {BATCH}")
    assert re.search(r"^dead mark +this content *$", shown.output, re.MULTILINE)
    explained = await stage.manage(f"explain {BATCH}")
    assert (explained.code, "rejected" in explained.output) == (1, True)
    assert (await stage.manage(f"patterns test '*' {BATCH}")).code == 0
    assert BATCH in (await stage.manage("deadletters list --reactor batches")).output
    claim = {"owner": "0123456789abcdef", "token": "7", "attempt": "2", "lease_until_ms": "9999999999999"}
    await stage.redis.hset("fastapi:queue:processing:batch-1", mapping=claim)  # type: ignore[misc]
    seconds, _ = await stage.redis.time()
    await stage.redis.zadd("functions:retry:due", {f"batches\0{BATCH}".encode(): (seconds + 200) * 1000})
    shown = await stage.also(f"keys show {BATCH}")
    assert re.search(r"^claim +held, lease ends in", shown.output, re.MULTILINE)
    assert re.search(r"^retry +due in", shown.output, re.MULTILINE)
    await stage.redis.delete("fastapi:queue:processing:batch-1", "functions:retry:due", BATCH)
    assert re.search(r"^exists +no *$", (await stage.also(f"keys show {BATCH}")).output, re.MULTILINE)
    await stage.redis.set(BATCH, GOOD, ex=3600)  # the writer is corrected
    await stage.until_exists(RESULT)
    assert re.search(r"^result +of this content *$", (await stage.also(f"keys show {BATCH}")).output, re.MULTILINE)


async def test_a_chart_is_stale(stage: Stage) -> None:
    key, cache = "fabric:data:chart:co2-flow:realtime", "fabric:cache:chart:co2-flow:realtime"

    async def stale() -> bool | None:
        content = await stage.redis.get(cache)
        return None if content is None else json.loads(content)["stale"]

    await stage.redis.set(key, CHART, ex=300)
    await stage.until_exists(cache)
    await stage.redis.delete(key)

    async def is_stale() -> bool:
        return bool(await stale())

    await stage.until(is_stale, "the cache is marked")
    assert cache in (await stage.manage("charts list --stale")).output
    assert re.search(r"^cache +stale *$", (await stage.manage(f"keys show {key}")).output, re.MULTILINE)
    assert (await stage.manage(f"explain {key}")).code == 2, "the value is gone"
    assert (await stage.manage("deadletters list --reactor charts")).code == 0
    checked = await stage.manage("charts sources check")
    assert "co2-*" in checked.output
    assert (await stage.also("charts sources check co2-flow:realtime")).code == 0
    refreshed = await stage.manage("charts refresh co2-flow:realtime")
    assert (refreshed.code, "fetched from" in refreshed.output) == (0, True)
    assert await stale() is False
    assert cache not in (await stage.also("charts list --stale")).output

    async def broken(request: Request, chart_id: str, data_type: str) -> Response:
        raise HTTPException(503)

    stage.source.answer = broken
    try:
        failed = await stage.also("charts refresh co2-flow:realtime")
    finally:
        stage.source.answer = stage.source.rows
    assert (failed.code, "HTTP 503" in failed.errors) == (1, True)


async def test_a_session_has_no_end_in_the_log(stage: Stage) -> None:
    await stage.redis.set(SESSION, json.dumps({"userId": USER}))
    today = datetime.now(UTC).date()
    line = f"audit user {USER} --day 2026-11-22"
    await stage.until(lambda: stage.redis.exists(STREAM), "the session is recorded")
    story = await stage.manage(line, **{"2026-11-22": str(today)})
    assert (story.code, "no end recorded" in story.output, "created" in story.output) == (0, True, True)
    listed = await stage.manage("keys list nextauth --kind session --limit 20")
    (shown,) = re.findall(r"nextauth:session:~([0-9a-f]{12})", listed.output)
    known = await stage.manage("keys show @0123456789ab", **{"@0123456789ab": f"@{shown}"})
    assert re.search(r"^session +exists *$", known.output, re.MULTILINE)
    checked = await stage.manage("ttl check")
    assert (checked.code, "session  missing" in checked.output) == (1, True)
    dry = await stage.also("ttl fix --kind session --include-sessions --dry-run")
    assert "session: 60m" in dry.output
    await stage.redis.delete(SESSION)

    async def ended() -> bool:
        return "ended: logout" in (await stage.also(line, **{"2026-11-22": str(today)})).output

    await stage.until(ended, "its end is recorded")
    assert re.search(r"^session +missing *$", (await stage.also(f"keys show @{shown}")).output, re.MULTILINE), (
        "found by its phantom"
    )


async def test_redis_is_full_or_evicts(stage: Stage) -> None:
    await stage.redis.mset({f"old:filler:{number}": "x" * 50_000 for number in range(200)})
    used: int = (await stage.redis.info("memory"))["used_memory"]
    try:
        await stage.redis.config_set("maxmemory", used - 5_000_000)
        await stage.until_reason("Redis takes no writes: OutOfMemoryError")
        assert (await stage.health())["code"] == 503
        doctor = await stage.manage("doctor")
        assert (doctor.code, bool(re.search(r"^(error|warning) +memory", doctor.output, re.MULTILINE))) == (2, True)
        assert re.search(r"unknown +\d+", (await stage.manage("keys stats")).output)
        assert "unknown" in (await stage.manage("ttl check")).output
        assert "filler" in (await stage.manage("keys list unknown --limit 20")).output
        assert (await stage.manage("ttl fix --dry-run")).code == 0
        assert (await stage.manage("ttl fix --kind batch --kind result")).code == 0
        removed = await stage.also("cleanup unknown --match 'old:*'", typed="unknown\n")
        assert (removed.code, "removed" in removed.output) == (0, True)
        await stage.until_reason("Redis takes no writes", gone=True)
        await stage.until_reason("Redis refuses", gone=True)
        await stage.redis.set(BATCH, GOOD)
        await stage.until_exists(RESULT)
        await stage.redis.config_set("maxmemory-policy", "allkeys-lru")
        doctor = await stage.also("doctor")
        assert re.search(r"^(error|warning) +eviction", doctor.output, re.MULTILINE)
        (command,) = re.findall(r"^    redis-cli .*maxmemory-policy.*", doctor.output, re.MULTILINE)
        words = shlex.split(command)
        await stage.redis.execute_command(*words[words.index("CONFIG") :])
        assert (await stage.redis.config_get("maxmemory-policy"))["maxmemory-policy"] == "volatile-ttl"
        assert not re.search(r"^error +eviction", (await stage.also("doctor")).output, re.MULTILINE)
    finally:
        await stage.redis.config_set("maxmemory", 0)
        await stage.redis.config_set("maxmemory-policy", "noeviction")


async def test_redis_failed_over(stage: Stage) -> None:
    await stage.server.kill()
    await stage.until_reason("Redis does not answer")
    await stage.until_logged("Redis is away (")
    await stage.server.start()
    await stage.redis.set(BATCH, GOOD)
    await stage.until_logged("Redis is back after")
    await stage.until_exists(RESULT)
    assert sum("Redis is away" in line for line in stage.log.lines) == 1
    doctor = await stage.manage("doctor")
    assert re.search(r"^ok +connection", doctor.output, re.MULTILINE)
    assert re.search(r"^ok +role +primary", doctor.output, re.MULTILINE)

    async def swept() -> bool:
        return "The last sweep ended" in (await stage.also("sweep")).output

    await stage.until(swept, "a complete sweep")
    assert (await stage.manage("sweep")).code == 0


async def test_redis_refuses_the_sign_in(stage: Stage) -> None:
    async def drop_connections() -> None:
        for kind in ("normal", "pubsub"):
            await stage.redis.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    await stage.redis.config_set("requirepass", "another")
    try:
        await drop_connections()
        await stage.until_reason("Redis refuses the sign-in")
        assert (await stage.health())["status"] == "failed"
        doctor = await stage.manage("doctor")
        assert (doctor.code, bool(re.search(r"^error +connection", doctor.output, re.MULTILINE))) == (2, True)
    finally:
        await stage.redis.config_set("requirepass", "")
    await stage.until_reason("sign-in", gone=True)
    await stage.redis.set(BATCH, GOOD)
    await stage.until_exists(RESULT)


async def test_a_flush(stage: Stage) -> None:
    await stage.redis.set(SESSION, json.dumps({"userId": USER, "expires": EXPIRES}))
    await stage.until(lambda: stage.redis.exists(STREAM), "the session is recorded")
    assert (await stage.also("audit export")).code == 0
    await stage.redis.flushall()
    assert (await stage.also("audit export")).code == 0
    tail = await stage.manage("audit tail -n 20")
    verified = await stage.manage("audit verify")
    assert (verified.code, "Unaltered" in verified.output) == (0, True)
    lines = [json.loads(line) for line in await all_lines(stage)]
    assert [line["type"].rpartition(".")[2] for line in lines].count("reset") == 1
    story = await stage.manage(f"audit user {USER}")
    assert "no end recorded" in story.output
    assert "the log itself: reset" in story.output
    assert tail.code == 0
    await stage.redis.set(SESSION, json.dumps({"userId": USER, "expires": EXPIRES}))
    await stage.until(lambda: stage.redis.exists(STREAM), "a sign-in is recorded as a new life")


async def all_lines(stage: Stage) -> list[bytes]:
    return [line for blob in await stage.box.files() for line in await stage.box.lines(blob)]


async def test_storage_is_away(stage: Stage) -> None:
    await stage.redis.set(SESSION, json.dumps({"userId": USER, "expires": EXPIRES}))
    await stage.until(lambda: stage.redis.exists(STREAM), "the session is recorded")
    stage.storage.shut()
    try:
        exported, doctor = await stage.also("audit export"), await stage.manage("doctor")
        assert (exported.code, "storage is away: " in exported.errors) == (2, True)
        assert re.search(r"^(error|warning) +storage", doctor.output, re.MULTILINE)
        state = await stage.manage("audit state")
        assert (state.code, bool(re.search(r"^last error +none", state.output, re.MULTILINE))) == (1, False)
        assert "cannot be written to storage" in await stage.reasons()
    finally:
        stage.storage.reopen()
    assert (await stage.also("audit export")).code == 0
    assert re.search(r"^last error +none", (await stage.also("audit state")).output, re.MULTILINE)
    await stage.until_reason("storage", gone=True)


async def test_the_log_does_not_verify(stage: Stage) -> None:
    for user in range(3):
        await stage.redis.set(f"{SESSION}-{user}", json.dumps({"userId": f"u-{user}", "expires": EXPIRES}))
    await stage.until(lambda: _length_is(stage, 3), "three records")
    assert (await stage.also("audit export")).code == 0
    (blob,) = await stage.box.files()
    written = await stage.box.raw(blob)
    today = datetime.now(UTC).date()
    await stage.box.rewrite(blob, written.replace(b'"u-1"', b'"u-9"'))
    altered = await stage.manage("audit verify")
    assert (altered.code, "ALTERED: altered" in altered.output) == (1, True)
    line = "audit verify --since 2026-11-01 --json"
    report = json.loads((await stage.manage(line, **{"2026-11-01": str(today)})).output)
    assert (report["verified"], report["fault"]["kind"]) == (False, "altered")
    await stage.box.rewrite(blob, written)  # from a copy
    assert (await stage.also("audit verify")).code == 0
    for fault, content in (("missing", written.split(b"\n", 1)[1]), ("truncated", written.rsplit(b"\n", 2)[0] + b"\n")):
        await stage.box.rewrite(blob, content)
        kinds = re.findall(r"ALTERED: (\w+)", (await stage.also("audit verify")).output)
        assert kinds in ([fault], ["altered"], ["missing"]), fault
    await stage.redis.set(f"{SESSION}-4", json.dumps({"userId": "u-4", "expires": EXPIRES}))
    await stage.until(lambda: _length_is(stage, 4), "a fourth record")
    assert (await stage.also("audit export")).code == 0, "recording continues in a new chain"
    await stage.until_reason("the end of an audit file was altered")
    tomorrow = await stage.also(line, **{"2026-11-01": str(today + timedelta(days=1))})
    assert json.loads(tomorrow.output)["fault"] is None, "from a day on that is well"


async def _length_is(stage: Stage, length: int) -> bool:
    return bool(await stage.redis.xlen(STREAM) >= length)


async def test_too_many_connections_timeouts(stage: Stage) -> None:
    other = [redis.asyncio.Redis(port=stage.server.port, client_name="a-web-application") for _ in range(10)]
    former = (await stage.redis.config_get("maxclients"))["maxclients"]
    await stage.redis.config_resetstat()
    await stage.redis.execute_command("SLOWLOG", "RESET")
    try:
        await asyncio.gather(*(client.ping() for client in other))
        await stage.redis.config_set("maxclients", (await stage.redis.info("clients"))["connected_clients"])
        doctor = await stage.manage("doctor")
        assert (doctor.code, "max" in doctor.output) == (2, True), doctor.text
        clients = str(await stage.redis_cli("CLIENT LIST"))
        assert clients.count("a-web-application") == 10
        await stage.redis.eval("local n = 0 for i = 1, 2e7 do n = n + i end return n", 0)
        slow = await stage.redis_cli("SLOWLOG GET 10")
        assert any(b"for i = 1, 2e7" in str(entry).encode() for entry in slow)
    finally:
        await asyncio.gather(*(client.aclose() for client in other))
        await stage.redis.config_set("maxclients", former)
    assert re.search(r"^ok +connection", (await stage.also("doctor")).output, re.MULTILINE)


async def test_far_behind(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await stage.redis.mset({f"fastapi:temp:data:b{number}": GOOD for number in range(3000)})

    async def state(wanted: str) -> bool:
        return bool((await stage.health())["trigger"]["state"] == wanted)

    await stage.until(lambda: state("behind"), "the instance listens itself")
    watched = await stage.also("watch --seconds 1 --json")
    assert '"state":"behind"' in watched.output
    await stage.until(lambda: _results(stage, 3000), "every result")
    monkeypatch.setattr(sys.modules["shared.intake.listening"], "IN_TIME_S", 0.5)
    await stage.until(lambda: state("trigger"), "in time again")
    doctor = await stage.manage("doctor")
    assert re.search(r"^ok +instances +1", doctor.output, re.MULTILINE)
    assert (await stage.manage("watch", more=["--seconds", "1"])).code == 0


async def _results(stage: Stage, count: int) -> bool:
    return len(await stage.redis.keys("fastapi:results:analysis:*")) == count


async def test_key_rotation(stage: Stage) -> None:
    await stage.redis.set(SESSION, json.dumps({"userId": USER, "expires": EXPIRES}))
    await stage.until(lambda: stage.redis.exists(STREAM), "the session is recorded")
    assert (await stage.also("audit export")).code == 0
    refused = await stage.also("audit export", environment={"AUDIT_KEY": NEW_KEY})
    assert (refused.code, "AUDIT_KEY is not that of the app" in refused.errors) == (2, True)
    both = {"AUDIT_KEY": NEW_KEY, "AUDIT_KEY_PREVIOUS": AUDIT_KEY}
    doctor = await stage.manage("doctor", environment=both)
    assert re.search(r"^\w+ +audit-key-previous", doctor.output, re.MULTILINE)
    verified = await stage.manage("audit verify", environment=both)
    assert (verified.code, "Unaltered" in verified.output) == (0, True)
    assert (await stage.also("audit export", environment=both)).code == 0
    story = await stage.also(f"audit user {USER}", environment=both)
    assert "created" in story.output, "under either key"


async def test_moving_to_azure_managed_redis(stage: Stage) -> None:
    await stage.redis.set(SESSION, json.dumps({"userId": USER, "expires": EXPIRES}))
    await stage.until(lambda: stage.redis.exists(STREAM), "the session is recorded")
    assert "1 line written, 0 records left" in (await stage.manage("audit export")).output
    assert (await stage.manage("deadletters list")).code == 0
    await stage.redis.flushall()  # the new one is empty
    assert (await stage.manage("doctor")).code in (0, 1)
    assert (await stage.manage("patterns test")).code == 0
    assert (await stage.also("audit export")).code == 0
    types = [json.loads(line)["type"].rpartition(".")[2] for line in await all_lines(stage)]
    assert types == ["created", "reset"]


async def test_cleaning_up(stage: Stage) -> None:
    await stage.redis.set(BATCH, GOOD)
    await stage.redis.mset({"old:1": "x", "old:2": "x", "other:1": "x"})
    await stage.until_exists(RESULT)
    assert re.search(r"^ +unknown +3", (await stage.manage("keys stats")).output, re.MULTILINE)
    line = "cleanup fastapi --kind batch --older-than 2h"
    dry = await stage.manage(f"{line} --dry-run")
    assert ("0 keys would be removed" in dry.output, "are never idle for long" in dry.errors) == (True, True)
    assert "0 keys removed" in (await stage.manage(line)).output
    unknown = "cleanup unknown --match 'old:*'"
    assert "2 keys would be removed" in (await stage.manage(f"{unknown} --dry-run")).output
    assert (await stage.also(unknown, typed="yes\n")).code == 2
    assert "2 keys removed" in (await stage.also(unknown, typed="unknown\n")).output
    assert await stage.redis.exists("other:1", BATCH, RESULT) == 3


async def test_migrating(stage: Stage, tmp_path: Path) -> None:
    journal = str(tmp_path / "journal.jsonl")
    old, new = f"user:{USER}:tokens", f"fabric:user:{USER}:tokens"
    await stage.redis.set(old, "{}", ex=900)
    dry = await stage.manage("migrate")
    assert "A dry run: nothing was changed" in dry.output
    assert await stage.redis.exists(old)
    assert (await stage.manage("migrate --apply --rate 500", more=["--journal", journal])).code == 0
    assert (await stage.redis.exists(old), await stage.redis.exists(new)) == (0, 1)
    undone = await stage.manage("migrate --undo JOURNAL --apply", JOURNAL=journal)
    assert "1  renamed back" in undone.output
    assert (await stage.redis.exists(old), await stage.redis.exists(new)) == (1, 0)
