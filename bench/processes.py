"""The processes of a trial: consumers and producers. Linux only: CPU time is read from /proc."""

import asyncio
import os
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import cast

from bench.results import ROOT
from local.run.processes import child_process

START_S = 60.0
"""Producers create thousands of batches before they are ready."""
_OUTPUT_BYTES = 16 * 1024 * 1024
"""Buffer for the unread output of a child."""
_STILL_S = 1.0
_STILL_CPU_S = 0.03
_STILL_LIMIT_S = 60.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class ChildError(Exception):
    """A process ended, or did not print an expected line. The text holds its last lines."""


class Child:
    """A process that communicates by lines."""

    def __init__(self, process: Process, output: asyncio.StreamReader) -> None:
        self._process = process
        self._output = output

    @property
    def pid(self) -> int:
        return self._process.pid

    async def says(self, word: str, timeout_s: float = START_S) -> str:
        """Wait for a line that begins with `word`, and return the rest of it. Raises ChildError."""
        lines: list[str] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while raw := await self._output.readline():
                    line = raw.decode(errors="replace").rstrip()
                    first, _, rest = line.partition(" ")
                    if first == word:
                        return rest
                    lines.append(line)
        raise ChildError(f"process {self.pid} did not say {word!r}, but: " + " | ".join(lines[-20:]))

    async def ready(self) -> tuple[float, float]:
        """Wait for its line `ready`. Returns the time (monotonic) and the CPU time used until then, both in s. Raises
        ChildError."""
        await self.says("ready")
        return time.monotonic(), cpu_s([self])

    async def must_run(self) -> None:
        """Raise ChildError if the process has ended with an error."""
        if self._process.returncode:
            rest = await self._output.read()
            raise ChildError(
                f"process {self.pid} ended with {self._process.returncode}: {rest.decode(errors='replace')}"
            )

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def go(self) -> None:
        """Let a producer write."""
        cast("asyncio.StreamWriter", self._process.stdin).write(b"\n")


@asynccontextmanager
async def consumer(command: Sequence[str], environment: Mapping[str, str]) -> AsyncIterator[Child]:
    """A process that never outlives this one. Its stdout and stderr are the child's output."""
    reading, writing = map(os.fdopen, os.pipe(), ("rb", "wb"))
    output = asyncio.StreamReader(limit=_OUTPUT_BYTES)
    protocol = asyncio.StreamReaderProtocol(output)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, reading)
    with closing(transport), writing:
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        async with child_process(
            command, output=writing, environment={**inherited, **environment}, folder=ROOT
        ) as process:
            writing.close()
            yield Child(process, output)


@asynccontextmanager
async def producer(command: Sequence[str], environment: Mapping[str, str]) -> AsyncIterator[Child]:
    """A process that waits for a line on stdin, and so ends with this one."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, env=os.environ | environment, cwd=ROOT, limit=_OUTPUT_BYTES
    )
    try:
        yield Child(process, cast("asyncio.StreamReader", process.stdout))
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def cpu_s(children: Iterable[Child]) -> float:
    """User and system CPU time of these processes and their descendants, in Linux' resolution of 10 ms."""
    return sum(_cpu_s(child.pid) for child in children)


def _cpu_s(pid: int) -> float:
    process = Path("/proc") / str(pid)
    # Fields 14 to 17 of proc(5): utime, stime, and those of ended children. The name before may hold any character.
    fields = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    started: list[int] = []
    for task in (process / "task").glob("*/children"):
        with suppress(FileNotFoundError):  # a thread that has just ended
            started += map(int, task.read_text(encoding="utf-8").split())
    return sum(map(int, fields[11:15])) / _TICKS_PER_S + sum(map(_cpu_s, started))


async def still(children: Sequence[Child]) -> float:
    """Wait until these processes are idle: less than 30 ms of CPU time in 1 s, which is less than what invocations
    5 ms apart take; at most 60 s, for processes that are never idle. Returns since when, in seconds of the monotonic
    clock."""
    before_s = cpu_s(children)
    with suppress(TimeoutError):
        async with asyncio.timeout(_STILL_LIMIT_S):
            while True:
                await asyncio.sleep(_STILL_S)
                now_s = cpu_s(children)
                if now_s - before_s < _STILL_CPU_S:
                    break
                before_s = now_s
    return time.monotonic() - _STILL_S
