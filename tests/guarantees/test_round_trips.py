"""What a reaction costs on the wire: at most 2 round trips for one event, and at most 2 for 64 keys in bulk.

Counted between the app's connection and the server, by what passes there: everything that is sent before an answer is
waited for is one round trip, a pipeline of any length too. The instance is warm: it has connected, and Redis has its
scripts.
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
"""Answers are held back until the client has sent nothing for as long: then it waits for them."""
BEFORE_A_SWEEP = ("take_due_retries", "info", "sweep_acquire")
_SET_UP = {"hello", "client"}
_SCRIPTS = {
    hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest(): path.stem
    for path in (Path(__file__).parents[2] / "shared").rglob("*.lua")
}


class Wire(Proxy):
    """Passes bytes between an app and its Redis and notes what is sent.

    `trips` has, per round trip, the commands that it took there; a script under its own name. A connection's set-up is
    left out.
    """

    def __init__(self, redis_port: int) -> None:
        super().__init__(redis_port)
        self.trips: list[list[str]] = []

    async def _connect(
        self, client_reader: StreamReader, client: StreamWriter, server_reader: StreamReader, server: StreamWriter
    ) -> None:
        """One round trip after the other: all that the client sends, then all answers to it."""
        asked, answered = hiredis.Reader(), hiredis.Reader()
        reading = asyncio.ensure_future(client_reader.read(65536))
        while await reading:
            trip: list[str] = []
            answers = bytearray()
            while reading.done() and (chunk := reading.result()):
                server.write(chunk)
                asked.feed(chunk)
                while (command := asked.gets()) is not False:
                    trip.append(_name(command))
                reading = asyncio.ensure_future(client_reader.read(65536))
                await asyncio.wait([reading], timeout=QUIET_S)
            if not _SET_UP.issuperset(trip):
                self.trips.append(trip)
            waiting = len(trip)
            while waiting:
                answer = await server_reader.read(65536)
                if not answer:
                    return
                answers += answer
                answered.feed(answer)
                while waiting and answered.gets() is not False:
                    waiting -= 1
            client.write(bytes(answers))
            await client.drain()


def _name(command: list[bytes]) -> str:
    name = command[0].decode().lower()
    return _SCRIPTS[command[1].decode()] if name == "evalsha" else name


@dataclass(frozen=True)
class Kind:
    """A reactor, and what its clients write: the key of a number, and the content of its `version`."""

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
    async with Wire(redis_port) as passing:
        yield passing


@pytest.fixture
async def warm(app_settings: Settings, wire: Wire, redis_client: redis.asyncio.Redis) -> AsyncIterator[App]:
    """An instance behind the wire that has seen every kind of key come and go."""
    context = open_app(msgspec.structs.replace(app_settings, redis=f"127.0.0.1:{wire.port}"))
    async with context.redis:
        for kind in (BATCHES, CHARTS, SESSIONS):
            key = kind.key("warm")
            await redis_client.set(key, kind.content(0))
            await kind.reactor.react(context, [key], cause("set"))
            await reconcile(context, [kind.reactor], budget_s=10)
            await redis_client.delete(key)
            await kind.reactor.react(context, [key], cause("del"))
        wire.trips.clear()
        yield context


@KINDS
@pytest.mark.parametrize("count", [1, GROUP])
async def test_one_event_and_64_keys_in_bulk_cost_at_most_two_round_trips(
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
        assert written == (1 if kind is SESSIONS else 2)
        assert await cost("set") == (1, Result.DUPLICATE)
    await redis_client.delete(*keys)
    gone, _ = await cost("del")
    assert gone == 1


@pytest.mark.parametrize("kind", [BATCHES, CHARTS], ids=["batches", "charts"])
async def test_large_contents_in_bulk_cost_a_round_trip_each_beside_the_one_that_reads_them(
    warm: App, wire: Wire, redis_client: redis.asyncio.Redis, kind: Kind
) -> None:
    """Past THREAD_BYTES: each is worked on alone, in a thread, and committed as soon as it is done."""
    keys = [kind.key(f"k{number}") for number in range(3)]
    await redis_client.mset(dict.fromkeys(keys, kind.content(1, rows=2400)))
    assert await redis_client.strlen(keys[0]) > charts.THREAD_BYTES >= batches.THREAD_BYTES
    await kind.reactor.react(warm, keys, cause("sweep"))
    assert len(wire.trips) == 1 + len(keys)


@KINDS
async def test_a_page_of_a_sweep_costs_a_scan_a_look_for_waiting_retries_and_a_save_beside_the_reactions(
    warm: App, wire: Wire, redis_client: redis.asyncio.Redis, kind: Kind
) -> None:
    """Those take at most 2 for each group of 64; of every page one group may be smaller. Three trips come before."""
    keys = [kind.key(f"k{number}") for number in range(4 * GROUP)]
    await redis_client.mset(dict.fromkeys(keys, kind.content(1)))
    assert (await reconcile(warm, [kind.reactor], budget_s=10)).outcomes[Result.PROCESSED] == len(keys)
    trips = Counter(trip[0] for trip in wire.trips)
    assert {name: trips.pop(name) for name in BEFORE_A_SWEEP} == dict.fromkeys(BEFORE_A_SWEEP, 1)
    pages = trips.pop("scan")
    assert 1 <= trips.pop("waiting_retries") <= pages
    assert 1 <= trips.pop("sweep_step") <= pages
    groups = pages + len(keys) * len(kind.reactor.scanned) // GROUP
    assert trips.total() <= 2 * groups, wire.trips
