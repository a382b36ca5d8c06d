"""A connection of the app's client that only listens: Redis' messages are read in bulk.

It is made by the client's pool with all of its settings (address, TLS, credentials, protocol), and does not belong to
the pool. CPU per message of 90 bytes, from the socket to a reply (uvloop; redis-py 8.1 with hiredis 3.5; 100,000 of
them waiting): 0.4 µs over RESP2, 0.5 over RESP3. redis-py's `read_response` takes 2.1 and 4.6 µs, since it awaits each
message and, over RESP3, formats it for a log line; it also does not tell that bytes of a large message arrive.
"""

import socket
from collections.abc import Sequence
from typing import Any

import hiredis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ResponseError

CHUNK_BYTES = 64 * 1024
"""Read at once: about 700 messages."""
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""A larger message ends the connection before it fills the memory. Redis ends it at 32 MB, unless configured."""
UNACKNOWLEDGED_S = 6.0
"""How long the operating system waits for the acknowledgement of sent bytes, where it can be told (Linux)."""

_INCOMPLETE = object()


class Subscription:
    """Opened once; after an error, or when it is not needed any more, the caller closes it and makes another one."""

    def __init__(self, client: Redis, name_suffix: str) -> None:
        """`client` is one of shared/store/connection.py. `name_suffix` is added to its name in CLIENT LIST."""
        self._connection: Any = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        self._connection.client_name += name_suffix
        if user_timeout := getattr(socket, "TCP_USER_TIMEOUT", None):
            self._connection.socket_keepalive_options = {
                **self._connection.socket_keepalive_options,
                user_timeout: int(UNACKNOWLEDGED_S * 1000),
            }
        self._replies = hiredis.Reader(
            protocolError=InvalidResponse, replyError=ResponseError, notEnoughData=_INCOMPLETE
        )
        self.read_bytes = 0
        """So far: what grows proves that the path is open."""
        self._complete_bytes = 0

    async def open(self, patterns: Sequence[str]) -> None:
        """Connect and subscribe to the patterns; `read` returns the confirmations. Raises RedisError or OSError."""
        await self._connection.connect()
        if await self._connection.can_read():
            raise RedisConnectionError("bytes that no command has asked for")
        await self._connection.send_command("PSUBSCRIBE", *patterns)

    async def ping(self) -> None:
        """Ask for a sign of life; `read` returns it. Raises RedisError or OSError."""
        await self._connection.send_command("PING")

    async def read(self) -> list[Any]:
        """Wait for bytes and return the replies that they complete, perhaps none. An error is an exception among them.

        A message is the list pmessage, pattern, channel, message. Raises RedisError or OSError; once the connection
        has ended, always. Must not be cancelled unless the subscription is closed afterwards.
        """
        chunk = await self._connection._reader.read(CHUNK_BYTES)
        if not chunk:
            raise RedisConnectionError("the connection has ended")
        self.read_bytes += len(chunk)
        self._replies.feed(chunk)
        replies = list(iter(self._replies.gets, _INCOMPLETE))
        if replies:
            self._complete_bytes = self.read_bytes
        elif self.read_bytes - self._complete_bytes > MAX_MESSAGE_BYTES:
            raise RedisConnectionError("a message is too large")
        return replies

    @property
    def outdated(self) -> bool:
        """Whether the server was found to be a replica: another connection leads to the primary."""
        outdated: bool = self._connection.outdated
        return outdated

    async def close(self) -> None:
        """Close the socket at once, whatever is unsent."""
        await self._connection.disconnect(nowait=True)
