"""The practical limit: key events and commands over raw sockets, with hiredis and uvloop. Nothing is guaranteed.

A bulk is analysed together, as the app does it. Meanwhile Redis is already asked for the next, and takes the results of
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
"""Bulks that are asked for at once: one to work on, one on its way."""
_TTL = str(RESULTS_TTL_S)


class Connection(asyncio.Protocol):
    """A socket to Redis; `answered` is called with the answers that came in one piece."""

    def __init__(self, answered: Callable[[list[Any]], None]) -> None:
        self._answered = answered
        self._reader = hiredis.Reader()
        self.send: Callable[[bytes], None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.send = cast("asyncio.WriteTransport", transport).write

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        answers = []
        while (answer := self._reader.gets()) is not False:
            answers.append(answer)
        if answers:
            self._answered(answers)


class Consumer:
    def __init__(self, share: Share) -> None:
        self._share = share
        self._waiting: deque[bytes] = deque()
        self._asked: deque[list[bytes]] = deque()
        self._commands = Connection(self._on_contents)
        self.subscribed = asyncio.Event()

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self._commands, HOST, PORT)
        _, events = await loop.create_connection(lambda: Connection(self._on_events), HOST, PORT)
        events.send(hiredis.pack_command((b"PSUBSCRIBE", EVENTS)))
        await self.subscribed.wait()

    def _on_events(self, answers: list[Any]) -> None:
        for answer in answers:
            if answer[0] != b"pmessage":
                self.subscribed.set()
            elif key := written(self._share, answer[2], answer[3]):
                self._waiting.append(key)
        self._ask()

    def _ask(self) -> None:
        waiting = self._waiting
        while waiting and len(self._asked) < IN_FLIGHT:
            keys = [waiting.popleft() for _ in range(min(AT_ONCE, len(waiting)))]
            self._asked.append(keys)
            self._commands.send(hiredis.pack_command((b"MGET", *keys)))

    def _on_contents(self, answers: list[Any]) -> None:
        for answer in answers:
            if type(answer) is not list:
                continue  # of a SET
            keys = self._asked.popleft()
            self._ask()
            self._commands.send(
                b"".join(
                    hiredis.pack_command((b"SET", *one, b"EX", _TTL))
                    for one in results([pair for pair in zip(keys, answer, strict=True) if pair[1] is not None])
                )
            )


async def consume(share: Share) -> None:
    await Consumer(share).start()
    ready()
    await asyncio.Event().wait()


if __name__ == "__main__":
    main(consume, run=uvloop.run)
