"""The output of `./run`: whole lines that grep finds, whatever a key contains."""

import asyncio
import io
import logging
import re
from dataclasses import replace

import pytest
import redis.asyncio
from hypothesis import given
from hypothesis import strategies as st

from local.run.console import (
    FIRST_KEY,
    FIRST_VALUE,
    LiveLog,
    Started,
    describe_trigger,
    first_key_commands,
    open_console,
    printable,
    show_banner,
    show_ready,
    show_summary,
    show_what_next,
)
from local.run.demo import SampleResult
from shared.store.connection import ConnectionOptions

EFFECT = {
    "function": "process_fastapi_data",
    "key": "fastapi:temp:data:batch-1",
    "operation": "set",
    "outcome": "processed",
    "reason": None,
    "duration_ms": 3.2519,
}


def printed(level: int, message: str = "", *arguments: object, **attributes: object) -> str:
    """The output of LiveLog for a record, into a pipe."""
    output = io.StringIO()
    verbose = bool(attributes.pop("verbose", False))
    record = logging.LogRecord("app", level, "file", 1, message, arguments, attributes.pop("exc_info", None))  # type: ignore[arg-type]
    record.__dict__.update(attributes)
    LiveLog(open_console(output), verbose=verbose).handle(record)
    return output.getvalue()


def test_an_effect_is_a_line_with_time_function_key_outcome_and_ms() -> None:
    line = printed(logging.INFO, effect=EFFECT)
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3}  process_fastapi_data    fastapi:temp:data:batch-1  processed     3\.3 ms\n", line
    )


def test_the_reason_of_a_rejection_is_at_the_end_of_the_line() -> None:
    line = printed(logging.WARNING, effect=EFFECT | {"outcome": "rejected", "reason": "not JSON"})
    assert line.endswith("fastapi:temp:data:batch-1  rejected      3.3 ms  not JSON\n")


def test_an_outage_is_its_two_lines_and_no_line_per_event() -> None:
    retried = EFFECT | {"outcome": "retried", "reason": "Redis refuses to serve"}
    assert printed(logging.DEBUG, effect=retried) == ""
    assert "retried" in printed(logging.WARNING, effect=retried)
    for line in ("Redis refuses to serve (OOM)", "Redis is back after 12.3 s; failed calls: 724"):
        assert line in printed(logging.WARNING, line)


def test_an_event_with_nothing_to_react_to_is_a_line_with_verbose_only() -> None:
    inert = EFFECT | {"outcome": "inert", "operation": "expire", "reason": "the event changes nothing"}
    assert printed(logging.DEBUG, effect=inert) == ""
    assert "inert" in printed(logging.DEBUG, effect=inert, verbose=True)


@pytest.mark.parametrize(
    "key",
    [
        "[bold red]x[/bold red] [/] [link=http://127.0.0.1]",
        ":smile: :boom:",
        "\x1b[2J\x1b]0;title\x07 cleared",
        "two\nlines\r\n",
        "right-to-left \u202e override",
        "lone \udc80 surrogate",
        "naïve 🌋 key",
        "k" * 4000 + " and words " * 400,
        "\\[escaped\\]",
        "",
    ],
)
def test_a_hostile_key_is_printed_on_one_line_without_markup_and_control_characters(key: str) -> None:
    line = printed(logging.INFO, effect=EFFECT | {"key": key})
    assert f"  {printable(key)}  processed     3.3 ms\n" in line
    assert line.count("\n") == 1
    assert line[:-1].isprintable()


@given(st.text())
def test_any_text_is_printed_on_one_line(text: str) -> None:
    assert printable(text).isprintable()
    if text.isprintable():
        assert printable(text) == text
    assert printed(logging.ERROR, "%s", text).endswith(f"  ERROR      app: {printable(text)}\n")


def test_a_failed_invocation_is_one_line_without_its_traceback() -> None:
    error = ValueError("first line\nsecond line")
    line = printed(logging.ERROR, "Executed 'Functions.x' (Failed)", exc_info=(ValueError, error, None))
    assert line.endswith(
        r"  ERROR      app: Executed 'Functions.x' (Failed) (ValueError: first line\nsecond line)" + "\n"
    )


def test_a_record_below_warning_is_not_printed() -> None:
    assert printed(logging.INFO, "an info") == ""
    assert printed(logging.WARNING, "a warning").endswith("WARNING    app: a warning\n")


def test_a_terminal_shows_colours_and_a_pipe_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in printed(logging.INFO, effect=EFFECT)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[32mprocessed" in printed(logging.INFO, effect=EFFECT)


def test_the_banner_lists_everything_and_ready_is_a_line_by_itself() -> None:
    output = io.StringIO()
    console = open_console(output)
    started = Started(
        url="http://127.0.0.1:7071",
        function_key="a-key",
        redis="127.0.0.1:6379  (redis 7.0.15, started here)",
        storage="off: node not found on PATH",
        functions={"health": "GET /api/health", "update_charts": "__keyspace@0__:fabric:data:chart:*"},
        errors={"broken": "[red]no ctor[/red]"},
        notices=("K is missing", "x is missing"),
        first_key=first_key_commands(ConnectionOptions("127.0.0.1", 6379), has_redis_cli=True),
    )
    show_banner(console, started)
    show_ready(console)
    lines = output.getvalue().splitlines()
    assert len(lines) < 24
    assert "  Monitor       http://127.0.0.1:7071/api/monitor#key=a-key" in lines
    assert "  Functions     1 on key events, 0 timers, 1 for HTTP  (--verbose lists them)" in lines
    assert "  In error      broken: [red]no ctor[/red]" in lines
    assert "  Note          K is missing" in lines
    assert "  Storage       off: node not found on PATH" in lines
    assert f"  First key     redis-cli -h 127.0.0.1 -p 6379 SET {FIRST_KEY} '{FIRST_VALUE}' EX 3600" in lines
    assert lines[-1] == "ready"
    show_banner(console, started, verbose=True)
    lines = output.getvalue().splitlines()
    assert "  Functions     health                  GET /api/health" in lines
    assert "                update_charts           __keyspace@0__:fabric:data:chart:*" in lines


@pytest.mark.parametrize(
    ("trigger", "description"),
    [
        ({"type": "redisPubSubTrigger", "channel": "__keyspace@0__:a:*"}, "__keyspace@0__:a:*"),
        ({"type": "timerTrigger", "schedule": "0 */5 * * * *"}, "timer 0 */5 * * * *"),
        ({"type": "httpTrigger", "route": "health", "methods": ["get"]}, "GET /api/health"),
        ({"type": "blobTrigger"}, "blobTrigger"),
    ],
)
def test_a_trigger_has_a_short_description(trigger: dict[str, object], description: str) -> None:
    assert describe_trigger(trigger) == description


async def test_the_python_commands_in_the_banner_write_and_read_the_first_key(
    redis_client: redis.asyncio.Redis, redis_port: int
) -> None:
    write, read = first_key_commands(ConnectionOptions("127.0.0.1", redis_port), has_redis_cli=False)
    assert await run_in_shell(write) == b""
    assert (await redis_client.get(FIRST_KEY)).decode() == FIRST_VALUE
    assert 3590 < await redis_client.ttl(FIRST_KEY) <= 3600
    assert await run_in_shell(read) == b"None\n"


async def run_in_shell(command: str) -> bytes:
    """The output of a command that succeeds."""
    process = await asyncio.create_subprocess_shell(command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output


def test_the_summary_has_a_line_per_sample_with_its_whole_key() -> None:
    output = io.StringIO()
    key = f"fastapi:[red]{'k' * 90}"
    failed = SampleResult("batch", key, "a result", "nothing", ms=12.3, ok=False)
    show_summary(open_console(output), [failed, replace(failed, outcome="a result", ok=True)])
    first, second = output.getvalue().splitlines()
    assert re.fullmatch(rf"FAILED +12 ms  batch +nothing \(expected: a result\)  {re.escape(key)}", first)
    assert re.fullmatch(rf"ok +12 ms  batch +a result  {re.escape(key)}", second)


def test_after_the_demo_the_page_to_open_is_printed() -> None:
    output = io.StringIO()
    started = Started("http://127.0.0.1:7071", "a/key", "", "", {}, {}, (), ())
    show_what_next(open_console(output), started, loop=False)
    assert output.getvalue().startswith("Now open http://127.0.0.1:7071/api/monitor#key=a%2Fkey\n")
