"""Scanning on a real Redis: pages, groups, and skipped keys."""

import math

import pytest

from shared.delivery import scan
from shared.reactor import Cause
from tests.support.reactors import Gate, write_gate_keys

pytestmark = pytest.mark.redis_server


async def test_groups_left_after_the_time_of_a_call_are_taken_by_the_next_call(app):
    gate, keys = Gate(), await write_gate_keys(app, 700)
    feed = scan.Feed(app, scan.Scan([gate.reactor]))
    calls = 0
    while not feed.done:
        await scan.react_to_feed(feed, Cause.RECONCILE, scan_until_s=0, react_until_s=0)
        calls += 1
    assert sorted(gate.keys) == sorted(keys), "each key once, in one scan"
    assert calls > 700 / scan.PAGE


async def test_the_next_page_is_fetched_while_a_group_is_in_progress(app, monkeypatch):
    monkeypatch.setattr(scan, "WINDOW", 1)
    keys, starved = await write_gate_keys(app, 3000), []

    class RecordingGate(Gate):
        async def react(self, app, keys, cause):
            await feed.stop()
            starved.append(feed._keys < scan.GROUP and not feed.scan.done)
            return await super().react(app, keys, cause)

    gate = RecordingGate()
    feed = scan.Feed(app, scan.Scan([gate.reactor]))
    await scan.react_to_feed(feed, Cause.RECONCILE, scan_until_s=math.inf)
    assert sorted(gate.keys) == sorted(keys)
    assert not any(starved)


async def test_skipped_keys_take_no_command_but_scan(app):
    gate = Gate()
    keys = [f"gate:{number}".encode() for number in range(3 * scan.GROUP)]
    await app.redis.mset(dict.fromkeys(keys, 1))
    await app.redis.config_resetstat()
    skipped = {hash(key) for key in keys}
    feed = scan.Feed(app, scan.Scan([gate.reactor]), lambda _, key: hash(key) not in skipped)
    assert await scan.react_to_feed(feed, Cause.RECONCILE, scan_until_s=math.inf) == []
    commands = await app.redis.info("commandstats")
    assert {name for name in commands if not name.startswith(("cmdstat_info", "cmdstat_config"))} == {"cmdstat_scan"}
    skipped.remove(hash(keys[7]))
    feed = scan.Feed(app, scan.Scan([gate.reactor]), lambda _, key: hash(key) not in skipped)
    outcomes = await scan.react_to_feed(feed, Cause.RECONCILE, scan_until_s=math.inf)
    assert [outcome.key for outcome in outcomes] == gate.keys == [keys[7]]
