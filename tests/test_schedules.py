"""Schedules: what the Functions host can read, and why not."""

import pytest

from shared import schedules


@pytest.mark.parametrize(
    "schedule",
    [
        "*/5 * * * * *",
        "0 0 0 1 1 *",
        "0,30 1-5/2 */3 1-15,20 jan-MAR,december mon-fri",
        "0 5/10 * * * 0",
        "*/5 * * * *",
        "00:00:30",
        "1.12:00:00",
        " 0 * * * * * ",
    ],
)
def test_a_schedule_that_the_host_reads_passes(schedule: str) -> None:
    assert schedules.fault(schedule) is None


@pytest.mark.parametrize(
    ("schedule", "reason"),
    [
        ("99 * * * * *", "second: '99' is not within 0 to 59"),
        ("0 60 * * * *", "minute: '60' is not within 0 to 59"),
        ("0 0 24 * * *", "hour"),
        ("0 0 0 0 * *", "day"),
        ("0 0 0 * 13 *", "month"),
        ("0 0 0 * * 7", "day of week"),
        ("0 0 0 * * moon", "day of week"),
        ("*/0 * * * * *", "second"),
        ("1-99 * * * * *", "second"),
        ("*-5 * * * * *", "second"),
        (", * * * * *", "second"),
        ("0 0 0 ? * L", "day"),
        ("1e1 * * * * *", "second"),
        ("banana", "six fields"),
        ("* * * * * * *", "six fields"),
        ("00:00:00", "time span"),
        ("25:00:00", "time span"),
        ("-00:00:10", "six fields"),
    ],
)
def test_a_schedule_that_the_host_refuses_is_named_with_the_field(schedule: str, reason: str) -> None:
    assert reason in str(schedules.fault(schedule))
