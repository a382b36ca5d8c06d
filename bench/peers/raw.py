"""The practical limit: key events and commands over raw sockets, with hiredis and uvloop, without guarantees.

A group is analysed together, as in the app. During the analysis, Redis reads the next group and writes the results of
the last.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import hiredis
import uvloop

from bench.peers import AT_ONCE, EVENTS, HOST, PORT, RESULTS_TTL_S, Share, main, ready, results, written

IN_FLIGHT = 2
"""Groups requested at once: one to analyse, one in transit."""
_TTL = str(RESULTS_TTL_S)


class Connection(asyncio.Protocol):
    """A socket to Redis; calls `on_replies` with the replies in each chunk of data."""

    def __init__(self, on_replies: Callable[[list[Any]], None]) -> None:
        self._on_replies = on_replies
        self._reader = hiredis.Reader()
        self.send: Callable[[bytes], None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.send = cast("asyncio.WriteTransport", transport).write

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        replies = []
        while (reply := self._reader.gets()) is not False:
            replies.append(reply)
        if replies:
            self._on_replies(replies)


class Consumer:
    def __init__(self, share: Share) -> None:
        self._share = share
        self._waiting: deque[bytes] = deque()
        self._requested: deque[list[bytes]] = deque()
        self._commands = Connection(self._on_contents)
        self.subscribed = asyncio.Event()

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self._commands, HOST, PORT)
        _, events = await loop.create_connection(lambda: Connection(self._on_events), HOST, PORT)
        events.send(hiredis.pack_command((b"PSUBSCRIBE", EVENTS)))
        await self.subscribed.wait()

    def _on_events(self, replies: list[Any]) -> None:
        for reply in replies:
            if reply[0] != b"pmessage":
                self.subscribed.set()
            elif key := written(self._share, reply[2], reply[3]):
                self._waiting.append(key)
        self._request()

    def _request(self) -> None:
        waiting = self._waiting
        while waiting and len(self._requested) < IN_FLIGHT:
            keys = [waiting.popleft() for _ in range(min(AT_ONCE, len(waiting)))]
            self._requested.append(keys)
            self._commands.send(hiredis.pack_command((b"MGET", *keys)))

    def _on_contents(self, replies: list[Any]) -> None:
        for reply in replies:
            if type(reply) is not list:
                continue  # the reply to a SET
            keys = self._requested.popleft()
            self._request()
            self._commands.send(
                b"".join(
                    hiredis.pack_command((b"SET", *result, b"EX", _TTL))
                    for result in results([pair for pair in zip(keys, reply, strict=True) if pair[1] is not None])
                )
            )


async def consume(share: Share) -> None:
    await Consumer(share).start()
    ready()
    await asyncio.Event().wait()


if __name__ == "__main__":
    main(consume, run=uvloop.run)
