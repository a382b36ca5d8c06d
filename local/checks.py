"""Runs everything that CI runs, in order, and stops at the first that fails: `python -m local.checks [PYTEST ARGS]`.

Standard library only, so that a broken dependency fails in the check that names it.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

INTERRUPTED = 130


OF_THE_SERVER: tuple[str, ...] = (
    *("guarantees", "sessions", "e2e/test_app.py", "e2e/test_sweep.py"),
    *("test_batches.py", "test_charts.py", "test_sessions.py", "test_claims.py", "test_retries.py"),
    *("test_dead_letters.py", "test_replay.py", "test_sweep.py"),
)
"""The tests that depend on what the server does."""


def steps(pytest_arguments: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Every check as (name, command), the quickest first.

    Where a redis-server is installed, the tests that depend on the server are run on it too, not only on the packaged
    Valkey; arguments for pytest choose among the first run's tests only.
    """
    python = sys.executable
    checks = [
        ("format", [python, "-m", "ruff", "format", "--check", "--quiet", "."]),
        ("lint", [python, "-m", "ruff", "check", "--quiet", "."]),
        ("types", [python, "-m", "mypy", "--no-error-summary"]),
        ("import rules", [str(Path(python).with_name("lint-imports")), "--no-cache", "--no-logo"]),
        ("tests", [python, "-m", "pytest", *pytest_arguments]),
    ]
    server = shutil.which("redis-server")
    if server and not pytest_arguments:
        paths = [f"tests/{name}" for name in OF_THE_SERVER]
        checks.append(
            ("tests on redis-server", ["/usr/bin/env", f"TEST_REDIS_SERVER={server}", python, "-m", "pytest", *paths])
        )
    return checks


def run_checks(checks: Sequence[tuple[str, Sequence[str]]]) -> int:
    """Run the checks one after the other, each under its name; the exit code of the first that fails, or 0."""
    for name, command in checks:
        print(f"== {name}", flush=True)
        started_s = time.monotonic()
        code = _run(command)
        took_s = time.monotonic() - started_s
        if code == INTERRUPTED:
            print(f"== {name}: stopped after {took_s:.1f} s")
            return code
        if code != 0:
            print(f"== {name}: FAILED after {took_s:.1f} s (exit code {code}); what follows it was not run")
            return code
        print(f"== {name}: ok, {took_s:.1f} s", flush=True)
    return 0


def _run(command: Sequence[str]) -> int:
    """The exit code of `command`. A Ctrl-C reaches it as well: it is left to end by itself."""
    try:
        process = subprocess.Popen(command)
    except OSError as error:
        print(error)
        return 127
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        return INTERRUPTED
    finally:
        process.terminate()


if __name__ == "__main__":
    os.chdir(Path(__file__).parent.parent)
    for number in (signal.SIGTERM, signal.SIGHUP):
        # As an exception, it ends the running check with us.
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    sys.exit(run_checks(steps(sys.argv[1:])))
