"""Redis connections with little between the socket and hiredis.

Connecting, authenticating, time limits, errors and the pool are redis-py's. Only its streams are replaced: through
asyncio's own, each byte of an answer is copied three times more, 32 KB and a turn of the event loop at a time.

What is used here of redis-py beyond its documentation, tests/test_wire.py holds against the release that is installed.
"""

import asyncio
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from hiredis import Reader
    from redis.asyncio.connection import AbstractConnection

READ_BYTES = 64 * 1024
"""What one read of the socket brings at the most."""
UNREAD_BYTES = 64 * 1024
"""Bytes that may arrive while nobody waits for an answer; then the socket is left alone."""


class Stream(asyncio.BufferedProtocol):
    """What redis-py uses of a StreamReader, of its StreamWriter and of hiredis' Reader, in one.

    Bytes go from the socket to hiredis as they arrive, and who waits for an answer is woken when it is complete.
    `incomplete` is what `parser.gets()` returns until then.
    """

    _buffer = b""
    """Under this name redis-py looks for what is unread in a StreamReader. Here it is in hiredis already."""

    def __init__(self, parser: "Reader", incomplete: object) -> None:
        self._parser = parser
        self._incomplete = incomplete
        self._answer = incomplete
        self._waiting: asyncio.Future[None] | None = None
        self._unread_bytes = 0
        self._memory = memoryview(bytearray(READ_BYTES))  # a slice of a bytearray, which TLS would fill, is a copy
        self._ended = False
        self._error: Exception | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._memory

    def buffer_updated(self, nbytes: int) -> None:
        self._parser.feed(self._memory, 0, nbytes)  # type: ignore[arg-type]  # any buffer will do
        if self._waiting is not None:
            self._parse()
            return
        self._unread_bytes += nbytes
        if self._unread_bytes > UNREAD_BYTES:
            self._transport.pause_reading()

    def eof_received(self) -> None:
        """No answer will come any more, so the transport may close its own side too."""
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc)
        self._closed.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _parse(self) -> None:
        try:
            self._answer = self._parser.gets()
        except Exception as error:  # not what Redis speaks
            self._end(error)
        else:
            if self._answer is not self._incomplete:
                self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
        self._waiting = None

    def _end(self, error: Exception | None) -> None:
        self._ended = True
        self._error = self._error or error
        self._wake()
        self._writable.set()

    def _check(self) -> None:
        if self._ended:
            raise self._error or ConnectionResetError("the other side has closed the connection")

    def gets(self, decode: bool = True) -> Any:
        """The next answer, or `incomplete`. Raises redis' InvalidResponse for what is none."""
        if self._answer is self._incomplete:
            return self._parser.gets(decode)
        answer, self._answer = self._answer, self._incomplete
        return answer

    def has_data(self) -> bool:
        """Whether an answer, or a part of one, is unread."""
        return self._answer is not self._incomplete or self._parser.has_data()

    async def arrival(self) -> None:
        """Wait for the next answer, or for the end. For one at a time, when `gets` has no more.

        Raises what broke the connection, ConnectionResetError when it has ended.
        """
        self._check()
        self._unread_bytes = 0
        self._transport.resume_reading()
        self._waiting = asyncio.get_running_loop().create_future()
        await self._waiting

    def at_eof(self) -> bool:
        return self._ended

    def flows(self) -> bool:
        """Whether it may be written to without waiting."""
        return self._writable.is_set() and not self._ended

    def writelines(self, data: Iterable[bytes]) -> None:
        self._transport.write(b"".join(data))

    async def drain(self) -> None:
        """Wait until it may be written to again. Raises as `arrival` does."""
        await self._writable.wait()
        self._check()

    def close(self) -> None:
        self._transport.close()

    async def wait_closed(self) -> None:
        await self._closed.wait()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)


def over_streams(connection_class: "type[AbstractConnection]") -> "type[AbstractConnection]":
    """The same, over a Stream, and with hiredis writing the commands too, where redis-py has it only read the answers:
    a script call for 64 batches has 400 arguments. For clients that do not decode."""
    from hiredis import Reader, pack_command
    from redis._parsers.hiredis import NOT_ENOUGH_DATA, _AsyncHiredisParser
    from redis.exceptions import InvalidResponse

    class Parser(_AsyncHiredisParser):
        def on_connect(self, connection: Any) -> None:
            super().on_connect(connection)  # type: ignore[no-untyped-call]
            self._reader = connection._reader

        async def read_from_socket(self) -> bool:
            await cast("Stream", self._stream).arrival()
            return True

    class OverStream(connection_class):  # type: ignore[valid-type, misc]
        def __init__(self, **arguments: Any) -> None:
            super().__init__(**arguments | {"parser_class": Parser})

        def _new_stream(self) -> Stream:
            parser = Reader(
                protocolError=InvalidResponse, replyError=self._parser.parse_error, notEnoughData=NOT_ENOUGH_DATA
            )
            return Stream(parser, NOT_ENOUGH_DATA)

        async def _connect(self) -> None:
            async with asyncio.timeout(self.socket_connect_timeout):
                transport, stream = await asyncio.get_running_loop().create_connection(
                    self._new_stream, **self._connection_arguments()
                )
            try:
                if self.socket_keepalive:
                    connected = transport.get_extra_info("socket")
                    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                    for option, value in self.socket_keepalive_options.items():
                        connected.setsockopt(socket.IPPROTO_TCP, option, value)
            except BaseException:
                transport.close()
                raise
            self._reader = self._writer = stream

        async def can_read(self) -> bool:
            """Whether something is unread. Raises ConnectionResetError when the connection has ended: with RESP3 the
            pool passes over a mere True, which may mean a push message, and would hand out what is cut."""
            if self.is_connected and self._reader.at_eof():
                raise ConnectionResetError("the connection has ended")
            return await super().can_read()  # type: ignore[no-any-return]

        async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
            stream = self._writer
            if stream is not None and stream.flows() and isinstance(command, list) and not self.health_check_interval:
                stream.writelines(command)
                if stream.flows():
                    return
                command = []  # redis-py waits until it flows again, with its time limit and its errors
            await super().send_packed_command(command, check_health)

        def pack_command(self, *args: Any) -> list[bytes]:
            if b" " in self.encoder.encode(args[0]):  # two words are two arguments; the base class tells them apart
                return super().pack_command(*args)  # type: ignore[no-any-return]
            return [pack_command(args)]

    return OverStream
