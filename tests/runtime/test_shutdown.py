"""What is still to be done when a worker is stopped is done, once, and never keeps it from stopping."""

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
async def nothing_left() -> AsyncIterator[None]:
    """These tests run in a process whose SIGTERM is nobody's to keep."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    signal.signal(signal.SIGTERM, before)


async def stopped_worker(work: str) -> tuple[int, str]:
    """Exit code and output of a worker that is told to stop; it is told a second time if the first takes too long."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WORKER.format(work=work)), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    if "forever" in work:
        assert await process.stdout.readline() == b"forever\n"
        process.send_signal(signal.SIGTERM)
    said = (await process.stdout.read()).decode()
    return await process.wait(), said


async def test_a_worker_that_is_told_to_stop_does_its_work_once_and_stops() -> None:
    assert await stopped_worker("await asyncio.sleep(0); print('done', flush=True)") == (-signal.SIGTERM, "done\n")


async def test_work_that_fails_does_not_keep_a_worker_from_stopping() -> None:
    assert await stopped_worker("raise OSError('secret')") == (-signal.SIGTERM, "")


async def test_a_second_signal_stops_a_worker_at_once() -> None:
    code, _ = await stopped_worker("print('forever', flush=True); await asyncio.Event().wait()")
    assert code == -signal.SIGTERM


async def test_the_time_for_all_work_is_bounded_and_failures_show_no_text(
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
        "at shutdown: not done within 0.05 s",
    ]
