"""The locks of timers: one host at a time, and a killed host's lock holds until its lease runs out."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from local.host.host import Host, HostStartError
from local.host.locks import LockTimes, TimerLock, parse_times

TIMES = LockTimes(period_s=0.3, recovery_s=0.02)
TICKS = """
runs = []

@app.timer_trigger(arg_name="timer", schedule="* * * * * *", run_on_startup=True)
async def tick(timer: func.TimerRequest) -> None:
    runs.append(1)
"""


async def test_a_lock_that_was_given_back_is_taken_at_the_next_attempt(tmp_path: Path) -> None:
    times = LockTimes(period_s=1.5, recovery_s=0.02)
    first, second = (TimerLock(tmp_path, "sweep", times) for _ in range(2))
    await first.acquire()
    until_s = lease_until_s(tmp_path)
    waiting = asyncio.create_task(second.acquire())
    while lease_until_s(tmp_path) == until_s:  # noqa: ASYNC110 (it is renewed)
        await asyncio.sleep(0.02)
    assert not waiting.done()
    await first.release()
    await asyncio.wait_for(waiting, 5)
    await second.release()


def lease_until_s(folder: Path) -> float:
    return float(json.loads((folder / "sweep.lock").read_text())["until_s"])


async def test_the_lock_of_a_killed_host_is_taken_when_its_lease_has_run_out(tmp_path: Path) -> None:
    killed, other = (TimerLock(tmp_path, "sweep", TIMES) for _ in range(2))
    began_s = time.monotonic()
    await killed.acquire()
    assert killed._renewing is not None
    killed._renewing.cancel()
    await other.acquire()
    assert time.monotonic() - began_s >= TIMES.period_s - 0.05
    await other.release()


async def test_a_timer_whose_lock_another_host_holds_does_not_run(make_app, tmp_path, loaded) -> None:
    held = TimerLock(tmp_path, "tick", LockTimes())
    await held.acquire()
    async with Host(make_app(TICKS), http_port=0, locks=tmp_path):
        await asyncio.sleep(0.05)
        assert loaded().runs == []
    await held.release()


def test_the_times_are_those_of_host_json() -> None:
    assert parse_times(None, None) == LockTimes(60.0, 60.0)
    assert parse_times("00:00:15", "00:00:20") == LockTimes(15.0, 20.0)
    for text in ("00:00:14", "00:02:00", "soon"):
        with pytest.raises(ValueError, match=r"hh:mm:ss|listenerLockPeriod"):
            parse_times(text, None)


async def test_a_host_json_with_a_wrong_time_is_named(make_app) -> None:
    folder = make_app(TICKS, files={"host.json": '{"singleton": {"listenerLockPeriod": "00:00:01"}}'})
    with pytest.raises(HostStartError, match="listenerLockPeriod"):
        await Host(folder, http_port=0).__aenter__()
