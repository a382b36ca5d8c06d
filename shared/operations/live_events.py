"""Whether key events arrive: subscribes as the triggers do, writes canary keys, and reports which events came.

Canaries are keys of a reactor's pattern that the reactor ignores. They exist per kind of key; a reactor whose kind has
none is not part of the test.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from shared import namespaces
from shared.namespaces import Kind
from shared.reactor import CHANNEL_PREFIX, Reactor
from shared.registry import REACTORS

CANARY_TTL_MS = 10_000
PLACEHOLDER = b'{"status":"canary"}'
"""A batch that announces data and holds none: the batches reactor ignores it."""
_SHORT_TTL_MS = 30

type _KeyEvent = tuple[bytes, str]
"""A key and the name of an event."""
type _Times = dict[_KeyEvent, float]


@dataclass(frozen=True)
class Arrival:
    """An event that a canary should cause; `flag` is the class of notify-keyspace-events that it needs.

    `delay_ms` is the time from just before the command was sent (for `expired` from the expiry of the key) to the
    arrival of the message; None when it did not arrive in time.
    """

    reactor: Reactor
    key: bytes
    event: str
    flag: str
    delay_ms: float | None = None


async def try_events(redis: Redis, *, wait_s: float = 2.0) -> list[Arrival]:
    """Write canaries on the patterns of the reactors and report which of their events arrived within `wait_s`.

    Canaries have a TTL from the start and are removed at the end, also when this is cancelled. Raises what the Redis
    client raises.
    """
    canaries = _canaries(secrets.token_hex(8))
    pubsub = redis.pubsub()
    sent_s: _Times = {}
    arrived_s: _Times = {}
    expected = [arrival for canary in canaries for arrival in canary.expected]
    try:
        await _subscribe(pubsub, wait_s)
        listening = asyncio.create_task(_listen(pubsub, {(event.key, event.event) for event in expected}, arrived_s))
        try:
            async with asyncio.timeout(wait_s):
                for canary in canaries:
                    await canary.write(redis, canary, sent_s)
                await listening
        except TimeoutError:
            pass
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
    finally:
        try:
            await redis.unlink(*{canary.key for canary in canaries})
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py has no annotation here
    return [_with_delay(arrival, sent_s, arrived_s) for arrival in expected]


def _with_delay(arrival: Arrival, sent_s: _Times, arrived_s: _Times) -> Arrival:
    event = (arrival.key, arrival.event)
    if event not in sent_s or event not in arrived_s:
        return arrival
    return replace(arrival, delay_ms=round(max(0.0, arrived_s[event] - sent_s[event]) * 1000, 2))


@dataclass(frozen=True)
class _Canary:
    reactor: Reactor
    key: bytes
    events: Sequence[tuple[str, str]]
    """Event and flag, in the order of the commands."""
    write: Callable[[Redis, "_Canary", _Times], Awaitable[None]]

    @property
    def expected(self) -> list[Arrival]:
        return [Arrival(self.reactor, self.key, event, flag) for event, flag in self.events]

    def sending(self, sent_s: _Times, *events: str) -> None:
        """Note the time before a command that causes these events."""
        sent_s.update({(self.key, event): time.perf_counter() for event in events})


def _canaries(mark: str) -> list[_Canary]:
    """The canaries of all reactors; `mark` makes their keys unique."""
    return [
        canary for reactor in REACTORS if reactor.kind in _CANARIES for canary in _CANARIES[reactor.kind](reactor, mark)
    ]


def _batch_canaries(reactor: Reactor, mark: str) -> list[_Canary]:
    """Placeholders of batches, as a string, a hash and a list."""
    key = namespaces.build(namespaces.BATCH, namespaces.probe_id(mark))
    return [
        _Canary(reactor, key, [("set", "$"), ("expire", "g")], _write_string),
        _Canary(reactor, key + b"-hash", [("hset", "h")], _write_hash),
        _Canary(reactor, key + b"-list", [("rpush", "l")], _write_list),
    ]


def _chart_canaries(reactor: Reactor, mark: str) -> list[_Canary]:
    """A key with an empty chart id, which is not a chart."""
    key = namespaces.CHART_DATA.prefix + f":{namespaces.probe_id(mark)}".encode()
    return [_Canary(reactor, key, _ENDS, _write_and_end)]


def _session_canaries(reactor: Reactor, mark: str) -> list[_Canary]:
    """An index of sessions, which is not a session."""
    key = namespaces.build(namespaces.SESSION_BY_USER, namespaces.probe_id(mark))
    return [_Canary(reactor, key, _ENDS, _write_and_end)]


_ENDS = [("set", "$"), ("del", "g"), ("expired", "x")]
_CANARIES: Mapping[Kind, Callable[[Reactor, str], list[_Canary]]] = {
    namespaces.BATCH: _batch_canaries,
    namespaces.CHART_DATA: _chart_canaries,
    namespaces.SESSION: _session_canaries,
}


async def _write_string(redis: Redis, canary: _Canary, sent_s: _Times) -> None:
    canary.sending(sent_s, "set", "expire")
    await redis.set(canary.key, PLACEHOLDER, px=CANARY_TTL_MS)


async def _write_hash(redis: Redis, canary: _Canary, sent_s: _Times) -> None:
    canary.sending(sent_s, "hset")
    async with redis.pipeline(transaction=True) as pipeline:
        pipeline.hset(canary.key, "status", "canary")
        pipeline.pexpire(canary.key, CANARY_TTL_MS)
        await pipeline.execute()


async def _write_list(redis: Redis, canary: _Canary, sent_s: _Times) -> None:
    canary.sending(sent_s, "rpush")
    async with redis.pipeline(transaction=True) as pipeline:
        pipeline.rpush(canary.key, PLACEHOLDER)
        pipeline.pexpire(canary.key, CANARY_TTL_MS)
        await pipeline.execute()


async def _write_and_end(redis: Redis, canary: _Canary, sent_s: _Times) -> None:
    canary.sending(sent_s, "set")
    await redis.set(canary.key, b"canary", px=CANARY_TTL_MS)
    canary.sending(sent_s, "del")
    await redis.delete(canary.key)
    sent_s[canary.key, "expired"] = time.perf_counter() + _SHORT_TTL_MS / 1000
    await redis.set(canary.key, b"canary", px=_SHORT_TTL_MS)
    await asyncio.sleep(2 * _SHORT_TTL_MS / 1000)
    await redis.exists(canary.key)  # Redis expires a due key, and publishes the event, at the latest on access


async def _subscribe(pubsub: "PubSub", wait_s: float) -> None:
    """Subscribe as the triggers do, and wait until Redis has confirmed every pattern."""
    await pubsub.psubscribe(*(reactor.channel for reactor in REACTORS))
    unconfirmed = len(REACTORS)
    async with asyncio.timeout(wait_s):
        while unconfirmed:
            message = await pubsub.get_message(timeout=wait_s)
            unconfirmed -= bool(message and message["type"] == "psubscribe")


async def _listen(pubsub: "PubSub", expected: set[_KeyEvent], arrived_s: _Times) -> None:
    """Note when events arrive, until all expected ones have."""
    prefix = CHANNEL_PREFIX.encode()
    while not expected <= arrived_s.keys():
        message: dict[str, Any] | None = await pubsub.get_message(ignore_subscribe_messages=True, timeout=None)
        if message is None or message["type"] != "pmessage":
            continue
        event = (message["channel"].removeprefix(prefix), message["data"].decode(errors="replace"))
        if event in expected:
            arrived_s.setdefault(event, time.perf_counter())
