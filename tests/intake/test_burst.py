"""Promises of a function whose messages queue up: they are taken together, in order, and none is left waiting; the
sweep of its keys leaves nothing, ends, and takes no more than its share."""

import asyncio
import json
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import hypothesis
import msgspec
import pytest
import redis.asyncio
import redis.exceptions
from hypothesis import strategies as st

from shared import namespaces, telemetry
from shared.app import App, open_app
from shared.batches import claims
from shared.batches.baseline import decode_model
from shared.delivery import laps, reconcile, scan
from shared.delivery.scan import GROUP
from shared.intake import burst as burst_module
from shared.intake.burst import Burst
from shared.intake.events import KeyEvent
from shared.intake.lane import PAUSE_S, QUEUE
from shared.reactor import Cause, Outcome, Reactor, Result
from shared.registry import BATCHES, SESSIONS
from shared.runtime import shutdown
from shared.sessions import reactor as sessions
from shared.telemetry import tracing
from tests.guarantees.test_every_call import commits
from tests.support.batches import batch, batch_key, digest, digests
from tests.support.causes import cause, name_of
from tests.support.faulty import Fault, Moment, faulty_context
from tests.support.looks import records
from tests.support.reactors import make_reactor

FUNCTION = "a_function"
A, B, C = b"gate:a", b"gate:b", b"gate:c"
LONG_S = 60.0


@dataclass
class Gate:
    """A reactor of the tests' own. It notes what it is asked and what it has answered, and answers when its gate is
    open; `holds` is how many calls the gate holds up at all. What it has processed it finds done."""

    asked: list[tuple[str, list[bytes]]] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    result: Callable[[bytes], Result] = lambda _: Result.PROCESSED
    done: Counter[bytes] = field(default_factory=Counter)
    holds: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def keys(self) -> list[bytes]:
        return [key for _, keys in self.asked for key in keys]

    @property
    def reactor(self) -> Reactor:
        return make_reactor(self.react)

    async def react(self, app: App, keys: Sequence[bytes], cause: Cause) -> list[Outcome]:
        operation = name_of(cause)
        self.asked.append((operation, list(keys)))
        self.reached.set()
        if len(self.asked) <= self.holds:
            await self.open.wait()
        self.answered.append(operation)
        return [Outcome(key, self.look(key)) for key in keys]

    def look(self, key: bytes) -> Result:
        result = Result.DUPLICATE if self.done[key] else self.result(key)
        self.done[key] += result is Result.PROCESSED
        return result


@pytest.fixture(autouse=True)
def at_exit(monkeypatch: pytest.MonkeyPatch) -> list[shutdown.Work]:
    """What is to be done at shutdown. Other work is there before, so that no signal handler is installed."""

    async def other() -> None: ...

    works: list[shutdown.Work] = [other]
    monkeypatch.setattr(shutdown, "_works", works)
    return works


@pytest.fixture
async def burst_of():
    """Makes the burst of a reactor's function."""
    made: list[Burst] = []

    def make(reactor: Reactor | Gate, **fields: bool) -> Burst:
        reactor = reactor.reactor if isinstance(reactor, Gate) else reactor
        made.append(Burst(replace(reactor, function=FUNCTION, **fields)))
        return made[-1]

    yield make
    for one in made:
        if one._late is not None:
            one._late.cancel()
            await asyncio.wait([one._late])


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events put aside wait as long as it takes: only a full group or another operation ends that."""
    monkeypatch.setattr(burst_module, "PATIENCE_S", LONG_S)


@pytest.fixture
async def other(app_settings):
    """Another instance of the app."""
    context = open_app(app_settings)
    yield context
    await context.redis.aclose()


def queue_up(burst: Burst) -> None:
    """So many invocations without a gap that messages must be waiting."""
    now_s = time.perf_counter()
    for _ in range(2 * QUEUE + 1):
        burst.lane.begin(now_s)
        burst.lane.end(now_s)
    assert burst.lane.queued


def pause(burst: Burst) -> None:
    """No message waits any more."""
    burst.lane.begin(time.perf_counter() + PAUSE_S)
    burst.lane.end(time.perf_counter())
    assert not burst.lane.queued


async def take(burst: Burst, app: App, key: bytes, operation: str = "set", invocation_id: str = "") -> None:
    """What the trigger does with an event."""
    tracing.invocation_id.set(invocation_id)
    await burst.take(app, KeyEvent(key=key, name=operation, database=0), time.perf_counter())


async def turns(count: int = 20) -> None:
    """Let everything that can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)


async def sweep_on(burst: Burst, app: App) -> int:
    """Sweep to the end. How many slices that took."""
    slices = 0
    while burst._laps is not None or not slices:
        await burst.scan_slice(app)
        slices += 1
    return slices


async def samples(client: redis.asyncio.Redis) -> int:
    """How many values the model has of the one metric."""
    fields = [part for pair in (await client.hgetall(claims.model_key())).items() for part in pair]
    return decode_model(fields, (await client.time())[0]).sketches["co2"].samples


def counted(before: Counter[tuple[str, str]], function: str = FUNCTION) -> dict[str, int]:
    new = telemetry.counts - before
    return {what: count for (name, what), count in new.items() if name == function}


# Together


@pytest.mark.usefixtures("patient")
async def test_messages_that_queue_up_are_reacted_to_with_one_claim_and_one_commit_per_64(app, burst_of):
    count = 4 * GROUP
    burst = burst_of(BATCHES)
    await app.redis.set(batch_key(0), batch(0))
    await take(burst, app, batch_key(0))  # alone, and Redis has the scripts now
    await app.redis.mset({batch_key(number): batch(number) for number in range(count)})
    queue_up(burst)
    await app.redis.config_resetstat()
    before = telemetry.counts.copy()
    for number in range(count):
        await take(burst, app, batch_key(number))
    assert (await app.redis.info("commandstats"))["cmdstat_evalsha"]["calls"] == 2 * count / GROUP
    assert counted(before) == {"processed": count - 1, "duplicate": 1}
    assert await digests(app, count) == [digest(batch(number)) for number in range(count)]


async def test_a_message_without_a_queue_is_reacted_to_within_its_invocation(app, burst_of):
    gate = Gate()
    burst = burst_of(gate)
    for key in (A, B):
        await take(burst, app, key)
    assert gate.asked == [("set", [A]), ("set", [B])]


async def test_the_last_ones_are_not_left_waiting_when_no_more_messages_come(app, burst_of):
    gate = Gate()
    burst = burst_of(gate)
    queue_up(burst)
    await take(burst, app, A)
    await take(burst, app, B)
    assert gate.asked == []
    async with asyncio.timeout(10):
        await gate.reached.wait()
    assert gate.asked == [("set", [A, B])]


async def test_no_event_waits_longer_for_others_than_the_bound(app, burst_of, monkeypatch):
    """However steadily further ones come, too few for a group."""
    monkeypatch.setattr(burst_module, "PATIENCE_S", 0.02)
    gate = Gate()
    burst = burst_of(gate)
    queue_up(burst)
    began_s = time.perf_counter()
    for number in range(GROUP - 1):
        await take(burst, app, b"gate:%d" % number)
        if gate.asked:
            break
        await asyncio.sleep(0.002)
    assert gate.asked
    assert gate.asked[0][1][0] == b"gate:0"
    assert time.perf_counter() - began_s >= 0.02
    await burst.finish()
    assert gate.keys == [b"gate:%d" % n for n in range(number + 1)]


# In order


@pytest.mark.usefixtures("patient")
async def test_an_event_put_buffer_is_reacted_to_before_a_later_one_of_another_operation(app, burst_of):
    gate = Gate()
    burst = burst_of(gate)
    queue_up(burst)
    for key, operation in ((A, "set"), (B, "set"), (A, "del"), (C, "expired"), (B, "expired")):
        await take(burst, app, key, operation)
    assert gate.asked == [("set", [A, B]), ("del", [A])]
    pause(burst)
    await take(burst, app, A, "set")
    assert gate.asked == [("set", [A, B]), ("del", [A]), ("expired", [C, B]), ("set", [A])]


async def test_nothing_overtakes_events_that_are_being_reacted_to(app, burst_of):
    """The last ones of a queue are reacted to on their own; meanwhile a message comes that need not wait for others."""
    gate = Gate(holds=1)
    burst = burst_of(gate)
    queue_up(burst)
    await take(burst, app, A)
    await gate.reached.wait()
    pause(burst)
    later = asyncio.create_task(take(burst, app, A, "del"))
    await turns()
    gate.open.set()
    await later
    assert gate.answered == ["set", "del"]


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["set", "expire", "del", "expired"]), st.sampled_from([b"gate:%d" % n for n in range(5)])
    ),
    max_size=200,
)


@hypothesis.given(events=OPERATIONS, queued=st.lists(st.booleans(), min_size=200, max_size=200))
@hypothesis.settings(max_examples=50, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
async def test_of_any_events_none_is_lost_and_of_one_key_what_happened_first_is_told_first(
    app, burst_of, patient, events, queued
):
    gate = Gate()
    burst = burst_of(gate)
    before = telemetry.counts.copy()
    for (operation, key), waiting in zip(events, queued, strict=False):
        (queue_up if waiting else pause)(burst)
        await take(burst, app, key, operation)
    await burst._flush(app)
    assert sum(counted(before).values()) == len(events)
    for key in {key for _, key in events}:
        happened = [operation for operation, one in events if one == key]
        told = [operation for operation, keys in gate.asked if key in keys]
        assert without_repeats(told) == without_repeats(happened)


def without_repeats(operations: list[str]) -> list[str]:
    return [one for one, before in zip(operations, [None, *operations], strict=False) if one != before]


SESSION_KEYS = [f"nextauth:session:t{number}".encode() for number in range(3)]
LIVES = st.lists(
    st.tuples(st.sampled_from(["set user-1", "set user-2", "del", "expire"]), st.sampled_from(SESSION_KEYS)),
    max_size=24,
)


async def change_sessions(app: App, changes: list[tuple[str, bytes]]) -> list[tuple[bytes, str]]:
    """Make these changes; the key and operation of each event that they cause."""
    events = []
    for change, key in changes:
        operation, _, user_id = change.partition(" ")
        match operation:
            case "set":
                value = json.dumps({"userId": user_id, "expires": "2031-05-01T12:00:00.000Z"})
                happened = await app.redis.set(key, value)
            case "del":
                happened = await app.redis.delete(key)
            case _:
                happened = await app.redis.expire(key, 1000)
        if happened:
            events.append((key, operation))
    return events


@hypothesis.given(known=LIVES, changes=LIVES)
@hypothesis.settings(max_examples=60, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
async def test_sessions_told_of_together_leave_the_records_that_they_leave_one_by_one(
    app, burst_of, patient, known, changes
):
    """The worst case: all their events come when everything has happened."""
    found = []
    for together in (False, True):
        await app.redis.flushall()
        for key, operation in await change_sessions(app, known):
            await sessions.react(app, [key], cause(operation))
        burst = burst_of(SESSIONS)
        queue_up(burst)
        for key, operation in await change_sessions(app, changes):
            if together:
                await take(burst, app, key, operation)
            else:
                await sessions.react(app, [key], cause(operation))
        await burst._flush(app)
        told: dict[str, list[tuple[object, ...]]] = {}
        for one in await records(app):
            what = (one["type"], one["data"].get("reason"), one["data"]["userId"])
            told.setdefault(one["subject"], []).append(what)
        found.append(told)
    assert found[0] == found[1]


# Once


async def test_a_key_with_several_events_in_a_group_is_looked_at_once_and_counts_once(app, burst_of):
    gate = Gate()
    burst = burst_of(gate)
    queue_up(burst)
    before = telemetry.counts.copy()
    for key in (A, B, A, A):
        await take(burst, app, key)
    await burst.finish()
    assert gate.asked == [("set", [A, B])]
    assert counted(before) == {"processed": 2, "duplicate": 2}


@pytest.mark.parametrize("result", Result)
async def test_what_is_noted_of_a_key_is_told_once_however_many_events_it_had(app, burst_of, result):
    burst = burst_of(Gate(result=lambda _: result))
    queue_up(burst)
    before = telemetry.counts.copy()
    for _ in range(3):
        await take(burst, app, A)
    await burst.finish()
    noted = {Result.PROCESSED, Result.REJECTED, Result.RETRIED, Result.DEAD}
    assert counted(before) == ({result: 1, "duplicate": 2} if result in noted else {result: 3})


async def test_the_effects_of_a_group_count_as_the_lane_s(app, burst_of):
    burst = burst_of(Gate())
    queue_up(burst)
    for number in range(GROUP):
        assert not burst.due
        await take(burst, app, b"gate:%d" % number)
    assert burst.due


# At the end, and when Redis is away


async def test_at_shutdown_nothing_is_left_buffer(app, burst_of, at_exit):
    gate = Gate()
    burst = burst_of(gate)
    queue_up(burst)
    for key in (A, B):
        await take(burst, app, key)
    await turns()
    assert burst.finish in at_exit
    await shutdown.run()
    assert (gate.asked, gate.answered) == ([("set", [A, B])], ["set"])


@pytest.mark.usefixtures("patient")
async def test_shutdown_waits_for_a_group_that_an_invocation_reacts_to(app, burst_of):
    gate = Gate(holds=1)
    burst = burst_of(gate)
    queue_up(burst)
    for number in range(GROUP - 1):
        await take(burst, app, b"gate:%d" % number)
    burst._late.cancel()
    last = asyncio.create_task(take(burst, app, A))
    await gate.reached.wait()
    finishing = asyncio.create_task(burst.finish())
    await turns()
    assert not finishing.done()
    gate.open.set()
    await finishing
    assert gate.answered == ["set"]
    await last


async def test_an_invocation_that_is_cancelled_loses_none_of_the_events_that_wait(app, burst_of):
    gate = Gate(holds=1)
    burst = burst_of(gate)
    queue_up(burst)
    await take(burst, app, A)
    await gate.reached.wait()
    await take(burst, app, B)
    cancelled = asyncio.create_task(take(burst, app, C, "del"))
    await turns()
    cancelled.cancel()
    await asyncio.wait([cancelled])
    gate.open.set()
    await burst.finish()
    assert gate.asked == [("set", [A]), ("set", [B])]


async def test_redis_away_while_events_are_buffer_raises_nothing_and_the_lane_goes_on(
    app, app_settings, burst_of, unused_tcp_port
):
    away = open_app(msgspec.structs.replace(app_settings, redis=f"127.0.0.1:{unused_tcp_port}"))
    burst = burst_of(BATCHES)
    queue_up(burst)
    before = telemetry.counts.copy()
    await app.redis.mset({batch_key(number): batch(number) for number in range(GROUP)})
    for number in range(3):
        await take(burst, away, batch_key(number))
    await burst.finish()
    assert counted(before) == {"retried": 3}
    for number in range(GROUP):
        await take(burst, away if number < 3 else app, batch_key(number))
    assert await digests(app, GROUP) == [digest(batch(number)) for number in range(GROUP)]
    await burst.scan_slice(away)
    assert not burst.due
    await away.redis.aclose()


@pytest.mark.parametrize("moment", Moment)
async def test_a_fault_at_any_call_for_a_group_leaves_every_result_once(app_settings, redis_client, burst_of, moment):
    settings = msgspec.structs.replace(app_settings, lease_s=0.02, retry_base_s=0.001, retry_cap_s=0.001)
    healthy = open_app(settings)
    injected = 0
    while True:
        await redis_client.flushall()
        fault = Fault(injected + 1, moment)
        faulty = faulty_context(settings, fault)
        burst = burst_of(BATCHES)
        queue_up(burst)
        await redis_client.mset({batch_key(number): batch(number) for number in range(5)})
        async with redis_client.pubsub() as listen:
            await listen.subscribe(namespaces.BATCH_EVENTS_CHANNEL)
            for number in range(5):
                await take(burst, faulty, batch_key(number))
            await burst.finish()
            await asyncio.sleep(settings.lease_s)  # by Redis' clock
            await reconcile.reconcile(healthy, [BATCHES], budget_s=10)
            found = [digest(batch(number)) for number in range(5)]
            assert await digests(healthy, 5) == found
            assert await commits(redis_client, listen) == dict.fromkeys(found, 1)
        assert await samples(redis_client) == 5 * 3
        await faulty.redis.aclose()
        if fault.calls < fault.at:
            break
        injected += 1
    await healthy.redis.aclose()
    assert injected >= 2


# Told


async def test_each_record_has_the_invocation_of_its_own_event_whoever_reacted_to_it(app, burst_of, caplog):
    caplog.set_level(logging.INFO, "keyspace_functions")
    burst = burst_of(Gate())
    queue_up(burst)
    ids = [f"invocation {number}" for number in range(GROUP + 2)]
    for number, one in enumerate(ids):
        await take(burst, app, b"gate:%d" % number, invocation_id=one)
        assert tracing.invocation_id.get() == one
    await take(burst, app, A, "del", invocation_id="the last")
    assert tracing.invocation_id.get() == "the last"
    await burst.finish()
    assert [record.invocation_id for record in caplog.records] == [*ids, "the last"]


async def test_the_time_that_an_event_was_put_buffer_counts_as_its_duration(app, burst_of, caplog):
    caplog.set_level(logging.INFO, "keyspace_functions")
    burst = burst_of(Gate())
    queue_up(burst)
    await take(burst, app, A)
    await burst.finish()
    (record,) = caplog.records
    assert record.effect["duration_ms"] >= burst_module.PATIENCE_S * 1000


# The sweep


async def test_a_sweep_leaves_nothing_looks_at_each_key_once_and_ends(app, burst_of):
    count = 3 * scan.PAGE
    await app.redis.mset({f"gate:{number}": b"" for number in range(count)})
    gate = Gate()
    burst = burst_of(gate)
    await sweep_on(burst, app)
    assert Counter(gate.keys) == {b"gate:%d" % number: 1 for number in range(count)}
    assert max(len(keys) for _, keys in gate.asked) <= GROUP
    assert not burst.due


async def test_a_sweep_of_nothing_ends(app, burst_of):
    gate = Gate()
    assert await sweep_on(burst_of(gate), app) == 1
    assert gate.asked == []


@pytest.mark.parametrize("seed", range(5))
async def test_a_sweep_finds_what_is_written_behind_its_place(app, burst_of, seed):
    chance = random.Random(seed)
    await app.redis.mset({f"gate:{number}": b"" for number in range(500)})
    written = {b"gate:%d" % number for number in range(500)}

    class Written(Gate):
        async def react(self, app, keys, cause):
            if len(written) < 700:
                key = b"gate:%d" % chance.randrange(10**9)
                written.add(key)
                await app.redis.set(key, b"")
            return await super().react(app, keys, cause)

    gate = Written()
    burst = burst_of(gate)
    queue_up(burst)
    await sweep_on(burst, app)
    assert set(gate.done) == written
    assert set(gate.done.values()) == {1}


async def test_keys_that_another_worker_holds_are_looked_at_again(app, burst_of):
    await app.redis.mset({f"gate:{number}": b"" for number in range(100)})
    held = {b"gate:%d" % number for number in range(0, 100, 7)}
    gate = Gate()
    gate.result = lambda key: Result.LATER if key in held and gate.keys.count(key) == 1 else Result.PROCESSED
    await sweep_on(burst_of(gate), app)
    assert {key for key in gate.done if gate.done[key]} == {b"gate:%d" % number for number in range(100)}
    assert {key for key, times in Counter(gate.keys).items() if times > 1} == held


async def test_a_sweep_remembers_a_bounded_number_of_keys_and_no_key_itself(app, burst_of, monkeypatch):
    monkeypatch.setattr(laps, "MAX_SEEN", 100)
    monkeypatch.setattr(burst_module, "SLICE_S", 0.005)
    await app.redis.mset({f"gate:{number}": b"" for number in range(1000)})
    gate = Gate()
    burst = burst_of(gate)
    queue_up(burst)
    remembered = [0]
    while not remembered[1:] or burst._laps is not None:
        await burst.scan_slice(app)
        if burst._laps is not None:
            remembered.append(len(burst._laps._seen))
            assert all(isinstance(one, int) for one in burst._laps._seen)
    assert max(remembered) == 100
    assert gate.done == {b"gate:%d" % number: 1 for number in range(1000)}
    assert sum(times == 1 for times in Counter(gate.keys).values()) >= 100, "what it remembers it passes over"


async def test_on_a_server_that_takes_no_cursor_but_its_own_a_sweep_begins_at_the_start(app, burst_of, monkeypatch):
    """A proxy in front of several servers, for example, has its own meaning in a cursor."""
    await app.redis.mset({f"gate:{number}": b"" for number in range(1000)})
    given = {0}
    scan = app.redis.scan

    async def strict(cursor, **options):
        if cursor not in given:
            raise redis.exceptions.ResponseError("invalid cursor")
        answer = await scan(cursor, **options)
        given.add(answer[0])
        return answer

    monkeypatch.setattr(app.redis, "scan", strict)
    outages = telemetry.counts["Redis", "outage"]
    gate = Gate()
    await sweep_on(burst_of(gate), app)
    assert Counter(gate.keys) == {b"gate:%d" % number: 1 for number in range(1000)}
    assert telemetry.counts["Redis", "outage"] == outages


async def test_a_sweep_that_redis_refuses_ends_and_raises_nothing(app, burst_of, monkeypatch):
    async def refuse(*_: object, **__: object) -> None:
        raise redis.exceptions.NoPermissionError("no permissions to run the 'scan' command")

    monkeypatch.setattr(app.redis, "scan", refuse)
    assert await sweep_on(burst_of(Gate()), app) == 1
    telemetry.recovered("Redis")


async def test_where_keys_are_written_all_the_time_messages_have_as_much_time_as_the_sweep(app, burst_of, monkeypatch):
    monkeypatch.setattr(burst_module, "SLICE_S", 0.02)
    burst = burst_of(Ever())
    queue_up(burst)
    await app.redis.set("gate:0", b"")
    swept_s = rested_s = 0.0
    while swept_s < 0.2:
        assert burst.due or not swept_s
        began_s = time.monotonic()
        await burst.scan_slice(app)
        swept_s += time.monotonic() - began_s
        ended_s = time.monotonic()
        while not burst.due:  # noqa: ASYNC110 (time has to pass)
            await asyncio.sleep(0.001)
        rested_s += time.monotonic() - ended_s
    assert rested_s >= 0.8 * swept_s


async def test_a_function_whose_messages_must_not_wait_has_as_much_time_for_them_from_the_first_slice_on(
    app, burst_of, monkeypatch
):
    monkeypatch.setattr(burst_module, "SLICE_S", 0.01)
    await app.redis.mset({f"gate:{number}": b"" for number in range(1000)})
    burst = burst_of(Ever(), ordered=True)
    queue_up(burst)
    began_s = time.monotonic()
    await burst.scan_slice(app)
    ended_s = time.monotonic()
    assert not burst.due
    await asyncio.sleep(2 * (ended_s - began_s))
    assert burst.due


async def test_where_keys_are_written_all_the_time_a_sweep_ends_when_no_message_waits_any_more(app, burst_of):
    burst = burst_of(Ever())
    queue_up(burst)
    await app.redis.set("gate:0", b"")
    await burst.scan_slice(app)
    assert burst._laps is not None
    pause(burst)
    await burst.scan_slice(app)
    assert burst._laps is None


class Ever(Gate):
    """Each time it is asked, somebody has written one more key."""

    async def react(self, app, keys, cause):
        await app.redis.set(f"gate:{len(self.asked) + 1}", b"")
        return await super().react(app, keys, cause)


# Several instances


async def test_two_instances_with_the_same_messages_process_each_batch_once(app, other, burst_of, redis_client):
    count = 500
    await app.redis.mset({batch_key(number): batch(number) for number in range(count)})
    before = telemetry.counts.copy()

    async def work(instance: App) -> None:
        burst = burst_of(BATCHES)
        queue_up(burst)
        for number in range(count):
            await take(burst, instance, batch_key(number))
            if burst.due:
                await burst.scan_slice(instance)
        await burst.finish()

    async with redis_client.pubsub() as listen:
        await listen.subscribe(namespaces.BATCH_EVENTS_CHANNEL)
        await asyncio.gather(work(app), work(other))
        await reconcile.reconcile(app, [BATCHES], budget_s=10)  # what was in the hands of one that had no further event
        found = [digest(batch(number)) for number in range(count)]
        assert await commits(redis_client, listen) == dict.fromkeys(found, 1)
    assert await digests(app, count) == found
    assert counted(before)["processed"] + counted(before, "sweep").get("processed", 0) == count
    assert await samples(redis_client) == 3 * count


@pytest.mark.parametrize("protocol", ["resp2", "resp3"])
async def test_on_either_protocol_messages_are_taken_together_and_keys_are_swept(
    app_settings, redis_client, burst_of, protocol
):
    app = open_app(msgspec.structs.replace(app_settings, redis=f"{app_settings.redis},protocol={protocol}"))
    await redis_client.mset({batch_key(number): batch(number) for number in range(200)})
    burst = burst_of(BATCHES)
    queue_up(burst)
    for number in range(GROUP):
        await take(burst, app, batch_key(number))
    await sweep_on(burst, app)
    assert await digests(app, 200) == [digest(batch(number)) for number in range(200)]
    await app.redis.aclose()
