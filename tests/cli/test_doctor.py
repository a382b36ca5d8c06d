"""`manage.py doctor`: exit codes, JSON and text as people and scripts read them."""

import json
import os
import subprocess
import sys

import redis.asyncio

from local.run.servers import free_port
from tests.cli.conftest import ROOT, Manage


def run(**environment: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


async def test_json_has_every_finding_with_its_fix(manage: Manage, redis_client: redis.asyncio.Redis) -> None:
    code, output, complaint = manage("doctor", "--json")
    answer = json.loads(output)
    found = {one["id"]: one for one in answer["findings"]}
    assert complaint == ""
    assert code == {"ok": 0, "info": 0, "warning": 1, "error": 2}[answer["status"]]
    assert found["bindings"]["severity"] == "ok", found["bindings"]
    assert found["access"]["severity"] == "ok"
    assert found["listeners"]["severity"] == "warning"
    assert all(set(one) == {"id", "severity", "found", "why", "fix", "commands"} for one in answer["findings"])
    assert await redis_client.dbsize() == 0


async def test_flags_that_deliver_nothing_end_with_2_and_the_command_on_a_line(
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
    assert lines[0].startswith("error ")  # the worst first
    assert "    redis-cli CONFIG SET notify-keyspace-events 'KEg$hlxe'" in lines
    assert "Why: " in output
    assert "Fix: " in output


def test_redis_away_ends_with_2_and_shows_no_password() -> None:
    code, output, complaint = run(Redis=f"127.0.0.1:{free_port()},password=hunter2hunter2")
    assert code == 2
    assert "nothing listens there" in output
    assert "hunter2" not in output + complaint


def test_settings_that_contradict_each_other_are_findings() -> None:
    code, output, complaint = run(RETRY_BASE_S="400", AUDIT_KEY="hunter2")
    assert code == 2
    assert "RETRY_BASE_S (400) is above RETRY_CAP_S (300)" in output
    assert "AUDIT_KEY" in output
    assert "hunter2" not in output + complaint
