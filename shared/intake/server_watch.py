"""What the server shows of lost events that heartbeats do not. It is looked for every WATCH_S, in one round trip:

- the trigger's connections: one that is replaced within the time of a heartbeat loses what was published meanwhile
- the server's run: a restart or a failover ends every subscription, and may lose writes
- the notification flags: while they lack a class, its events do not exist, though heartbeats arrive

Each is optional: what the server refuses to show is not asked for again.
"""

from collections.abc import Callable
from typing import Any

from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError, ResponseError

from shared.app import App

WATCH_S = 5.0
TRIGGER_NAME = "AzureFunctionsRedisExtension."
"""How the extension names its connections, before the name of its first function."""


class ServerWatch:
    """What was seen last, by name; None where the server refuses to show it."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}
        self._again: list[str] = []
        """Reasons of the last look: the trigger may have subscribed again only after the sweep that they caused."""

    async def look(self, app: App) -> list[str]:
        """Why events may have been lost since the last look. Raises what the Redis client raises if Redis is away."""
        wanted = [what for what in _LOOKS if self.seen.get(what, "") is not None]
        pipeline = app.redis.pipeline(transaction=False)
        for what in wanted:
            _LOOKS[what][0](pipeline)
        reasons = []
        for what, reply in zip(wanted, await pipeline.execute(raise_on_error=False), strict=True):
            if isinstance(reply, ResponseError):
                self.seen[what] = None
                continue
            if isinstance(reply, RedisError | OSError):
                raise reply
            _, of_reply, loss = _LOOKS[what]
            before, self.seen[what] = self.seen.get(what), of_reply(reply)
            if before is not None and (reason := loss(before, self.seen[what])):
                reasons.append(reason)
        again, self._again = self._again, reasons
        return reasons or again


def _connections(reply: bytes) -> frozenset[bytes]:
    """The ids of the trigger's connections. The reply has a line for each subscriber, whoever it is: redis-py takes 130
    ms to parse 5,000 of them, this 4."""
    named = b" name=" + TRIGGER_NAME.encode()
    return frozenset(line.partition(b" ")[0] for line in reply.splitlines() if named in line)


def _replaced(before: frozenset[bytes], now: frozenset[bytes]) -> str:
    return "a connection of the trigger ended" if before - now else ""


def _restarted(before: str, now: str) -> str:
    return "Redis was restarted or failed over" if before != now else ""


def _changed(before: str, now: str) -> str:
    return "notify-keyspace-events was changed" if set(before) != set(now) else ""


_LOOKS: dict[str, tuple[Callable[[Pipeline], Any], Callable[[Any], Any], Callable[[Any, Any], str]]] = {
    "connections": (
        lambda pipeline: pipeline.execute_command("CLIENT", "LIST", "TYPE", "pubsub"),  # not parsed by redis-py
        _connections,
        _replaced,
    ),
    "run": (lambda pipeline: pipeline.info("server"), lambda reply: str(reply.get("run_id")), _restarted),
    "flags": (
        lambda pipeline: pipeline.config_get("notify-keyspace-events"),
        lambda reply: str(reply.get("notify-keyspace-events", "")),
        _changed,
    ),
}
"""By name: the command, what counts of its reply, and why events may have been lost between two such values."""
