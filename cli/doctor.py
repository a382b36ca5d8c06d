"""`doctor`: what is wrong, why it matters, how to correct it."""

import asyncio
import json
import os
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from cli.terminal import Exit, Json, complain, load_settings, open_console, run, show_json
from local.host.app_settings import AppSettingsError
from local.repo.bootstrap import ROOT
from shared.app import App
from shared.errors import ConfigurationError
from shared.operations.doctor.app_state import Bindings
from shared.operations.doctor.examination import examine
from shared.operations.doctor.findings import Finding, Severity, error, worst
from shared.words import counted

_EXITS = {
    Severity.OK: Exit.OK,
    Severity.INFO: Exit.OK,
    Severity.WARNING: Exit.ATTENTION,
    Severity.ERROR: Exit.FAILED,
}
_STYLES = {Severity.OK: "green", Severity.INFO: "cyan", Severity.WARNING: "yellow", Severity.ERROR: "bold red"}
_COUNTED = {Severity.WARNING, Severity.ERROR}
"""Severities that have a plural."""
_SEVERITY_WIDTH, _ID_WIDTH = 9, 20
_MIN_TEXT_WIDTH = 30


def doctor(as_json: Json = False) -> None:
    """Check Redis, storage, settings and bindings. Shows what is wrong, why it matters and how to correct it.

    Changes nothing: writes a key functions:doctor:* and removes it, and publishes a message per pattern, which the
    functions ignore. Takes at most a few seconds.

    Example: Redis=HOST:6380,password=...,ssl=True python3 manage.py doctor

    Exit codes: 0 no problems (ok and info), 1 warnings, 2 errors. With --json: an object with status (the worst
    severity) and findings, each with id, severity (ok, info, warning, error), found, why, fix, commands.
    """
    try:
        load_settings()
    except (ConfigurationError, AppSettingsError) as settings_error:
        sys.exit(_print(_faults(settings_error), as_json=as_json))
    run(lambda app: _doctor(app, as_json=as_json))


def _faults(settings_error: Exception) -> list[Finding]:
    """A finding per fault of the settings; with faults nothing else can be checked."""
    texts = settings_error.faults if isinstance(settings_error, ConfigurationError) else (str(settings_error),)
    return [
        error("settings", text, "The app does not start.", "Correct it; docs/settings.md has every setting.")
        for text in texts
    ]


async def _doctor(app: App, *, as_json: bool) -> Exit:
    try:
        bindings = await asyncio.to_thread(app_bindings)  # in an event loop, the import would begin the app's own work
    except Exception as import_error:  # whatever the app raises at import, the host would get too
        findings = [
            error(
                "bindings",
                f"function_app.py cannot be imported: {type(import_error).__name__}",
                "The host finds no functions of the app.",
                "Show the error:",
                ("python -c 'import function_app'",),
            )
        ]
    else:
        findings = []
    try:
        names = [name for name, value in os.environ.items() if value]
        findings += await examine(app, None if findings else bindings, names)
    except asyncio.CancelledError:
        complain("Interrupted; nothing was changed.")
        raise
    return _print(findings, as_json=as_json)


def app_bindings() -> Bindings:
    """The raw bindings of the app's functions, as the host sees them. Works once per process: a FunctionApp returns its
    functions only once."""
    os.environ.setdefault("Redis", load_settings().redis)  # the trigger's connection, read at import
    sys.path.insert(0, str(ROOT))
    import function_app

    bindings: dict[str, list[dict[str, Any]]] = {}
    for function in function_app.app.get_functions():
        bindings[str(function.get_function_name())] = [json.loads(text) for text in function.get_raw_bindings()]
    return bindings


def _print(findings: Sequence[Finding], *, as_json: bool) -> Exit:
    status = worst(findings)
    if as_json:
        show_json({"status": status, "findings": findings})
        return _EXITS[status]
    console = open_console()
    order = list(Severity)
    for finding in sorted(findings, key=lambda finding: -order.index(finding.severity)):
        _show(console, finding)
    counts = [
        counted(count, severity) if severity in _COUNTED else f"{count} {severity}"
        for severity in reversed(order)
        if (count := sum(finding.severity is severity for finding in findings))
    ]
    console.print(", ".join(counts))
    return _EXITS[status]


def _show(console: Console, finding: Finding) -> None:
    head = Text(f"{finding.severity:<{_SEVERITY_WIDTH}}", _STYLES[finding.severity])
    head.append(f"{finding.id:<{_ID_WIDTH}}", "bold")
    first, *rest = _wrapped(console, finding.found)
    console.print(head.append(first, "default"), soft_wrap=True)
    for line in rest:
        _indented(console, line)
    if finding.severity is Severity.OK:
        return
    for label, text in (("Why: ", finding.why), ("Fix: ", finding.fix)):
        for line in _wrapped(console, f"{label}{text}") if text else ():
            _indented(console, line)
    for command in finding.commands:  # never wrapped, so that they can be copied
        console.print(f"    {command}", soft_wrap=True)
    console.print()


def _wrapped(console: Console, text: str) -> list[str]:
    width = max(_MIN_TEXT_WIDTH, console.width - _SEVERITY_WIDTH - _ID_WIDTH)
    return textwrap.wrap(text, width, break_on_hyphens=False) or [""]


def _indented(console: Console, line: str) -> None:
    console.print(" " * (_SEVERITY_WIDTH + _ID_WIDTH) + line, soft_wrap=True)
