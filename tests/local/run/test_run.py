"""`./run` and the Functions host: the host's environment, the line `ready`, and the shutdown.

A small HTTP server takes the place of `func` here. Tests of the local host are in tests/local/host/.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
import typer
from typer.testing import CliRunner

from local.repo.bootstrap import ROOT
from local.run import servers
from local.run.__main__ import main

FUNC = f"""#!{sys.executable}
import http.server, json, os, signal, sys

class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps({{"arguments": sys.argv[1:], "pid": os.getpid(), **os.environ}}).encode())

    def log_message(self, *_):
        pass

if os.environ.get("STUBBORN"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[3])), Health).serve_forever()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that contains a `func`."""
    (tmp_path / "func").write_text(FUNC)
    (tmp_path / "func").chmod(0o755)
    return tmp_path


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start `./run` without the set-up, with the `func` in `folder`, in a new process group as a terminal does."""
    return subprocess.Popen(
        [sys.executable, "-m", "local.run", *arguments],
        cwd=ROOT,
        env=os.environ
        | {
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
            "AzureWebJobsStorage": "an account",
            "TMPDIR": str(folder),
        }
        | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )


@contextmanager
def running(folder: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[str], list[str], dict[str, str]]]:
    """The process after it printed `ready`, its output until then, and the environment of its `func`."""
    port = servers.free_port()
    process = run(folder, "--port", str(port), **environment)
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if lines[-1] == "ready":
                break
        else:
            pytest.fail("\n".join(lines))
        yield process, lines, health(port)
    finally:
        process.kill()
        process.communicate()


def health(port: int) -> dict[str, str]:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /api/health HTTP/1.0\r\n\r\n")
        with connection.makefile("rb") as response:
            document: dict[str, str] = json.loads(response.read().partition(b"\r\n\r\n")[2])
            return document


def test_func_receives_the_port_the_servers_and_the_project_s_python(folder: Path) -> None:
    with running(folder) as (_, lines, started):
        assert started["arguments"][:2] == ["start", "--port"]
        assert started["AzureWebJobsStorage"] == "an account"
        assert started["VIRTUAL_ENV"] == str(Path(sys.executable).parent.parent)
        assert started["PATH"].startswith(str(Path(sys.executable).parent))
        assert any(started["Redis"] in line and "started here" in line for line in lines)
        host, port = started["Redis"].split(":")
        with redis.Redis(host=host, port=int(port)) as client:
            assert set(client.config_get("notify-keyspace-events")["notify-keyspace-events"]) == set("Kg$hlxe")


@pytest.mark.skipif(sys.platform != "linux", reason="pidfds exist on Linux only")
@pytest.mark.parametrize(
    ("numbers", "stubborn"),
    [
        ([signal.SIGINT], ""),
        ([signal.SIGTERM], ""),
        ([signal.SIGHUP], ""),
        ([signal.SIGINT, signal.SIGINT], "yes"),
        ([signal.SIGKILL], "yes"),
    ],
    ids=["Ctrl-C", "SIGTERM", "SIGHUP", "Ctrl-C twice, the host ignores SIGTERM", "SIGKILL"],
)
def test_a_signal_stops_everything_that_was_started(folder: Path, numbers: list[signal.Signals], stubborn: str) -> None:
    with running(folder, STUBBORN=stubborn) as (process, _, started):
        host, port = started["Redis"].split(":")
        with redis.Redis(host=host, port=int(port)) as client:
            children = [os.pidfd_open(int(started["pid"])), os.pidfd_open(client.info("server")["process_id"])]
        for number in numbers:
            os.killpg(process.pid, number)
            select.select(children, [], [], 0.3)  # the second Ctrl-C follows a moment later
        code = process.wait(timeout=10)
        assert code == (-signal.SIGKILL if numbers == [signal.SIGKILL] else 128 + numbers[0])
        for child in children:
            assert select.select([child], [], [], 10)[0], "still running"
            os.close(child)
    assert os.listdir(folder) == ["func"]


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["--once"], 2, "requires --demo"),
        (["--redis", "127.0.0.1:1"], 1, "--redis 127.0.0.1:1: nothing listens there. Start Redis"),
        (["--redis", "127.0.0.1:1,colour=red"], 1, "unknown option 'colour'"),
        (["--redis", "nothing:at:all"], 1, "Redis"),
        (["--port", "70000"], 2, "less than or equal to 65535"),
    ],
)
def test_an_invalid_command_line_ends_with_the_reason(
    folder: Path, arguments: list[str], code: int, reason: str
) -> None:
    process = run(folder, "--port", str(servers.free_port()), *arguments)
    output, _ = process.communicate(timeout=30)
    assert reason in output
    assert "Traceback" not in output
    assert process.returncode == code


def test_a_port_in_use_is_an_error_that_names_the_option(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = run(folder, "--port", str(port))
        output, _ = process.communicate(timeout=30)
    error = f"HTTP port {port}: Address already in use. Choose another port with --port N.\n"
    assert (process.returncode, output) == (1, error)


def test_a_host_that_fails_to_start_ends_the_run_with_its_exit_code_in_the_error(folder: Path) -> None:
    (folder / "func").write_text("#!/bin/sh\necho the extension bundle is broken\nexit 3\n")
    process = run(folder, "--port", str(servers.free_port()))
    output, _ = process.communicate(timeout=30)
    assert "the extension bundle is broken" in output
    assert "host ended with exit code 3 before the app answered" in output
    assert process.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--invocation-overhead", "5"], "is not a number with the unit ms or s"),
        (["--invocation-overhead", "5ms", "--host", "func"], "needs --host local"),
    ],
)
def test_an_overhead_without_a_unit_or_for_the_real_host_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], reason: str
) -> None:
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    command = typer.Typer()
    command.command()(main)
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 2
    assert reason in " ".join(done.stderr.replace("│", " ").split())
