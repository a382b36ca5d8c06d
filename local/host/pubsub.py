"""The Redis extension's pub/sub trigger: one subscription and one unbounded queue per function, one message at a time.

At most once, as in Azure: a message whose function fails is gone, and so is whatever is published while the
connection is down, or still waits in the queue when the host stops.
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

_FIRST_RETRY_S = 0.05
_LAST_RETRY_S = 5.0
_READ_AT_ONCE = 256
_TAKEN_AT_ONCE = 32

# Newtonsoft escapes these three beyond what JSON asks for; msgspec writes all the rest as it does.
_NEWTONSOFT = str.maketrans({"\u0085": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"})

log = logging.getLogger("local.host.pubsub")


class SubscribeError(RuntimeError):
    """A subscription that Redis did not confirm at the start. The text names the function and the reason."""


def message_text(subscription: bytes, channel: bytes, message: bytes) -> str:
    """The JSON text that the function receives, as the extension writes it. Bytes that are not UTF-8 become U+FFFD."""
    names = ("SubscriptionChannel", "Channel", "Message")
    values = [part.decode("utf-8", "replace") for part in (subscription, channel, message)]
    text = msgspec.json.encode(dict(zip(names, values, strict=True))).decode()
    return text if text.isascii() else text.translate(_NEWTONSOFT)


class Subscription:
    """One function's subscription. As a context it is subscribed: Redis has confirmed it.

    `invoke` is awaited with each message's text before the next one is taken; it does not raise.
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
        self._client: Redis = open_client(options)
        self._pubsub: Any = None  # redis-py's PubSub, which is typed only in part
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    async def __aenter__(self) -> Self:
        """Subscribe. Raises SubscribeError where that fails."""
        try:
            await self._subscribe()
        except (RedisError, OSError) as error:
            raise SubscribeError(f"{self._function} cannot subscribe: {error}") from error
        self._tasks = (asyncio.create_task(self._receive()), asyncio.create_task(self._take()))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Take no more messages. A running invocation goes on; the host waits for it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self._unsubscribe()
        self._release_marks()
        while not self._queue.empty():
            if isinstance(mark := self._queue.get_nowait(), asyncio.Future):
                _release(mark)

    async def drained(self) -> None:
        """Return when all that Redis had sent to this subscription when it was called has been invoked.

        A PING on the subscribed connection is answered behind the messages already sent, and its answer waits in
        the queue behind them too.
        """
        token = secrets.token_bytes(8).hex().encode()
        mark = asyncio.get_running_loop().create_future()
        if self._pubsub is not None and self._pubsub.connection is not None and self._pubsub.connection.is_connected:
            self._marks[token] = mark
            # A loss that shows here is the reader's to deal with: it releases the mark.
            with suppress(RedisError, OSError):
                await self._pubsub.ping(token)
        else:
            self._queue.put_nowait(mark)
        await mark

    async def _subscribe(self) -> None:
        self._pubsub = self._client.pubsub(push_handler_func=_unchanged)
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
                log.warning("%s: subscription lost (%s); what is published now is gone", self._function, error)
            await self._unsubscribe()
            self._release_marks()
            await self._subscribe_again()
            log.warning("%s: subscribed again", self._function)

    async def _read(self) -> None:
        """From the connection itself, and what has arrived with it from its parser: get_message costs twenty times as
        much per message, which a stand-in for a host in another process should not take from the app."""
        while self._pubsub is not None:
            connection = self._pubsub.connection
            received = await connection.read_response(timeout=math.inf, push_request=True)
            self._put(received)
            for _ in range(_READ_AT_ONCE - 1):
                received = connection._parser._reader.gets()
                if not isinstance(received, list | bytes):
                    break
                self._put(received)
            await asyncio.sleep(0)  # the next ones may be there already, and others want to run too

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
        wait_s = _FIRST_RETRY_S
        while True:
            try:
                return await self._subscribe()
            except (RedisError, OSError) as error:
                log.warning("%s: cannot subscribe (%s); again in %g s", self._function, error, wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, _LAST_RETRY_S)

    async def _take(self) -> None:
        for number in itertools.count(1):
            if number % _TAKEN_AT_ONCE == 0:
                await asyncio.sleep(0)  # what waits already is taken without a break
            item = await self._queue.get()
            if isinstance(item, asyncio.Future):
                _release(item)
            else:
                await self._invoke(message_text(*item))

    def _release_marks(self) -> None:
        """Queue the marks whose PONG will not come, behind the messages that did."""
        for mark in self._marks.values():
            self._queue.put_nowait(mark)
        self._marks.clear()


async def _unchanged(message: list[Any]) -> list[Any]:
    """Instead of redis-py's own, which makes a log line of each message, shown or not."""
    return message


def _release(mark: asyncio.Future[None]) -> None:
    if not mark.done():
        mark.set_result(None)
