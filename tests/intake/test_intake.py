"""Random histories of a whole intake: clients write and delete, triggers lag, each by itself, ears open, die and close,
sweeps run only where a loss was noticed. At the end every batch has the result of its last content, no content was
committed twice, and no session has two lives at once."""

import asyncio
import json
import math
import random
import time
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import redis.asyncio
import redis.exceptions

from shared import namespaces, telemetry
from shared.app import App, open_app
from shared.delivery.catch_up import Watch
from shared.delivery.reconcile import reconcile
from shared.intake import heartbeat
from shared.intake import intake as intake_module
from shared.intake import lane as lane_module
from shared.intake import listening as listening_module
from shared.intake.events import KeyEvent
from shared.intake.heartbeat import parse_heartbeat
from shared.intake.intake import Intake, State
from shared.intake.lane import FAR_BEHIND_S
from shared.intake.listening import Need
from shared.reactor import CHANNEL_PREFIX, Cause, Outcome, Reactor
from shared.registry import BATCHES, SESSIONS
from shared.settings import Settings
from tests.guarantees.test_every_call import commits
from tests.support.batches import batch, batch_key, digest, digests
from tests.support.looks import records

BATCH_COUNT, SESSION_COUNT = 6, 3
STEPS = 120
SOON_S = 20.0


def slow(reactor: Reactor, rng: random.Random) -> Reactor:
    """It takes a while from its effect to its outcome, so that what happens meanwhile matters."""

    async def react(app: App, keys: Sequence[bytes], cause: Cause) -> list[Outcome]:
        outcomes = await reactor.react(app, keys, cause)
        await asyncio.sleep(rng.choice((0, 0, 0.002, 0.01)))
        return outcomes

    return replace(reactor, react=react)


class Instance:
    """An intake whose triggers bring a message only when the history says so. With `host` it is another process of that
    host, which hands each message to one of them."""

    def __init__(self, name: str, settings: Settings, rng: random.Random, *, host: "Instance | None" = None) -> None:
        settings = msgspec.structs.replace(
            settings, instance=name, session_lost_after_s=0, lease_s=0.05, burst_sweep=rng.random() < 0.3
        )
        self.name, self.app, self.watch = name, open_app(settings), Watch(behind=False)
        self.intake = Intake([slow(BATCHES, rng), slow(SESSIONS, rng)], self.watch, settings)
        self.ways = {way.reactor.channel.encode(): way for way in self.intake._ways}
        self.host = host
        self.waiting: dict[bytes, deque[tuple[bytes, bytes]]] = (
            host.waiting if host else {channel: deque() for channel in self.ways}
        )
        self.more = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._pubsub = self.app.redis.pubsub()

    async def start(self) -> None:
        if self.host:
            return
        await self._pubsub.psubscribe(*self.ways)
        for _ in self.ways:
            await self._pubsub.get_message(timeout=SOON_S)
        self._tasks.append(asyncio.create_task(self._receive()))

    async def _receive(self) -> None:
        async for message in self._pubsub.listen():
            if message["type"] == "pmessage":
                self.waiting[message["pattern"]].append((message["channel"], message["data"]))
                self.more.set()

    async def deliver(self, pattern: bytes) -> None:
        """The trigger invokes the function with its next message, as triggers/keyspace.py handles it."""
        way = self.ways[pattern]
        channel, data = self.waiting[pattern].popleft()
        event = KeyEvent(channel[len(CHANNEL_PREFIX) :], data.decode(), 0)
        if event.key == way.prefix and (beat := parse_heartbeat(event.name)):
            self.intake.hear(way, beat)
            return
        behind = self.intake.invoked(way)
        if event.cause not in way.reactor.inert and await self.intake.admits(way, event):
            await way.collector.take(self.app, event, time.perf_counter(), wait=not behind)

    async def tick(self) -> None:
        await self.intake._tick(self.app)

    async def kill_ear(self) -> None:
        for client in await self.app.redis.client_list(_type="pubsub"):
            if client["name"].endswith("-ear"):
                await self.app.redis.client_kill_filter(_id=client["id"])

    async def settle(self) -> None:
        await settled(self)

    async def work_on(self) -> str:
        """Returns why it is not settled, or an empty text."""
        for pattern, waiting in self.waiting.items():
            while waiting:
                await self.deliver(pattern)
        await self.tick()
        for way in self.intake._ways:
            await way.collector.settled()
        running, ways = self.intake._catching_up, self.intake._ways
        unsettled = {
            "sweep": self.watch.behind or (running is not None and not running.done()),
            "ear": self.intake._listening.open,
            "messages": any(self.waiting.values()),
            "heartbeats": any(way.lane.heard_anywhere != way.lane.newest for way in ways),
        }
        return ", ".join(what for what, is_left in unsettled.items() if is_left)

    async def stop(self) -> None:
        """The process is killed."""
        collectors = [way.collector for way in self.intake._ways]
        workers = [task for collector in collectors for task in collector._tasks]
        for task in (*self._tasks, *workers, self.intake._catching_up):
            while task is not None and not task.done():  # a client's call may end without its cancellation
                task.cancel()
                await asyncio.wait([task], timeout=0.1)
        await self.intake._listening.stop()
        await self._pubsub.aclose()
        await self.app.redis.aclose()


async def settled(*instances: Instance) -> None:
    """Deliver everything, close the ears, and make the sweeps that were found necessary."""
    began_s = time.monotonic()
    while unsettled := [why for instance in instances if (why := await instance.work_on())]:
        assert time.monotonic() - began_s < SOON_S, unsettled
        await asyncio.sleep(0.001)


class Clients:
    """What was written, and what is to come of it."""

    def __init__(self, client: redis.asyncio.Redis, rng: random.Random) -> None:
        self._redis, self._rng = client, rng
        self.contents: dict[int, bytes | None] = {}
        self.written = 0
        self.lives: Counter[int] = Counter()
        self.alive: set[int] = set()

    async def act(self) -> None:
        number, session = self._rng.randrange(BATCH_COUNT), self._rng.randrange(SESSION_COUNT)
        token = f"nextauth:session:token-{session}"
        match self._rng.random():
            case share if share < 0.6:
                self.written += 1
                self.contents[number] = content = batch(float(self.written))
                await self._redis.set(batch_key(number), content)
            case share if share < 0.65:
                self.contents[number] = None
                await self._redis.delete(batch_key(number))
            case share if share < 0.9:
                self.lives[session] += session not in self.alive
                self.alive.add(session)
                value = {"userId": f"user-{session}", "expires": "2031-05-01T12:00:00.000Z"}
                await self._redis.set(token, json.dumps(value))
            case _:
                self.alive.discard(session)
                await self._redis.delete(token)


class Pace:
    """Makes ears open and close within milliseconds; at the end of a history, close."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        patch.setattr(listening_module, "IN_TIME_S", 0.0)
        patch.setattr(listening_module, "SCAN_S_PER_KEY", 0.0)
        patch.setattr(intake_module, "AGAIN_S", 0.01)
        patch.setattr(heartbeat, "HOLDS_MS", 200)
        patch.setattr(intake_module, "VIEW_S", 0.12)

    def set(self, *, pace_s: float, far_behind_s: float) -> None:
        for module in (intake_module, listening_module):
            self._patch.setattr(module, "FAR_BEHIND_S", far_behind_s)
        for name in ("BUSY_PACE_S", "IDLE_PACE_S", "MARK_PACE_S"):
            self._patch.setattr(lane_module, name, pace_s)


@pytest.fixture
def pace(monkeypatch: pytest.MonkeyPatch) -> Pace:
    return Pace(monkeypatch)


async def one_step(rng: random.Random, clients: Clients, instances: list[Instance], *, kills: bool) -> None:
    instance = rng.choice(instances)
    match rng.random():
        case share if share < 0.4:
            await clients.act()
        case share if share < 0.75:
            pattern = rng.choice(list(instance.waiting))
            for _ in range(rng.choice((1, 1, 3, 10))):
                if instance.waiting[pattern]:
                    await instance.deliver(pattern)
        case share if share < 0.93:
            await instance.tick()
        case share if share < 0.96:
            instance.intake._listening.start(instance.app, Need.BEHIND)
        case share if share < 0.98 and kills:
            await instance.kill_ear()
        case _:
            await asyncio.sleep(rng.choice((0, 0.001, 0.01)))


async def check(clients: Clients, app: App, listen: redis.asyncio.client.PubSub) -> None:
    stored = await digests(app, BATCH_COUNT)
    for number, content in clients.contents.items():
        if content is not None:
            assert stored[number] == digest(content), f"batch {number}"
    committed = await commits(app.redis, listen)
    assert set(committed.values()) <= {1}
    lives: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for record in await records(app):
        life, _, _ = record["id"].rpartition(".")
        lives[record["data"]["userId"]].append((life, record["type"].rpartition(".")[2]))
    for session in range(SESSION_COUNT):
        history = [(life, kind) for life, kind in lives[f"user-{session}"] if kind in {"created", "ended"}]
        kinds = [kind for _, kind in history]
        assert kinds == (["created", "ended"] * len(kinds))[: len(kinds)], history
        assert len(kinds) % 2 == (session in clients.alive), history
        assert len({life for life, _ in history}) == (len(kinds) + 1) // 2
        assert len(set(history)) == len(history)
        assert kinds.count("created") <= clients.lives[session]


async def join(instances: list[Instance], app: App, rng: random.Random) -> None:
    instances.append(Instance(f"i{rng.random()}", app.settings, rng))
    await instances[-1].start()


async def replace_one(instances: list[Instance], app: App, rng: random.Random) -> None:
    """An instance joins, and another is killed: the rest takes over what it has not done."""
    await join(instances, app, rng)
    await instances.pop(rng.randrange(len(instances) - 1)).stop()


async def left(instances: list[Instance]) -> None:
    """Return when the instances have noticed that others are gone."""
    living = {instance.name for instance in instances}
    async with asyncio.timeout(SOON_S):
        while any(instance.intake._shares.members - living for instance in instances):
            for instance in instances:
                await instance.tick()
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(app: App, count: int, rng: random.Random, *, one_host: bool = False) -> AsyncIterator[list[Instance]]:
    instances: list[Instance] = []
    if one_host:
        app = App(msgspec.structs.replace(app.settings, worker_processes=count), app.redis)
    try:
        for number in range(count):
            if one_host and number:
                instances.append(Instance(instances[0].name, app.settings, rng, host=instances[0]))
            else:
                await join(instances, app, rng)
        yield instances
    finally:
        for instance in instances:
            await instance.stop()


async def history(
    app: App, client: redis.asyncio.Redis, pace: Pace, seed: int, *, count: int, chaos: str
) -> dict[str, Any]:
    rng = random.Random(seed)
    await client.flushall()
    pace.set(pace_s=0.002, far_behind_s=0.01)
    clients = Clients(client, rng)
    opened = 0
    async with client.pubsub() as listen, running(app, count, rng, one_host="host" in chaos) as instances:
        await listen.subscribe(namespaces.BATCH_EVENTS_CHANNEL)
        for step in range(STEPS):
            if chaos == "instances" and step % 40 == 39:
                await replace_one(instances, app, rng)
            was_open = [instance.intake._listening.open for instance in instances]
            await one_step(rng, clients, instances, kills="ears" in chaos)
            opened += sum(
                instance.intake._listening.open > before for instance, before in zip(instances, was_open, strict=True)
            )
        pace.set(pace_s=0.1, far_behind_s=100.0)
        await left(instances)
        await settled(*instances)
        if chaos == "instances":  # what a killed one had claimed
            await asyncio.sleep(0.05)
            await reconcile(app, [BATCHES], budget_s=10)
        await check(clients, app, listen)
    return {"opened": opened, "written": clients.written}


HISTORIES = 3
SOAK_HISTORIES = 400


@pytest.mark.parametrize(
    ("count", "chaos"),
    [(1, ""), (1, "ears"), (2, ""), (2, "ears"), (2, "instances"), (2, "one host"), (3, "one host, ears")],
)
async def test_whatever_the_order_every_content_has_its_effect_once(app, redis_client, request, pace, count, chaos):
    soak = request.config.getoption("--soak")
    opened = 0
    for seed in range(SOAK_HISTORIES if soak else HISTORIES):
        try:
            opened += (await history(app, redis_client, pace, seed, count=count, chaos=chaos))["opened"]
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
    assert opened


async def test_a_heartbeat_that_was_on_its_way_when_it_was_asked_for_is_no_mark(app, monkeypatch):
    """It may have been published before the ear was live."""
    instance, published = Instance("a", app.settings, random.Random(1)), []
    intake = instance.intake
    monkeypatch.setattr(intake._listening, "published", lambda way, number: published.append(number))
    send, asks = heartbeat.send, [True]

    async def send_and_ask(*args: Any) -> heartbeat.Reply:
        reply = await send(*args)
        if asks.pop():
            intake._want_marks()
        return reply

    monkeypatch.setattr(heartbeat, "send", send_and_ask)
    intake._want_marks()
    await instance.tick()
    assert published == [], "the ear has been lost and is live anew"
    asks.append(False)
    await instance.tick()
    assert published == [way.lane.newest for way in intake._ways]
    await instance.stop()


async def test_an_instance_that_begins_to_hear_sweeps_since_the_others_drop_its_share_from_then_on(app):
    async with running(app, 1, random.Random(1)) as (instance,):
        assert not instance.watch.behind
        await instance.tick()
        async with asyncio.timeout(SOON_S):
            while not all(instance.waiting.values()):  # noqa: ASYNC110 (two queues)
                await asyncio.sleep(0.001)
        for pattern in instance.waiting:
            await instance.deliver(pattern)
        await app.redis.set(batch_key(0), batch(1.0))  # its event came to another instance
        for waiting in instance.waiting.values():
            waiting.clear()
        await instance.tick()
        assert instance.intake._catching_up is not None
        async with asyncio.timeout(SOON_S):
            await instance.intake._catching_up
        assert await digests(app, 1) == [digest(batch(1.0))]


async def begin_to_hear(instance: Instance) -> None:
    """Return when the instance has heard a heartbeat of each function and made the sweep that this causes."""
    await instance.settle()
    assert instance.intake.report().state is State.TRIGGER


async def swept(instance: Instance) -> None:
    async with asyncio.timeout(SOON_S):
        while instance.watch.behind or not (instance.intake._catching_up and instance.intake._catching_up.done()):
            await instance.tick()
            await asyncio.sleep(0.001)


@pytest.mark.usefixtures("pace")
async def test_after_an_outage_that_a_function_noticed_the_process_sweeps_by_itself(app: App) -> None:
    """The platform's timers may run on another instance, whose connections were well."""
    async with running(app, 1, random.Random(1)) as (instance,):
        await begin_to_hear(instance)
        await app.redis.set(batch_key(0), batch(1.0))
        instance.waiting[BATCHES.channel.encode()].clear()
        telemetry.outage("Redis", redis.exceptions.ConnectionError())
        await instance.tick()
        await swept(instance)
        assert await digests(app, 1) == [digest(batch(1.0))]


@pytest.mark.usefixtures("pace")
async def test_after_an_outage_that_only_the_heartbeats_noticed_the_process_sweeps(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(app, 1, random.Random(1)) as (instance,):
        await begin_to_hear(instance)

        async def failing(*_: Any) -> heartbeat.Reply:
            raise redis.exceptions.TimeoutError

        with monkeypatch.context() as patch:
            patch.setattr(heartbeat, "send", failing)
            await instance.tick()
            await app.redis.set(batch_key(0), batch(1.0))
            instance.waiting[BATCHES.channel.encode()].clear()
        await instance.tick()
        await swept(instance)
        assert await digests(app, 1) == [digest(batch(1.0))]
        assert not telemetry.in_outage("Redis")


@pytest.mark.usefixtures("pace")
async def test_a_sweep_that_an_outage_ended_is_made_again_by_the_process_itself(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(app, 1, random.Random(1)) as (instance,):
        await begin_to_hear(instance)
        scan, failures = instance.app.redis.scan, [redis.exceptions.ConnectionError()]

        async def failing_once(*args: Any, **kwargs: Any) -> Any:
            if failures:
                raise failures.pop()
            return await scan(*args, **kwargs)

        monkeypatch.setattr(instance.app.redis, "scan", failing_once)
        await app.redis.set(batch_key(0), batch(1.0))
        instance.waiting[BATCHES.channel.encode()].clear()
        instance.intake._lost("on purpose")
        await instance.tick()
        await swept(instance)
        assert await digests(app, 1) == [digest(batch(1.0))]


# Two processes of one host


@asynccontextmanager
async def two_processes(app: App) -> AsyncIterator[list[Instance]]:
    """Their triggers are in time, and no loss is known."""
    app = App(msgspec.structs.replace(app.settings, burst_sweep=False), app.redis)
    async with running(app, 2, random.Random(1), one_host=True) as processes:
        await settled(*processes)
        yield processes


async def ticks(process: Instance) -> None:
    """The ticks that it does not wait for."""
    async with asyncio.timeout(SOON_S):
        while process.intake._wake.is_set():
            process.intake._wake.clear()
            await process.tick()


async def hears_all(process: Instance) -> None:
    """Its triggers bring whatever heartbeat Redis has published."""
    async with asyncio.timeout(SOON_S):
        while any(way.lane.heard != way.lane.newest for way in process.ways.values()):
            for pattern, waiting in process.waiting.items():
                while waiting:
                    await process.deliver(pattern)
            await ticks(process)
            await asyncio.sleep(0.001)


@pytest.fixture
def patient(pace: Pace, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ear that was opened stays open, and none opens by itself."""
    pace.set(pace_s=0.1, far_behind_s=100.0)
    monkeypatch.setattr(listening_module, "IN_TIME_S", math.inf)


async def listens(process: Instance) -> None:
    process.intake._listening.start(process.app, Need.BEHIND)
    async with asyncio.timeout(SOON_S):
        while process.intake._state is not State.BEHIND:
            await process.tick()
            await asyncio.sleep(0.001)


async def test_a_heartbeat_that_another_process_has_heard_makes_no_process_listen(app: App) -> None:
    """Each is overdue, for whoever did not hear it, until the other has told of it."""
    async with two_processes(app) as (publisher, hearer):
        publisher.intake._want_marks()
        await ticks(publisher)
        await hearer.tick()
        await hears_all(hearer)
        await asyncio.sleep(2 * FAR_BEHIND_S)  # at rest it waits for TICK_S
        await publisher.tick()
        assert publisher.intake._listening.need is None
        assert set(publisher.intake.report().behind_s.values()) == {0.0}


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("killed", [False, True])
async def test_a_process_that_closes_its_ear_in_good_order_makes_no_other_sweep_but_one_that_is_killed_does(
    app: App, killed: bool
) -> None:
    async with two_processes(app) as (leaver, stayer):
        for process in (leaver, stayer):
            await listens(process)
        listening, sweep = stayer.intake._listening, stayer.intake._catching_up
        async with asyncio.timeout(SOON_S):
            while listening._shares.share == 1:
                await leaver.tick()
                await stayer.tick()
            if not killed:
                await leaver.intake._listening.close()
            while listening._shares.share < 1:
                if not killed:
                    await leaver.tick()
                await asyncio.sleep(0.001)
                await stayer.tick()
        assert (stayer.intake._catching_up is not sweep) == killed


@pytest.mark.usefixtures("patient")
async def test_a_mark_that_another_process_has_heard_counts(app: App) -> None:
    """The host may hand all heartbeats of a function to one of its processes."""
    async with two_processes(app) as (listener, hearer):
        await listens(listener)
        way = next(iter(listener.ways.values()))
        await ticks(listener)
        assert way.mark
        assert not way.covered
        await hearer.tick()
        await hears_all(hearer)
        await listener.tick()
        assert way.covered


@pytest.mark.usefixtures("patient")
async def test_a_mark_that_a_full_server_refuses_is_asked_for_again(app: App) -> None:
    """Without a mark at its end the ear would never be closed."""
    async with running(app, 1, random.Random(1)) as (instance,):
        await begin_to_hear(instance)
        await app.redis.config_set("maxmemory", 1)
        try:
            await listens(instance)
            await ticks(instance)
            assert not any(way.mark for way in instance.ways.values())
        finally:
            await app.redis.config_set("maxmemory", 0)
        await instance.tick()
        assert all(way.mark for way in instance.ways.values())


async def test_heartbeats_go_on_after_an_error_of_any_kind(
    app: App, app_settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(intake_module, "TICK_S", 0.01)
    send, calls = heartbeat.send, 0
    again = asyncio.Event()

    async def failing(*arguments: Any) -> heartbeat.Reply:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ValueError("as no one foresaw")
        again.set()
        return await send(*arguments)

    monkeypatch.setattr(heartbeat, "send", failing)
    running = asyncio.create_task(Intake([BATCHES], Watch(behind=False), app_settings).run(app))
    try:
        await asyncio.wait_for(again.wait(), SOON_S)
    finally:
        running.cancel()
        await asyncio.wait([running])
    assert "heartbeats: ValueError; they go on" in caplog.text


async def test_versions_that_divide_the_keys_in_other_ways_do_not_divide_them_among_each_other(app: App) -> None:
    """A key that each gives to the other would be nobody's."""
    instance = Instance("a", app.settings, random.Random(1))
    try:
        lanes = [(way.channel, 10_000, 0) for way in instance.intake._ways]
        await heartbeat.send(app, "newer", "trigger", [*lanes, ("__keyspace@0__:another:kind:", 10_000, 0)])
        await instance.tick()
        assert "newer" in {member.identity for member in instance.intake.report().instances}
        assert instance.intake.report().share == 1
        await heartbeat.send(app, "alike", "trigger", lanes)
        await instance.tick()
        assert 0 < instance.intake.report().share < 1
    finally:
        await instance.stop()


async def test_a_function_that_is_switched_off_is_not_taken_for_a_deaf_trigger(app: App) -> None:
    """Health would fail, and the platform would replace every instance again and again."""
    settings = msgspec.structs.replace(app.settings, disabled=frozenset({BATCHES.function}))
    instance = Instance("a", settings, random.Random(1))
    try:
        await instance.tick()
        of_sessions = instance.intake.ways[SESSIONS.name].channel
        assert await app.redis.hkeys(namespaces.build(namespaces.HEARTBEATS)) == [of_sessions.encode()]
        assert set(instance.intake.report().behind_s) == {SESSIONS.function}
        await heartbeat.send(app, "b", "trigger", [(way.channel, 10_000, 0) for way in instance.intake.ways.values()])
        await instance.tick()
        assert instance.intake.report().share == 1, "whoever hears all does not leave keys to who does not"
    finally:
        await instance.stop()
    nobody = Instance(
        "n",
        msgspec.structs.replace(settings, disabled=frozenset({BATCHES.function, SESSIONS.function})),
        random.Random(1),
    )
    try:
        await nobody.tick()
        assert nobody.intake.report().deaf_s is None
    finally:
        await nobody.stop()
