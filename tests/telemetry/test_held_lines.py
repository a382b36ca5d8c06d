"""Log lines that the host would drop are held until an invocation runs."""

import asyncio
import logging

import pytest

from shared import telemetry
from shared.telemetry import held_lines


def texts(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


async def test_a_line_of_a_task_that_outlives_its_invocation_is_logged_by_the_next_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    go_on = asyncio.Event()

    async def outlive() -> None:
        telemetry.logger.warning("during")
        await go_on.wait()
        telemetry.logger.warning("after")

    with telemetry.invocation():
        task = asyncio.create_task(outlive())
        await asyncio.sleep(0)
    go_on.set()
    await task
    assert texts(caplog) == ["during"]
    with telemetry.invocation():
        telemetry.logger.warning("next")
    assert texts(caplog) == ["during", "after", "next"]


async def test_a_line_that_came_during_an_invocation_is_logged_before_its_end(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        telemetry.logger.warning("background")

    with telemetry.background():
        task = asyncio.create_task(work())
    with telemetry.invocation():
        await task
        assert texts(caplog) == []
    assert texts(caplog) == ["background"]


async def test_one_invocation_s_lines_are_not_held_while_another_one_ends(caplog: pytest.LogCaptureFixture) -> None:
    with telemetry.invocation():
        with telemetry.invocation():
            pass
        telemetry.logger.warning("outer")
        assert texts(caplog) == ["outer"]


def test_without_any_invocation_lines_are_logged_at_once(caplog: pytest.LogCaptureFixture) -> None:
    telemetry.logger.warning("a command")
    assert texts(caplog) == ["a command"]


async def test_the_lines_held_are_bounded_and_those_dropped_are_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_lines, "MAX_HELD", 3)
    with telemetry.background():
        for number in range(5):
            telemetry.logger.log(logging.WARNING, "line %d", number)
    with telemetry.invocation():
        pass
    assert texts(caplog)[:3] == ["line 2", "line 3", "line 4"]
    assert texts(caplog)[3].startswith("2 log lines were dropped")
