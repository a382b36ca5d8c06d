"""The first step of `./run` and `./test`: Python 3.13 is located, .venv is built once and rebuilt only when needed."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from local.repo import bootstrap
from local.repo.bootstrap import ROOT

BASE_PYTHON: str = sys._base_executable


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def environ(*folders: Path, **variables: str) -> dict[str, str]:
    """Environment variables with `folders` on PATH that hide the user's own Pythons."""
    return {"PATH": os.pathsep.join([*map(str, folders), "/usr/bin", "/bin"]), "HOME": "/nowhere", **variables}


@pytest.fixture
def started_by_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """bootstrap.py believes that an older Python runs it, so that the running Python is no candidate."""
    monkeypatch.setattr(sys, "version_info", (3, 11, 2, "final", 0))


@pytest.mark.usefixtures("started_by_another_version")
def test_a_broken_shim_on_the_path_is_skipped(tmp_path: Path) -> None:
    executable(tmp_path / "shims/python3.13", "#!/bin/sh\necho 'pyenv: python3.13: command not found' >&2\nexit 127\n")
    executable(tmp_path / "good/python3.13", f'#!/bin/sh\nexec {BASE_PYTHON} "$@"\n')
    assert bootstrap.find_python(environ(tmp_path / "shims", tmp_path / "good")) == BASE_PYTHON


@pytest.mark.usefixtures("started_by_another_version")
def test_an_executable_named_python3_13_of_another_version_is_skipped(tmp_path: Path) -> None:
    executable(tmp_path / "old/python3.13", "#!/bin/sh\nexit 1\n")
    executable(tmp_path / "pyenv/versions/3.13.9/bin/python3.13", f'#!/bin/sh\nexec {BASE_PYTHON} "$@"\n')
    python = bootstrap.find_python(environ(tmp_path / "old", PYENV_ROOT=str(tmp_path / "pyenv")))
    assert python == BASE_PYTHON


@pytest.mark.usefixtures("started_by_another_version")
def test_a_virtual_environment_on_the_path_is_resolved_to_its_base_python() -> None:
    assert bootstrap.find_python(environ(Path(sys.executable).parent)) == BASE_PYTHON


def test_pyenv_versions_come_newest_first(tmp_path: Path) -> None:
    for version in ("3.13.9", "3.13.10", "3.12.12"):
        executable(tmp_path / f"user7/.pyenv/versions/{version}/bin/python3.13", "")
    executables = bootstrap._pyenv_versions({"HOME": str(tmp_path / "user7"), "PATH": ""})
    assert [Path(path).parts[-3] for path in executables] == ["3.13.10", "3.13.9"]


@pytest.mark.usefixtures("started_by_another_version")
def test_a_python_that_only_uv_lists_is_a_candidate(tmp_path: Path) -> None:
    python = executable(tmp_path / "elsewhere/python3.13", f'#!/bin/sh\nexec {BASE_PYTHON} "$@"\n')
    executable(tmp_path / "bin/uv", f'#!/bin/sh\n[ "$1 $2" = "python find" ] && echo {python}\n')
    assert str(python) in list(bootstrap._candidates(environ(tmp_path / "bin")))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project without requirements."""
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "requirements-dev.txt").write_text("# no requirements\n")
    return tmp_path


def test_an_incomplete_environment_is_rebuilt_and_a_complete_environment_is_kept(project: Path) -> None:
    leftover = project / ".venv/bin/leftover"
    leftover.parent.mkdir(parents=True)
    leftover.touch()
    assert not bootstrap.is_ready(project)

    python = bootstrap.prepare(project)

    assert not leftover.exists()
    assert subprocess.run([python, "-c", "print('runs')"], capture_output=True, check=True).stdout == b"runs\n"
    built_ns = (project / ".venv/pyvenv.cfg").stat().st_mtime_ns
    assert bootstrap.is_ready(project)
    assert bootstrap.prepare(project) == python
    assert (project / ".venv/pyvenv.cfg").stat().st_mtime_ns == built_ns, "rebuilt without a reason"


def test_an_environment_behind_a_link_is_refused_and_not_changed(
    ready: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    for name in bootstrap.PROJECT.requirements:
        shutil.copy(ready / name, other)
    (other / ".venv").symlink_to(ready / ".venv")
    with pytest.raises(bootstrap.SetUpError, match="is a link"):
        bootstrap.prepare(other)
    assert bootstrap.is_ready(ready)


def test_two_processes_at_once_build_the_environment_once(project: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from local.repo import bootstrap; bootstrap.prepare(Path(sys.argv[1]));"
        "sys.exit(not bootstrap.is_ready(Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", script, str(project)]
    processes = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=50)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert sum("creating .venv" in output for output in outputs) == 1
    assert sorted(path.name for path in project.iterdir()) == [".venv", "requirements-dev.txt", "requirements.txt"]


@pytest.fixture
def ready(project: Path) -> Path:
    """A project whose environment has the files that `is_ready` checks."""
    executable(project / ".venv/bin/python", "#!/bin/sh\n")
    (project / ".venv/pyvenv.cfg").write_text("version = 3.13.0\n")
    (project / ".venv/.stamp").write_text(bootstrap._fingerprint(project))
    assert bootstrap.is_ready(project)
    return project


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-dev.txt", ".venv/pyvenv.cfg", ".venv/.stamp"], ids=lambda name: name
)
def test_a_change_of_a_requirement_file_or_of_the_python_makes_the_environment_not_ready(
    ready: Path, name: str
) -> None:
    (ready / name).write_text("changed")
    assert not bootstrap.is_ready(ready)


def test_an_environment_without_its_python_is_not_ready(ready: Path) -> None:
    (ready / ".venv/bin/python").unlink()
    (ready / ".venv/bin/python").symlink_to("/nowhere/python3.13")
    assert not bootstrap.is_ready(ready)


def test_a_copy_of_an_environment_is_not_ready(ready: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    copy = tmp_path_factory.mktemp("copy") / "project"
    shutil.copytree(ready, copy)
    assert not bootstrap.is_ready(copy)
    assert bootstrap.is_ready(ready)


def test_the_benchmark_s_environment_is_separate_and_is_created_with_the_project_s_python(ready: Path) -> None:
    executable(ready / ".venv/bin/python", f'#!/bin/sh\nexec {BASE_PYTHON} "$@"\n')
    (ready / "bench").mkdir()
    (ready / "bench/requirements.txt").write_text("# no requirements\n")
    assert not bootstrap.is_ready(ready, bootstrap.BENCH)

    python = bootstrap.prepare(ready, bootstrap.BENCH)

    completed = subprocess.run(
        [python, "-c", "import sys; print(sys.prefix)"], capture_output=True, check=True, text=True
    )
    assert Path(completed.stdout.strip()) == ready / ".venv-bench"
    assert bootstrap.is_ready(ready, bootstrap.BENCH)
    (ready / "bench/requirements.txt").write_text("# other packages\n")
    assert not bootstrap.is_ready(ready, bootstrap.BENCH)
    assert bootstrap.is_ready(ready), "the app's environment must not depend on the benchmark's requirements"


@pytest.mark.parametrize(
    ("script", "command"), [("run", "run"), ("test", "test"), ("bench/run", "bench"), ("docs/build", "docs")]
)
def test_a_script_runs_its_module_from_any_working_folder(tmp_path: Path, script: str, command: str) -> None:
    for name in ("run", "test", "bench/run", "docs/build", "local/repo/bootstrap.sh"):
        executable(tmp_path / "project" / name, (ROOT / name).read_text())
    executable(tmp_path / "project/.venv/bin/python", '#!/bin/sh\necho "$PWD" "$@"\n')
    completed = subprocess.run(
        [tmp_path / "project" / script, "--option"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    folder = str(tmp_path / "project")
    assert completed.stdout.split() == [folder, "-I", "-S", "local/repo/bootstrap.py", command, "--option"]
    assert find_spec(bootstrap.MODULES[command]) is not None


def test_a_failed_step_is_an_error_with_its_output_and_advice() -> None:
    with pytest.raises(bootstrap.SetUpError, match=r"(?s)no such package.*Check the network"):
        bootstrap._must_run(["sh", "-c", "echo no such package; exit 3"], "Check the network.")


def test_without_any_python_the_error_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "local/repo").mkdir(parents=True)
    shutil.copy(ROOT / "local/repo/bootstrap.sh", tmp_path / "local/repo")
    shutil.copy(ROOT / "run", tmp_path)
    for tool in ("bash", "dirname"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    completed = subprocess.run(
        [tmp_path / "bash", tmp_path / "run"], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert (completed.returncode, completed.stdout) == (1, "")
    assert "Install Python 3.13" in completed.stderr


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (["run", "--help"], "Usage: ./run [OPTIONS]"),
        (["test", "-h"], "Usage: ./test [PYTEST ARGUMENTS]"),
        (["manage.py", "--help"], "Usage: python3 manage.py [OPTIONS] COMMAND [ARGS]..."),
        (["manage.py", "keys", "list", "--help"], "Usage: python3 manage.py keys list [OPTIONS] [NAMESPACE]"),
        (["manage.py", "doctor", "--json", "--help"], "Usage: python3 manage.py doctor [OPTIONS]"),
    ],
)
def test_help_needs_no_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], usage: str
) -> None:
    (tmp_path / bootstrap.HELP_FILE).parent.mkdir(parents=True)
    shutil.copy(ROOT / bootstrap.HELP_FILE, tmp_path / bootstrap.HELP_FILE)
    with pytest.raises(SystemExit) as exited:
        bootstrap.answer_help(tmp_path, words)
    assert not exited.value.code
    assert capsys.readouterr().out.startswith(usage)
    bootstrap.answer_help(tmp_path, words[:1])  # without --help the environment is needed
