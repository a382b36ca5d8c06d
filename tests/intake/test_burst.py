"""A function whose messages queue up: events are grouped, in order, and none is left in the buffer; a bulk scan of its
keys is complete, ends, and shares its time with messages."""

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
from shared.intake.burst import Burst

from shared import namespaces, telemetry
from shared.app import App, open_app
from shared.batches import claims
from shared.batches.baseline import decode_model
from shared.delivery import laps, reconcile, scan
from shared.delivery.scan import GROUP
from shared.intake.events import KeyEvent
from shared.intake.lane import PAUSE_S, QUEUE
from shared.reactor import Cause, Outcome, Reactor, Result
from shared.registry import BATCHES, SESSIONS
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
    """A reactor that records its calls. The first `holds` calls wait until the gate is open. A processed key is a
    duplicate from then on."""

    calls: list[tuple[str, list[bytes]]] = field(default_factory=list)
    """Operation and keys of each call, when it starts."""
    ended: list[str] = field(default_factory=list)
    """Operation of each call, when it ends."""
    result: Callable[[bytes], Result] = lambda _: Result.PROCESSED
    done: Counter[bytes] = field(default_factory=Counter)
    holds: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def keys(self) -> list[bytes]:
        return [key for _, keys in self.calls for key in keys]

    @property
    def reactor(self) -> Reactor:
        return make_reactor(self.react)

    async def react(self, app: App, keys: Sequence[bytes], cause: Cause) -> list[Outcome]:
        operation = name_of(cause)
        self.calls.append((operation, list(keys)))
        self.reached.set()
        if len(self.calls) <= self.holds:
            await self.open.wait()
        self.ended.append(operation)
        return [Outcome(key, self.look(key)) for key in keys]

    def look(self, key: bytes) -> Result:
        result = Result.DUPLICATE if self.done[key] else self.result(key)
        self.done[key] += result is Result.PROCESSED
        return result


async def finish(burst: Burst) -> None:
    """Wait until every buffered event has been reacted to."""
    if burst._late is not None:
        await asyncio.wait([burst._late])
    async with burst._reacting:
        pass


@pytest.fixture
async def burst_of():
    """Creates the Burst of a reactor."""
    bursts: list[Burst] = []

    def create(reactor: Reactor | Gate, **fields: bool) -> Burst:
        reactor = reactor.reactor if isinstance(reactor, Gate) else reactor
        bursts.append(Burst(replace(reactor, function=FUNCTION, **fields)))
        return bursts[-1]

    yield create
    for burst in bursts:
        if burst._late is not None:
            burst._late.cancel()
            await asyncio.wait([burst._late])


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buffered events wait until the group is full or another operation comes."""
    monkeypatch.setattr(burst_module, "PATIENCE_S", LONG_S)


@pytest.fixture
async def other(app_settings):
    """Another instance of the app."""
    instance = open_app(app_settings)
    yield instance
    await instance.redis.aclose()


def queue_up(burst: Burst) -> None:
    """Make so many invocations without a gap that messages count as queued."""
    now_s = time.perf_counter()
    for _ in range(2 * QUEUE + 1):
        burst.lane.begin(now_s)
        burst.lane.end(now_s)
    assert burst.lane.queued


def pause(burst: Burst) -> None:
    """Make a pause after which no message counts as queued."""
    burst.lane.begin(time.perf_counter() + PAUSE_S)
    burst.lane.end(time.perf_counter())
    assert not burst.lane.queued


async def take(burst: Burst, app: App, key: bytes, operation: str = "set", invocation_id: str = "") -> None:
    """Pass an event to the burst, as the trigger does."""
    tracing.invocation_id.set(invocation_id)
    await burst.take(app, KeyEvent(key=key, name=operation, database=0), time.perf_counter())


async def run_other_tasks(count: int = 20) -> None:
    """Let other tasks run until they wait."""
    for _ in range(count):
        await asyncio.sleep(0)


async def scan_to_the_end(burst: Burst, app: App) -> int:
    """Scan in slices until the scan ends. Returns the number of slices."""
    slices = 0
    while burst._laps is not None or not slices:
        await burst.scan_slice(app)
        slices += 1
    return slices


async def samples(client: redis.asyncio.Redis) -> int:
    """The number of values in the model's only metric."""
    fields = [part for pair in (await client.hgetall(claims.model_key())).items() for part in pair]
    return decode_model(fields, (await client.time())[0]).sketches["co2"].samples


def counted(before: Counter[tuple[str, str]], function: str = FUNCTION) -> dict[str, int]:
    """The outcomes of a function counted since `before`."""
    new = telemetry.counts - before
    return {outcome: count for (name, outcome), count in new.items() if name == function}


# Groups


@pytest.mark.usefixtures("patient")
async def test_queued_messages_take_one_claim_and_one_commit_per_group(app, burst_of):
    count = 4 * GROUP
    burst = burst_of(BATCHES)
    await app.redis.set(batch_key(0), batch(0))
    await take(burst, app, batch_key(0))  # alone, which loads the scripts
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
    assert gate.calls == [("set", [A]), ("set", [B])]


async def test_buffered_events_are_reacted_to_when_no_more_messages_come(app, burst_of):
    gate = Gate()
    burst = burst_of(gate)
    queue_up(burst)
    await take(burst, app, A)
    await take(burst, app, B)
    assert gate.calls == []
    async with asyncio.timeout(10):
        await gate.reached.wait()
    assert gate.calls == [("set", [A, B])]


async def test_an_event_waits_for_others_only_for_a_bounded_time(app, burst_of, monkeypatch):
    """Even if further events keep coming, but too few to fill the group."""
    monkeypatch.setattr(burst_module, "PATIENCE_S", 0.02)
    gate = Gate()
    burst = burst_of(gate)
    queue_up(burst)
    began_s = time.perf_counter()
    for number in range(GROUP - 1):
        await take(burst, app, b"gate:%d" % number)
        if gate.calls:
            break
        await asyncio.sleep(0.002)
    assert gate.calls
    assert gate.calls[0][1][0] == b"gate:0"
    assert time.perf_counter() - began_s >= 0.02
    await finish(burst)
    assert gate.keys == [b"gate:%d" % n for n in range(number + 1)]


# Order


@pytest.mark.usefixtures("patient")
async def test_buffered_events_are_reacted_to_before_a_later_event_of_another_operation(app, burst_of):
    gate = Gate()
    burst = burst_of(gate)
    queue_up(burst)
    for key, operation in ((A, "set"), (B, "set"), (A, "del"), (C, "expired"), (B, "expired")):
        await take(burst, app, key, operation)
    assert gate.calls == [("set", [A, B]), ("del", [A])]
    pause(burst)
    await take(burst, app, A, "set")
    assert gate.calls == [("set", [A, B]), ("del", [A]), ("expired", [C, B]), ("set", [A])]


async def test_no_event_overtakes_events_in_progress(app, burst_of):
    """A task reacts to the last events of a queue; during this, a message comes that need not wait for others."""
    gate = Gate(holds=1)
    burst = burst_of(gate)
    queue_up(burst)
    await take(burst, app, A)
    await gate.reached.wait()
    pause(burst)
    later = asyncio.create_task(take(burst, app, A, "del"))
    await run_other_tasks()
    gate.open.set()
    await later
    assert gate.ended == ["set", "del"]


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["set", "expire", "del", "expired"]), st.sampled_from([b"gate:%d" % n for n in range(5)])
    ),
    max_size=200,
)


@hypothesis.given(events=OPERATIONS, queued=st.lists(st.booleans(), min_size=200, max_size=200))
@hypothesis.settings(max_examples=50, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
async def test_no_event_is_lost_and_events_of_a_key_stay_in_order(app, burst_of, patient, events, queued):
    gate = Gate()
    burst = burst_of(gate)
    before = telemetry.counts.copy()
    for (operation, key), waiting in zip(events, queued, strict=False):
        (queue_up if waiting else pause)(burst)
        await take(burst, app, key, operation)
    await burst._flush(app)
    assert sum(counted(before).values()) == len(events)
    for key in {key for _, key in events}:
        expected = [operation for operation, event_key in events if event_key == key]
        received = [operation for operation, keys in gate.calls if key in keys]
        assert without_repeats(received) == without_repeats(expected)


def without_repeats(operations: list[str]) -> list[str]:
    return [
        operation for operation, before in zip(operations, [None, *operations], strict=False) if operation != before
    ]


SESSION_KEYS = [f"nextauth:session:t{number}".encode() for number in range(3)]
LIVES = st.lists(
    st.tuples(st.sampled_from(["set user-1", "set user-2", "del", "expire"]), st.sampled_from(SESSION_KEYS)),
    max_size=24,
)


async def change_sessions(app: App, changes: list[tuple[str, bytes]]) -> list[tuple[bytes, str]]:
    """Make these changes. Returns key and operation of each event that they cause."""
    events = []
    for change, key in changes:
        operation, _, user_id = change.partition(" ")
        match operation:
            case "set":
                value = json.dumps({"userId": user_id, "expires": "2031-05-01T12:00:00.000Z"})
                changed = await app.redis.set(key, value)
            case "del":
                changed = await app.redis.delete(key)
            case _:
                changed = await app.redis.expire(key, 1000)
        if changed:
            events.append((key, operation))
    return events


@hypothesis.given(before=LIVES, changes=LIVES)
@hypothesis.settings(max_examples=60, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
async def test_grouped_session_events_give_the_same_records_as_single_ones(app, burst_of, patient, before, changes):
    """The worst case: all events come after all changes."""
    histories = []
    for together in (False, True):
        await app.redis.flushall()
        for key, operation in await change_sessions(app, before):
            await sessions.react(app, [key], cause(operation))
        burst = burst_of(SESSIONS)
        queue_up(burst)
        for key, operation in await change_sessions(app, changes):
            if together:
                await take(burst, app, key, operation)
            else:
                await sessions.react(app, [key], cause(operation))
        await burst._flush(app)
        history: dict[str, list[tuple[object, ...]]] = {}
        for record in await records(app):
            transition = (record["type"], record["data"].get("reason"), record["data"]["userId"])
            history.setdefault(record["subject"], []).append(transition)
        histories.append(history)
    assert histories[0] == histories[1]


# Counts


async def test_a_key_with_several_events_in_a_group_is_reacted_to_once(app, burst_of):
    gate = Gate()
    burst = burst_of(gate)
    queue_up(burst)
    before = telemetry.counts.copy()
    for key in (A, B, A, A):
        await take(burst, app, key)
    await finish(burst)
    assert gate.calls == [("set", [A, B])]
    assert counted(before) == {"processed": 2, "duplicate": 2}


@pytest.mark.parametrize("result", Result)
async def test_an_effect_is_counted_once_however_many_events_its_key_had(app, burst_of, result):
    burst = burst_of(Gate(result=lambda _: result))
    queue_up(burst)
    before = telemetry.counts.copy()
    for _ in range(3):
        await take(burst, app, A)
    await finish(burst)
    counted_once = {Result.PROCESSED, Result.REJECTED, Result.RETRIED, Result.DEAD}
    assert counted(before) == ({result: 1, "duplicate": 2} if result in counted_once else {result: 3})


async def test_the_effects_of_a_group_count_for_the_lane(app, burst_of):
    burst = burst_of(Gate())
    queue_up(burst)
    for number in range(GROUP):
        assert not burst.due
        await take(burst, app, b"gate:%d" % number)
    assert burst.due


# Faults


async def test_a_cancelled_invocation_loses_no_other_event(app, burst_of):
    gate = Gate(holds=1)
    burst = burst_of(gate)
    queue_up(burst)
    await take(burst, app, A)
    await gate.reached.wait()
    await take(burst, app, B)
    cancelled = asyncio.create_task(take(burst, app, C, "del"))
    await run_other_tasks()
    cancelled.cancel()
    await asyncio.wait([cancelled])
    gate.open.set()
    await finish(burst)
    assert gate.calls == [("set", [A]), ("set", [B])]


async def test_an_outage_while_events_are_buffered_raises_nothing_and_later_events_are_processed(
    app, app_settings, burst_of, unused_tcp_port
):
    away = open_app(msgspec.structs.replace(app_settings, redis=f"127.0.0.1:{unused_tcp_port}"))
    burst = burst_of(BATCHES)
    queue_up(burst)
    before = telemetry.counts.copy()
    await app.redis.mset({batch_key(number): batch(number) for number in range(GROUP)})
    for number in range(3):
        await take(burst, away, batch_key(number))
    await finish(burst)
    assert counted(before) == {"retried": 3}
    for number in range(GROUP):
        await take(burst, away if number < 3 else app, batch_key(number))
    assert await digests(app, GROUP) == [digest(batch(number)) for number in range(GROUP)]
    await burst.scan_slice(away)
    assert not burst.due
    await away.redis.aclose()


@pytest.mark.parametrize("moment", Moment)
async def test_a_fault_at_any_call_for_a_group_leaves_each_result_once(app_settings, redis_client, burst_of, moment):
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
            await finish(burst)
            await asyncio.sleep(settings.lease_s)  # by Redis' clock
            await reconcile.reconcile(healthy, [BATCHES], budget_s=10)
            expected = [digest(batch(number)) for number in range(5)]
            assert await digests(healthy, 5) == expected
            assert await commits(redis_client, listen) == dict.fromkeys(expected, 1)
        assert await samples(redis_client) == 5 * 3
        await faulty.redis.aclose()
        if fault.calls < fault.at:
            break
        injected += 1
    await healthy.redis.aclose()
    assert injected >= 2


# Records


async def test_each_record_has_the_invocation_id_of_its_event(app, burst_of, caplog):
    caplog.set_level(logging.INFO, "keyspace_functions")
    burst = burst_of(Gate())
    queue_up(burst)
    ids = [f"invocation {number}" for number in range(GROUP + 2)]
    for number, invocation_id in enumerate(ids):
        await take(burst, app, b"gate:%d" % number, invocation_id=invocation_id)
        assert tracing.invocation_id.get() == invocation_id
    await take(burst, app, A, "del", invocation_id="the last")
    assert tracing.invocation_id.get() == "the last"
    await finish(burst)
    assert [record.invocation_id for record in caplog.records] == [*ids, "the last"]


async def test_the_time_in_the_buffer_counts_as_duration(app, burst_of, caplog):
    caplog.set_level(logging.INFO, "keyspace_functions")
    burst = burst_of(Gate())
    queue_up(burst)
    await take(burst, app, A)
    await finish(burst)
    (record,) = caplog.records
    assert record.effect["duration_ms"] >= burst_module.PATIENCE_S * 1000


# The bulk scan


async def test_a_scan_reacts_to_each_key_once_and_ends(app, burst_of):
    count = 3 * scan.PAGE
    await app.redis.mset({f"gate:{number}": b"" for number in range(count)})
    gate = Gate()
    burst = burst_of(gate)
    await scan_to_the_end(burst, app)
    assert Counter(gate.keys) == {b"gate:%d" % number: 1 for number in range(count)}
    assert max(len(keys) for _, keys in gate.calls) <= GROUP
    assert not burst.due


async def test_a_scan_without_keys_ends(app, burst_of):
    gate = Gate()
    assert await scan_to_the_end(burst_of(gate), app) == 1
    assert gate.calls == []


@pytest.mark.parametrize("seed", range(5))
async def test_a_scan_finds_keys_written_behind_its_position(app, burst_of, seed):
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
    await scan_to_the_end(burst, app)
    assert set(gate.done) == written
    assert set(gate.done.values()) == {1}


async def test_keys_claimed_by_another_worker_are_looked_at_again(app, burst_of):
    await app.redis.mset({f"gate:{number}": b"" for number in range(100)})
    claimed = {b"gate:%d" % number for number in range(0, 100, 7)}
    gate = Gate()
    gate.result = lambda key: Result.LATER if key in claimed and gate.keys.count(key) == 1 else Result.PROCESSED
    await scan_to_the_end(burst_of(gate), app)
    assert {key for key in gate.done if gate.done[key]} == {b"gate:%d" % number for number in range(100)}
    assert {key for key, times in Counter(gate.keys).items() if times > 1} == claimed


async def test_a_scan_remembers_a_bounded_number_of_hashes(app, burst_of, monkeypatch):
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
            assert all(isinstance(remembered_key, int) for remembered_key in burst._laps._seen)
    assert max(remembered) == 100
    assert gate.done == {b"gate:%d" % number: 1 for number in range(1000)}
    assert sum(times == 1 for times in Counter(gate.keys).values()) >= 100, "keys that it remembers are skipped"


async def test_on_a_server_that_accepts_only_its_own_cursors_a_scan_begins_at_the_start(app, burst_of, monkeypatch):
    """For example, a proxy in front of several servers encodes the server in a cursor."""
    await app.redis.mset({f"gate:{number}": b"" for number in range(1000)})
    returned = {0}
    scan = app.redis.scan

    async def strict(cursor, **options):
        if cursor not in returned:
            raise redis.exceptions.ResponseError("invalid cursor")
        reply = await scan(cursor, **options)
        returned.add(reply[0])
        return reply

    monkeypatch.setattr(app.redis, "scan", strict)
    outages = telemetry.counts["Redis", "outage"]
    gate = Gate()
    await scan_to_the_end(burst_of(gate), app)
    assert Counter(gate.keys) == {b"gate:%d" % number: 1 for number in range(1000)}
    assert telemetry.counts["Redis", "outage"] == outages


async def test_a_scan_that_redis_refuses_ends_and_raises_nothing(app, burst_of, monkeypatch):
    async def refuse(*_: object, **__: object) -> None:
        raise redis.exceptions.NoPermissionError("no permissions to run the 'scan' command")

    monkeypatch.setattr(app.redis, "scan", refuse)
    assert await scan_to_the_end(burst_of(Gate()), app) == 1
    telemetry.recovered("Redis")


async def test_if_keys_keep_being_written_messages_get_as_much_time_as_the_scan(app, burst_of, monkeypatch):
    monkeypatch.setattr(burst_module, "SLICE_S", 0.02)
    burst = burst_of(EndlessKeys())
    queue_up(burst)
    await app.redis.set("gate:0", b"")
    scanned_s = rested_s = 0.0
    while scanned_s < 0.2:
        assert burst.due or not scanned_s
        began_s = time.monotonic()
        await burst.scan_slice(app)
        scanned_s += time.monotonic() - began_s
        ended_s = time.monotonic()
        while not burst.due:  # noqa: ASYNC110 (time has to pass)
            await asyncio.sleep(0.001)
        rested_s += time.monotonic() - ended_s
    assert rested_s >= 0.8 * scanned_s


async def test_an_ordered_reactor_s_messages_share_the_time_from_the_first_slice_on(app, burst_of, monkeypatch):
    monkeypatch.setattr(burst_module, "SLICE_S", 0.01)
    await app.redis.mset({f"gate:{number}": b"" for number in range(1000)})
    burst = burst_of(EndlessKeys(), ordered=True)
    queue_up(burst)
    began_s = time.monotonic()
    await burst.scan_slice(app)
    ended_s = time.monotonic()
    assert not burst.due
    await asyncio.to_thread(
        time.sleep, ended_s - began_s
    )  # the loop's own sleep may be short: it counts from its last poll
    assert burst.due


async def test_if_keys_keep_being_written_a_scan_ends_when_no_message_waits(app, burst_of):
    burst = burst_of(EndlessKeys())
    queue_up(burst)
    await app.redis.set("gate:0", b"")
    await burst.scan_slice(app)
    assert burst._laps is not None
    pause(burst)
    await burst.scan_slice(app)
    assert burst._laps is None


class EndlessKeys(Gate):
    """At each call, a client writes another key."""

    async def react(self, app, keys, cause):
        await app.redis.set(f"gate:{len(self.calls) + 1}", b"")
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
        await finish(burst)

    async with redis_client.pubsub() as listen:
        await listen.subscribe(namespaces.BATCH_EVENTS_CHANNEL)
        await asyncio.gather(work(app), work(other))
        await reconcile.reconcile(
            app, [BATCHES], budget_s=10
        )  # batches that were claimed by an instance without a further event
        expected = [digest(batch(number)) for number in range(count)]
        assert await commits(redis_client, listen) == dict.fromkeys(expected, 1)
    assert await digests(app, count) == expected
    assert counted(before)["processed"] + counted(before, "sweep").get("processed", 0) == count
    assert await samples(redis_client) == 3 * count


@pytest.mark.parametrize("options", ["", ",protocol=resp2"])
async def test_grouping_and_scanning_work_with_both_protocols(app_settings, redis_client, burst_of, options):
    app = open_app(msgspec.structs.replace(app_settings, redis=f"{app_settings.redis}{options}"))
    await redis_client.mset({batch_key(number): batch(number) for number in range(200)})
    burst = burst_of(BATCHES)
    queue_up(burst)
    for number in range(GROUP):
        await take(burst, app, batch_key(number))
    await scan_to_the_end(burst, app)
    assert await digests(app, 200) == [digest(batch(number)) for number in range(200)]
    await app.redis.aclose()
