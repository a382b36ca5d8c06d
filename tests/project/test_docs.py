"""The documents agree with the code: generated tables, existing link targets, existing commands."""

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from local.repo.bootstrap import HELP_FILE
from local.repo.tables import DOCUMENTS, FILES, update_tables
from local.run.help_texts import help_texts
from shared.operations import openapi

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *(ROOT / f"{name}.md" for name in ("README", "CHANGELOG", "CONTRIBUTING", "SECURITY")),
        *(ROOT / "docs").glob("*.md"),
    ]
)
NEEDS_AZURE = "<!-- needs Azure -->\n"
LOCAL_COMMANDS = re.compile(
    r"\./run|\./test|bench/run|docs/build|git clone|redis-cli|\.venv/bin/(?:ruff|python -m (?:pytest|local\.\w+))"
    r"|(?:\w+=\S+ )*python manage\.py|python -m local\.repo\.tables|until \[|\w+=\d+$|cd |apt-get install -y chromium"
)
"""What other tests run, and what the shell and its tools do."""


@pytest.mark.parametrize("name", DOCUMENTS)
def test_tables_are_those_of_the_code(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "<!-- table: " in text
    assert text == update_tables(text), "run: .venv/bin/python -m local.repo.tables"


@pytest.mark.parametrize("name", FILES)
def test_generated_files_are_those_of_the_code(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == FILES[name](), "run: .venv/bin/python -m local.repo.tables"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_link_targets_exist(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_run_by_a_test_or_marked_as_needing_azure(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for block in re.finditer(r"^```(?:sh|bash|)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        lines = re.sub(r"\\\n\s*", " ", block[1]).splitlines()
        commands = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        in_azure = any(re.match(r"(\w+=\$\()?(az|azd|func) ", command) for command in commands)
        if in_azure or text[: block.start()].endswith(NEEDS_AZURE):
            assert text[: block.start()].endswith(NEEDS_AZURE), block[1]
        elif block[0].startswith(("```sh", "```bash")):
            for command in commands:
                assert LOCAL_COMMANDS.match(command), command


def test_the_first_screen_of_the_readme_has_the_two_commands() -> None:
    first_screen = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:40])
    block = re.search(r"```sh\n(.*?)```", first_screen, re.DOTALL)
    assert block is not None
    commands = [line.split()[0] for line in block[1].splitlines() if line.strip()]
    assert commands == ["./run", "./test"]
    for command in commands:
        assert (ROOT / command).stat().st_mode & 0o111


def test_the_help_texts_are_up_to_date() -> None:
    assert (ROOT / HELP_FILE).read_text(encoding="utf-8") == help_texts(), (
        "run: .venv/bin/python -m local.run.help_texts"
    )


_OF_THE_PAGE = ("/api/monitor", "/api/monitor/ID")


def test_the_requests_of_test_http_exist_in_the_openapi_document() -> None:
    requests = re.findall(r"^(GET|POST) \{\{host\}\}(/\S+)", (ROOT / "test.http").read_text(), re.MULTILINE)
    paths = openapi.document()["paths"]
    described = {(method, re.sub(r"\{\w+\}", "ID", path)) for path, methods in paths.items() for method in methods}
    named = {(method.lower(), re.sub(r"\{\{.*?\}\}", "ID", path.partition("?")[0])) for method, path in requests}
    assert named == {(method, path) for method, path in described if not (path in _OF_THE_PAGE or method == "options")}


@pytest.mark.parametrize("name", ["extensions", "launch", "settings", "tasks"])
def test_the_files_for_vs_code_are_json_and_name_modules_and_tasks_that_exist(name: str) -> None:
    content = json.loads((ROOT / ".vscode" / f"{name}.json").read_text())
    tasks = {task["label"] for task in json.loads((ROOT / ".vscode/tasks.json").read_text())["tasks"]}
    for configuration in content.get("configurations", ()):
        assert configuration["preLaunchTask"] in tasks
        assert find_spec(configuration.get("module", "json"))
