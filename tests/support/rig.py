"""Processes for the fault tests: a Redis that can be killed and started again, hosts that can be killed and paused."""

import asyncio
import os
import random
import secrets
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
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
"""Settings that shorten intervals of half a minute in production to about a second."""


def free_port() -> int:
    """A free port outside the range of ephemeral ports.

    A server that restarts needs its port to be free; and a client that keeps connecting to an ephemeral port of its own
    machine eventually gets that port as its own and connects to itself.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class RedisProcess:
    """A Redis for one test, on the server that all tests use.

    With `append_only`, every write is on disk before its reply, and a killed server restarts with all data, on the
    same port.
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
        """Start the server and wait until it replies."""
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
        """SIGKILL: data that is not on disk is lost."""
        assert self._process is not None
        self._process.kill()
        await self._stack.aclose()


async def _answers(client: redis.asyncio.Redis) -> bool:
    with suppress(redis.exceptions.RedisError, OSError):
        return bool(await client.ping())
    return False


class HostProcess:
    """The function app in a local host, in its own process. A file collects its output over all restarts."""

    def __init__(
        self,
        connection: str,
        output: Path,
        *,
        app_dir: Path = ROOT,
        locks: Path | None = None,
        options: Sequence[str] = (),
        **settings: str,
    ) -> None:
        self._app_dir = app_dir
        self._options = (*options, *(() if locks is None else ("--locks", str(locks))))
        self._environment = os.environ | FAST | settings | {"Redis": connection}
        self._output = output
        self._stack = AsyncExitStack()
        self._process: Process | None = None

    async def start(self) -> None:
        """Start the host and wait until its triggers are live."""
        output = self._stack.enter_context(self._output.open("ab"))
        start_position = output.tell()
        command = [sys.executable, "-m", "local.host", "--app-dir", str(self._app_dir), "--port", "0", *self._options]
        self._process = await self._stack.enter_async_context(
            child_process(command, output=output, environment=self._environment, folder=self._app_dir)
        )
        async with asyncio.timeout(START_S):
            while "ready http" not in (text := self._output.read_text(errors="replace")[start_position:]):
                assert self._process.returncode is None, f"the host did not start: {text[-2000:]}"
                await asyncio.sleep(POLL_S)

    async def kill(self) -> None:
        """SIGKILL: it finishes nothing."""
        self._signal(signal.SIGKILL)
        await self.end()

    def pause(self) -> None:
        """SIGSTOP: it pauses anywhere in its work, as on a starved or suspended machine."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def begin_fault(self) -> None:
        """Begin the fault that was planned `@signal`."""
        self._signal(signal.SIGUSR1)

    def end_fault(self) -> None:
        self._signal(signal.SIGUSR2)

    async def stop(self) -> None:
        """SIGTERM: it finishes running invocations. Raises AssertionError unless it exits with 0."""
        self._signal(signal.SIGTERM)
        try:
            assert self._process is not None
            assert await asyncio.wait_for(self._process.wait(), 15) == 0, self.output_text()[-2000:]
        finally:
            await self.end()

    async def end(self) -> None:
        """End the process if it still runs, by force if necessary."""
        await self._stack.aclose()

    def output_text(self) -> str:
        """Its output so far, including tracebacks."""
        return self._output.read_text(errors="replace")

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@asynccontextmanager
async def hosts(count: int, connection: str, folder: Path, **settings: str) -> AsyncIterator[list[HostProcess]]:
    """Run `count` hosts on one Redis. If the block succeeds they are stopped by SIGTERM, otherwise by force."""
    running = [
        HostProcess(connection, folder / f"host-{index}-{secrets.token_hex(4)}.log", **settings)
        for index in range(count)
    ]
    async with AsyncExitStack() as stack:
        for host in running:
            stack.push_async_callback(host.end)
        await asyncio.gather(*(host.start() for host in running))
        yield running
        await asyncio.gather(*(host.stop() for host in running))
