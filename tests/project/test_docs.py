"""The documents agree with the code: generated tables, existing link targets, existing commands."""

import json
import re
import shlex
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer

from bench import __main__ as bench
from local.repo.bootstrap import HELP_FILE
from local.repo.tables import DOCUMENTS, FILES, update_tables
from local.run import __main__ as run
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
TRIALS = cache(lambda: bench.all_trials(bench.Plan(bench.Size.QUICK, 0)))
PLACEHOLDERS = {"HOST": "127.0.0.1", "PORT": "6379"}


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


def refusal(command: str) -> str:
    """Why this machine would not take a command; empty if it would. Commands of manage.py are run by
    tests/cli/test_documented_commands.py."""
    words = [PLACEHOLDERS.get(word, word) for word in shlex.split(command, comments=True)]
    while words and re.fullmatch(r"[A-Z]\w*=.*", words[0]):
        del words[0]
    match words:
        case []:
            return ""
        case ["./run", *arguments]:
            return _refused(run.app, arguments)
        case ["bench/run", *arguments]:
            return _refused(bench.app, arguments) or _no_trial(arguments)
        case ["./test", *arguments] | [".venv/bin/python", "-m", "pytest", *arguments]:
            missing = [word for word in arguments if "/" in word and not (ROOT / word).exists()]
            return f"no file {missing}" if missing else ""
        case [".venv/bin/python" | "python", "-m", module]:
            return "" if find_spec(module) else f"no module {module}"
        case ["python" | "python3", "manage.py", *_] | ["redis-cli", *_] | ["docs/build"] | ["until", *_]:
            return ""
        case [".venv/bin/ruff", "format", "."]:
            return ""
        case _:
            return "not a command of this project that a test runs"


def _refused(app: typer.Typer, arguments: list[str]) -> str:
    try:
        typer.main.get_command(app).make_context("command", list(arguments))
    except Exception as error:  # click's own, for an invalid argument
        return f"{type(error).__name__}: {error}"
    return ""


def _no_trial(arguments: list[str]) -> str:
    context = typer.main.get_command(bench.app).make_context("command", list(arguments))
    try:
        bench.choose(TRIALS(), context.params["experiments"] or (), context.params["consumer"] or ())
    except typer.BadParameter as error:
        return str(error)
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_run_by_a_test_or_marked_as_needing_azure(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for block in re.finditer(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if block[1] not in {"sh", "bash", ""}:
            continue
        lines = [line.strip() for line in re.sub(r"\\\n\s*", " ", block[2]).splitlines() if line.strip()]
        in_azure = any(re.match(r"(\w+=\$\()?(az|azd|func) ", line) for line in lines)
        if in_azure or text[: block.start()].endswith(NEEDS_AZURE):
            assert text[: block.start()].endswith(NEEDS_AZURE), block[2]
        else:
            assert [(line, refusal(line)) for line in lines if refusal(line)] == []


@pytest.mark.parametrize(
    "command",
    ["./run --dem", "bench/run bursts", "./test tests/none", ".venv/bin/python -m local.none", "make", "docs/build x"],
)
def test_a_command_that_does_not_exist_is_noticed(command: str) -> None:
    assert refusal(command)


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
