"""TCP proxies, and one that injects the faults of networks."""

import asyncio
import random
import ssl
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

CUT_COMMAND = "cut in the middle of a command"
CUT_ANSWER = "cut in the middle of a reply, after the command ran"
HALF_CLOSE = "half-closed"
STALL = "stalled forever"
DELAY = "delayed"
FAULTS = (CUT_COMMAND, CUT_ANSWER, HALF_CLOSE, STALL, DELAY)
LONGEST_DELAY_S = 0.5


class Proxy:
    """Accepts clients on a free port and connects each to `target_port` of this machine; subclasses forward bytes."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client_reader: StreamReader, client: StreamWriter) -> None:
        try:
            with suppress(OSError):
                server_reader, server = await asyncio.open_connection("127.0.0.1", self._target_port)
                try:
                    await self._connect(client_reader, client, server_reader, server)
                finally:
                    server.transport.abort()
        finally:
            client.transport.abort()

    async def _connect(
        self, client_reader: StreamReader, client: StreamWriter, server_reader: StreamReader, server: StreamWriter
    ) -> None:
        raise NotImplementedError


class TcpProxy(Proxy):
    """Forwards bytes between its clients and a port of this machine, and injects faults.

    `chances` maps each fault to its probability per chunk of bytes; it may be changed at any time, and an empty one
    injects nothing. `injected` counts the injected faults.
    """

    def __init__(self, port: int, rng: random.Random) -> None:
        super().__init__(port)
        self.chances: Mapping[str, float] = {}
        self.injected: Counter[str] = Counter()
        self._rng = rng

    async def _connect(
        self, client_reader: StreamReader, client: StreamWriter, server_reader: StreamReader, server: StreamWriter
    ) -> None:
        stalled = asyncio.Event()
        commands = asyncio.create_task(self._forward(client_reader, server, CUT_COMMAND, stalled))
        replies = asyncio.create_task(self._forward(server_reader, client, CUT_ANSWER, stalled))
        running = {commands, replies}
        try:
            while running:
                ended, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                if any(task.exception() or not task.result() for task in ended):
                    return  # the whole connection ends
        finally:
            for task in (commands, replies):
                task.cancel()
            await asyncio.gather(commands, replies, return_exceptions=True)

    async def _forward(self, reader: StreamReader, writer: StreamWriter, cut: str, stalled: asyncio.Event) -> bool:
        """Forward until the end of `reader`. True if only this direction ends, False if the connection does."""
        while chunk := await reader.read(65536):
            if stalled.is_set():
                continue
            match fault := self._draw(cut):
                case _ if fault == cut:
                    writer.write(chunk[: self._rng.randrange(len(chunk))])
                    await writer.drain()
                    return False
                case _ if fault == HALF_CLOSE:
                    writer.write_eof()
                    return True
                case _ if fault == STALL:
                    stalled.set()
                    continue
                case _ if fault == DELAY:
                    await asyncio.sleep(self._rng.uniform(0, LONGEST_DELAY_S))
            writer.write(chunk)
            await writer.drain()
        return False

    def _draw(self, cut: str) -> str | None:
        """The fault to inject into the next chunk, or None."""
        for fault in (cut, HALF_CLOSE, STALL, DELAY):
            if self._rng.random() < self.chances.get(fault, 0):
                self.injected[fault] += 1
                return fault
        return None


def server_context(folder: Path) -> ssl.SSLContext:
    """TLS with the certificate of tests/support/certificates.py in `folder`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


class TlsProxy(Proxy):
    """Forwards bytes, and speaks TLS to its clients."""

    def __init__(self, target_port: int, folder: Path) -> None:
        super().__init__(target_port)
        self._context = server_context(folder)
        self.clients: list[StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def _connect(
        self, client_reader: StreamReader, client: StreamWriter, server_reader: StreamReader, server: StreamWriter
    ) -> None:
        self.clients.append(client)

        async def forward(reader: StreamReader, writer: StreamWriter) -> None:
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()

        directions = [
            asyncio.ensure_future(direction)
            for direction in (forward(client_reader, server), forward(server_reader, client))
        ]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
