"""./run and ./test: a Python 3.13 is found, .venv is made once and only when it has to be."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from local.repo import bootstrap, checks
from local.repo.bootstrap import ROOT

BASE_PYTHON: str = sys._base_executable


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def environ(*folders: Path, **more: str) -> dict[str, str]:
    """An environment in which nothing of this machine's own is found, but what a shell script needs."""
    return {"PATH": os.pathsep.join([*map(str, folders), "/usr/bin", "/bin"]), "HOME": "/nowhere", **more}


@pytest.fixture
def started_by_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if an older Python ran bootstrap.py, so that the running one is no candidate."""
    monkeypatch.setattr(sys, "version_info", (3, 11, 2, "final", 0))


@pytest.mark.usefixtures("started_by_another_version")
def test_a_broken_shim_before_a_good_python_is_passed_over(tmp_path: Path) -> None:
    executable(tmp_path / "shims/python3.13", "#!/bin/sh\necho 'pyenv: python3.13: command not found' >&2\nexit 127\n")
    executable(tmp_path / "good/python3.13", f'#!/bin/sh\nexec {BASE_PYTHON} "$@"\n')
    assert bootstrap.find_python(environ(tmp_path / "shims", tmp_path / "good")) == BASE_PYTHON


@pytest.mark.usefixtures("started_by_another_version")
def test_a_python_of_another_version_under_the_right_name_is_passed_over(tmp_path: Path) -> None:
    lying = "#!/bin/sh\nexit 1\n"
    executable(tmp_path / "old/python3.13", lying)
    executable(tmp_path / "pyenv/versions/3.13.9/bin/python3.13", f'#!/bin/sh\nexec {BASE_PYTHON} "$@"\n')
    found = bootstrap.find_python(environ(tmp_path / "old", PYENV_ROOT=str(tmp_path / "pyenv")))
    assert found == BASE_PYTHON


@pytest.mark.usefixtures("started_by_another_version")
def test_a_virtual_environment_on_the_path_is_resolved_to_the_python_behind_it() -> None:
    assert bootstrap.find_python(environ(Path(sys.executable).parent)) == BASE_PYTHON


def test_pyenv_versions_come_newest_first(tmp_path: Path) -> None:
    for version in ("3.13.9", "3.13.10", "3.12.12"):
        executable(tmp_path / f"user7/.pyenv/versions/{version}/bin/python3.13", "")
    found = bootstrap._pyenv_versions({"HOME": str(tmp_path / "user7"), "PATH": ""})
    assert [Path(path).parts[-3] for path in found] == ["3.13.10", "3.13.9"]


@pytest.mark.usefixtures("started_by_another_version")
def test_a_python_that_only_uv_knows_is_found(tmp_path: Path) -> None:
    good = executable(tmp_path / "elsewhere/python3.13", f'#!/bin/sh\nexec {BASE_PYTHON} "$@"\n')
    executable(tmp_path / "bin/uv", f'#!/bin/sh\n[ "$1 $2" = "python find" ] && echo {good}\n')
    assert str(good) in list(bootstrap._candidates(environ(tmp_path / "bin")))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that needs no package at all."""
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "requirements-dev.txt").write_text("# nothing\n")
    return tmp_path


def test_a_half_finished_environment_is_made_again_and_a_finished_one_is_kept(project: Path) -> None:
    leftover = project / ".venv/bin/leftover"
    leftover.parent.mkdir(parents=True)
    leftover.touch()
    assert not bootstrap.is_ready(project)

    python = bootstrap.prepare(project)

    assert not leftover.exists()
    assert subprocess.run([python, "-c", "print('runs')"], capture_output=True, check=True).stdout == b"runs\n"
    made_ns = (project / ".venv/pyvenv.cfg").stat().st_mtime_ns
    assert bootstrap.is_ready(project)
    assert bootstrap.prepare(project) == python
    assert (project / ".venv/pyvenv.cfg").stat().st_mtime_ns == made_ns, "made again without a reason"


def test_two_runs_at_once_set_up_one_environment(project: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from local.repo import bootstrap; bootstrap.prepare(Path(sys.argv[1]));"
        "sys.exit(not bootstrap.is_ready(Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", script, str(project)]
    runs = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [run.communicate(timeout=50)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert sum("creating .venv" in text for text in said) == 1
    assert sorted(path.name for path in project.iterdir()) == [".venv", "requirements-dev.txt", "requirements.txt"]


@pytest.fixture
def ready(project: Path) -> Path:
    """A project with what a finished environment consists of, as far as the stamp looks at it."""
    executable(project / ".venv/bin/python", "#!/bin/sh\n")
    (project / ".venv/pyvenv.cfg").write_text("version = 3.13.0\n")
    (project / ".venv/.stamp").write_text(bootstrap._fingerprint(project))
    assert bootstrap.is_ready(project)
    return project


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-dev.txt", ".venv/pyvenv.cfg", ".venv/.stamp"], ids=lambda name: name
)
def test_a_change_of_what_the_environment_rests_on_is_noticed(ready: Path, name: str) -> None:
    (ready / name).write_text("changed")
    assert not bootstrap.is_ready(ready)


def test_an_environment_whose_python_is_gone_is_noticed(ready: Path) -> None:
    (ready / ".venv/bin/python").unlink()
    (ready / ".venv/bin/python").symlink_to("/nowhere/python3.13")
    assert not bootstrap.is_ready(ready)


def test_an_environment_that_was_copied_elsewhere_is_noticed(
    ready: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = tmp_path_factory.mktemp("copy") / "project"
    shutil.copytree(ready, copy)
    assert not bootstrap.is_ready(copy)
    assert bootstrap.is_ready(ready)


def test_the_benchmark_s_environment_is_made_with_the_project_s_python_and_apart_from_it(ready: Path) -> None:
    executable(ready / ".venv/bin/python", f'#!/bin/sh\nexec {BASE_PYTHON} "$@"\n')
    (ready / "bench").mkdir()
    (ready / "bench/requirements.txt").write_text("# nothing\n")
    assert not bootstrap.is_ready(ready, bootstrap.BENCH)

    python = bootstrap.prepare(ready, bootstrap.BENCH)

    said = subprocess.run([python, "-c", "import sys; print(sys.prefix)"], capture_output=True, check=True, text=True)
    assert Path(said.stdout.strip()) == ready / ".venv-bench"
    assert bootstrap.is_ready(ready, bootstrap.BENCH)
    (ready / "bench/requirements.txt").write_text("# other packages\n")
    assert not bootstrap.is_ready(ready, bootstrap.BENCH)
    assert bootstrap.is_ready(ready), "the app's own environment does not rest on the benchmark's packages"


@pytest.mark.parametrize(("script", "command"), [("run", "run"), ("test", "test"), ("bench/run", "bench")])
def test_a_script_becomes_its_module_wherever_it_is_called_from(tmp_path: Path, script: str, command: str) -> None:
    for name in ("run", "test", "bench/run", "local/repo/bootstrap.sh"):
        executable(tmp_path / "project" / name, (ROOT / name).read_text())
    executable(tmp_path / "project/.venv/bin/python", '#!/bin/sh\necho "$PWD" "$@"\n')
    done = subprocess.run(
        [tmp_path / "project" / script, "--option"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    folder = str(tmp_path / "project")
    assert done.stdout.split() == [folder, "-I", "-S", "local/repo/bootstrap.py", command, "--option"]
    assert find_spec(bootstrap.MODULES[command]) is not None


def test_a_failed_step_says_what_failed_and_what_to_do() -> None:
    with pytest.raises(bootstrap.SetUpError, match=r"(?s)no such package.*Check the network"):
        bootstrap._must_run(["sh", "-c", "echo no such package; exit 3"], "Check the network.")


def test_without_any_python_the_message_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "local/repo").mkdir(parents=True)
    shutil.copy(ROOT / "local/repo/bootstrap.sh", tmp_path / "local/repo")
    shutil.copy(ROOT / "run", tmp_path)
    for tool in ("bash", "dirname"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    done = subprocess.run(
        [tmp_path / "bash", tmp_path / "run"], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "Install Python 3.13" in done.stderr


def test_the_checks_stop_at_the_first_that_fails_and_name_it(capfd: pytest.CaptureFixture[str]) -> None:
    code = checks.run_checks([("first", ["true"]), ("second", ["sh", "-c", "exit 3"]), ("third", ["echo", "ran"])])
    said = capfd.readouterr().out
    assert code == 3
    assert "== first: ok" in said
    assert "== second: FAILED" in said
    assert "third" not in said
    assert "ran\n" not in said


def test_the_arguments_of_test_reach_pytest_and_no_check_is_left_out() -> None:
    found = checks.steps(["-k", "x", "--soak"])
    assert [name for name, _ in found] == ["format", "lint", "types", "import rules", "tests"]
    assert found[-1][1][-3:] == ["-k", "x", "--soak"]
