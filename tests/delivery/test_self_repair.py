"""What a process does by itself: it stands in for the platform's timers, and tries what Redis refused."""

import asyncio
import json
from collections.abc import AsyncIterator

import msgspec
import pytest

from shared import telemetry
from shared.app import App
from shared.delivery import failures, retries, self_repair
from shared.delivery.catch_up import catch_up
from shared.delivery.self_repair import SelfRepair
from shared.reactor import Cause, Reactor
from shared.registry import REACTORS
from tests.support.reactors import Gate

STEP_S = 0.02
SESSION = json.dumps({"userId": "u", "expires": "2036-01-01T00:00:00.000Z"})


@pytest.fixture
async def repair(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SelfRepair]:
    monkeypatch.setattr(self_repair, "STEP_S", STEP_S)
    instance = SelfRepair()
    yield instance
    if instance._task is not None:
        instance._task.cancel()
        await asyncio.wait([instance._task])


async def until_seen(gate: Gate, *keys: bytes) -> None:
    async with asyncio.timeout(10):
        while not set(keys) <= set(gate.keys):  # noqa: ASYNC110
            await asyncio.sleep(STEP_S / 4)


async def test_it_sweeps_at_once(app: App, repair: SelfRepair) -> None:
    gate = Gate()
    await app.redis.set("gate:before", b"")
    repair.stand_in(lambda: app, [gate.reactor])
    await until_seen(gate, b"gate:before")


async def test_it_begins_once_per_process(app: App, repair: SelfRepair) -> None:
    repair.stand_in(lambda: app, [Gate().reactor])
    task = repair._task
    repair.stand_in(lambda: app, [Gate().reactor])
    assert repair._task is task


async def test_it_runs_retries_and_due_keys_while_the_timers_are_silent(app: App, repair: SelfRepair) -> None:
    gate = Gate()
    taken = [b"gate:due"]

    async def take_due(_: App, limit: int) -> list[bytes]:
        due, taken[:] = taken[:], []
        return due

    reactor = Reactor(**{**vars(gate.reactor), "take_due": take_due})
    await retries.schedule(app, "gate", b"gate:retry", ValueError())
    await app.redis.zadd("functions:retry:due", {retries.member("gate", b"gate:retry"): 0})
    repair.stand_in(lambda: app, [reactor])
    await until_seen(gate, b"gate:retry", b"gate:due")


async def test_it_ends_when_the_platform_s_sweep_runs_here(app: App, repair: SelfRepair) -> None:
    repair.stand_in(lambda: app, [Gate().reactor])
    repair.stood_in = True
    assert repair._task is not None
    await asyncio.wait_for(repair._task, 10)


async def test_it_ends_by_itself(app: App, repair: SelfRepair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_repair, "STAND_IN_S", 5 * STEP_S)
    repair.stand_in(lambda: app, [Gate().reactor])
    assert repair._task is not None
    await asyncio.wait_for(repair._task, 10)
    assert repair.stood_in


async def test_it_sweeps_again_only_when_the_last_sweep_of_any_instance_is_old(
    app: App, repair: SelfRepair, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    await app.redis.set("gate:1", b"")
    repair.stand_in(lambda: app, [gate.reactor])
    async with asyncio.timeout(10):
        while len(gate.keys) < 1:  # noqa: ASYNC110
            await asyncio.sleep(STEP_S)
    await asyncio.sleep(5 * STEP_S)
    assert len(gate.keys) == 1
    monkeypatch.setattr(self_repair, "SWEEP_S", 0.0)
    async with asyncio.timeout(10):
        while len(gate.keys) < 2:  # noqa: ASYNC110
            await asyncio.sleep(STEP_S)


async def test_what_redis_refused_is_tried_until_it_serves_and_then_swept(app: App, repair: SelfRepair) -> None:
    repair.stood_in = True
    await app.redis.set("nextauth:session:1", SESSION)
    await app.redis.config_set("maxmemory", 1)
    try:
        (outcome,) = await REACTORS[2].react(app, [b"nextauth:session:1"], Cause.WRITTEN)
        assert outcome.detail == failures.REFUSED
        repair.look_after(app, REACTORS)
        await asyncio.sleep(3 * STEP_S)
        assert telemetry.refused_parts("Redis") == {"sessions": "OOM"}
    finally:
        await app.redis.config_set("maxmemory", 0)
    await app.redis.set("nextauth:session:2", SESSION)  # its event was lost
    async with asyncio.timeout(10):
        while await app.redis.xlen("functions:audit:sessions") < 2:  # noqa: ASYNC110
            await asyncio.sleep(STEP_S)
    assert telemetry.refused_parts("Redis") == {}


async def test_a_sweep_that_was_refused_is_tried_again_without_a_timer(app: App, repair: SelfRepair) -> None:
    repair.stood_in = True
    app, gate = App(msgspec.structs.replace(app.settings, lease_s=0.2), app.redis), Gate()
    await app.redis.execute_command("ACL", "SETUSER", "default", "-scan")
    try:
        await catch_up(app, [gate.reactor], repair.watch, due=True)
        repair.look_after(app, [gate.reactor])
        assert telemetry.refused_parts("Redis").keys() == {"sweep"}
        await app.redis.set("gate:1", b"")
    finally:
        await app.redis.execute_command("ACL", "SETUSER", "default", "+scan")
    await until_seen(gate, b"gate:1")
    assert repair._task is not None
    await asyncio.wait_for(repair._task, 10)
    assert telemetry.refused_parts("Redis") == {}
