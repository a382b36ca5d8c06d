"""Registered work runs once when a worker is stopped, and never prevents the stop."""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.runtime import shutdown

ROOT = Path(__file__).parents[2]
WORKER = """
import asyncio, sys
from shared.runtime import shutdown

async def main():
    async def work():
        {work}
    shutdown.before_exit(work)
    shutdown.before_exit(work)
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
async def restored_sigterm() -> AsyncIterator[None]:
    """Restore the SIGTERM handler of the test process."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    signal.signal(signal.SIGTERM, before)


async def stopped_worker(work: str) -> tuple[int, str]:
    """Exit code and output of a worker that gets SIGTERM; a second SIGTERM if `work` runs forever."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WORKER.format(work=work)), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    if "forever" in work:
        assert await process.stdout.readline() == b"forever\n"
        process.send_signal(signal.SIGTERM)
    output = (await process.stdout.read()).decode()
    return await process.wait(), output


async def test_sigterm_runs_the_work_once_and_then_stops_the_worker() -> None:
    assert await stopped_worker("await asyncio.sleep(0); print('done', flush=True)") == (-signal.SIGTERM, "done\n")


async def test_a_worker_stops_although_its_work_fails() -> None:
    assert await stopped_worker("raise OSError('secret')") == (-signal.SIGTERM, "")


async def test_a_second_sigterm_stops_the_worker_at_once() -> None:
    code, _ = await stopped_worker("print('forever', flush=True); await asyncio.Event().wait()")
    assert code == -signal.SIGTERM


async def test_the_work_has_a_time_limit_and_failures_are_logged_by_class_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(shutdown, "LIMIT_S", 0.05)

    async def fails() -> None:
        raise OSError("secret")

    async def hangs() -> None:
        await asyncio.Event().wait()

    shutdown.before_exit(fails)
    await shutdown.run()
    shutdown.before_exit(hangs)
    await shutdown.run()
    await shutdown.run()
    assert [record.getMessage() for record in caplog.records] == [
        "at shutdown: OSError",
        "at shutdown: not finished within 0.05 s",
    ]
