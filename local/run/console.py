"""The output of `./run`: the banner, a line per event, the demo's summary.

Text from outside (keys, reasons, log messages) is printed as plain text on one line, without markup and control
characters. Output into a pipe has no colours and no wrapped lines, so that grep finds whole lines.
"""

import logging
import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

from rich.console import Console
from rich.text import Text

from shared.operations.doctor.products import redis_cli
from shared.reactor import CHANNEL_PREFIX
from shared.store.connection import ConnectionOptions

if TYPE_CHECKING:
    # The launcher imports demo after the host has loaded the app, so that both use the same modules of shared.
    from local.run.demo import SampleResult

_STYLES = {"processed": "green", "duplicate": "dim", "ignored": "dim", "inert": "dim", "rejected": "yellow"}
_PIPED_WIDTH = 10_000
_TIMER = "timer "
_SAMPLE_WIDTH = 30
_KEY_INDENT = 17
FIRST_KEY = "fastapi:temp:data:batch-1"
FIRST_RESULT = "fastapi:results:analysis:batch-1"
FIRST_VALUE = '[{"timestamp":"2026-01-01T00:00:00Z","data":{"temp":24.1}}]'
INERT = "inert"
"""The outcome in log records of events with nothing to react to; shown with --verbose only."""


@dataclass(frozen=True)
class Started:
    """The content of the banner. Each text is printed on a line."""

    url: str
    function_key: str | None
    """None if the host manages its own keys."""
    redis: str
    storage: str
    functions: Mapping[str, str]
    """Description of the trigger by function name; empty if the host lists the functions itself."""
    errors: Mapping[str, str]
    """Name of each function that cannot run, and the reason."""
    notices: tuple[str, ...]
    first_key: tuple[str, ...]
    """Commands that write a first key and read its result."""
    operate: str = "python3 manage.py doctor"
    """The command that examines this app."""


def open_console(file: IO[str] | None = None) -> Console:
    """A console on `file`, by default stdout. It wraps lines only on a terminal."""
    console = Console(file=file, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _PIPED_WIDTH
    return console


def show_banner(console: Console, started: Started, *, verbose: bool = False) -> None:
    """Print addresses, problems, and the commands to start with: one screen. `verbose`: the functions one by one."""
    key = started.function_key
    lines: list[tuple[str, Iterable[str]]] = [
        ("Monitor", [monitor_link(started)]),
        ("HTTP", [f"{started.url}/api/health"]),
        ("Function key", [f"{key}  (header x-functions-key)"] if key else []),
        ("Redis", [started.redis]),
        ("Storage", [started.storage]),
        ("Functions", _functions(started.functions, one_by_one=verbose)),
        ("In error", [f"{name}: {reason}" for name, reason in started.errors.items()]),
        ("Note", started.notices),
        ("First key", started.first_key),
        ("Operate", [f"{started.operate}    (in another terminal; --help lists the commands)"]),
        ("Stop", ["Ctrl-C"]),
    ]
    _print(console, Text("Keyspace Functions", style="bold"))
    for title, values in lines:
        for number, value in enumerate(values):
            style = "red" if title == "In error" else "yellow" if title == "Note" else ""
            label = title if number == 0 else ""
            _print(console, Text.assemble((f"  {label:<14}", "bold"), (printable(value), style)))


def _functions(functions: Mapping[str, str], *, one_by_one: bool) -> list[str]:
    if one_by_one or not functions:
        return [f"{name:<24}{trigger}" for name, trigger in functions.items()]
    events = sum(trigger.startswith(CHANNEL_PREFIX) for trigger in functions.values())
    timers = sum(trigger.startswith(_TIMER) for trigger in functions.values())
    others = len(functions) - events - timers
    return [f"{events} on key events, {timers} timers, {others} for HTTP  (--verbose lists them)"]


def show_ready(console: Console) -> None:
    """Print the line `ready`, for programs that wait for it."""
    _print(console, Text("ready"))


def show_summary(console: Console, results: "Iterable[SampleResult]") -> None:
    """Print the demo's results: per sample a line, and in a terminal another with its key."""
    for result in results:
        line = Text("ok    ", style="green") if result.ok else Text("FAILED", style="bold red")
        line.append(f"{result.ms:>6.0f} ms  {printable(result.sample):<{_SAMPLE_WIDTH}}", "default")
        line.append(printable(result.outcome) + ("" if result.ok else f" (expected: {printable(result.expected)})"))
        if console.is_terminal:
            _print(console, line)
            _print(console, Text(" " * _KEY_INDENT + printable(result.key), "dim"))
        else:
            _print(console, line.append(f"  {printable(result.key)}"))


def show_what_next(console: Console, started: Started, *, loop: bool) -> None:
    """Print what to look at after the demo."""
    what = "Traffic goes on until Ctrl-C." if loop else "The sample keys stay until Ctrl-C; --loop writes more."
    _print(console, Text.assemble(("Now open ", "bold"), monitor_link(started), f"\n{what}"))


def monitor_link(started: Started) -> str:
    """The address of the monitor page; with the key, which the page takes from the address and removes there."""
    key = started.function_key
    return f"{started.url}/api/monitor" + (f"#key={quote(key, safe='')}" if key else "")


def first_key_commands(options: ConnectionOptions, *, has_redis_cli: bool) -> tuple[str, ...]:
    """Shell commands that write a small batch and read its result, by redis-cli or else by this Python; none where that
    would need the password."""
    if has_redis_cli:
        write = redis_cli(options, "SET", FIRST_KEY, FIRST_VALUE, "EX", "3600")
        return (write, redis_cli(options, "GET", FIRST_RESULT))
    if options.password or options.ssl:
        return ()
    python = sys.executable.removeprefix(f"{os.getcwd()}/")  # short: the commands are run in this folder too
    client = f"import redis; r = redis.Redis({options.host!r}, {options.port})"
    write = f"{client}; r.set({FIRST_KEY!r}, {FIRST_VALUE!r}, ex=3600)"
    read = f"{client}; print(r.get({FIRST_RESULT!r}))"
    return tuple(f"{shlex.quote(python)} -c {shlex.quote(script)}" for script in (write, read))


def describe_trigger(trigger: Mapping[str, Any]) -> str:
    """A short description of a trigger's binding, such as `GET /api/health`."""
    match trigger.get("type"):
        case "redisPubSubTrigger":
            return str(trigger.get("channel"))
        case "timerTrigger":
            return f"{_TIMER}{trigger.get('schedule')}"
        case "httpTrigger":
            methods = ",".join(str(method).upper() for method in trigger.get("methods") or ["any method"])
            return f"{methods} /api/{trigger.get('route') or ''}"
    return str(trigger.get("type"))


class LiveLog(logging.Handler):
    """Prints a line for each log record that has the attribute `effect`, and for others from level WARNING up. Retries
    during an outage are left out: the app logs them at DEBUG, and the outage has lines of its own. Events with nothing
    to react to are shown only if `verbose`.

    The line of an effect: HH:MM:SS.mmm  function  key  outcome  ms  reason.
    """

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        super().__init__()
        self._console = console
        self._verbose = verbose

    def emit(self, record: logging.LogRecord) -> None:
        try:
            effect = getattr(record, "effect", None)
            if effect is not None:
                if effect["outcome"] == "retried" and record.levelno == logging.DEBUG:
                    return
                if effect["outcome"] == INERT and not self._verbose:
                    return
                _print(self._console, _effect_line(record.created, effect))
            elif record.levelno >= logging.WARNING:
                _print(self._console, _log_line(record))
        except Exception:  # as in logging's own handlers: a record that cannot be printed must not stop the app
            self.handleError(record)


def _effect_line(created_s: float, effect: Mapping[str, Any]) -> Text:
    outcome = printable(str(effect["outcome"]))
    line = Text(f"{_clock(created_s)}  {printable(str(effect['function'])):<22}  ")
    line.append(f"{printable(str(effect['key']))}  ")
    line.append(f"{outcome:<9}", style=_STYLES.get(outcome, "red"))
    line.append(f"  {effect['duration_ms']:>6.1f} ms")
    if effect.get("reason"):
        line.append(f"  {printable(str(effect['reason']))}")
    return line


def _log_line(record: logging.LogRecord) -> Text:
    message = record.getMessage()
    if record.exc_info and record.exc_info[1] is not None:
        message += f" ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"
    line = Text(f"{_clock(record.created)}  ")
    line.append(f"{record.levelname:<9}", style="red" if record.levelno >= logging.ERROR else "yellow")
    line.append(f"  {record.name}: {printable(message)}")
    return line


def printable(text: str) -> str:
    """`text` on one line, with every character that is not printable written as a Python escape."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _clock(time_s: float) -> str:
    return datetime.fromtimestamp(time_s).astimezone().strftime("%H:%M:%S.%f")[:-3]


def _print(console: Console, line: Text) -> None:
    console.print(line, soft_wrap=True)
