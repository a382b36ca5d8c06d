"""The Redis extension's pub/sub trigger: one subscription and one unbounded queue per function, one message at a time.

Delivery is at most once, as in Azure. A message is lost if its function fails, if it is published while the connection
is down, or if it is still in the queue when the host stops.
"""

import asyncio
import itertools
import logging
import math
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import msgspec
from redis.exceptions import RedisError

from shared.store.connection import ConnectionOptions, open_client

if TYPE_CHECKING:
    from redis.asyncio import Redis

_MIN_RETRY_S = 0.05
_MAX_RETRY_S = 5.0
_READ_BATCH = 256
"""How many messages are read before other tasks run."""
_INVOKE_BATCH = 32
"""How many messages are invoked before other tasks run, if no invocation waits."""

# The extension's JSON library (Newtonsoft) escapes these three, msgspec does not. All else they write alike.
_NEWTONSOFT = str.maketrans({"\u0085": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"})

log = logging.getLogger("local.host.pubsub")


class SubscribeError(RuntimeError):
    """Redis did not confirm a subscription at the start. The text names the function and the reason."""


def message_text(subscription: bytes, channel: bytes, message: bytes) -> str:
    """The JSON text that the function receives, as the extension writes it. Invalid UTF-8 becomes U+FFFD."""
    names = ("SubscriptionChannel", "Channel", "Message")
    values = [part.decode("utf-8", "replace") for part in (subscription, channel, message)]
    text = msgspec.json.encode(dict(zip(names, values, strict=True))).decode()
    return text if text.isascii() else text.translate(_NEWTONSOFT)


class Subscription:
    """A function's subscription, active within its context. Entering returns once Redis has confirmed it.

    `invoke` is awaited with the text of each message before the next message is taken. It must not raise.
    """

    def __init__(
        self,
        function: str,
        channel: str,
        invoke: Callable[[str], Awaitable[object]],
        *,
        pattern: bool,
        options: ConnectionOptions,
    ) -> None:
        self._function = function
        self._channel = channel
        self._invoke = invoke
        self._pattern = pattern
        self._options = options
        self._queue: asyncio.Queue[tuple[bytes, bytes, bytes] | asyncio.Future[None]] = asyncio.Queue()
        self._marks: dict[bytes, asyncio.Future[None]] = {}
        """Future of each `drained` call by the text of its PING, until the PONG arrives."""
        self._client: Redis = open_client(options)
        self._pubsub: Any = None  # PubSub of redis-py, which is only partly typed
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    async def __aenter__(self) -> Self:
        """Subscribe. Raises SubscribeError if Redis does not answer or confirm."""
        try:
            await self._subscribe()
        except (RedisError, OSError) as error:
            raise SubscribeError(f"{self._function} cannot subscribe: {error}") from error
        self._tasks = (asyncio.create_task(self._receive()), asyncio.create_task(self._invoke_all()))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop taking messages. A running invocation continues; the host waits for it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self._unsubscribe()
        self._release_marks()
        while not self._queue.empty():
            if isinstance(mark := self._queue.get_nowait(), asyncio.Future):
                _release(mark)

    async def drained(self) -> None:
        """Return once every message that Redis sent to this subscription before this call has been invoked.

        Sends a PING on the subscribed connection. Redis answers it after the messages that it has already sent, so the
        PONG takes its place in the queue after them.
        """
        token = secrets.token_bytes(8).hex().encode()
        mark = asyncio.get_running_loop().create_future()
        if self._pubsub is not None and self._pubsub.connection is not None and self._pubsub.connection.is_connected:
            self._marks[token] = mark
            # If the connection is lost, the reader notices too and releases the mark.
            with suppress(RedisError, OSError):
                await self._pubsub.ping(token)
        else:
            self._queue.put_nowait(mark)
        await mark

    async def _subscribe(self) -> None:
        self._pubsub = self._client.pubsub(push_handler_func=_return_unchanged)
        try:
            await (self._pubsub.psubscribe if self._pattern else self._pubsub.subscribe)(self._channel)
            if await self._pubsub.get_message(timeout=self._options.command_timeout_s) is None:
                raise TimeoutError(f"no confirmation within {self._options.command_timeout_s:g} s")
        except BaseException:
            await self._unsubscribe()
            raise

    async def _unsubscribe(self) -> None:
        pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            await pubsub.aclose()
            await self._client.aclose()

    async def _receive(self) -> None:
        while True:
            try:
                await self._read()
            except (RedisError, OSError) as error:
                log.warning("%s: subscription lost (%s); messages are lost until it is back", self._function, error)
            await self._unsubscribe()
            self._release_marks()
            await self._subscribe_again()
            log.warning("%s: subscribed again", self._function)

    async def _read(self) -> None:
        """Read messages until the connection is lost.

        Reads from the connection and, without waiting, from the buffer of its parser. PubSub.get_message takes twenty
        times as long per message; in Azure this work is done by the host's process, so it must not slow the app.
        """
        while self._pubsub is not None:
            connection = self._pubsub.connection
            received = await connection.read_response(timeout=math.inf, push_request=True)
            self._put(received)
            for _ in range(_READ_BATCH - 1):
                received = connection._parser._reader.gets()
                if not isinstance(received, list | bytes):
                    break
                self._put(received)
            await asyncio.sleep(0)  # read_response does not yield if its buffer has a message

    def _put(self, received: list[Any] | bytes) -> None:
        match received:
            case [b"pmessage", pattern, channel, data]:
                self._queue.put_nowait((pattern, channel, data))
            case [b"message", channel, data]:
                self._queue.put_nowait((channel, channel, data))
            case bytes() as token if token in self._marks:  # a PONG of RESP3
                self._queue.put_nowait(self._marks.pop(token))
            case [b"pong", token] if token in self._marks:
                self._queue.put_nowait(self._marks.pop(token))

    async def _subscribe_again(self) -> None:
        wait_s = _MIN_RETRY_S
        while True:
            try:
                return await self._subscribe()
            except (RedisError, OSError) as error:
                log.warning("%s: cannot subscribe (%s); retrying in %g s", self._function, error, wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, _MAX_RETRY_S)

    async def _invoke_all(self) -> None:
        for number in itertools.count(1):
            if number % _INVOKE_BATCH == 0:
                await asyncio.sleep(0)  # Queue.get does not yield if the queue has a message
            item = await self._queue.get()
            if isinstance(item, asyncio.Future):
                _release(item)
            else:
                await self._invoke(message_text(*item))

    def _release_marks(self) -> None:
        """The connection is lost, so no PONG will come: queue the marks after the messages received so far."""
        for mark in self._marks.values():
            self._queue.put_nowait(mark)
        self._marks.clear()


async def _return_unchanged(message: list[Any]) -> list[Any]:
    """Replaces redis-py's handler of push messages, which formats a log line for each message."""
    return message


def _release(mark: asyncio.Future[None]) -> None:
    if not mark.done():
        mark.set_result(None)
