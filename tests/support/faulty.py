"""A Redis client whose connection fails at a chosen call: before the command is sent, or after it ran."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import redis.asyncio
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.app import App
from shared.settings import Settings
from shared.store.connection import ConnectionOptions, open_client, parse_connection_string


class Moment(StrEnum):
    BEFORE = "the command is not sent"
    AFTER = "the command ran, its reply is lost"


@dataclass
class Fault:
    """Fails the `at`-th call (counted from 1) and no other. `injected` is whether it failed a call."""

    at: int
    moment: Moment
    calls: int = 0
    injected: bool = False

    def strikes(self, moment: Moment) -> bool:
        """Whether to fail now: counts the calls, and is True once."""
        if moment is Moment.BEFORE:
            self.calls += 1
        if self.calls != self.at or moment is not self.moment or self.injected:
            return False
        self.injected = True
        return True


def connection_class(fault: Fault) -> type[redis.asyncio.Connection]:
    class Faulty(redis.asyncio.Connection):
        """A connection with this fault. Its set-up (HELLO, CLIENT SETINFO) does not count as a call."""

        ready = False

        async def on_connect_check_health(self, check_health: bool = True) -> None:
            self.ready = False
            await super().on_connect_check_health(check_health)
            self.ready = True

        async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
            if self.ready and fault.strikes(Moment.BEFORE):
                await self.disconnect(nowait=True)
                raise RedisConnectionError("injected before the command")
            await super().send_packed_command(*args, **kwargs)

        async def read_response(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return await super().read_response(*args, **kwargs)
            finally:  # also after an error reply, such as NOSCRIPT
                if self.ready and fault.strikes(Moment.AFTER):
                    await self.disconnect(nowait=True)
                    raise RedisConnectionError("injected after the command")

    return Faulty


def faulty_context(settings: Settings, fault: Fault) -> App:
    """An app whose client has this fault, and a single connection, so that calls count in the order of the code."""
    options: ConnectionOptions = parse_connection_string(settings.redis)
    client = open_client(options)
    pool = client.connection_pool
    pool.connection_class = connection_class(fault)
    return App(settings, client)


type Open = Callable[[Settings], App]
