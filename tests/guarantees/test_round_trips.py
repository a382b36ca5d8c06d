"""Round trips of a reaction: at most 2 for one event, and at most 2 for 64 keys in bulk.

A proxy between the app's connection and the server counts them: everything sent before the client waits for a reply is
one round trip, including a pipeline of any length. The app is warm: it has connected, and Redis has its scripts.
"""

import asyncio
import hashlib
import json
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import hiredis
import msgspec
import pytest
import redis.asyncio

from shared import namespaces, registry
from shared.app import App, open_app
from shared.batches import reactor as batches
from shared.charts import reactor as charts
from shared.delivery.reconcile import reconcile
from shared.delivery.scan import GROUP
from shared.reactor import Reactor, Result
from shared.settings import Settings
from tests.support.causes import cause
from tests.support.proxy import Proxy

QUIET_S = 0.005
"""Replies are delayed until the client has sent nothing for this time: then it waits for them."""
BEFORE_A_PASS = ("take_due_retries", "info", "sweep_acquire")
_SET_UP = {"hello", "client"}
_SCRIPTS = {
    hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest(): path.stem
    for path in (Path(__file__).parents[2] / "shared").rglob("*.lua")
}


class Wire(Proxy):
    """Passes bytes between an app and its Redis and records the commands.

    `trips` has the commands of each round trip; scripts by their names. Set-up of connections is left out.
    """

    def __init__(self, redis_port: int) -> None:
        super().__init__(redis_port)
        self.trips: list[list[str]] = []

    async def _connect(
        self, client_reader: StreamReader, client: StreamWriter, server_reader: StreamReader, server: StreamWriter
    ) -> None:
        """Pass one round trip after the other: all commands that the client sends, then all replies to them."""
        commands, replies = hiredis.Reader(), hiredis.Reader()
        reading = asyncio.ensure_future(client_reader.read(65536))
        while await reading:
            trip: list[str] = []
            reply_bytes = bytearray()
            while reading.done() and (chunk := reading.result()):
                server.write(chunk)
                commands.feed(chunk)
                while (command := commands.gets()) is not False:
                    trip.append(_name(command))
                reading = asyncio.ensure_future(client_reader.read(65536))
                await asyncio.wait([reading], timeout=QUIET_S)
            if not _SET_UP.issuperset(trip):
                self.trips.append(trip)
            waiting = len(trip)
            while waiting:
                chunk_of_reply = await server_reader.read(65536)
                if not chunk_of_reply:
                    return
                reply_bytes += chunk_of_reply
                replies.feed(chunk_of_reply)
                while waiting and replies.gets() is not False:
                    waiting -= 1
            client.write(bytes(reply_bytes))
            await client.drain()


def _name(command: list[bytes]) -> str:
    name = command[0].decode().lower()
    return _SCRIPTS[command[1].decode()] if name == "evalsha" else name


@dataclass(frozen=True)
class Kind:
    """A reactor, and its clients' keys by name and contents by version."""

    reactor: Reactor
    key: Callable[[str], bytes]
    content: Callable[..., str]


def batch(version: int, rows: int = 25) -> str:
    data = {"co2_flow_rate": version, "water_flow": 30.0, "water_temp": 24.1, "ph": 7.1}
    return json.dumps({"records": [{"timestamp": "2031-05-01T12:00:00.000Z", "data": data}] * rows})


def chart(version: int, rows: int = 25) -> str:
    values = {"co2Flow": version, "waterFlow": 30.0, "tracerFlow": 0.4}
    return json.dumps([{"timestamp": 1_767_225_600_000 + row, **values} for row in range(rows)])


def session(version: int) -> str:
    return json.dumps({"sessionToken": "t", "userId": f"user-{version}", "expires": "2031-05-01T12:00:00.000Z"})


BATCHES = Kind(registry.BATCHES, partial(namespaces.build, namespaces.BATCH), batch)
CHARTS = Kind(registry.CHARTS, lambda name: namespaces.build(namespaces.CHART_DATA, name, "realtime"), chart)
SESSIONS = Kind(registry.SESSIONS, partial(namespaces.build, namespaces.SESSION), session)
KINDS = pytest.mark.parametrize("kind", [BATCHES, CHARTS, SESSIONS], ids=lambda kind: kind.reactor.name)


@pytest.fixture
async def wire(redis_port: int) -> AsyncIterator[Wire]:
    async with Wire(redis_port) as proxy:
        yield proxy


@pytest.fixture
async def warm(app_settings: Settings, wire: Wire, redis_client: redis.asyncio.Redis) -> AsyncIterator[App]:
    """An app behind the proxy that has reacted to writes and deletions of every kind of key."""
    app = open_app(msgspec.structs.replace(app_settings, redis=f"127.0.0.1:{wire.port}"))
    async with app.redis:
        for kind in (BATCHES, CHARTS, SESSIONS):
            key = kind.key("warm")
            await redis_client.set(key, kind.content(0))
            await kind.reactor.react(app, [key], cause("set"))
            await reconcile(app, [kind.reactor], budget_s=10)
            await redis_client.delete(key)
            await kind.reactor.react(app, [key], cause("del"))
        wire.trips.clear()
        yield app


@KINDS
@pytest.mark.parametrize("count", [1, GROUP])
async def test_one_event_and_64_keys_in_bulk_take_at_most_two_round_trips(
    warm: App, wire: Wire, redis_client: redis.asyncio.Redis, kind: Kind, count: int
) -> None:
    keys = [kind.key(f"k{number}") for number in range(count)]

    async def cost(operation: str) -> tuple[int, Result]:
        wire.trips.clear()
        outcomes = await kind.reactor.react(warm, keys, cause(operation))
        (result,) = {outcome.result for outcome in outcomes}
        assert len(wire.trips) <= 2, wire.trips
        return len(wire.trips), result

    for version in (1, 2):
        await redis_client.mset(dict.fromkeys(keys, kind.content(version)))
        written, result = await cost("set")
        assert result is Result.PROCESSED
        assert written == 2
        assert await cost("set") == (1, Result.DUPLICATE)
    await redis_client.delete(*keys)
    gone, _ = await cost("del")
    assert gone == (2 if kind is SESSIONS else 1)


@pytest.mark.parametrize("kind", [BATCHES, CHARTS], ids=["batches", "charts"])
async def test_large_contents_in_bulk_take_one_round_trip_each_after_the_one_that_reads_them(
    warm: App, wire: Wire, redis_client: redis.asyncio.Redis, kind: Kind
) -> None:
    """A thread computes contents above THREAD_BYTES one by one, and each is committed when it is ready."""
    keys = [kind.key(f"k{number}") for number in range(3)]
    await redis_client.mset(dict.fromkeys(keys, kind.content(1, rows=2400)))
    assert await redis_client.strlen(keys[0]) > charts.THREAD_BYTES >= batches.THREAD_BYTES
    await kind.reactor.react(warm, keys, cause("sweep"))
    assert len(wire.trips) == 1 + len(keys)


@KINDS
async def test_a_page_of_a_pass_takes_a_scan_a_check_for_retries_a_save_and_the_reactions(
    warm: App, wire: Wire, redis_client: redis.asyncio.Redis, kind: Kind
) -> None:
    """Reactions take at most 2 per group of 64; one group of each page may be smaller. 3 trips precede the pages."""
    keys = [kind.key(f"k{number}") for number in range(4 * GROUP)]
    await redis_client.mset(dict.fromkeys(keys, kind.content(1)))
    assert (await reconcile(warm, [kind.reactor], budget_s=10)).outcomes[Result.PROCESSED] == len(keys)
    trips = Counter(trip[0] for trip in wire.trips)
    assert {name: trips.pop(name) for name in BEFORE_A_PASS} == dict.fromkeys(BEFORE_A_PASS, 1)
    pages = trips.pop("scan")
    assert 1 <= trips.pop("waiting_retries") <= pages
    assert 1 <= trips.pop("sweep_step") <= pages
    derived_groups = pages + len(keys) // GROUP
    assert trips.pop("exists", 0) <= derived_groups, "derived keys, whose sources exist"
    groups = pages + len(keys) * len(kind.reactor.scanned) // GROUP
    assert trips.total() <= 2 * groups, wire.trips
