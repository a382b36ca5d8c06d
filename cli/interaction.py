"""While a command runs in a terminal: progress, what to say on Ctrl-C, a question."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from cli.terminal import complain, open_console

MAX_LINE_BYTES = 1 << 20
_LINE_EVERY_S = 5.0


@contextmanager
def progress(total: int, what: str = "keys scanned") -> Iterator[Callable[[int], None]]:
    """Progress on stderr: a bar in a terminal, elsewhere a line every few seconds. Yields a function to call with the
    number done so far."""
    console = open_console(stderr=True)
    if not console.is_terminal:
        yield _progress_lines(total, what)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=min(done, total))


def _progress_lines(total: int, what: str) -> Callable[[int], None]:
    last_s = time.monotonic()

    def update(done: int) -> None:
        nonlocal last_s
        if time.monotonic() - last_s >= _LINE_EVERY_S:
            last_s = time.monotonic()
            complain(f"{min(done, total):,} of {total:,} {what}")

    return update


@contextmanager
def explaining_interruption(explanation: Callable[[], str]) -> Iterator[None]:
    """On Ctrl-C say what was done and how to continue."""
    try:
        yield
    except asyncio.CancelledError:
        complain("interrupted: " + explanation())
        raise


async def read_line(prompt: str = "") -> bytes:
    """One line of stdin (terminal, pipe or file) without its line feed; empty at the end. Ctrl-C works meanwhile."""

    def read() -> bytes:
        line = bytearray()
        while len(line) < MAX_LINE_BYTES and (byte := os.read(0, 1)) not in {b"", b"\n"}:
            line += byte
        return bytes(line)

    if prompt:
        print(prompt, end="", file=sys.stderr, flush=True)
    line = await _from_thread(read)
    if prompt and not sys.stdin.isatty():
        complain("")
    return line


async def read_bytes(path: str | None, limit: int) -> bytes:
    """The first `limit` bytes of a file, or of stdin where `path` is None. Ctrl-C works meanwhile. Raises OSError."""

    def read() -> bytes:
        with open(0 if path is None else path, "rb", closefd=path is not None) as file:
            return file.read(limit)

    return await _from_thread(read)


async def _from_thread(read: Callable[[], bytes]) -> bytes:
    """What `read` returns or raises.

    A thread reads: an event loop cannot wait for every kind of stdin, and asyncio's own reader would keep the process
    from ending.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()

    def work() -> None:
        try:
            settle = partial(answer.set_result, read())
        except Exception as fault:  # the caller gets it
            settle = partial(answer.set_exception, fault)
        with suppress(RuntimeError):  # the loop is closed: the command has ended
            loop.call_soon_threadsafe(lambda: answer.done() or settle())

    threading.Thread(target=work, daemon=True).start()
    return await answer
