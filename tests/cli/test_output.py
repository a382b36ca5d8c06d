"""What all commands have in common in their output: the style of JSON, tables within 80 columns, no colours where none
are wanted."""

import asyncio
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from rich.cells import cell_len

from cli.app import app as commands
from local.run.help_texts import help_texts
from shared.app import App
from shared.batches import reactor as batches
from shared.charts import reactor as charts
from shared.delivery import dead_letters, retries
from shared.errors import Rejected
from shared.reactor import Payload
from shared.sessions import reactor as sessions
from tests.cli.conftest import ROOT
from tests.support.causes import cause
from tests.support.json_style import faults

WIDTH = 80
LONG = "plant-7-compressor-hall-north-line-3-temperature-and-pressure-" + "x" * 60
BATCH = f"fastapi:temp:data:{LONG}"
CHART = f"{LONG}:realtime"
TOKEN = "5e55107ab1e-70ce2-4ab5-9d2e-aa11bb22cc33"
USER = "12345678-1234-1234-1234-123456789abc"
ROWS = json.dumps([{"ts": 1_767_225_600_000 + 1000 * n, "temp": n % 7} for n in range(50)])
LETTER = "{letter}"
WITHOUT_STORAGE = {"audit verify", "audit export"}
"""Refused here, before they print anything; their fields are those of test_audit.py."""
NO_SOURCE = {"charts refresh", "charts sources check"}
"""Need CHART_SOURCES; see test_chart_sources.py."""
PROSE = {"audit tail", "deadletters show", "explain", "migrate"}
"""Have lines of text, which a terminal wraps: a record, a payload, names of series, a reason."""
WITH_KEYS = {
    *("charts list", "deadletters discard", "deadletters list", "deadletters replay", "deadletters show"),
    "keys list",
}
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9\d|10\d)[;m]")
_COPIED = re.compile(r"    \S")
"""A command of the doctor, which is never wrapped, so that it can be copied."""
LINES: dict[str, list[list[str]]] = {
    "audit state": [[]],
    "audit tail": [[]],
    "audit user": [[USER]],
    "charts list": [[]],
    "cleanup": [["unknown", "--dry-run"], ["fastapi", "--dry-run"]],
    "deadletters discard": [["--all", "--dry-run"]],
    "deadletters list": [[], ["--by-reason"]],
    "deadletters replay": [["--all", "--dry-run"]],
    "deadletters show": [[LETTER, "--payload"]],
    "doctor": [[]],
    "explain": [[BATCH]],
    "keys list": [[]],
    "keys show": [[BATCH], [f"fabric:data:chart:{CHART}"], [f"nextauth:session:{TOKEN}"]],
    "keys stats": [[]],
    "migrate": [[]],
    "patterns test": [["*", BATCH], []],
    "sweep": [[], ["--now"]],
    "ttl check": [[]],
    "ttl fix": [["--dry-run"]],
    "watch": [["--seconds", "1"]],
}
"""Arguments for each command that prints data, over the keys of `populated`."""

_RUN_ALL = """
import json, os, sys, tempfile
from cli.app import app
results = []
for line in json.load(sys.stdin):
    with tempfile.TemporaryFile() as output:
        saved = os.dup(1)
        os.dup2(output.fileno(), 1)
        try:
            code = app(line, standalone_mode=False)
        except SystemExit as ended:
            code = ended.code
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)
        output.seek(0)
        results.append([code, output.read().decode()])
print(json.dumps(results))
"""
"""Runs many commands in one process: each start takes half a second."""


def data_commands() -> Iterator[tuple[str, Any]]:
    """Every command by its name, with the names of its parameters."""

    def leaves(command: Any, name: str) -> Iterator[tuple[str, Any]]:
        if not (inner := getattr(command, "commands", None)):
            yield name, command
        for inner_name, inner_command in (inner or {}).items():
            yield from leaves(inner_command, f"{name} {inner_name}".strip())

    return leaves(typer.main.get_command(commands), "")


@pytest.fixture
async def populated(app: App) -> str:
    """Keys of all kinds with long names, results, a chart, sessions, a retry and a dead letter, whose id it returns."""
    client = app.redis
    await client.set(BATCH, ROWS, ex=3600)
    await client.set(f"fabric:data:chart:{CHART}", ROWS, ex=300)
    session = json.dumps({"userId": USER, "expires": "2036-01-01T00:00:00.000Z"})
    await client.set(f"nextauth:session:{TOKEN}", session)
    await client.set(f"fabric:user:{USER}:tokens", "{}", ex=9000)
    await client.set(f"cart:{LONG}:items", "[]")
    await client.set(f"user:{USER}:tokens", "{}")
    await batches.react(app, [BATCH.encode()], cause("set"))
    await charts.react(app, [f"fabric:data:chart:{CHART}".encode()], cause("set"))
    await sessions.react(app, [f"nextauth:session:{TOKEN}".encode()], cause("set"))
    await retries.schedule(app, "batches", BATCH.encode(), ValueError())
    error = Rejected(f"rows found at `{LONG}`, but no column of numbers: `temp` holds text")
    return await dead_letters.bury(app, "batches", BATCH.encode(), error, Payload("string", "0" * 40, [b"{" * 500]))


def arguments(letter: str) -> Iterator[list[str]]:
    for name, lines in LINES.items():
        for line in lines:
            yield [*name.split(), *(letter if word == LETTER else word for word in line)]


def test_every_command_that_prints_data_has_json_and_is_tried_here() -> None:
    with_json = {
        name for name, command in data_commands() if any("--json" in parameter.opts for parameter in command.params)
    }
    assert with_json == {name for name, _ in data_commands()}
    assert with_json == LINES.keys() | WITHOUT_STORAGE | NO_SOURCE


def run_all(lines: list[list[str]], environment: dict[str, str]) -> list[tuple[int, str]]:
    """Exit code and output of each command."""
    completed = subprocess.run(
        [sys.executable, "-c", _RUN_ALL],
        cwd=ROOT,
        env=environment | {"AzureWebJobsStorage": ""},
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    return [(code, output) for code, output in json.loads(completed.stdout)]


async def test_the_json_of_every_command_has_one_style(manage_environment: dict[str, str], populated: str) -> None:
    lines = [[*line, "--json"] for line in arguments(populated)]
    results = await asyncio.to_thread(run_all, lines, manage_environment)
    for line, (code, output) in zip(lines, results, strict=True):
        assert code in {0, 1} or line[0] == "doctor", line
        documents = output.splitlines() if line[0] == "watch" or line[:2] == ["audit", "tail"] else [output]
        assert documents, line
        for document in documents:
            value = json.loads(document)
            if line[:2] != ["audit", "tail"]:  # records as they are in the log
                assert list(faults(value)) == [], line


_RUN_ALL_ON_TERMINAL = """
import json, sys
from cli.app import app
for line in json.load(sys.stdin):
    print(chr(30), flush=True)
    try:
        app(line, standalone_mode=False)
    except SystemExit:
        pass
print(chr(30))
"""


def run_all_on_terminal(lines: list[list[str]], environment: dict[str, str], *, columns: int = WIDTH) -> list[str]:
    """The output of each command on a terminal of `columns`, with its control sequences."""
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN_ALL_ON_TERMINAL],
        cwd=ROOT,
        env=environment | {"AzureWebJobsStorage": "", "COLUMNS": str(columns), "TERM": "xterm-256color"},
        stdin=subprocess.PIPE,
        stdout=end,
        stderr=subprocess.DEVNULL,
    )
    os.close(end)
    assert process.stdin is not None
    with process.stdin as stdin:
        stdin.write(json.dumps(lines).encode())
    output = b""
    while True:
        try:
            chunk = os.read(terminal, 65_536)
        except OSError:  # Linux: the other end is closed
            break
        if not chunk:
            break
        output += chunk
    os.close(terminal)
    assert process.wait(10) == 0
    first, *parts, last = output.decode().replace("\r\n", "\n").split("\x1e\n")
    assert (first, last) == ("", "")
    return parts


async def test_tables_fit_80_columns_and_show_every_key_whole(
    manage_environment: dict[str, str], populated: str
) -> None:
    lines = list(arguments(populated))
    results = await asyncio.to_thread(run_all_on_terminal, lines, manage_environment)
    for line, output in zip(lines, results, strict=True):
        name = " ".join(line[: 1 if line[0] in LINES else 2])
        text = _CONTROL.sub("", output)
        if name not in PROSE:
            too_wide = [row for row in text.splitlines() if cell_len(row.rstrip()) > WIDTH and not _COPIED.match(row)]
            assert too_wide == [], line
        if name in WITH_KEYS and line[-1] != "--by-reason":
            assert LONG in re.sub(r"\s", "", text), line
        assert "…" not in text or name == "keys show", line


async def test_tables_of_keys_fit_60_columns_and_cut_no_value(
    manage_environment: dict[str, str], populated: str
) -> None:
    lines = [["keys", "stats"], ["charts", "list"]]
    results = await asyncio.to_thread(run_all_on_terminal, lines, manage_environment, columns=60)
    statistics, caches = (_CONTROL.sub("", output).splitlines() for output in results)
    batch = next(row for row in statistics if row.startswith("  batch "))
    assert re.fullmatch(r"  batch +1 +[\d.]+ (B|KiB) +\d+m \d+m \d+m +0", batch.rstrip()), batch
    assert "…" not in "".join(statistics + caches)
    assert all(cell_len(row.rstrip()) <= 60 for row in caches)


def test_help_shows_every_command_and_example_on_one_line() -> None:
    for name, text in json.loads(help_texts()).items():
        if not name.startswith("manage.py"):
            continue
        commands_shown = text.partition("\nCommands:\n")[2].splitlines()
        assert [row for row in commands_shown if row.endswith("...")] == [], name
        example = text.partition("Example: ")[2].partition("\n\n")[0]
        assert "\n" not in example, name


async def test_no_color_is_honoured(manage_environment: dict[str, str], populated: str) -> None:
    in_colour, plain = await asyncio.gather(
        asyncio.to_thread(run_all_on_terminal, [["doctor"]], manage_environment),
        asyncio.to_thread(run_all_on_terminal, [["doctor"]], manage_environment | {"NO_COLOR": "1"}),
    )
    assert _COLOUR.search(in_colour[0])
    assert not _COLOUR.search(plain[0])


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (["audit", "user", "u", "--day", "soon"], "'soon'"),
        (["sweep", "--now", "--budget", "5x"], "'5x'"),
        (["cleanup", "unknown", "--rate", "fast"], "'fast'"),
        (["cleanup", "elsewhere"], "'elsewhere'"),
        (["deadletters", "list", "--reactor", "other"], "'other'"),
        (["deadletters", "list", "--limit", "0"], "'0'"),
        (["watch", "--seconds", "-1"], "'-1'"),
        (["audit", "tail", "-n", "many"], "'many'"),
        (["keys", "list", "--cursor", "x\x1b[31m"], r"'x\x1b[31m'"),
    ],
)
async def test_a_refusal_names_the_value_on_one_line(
    manage_environment: dict[str, str], app: App, line: list[str], value: str
) -> None:
    completed = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", "from cli.app import main; main()", *line],
        cwd=ROOT,
        env=manage_environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (completed.returncode, completed.stdout) == (2, "")
    assert value in completed.stderr.splitlines()[-1]
