"""For the person at the terminal: sizes and times in few characters, durations as typed, progress, a question."""

import asyncio
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Annotated

import typer

from cli.terminal import Refused, complain, open_console

MAX_LISTED = 10_000
Limit = Annotated[int, typer.Option(min=1, max=MAX_LISTED, help="About how many: Redis gives them by the page.")]
Cursor = Annotated[str, typer.Option(help="Where the list before ended.")]
MAX_LINE_BYTES = 1 << 20
_TOLD_EVERY_S = 5.0
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_duration(text: str) -> int:
    """`90s`, `15m`, `2h` or `7d` in seconds. Raises typer.BadParameter for anything else, and for nothing."""
    found = re.fullmatch(r"(\d{1,9})([smhd])", text, re.ASCII)
    if not found or not int(found[1]):
        raise typer.BadParameter("a duration such as 90s, 15m, 2h or 7d is expected")
    return int(found[1]) * _UNITS_S[found[2]]


def parse_rate(text: str) -> float:
    """`500` or `500/s`. Raises typer.BadParameter for anything else."""
    found = re.fullmatch(r"(\d{1,7})(?:/s)?", text, re.ASCII)
    if not found or not int(found[1]):
        raise typer.BadParameter("a number of keys per second such as 500 is expected")
    return float(found[1])


def parse_cursor(text: str) -> int:
    """Where a list of SCAN's pages goes on. Raises Refused for what no list gave."""
    if not re.fullmatch(r"\d{1,20}", text, re.ASCII) or int(text) >= 2**64:
        raise Refused("--cursor: not one that a list gave")
    return int(text)


def tell_listed(count: int, next_cursor: int) -> None:
    """How many were listed, and with which cursor to go on; 0 is the end."""
    complain(f"{count} listed; more with --cursor {next_cursor}" if next_cursor else f"{count} listed, no more")


def span(seconds: float | None) -> str:
    """`45s`, `12m`, `3h` or `40d`: rounded down, in a unit of which there are two at least."""
    if seconds is None:
        return ""
    for unit, length_s in reversed(_UNITS_S.items()):
        if seconds >= 2 * length_s and unit != "s":
            return f"{int(seconds // length_s)}{unit}"
    return f"{int(seconds)}s"


def size(count: float | None) -> str:
    """`812 B`, `4.1 KiB`, `63.0 MiB`."""
    if count is None:
        return "?"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"


@contextmanager
def progress(total: int, what: str = "keys scanned") -> Iterator[Callable[[int], None]]:
    """Progress on stderr: a bar in a terminal, elsewhere a line now and then. Yields what is told how many are done."""
    console = open_console(stderr=True)
    if not console.is_terminal:
        yield _lines(total, what)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=min(done, total))


def _lines(total: int, what: str) -> Callable[[int], None]:
    told_s = time.monotonic()

    def tell(done: int) -> None:
        nonlocal told_s
        if time.monotonic() - told_s >= _TOLD_EVERY_S:
            told_s = time.monotonic()
            complain(f"{min(done, total):,} of {total:,} {what}")

    return tell


@contextmanager
def telling(how_to_go_on: Callable[[], str]) -> Iterator[None]:
    """On Ctrl-C say what was done and how to go on."""
    try:
        yield
    except asyncio.CancelledError:
        complain("interrupted: " + how_to_go_on())
        raise


async def read_line(prompt: str = "") -> bytes:
    """One line of stdin, a terminal, pipe or file, without its line feed; empty at its end. Ctrl-C works meanwhile.

    A thread reads, for not every kind of stdin can be waited for; asyncio's own would keep the process from ending.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()

    def read() -> None:
        line = bytearray()
        while len(line) < MAX_LINE_BYTES and (byte := os.read(0, 1)) not in {b"", b"\n"}:
            line += byte
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_answer, answer, bytes(line))

    if prompt:
        print(prompt, end="", file=sys.stderr, flush=True)
    threading.Thread(target=read, daemon=True).start()
    line = await answer
    if prompt and not sys.stdin.isatty():
        complain("")
    return line


def _answer(answer: "asyncio.Future[bytes]", line: bytes) -> None:
    if not answer.done():
        answer.set_result(line)
