"""Reconciliation on a real Redis: lost events, the budget of a pass, and its lease."""

import asyncio
import json
import time

import hypothesis
import hypothesis.strategies as st
import msgspec
import pytest
from redis.exceptions import ResponseError

from shared import namespaces, telemetry
from shared.app import open_app
from shared.delivery import reconcile, scan
from shared.reactor import NO_TIME, Result, duplicate, later, processed
from tests.support.batches import batch, batch_key, digest, digests
from tests.support.oldest_server import all_channels
from tests.support.passes import make_pass, start_pass
from tests.support.reactors import Gate

pytestmark = pytest.mark.redis_server

SWEEP = namespaces.build(namespaces.SWEEP)
ROWS = [{"timestamp": 1_767_225_600_000 + 1000 * n, "co2Flow": n / 10} for n in range(50)]


@pytest.fixture
def other(app_settings):
    """Another instance of the app, with its own connection."""
    return open_app(app_settings)


@pytest.fixture
def brief_leases(app_settings):
    """Two instances of the app with leases of 200 ms."""
    return [open_app(msgspec.structs.replace(app_settings, lease_s=0.2)) for _ in range(2)]


@pytest.fixture(autouse=True)
async def closed(other, brief_leases):
    yield
    for instance in (other, *brief_leases):
        await instance.redis.aclose()


# Lost events


async def test_batches_without_an_event_get_their_results(app):
    await app.redis.mset({batch_key(number): batch(number) for number in range(200)})
    report = await make_pass(app)
    assert (report.seen, report.outcomes, report.finished) == (200, {Result.PROCESSED: 200}, True)
    assert await digests(app, 200) == [digest(batch(number)) for number in range(200)]


async def test_content_overwritten_without_an_event_replaces_the_result(app):
    await app.redis.mset({batch_key(number): batch(1) for number in range(10)})
    await make_pass(app)
    await app.redis.set(batch_key(7), batch(2))
    assert (await make_pass(app)).outcomes == {Result.PROCESSED: 1, Result.DUPLICATE: 9}
    assert (await digests(app, 8))[6:] == [digest(batch(value)) for value in (1, 2)]


async def test_a_chart_written_without_an_event_is_rendered_and_a_deleted_chart_is_marked_stale(app):
    await app.redis.set("fabric:data:chart:co2:realtime", json.dumps(ROWS))
    await make_pass(app)
    assert json.loads(await app.redis.get("fabric:cache:chart:co2:realtime"))["stale"] is False
    await app.redis.delete("fabric:data:chart:co2:realtime")
    assert (await make_pass(app)).outcomes == {Result.PROCESSED: 1}
    assert json.loads(await app.redis.get("fabric:cache:chart:co2:realtime"))["stale"] is True


async def test_a_pass_finds_a_key_that_is_not_utf_8(app):
    await app.redis.set(b"fastapi:temp:data:\xff\n*", batch())
    assert (await make_pass(app)).outcomes == {Result.PROCESSED: 1}
    assert await app.redis.exists(b"fastapi:results:analysis:\xff\n*")


async def test_a_reactor_gets_each_key_of_a_page_once_in_groups_of_limited_size(app):
    await app.redis.mset({f"gate:{number}": b"" for number in range(1000)})
    gate = Gate()
    report = await make_pass(app, [gate.reactor])
    assert set(gate.keys) == {f"gate:{number}".encode() for number in range(1000)}
    assert max(map(len, gate.groups)) <= scan.GROUP
    assert all(len(group) == len(set(group)) for group in gate.groups)
    assert report.seen == len(gate.keys)


async def test_effects_are_counted_and_duplicates_are_not(app):
    await app.redis.mset({batch_key(number): batch() for number in range(3)})
    before = telemetry.counts.copy()
    await make_pass(app)
    await make_pass(app)
    new = telemetry.counts - before
    assert {event: count for (function, event), count in new.items() if function == "sweep"} == {"processed": 3}
    assert new["batches", "swept"] == 6


# Budget and position


async def test_a_pass_out_of_time_stops_and_any_instance_continues_it(app, other):
    foreign = {f"foreign:{number}": b"" for number in range(10_000)}
    await app.redis.mset(foreign | {f"gate:{number}": b"" for number in range(100)})
    gate = Gate()
    await app.redis.config_resetstat()
    reports = [await make_pass(app, [gate.reactor], budget_s=0)]
    while not reports[-1].finished:
        assert len(reports) < 200
        reports.append(await make_pass((app, other)[len(reports) % 2], [gate.reactor], budget_s=0))
    assert len(reports) > 5
    assert set(gate.keys) == {f"gate:{number}".encode() for number in range(100)}
    # A single pass over all calls, none from the start. Pages grow within a call; here each call reads a single page.
    assert (await app.redis.info("commandstats"))["cmdstat_scan"]["calls"] == len(reports) < 10_100 / scan.GROUP + 2
    assert sum(report.seen for report in reports) == len(gate.keys)
    assert (await reconcile.last_pass(app)).seen == len(gate.keys)


async def test_a_pass_anew_starts_from_the_start(app):
    await app.redis.mset({f"gate:{number}": b"" for number in range(1000)})
    assert not (await make_pass(app, [Gate().reactor], budget_s=0)).finished
    gate = Gate()
    assert (await make_pass(app, [gate.reactor], anew=True)).finished
    assert len(set(gate.keys)) == 1000


# Pace


async def rested(app, *, longer_ms: int = 0) -> None:
    """Set the end of the rest back to now."""
    seconds, microseconds = await app.redis.time()
    await app.redis.hset(SWEEP, "rest_until_ms", seconds * 1000 + microseconds // 1000 - longer_ms)


async def rest_s(app) -> float:
    seconds, microseconds = await app.redis.time()
    return int(await app.redis.hget(SWEEP, "rest_until_ms")) / 1000 - seconds - microseconds / 1e6


DELAY_S = 0.01


@pytest.fixture
async def many_keys(app):
    """Keys for reactions of about 0.8 s, four at a time."""
    keys = {f"gate:{number}".encode() for number in range(20_000)}
    await app.redis.mset(dict.fromkeys(keys, b""))
    return keys


async def test_a_paced_pass_rests_after_each_slice_so_that_all_instances_together_keep_its_share(app, other, many_keys):
    gate = Gate(delay_s=DELAY_S, effects=False)
    slices, seen = 0, 0
    while True:
        report = await reconcile.reconcile((app, other)[slices % 2], [gate.reactor], budget_s=10, share=0.05)
        slices, seen = slices + 1, seen + report.seen
        assert 0.5 < (await rest_s(app)) / (report.duration_s * 19) <= 1
        if report.finished:
            break
        resting = await reconcile.reconcile((other, app)[slices % 2], [gate.reactor], budget_s=10, share=0.05)
        assert (resting.seen, resting.finished, resting.held_by_other) == (0, False, False)
        await rested(app)
    assert slices > 2
    assert set(gate.keys) == many_keys
    assert (await reconcile.last_pass(app)).seen == seen


async def test_a_slice_is_longer_by_its_share_of_the_time_in_which_none_was_due(app, many_keys):
    gate = Gate(delay_s=DELAY_S, effects=False)
    first = await reconcile.reconcile(app, [gate.reactor], budget_s=10, share=0.05)
    assert not first.finished
    await rested(app, longer_ms=60_000)
    assert (await reconcile.reconcile(app, [gate.reactor], budget_s=10, share=0.05)).finished


async def test_a_pass_that_finds_lost_events_goes_on_without_rest(app, many_keys):
    gate = Gate(delay_s=DELAY_S)
    assert (await reconcile.reconcile(app, [gate.reactor], budget_s=10, share=0.001)).finished
    assert set(gate.keys) == many_keys


async def test_a_pass_anew_does_not_rest_and_another_instance_finishes_it(app, other, many_keys):
    gate = Gate(delay_s=DELAY_S, effects=False)
    assert not (await reconcile.reconcile(app, [gate.reactor], budget_s=10, share=0.001)).finished
    begun = await reconcile.reconcile(app, [gate.reactor], budget_s=0.1, anew=True, share=0.001)
    assert not begun.finished
    assert (await reconcile.reconcile(other, [gate.reactor], budget_s=10, begin=False, share=0.001)).finished


async def test_a_slice_reacts_to_all_keys_that_it_fetched_so_the_position_advances(app, many_keys):
    """Reactions that take longer than a slice: the pass would begin at the same position each time."""
    gate = Gate(delay_s=2 * reconcile.SLICE_S, effects=False)
    positions = []
    for _ in range(2):
        assert not (await reconcile.reconcile(app, [gate.reactor], budget_s=30, share=0.5)).finished
        positions.append(json.loads(await app.redis.hget(SWEEP, "position"))["cursor"])
        await rested(app)
    assert len({0, *positions}) == 3


async def test_a_pass_comes_back_without_rest_to_keys_that_a_call_had_no_time_for(app):
    keys = {f"gate:{number}".encode() for number in range(100)}
    await app.redis.mset(dict.fromkeys(keys, b""))
    done = set()

    class OneAtATime(Gate):
        """Comes to one key of each call that is not done."""

        async def react(self, app, keys, cause):
            new = next((key for key in keys if key not in done), None)
            outcomes = [
                processed(key) if key == new else duplicate(key) if key in done else later(key, NO_TIME) for key in keys
            ]
            done.add(new)
            return outcomes

    gate = OneAtATime()
    calls = 0
    while not (await reconcile.reconcile(app, [gate.reactor], budget_s=10, begin=not calls, share=0.001)).finished:
        calls += 1
        assert calls <= len(keys)
    assert done >= keys


async def test_processes_that_may_not_read_the_server_s_id_continue_each_other_s_pass(app, other):
    channels = await all_channels(app.redis)
    await app.redis.execute_command("ACL SETUSER", "uninformed", "on", "nopass", "+@all", "-info", "~*", *channels)
    ids = set()
    for instance in (app, other):
        settings = msgspec.structs.replace(
            instance.settings, redis=f"{instance.settings.redis},user=uninformed,password=x"
        )
        uninformed = open_app(settings)
        ids.add(await reconcile.server_id(uninformed))
        await uninformed.redis.aclose()
    await app.redis.acl_deluser("uninformed")
    assert len(ids) == 1


async def test_without_a_pass_in_progress_none_begins_unless_it_is_due(app):
    await app.redis.set("gate:1", b"")
    gate = Gate()
    report = await reconcile.reconcile(app, [gate.reactor], budget_s=10, begin=False)
    assert (report.seen, report.finished, gate.keys) == (0, False, [])


@pytest.mark.parametrize("rest_until_ms", ["", "x", "-1", "1e300", str(2**62)])
async def test_a_rest_that_no_pass_can_have_left_is_ignored(app, rest_until_ms):
    await app.redis.set("gate:1", b"")
    await app.redis.hset(SWEEP, "rest_until_ms", rest_until_ms)
    assert (await reconcile.reconcile(app, [Gate().reactor], budget_s=10, share=0.05)).finished


# Cost


async def test_a_derived_key_is_looked_at_only_when_its_source_is_gone(app):
    names = [f"c{number}" for number in range(130)]
    await app.redis.mset({f"fabric:data:chart:{name}:realtime": json.dumps(ROWS) for name in names})
    assert (await make_pass(app)).seen == 130
    await app.redis.delete("fabric:data:chart:c7:realtime", "fabric:data:chart:c99:realtime")
    report = await make_pass(app)
    assert (report.seen, report.outcomes) == (130, {Result.PROCESSED: 2, Result.DUPLICATE: 128})


@hypothesis.given(
    prefixes=st.lists(st.binary(min_size=1, max_size=6), min_size=1, max_size=4),
    endings=st.lists(st.binary(max_size=4), min_size=1, max_size=4),
)
@hypothesis.settings(max_examples=50, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
async def test_one_glob_finds_the_keys_of_every_prefix(app, prefixes, endings):
    await app.redis.flushall()
    keys = {prefix + ending for prefix in prefixes for ending in endings}
    await app.redis.mset(dict.fromkeys(keys, b""))
    assert {key async for key in app.redis.scan_iter(match=scan.glob_of(prefixes))} == keys


async def test_a_pass_over_ten_thousand_foreign_keys_takes_little_time(app, measured):
    await app.redis.mset({f"foreign:{number}": b"" for number in range(10_000)})
    await app.redis.mset({batch_key(number): batch(number) for number in range(100)})
    for state in ("new", "done"):
        started_s = time.perf_counter()
        assert (await make_pass(app)).seen == 100
        duration_s = time.perf_counter() - started_s
        measured(f"pass over 10,000 foreign keys and 100 batches, {state}", duration_s * 1000, "ms")
        assert duration_s < 5


async def test_a_complete_pass_stores_its_time_duration_and_counts(app):
    assert await reconcile.last_pass(app) is None
    await app.redis.mset({batch_key(number): batch() for number in range(5)})
    await make_pass(app)
    last = await reconcile.last_pass(app)
    assert 0 <= last.age_s < 30
    assert 0 <= last.duration_s < 30
    assert (last.seen, last.outcomes) == (5, {"processed": 5})
    assert 0 < await app.redis.ttl(SWEEP) <= namespaces.SWEEP_TTL_S


# The lease


async def test_one_of_two_concurrent_passes_holds_the_lease_and_the_other_reports_it(app, other):
    gate = Gate()
    first = await start_pass(app, gate)
    second = await make_pass(other, [gate.reactor])
    assert (second.held_by_other, second.finished, second.seen) == (True, False, 0)
    gate.open.set()
    assert ((await first).finished, len(gate.keys)) == (True, 1)
    assert (await make_pass(other, [gate.reactor])).finished


async def test_two_passes_of_one_process_do_not_share_a_lease(app):
    gate = Gate()
    first = await start_pass(app, gate)
    assert (await make_pass(app, [gate.reactor])).held_by_other
    gate.open.set()
    assert (await first).finished


async def wait_for_lease_end(app):
    """Wait until the lease has ended by Redis' clock."""
    until_ms = int(await app.redis.hget(SWEEP, "until_ms"))
    seconds, microseconds = await app.redis.time()
    await asyncio.sleep((until_ms + 2) / 1000 - seconds - microseconds / 1e6)


async def test_another_instance_takes_over_when_the_lease_of_a_dead_holder_ends(brief_leases):
    dying, successor = brief_leases
    gate = Gate()
    first = await start_pass(dying, gate)
    token = int(await successor.redis.hget(SWEEP, "token"))
    first.cancel()
    await asyncio.wait([first])
    gate.open.set()
    await wait_for_lease_end(successor)
    assert (await make_pass(successor, [gate.reactor])).finished
    assert int(await successor.redis.hget(SWEEP, "token")) > token


@pytest.fixture
def small_pages(monkeypatch):
    """Small pages, and the position saved after each."""
    monkeypatch.setattr(scan, "PAGE", scan.GROUP)
    monkeypatch.setattr(reconcile, "SAVE_S", 0.0)


@pytest.mark.usefixtures("small_pages")
async def test_a_holder_that_lost_its_lease_stops_and_writes_nothing(brief_leases):
    slow, successor = brief_leases
    await successor.redis.mset({f"gate:{number}": b"" for number in range(1000)})
    gate = Gate()
    first = await start_pass(slow, gate)
    await wait_for_lease_end(successor)
    assert (await make_pass(successor, [Gate().reactor])).finished
    after = await successor.redis.hgetall(SWEEP)
    gate.open.set()
    report = await first
    assert (report.held_by_other, report.finished) == (True, False)
    assert len(gate.keys) < 1000
    assert await successor.redis.hgetall(SWEEP) == after


@pytest.mark.usefixtures("small_pages")
async def test_the_lease_is_renewed_whenever_the_position_is_saved(app, other):
    await other.redis.mset({f"gate:{number}": b"" for number in range(500)})
    seen = set()

    class Slow(Gate):
        async def react(self, app, keys, cause):
            seen.add(int(await app.redis.hget(SWEEP, "until_ms")))
            assert (await make_pass(other, [Gate().reactor])).held_by_other
            return await super().react(app, keys, cause)

    assert (await make_pass(app, [Slow().reactor])).finished
    assert len(seen) > 1


async def test_a_flush_during_a_pass_ends_it_and_the_next_pass_works(app):
    gate = Gate()
    first = await start_pass(app, gate)
    await app.redis.flushall()
    await app.redis.script_flush()
    gate.open.set()
    assert not (await first).finished
    await app.redis.set(batch_key(1), batch())
    assert (await make_pass(app)).outcomes == {Result.PROCESSED: 1}


async def test_a_holder_from_before_a_flush_does_not_hold_a_later_lease(app, other):
    gate = Gate()
    first = await start_pass(app, gate)
    await app.redis.flushall()
    assert (await make_pass(other, [Gate().reactor])).finished
    gate.open.set()
    assert (await first).held_by_other


@pytest.mark.parametrize(
    "change",
    [
        *(b"", b"\xff", b"[]", b"{}", {"server": "another"}, {"glob": "b'*'"}, {"cursor": -1}),
        *({"cursor": 2**64}, {"cursor": "7"}, {"found": None}),
    ],
    ids=repr,
)
async def test_an_invalid_position_is_ignored(app, change):
    await app.redis.mset({f"gate:{number}": b"" for number in range(300)})
    assert not (await make_pass(app, [Gate().reactor], budget_s=0)).finished
    if isinstance(change, dict):
        position = json.loads(await app.redis.hget(SWEEP, "position"))
        assert change.keys() <= position.keys()
        change = json.dumps(position | change).encode()
    await app.redis.hset(SWEEP, "position", change)
    gate = Gate()
    assert (await make_pass(app, [gate.reactor])).finished
    assert len(set(gate.keys)) == 300


@pytest.mark.parametrize("field_name", ["until_ms", "token", "owner", "ended_ms", "duration_ms", "found"])
@pytest.mark.parametrize("value", [b"", b"garbage", b"-1", b"1e300", b"nan"])
async def test_garbage_in_the_state_does_not_stop_a_pass(app, field_name, value):
    await app.redis.set(batch_key(1), batch())
    await app.redis.hset(SWEEP, field_name, value)
    await reconcile.last_pass(app)
    assert (await make_pass(app)).finished
    assert (await reconcile.last_pass(app)).seen == 1


async def test_large_fields_of_the_state_are_not_loaded(app):
    await app.redis.set(batch_key(1), batch())
    for name in ("until_ms", "token", "found"):
        await app.redis.hset(SWEEP, name, b"1" * 64_000_000)
    await app.redis.config_set("slowlog-log-slower-than", 50_000)
    await app.redis.slowlog_reset()
    await reconcile.last_pass(app)
    assert (await make_pass(app)).finished
    assert (await reconcile.last_pass(app)).seen == 1
    assert await app.redis.slowlog_get() == []
    await app.redis.config_set("slowlog-log-slower-than", 10_000)


async def test_a_state_of_another_type_is_replaced(app):
    await app.redis.set(SWEEP, "text")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await reconcile.last_pass(app)
    assert (await make_pass(app)).finished
    assert (await reconcile.last_pass(app)).seen == 0
