"""Child processes that end with the process that started them."""

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

# A separate Python runs this script and then becomes the command by exec. subprocess' preexec_fn would need no second
# Python, but it runs between fork and exec, where locks that other threads held at the fork are never released.
# PR_SET_PDEATHSIG is 1 (linux/prctl.h). It survives exec. It does not fire if the parent ended before the call, so the
# parent's id is checked after the call.
_DIE_WITH_PARENT = f"""
import ctypes, os, sys
parent, *command = sys.argv[1:]
ctypes.CDLL(None).prctl(1, {signal.SIGKILL.value})
if os.getppid() != int(parent):
    sys.exit("the parent process has ended")
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
    """Run `command` within the context, then end it and its own children: SIGTERM, and SIGKILL after 5 s.

    The command runs in a new session, so that Ctrl-C at the terminal reaches only this process, which then stops its
    children in order. On Linux the kernel also kills the command when the thread that runs this event loop ends in any
    way, for example by SIGKILL; other systems have no such call. stdout and stderr go to `output`, by default to those
    of this process.

    Raises OSError if the command cannot be started. On Linux the context is entered instead, the reason is written to
    the output, and the process ends at once.
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
        finally:  # also if a second Ctrl-C cancels the wait
            _signal_group(process, signal.SIGKILL)
            await process.wait()


def _signal_group(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS raises PermissionError if only a zombie is left
        os.killpg(process.pid, number)
