"""What a person sees of ./run: the banner, a live line per event, the demo's summary.

Everything that came from outside (keys, reasons, log texts) is shown as plain text on one line: no markup, no control
characters. In a pipe there are no colours and no line is wrapped, so that grep finds whole lines.
"""

import logging
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any, Protocol

from rich.console import Console
from rich.table import Table
from rich.text import Text

_STYLES = {"processed": "green", "duplicate": "dim", "ignored": "dim", "rejected": "yellow"}
_PIPED_WIDTH = 10_000
FIRST_KEY = "fastapi:temp:data:batch-1"
FIRST_RESULT = "fastapi:results:analysis:batch-1"
FIRST_VALUE = (
    '{"batchId":"batch-1","records":['
    '{"timestamp":"2025-06-01T12:00:00Z","data":{"co2_flow_rate":1.21,"water_temp":24.1}},'
    '{"timestamp":"2025-06-01T12:00:10Z","data":{"co2_flow_rate":1.19,"water_temp":24.0}}]}'
)


class Row(Protocol):
    """One sample of the demo and what came of it."""

    @property
    def sample(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def expected(self) -> str: ...
    @property
    def outcome(self) -> str: ...
    @property
    def ms(self) -> float | None: ...
    @property
    def ok(self) -> bool: ...


@dataclass(frozen=True)
class Started:
    """What the banner says: each text is one line for a person."""

    url: str
    function_key: str | None
    """None where another host has keys of its own."""
    redis: str
    storage: str
    functions: Mapping[str, str]
    """Name to its trigger in words; empty where another host lists them itself."""
    errors: Mapping[str, str]
    """Functions that are not run, and why."""
    notices: tuple[str, ...]
    first_key: tuple[str, ...]
    """Commands that write a first key and read what came of it."""
    operate: tuple[str, ...] = ()
    """How to call the operators' command line on this Redis and storage."""


def open_console(file: IO[str] | None = None) -> Console:
    """A console on `file` (stdout): as wide as a terminal is, and without a limit elsewhere."""
    console = Console(file=file, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _PIPED_WIDTH
    return console


def show_banner(console: Console, started: Started) -> None:
    """Addresses, functions, what is off and why, and how to write a first key."""
    lines: list[tuple[str, Iterable[str]]] = [
        ("HTTP", [f"{started.url}/api/health", f"{started.url}/api/monitor"]),
        ("Function key", [f"{started.function_key}  (header x-functions-key)"] if started.function_key else []),
        ("Redis", [started.redis]),
        ("Storage", [started.storage]),
        ("Functions", [f"{name:<24}{trigger}" for name, trigger in started.functions.items()]),
        ("In error", [f"{name}: {reason}" for name, reason in started.errors.items()]),
        ("Note", started.notices),
        ("First key", started.first_key),
        ("Operate", started.operate),
    ]
    _print(console, Text("Keyspace Functions", style="bold"))
    for title, values in lines:
        for number, value in enumerate(values):
            style = "red" if title == "In error" else "yellow" if title == "Note" else ""
            label = title if number == 0 else ""
            _print(console, Text.assemble((f"  {label:<14}", "bold"), (printable(value), style)))


def show_ready(console: Console) -> None:
    """The line that programs wait for: nothing but `ready`."""
    _print(console, Text("ready"))


def show_summary(console: Console, rows: Iterable[Row]) -> None:
    """The demo's table: a row per sample, with what was expected of it and what came."""
    table = Table("sample", "key", "expected", "outcome", "ms", "", box=None, pad_edge=False)
    for row in rows:
        ms = "" if row.ms is None else f"{row.ms:.0f}"
        verdict = Text("ok", style="green") if row.ok else Text("FAILED", style="bold red")
        table.add_row(
            *(Text(printable(text)) for text in (row.sample, row.key, row.expected, row.outcome, ms)), verdict
        )
    console.print(table)


def first_key_commands(host: str, port: int, redis_cli: bool) -> tuple[str, ...]:
    """Shell commands that write a small batch and read its result: with redis-cli, or else with this Python."""
    if not redis_cli:
        client = f"import redis; r = redis.Redis({host!r}, {port})"
        write = f"{client}; r.set({FIRST_KEY!r}, {FIRST_VALUE!r}, ex=3600)"
        read = f"{client}; print(r.get({FIRST_RESULT!r}))"
        return tuple(f"{shlex.quote(sys.executable)} -c {shlex.quote(script)}" for script in (write, read))
    cli = f"redis-cli -p {port}" if host == "127.0.0.1" else f"redis-cli -h {shlex.quote(host)} -p {port}"
    return (f"{cli} SET {FIRST_KEY} '{FIRST_VALUE}' EX 3600", f"{cli} GET {FIRST_RESULT}")


def describe_trigger(trigger: Mapping[str, Any]) -> str:
    """A trigger's binding in a few words, such as `GET /api/health`."""
    match trigger.get("type"):
        case "redisPubSubTrigger":
            return str(trigger.get("channel"))
        case "timerTrigger":
            return f"timer {trigger.get('schedule')}"
        case "httpTrigger":
            methods = ",".join(str(method).upper() for method in trigger.get("methods") or ["any method"])
            return f"{methods} /api/{trigger.get('route') or ''}"
    return str(trigger.get("type"))


class LiveLog(logging.Handler):
    """Shows log records: one with the attribute `effect` as an event's line, else those from WARNING up.

    An event's line: HH:MM:SS.mmm  function  key  outcome  ms  reason.
    """

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        try:
            effect = getattr(record, "effect", None)
            if effect is not None:
                _print(self._console, _event_line(record.created, effect))
            elif record.levelno >= logging.WARNING:
                _print(self._console, _log_line(record))
        except Exception:  # logging's own way: a line that cannot be shown does not stop the app
            self.handleError(record)


def _event_line(created_s: float, effect: Mapping[str, Any]) -> Text:
    outcome = printable(str(effect["outcome"]))
    line = Text(f"{_clock(created_s)}  {printable(str(effect['function'])):<22}  ")
    line.append(f"{printable(str(effect['key']))}  ")
    line.append(f"{outcome:<9}", style=_STYLES.get(outcome, "red"))
    line.append(f"  {effect['duration_ms']:.1f} ms")
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
    """`text` on one line: whatever a terminal would obey, or could not show, as a Python escape."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _clock(time_s: float) -> str:
    return datetime.fromtimestamp(time_s).astimezone().strftime("%H:%M:%S.%f")[:-3]


def _print(console: Console, line: Text) -> None:
    console.print(line, soft_wrap=True)
