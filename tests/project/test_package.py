"""What is published to Azure: only what runs, pinned, within its size."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MIB = 1024 * 1024
SOURCE_MAX_BYTES = 2 * MIB
INSTALLED_MAX_BYTES = 130 * MIB
"""As unpacked; 115 MiB are 30 MB as a package, half of the budget of 60 MB."""


def listed(*options: str) -> set[str]:
    """Tracked files, by git, which has the rules of .funcignore's patterns."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone of the repository")
    output = subprocess.run(["git", "ls-files", "-z", *options], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(filter(None, output.stdout.split("\0")))


def package() -> list[Path]:
    return sorted(Path(name) for name in listed() - listed("--ignored", "--cached", "--exclude-from=.funcignore"))


def test_the_package_holds_only_what_runs() -> None:
    tops = {path.parts[0] for path in package()}
    assert tops == {"function_app.py", "host.json", "requirements.txt", "shared", "triggers"}
    assert {path.suffix for path in package()} <= {".py", ".lua", ".json", ".txt", ".html", ".css", ".js", ".svg"}
    assert sum((ROOT / path).stat().st_size for path in package()) < SOURCE_MAX_BYTES


def test_what_git_does_not_track_is_not_published_either() -> None:
    ignored = {line.rstrip("/") for line in (ROOT / ".funcignore").read_text(encoding="utf-8").splitlines()}
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {line.rstrip("/") for line in lines if "*" not in line} - {"node_modules"} <= ignored


@pytest.mark.parametrize(
    "name", [".azure/dev/.env", ".env", "local.settings.json", "migration-20261129.jsonl", ".run/state.json"]
)
def test_a_file_with_secrets_is_neither_committed_nor_published(name: str, tmp_path: Path) -> None:
    """azd writes AUDIT_KEY into .azure/; the others hold connection strings, session tokens and function keys."""
    for rules in (".gitignore", ".funcignore"):
        shutil.copy(ROOT / rules, tmp_path / ".gitignore")
        subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
        ignored = subprocess.run(["git", "check-ignore", "--quiet", "--no-index", name], cwd=tmp_path, check=False)
        assert ignored.returncode == 0, rules


def test_the_app_runs_from_its_package_alone(tmp_path: Path) -> None:
    for path in package():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    code = "import sys; sys.path.insert(0, '.'); import function_app; print(len(function_app.app.get_functions()))"
    output = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, env={}, capture_output=True, text=True, check=True
    )
    assert int(output.stdout) >= 18


def requirements(name: str) -> dict[str, str]:
    """Each requirement of a file with its text, hashes included."""
    text = re.sub(r"^ *#.*\n", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    entries = text.replace("\\\n", " ").splitlines()
    return {re.split(r"[=\[ ]", entry)[0]: entry for entry in entries if entry.strip()}


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_package_is_pinned_with_hashes(name: str) -> None:
    for entry in requirements(name).values():
        assert re.match(r"[\w.-]+==[\w.]+( ; [^\\]+?)? +--hash=sha256:[0-9a-f]{64}", entry), entry


def test_the_pinned_packages_come_from_the_short_list() -> None:
    """requirements.txt is compiled from pyproject.toml, and both files pin the same versions."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    direct = {re.split(r"[\[ ;]", dependency)[0].replace(".", "-") for dependency in project["dependencies"]}
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    blocks = re.findall(r"^([\w.-]+)==.*\n(?:    --hash.*\n)+((?:    #.*\n)+)", text, flags=re.MULTILINE)
    assert {name for name, via in blocks if "(pyproject.toml)" in via} == direct
    development = requirements("requirements-dev.txt")
    assert {name: entry for name, entry in requirements("requirements.txt").items() if development[name] != entry} == {}


def test_the_dependencies_stay_within_their_size() -> None:
    files = (file for name in requirements("requirements.txt") for file in distribution(name).files or ())
    assert sum(file.size or 0 for file in files) < INSTALLED_MAX_BYTES
