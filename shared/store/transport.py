"""Redis connections that feed bytes from the socket straight to hiredis.

    redis-py:     socket -> asyncio transport -> StreamReader buffer -> read() -> hiredis
    this module:  socket -> READ_BYTES buffer -> hiredis

Connecting, authentication, time limits, errors and the pool remain redis-py's. Only its streams are replaced: asyncio's
copy each byte of a reply three more times, in steps of 32 KB and one turn of the event loop.

This module uses undocumented parts of redis-py; tests/store/test_transport.py checks them in the installed release.
"""

import asyncio
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from hiredis import Reader
    from redis.asyncio.connection import AbstractConnection

READ_BYTES = 64 * 1024
"""Most bytes that one read of the socket takes."""
UNREAD_BYTES = 64 * 1024
"""Bytes that may arrive while no call waits for a reply, before reading from the socket is paused."""


class Stream(asyncio.BufferedProtocol):
    """One object with the parts of StreamReader, StreamWriter and hiredis' Reader that redis-py uses.

    Bytes go from the socket to hiredis as they arrive; a caller that waits for a reply is woken when it is complete.
    `incomplete` is what `parser.gets()` returns until then.
    """

    _buffer = b""
    """redis-py looks here for the unread bytes of a StreamReader. hiredis has them already."""

    def __init__(self, parser: "Reader", incomplete: object) -> None:
        self._parser = parser
        self._incomplete = incomplete
        self._reply = incomplete
        self._waiting: asyncio.Future[None] | None = None
        self._unread_bytes = 0
        self._memory = memoryview(bytearray(READ_BYTES))  # TLS writes to slices; a slice of a bytearray is a copy
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
        self._parser.feed(self._memory, 0, nbytes)  # type: ignore[arg-type]  # any buffer is accepted
        if self._waiting is not None:
            self._parse()
            return
        self._unread_bytes += nbytes
        if self._unread_bytes > UNREAD_BYTES:
            self._transport.pause_reading()

    def eof_received(self) -> None:
        """No more replies can arrive, so the transport may close its own side too."""
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
            self._reply = self._parser.gets()
        except Exception as error:  # not the Redis protocol
            self._end(error)
        else:
            if self._reply is not self._incomplete:
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
        """The next reply, or `incomplete`. Raises redis.exceptions.InvalidResponse for malformed bytes."""
        if self._reply is self._incomplete:
            return self._parser.gets(decode)
        reply, self._reply = self._reply, self._incomplete
        return reply

    def has_data(self) -> bool:
        """Whether a reply, or a part of one, is unread."""
        return self._reply is not self._incomplete or self._parser.has_data()

    async def wait_for_reply(self) -> None:
        """Wait until the next reply is complete or the connection ends. One caller at a time, after `gets` has returned
        `incomplete`.

        Raises the error that broke the connection, ConnectionResetError if it has ended.
        """
        self._check()
        self._unread_bytes = 0
        self._transport.resume_reading()
        self._waiting = asyncio.get_running_loop().create_future()
        await self._waiting

    def at_eof(self) -> bool:
        return self._ended

    def is_writable(self) -> bool:
        """Whether the transport takes more bytes without waiting."""
        return self._writable.is_set() and not self._ended

    def writelines(self, data: Iterable[bytes]) -> None:
        self._transport.write(b"".join(data))

    async def drain(self) -> None:
        """Wait until the transport takes more bytes. Raises as `wait_for_reply` does."""
        await self._writable.wait()
        self._check()

    def close(self) -> None:
        self._transport.close()

    async def wait_closed(self) -> None:
        await self._closed.wait()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)


def over_streams(connection_class: "type[AbstractConnection]") -> "type[AbstractConnection]":
    """A subclass of `connection_class` that uses a Stream, and that packs commands with hiredis too: redis-py only
    parses replies with it, and a script call for 64 batches has 400 arguments. For clients that do not decode."""
    from hiredis import Reader, pack_command
    from redis._parsers.hiredis import NOT_ENOUGH_DATA, _AsyncHiredisParser
    from redis.exceptions import InvalidResponse

    class Parser(_AsyncHiredisParser):
        def on_connect(self, connection: Any) -> None:
            super().on_connect(connection)  # type: ignore[no-untyped-call]
            self._reader = connection._reader

        async def read_from_socket(self) -> bool:
            await cast("Stream", self._stream).wait_for_reply()
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
                    connection_socket = transport.get_extra_info("socket")
                    connection_socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                    for option, value in self.socket_keepalive_options.items():
                        connection_socket.setsockopt(socket.IPPROTO_TCP, option, value)
            except BaseException:
                transport.close()
                raise
            self._reader = self._writer = stream

        async def can_read(self) -> bool:
            """Whether a reply is unread. Raises ConnectionResetError if the connection has ended: with RESP3 the pool
            ignores True, which may mean a push message, and would hand out a broken connection."""
            if self.is_connected and self._reader.at_eof():
                raise ConnectionResetError("the connection has ended")
            return await super().can_read()  # type: ignore[no-any-return]

        async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
            stream = self._writer
            if (
                stream is not None
                and stream.is_writable()
                and isinstance(command, list)
                and not self.health_check_interval
            ):
                stream.writelines(command)
                if stream.is_writable():
                    return
                command = []  # redis-py waits until the stream is writable, with its time limit and errors
            await super().send_packed_command(command, check_health)

        def pack_command(self, *args: Any) -> list[bytes]:
            if b" " in self.encoder.encode(
                args[0]
            ):  # such as "CONFIG GET": the base class splits it into two arguments
                return super().pack_command(*args)  # type: ignore[no-any-return]
            return [pack_command(args)]

    return OverStream
