"""`manage.py doctor`: exit codes, JSON and text."""

import json
import os
import subprocess
import sys

import redis.asyncio

from local.run.servers import free_port
from tests.cli.conftest import ROOT, Manage


def run_doctor(**environment: str) -> tuple[int, str, str]:
    completed = subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return completed.returncode, completed.stdout, completed.stderr


async def test_json_has_every_finding_with_its_fix(manage: Manage, redis_client: redis.asyncio.Redis) -> None:
    code, output, stderr = manage("doctor", "--json")
    report = json.loads(output)
    findings = {finding["id"]: finding for finding in report["findings"]}
    assert stderr == ""
    assert code == {"ok": 0, "info": 0, "warning": 1, "error": 2}[report["status"]]
    assert findings["bindings"]["severity"] == "ok", findings["bindings"]
    assert findings["access"]["severity"] == "ok"
    assert findings["listeners"]["severity"] == "warning"
    assert all(set(finding) == {"id", "severity", "found", "why", "fix", "commands"} for finding in report["findings"])
    assert await redis_client.dbsize() == 0


async def test_flags_that_deliver_no_event_end_with_2_and_the_command_on_its_own_line(
    manage: Manage, redis_client: redis.asyncio.Redis
) -> None:
    former = (await redis_client.config_get("notify-keyspace-events"))["notify-keyspace-events"]
    await redis_client.config_set("notify-keyspace-events", "Ex")
    try:
        code, output, _ = manage("doctor")
    finally:
        await redis_client.config_set("notify-keyspace-events", former)
    assert code == 2
    lines = output.splitlines()
    assert lines[0].startswith("error ")  # the worst finding is first
    port = redis_client.connection_pool.connection_kwargs["port"]
    assert f"    redis-cli -h 127.0.0.1 -p {port} CONFIG SET notify-keyspace-events 'KExg$hle'" in lines
    assert "Why: " in output
    assert "Fix: " in output


def test_an_unreachable_redis_ends_with_2_and_shows_no_password() -> None:
    code, output, stderr = run_doctor(Redis=f"127.0.0.1:{free_port()},password=hunter2hunter2")
    assert code == 2
    assert "nothing listens there" in output
    assert "hunter2" not in output + stderr


def test_contradictory_settings_are_findings() -> None:
    code, output, stderr = run_doctor(RETRY_BASE_S="400", AUDIT_KEY="hunter2")
    assert code == 2
    assert "RETRY_BASE_S (400) is above RETRY_CAP_S (300)" in output
    assert "AUDIT_KEY" in output
    assert "hunter2" not in output + stderr
