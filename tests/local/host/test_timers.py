"""The timer trigger: NCRONTAB and TimeSpan schedules, the TimerRequest, no overlapping runs."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from local.host.bindings import BindingError
from local.host.host import Host
from local.host.timers import Timer, parse_schedule

# A Sunday.
MOMENT = datetime(2026, 11, 22, 10, 30, 15, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "due"),
    [
        ("* * * * * *", datetime(2026, 11, 22, 10, 30, 16, tzinfo=UTC)),
        ("20 * * * * *", datetime(2026, 11, 22, 10, 30, 20, tzinfo=UTC)),
        ("0 */5 * * * *", datetime(2026, 11, 22, 10, 35, tzinfo=UTC)),
        ("0 0 9-17 * * MON-FRI", datetime(2026, 11, 23, 9, tzinfo=UTC)),
        ("0 0 0 1 Jul *", datetime(2027, 7, 1, tzinfo=UTC)),
        ("0 0 0 13 * 5", datetime(2027, 8, 13, tzinfo=UTC)),  # both day fields must match: a Friday
        ("00:00:05", MOMENT + timedelta(seconds=5)),
        ("23:59:59", MOMENT + timedelta(hours=23, minutes=59, seconds=59)),
    ],
)
def test_a_schedule_is_due_at_the_time_that_ncrontab_or_timespan_defines(schedule, due):
    assert parse_schedule(schedule)(MOMENT) == due


@pytest.mark.parametrize(
    "schedule",
    [
        *("", "* * * * *", "60 * * * * *", "0 0 0 30 2 *", "0 0 0 30 2 1", "0 0 0 L * *", "0 0 0 * * 5L"),
        *("0 0 0 * * 5#2", "00:00:00", "24:00:00", "00:60:00", "every minute", None, 5),
    ],
)
def test_an_invalid_schedule_is_refused(schedule):
    with pytest.raises(BindingError, match="schedule"):
        parse_schedule(schedule)


async def test_due_times_that_pass_during_a_run_become_a_single_run_marked_past_due():
    interval = timedelta(milliseconds=10)
    running, third_run = 0, asyncio.Event()
    requests = []

    async def invoke(text: str) -> None:
        nonlocal running
        assert running == 0
        running += 1
        requests.append(json.loads(text))
        if len(requests) == 1:
            await asyncio.sleep(4 * interval.total_seconds())  # three due times pass
        if len(requests) == 3:
            third_run.set()
        running -= 1

    async with Timer(lambda moment: moment + interval, invoke, at_start=True):
        await third_run.wait()
    first, second, third = (request["ScheduleStatus"] for request in requests[:3])
    assert [request["IsPastDue"] for request in requests[:2]] == [False, True]
    assert first["Last"].startswith("0001-01-01T")
    late = datetime.fromisoformat(third["Last"])
    assert late >= datetime.fromisoformat(second["Last"]) + 4 * interval
    assert datetime.fromisoformat(second["Next"]) == late + interval


async def test_a_timer_function_receives_a_timer_request_at_each_due_time(make_app, loaded, monkeypatch):
    monkeypatch.setenv("TICKS", "00:00:01")
    folder = make_app("""
        requests, twice = [], asyncio.Event()

        @app.timer_trigger(arg_name="timer", schedule="%TICKS%", run_on_startup=True)
        async def tick(timer: func.TimerRequest) -> None:
            requests.append(timer)
            if len(requests) == 2:
                twice.set()
    """)
    async with Host(folder, http_port=0):
        app = loaded()
        await app.twice.wait()
    first, second = (request.schedule_status for request in app.requests)
    assert set(first) == {"Last", "Next", "LastUpdated"}
    assert app.requests[0].schedule == {"AdjustForDST": True}
    assert [request.past_due for request in app.requests] == [False, False]
    run = datetime.fromisoformat(second["Last"])
    assert datetime.fromisoformat(first["Next"]) == run + timedelta(seconds=1)
    assert datetime.fromisoformat(second["Next"]) >= run + timedelta(seconds=2)


async def test_a_timer_continues_after_a_failed_run(make_app, loaded):
    folder = make_app("""
        runs, twice = [], asyncio.Event()

        @app.timer_trigger(arg_name="timer", schedule="* * * * * *", run_on_startup=True)
        async def tick(timer: func.TimerRequest) -> None:
            runs.append(timer)
            if len(runs) == 2:
                twice.set()
            raise RuntimeError("each run fails")
    """)
    async with Host(folder, http_port=0):
        app = loaded()
        await app.twice.wait()
        assert len(app.runs) == 2
