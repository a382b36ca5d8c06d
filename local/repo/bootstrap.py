"""Creates .venv and replaces this process by its Python: the first step of `./run`, `./test`, `bench/run`
and `docs/build`.

Standard library only. Any Python from 3.8 on can run this file. The app needs Python 3.13, which is searched on this
machine and otherwise fetched by uv. A stamp file marks a finished environment, so later starts skip the set-up.
Progress goes to stderr, a line per long step.
"""

from __future__ import annotations

import fcntl
import glob
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, NoReturn

REQUIRED_PYTHON = (3, 13)
ROOT = Path(__file__).resolve().parents[2]
HELP_FILE = "local/repo/help.json"
MODULES = {"run": "local.run", "test": "local.repo.checks", "bench": "bench", "docs": "local.repo.site"}


class Environment(NamedTuple):
    """A virtual environment of the project. Paths are relative to the project's folder."""

    folder: str
    requirements: Sequence[str]
    """The environment is rebuilt when one of these files changes. The last of them is installed."""


PROJECT = Environment(".venv", ("requirements.txt", "requirements-dev.txt"))
BENCH = Environment(".venv-bench", ("bench/requirements.txt",))
"""Packages for the benchmark only: the peers that it measures, and the plots."""
DOCS = Environment(".venv-docs", ("requirements-docs.txt",))
"""Packages for the site of the documentation only."""
FURTHER = {"bench": BENCH, "docs": DOCS}

_PROBE = """
import sys, sysconfig, ensurepip, ssl, venv
if sys.version_info[:2] != (3, 13) or sysconfig.get_config_var("Py_GIL_DISABLED"):
    sys.exit(1)
print(sys._base_executable)
"""
_PROBE_TIMEOUT_S = 20


class SetUpError(Exception):
    """The environment cannot be set up. The text is the reason and what to do, for the user."""


def main(arguments: Sequence[str]) -> NoReturn:
    """Set up if needed, then run the module of the command `arguments[0]` with the other arguments."""
    os.chdir(ROOT)
    answer_help(ROOT, arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        # SystemExit also ends the child process of the current step.
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    try:
        python = prepare(ROOT)
        if arguments[0] in FURTHER:
            prepare(ROOT, FURTHER[arguments[0]])
    except SetUpError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        _say("interrupted; the next start sets up again")
        sys.exit(130)
    os.execv(python, [str(python), "-m", MODULES[arguments[0]], *arguments[1:]])  # noqa: S606 (exec without a shell is intended)


def answer_help(root: Path, words: Sequence[str]) -> None:
    """Print the help of a command and exit if `words` ask for it and the environment, which would answer, is missing.

    words: the program (`run`, `test`, `manage.py`) and its arguments.
    """
    if not {"--help", "-h"} & set(words) or is_ready(root):
        return
    texts = json.loads((root / HELP_FILE).read_text(encoding="utf-8"))
    names = [" ".join(words[:count]) for count in range(len(words), 0, -1)]
    text = next((texts[name] for name in names if name in texts), None)
    if text:
        sys.exit(print(text))


def prepare(root: Path, environment: Environment = PROJECT) -> Path:
    """Build the environment in `root` unless it is ready. Returns the path of its Python.

    Environments other than PROJECT are created with the Python of PROJECT, which must be ready. A second process waits
    for the first. Raises SetUpError.
    """
    if not is_ready(root, environment):
        with _locked(root):
            if not is_ready(root, environment):
                if environment is PROJECT:
                    python = find_python(os.environ) or _fetch_python(root)
                else:
                    python = str(_python(root, PROJECT))
                _build(root, environment, python)
    return _python(root, environment)


def is_ready(root: Path, environment: Environment = PROJECT) -> bool:
    """Whether it was built completely, in this folder, from the current requirement files, and its Python exists."""
    try:
        stamp = (root / environment.folder / ".stamp").read_text(encoding="utf-8")
        return stamp == _fingerprint(root, environment) and os.access(_python(root, environment), os.X_OK)
    except OSError:
        return False


def _python(root: Path, environment: Environment) -> Path:
    return root / environment.folder / "bin" / "python"


def _fingerprint(root: Path, environment: Environment = PROJECT) -> str:
    """SHA-256 of the requirement files, of pyvenv.cfg (which names the base Python), and of the path of `root`.

    The path is included because a virtual environment does not work after it was moved or copied.
    """
    digest = hashlib.sha256(os.fsencode(root.resolve()))
    for name in (*environment.requirements, environment.folder + "/pyvenv.cfg"):
        digest.update(b"\0" + (root / name).read_bytes())
    return digest.hexdigest()


def _build(root: Path, environment: Environment, python: str) -> None:
    """Build the environment from scratch. The stamp is written last, so an interrupted build is repeated.

    Raises SetUpError, without a change, if the folder is a link.
    """
    folder = root / environment.folder
    if folder.is_symlink():
        raise SetUpError(
            f"{folder} is a link, and building would damage the environment that it names. Remove the link."
        )
    (folder / ".stamp").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    _say(f"creating {environment.folder} with {python}")
    _must_run([python, "-I", "-m", "venv", str(folder)], "The virtual environment could not be created.")
    _say(f"installing the pinned packages into {environment.folder} (once, about half a minute)")
    pip = [str(_python(root, environment)), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input"]
    _must_run(
        [*pip, "install", "--quiet", "--requirement", str(root / environment.requirements[-1])],
        "The packages could not be installed: check the network and pip's configuration, then run this again.",
    )
    (folder / ".stamp").write_text(_fingerprint(root, environment), encoding="utf-8")


def find_python(environ: Mapping[str, str]) -> str | None:
    """The first Python 3.13 on this machine that runs and can create a virtual environment, or None.

    Each candidate is run, because a pyenv shim on PATH may belong to a version that is not selected, and Debian's
    Python may lack ensurepip. Returns the base interpreter, not the shim or the virtual environment's link.
    """
    tried = set()
    for candidate in _candidates(environ):
        if candidate not in tried and os.access(candidate, os.X_OK):
            tried.add(candidate)
            base_python = _output([candidate, "-I", "-c", _PROBE], environ)
            if base_python:
                return base_python
    return None


def _candidates(environ: Mapping[str, str]) -> Iterator[str]:
    """Paths where a Python 3.13 may be, the likeliest first. The later ones take longer to determine."""
    if sys.version_info[:2] == REQUIRED_PYTHON:
        yield getattr(sys, "_base_executable", sys.executable)
    path = environ.get("PATH", os.defpath)
    folders = [folder for folder in path.split(os.pathsep) if folder]
    for name in ("python3.13", "python3", "python"):
        yield from (os.path.join(folder, name) for folder in folders)
    yield from _pyenv_versions(environ)
    for folder in ("/opt/homebrew/bin", "/usr/local/bin", "/usr/bin"):
        yield folder + "/python3.13"
    yield "/Library/Frameworks/Python.framework/Versions/3.13/bin/python3.13"
    uv = shutil.which("uv", path=path)
    if uv:
        yield _output([uv, "python", "find", "--no-project", "3.13"], environ)


def _pyenv_versions(environ: Mapping[str, str]) -> list[str]:
    """Every Python 3.13 that pyenv has installed, the newest first."""
    roots = [environ.get("PYENV_ROOT", ""), os.path.join(environ.get("HOME", ""), ".pyenv")]
    pyenv = shutil.which("pyenv", path=environ.get("PATH", os.defpath))
    if pyenv:
        roots.append(_output([pyenv, "root"], environ))
    executables = [
        executable
        for folder in filter(os.path.isabs, roots)
        for executable in glob.glob(os.path.join(glob.escape(folder), "versions", "3.13*", "bin", "python3.13"))
    ]
    return sorted(
        executables, key=lambda path: [int(part) for part in re.findall(r"\d+", Path(path).parts[-3])], reverse=True
    )


def _fetch_python(root: Path) -> str:
    """Fetch Python 3.13 with uv, which is installed from PyPI first if it is not on PATH. Returns the path."""
    uv = shutil.which("uv")
    if uv is None:
        tools = root / ".venv-tools"
        _say("no Python 3.13 found; installing uv into .venv-tools to fetch it")
        _must_run([sys.executable, "-I", "-m", "venv", "--clear", str(tools)], _NO_PYTHON)
        pip = [str(tools / "bin" / "python"), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input"]
        _must_run([*pip, "install", "--quiet", "uv"], _NO_PYTHON)
        uv = str(tools / "bin" / "uv")
    _say("fetching Python 3.13 with uv")
    _must_run([uv, "python", "install", "3.13"], _NO_PYTHON)
    python = _output([uv, "python", "find", "--no-project", "3.13"], os.environ)
    if not python:
        raise SetUpError(_NO_PYTHON)
    return python


_NO_PYTHON = (
    "This app needs Python 3.13, which is not installed and could not be fetched. Install it (python.org, pyenv,\n"
    "Homebrew or your system's packages; on Debian and Ubuntu with python3.13-venv) and run this again."
)


def _output(command: Sequence[str], environ: Mapping[str, str]) -> str:
    """The output of `command` without surrounding whitespace; empty if it fails or takes over 20 s."""
    try:
        completed = subprocess.run(
            command,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PROBE_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return os.fsdecode(completed.stdout).strip()


def _must_run(command: Sequence[str], advice: str) -> None:
    """Run `command` without output. If it fails, raises SetUpError with its last 20 lines and `advice`."""
    try:
        completed = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
    except OSError as error:
        raise SetUpError(f"{error}\n{advice}") from error
    if completed.returncode != 0:
        last_lines = os.fsdecode(completed.stdout).strip().splitlines()[-20:]
        raise SetUpError("\n".join([*last_lines, advice]))


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Lock the project's folder. The lock needs no file, and ends with the process that holds it."""
    descriptor = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("waiting for another process that is setting up this project")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _say(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
