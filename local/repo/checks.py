"""Runs all checks, as CI does, and stops at the first that fails: `python -m local.repo.checks [PYTEST ARGS]`.

Standard library only, so that a broken dependency fails within a check and not before.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from local.repo.bootstrap import ROOT

INTERRUPTED = 130
FAILED_TESTS = "FAILED_TESTS_FILE"
"""Environment variable: a file for the ids of the tests that failed, one per line (tests/conftest.py writes it)."""
MAX_AGAIN = 5
"""At most so many failed tests are run again: they may be tests of time on a busy machine. More are a fault."""
HELP = """Usage: ./test [PYTEST ARGUMENTS]

  Run all checks, as CI does, and stop at the first that fails: format, lint,
  types, import rules, tests. Arguments select and configure the tests only:

  ./test tests/batches -k claim
  ./test --soak tests/faults      fault tests at full size, for many minutes
  ./test --loop asyncio           on asyncio's event loop in place of uvloop

  Up to 5 tests that fail are run again, alone. What passes then is named.
"""


def steps(pytest_arguments: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The checks as (name, command), the quickest first.

    The tests run on the packaged Valkey. Where redis-server is installed, those marked `redis_server` run on it as
    well, unless there are `pytest_arguments` or they are marked `any_server` too.
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
        on_redis = ["/usr/bin/env", f"TEST_REDIS_SERVER={server}", python, "-m", "pytest"]
        chosen = ["-m", "redis_server and not any_server", *_modules_marked("redis_server")]
        checks.append(("tests on redis-server", on_redis + chosen))
    return checks


def _modules_marked(mark: str) -> list[str]:
    """The test modules with this mark: to import all the others would take longer than some of the tests."""
    modules = sorted(ROOT.joinpath("tests").rglob("test_*.py"))
    marked = [module for module in modules if f"pytest.mark.{mark}" in module.read_text(encoding="utf-8")]
    return [str(module.relative_to(ROOT)) for module in marked]


def environment() -> dict[str, str]:
    """The environment of the checks. Bytecode is written even if an image forbids it: the tests start hundreds of
    processes, and each would compile the app anew."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@contextmanager
def azurite_being_installed() -> Iterator[None]:
    """Install Azurite, which takes half a minute once, while the first checks run. Tests wait for it when they need it,
    and report its failure."""
    command = [sys.executable, "-m", "local.run.servers"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def run_checks(checks: Sequence[tuple[str, Sequence[str]]]) -> int:
    """Run the checks one after the other. Returns the exit code of the first that fails, or 0."""
    for name, command in checks:
        print(f"== {name}", flush=True)
        started_s = time.monotonic()
        code = _run_tests(command) if "pytest" in command else _run(command)
        duration_s = time.monotonic() - started_s
        if code == INTERRUPTED:
            print(f"== {name}: interrupted after {duration_s:.1f} s")
            return code
        if code != 0:
            print(f"== {name}: FAILED after {duration_s:.1f} s (exit code {code}); the checks after it were not run")
            return code
        print(f"== {name}: ok, {duration_s:.1f} s", flush=True)
    return 0


def _run_tests(command: Sequence[str]) -> int:
    """Run tests, and the few that failed once more, alone. Returns the exit code of the last run."""
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as file:
        code = _run(["/usr/bin/env", f"{FAILED_TESTS}={file.name}", *command])
        failed = file.read().splitlines()
    if code != 1 or not 0 < len(failed) <= MAX_AGAIN:
        return code
    print("== again, alone:", *failed, sep="\n   ", flush=True)
    code = _run([*command[: command.index("pytest") + 1], "-n", "0", *failed])
    if code == 0:
        print("== PASSED ONLY ALONE:", *failed, sep="\n   ", flush=True)
    return code


def _run(command: Sequence[str]) -> int:
    """Run `command` and return its exit code. After Ctrl-C, which it receives too, wait until it ends."""
    try:
        process = subprocess.Popen(command, env=environment())
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
    if {"--help", "-h"} & set(sys.argv[1:]):
        sys.exit(print(HELP, end=""))
    os.chdir(ROOT)
    for number in (signal.SIGTERM, signal.SIGHUP):
        # SystemExit also ends the child process of the current check.
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    with azurite_being_installed():
        sys.exit(run_checks(steps(sys.argv[1:])))
