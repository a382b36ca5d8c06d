"""Timer triggers: NCRONTAB or TimeSpan schedules in UTC, and the TimerRequest that the function receives."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Self

from cronsim import CronSim, CronSimError

from local.host.bindings import BindingError

type Schedule = Callable[[datetime], datetime]
"""The first time that is due after a given one."""

_LONGEST_SLEEP_S = 60.0
"""The wall clock is looked at again after this long: it can be set, and machines sleep."""

# What .NET writes for a timer that has not run yet (DateTime.MinValue).
_NEVER = "0001-01-01T00:00:00+00:00"


def parse_schedule(text: object) -> Schedule:
    """Parse `{second} {minute} {hour} {day} {month} {day of week}` or `hh:mm:ss`. Raises BindingError."""
    if not isinstance(text, str):
        raise BindingError("schedule has to be a text")
    if span := re.fullmatch(r"(\d{1,2}):(\d{1,2}):(\d{1,2})", text.strip()):
        return _parse_interval(text, *map(int, span.groups()))
    if len(text.split()) != 6 or re.search(r"#|\bLW?\b|\dL\b", text.upper()):
        raise BindingError(f"The schedule {text!r} is neither a NCRONTAB expression of six fields nor hh:mm:ss")

    def following(moment: datetime) -> datetime:
        times = CronSim(text, moment)
        times.day_and = True  # in NCRONTAB both day fields have to match, in cron either
        return next(times)

    try:
        following(datetime.now(UTC))
    except CronSimError as fault:
        raise BindingError(f"The schedule {text!r} is wrong: {fault}") from None
    except StopIteration:
        raise BindingError(f"The schedule {text!r} is never due") from None
    return following


def _parse_interval(text: str, hours: int, minutes: int, seconds: int) -> Schedule:
    interval = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if hours > 23 or minutes > 59 or seconds > 59 or not interval:
        raise BindingError(f"The schedule {text!r} is no time span between 00:00:01 and 23:59:59")
    return lambda moment: moment + interval


def timer_request(last: datetime | None, following: datetime, now: datetime, *, past_due: bool) -> str:
    """The JSON text of a TimerInfo: `last` is the run before this one, `following` the one after it."""
    return json.dumps(
        {
            "Schedule": {"AdjustForDST": True},
            "ScheduleStatus": {
                "Last": last.isoformat() if last else _NEVER,
                "Next": following.isoformat(),
                "LastUpdated": (last or now).isoformat(),
            },
            "IsPastDue": past_due,
        },
        separators=(",", ":"),
    )


class Timer:
    """One function's timer. As a context it is scheduled: the function is invoked when due, never twice at once.

    A run that lasts past due times is followed at once by one run, marked IsPastDue, not by one for each of them.
    `invoke` is awaited with the TimerRequest's text; it does not raise.
    """

    def __init__(self, schedule: Schedule, invoke: Callable[[str], Awaitable[object]], *, at_start: bool) -> None:
        self._schedule = schedule
        self._invoke = invoke
        self._at_start = at_start
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Start no more runs. A running one goes on; the host waits for it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        last: datetime | None = None
        due = datetime.now(UTC)
        if not self._at_start:
            due = self._schedule(due)
        while True:
            past_due = last is not None and due < datetime.now(UTC)
            await _sleep_until(due)
            now = max(datetime.now(UTC), due)
            following = self._schedule(now)
            await self._invoke(timer_request(last, following, now, past_due=past_due))
            last, due = now, following


async def _sleep_until(moment: datetime) -> None:
    while datetime.now(UTC) < moment:
        wait_s = (moment - datetime.now(UTC)).total_seconds()
        await asyncio.sleep(min(max(wait_s, 0.0), _LONGEST_SLEEP_S))
