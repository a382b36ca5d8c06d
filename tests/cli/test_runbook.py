"""Every command line in the documents is accepted by manage.py."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.app import app
from shared.operations.doctor import app_state, notifications, server

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
RUNBOOK = ROOT / "docs" / "runbook.md"
_BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"python3? manage\.py (?!\.)([^`\n]*)")


def commands(text: str) -> list[str]:
    """The arguments of each manage.py command in the code blocks of a page, without comments and pipes."""
    matches = [match[1] for block in _BLOCK.findall(text) for match in _COMMAND.finditer(block)]
    lines = [line.partition(" #")[0].partition(" | ")[0].strip() for line in matches]
    return [line for line in lines if line != "--help"]


DOCUMENTED = sorted({(page.name, line) for page in PAGES for line in commands(page.read_text(encoding="utf-8"))})
ADVISED = sorted(
    {
        match[1]
        for module in (notifications, server, app_state)
        for match in re.finditer(r'"python3 manage\.py ([^"{]*)"', Path(module.__file__).read_text(encoding="utf-8"))
    }
)


def parse(arguments: list[str]) -> Any:
    """Parse a command without running it; returns its context. Raises click's errors for invalid arguments."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("manage.py", arguments)
    while hasattr(command, "commands"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, list(rest), parent=context)
    return context


@pytest.mark.parametrize(("page", "line"), DOCUMENTED)
def test_a_documented_command_is_accepted(page: str, line: str) -> None:
    assert parse(shlex.split(line)).command.callback is not None


@pytest.mark.parametrize("line", ADVISED)
def test_a_command_that_the_doctor_advises_is_accepted(line: str) -> None:
    assert parse(shlex.split(line)).command.callback is not None


@pytest.mark.parametrize("line", ["deadletters reply ID", "audit verify --since soon", "doctor --all", "nonsense"])
def test_an_invalid_command_line_is_refused(line: str) -> None:
    with pytest.raises(Exception, match=r"(No such|Invalid value|no such|day such as)"):
        parse(shlex.split(line))


def test_the_runbook_names_every_command() -> None:
    names: set[str] = set()
    group: Any = typer.main.get_command(app)
    for group_name, command in group.commands.items():
        names |= {f"{group_name} {inner}" for inner in getattr(command, "commands", {})} or {group_name}
    text = " ".join(commands(RUNBOOK.read_text(encoding="utf-8")))
    assert {name for name in names if name not in text} == set()


def test_links_to_headings_have_a_target() -> None:
    slugs = {page.name: _slugs(page.read_text(encoding="utf-8")) for page in PAGES}
    for page in PAGES:
        for target, slug in re.findall(r"\]\(([\w.]*)#([^)]+)\)", page.read_text(encoding="utf-8")):
            assert slug in slugs[target or page.name], f"{page.name}: {target}#{slug}"


def _slugs(text: str) -> set[str]:
    """The anchors that GitHub generates for the headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
