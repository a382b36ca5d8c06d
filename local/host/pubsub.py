"""The Redis extension's pub/sub trigger: one connection for all functions of a setting; per function an unbounded queue
and one message at a time.

Delivery is at most once, as in Azure. A message is lost if its function fails, if it is published while the connection
is down, or if it is still in the queue when the host stops. tests/local/host/test_extension.py compares this with what
was recorded from the real extension.
"""

import asyncio
import itertools
import logging
import math
import secrets
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import msgspec
from redis.exceptions import NoPermissionError, RedisError

from local.host.faults import Fault, Faults
from local.host.overhead import Overhead
from shared.store.connection import ConnectionOptions, open_client

if TYPE_CHECKING:
    from redis.asyncio import Redis

_MIN_RETRY_S = 0.05
_MAX_RETRY_S = 5.0
_START_RETRY_S = 2.0
"""First interval between two attempts of the host to start a trigger."""
_READ_BATCH = 256
"""How many messages are read before other tasks run."""
_INVOKE_BATCH = 32
"""How many messages are invoked before other tasks run, if no invocation waits."""

# The extension's JSON library (Newtonsoft) escapes these three, msgspec does not. All else they write alike.
_NEWTONSOFT = str.maketrans({"\u0085": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"})

log = logging.getLogger("local.host.pubsub")


class SubscribeError(RuntimeError):
    """Redis could not be reached at the start. The text names the function and the reason."""


def message_text(subscription: bytes, channel: bytes, message: bytes) -> str:
    """The JSON text that the function receives, as the extension writes it. Invalid UTF-8 becomes U+FFFD."""
    names = ("SubscriptionChannel", "Channel", "Message")
    values = [part.decode("utf-8", "replace") for part in (subscription, channel, message)]
    text = msgspec.json.encode(dict(zip(names, values, strict=True))).decode()
    return text if text.isascii() else text.translate(_NEWTONSOFT)


class Lane:
    """A function's queue of messages, invoked one after the other.

    `invoke` is awaited with the text of each message before the next message is taken. It must not raise. Each message
    waits for `overhead_s`: after the invocation before it if it was there then, else after its arrival.
    """

    def __init__(
        self,
        function: str,
        channel: str,
        invoke: Callable[[str], Awaitable[object]],
        *,
        pattern: bool,
        overhead_s: float = 0.0,
    ) -> None:
        self.function = function
        self.channel = channel
        self.pattern = pattern
        self.queue: asyncio.Queue[tuple[bytes, bytes, bytes] | asyncio.Future[None]] = asyncio.Queue()
        self._invoke = invoke
        self._overhead_s = overhead_s

    async def run(self) -> None:
        with Overhead(self._overhead_s) as overhead:
            for number in itertools.count(1):
                ended_s, waits = time.monotonic(), not self.queue.empty()
                if number % _INVOKE_BATCH == 0:
                    await asyncio.sleep(0)  # Queue.get does not yield if the queue has a message
                item = await self.queue.get()
                if isinstance(item, asyncio.Future):
                    _release(item)
                    continue
                text = message_text(*item)
                if self._overhead_s:
                    await overhead.wait(ended_s if waits else time.monotonic())
                await self._invoke(text)

    def drop_waiting(self) -> None:
        while not self.queue.empty():
            if isinstance(mark := self.queue.get_nowait(), asyncio.Future):
                _release(mark)


class Trigger:
    """The connection pair of a connection setting, with the functions that it serves; active within its context.

    Entering returns once Redis has confirmed the subscriptions. If Redis is away then, the context fails unless the
    setting has `abortConnect=False`; if it refuses a subscription, the host tries again.
    """

    def __init__(self, lanes: list[Lane], options: ConnectionOptions, faults: Faults) -> None:
        self.lanes = lanes
        self._options = options
        self._faults = faults
        self._by_channel: defaultdict[bytes, list[Lane]] = defaultdict(list)
        for lane in lanes:
            self._by_channel[lane.channel.encode()].append(lane)
        self._marks: dict[bytes, list[asyncio.Future[None]]] = {}
        """The futures of each `drained` call, one per lane, by the text of its PING, until the PONG arrives."""
        name = f"AzureFunctionsRedisExtension.{lanes[0].function}"
        # The extension's client speaks RESP2 unless the setting says otherwise.
        self._client: Redis = open_client(replace(options, protocol=2, client_name=name))
        self._pubsub: Any = None  # PubSub of redis-py, which is only partly typed
        self._cut_s: float | None = None
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    async def __aenter__(self) -> Self:
        """Subscribe. Raises SubscribeError if Redis is away and the setting does not have `abortConnect=False`."""
        subscribed = False
        try:
            await self._subscribe()
            subscribed = True
        except NoPermissionError as error:
            log.warning("%s: cannot subscribe (%s); the host tries again", self._names, error)
        except (RedisError, OSError) as error:
            if self._options.abort_connect:
                raise SubscribeError(f"{self._names} cannot subscribe: {error}") from error
            log.warning("%s: Redis is away (%s); the host tries again", self._names, error)
        receiving = asyncio.create_task(self._receive(subscribed=subscribed))
        self._tasks = (receiving, *(asyncio.create_task(lane.run()) for lane in self.lanes))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop taking messages and drop those that wait. A running invocation continues; the host waits for it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self._unsubscribe()
        self._release_marks()
        for lane in self.lanes:
            lane.drop_waiting()

    async def drained(self) -> None:
        """Return once every message that Redis sent before this call has been invoked.

        Sends a PING on the subscribed connection. Redis answers it after the messages that it has already sent, so the
        PONG takes its place in the queues after them.
        """
        token = secrets.token_bytes(8).hex().encode()
        marks = [asyncio.get_running_loop().create_future() for _ in self.lanes]
        if self._pubsub is not None and self._pubsub.connection is not None and self._pubsub.connection.is_connected:
            self._marks[token] = marks
            # If the connection is lost, the reader notices too and releases the marks.
            with suppress(RedisError, OSError):
                await self._pubsub.ping(token)
        else:
            self._queue_marks(marks)
        await asyncio.gather(*marks)

    @property
    def _names(self) -> str:
        return ", ".join(lane.function for lane in self.lanes)

    async def _subscribe(self) -> None:
        self._pubsub = self._client.pubsub()
        patterns = {lane.channel for lane in self.lanes if lane.pattern}
        channels = {lane.channel for lane in self.lanes if not lane.pattern}
        try:
            if patterns:
                await self._pubsub.psubscribe(*patterns)
            if channels:
                await self._pubsub.subscribe(*channels)
            for _ in patterns | channels:
                if await self._pubsub.get_message(timeout=self._options.command_timeout_s) is None:
                    raise TimeoutError(f"no confirmation within {self._options.command_timeout_s:g} s")
            await self._client.ping()  # opens the other connection of the pair
        except BaseException:
            await self._unsubscribe()
            raise

    async def _unsubscribe(self) -> None:
        pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            await pubsub.aclose()
        await self._client.aclose()

    async def _receive(self, *, subscribed: bool) -> None:
        if not subscribed:
            await self._subscribe_at_last()
        while True:
            reading = asyncio.create_task(self._read())
            cutting = asyncio.create_task(self._faults.cut(self._cut_s))
            try:
                await asyncio.wait([reading, cutting], return_when=asyncio.FIRST_COMPLETED)
                error = reading.exception() if reading.done() else ConnectionResetError("cut by a fault")
                self._cut_s = cutting.result() if cutting.done() else self._cut_s
            finally:
                for task in (reading, cutting):
                    task.cancel()
                await asyncio.wait([reading, cutting])
            log.warning("%s: subscription lost (%s); messages are lost until it is back", self._names, error)
            await self._unsubscribe()
            self._release_marks()
            if self._faults.active(Fault.RESTART):
                for lane in self.lanes:
                    lane.drop_waiting()
            if not await self._subscribe_again():
                log.warning("%s: deaf from now on, as the real trigger is: it never subscribes again", self._names)
                return
            log.warning("%s: subscribed again", self._names)

    async def _read(self) -> None:
        """Read messages until the connection is lost, which raises.

        Reads from the connection and, without waiting, from the buffer of its parser. PubSub.get_message takes twenty
        times as long per message; in Azure this work is done by the host's process, so it must not slow the app.
        """
        while True:
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
                self._queue_message(pattern, channel, data)
            case [b"message", channel, data]:
                self._queue_message(channel, channel, data)
            case [b"pong", token] if token in self._marks:
                self._queue_marks(self._marks.pop(token))

    def _queue_message(self, subscription: bytes, channel: bytes, data: bytes) -> None:
        if self._faults.active(Fault.DEAF) or self._faults.active(Fault.HALF_OPEN):
            return
        for lane in self._by_channel[subscription]:
            lane.queue.put_nowait((subscription, channel, data))

    def _queue_marks(self, marks: list[asyncio.Future[None]]) -> None:
        for lane, mark in zip(self.lanes, marks, strict=True):
            lane.queue.put_nowait(mark)

    async def _subscribe_at_last(self) -> None:
        """Subscribe for the first time, as often as it takes."""
        wait_s = _START_RETRY_S
        while True:
            await asyncio.sleep(wait_s)
            try:
                await self._subscribe()
            except (RedisError, OSError) as error:
                wait_s = min(wait_s * 2, 60.0)
                log.debug("%s: cannot subscribe (%s); the host tries again in %g s", self._names, error, wait_s)
            else:
                log.warning("%s: subscribed", self._names)
                return

    async def _subscribe_again(self) -> bool:
        """Subscribe after the connection was lost, as soon as Redis answers. False if it refuses: the real client does
        not try again."""
        wait_s = _MIN_RETRY_S
        while True:
            try:
                if self._faults.active(Fault.NEVER_AGAIN):
                    await self._client.ping()
                    return False
                await self._subscribe()
            except NoPermissionError:
                return False
            except (RedisError, OSError) as error:
                log.debug("%s: cannot subscribe (%s); retrying in %g s", self._names, error, wait_s)
            else:
                return True
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, _MAX_RETRY_S)

    def _release_marks(self) -> None:
        """The connection is lost, so no PONG will come: queue the marks after the messages received so far."""
        for marks in self._marks.values():
            self._queue_marks(marks)
        self._marks.clear()


def _release(mark: asyncio.Future[None]) -> None:
    if not mark.done():
        mark.set_result(None)
