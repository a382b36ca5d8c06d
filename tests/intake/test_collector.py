"""Group commit: while a group is being worked on, whatever arrives joins the next. A key's events stay in order, no
event is lost, and each effect is single and counted once."""

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import hypothesis
import msgspec
import pytest
import redis.asyncio
from hypothesis import strategies as st

from shared import namespaces, telemetry
from shared.app import App, open_app
from shared.batches import claims
from shared.batches.baseline import decode_model
from shared.delivery import reconcile
from shared.delivery.scan import GROUP, WINDOW
from shared.intake import collector as collector_module
from shared.intake.collector import ROOM, Collector
from shared.intake.events import KeyEvent
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


@dataclass
class Gate:
    """A reactor that records its calls. Calls wait while its gate is closed. A processed key is a duplicate from then
    on."""

    calls: list[tuple[str, list[bytes]]] = field(default_factory=list)
    """Operation and keys of each call, when it starts."""
    ended: list[str] = field(default_factory=list)
    """Operation of each call, when it ends."""
    result: Callable[[bytes], Result] = lambda _: Result.PROCESSED
    done: Counter[bytes] = field(default_factory=Counter)
    busy: set[bytes] = field(default_factory=set)
    most_at_once: int = 0
    turns: int = 0
    """For how many turns of the loop a call lasts."""
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()

    @property
    def keys(self) -> list[bytes]:
        return [key for _, keys in self.calls for key in keys]

    async def react(self, app: App, keys: Sequence[bytes], cause: Cause) -> list[Outcome]:
        assert not self.busy.intersection(keys), "a key is in two groups at once"
        assert len(set(keys)) == len(keys) <= GROUP
        self.busy.update(keys)
        self.most_at_once = max(self.most_at_once, len(self.busy))
        operation = name_of(cause)
        self.calls.append((operation, list(keys)))
        self.reached.set()
        try:
            await self.open.wait()
            for _ in range(self.turns):
                await asyncio.sleep(0)
        finally:
            self.busy.difference_update(keys)
        self.ended.append(operation)
        return [Outcome(key, self.look(key)) for key in keys]

    def look(self, key: bytes) -> Result:
        result = Result.DUPLICATE if self.done[key] else self.result(key)
        self.done[key] += result is Result.PROCESSED
        return result


def collector_of(reactor: Reactor | Gate, done: Callable[[bytes, float], None] = lambda *_: None) -> Collector:
    reactor = make_reactor(reactor.react) if isinstance(reactor, Gate) else reactor
    return Collector(replace(reactor, function=FUNCTION), done)


async def take(
    collector: Collector, app: App, key: bytes, operation: str = "set", *, wait: bool = False, invocation_id: str = ""
) -> None:
    """Pass an event to the collector, as the trigger does."""
    tracing.invocation_id.set(invocation_id)
    event = KeyEvent(key=key, name=operation, database=0)
    await collector.take(app, event, time.perf_counter(), wait=wait)


async def run_other_tasks(count: int = 20) -> None:
    """Let other tasks run until they wait."""
    for _ in range(count):
        await asyncio.sleep(0)


async def closed_over(gate: Gate, collector: Collector, app: App) -> None:
    """Close the gate with a first key inside, so that whatever comes waits."""
    gate.open.clear()
    await take(collector, app, b"gate:first")
    await gate.reached.wait()
    gate.calls.clear()


async def samples(client: redis.asyncio.Redis) -> int:
    """The number of values in the model's only metric."""
    fields = [part for pair in (await client.hgetall(claims.model_key())).items() for part in pair]
    return decode_model(fields, (await client.time())[0]).sketches["co2"].samples


def counted(before: Counter[tuple[str, str]], function: str = FUNCTION) -> dict[str, int]:
    """The outcomes of a function counted since `before`."""
    new = telemetry.counts - before
    return {outcome: count for (name, outcome), count in new.items() if name == function}


# Groups


async def test_an_event_that_waits_for_its_outcome_is_reacted_to_within_its_invocation(app):
    gate = Gate()
    collector = collector_of(gate)
    for key in (A, B):
        await take(collector, app, key, wait=True)
        assert collector.idle
    assert gate.calls == [("set", [A]), ("set", [B])]


async def test_events_that_come_during_a_reaction_are_the_next_group(app):
    gate = Gate()
    collector = collector_of(gate)
    await closed_over(gate, collector, app)
    for key in (A, B, C):
        await take(collector, app, key)
    gate.open.set()
    await collector.settled()
    assert gate.calls == [("set", [A, B, C])]


async def test_a_single_event_waits_for_no_other(app):
    gate = Gate()
    collector = collector_of(gate)
    await take(collector, app, A)
    async with asyncio.timeout(10):
        await gate.reached.wait()
    assert gate.calls == [("set", [A])]
    await collector.settled()


async def test_an_invocation_that_waits_returns_after_the_group_of_its_event(app):
    gate = Gate()
    collector = collector_of(gate)
    await closed_over(gate, collector, app)
    waiting = [asyncio.create_task(take(collector, app, key, wait=True)) for key in (A, B)]
    await run_other_tasks()
    assert not any(task.done() for task in waiting)
    gate.open.set()
    await asyncio.wait(waiting)
    assert gate.done[A] == gate.done[B] == 1


async def test_waiting_messages_take_one_claim_and_one_commit_per_group(app):
    count = 4 * GROUP
    collector = collector_of(BATCHES)
    await app.redis.set(batch_key(0), batch(0))
    await take(collector, app, batch_key(0), wait=True)  # alone, which loads the scripts
    await app.redis.mset({batch_key(number): batch(number) for number in range(count)})
    await app.redis.config_resetstat()
    before = telemetry.counts.copy()
    for number in range(count):
        await take(collector, app, batch_key(number))
    await collector.settled()
    assert (await app.redis.info("commandstats"))["cmdstat_evalsha"]["calls"] == 2 * count / GROUP
    assert counted(before) == {"processed": count - 1, "duplicate": 1}
    assert await digests(app, count) == [digest(batch(number)) for number in range(count)]


async def test_several_groups_are_worked_on_at_once_and_no_more(app):
    gate = Gate()
    collector = collector_of(gate)
    gate.open.clear()
    for number in range(ROOM - 1):
        await take(collector, app, b"gate:%d" % number)
        await run_other_tasks(2)
    assert GROUP < gate.most_at_once <= WINDOW * GROUP
    gate.open.set()
    await collector.settled()
    assert gate.done == {b"gate:%d" % number: 1 for number in range(ROOM - 1)}


# Room


async def test_where_enough_keys_wait_an_invocation_waits_for_room(app):
    gate = Gate()
    collector = collector_of(gate)
    gate.open.clear()
    taking = [asyncio.create_task(take(collector, app, b"gate:%d" % number)) for number in range(4 * ROOM)]
    for _ in range(3):
        await run_other_tasks()
    returned = sum(task.done() for task in taking)
    assert ROOM <= returned <= ROOM + WINDOW * GROUP, "those that wait, and those that are worked on"
    gate.open.set()
    await asyncio.wait(taking)
    await collector.settled()
    assert set(gate.done.values()) == {1}
    assert len(gate.done) == 4 * ROOM


async def test_events_that_wait_are_bounded_also_if_they_are_of_one_key(app, monkeypatch):
    monkeypatch.setattr(collector_module, "MAX_WAITING", 100)
    gate = Gate()
    collector = collector_of(gate)
    await closed_over(gate, collector, app)
    for _ in range(100):
        assert not collector.full
        await take(collector, app, A)
    assert collector.full
    further = asyncio.create_task(take(collector, app, A))
    await run_other_tasks()
    assert not further.done()
    gate.open.set()
    await further
    await collector.settled()
    assert not collector.full
    assert gate.done[A] == 1


@pytest.mark.parametrize("wait", [True, False])
async def test_a_key_whose_reaction_takes_long_holds_up_no_invocation_and_no_other_key_for_long(app, monkeypatch, wait):
    """The host hands over a message when the invocation of the one before has ended."""
    monkeypatch.setattr(collector_module, "WAIT_S", 0.01)
    gate = Gate()
    collector = collector_of(gate)
    gate.open.clear()
    async with asyncio.timeout(10):
        await take(collector, app, A, wait=wait)
        await gate.reached.wait()
        for key in (A, B, C):
            await take(collector, app, key, wait=wait)
        while not {B, C} <= gate.busy:  # noqa: ASYNC110 (no event of its own)
            await asyncio.sleep(0.001)
    assert gate.keys.count(A) == 1, "a key is in one group at a time"
    gate.open.set()
    await collector.settled()
    assert gate.keys.count(A) == 2


async def test_where_reactions_take_long_events_wait_in_bounded_memory_and_invocations_go_on(app, monkeypatch):
    monkeypatch.setattr(collector_module, "WAIT_S", 0.001)
    monkeypatch.setattr(collector_module, "MAX_WAITING", ROOM + 10)
    gate = Gate()
    collector = collector_of(gate)
    await closed_over(gate, collector, app)
    async with asyncio.timeout(10):
        while not collector.full:
            await take(collector, app, b"gate:%d" % collector._count)
    gate.open.set()
    await collector.settled()
    assert set(gate.done.values()) == {1}


# Order


async def test_a_group_has_one_cause_and_a_key_s_events_stay_in_order(app):
    gate = Gate()
    collector = collector_of(gate)
    await closed_over(gate, collector, app)
    for key, operation in ((A, "set"), (B, "set"), (A, "del"), (C, "expired"), (B, "expired"), (A, "set")):
        await take(collector, app, key, operation)
    gate.open.set()
    await collector.settled()
    assert gate.calls == [("set", [A, B]), ("expired", [C, B]), ("del", [A]), ("set", [A])]


async def test_no_event_overtakes_one_of_its_key_in_progress(app):
    gate = Gate()
    collector = collector_of(gate)
    gate.open.clear()
    first = asyncio.create_task(take(collector, app, A, wait=True))
    await gate.reached.wait()
    await take(collector, app, A, "del")
    await take(collector, app, B, "del")
    await run_other_tasks()
    assert gate.calls == [("set", [A]), ("del", [B])], "another key's need not wait"
    gate.open.set()
    await first
    await collector.settled()
    assert gate.calls == [("set", [A]), ("del", [B]), ("del", [A])]


async def test_a_key_that_is_always_written_holds_up_no_other(app):
    """Many events of busy keys and of other causes stand first in the queue."""
    gate = Gate()
    collector = collector_of(gate)
    gate.open.clear()
    taking = []
    for operation in ("set", "del"):
        for number in range(WINDOW * GROUP):
            taking.append(asyncio.create_task(take(collector, app, b"gate:%d" % number, operation)))
            await run_other_tasks(1)
    taking.append(asyncio.create_task(take(collector, app, A, "expired")))
    await run_other_tasks()
    gate.open.set()
    await asyncio.gather(*taking)
    await collector.settled()
    assert gate.done[A] == 1
    assert collector.idle


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["set", "expire", "del", "expired"]),
        st.sampled_from([b"gate:%d" % n for n in range(5)]),
        st.booleans(),
        st.integers(0, 3),
    ),
    max_size=100,
)


@hypothesis.given(events=OPERATIONS, turns=st.integers(0, 5))
@hypothesis.settings(max_examples=40, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
async def test_no_event_is_lost_and_events_of_a_key_stay_in_order(app, events, turns):
    gate = Gate(turns=turns)
    collector = collector_of(gate)
    before = telemetry.counts.copy()
    taking = []
    for operation, key, wait, pause in events:
        taking.append(asyncio.create_task(take(collector, app, key, operation, wait=wait)))
        await run_other_tasks(pause)
    await asyncio.gather(*taking)
    await collector.settled()
    assert collector.idle
    assert sum(counted(before).values()) == len(events)
    for key in {key for _, key, _, _ in events}:
        expected = [operation for operation, event_key, _, _ in events if event_key == key]
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
@hypothesis.settings(max_examples=40, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
async def test_grouped_session_events_give_the_same_records_as_single_ones(app, before, changes):
    """The worst case: all events come after all changes."""
    histories = []
    for together in (False, True):
        await app.redis.flushall()
        for key, operation in await change_sessions(app, before):
            await sessions.react(app, [key], cause(operation))
        collector = collector_of(SESSIONS)
        for key, operation in await change_sessions(app, changes):
            if together:
                await take(collector, app, key, operation)
            else:
                await sessions.react(app, [key], cause(operation))
        await collector.settled()
        history: dict[str, list[tuple[object, ...]]] = {}
        for record in await records(app):
            transition = (record["type"], record["data"].get("reason"), record["data"]["userId"])
            history.setdefault(record["subject"], []).append(transition)
        histories.append(history)
    assert histories[0] == histories[1]


# Counts


async def test_a_key_with_several_events_in_a_group_is_reacted_to_once(app):
    gate = Gate()
    collector = collector_of(gate)
    before = telemetry.counts.copy()
    for key in (A, B, A, A):
        await take(collector, app, key)
    await collector.settled()
    assert gate.calls == [("set", [A, B])]
    assert counted(before) == {"processed": 2, "duplicate": 2}


@pytest.mark.parametrize("result", Result)
async def test_an_effect_is_counted_once_however_many_events_its_key_had(app, result):
    gate = Gate(result=lambda _: result)
    collector = collector_of(gate)
    before = telemetry.counts.copy()
    for _ in range(3):
        await take(collector, app, A)
    await asyncio.wait(collector._workers)
    counted_once = {Result.PROCESSED, Result.REJECTED, Result.RETRIED, Result.DEAD, Result.LATER}
    assert counted(before) == ({result: 1, "duplicate": 2} if result in counted_once else {result: 3})
    gate.result = lambda _: Result.IGNORED  # a claimed key is looked at again
    await collector.settled()


@pytest.mark.parametrize("result", Result)
async def test_a_key_whose_content_was_looked_at_to_the_end_is_told_with_the_begin_of_the_look(app, result):
    told: list[tuple[bytes, float]] = []
    gate = Gate(result=lambda _: result)
    collector = collector_of(gate, lambda key, began_s: told.append((key, began_s)))
    gate.open.clear()
    begin_s = time.monotonic()
    await take(collector, app, A)
    await gate.reached.wait()
    reached_s = time.monotonic()
    await asyncio.to_thread(time.sleep, 0.001)
    gate.open.set()
    await asyncio.wait(collector._workers)
    if result in {Result.LATER, Result.RETRIED}:
        assert told == []
    else:
        ((key, began_s),) = told
        assert key == A
        assert begin_s <= began_s <= reached_s
    gate.result = lambda _: Result.IGNORED  # a claimed key is looked at again
    await collector.settled()


# Faults


async def test_a_cancelled_invocation_loses_no_event_of_another(app):
    gate = Gate()
    collector = collector_of(gate)
    await closed_over(gate, collector, app)
    await take(collector, app, B)
    cancelled = asyncio.create_task(take(collector, app, C, wait=True))
    await run_other_tasks()
    cancelled.cancel()
    await asyncio.wait([cancelled])
    gate.open.set()
    await collector.settled()
    assert gate.calls == [("set", [B, C])]


async def test_the_reaction_of_an_invocation_that_is_cancelled_goes_on(app):
    gate = Gate()
    collector = collector_of(gate)
    gate.open.clear()
    cancelled = asyncio.create_task(take(collector, app, A, wait=True))
    await gate.reached.wait()
    await take(collector, app, A, "del")
    cancelled.cancel()
    await asyncio.wait([cancelled])
    gate.open.set()
    await collector.settled()
    assert collector.idle
    assert gate.ended == ["set", "del"]


async def test_an_outage_while_events_wait_raises_nothing_and_later_events_are_processed(
    app, app_settings, unused_tcp_port
):
    away = open_app(msgspec.structs.replace(app_settings, redis=f"127.0.0.1:{unused_tcp_port}"))
    collector = collector_of(BATCHES)
    before = telemetry.counts.copy()
    await app.redis.mset({batch_key(number): batch(number) for number in range(GROUP)})
    for number in range(3):
        await take(collector, away, batch_key(number))
    await collector.settled()
    assert counted(before) == {"retried": 3}
    for number in range(GROUP):
        await take(collector, app, batch_key(number))
    await collector.settled()
    assert await digests(app, GROUP) == [digest(batch(number)) for number in range(GROUP)]
    await away.redis.aclose()


@pytest.mark.parametrize("moment", Moment)
async def test_a_fault_at_any_call_for_a_group_leaves_each_result_once(app_settings, redis_client, moment):
    settings = msgspec.structs.replace(app_settings, lease_s=0.02, retry_base_s=0.001, retry_cap_s=0.001)
    healthy = open_app(settings)
    injected = 0
    while True:
        await redis_client.flushall()
        fault = Fault(injected + 1, moment)
        faulty = faulty_context(settings, fault)
        collector = collector_of(BATCHES)
        await redis_client.mset({batch_key(number): batch(number) for number in range(5)})
        async with redis_client.pubsub() as listen:
            await listen.subscribe(namespaces.BATCH_EVENTS_CHANNEL)
            for number in range(5):
                await take(collector, faulty, batch_key(number))
            await collector.settled()
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


async def test_each_record_has_the_invocation_id_of_its_event(app, caplog):
    caplog.set_level(logging.INFO, "keyspace_functions")
    collector = collector_of(Gate())
    ids = [f"invocation {number}" for number in range(GROUP + 2)]
    for number, invocation_id in enumerate(ids):
        await take(collector, app, b"gate:%d" % number, invocation_id=invocation_id)
        assert tracing.invocation_id.get() == invocation_id
    await take(collector, app, A, "del", invocation_id="the last")
    assert tracing.invocation_id.get() == "the last"
    await collector.settled()
    ids_of = {record.invocation_id: record for record in caplog.records if hasattr(record, "effect")}
    assert set(ids_of) == {*ids, "the last"}
    assert len(caplog.records) == len(ids) + 1


async def test_the_time_that_an_event_waits_counts_as_duration(app, caplog):
    caplog.set_level(logging.INFO, "keyspace_functions")
    gate = Gate()
    collector = collector_of(gate)
    await closed_over(gate, collector, app)
    await take(collector, app, A)
    await asyncio.to_thread(time.sleep, 0.02)
    gate.open.set()
    await collector.settled()
    assert min(record.effect["duration_ms"] for record in caplog.records) >= 20


# Several instances


@pytest.fixture
async def other(app_settings):
    """Another instance of the app."""
    instance = open_app(app_settings)
    yield instance
    await instance.redis.aclose()


async def test_two_instances_with_the_same_messages_process_each_batch_once(app, other, redis_client):
    count = 500
    await app.redis.mset({batch_key(number): batch(number) for number in range(count)})
    before = telemetry.counts.copy()

    async def work(instance: App) -> None:
        collector = collector_of(BATCHES)
        for number in range(count):
            await take(collector, instance, batch_key(number))
        await collector.settled()

    async with redis_client.pubsub() as listen:
        await listen.subscribe(namespaces.BATCH_EVENTS_CHANNEL)
        await asyncio.gather(work(app), work(other))
        expected = [digest(batch(number)) for number in range(count)]
        assert await commits(redis_client, listen) == dict.fromkeys(expected, 1)
    assert await digests(app, count) == expected
    assert counted(before)["processed"] == count
    assert await samples(redis_client) == 3 * count


@pytest.mark.parametrize("options", ["", ",protocol=resp2"])
async def test_groups_work_with_both_protocols(app_settings, redis_client, options):
    app = open_app(msgspec.structs.replace(app_settings, redis=f"{app_settings.redis}{options}"))
    await redis_client.mset({batch_key(number): batch(number) for number in range(200)})
    collector = collector_of(BATCHES)
    for number in range(200):
        await take(collector, app, batch_key(number))
    await collector.settled()
    assert await digests(app, 200) == [digest(batch(number)) for number in range(200)]
    await app.redis.aclose()


# Claimed keys


async def test_an_event_of_a_key_that_another_worker_has_claimed_is_looked_at_again(app, monkeypatch):
    """What the other one has read may be older than the event."""
    monkeypatch.setattr(collector_module, "AGAIN_S", 0.001)
    claimed = [A, A]

    def result(key: bytes) -> Result:
        if key in claimed:
            claimed.remove(key)
            return Result.LATER
        return Result.PROCESSED

    gate = Gate(result=result)
    collector = collector_of(gate)
    before = telemetry.counts.copy()
    await take(collector, app, A)
    await take(collector, app, B)
    async with asyncio.timeout(10):
        while gate.done[A] == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert gate.keys.count(A) == 3
    assert counted(before) == {"later": 1, "processed": 2}
    await collector.settled()


async def test_content_that_is_written_while_a_scan_has_the_claim_gets_its_result_without_a_sweep(app):
    key = batch_key(0)
    await app.redis.set(key, batch(0))
    scanning = asyncio.create_task(BATCHES.react(app, [key], Cause.BULK))
    collector = collector_of(BATCHES)
    for number in range(1, 20):
        await app.redis.set(key, batch(number))
        await take(collector, app, key)
    await scanning
    async with asyncio.timeout(10):
        while await digests(app, 1) != [digest(batch(19))]:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
