"""While the app listens by its own ear, each event is heard by the ear or comes through the trigger; what the trigger
brings is dropped only where the ear has heard it, or its key was looked at since."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import redis.exceptions

from shared import namespaces
from shared.app import App
from shared.delivery.scan import GROUP
from shared.intake import collector as collector_module
from shared.intake import listening as listening_module
from shared.intake.events import KeyEvent
from shared.intake.listening import Listening, Need
from shared.intake.sharing import Shares
from shared.intake.way import Way
from shared.reactor import Cause, Outcome, Result
from tests.support.reactors import make_reactor

PREFIX = b"fastapi:temp:data:"
OTHER = b"fabric:data:chart:"
A, B, C = (PREFIX + name for name in (b"a", b"b", b"c"))
SOON_S = 10.0


class World:
    """One function whose ear is under test. `calls` are its reactions."""

    def __init__(self, app: App, *, beside: bool = False, **fields: Any) -> None:
        """`beside`: with another function, `idle`, that is not behind."""
        self.app = app
        self.calls: list[tuple[Cause, list[bytes]]] = []
        self.result = Result.PROCESSED
        self.delay_s = 0.0
        self.open = asyncio.Event()
        self.open.set()
        self.reached = asyncio.Event()
        self.lost: list[str] = []
        self.marks = 0
        self.number = 100
        self.foreign: set[bytes] = set()
        self.way = Way(replace(make_reactor(self.react, prefix=PREFIX), **fields), self._looked_at)
        idle = replace(make_reactor(self.react, name="idle", prefix=OTHER), kind=namespaces.CHART_DATA)
        self.idle = Way(idle, self._looked_at)
        ways = [self.way, self.idle] if beside else [self.way]
        self.listening = Listening("here", ways, lambda key: key not in self.foreign, self.lost.append, self._mark)

    def _looked_at(self, key: bytes, began_s: float) -> None:
        self.listening.looked_at(key, began_s)

    def _mark(self) -> None:
        self.marks += 1

    async def react(self, app: App, keys: Sequence[bytes], cause: Cause) -> list[Outcome]:
        self.calls.append((cause, list(keys)))
        self.reached.set()
        await self.open.wait()
        await asyncio.sleep(self.delay_s)
        return [Outcome(key, self.result) for key in keys]

    @property
    def keys(self) -> list[bytes]:
        return [key for _, keys in self.calls for key in keys]

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(SOON_S):
            while not holds():  # noqa: ASYNC110 (states of several parts)
                await asyncio.sleep(0.001)

    async def look_after(self, *, in_time: bool = False, behind_s: float = 0.0) -> None:
        self.way.lane.lag_s = behind_s
        await self.listening.look_after(self.app, in_time=in_time)

    async def begin(self, need: Need = Need.BEHIND) -> None:
        self.listening.start(self.app, need)
        await self.until(lambda: self.listening.live)

    async def heartbeat(self) -> int:
        """Publish a heartbeat as it was asked for. Returns its number."""
        self.number += 1
        await self.app.redis.publish(self.way.channel, f"heartbeat {self.number} 1")
        self.listening.published(self.way, self.number)
        self.way.lane.published(self.number, time.monotonic(), time.monotonic())
        return self.number

    def comes_through_trigger(self, number: int) -> None:
        now_s = time.monotonic()
        self.way.lane.hear(number, now_s, now_s)

    def drops(self, key: bytes, name: str = "set") -> bool:
        return self.listening.covers(self.way, KeyEvent(key, name, 0))

    async def heard_by_ear(self) -> None:
        """Return when the ear has heard all that was published before."""
        number = await self.heartbeat()
        await self.until(lambda: self.way.ear_heard >= number)

    async def covered(self) -> None:
        await self.begin()
        self.comes_through_trigger(await self.heartbeat())
        assert self.drops(A)


type Create = Callable[..., World]


@pytest.fixture
async def create(app: App) -> AsyncIterator[Create]:
    worlds: list[World] = []

    def make(**fields: Any) -> World:
        worlds.append(World(app, **fields))
        return worlds[-1]

    yield make
    for world in worlds:
        world.open.set()
        await world.listening.stop()
        await world.way.collector.settled()


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ear is closed as soon as all lanes are in time."""
    monkeypatch.setattr(listening_module, "IN_TIME_S", 0.0)


# What is dropped


async def test_nothing_is_dropped_until_a_heartbeat_from_after_the_ear_was_live_has_come_through_the_trigger(create):
    world = create()
    assert not world.drops(A), "the ear is closed"
    await world.begin()
    assert world.marks == 1
    assert not world.drops(A)
    number = await world.heartbeat()
    world.comes_through_trigger(number - 1)
    assert not world.drops(A)
    world.comes_through_trigger(number)
    assert world.drops(A)
    assert world.drops(A, "del")


async def test_before_that_an_event_is_dropped_if_its_key_was_looked_at_since_the_ear_was_live(create):
    world = create()
    await world.begin()
    world.listening.looked_at(A, time.monotonic())
    assert world.drops(A)
    assert not world.drops(B)
    assert not world.drops(A, "del"), "the content does not tell why a key is gone"


async def test_a_look_that_began_before_the_ear_was_live_drops_nothing(create):
    """Content that was written after that look, and before the ear was live, is still to come through the trigger."""
    world = create()
    began_s = time.monotonic()
    world.open.clear()
    reaction = asyncio.create_task(
        world.way.collector.take(world.app, KeyEvent(A, "set", 0), time.perf_counter(), wait=True)
    )
    await world.reached.wait()
    await world.begin()
    world.open.set()
    await reaction
    world.listening.looked_at(B, began_s)
    assert not world.drops(A)
    assert not world.drops(B)


async def test_of_an_ordered_reactor_no_event_is_dropped_but_those_that_the_ear_has_heard(create):
    world = create(ordered=True)
    await world.begin()
    world.listening.looked_at(A, time.monotonic())
    assert not world.drops(A)
    world.comes_through_trigger(await world.heartbeat())
    assert world.drops(A)


async def test_a_heartbeat_that_redis_published_for_another_reason_is_no_mark(create):
    world = create()
    await world.begin()
    world.way.lane.published(101, time.monotonic(), time.monotonic())
    world.comes_through_trigger(101)
    assert not world.drops(A)


# What the ear hears


async def test_what_the_ear_hears_is_reacted_to(create):
    world = create(inert=frozenset({Cause.NOTHING, Cause.TOUCHED}))
    world.foreign = {C}
    await world.begin()
    await world.app.redis.set(A, "")
    await world.app.redis.expire(A, 100)
    await world.app.redis.set(C, "")
    await world.app.redis.delete(A)
    await world.heard_by_ear()
    await world.way.collector.settled()
    assert world.calls == [(Cause.WRITTEN, [A]), (Cause.DELETED, [A])]


async def test_events_beyond_what_may_wait_are_left_to_a_sweep(create, monkeypatch):
    monkeypatch.setattr(collector_module, "MAX_WAITING", 10)
    world = create()
    world.open.clear()
    await world.begin()
    for _ in range(30):
        await world.app.redis.set(A, "")
    await world.heard_by_ear()
    assert world.lost
    assert set(world.lost) == {"more events than the app remembers wait for their reaction"}
    world.open.set()
    await world.way.collector.settled()
    assert world.keys == [A, A]


# The ear is lost


@pytest.mark.parametrize("noticed", [False, True])
async def test_when_the_ear_was_lost_a_sweep_begins_and_nothing_is_dropped_until_the_next_mark(create, noticed):
    world = create()
    await world.covered()
    world.listening.looked_at(B, time.monotonic())
    lives, world.marks = world.listening._live_since_s, 0
    await world.app.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    if noticed:
        await world.until(lambda: not world.listening.live)
        assert not world.drops(A), "before the next look"
        await world.look_after()
        assert world.lost == ["the app's own subscription was lost"]
        assert not world.drops(A)
    await world.until(lambda: world.listening.live and world.listening._live_since_s != lives)
    assert len(world.lost) == 1
    assert not world.drops(A)
    assert not world.drops(B)
    assert world.marks == 1
    world.comes_through_trigger(await world.heartbeat())
    assert world.drops(A)


@pytest.mark.parametrize("need", [Need.DEAF, Need.NO_HEARTBEATS])
async def test_a_trigger_that_was_taken_for_far_behind_and_is_deaf_makes_the_app_sweep_once(create, need):
    """What was published before the ear was live will not come any more."""
    world = create()
    await world.begin(Need.BEHIND)
    assert world.lost == []
    world.listening.start(world.app, need)
    world.listening.start(world.app, need)
    assert len(world.lost) == 1


@pytest.mark.parametrize("need", [Need.DEAF, Need.NO_HEARTBEATS])
async def test_where_the_trigger_does_not_bring_what_came_before_a_sweep_begins_with_the_ear(create, need):
    world = create()
    await world.begin(need)
    assert world.lost == ["the app listens by itself"]


# Several processes of a host


def key_of(process: str) -> bytes:
    """A key that `process` hears, of two."""
    shares = Shares(process)
    shares.divide(["here", "there"])
    return next(key for key in (PREFIX + b"%d" % number for number in range(1000)) if shares.has(key))


async def test_what_another_process_heard_is_not_dropped_until_a_heartbeat_from_after_its_leave_has_come(create):
    """The other may have closed its ear before, and this one's passed it over."""
    world, key = create(), key_of("there")
    world.listening.divide(["there"])
    await world.begin()
    world.comes_through_trigger(await world.heartbeat())
    world.listening.looked_at(key, time.monotonic())
    assert not world.drops(key)
    looked_s = time.monotonic()
    assert world.listening.divide([]) == {"there"}
    assert world.marks == 2
    assert not world.drops(key)
    world.listening.looked_at(key, looked_s)
    assert not world.drops(key), "a look that began before"
    world.comes_through_trigger(await world.heartbeat())
    assert world.drops(key)


async def test_what_was_dropped_is_heard_though_another_process_hears_its_key_from_now_on(create):
    """The other's ear may not have been live yet when it was published."""
    world, key = create(), key_of("there")
    await world.covered()
    assert world.drops(key)
    world.listening.divide(["there"])
    await world.app.redis.set(key, "")
    await world.heard_by_ear()
    await world.way.collector.settled()
    assert world.keys == [key]
    await world.look_after()
    await world.app.redis.set(key, "")
    await world.heard_by_ear()
    await world.way.collector.settled()
    assert world.keys == [key]


# The end


@pytest.mark.usefixtures("eager")
async def test_the_ear_is_closed_when_it_has_heard_a_heartbeat_from_after_nothing_was_dropped_any_more(create):
    world = create()
    await world.covered()
    world.listening.looked_at(B, time.monotonic())
    world.marks = 0
    await world.look_after(in_time=True)
    await world.look_after(in_time=True)
    assert world.marks == 1
    assert not world.drops(A), "before the heartbeat is published"
    assert not world.drops(B)
    await world.look_after(in_time=True)
    assert world.listening.open, "the ear may have events unread"
    await world.app.redis.set(A, "")
    await world.heard_by_ear()
    await world.look_after(in_time=True)
    assert not world.listening.open
    await world.way.collector.settled()
    assert world.keys == [A]
    assert world.lost == []


@pytest.mark.usefixtures("eager")
async def test_if_messages_queue_up_again_the_ear_stays_and_covers_again(create):
    world = create()
    await world.covered()
    for _ in range(2):
        await world.look_after(in_time=True)
    await world.heard_by_ear()
    world.listening.start(world.app, Need.BEHIND)
    await world.look_after(in_time=False)
    assert world.listening.open
    assert world.drops(A)
    for _ in range(2):
        await world.look_after(in_time=True)
    await world.look_after(in_time=True)
    assert world.listening.open, "the heartbeat of the first attempt does not count"
    await world.heard_by_ear()
    await world.look_after(in_time=True)
    assert not world.listening.open


@pytest.mark.usefixtures("eager")
async def test_after_a_trigger_was_deaf_a_sweep_begins_when_it_hears_again(create):
    world = create()
    await world.begin(Need.DEAF)
    world.listening.start(world.app, Need.BEHIND)
    world.lost.clear()
    for _ in range(2):
        await world.look_after(in_time=True)
    await world.heard_by_ear()
    await world.look_after(in_time=True)
    assert world.lost == ["the triggers hear again"]


async def test_the_ear_is_not_closed_before_all_lanes_have_been_in_time_for_a_while(create):
    world = create()
    await world.covered()
    for _ in range(3):
        await world.look_after(in_time=True)
    assert world.listening.open
    assert world.drops(A)


# The scan


async def write(app: App, count: int) -> set[bytes]:
    keys = {PREFIX + b"%d" % number for number in range(count)}
    await app.redis.mset(dict.fromkeys(keys, b""))
    return keys


async def scanned(world: World, behind_s: float = 1.0) -> None:
    await world.look_after(behind_s=behind_s)
    assert world.listening._scanning is not None
    async with asyncio.timeout(SOON_S):
        await world.listening._scanning


async def test_a_scan_looks_at_each_key_once_and_at_none_that_needs_no_look(create, app):
    world = create(bulk=True)
    keys = await write(app, 1500)
    fresh, foreign, waiting = PREFIX + b"1", PREFIX + b"2", PREFIX + b"3"
    world.foreign = {foreign}
    world.open.clear()
    await world.begin()
    world.listening.looked_at(fresh, time.monotonic())
    await world.way.collector.take(app, KeyEvent(waiting, "set", 0), time.perf_counter(), wait=False)
    await world.reached.wait()
    asyncio.get_running_loop().call_later(0.02, world.open.set)
    await scanned(world)
    await world.way.collector.settled()
    by_scan = [key for cause, group in world.calls if cause is Cause.BULK for key in group]
    assert len(by_scan) == len(set(by_scan))
    assert set(by_scan) == keys - {fresh, foreign, waiting}
    assert world.drops(PREFIX + b"4")


async def test_a_scan_is_made_once_and_only_where_it_takes_less_time_than_waiting(create, app, monkeypatch):
    monkeypatch.setattr(listening_module, "SCAN_S_PER_KEY", 0.001)
    world = create()
    await write(app, 1000)
    await world.begin()
    await world.look_after(behind_s=0.9)
    assert world.listening._scanning is None
    await scanned(world)
    count = len(world.calls)
    await world.look_after(behind_s=5.0)
    assert len(world.calls) == count


async def test_a_function_that_is_not_behind_is_not_scanned_for_and_does_not_wait_for_the_scan_of_another(create, app):
    """Beside 100,000 sessions a burst of batches would take as long as a look at each session."""
    world = create(beside=True)
    await app.redis.mset({A: "", OTHER + b"1": ""})
    world.open.clear()
    await world.begin()
    await world.look_after(behind_s=1.0)
    await world.reached.wait()
    began_s = time.monotonic()
    await world.listening.hold(world.idle)
    assert time.monotonic() - began_s < listening_module.SLICE_S / 2
    world.open.set()
    assert world.listening._scanning is not None
    await world.listening._scanning
    assert world.keys == [A]
    world.idle.lane.lag_s = 1.0
    await scanned(world)
    assert world.keys == [A, OTHER + b"1"], "when it is behind as well"


@pytest.mark.parametrize("result", [Result.DUPLICATE, Result.PROCESSED])
async def test_a_scan_that_finds_few_effects_ends_when_it_has_taken_as_long_as_messages_have_waited(
    create, app, monkeypatch, result
):
    monkeypatch.setattr(listening_module, "SLICE_S", 0.01)
    world = create()
    world.delay_s, world.result = 0.01, result
    keys = await write(app, 40 * GROUP)
    await world.begin()
    await scanned(world, behind_s=0.05)
    assert (len(world.keys) == len(keys)) == (result is Result.PROCESSED)
    assert not set(world.keys) - keys


async def test_a_scan_is_not_made_while_a_trigger_is_deaf_or_where_it_is_switched_off(create, app):
    """Deaf: the sweep does it."""
    for need, burst_sweep in ((Need.DEAF, True), (Need.BEHIND, False)):
        world = create()
        world.app = App(msgspec.structs.replace(app.settings, burst_sweep=burst_sweep), app.redis)
        await world.begin(need)
        await world.look_after(behind_s=100.0)
        assert world.listening._scanning is None
        await world.listening.stop()


@pytest.mark.parametrize("result", [Result.LATER, Result.RETRIED])
async def test_an_event_of_a_key_that_the_scan_left_for_later_is_not_dropped(create, app, result):
    world = create()
    await app.redis.set(A, "")
    world.result = result
    await world.begin()
    await scanned(world)
    assert world.keys == [A]
    assert not world.drops(A)


async def test_a_scan_ends_with_the_ear_after_the_groups_that_it_works_on(create, app):
    world = create()
    await write(app, 1000)
    world.open.clear()
    await world.begin()
    await world.look_after(behind_s=1.0)
    await world.reached.wait()
    await world.listening.close()
    scanning = world.listening._scanning
    assert scanning is not None
    assert not scanning.done(), "a cancelled reaction would leave its claim behind"
    world.open.set()
    async with asyncio.timeout(SOON_S):
        await scanning
    assert not world.drops(world.keys[0])


async def test_a_scan_that_redis_refuses_ends_and_raises_nothing(create, app, monkeypatch):
    world = create()
    await app.redis.set(A, "")
    await world.begin()

    async def refuse(*_: object, **__: object) -> None:
        raise redis.exceptions.NoPermissionError("no permissions to run the 'scan' command")

    monkeypatch.setattr(app.redis, "scan", refuse)
    await scanned(world)
    assert world.calls == []


async def test_invocations_wait_for_a_scan_for_a_bounded_time_but_not_those_of_an_ordered_reactor(
    create, app, monkeypatch
):
    monkeypatch.setattr(listening_module, "SLICE_S", 0.05)
    for ordered in (False, True):
        world = create(ordered=ordered)
        await app.redis.set(A, "")
        world.open.clear()
        await world.begin()
        await world.listening.hold(world.way)
        await world.look_after(behind_s=1.0)
        await world.reached.wait()
        began_s = time.monotonic()
        await world.listening.hold(world.way)
        assert (time.monotonic() - began_s >= 0.04) == (not ordered)
        world.open.set()
        await world.listening.stop()
