"""Several worker processes for one host, as with FUNCTIONS_WORKER_PROCESS_COUNT: `--workers N`.

The host passes each message to one of them in turn, so a process sees some of a function's messages only, and its
invocations have gaps. For each function there is still one invocation at a time.

    host      a -> 1      b -> 2      c -> 1
    worker 1    |==a==|                 |==c==|
    worker 2                |==b==|

Each process runs worker_process.py and is connected by a socket pair, over which pickled tuples travel, each after its
length in 4 bytes: both ends are this program, as the same user. A process ends when the pair closes. It logs warnings
to stderr itself. The way through the pair takes 0.2 to 0.4 ms per invocation, beside the overhead.
"""

import asyncio
import itertools
import os
import pickle
import socket
import sys
from asyncio.subprocess import Process
from contextlib import suppress
from pathlib import Path
from typing import Any

from local.host.bindings import Function
from local.host.worker import AppLoadError, Datum, InvocationResult

LOG_FORMAT = "%(asctime)s %(name)s %(levelname)s %(message)s"
_STOP_S = 2.0
_ENDED = InvocationResult(ok=False, value=None, error="the worker process has ended")


async def receive(reader: asyncio.StreamReader) -> Any:
    """The next object from the other end. Raises IncompleteReadError or OSError when the connection ends."""
    size = int.from_bytes(await reader.readexactly(4))
    return pickle.loads(await reader.readexactly(size))  # noqa: S301 (the other end is this program)


def send(writer: asyncio.StreamWriter, message: object) -> None:
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    writer.write(len(data).to_bytes(4) + data)


class _Connection:
    """A worker process."""

    def __init__(self, process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.process = process
        self.writer = writer
        self.functions: asyncio.Future[tuple[Function, ...]] = asyncio.get_running_loop().create_future()
        self._reader = reader
        self._waiting: dict[int, asyncio.Future[InvocationResult]] = {}
        self._numbers = itertools.count()
        self.reading = asyncio.create_task(self._read())

    async def invoke(self, name: str, parameter: str, datum: Datum) -> InvocationResult:
        number = next(self._numbers)
        if self.reading.done():
            return _ENDED
        result: asyncio.Future[InvocationResult] = asyncio.get_running_loop().create_future()
        self._waiting[number] = result
        send(self.writer, (number, name, parameter, datum))
        return await result

    async def _read(self) -> None:
        try:
            while True:
                match await receive(self._reader):
                    case int(number), InvocationResult() as result:
                        self._waiting.pop(number).set_result(result)
                    case AppLoadError() as error:
                        self.functions.set_exception(error)
                    case functions:
                        self.functions.set_result(functions)
        except (asyncio.IncompleteReadError, OSError):
            if not self.functions.done():
                self.functions.set_exception(AppLoadError("the worker process ended while it loaded the app"))
        finally:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_result(_ENDED)


class WorkerProcesses:
    """Indexes and invokes the functions of an app folder in `number` processes. The interface is that of Worker."""

    def __init__(self, app_dir: Path, number: int) -> None:
        self._app_dir = app_dir.resolve()
        self._number = number
        self._connections: list[_Connection] = []
        self._turns: dict[str, itertools.cycle[_Connection]] = {}

    async def start(self) -> tuple[Function, ...]:
        """Start the processes. Raises AppLoadError if the app cannot be loaded."""
        try:
            self._connections = [await self._connect() for _ in range(self._number)]
            functions, *_ = await asyncio.gather(*(connection.functions for connection in self._connections))
        except BaseException:
            await self.end_tasks()
            raise
        self._turns = {function.name: itertools.cycle(self._connections) for function in functions}
        return functions

    async def _connect(self) -> _Connection:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "local.host.worker_process", str(self._app_dir), str(theirs.fileno())),
                cwd=Path(__file__).parents[2],
                env={**os.environ, "FUNCTIONS_WORKER_PROCESS_COUNT": str(self._number)},
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        return _Connection(process, *await asyncio.open_connection(sock=ours))

    async def invoke(self, function: Function, parameter: str, datum: Datum) -> InvocationResult:
        """Call a function in the process whose turn it is. An invocation fails if its process ends."""
        return await next(self._turns[function.name]).invoke(function.name, parameter, datum)

    async def end_tasks(self) -> None:
        """End the processes, with what they still do."""
        for connection in self._connections:
            connection.writer.close()
            with suppress(ProcessLookupError):
                connection.process.kill()
        for connection in self._connections:
            await connection.process.wait()
            await asyncio.wait([connection.reading], timeout=_STOP_S)
        self._connections = []

    def stop(self) -> None:
        """Nothing of the app is left in this process."""
