"""The documents agree with the code: generated tables, existing link targets, existing commands."""

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from local.repo.bootstrap import HELP_FILE
from local.repo.tables import DOCUMENTS, update_tables
from local.run.help_texts import help_texts
from shared.operations import openapi

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("name", DOCUMENTS)
def test_tables_are_those_of_the_code(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "<!-- table: " in text
    assert text == update_tables(text), "run: .venv/bin/python -m local.repo.tables"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_link_targets_exist(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_first_screen_of_the_readme_has_the_two_commands() -> None:
    first_screen = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:40])
    block = re.search(r"```sh\n(.*?)```", first_screen, re.DOTALL)
    assert block is not None
    commands = [line.split()[0] for line in block[1].splitlines() if line.strip()]
    assert commands == ["./run", "./test"]
    for command in commands:
        assert (ROOT / command).stat().st_mode & 0o111


def test_only_the_app_is_published() -> None:
    ignored = {line.rstrip("/") for line in (ROOT / ".funcignore").read_text().splitlines()}
    never_published = {".git", ".gitignore", ".funcignore"}
    untracked = {line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if "*" not in line}
    assert untracked - {"node_modules"} <= ignored
    published = {path.name for path in ROOT.iterdir()} - ignored - never_published
    assert published == {
        "function_app.py",
        "host.json",
        "requirements.txt",
        "shared",
        "triggers",
    }


def test_the_help_texts_are_up_to_date() -> None:
    assert (ROOT / HELP_FILE).read_text(encoding="utf-8") == help_texts(), (
        "run: .venv/bin/python -m local.run.help_texts"
    )


def test_the_requests_of_test_http_exist_in_the_openapi_document() -> None:
    requests = re.findall(r"^(GET|POST) \{\{host\}\}(/\S+)", (ROOT / "test.http").read_text(), re.MULTILINE)
    paths = openapi.document()["paths"]
    described = {(method, re.sub(r"\{\w+\}", "ID", path)) for path, methods in paths.items() for method in methods}
    named = {(method.lower(), re.sub(r"\{\{.*?\}\}", "ID", path.partition("?")[0])) for method, path in requests}
    assert named == {(method, path) for method, path in described if path not in ("/api/monitor", "/api/monitor/ID")}


@pytest.mark.parametrize("name", ["extensions", "launch", "settings", "tasks"])
def test_the_files_for_vs_code_are_json_and_name_modules_and_tasks_that_exist(name: str) -> None:
    content = json.loads((ROOT / ".vscode" / f"{name}.json").read_text())
    tasks = {task["label"] for task in json.loads((ROOT / ".vscode/tasks.json").read_text())["tasks"]}
    for configuration in content.get("configurations", ()):
        assert configuration["preLaunchTask"] in tasks
        assert find_spec(configuration.get("module", "json"))
