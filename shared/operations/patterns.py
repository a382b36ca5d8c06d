"""Which function the events of a key reach, by Redis' own rules, and what its reactor makes of them.

`explain` answers from the key's name alone. `live` asks Redis: it subscribes as the triggers do, writes canary keys
that the reactors ignore, and tells what arrived.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from shared import namespaces
from shared.reactor import CHANNEL_PREFIX, Reactor
from shared.registry import BATCHES, CHARTS, REACTORS, SESSIONS
from shared.store.glob import glob_match, literal_prefix

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import PubSub

CANARY_TTL_MS = 10_000
_SHORT_TTL_MS = 30


@dataclass(frozen=True)
class Verdict:
    """`function` is None where none hears of the key; `reacts` says whether its reactor does more than ignore it."""

    function: str | None
    reacts: bool
    why: str


def explain(key: bytes) -> Verdict:
    """What follows from an event of `key`. The text never quotes a part of the key that no pattern has."""
    reactor = next((one for one in REACTORS if glob_match(one.pattern.encode(), key)), None)
    if reactor is None:
        return Verdict(None, False, _unheard(key))
    if namespaces.parts_of(reactor.kind, key) is None:
        return Verdict(reactor.function, False, f"ignored: {_no_source(reactor, key)}")
    why = f"{reactor.noun}: {reactor.effect}"
    if not _is_utf8(key):
        why += "; not UTF-8, so its events name another key and only the sweep finds it"
    return Verdict(reactor.function, True, why)


def _no_source(reactor: Reactor, key: bytes) -> str:
    if namespaces.parts_of(namespaces.SESSION_BY_USER, key):
        return "NextAuth's index of sessions by user id, not a session"
    if key == reactor.kind.prefix:
        return "the id is empty"
    if reactor.kind is namespaces.CHART_DATA:
        return "no {chartId}:{dataType} with both parts"
    return f"not {reactor.kind.pattern}"


def _unheard(key: bytes) -> str:
    if not key:
        return "an empty key, which no pattern matches"
    if found := namespaces.parse(key):
        return f"no function watches it; {found[0].owner}: {found[0].purpose}"
    for reactor in REACTORS:
        if glob_match(reactor.pattern.encode(), key.strip().lower()):
            return f"near miss of {reactor.pattern}: upper case or blanks count"
    reactor = max(REACTORS, key=lambda one: len(common_prefix(one.pattern.encode(), key)))
    shared = common_prefix(reactor.pattern.encode(), key)
    if b":" not in shared:
        return "in no namespace that a function watches"
    how = "ends too early" if shared == key else "another character follows"
    return f"near miss of {reactor.pattern}: after {shared.decode()!r} {how}"


def common_prefix(pattern: bytes, key: bytes) -> bytes:
    """What `key` begins with of the literal beginning of `pattern`."""
    literal = literal_prefix(pattern)
    pairs = enumerate(zip(literal, key, strict=False))
    return literal[: next((at for at, (one, other) in pairs if one != other), min(len(literal), len(key)))]


def _is_utf8(key: bytes) -> bool:
    try:
        key.decode()
    except UnicodeDecodeError:
        return False
    return True


@dataclass(frozen=True)
class Arrival:
    """One event that a canary should have brought: `flag` is the class of notify-keyspace-events that it needs.

    `delay_ms` is from just before the command was sent (for `expired` from when the key was due) to the arrival of its
    message; None when none came in time.
    """

    reactor: Reactor
    key: bytes
    event: str
    flag: str
    delay_ms: float | None = None


async def live(redis: "Redis", *, wait_s: float = 2.0) -> list[Arrival]:
    """Write canaries on every pattern and tell which of their events arrived within `wait_s`.

    The canaries are keys that the reactors ignore: a batch that is a placeholder, a chart without an id, an index of
    sessions. They have a TTL from the start and are removed at the end, also when this is cancelled. Raises what the
    Redis client raises.
    """
    canaries = _canaries(secrets.token_hex(8))
    pubsub = redis.pubsub()
    sent_s: dict[tuple[bytes, str], float] = {}
    arrived_s: dict[tuple[bytes, str], float] = {}
    expected = [arrival for canary in canaries for arrival in canary.expected]
    wanted = {(one.key, one.event) for one in expected}
    try:
        await _subscribed(pubsub, wait_s)
        listening = asyncio.create_task(_listen(pubsub, wanted, arrived_s))
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
    return [_arrival(one, sent_s, arrived_s) for one in expected]


def _arrival(
    one: Arrival, sent_s: dict[tuple[bytes, str], float], arrived_s: dict[tuple[bytes, str], float]
) -> Arrival:
    told = (one.key, one.event)
    if told not in sent_s or told not in arrived_s:
        return one
    return replace(one, delay_ms=round(max(0.0, arrived_s[told] - sent_s[told]) * 1000, 2))


type _Times = dict[tuple[bytes, str], float]


@dataclass(frozen=True)
class _Canary:
    reactor: Reactor
    key: bytes
    events: Sequence[tuple[str, str]]
    """Event and flag, in the order of the commands."""
    write: Callable[["Redis", "_Canary", _Times], Awaitable[None]]

    @property
    def expected(self) -> list[Arrival]:
        return [Arrival(self.reactor, self.key, event, flag) for event, flag in self.events]

    def sending(self, sent_s: _Times, *events: str) -> None:
        """Note the time before a command that brings these events."""
        sent_s.update({(self.key, event): time.perf_counter() for event in events})


def _canaries(mark: str) -> list[_Canary]:
    batch, written = f"{namespaces.BATCH.prefix.decode()}canary-{mark}", [("set", "$"), ("expire", "g")]
    ends = [("set", "$"), ("del", "g"), ("expired", "x")]
    chart = f"{namespaces.CHART_DATA.prefix.decode()}:canary-{mark}"  # an empty chart id is no chart
    index = namespaces.build(namespaces.SESSION_BY_USER, f"canary-{mark}")
    return [
        _Canary(BATCHES, batch.encode(), written, _write_string),
        _Canary(BATCHES, f"{batch}-hash".encode(), [("hset", "h")], _write_hash),
        _Canary(BATCHES, f"{batch}-list".encode(), [("rpush", "l")], _write_list),
        _Canary(CHARTS, chart.encode(), ends, _write_and_end),
        _Canary(SESSIONS, index, ends, _write_and_end),
    ]


PLACEHOLDER = b'{"status":"canary"}'
"""A batch that announces data and holds none: the batches reactor ignores it."""


async def _write_string(redis: "Redis", canary: _Canary, sent_s: _Times) -> None:
    canary.sending(sent_s, "set", "expire")
    await redis.set(canary.key, PLACEHOLDER, px=CANARY_TTL_MS)


async def _write_hash(redis: "Redis", canary: _Canary, sent_s: _Times) -> None:
    canary.sending(sent_s, "hset")
    async with redis.pipeline(transaction=True) as pipeline:
        pipeline.hset(canary.key, "status", "canary")
        pipeline.pexpire(canary.key, CANARY_TTL_MS)
        await pipeline.execute()


async def _write_list(redis: "Redis", canary: _Canary, sent_s: _Times) -> None:
    canary.sending(sent_s, "rpush")
    async with redis.pipeline(transaction=True) as pipeline:
        pipeline.rpush(canary.key, PLACEHOLDER)
        pipeline.pexpire(canary.key, CANARY_TTL_MS)
        await pipeline.execute()


async def _write_and_end(redis: "Redis", canary: _Canary, sent_s: _Times) -> None:
    canary.sending(sent_s, "set")
    await redis.set(canary.key, b"canary", px=CANARY_TTL_MS)
    canary.sending(sent_s, "del")
    await redis.delete(canary.key)
    sent_s[canary.key, "expired"] = time.perf_counter() + _SHORT_TTL_MS / 1000
    await redis.set(canary.key, b"canary", px=_SHORT_TTL_MS)
    await asyncio.sleep(2 * _SHORT_TTL_MS / 1000)
    await redis.exists(canary.key)  # a key whose time has come expires, and is told of, at a look if not before


async def _subscribed(pubsub: "PubSub", wait_s: float) -> None:
    """Subscribe as the triggers do, and wait until Redis has confirmed it."""
    await pubsub.psubscribe(*(reactor.channel for reactor in REACTORS))
    left = len(REACTORS)
    async with asyncio.timeout(wait_s):
        while left:
            message = await pubsub.get_message(timeout=wait_s)
            left -= bool(message and message["type"] == "psubscribe")


async def _listen(pubsub: "PubSub", wanted: set[tuple[bytes, str]], arrived_s: _Times) -> None:
    """Until all that is wanted has arrived."""
    prefix = CHANNEL_PREFIX.encode()
    while not wanted <= arrived_s.keys():
        message: dict[str, Any] | None = await pubsub.get_message(ignore_subscribe_messages=True, timeout=None)
        if message is None or message["type"] != "pmessage":
            continue
        told = (message["channel"].removeprefix(prefix), message["data"].decode(errors="replace"))
        if told in wanted:
            arrived_s.setdefault(told, time.perf_counter())
