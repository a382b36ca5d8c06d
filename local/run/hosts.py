"""Functions hosts as child processes: Azure Functions Core Tools, and the local host."""

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from local.repo.bootstrap import ROOT
from local.run.processes import child_process

_MIN_POLL_S = 0.02
_MAX_POLL_S = 1.0


class StartError(Exception):
    """The app cannot run. The text is the reason, for the user."""


@asynccontextmanager
async def func_host(
    environment: Mapping[str, str], port: int, output: IO[bytes] | None = None
) -> AsyncIterator[Process]:
    """Run Core Tools on the app, with this Python's packages. They print functions and events themselves."""
    scripts = Path(sys.executable).parent
    path = f"{scripts}{os.pathsep}{environment.get('PATH', os.defpath)}"
    environment = {**environment, "PATH": path, "VIRTUAL_ENV": str(scripts.parent)}
    command = ["func", "start", "--port", str(port)]
    async with child_process(command, environment=environment, folder=ROOT, output=output) as process:
        yield process


@asynccontextmanager
async def local_host(
    environment: Mapping[str, str], port: int, output: IO[bytes] | None = None
) -> AsyncIterator[Process]:
    """Run the local host on the app, in a process of its own."""
    command = [sys.executable, "-m", "local.host", "--app-dir", str(ROOT), "--port", str(port)]
    async with child_process(command, environment=environment, folder=ROOT, output=output) as process:
        yield process


async def until_ready(url: str, timeout_s: float, ended: asyncio.Future[int]) -> None:
    """Return once the app answers at `url` with its health, good or bad (status 200 or 503).

    Raises StartError after `timeout_s`, or if the host ends first.
    """
    import aiohttp

    wait_s = _MIN_POLL_S
    last_problem = "no answer"
    try:
        async with asyncio.timeout(timeout_s), aiohttp.ClientSession() as session:
            while not ended.done():
                try:
                    async with session.get(url) as response:
                        if response.status in (200, 503) and response.content_type == "application/json":
                            return
                        last_problem = f"status {response.status}"
                except aiohttp.ClientError as error:
                    last_problem = str(error)
                await asyncio.wait([ended], timeout=wait_s)
                wait_s = min(2 * wait_s, _MAX_POLL_S)
    except TimeoutError:
        raise StartError(f"{url} did not answer within {timeout_s:.0f} s ({last_problem}).") from None
    raise StartError(f"the host ended with exit code {ended.result()} before the app answered.")
