"""Child processes that never outlive the one that started them."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO

STOP_TIMEOUT_S = 5.0

# Run by a Python of its own, which then becomes the command: subprocess' preexec_fn would do the same between fork and
# exec, where other threads of this process may hold locks for ever. PR_SET_PDEATHSIG is 1 (linux/prctl.h); it
# survives exec, and does not see a parent that was gone before it was set, hence the second look.
_DIE_WITH_PARENT = f"""
import ctypes, os, sys
parent, *command = sys.argv[1:]
ctypes.CDLL(None).prctl(1, {signal.SIGKILL.value})
if os.getppid() != int(parent):
    sys.exit("the parent process is gone")
try:
    os.execvp(command[0], command)
except OSError as error:
    sys.exit(f"{{command[0]}}: {{error.strerror}}")
"""


@asynccontextmanager
async def child_process(
    command: Sequence[str],
    *,
    output: IO[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> AsyncIterator[Process]:
    """Run `command` until the block ends, then end it and what it started: SIGTERM, after 5 s SIGKILL.

    It has a session of its own, so that a Ctrl-C at the terminal reaches only this process, which then stops things
    in order. On Linux the kernel kills the command when this process (strictly: the thread that runs this loop) dies
    without a chance to do so; elsewhere there is no such call. `output` takes stdout and stderr; without it they go
    where this process' own go. Raises OSError if it cannot be started (on Linux that is said in `output` instead, and
    the process ends at once).
    """
    if sys.platform == "linux":
        command = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=environment,
        cwd=folder,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        try:
            _signal_group(process, signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
        finally:  # also when a second Ctrl-C cut the wait short
            _signal_group(process, signal.SIGKILL)
            await process.wait()


def _signal_group(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS says the latter when only a zombie is left
        os.killpg(process.pid, number)
