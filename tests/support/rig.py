"""Processes for the fault tests: a Redis that can be killed and started again, hosts that can be killed and paused."""

import asyncio
import os
import random
import secrets
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Self

import redis.asyncio
import redis.exceptions

from local.run.processes import child_process
from tests.conftest import SERVER

ROOT = Path(__file__).parents[2]
FLAGS = "Kg$hlxe"
START_S = 30.0
POLL_S = 0.02

FAST = {
    "AUDIT_KEY": "an audit key of the tests",
    "AzureWebJobsStorage": "not used here",
    "LEASE_S": "1",
    "RETRY_BASE_S": "0.1",
    "RETRY_CAP_S": "1",
    "RETRY_SCHEDULE": "*/1 * * * * *",
    "SWEEP_SCHEDULE": "*/1 * * * * *",
}
"""Settings under which what takes half a minute in production takes a second."""


def free_port() -> int:
    """A free port outside the range that clients' own ends of connections come from.

    A server that is down must find its port free when it comes back, and a client that tries a port of that range
    on its own machine again and again is connected to itself one day.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class RedisProcess:
    """A Redis of the test's own, of the make that all tests run on.

    With `append_only` every write is on disk before it is answered, and a server that was killed comes back with all
    of it, on the same port.
    """

    def __init__(self, folder: Path, *, append_only: bool = False) -> None:
        self.port = free_port()
        self._folder = folder
        self._append_only = append_only
        self._stack = AsyncExitStack()
        self._process: Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def start(self) -> None:
        """Return when it answers."""
        command = [
            SERVER,
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", ""),
            *("--appendonly", "yes" if self._append_only else "no", "--appendfsync", "always"),
            *("--notify-keyspace-events", FLAGS),
        ]
        output = self._stack.enter_context((self._folder / "redis.log").open("ab"))
        self._process = await self._stack.enter_async_context(child_process(command, output=output))
        client = redis.asyncio.Redis(port=self.port)
        async with client, asyncio.timeout(START_S):
            while not await _answers(client):
                assert self._process.returncode is None, "the Redis of this test did not start"
                await asyncio.sleep(POLL_S)

    async def kill(self) -> None:
        """SIGKILL; what is not on disk is gone."""
        assert self._process is not None
        self._process.kill()
        await self._stack.aclose()


async def _answers(client: redis.asyncio.Redis) -> bool:
    with suppress(redis.exceptions.RedisError, OSError):
        return bool(await client.ping())
    return False


class HostProcess:
    """The function app in a local host of its own process. What it says goes to a file, over all its lives."""

    def __init__(self, connection: str, output: Path, *, app_dir: Path = ROOT, **settings: str) -> None:
        self._app_dir = app_dir
        self._environment = os.environ | FAST | settings | {"Redis": connection}
        self._output = output
        self._stack = AsyncExitStack()
        self._process: Process | None = None

    async def start(self) -> None:
        """Return when its triggers are live."""
        output = self._stack.enter_context(self._output.open("ab"))
        said_before = output.tell()
        command = [sys.executable, "-m", "local.host", "--app-dir", str(self._app_dir), "--port", "0"]
        self._process = await self._stack.enter_async_context(
            child_process(command, output=output, environment=self._environment, folder=self._app_dir)
        )
        async with asyncio.timeout(START_S):
            while "ready http" not in (said := self._output.read_text(errors="replace")[said_before:]):
                assert self._process.returncode is None, f"the host did not start: {said[-2000:]}"
                await asyncio.sleep(POLL_S)

    async def kill(self) -> None:
        """SIGKILL: it gets no chance to finish anything."""
        self._signal(signal.SIGKILL)
        await self.end()

    def pause(self) -> None:
        """Stand still in the middle of whatever it does, as on a machine that is starved or suspended."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    async def stop(self) -> None:
        """SIGTERM: it finishes what runs. Raises AssertionError unless it ends well."""
        self._signal(signal.SIGTERM)
        try:
            assert self._process is not None
            assert await asyncio.wait_for(self._process.wait(), 15) == 0, self.said()[-2000:]
        finally:
            await self.end()

    async def end(self) -> None:
        """End it if it still runs, however it takes it."""
        await self._stack.aclose()

    def said(self) -> str:
        """All that it has written so far, tracebacks included."""
        return self._output.read_text(errors="replace")

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@asynccontextmanager
async def hosts(count: int, connection: str, folder: Path, **settings: str) -> AsyncIterator[list[HostProcess]]:
    """So many hosts on one Redis; they are stopped in order when the block ends well, and ended when it does not."""
    running = [
        HostProcess(connection, folder / f"host-{index}-{secrets.token_hex(4)}.log", **settings)
        for index in range(count)
    ]
    async with AsyncExitStack() as stack:
        for one in running:
            stack.push_async_callback(one.end)
        await asyncio.gather(*(one.start() for one in running))
        yield running
        await asyncio.gather(*(one.stop() for one in running))
