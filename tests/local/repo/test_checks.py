"""`./test`: every check runs, in order, until the first failure."""

import os
import sys
from pathlib import Path

import pytest

from local.repo import checks


def test_the_checks_stop_at_the_first_failure_and_name_it(capfd: pytest.CaptureFixture[str]) -> None:
    code = checks.run_checks([("first", ["true"]), ("second", ["sh", "-c", "exit 3"]), ("third", ["echo", "ran"])])
    output = capfd.readouterr().out
    assert code == 3
    assert "== first: ok" in output
    assert "== second: FAILED" in output
    assert "third" not in output
    assert "ran\n" not in output


def test_arguments_reach_pytest_and_every_check_still_runs() -> None:
    steps = checks.steps(["-k", "x", "--soak"])
    assert [name for name, _ in steps] == ["format", "lint", "types", "import rules", "tests"]
    assert steps[-1][1][-3:] == ["-k", "x", "--soak"]


def test_the_marked_tests_run_on_an_installed_redis_server_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert checks.steps([])[-1][0] == "tests"
    server = tmp_path / "redis-server"
    server.touch(mode=0o755)
    name, command = checks.steps([])[-1]
    assert name == "tests on redis-server"
    assert f"TEST_REDIS_SERVER={server}" in command
    assert command[2:7] == [sys.executable, "-m", "pytest", "-m", "redis_server and not any_server"]
    assert "tests/guarantees/test_clock.py" in command[7:]
    assert "tests/reading/test_times.py" not in command[7:]
    assert os.access(command[0], os.X_OK)


def test_processes_of_the_checks_write_bytecode_although_the_image_forbids_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert checks.run_checks([("bytecode", [sys.executable, "-c", "import sys; print(sys.dont_write_bytecode)"])]) == 0
    assert "False" in capfd.readouterr().out


ONCE_RED = """
from pathlib import Path

def test_time():
    Path("runs").open("a").write("x")
    assert len(Path("runs").read_text()) > {failures}

def test_green():
    Path("green").open("x").close()
"""


SIX_RED = """
import pytest

@pytest.mark.parametrize("number", range(6))
def test(number):
    assert False
"""


@pytest.mark.parametrize(("failures", "expected"), [(1, 0), (2, 1)])
def test_a_failed_test_is_run_once_more_alone_and_named_if_it_passes_then(
    failures: int, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "test_it.py").write_text(ONCE_RED.format(failures=failures))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(checks.ROOT))
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p tests.conftest")
    assert checks.run_checks([("tests", [sys.executable, "-m", "pytest", "-q"])]) == expected
    named = "== PASSED ONLY ALONE:\n   test_it.py::test_time" in capfd.readouterr().out
    assert named == (failures == 1)
    assert (tmp_path / "green").exists()


def test_many_failed_tests_are_a_fault_and_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test_it.py").write_text(SIX_RED)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checks, "_run", lambda command, run=checks._run: runs.append(command) or run(command))
    runs: list[list[str]] = []
    monkeypatch.setenv("PYTHONPATH", str(checks.ROOT))
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p tests.conftest")
    assert checks.run_checks([("tests", [sys.executable, "-m", "pytest", "-q"])]) == 1
    assert len(runs) == 1
