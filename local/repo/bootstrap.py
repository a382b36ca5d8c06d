"""Makes the project's own Python ready in .venv, then becomes it: the first half of ./run, ./test and bench/run.

Standard library only. Any Python from 3.8 on can start it; the app itself needs 3.13, which is looked for on this
machine and, where there is none, fetched by uv. A folder that is ready is recognised by a stamp, so that only the
first time costs anything. One line of progress per long step goes to stderr.
"""

from __future__ import annotations

import fcntl
import glob
import hashlib
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

WANTED = (3, 13)
ROOT = Path(__file__).resolve().parents[2]
MODULES = {"run": "local.run", "test": "local.repo.checks", "bench": "bench"}


class Environment(NamedTuple):
    """A virtual environment of the project, by paths within it."""

    folder: str
    requirements: Sequence[str]
    """The files that it rests on; the last is the one that is installed."""


PROJECT = Environment(".venv", ("requirements.txt", "requirements-dev.txt"))
BENCH = Environment(".venv-bench", ("bench/requirements.txt",))
"""What the benchmark compares with and draws with, apart from the project's own packages."""


_PROBE = """
import sys, sysconfig, ensurepip, ssl, venv
if sys.version_info[:2] != (3, 13) or sysconfig.get_config_var("Py_GIL_DISABLED"):
    sys.exit(1)
print(sys._base_executable)
"""
_PROBE_TIMEOUT_S = 20


class SetUpError(Exception):
    """What went wrong and what to do about it, for the person at the terminal."""


def main(arguments: Sequence[str]) -> NoReturn:
    """Set up where needed, then run the module of the command `arguments[0]` with the rest of the arguments."""
    os.chdir(ROOT)
    for number in (signal.SIGTERM, signal.SIGHUP):
        # As an exception, it ends the running step with us.
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    try:
        python = prepare(ROOT)
        if arguments[0] == "bench":
            prepare(ROOT, BENCH)
    except SetUpError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    os.execv(python, [str(python), "-m", MODULES[arguments[0]], *arguments[1:]])  # noqa: S606 (no shell is the point)


def prepare(root: Path, environment: Environment = PROJECT) -> Path:
    """The Python of `environment` in `root`, with its packages installed; builds it where it is not.

    Every other environment is made with the Python of the project's own. Two runs at once: the second waits for the
    first. Raises SetUpError.
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
    """Whether it was finished for exactly these requirement files, in this place, and its Python still exists."""
    try:
        stamp = (root / environment.folder / ".stamp").read_text(encoding="utf-8")
        return stamp == _fingerprint(root, environment) and os.access(_python(root, environment), os.X_OK)
    except OSError:
        return False


def _python(root: Path, environment: Environment) -> Path:
    return root / environment.folder / "bin" / "python"


def _fingerprint(root: Path, environment: Environment = PROJECT) -> str:
    """Hash of the requirement files, of the Python that the environment was made from, and of where it stands: a
    virtual environment that was moved or copied does not work."""
    digest = hashlib.sha256(os.fsencode(root.resolve()))
    for name in (*environment.requirements, environment.folder + "/pyvenv.cfg"):
        digest.update(b"\0" + (root / name).read_bytes())
    return digest.hexdigest()


def _build(root: Path, environment: Environment, python: str) -> None:
    """Make it anew. The stamp comes last, so that one that was left half-finished is made again."""
    folder = root / environment.folder
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
    """The first Python 3.13 on this machine that really runs and can make a virtual environment, or None.

    Being on PATH is not enough: a pyenv shim may stand for a version that is not selected, and Debian's Python
    may come without ensurepip. A shim or a virtual environment's link is resolved to the interpreter behind it.
    """
    tried = set()
    for candidate in _candidates(environ):
        if candidate not in tried and os.access(candidate, os.X_OK):
            tried.add(candidate)
            found = _output([candidate, "-I", "-c", _PROBE], environ)
            if found:
                return found
    return None


def _candidates(environ: Mapping[str, str]) -> Iterator[str]:
    """Paths where a Python 3.13 may be, the likeliest first; later ones cost more to name."""
    if sys.version_info[:2] == WANTED:
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
    """Every 3.13 of pyenv, the newest first."""
    roots = [environ.get("PYENV_ROOT", ""), os.path.join(environ.get("HOME", ""), ".pyenv")]
    pyenv = shutil.which("pyenv", path=environ.get("PATH", os.defpath))
    if pyenv:
        roots.append(_output([pyenv, "root"], environ))
    found = [
        executable
        for folder in filter(os.path.isabs, roots)
        for executable in glob.glob(os.path.join(glob.escape(folder), "versions", "3.13*", "bin", "python3.13"))
    ]
    return sorted(
        found, key=lambda path: [int(part) for part in re.findall(r"\d+", Path(path).parts[-3])], reverse=True
    )


def _fetch_python(root: Path) -> str:
    """A Python 3.13 fetched by uv, which is itself taken from PyPI where it is not installed."""
    uv = shutil.which("uv")
    if uv is None:
        tools = root / ".venv-tools"
        _say("no Python 3.13 here; installing uv into .venv-tools, to fetch one")
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
    "This app needs Python 3.13; none was found here and none could be fetched. Install it (python.org, pyenv,\n"
    "Homebrew or your system's packages; on Debian and Ubuntu with python3.13-venv), and run this again."
)


def _output(command: Sequence[str], environ: Mapping[str, str]) -> str:
    """What `command` prints, or nothing if it fails in any way: candidates are tried, not trusted."""
    try:
        done = subprocess.run(
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
    return os.fsdecode(done.stdout).strip()


def _must_run(command: Sequence[str], advice: str) -> None:
    """Run `command` quietly; where it fails, raise SetUpError with the end of what it said."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
    except OSError as error:
        raise SetUpError(f"{error}\n{advice}") from error
    if done.returncode != 0:
        last_lines = os.fsdecode(done.stdout).strip().splitlines()[-20:]
        raise SetUpError("\n".join([*last_lines, advice]))


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Hold the project folder's lock, which vanishes with its holder and leaves no file behind."""
    descriptor = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("waiting for another command of this project that is setting up")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _say(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
