"""The timer trigger: NCRONTAB and TimeSpan schedules in UTC, and the TimerRequest that the function receives."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Self

from cronsim import CronSim, CronSimError

from local.host.bindings import BindingError
from local.host.locks import TimerLock

type Schedule = Callable[[datetime], datetime]
"""Maps a time to the first due time after it."""

_MAX_SLEEP_S = 60.0
"""The wall clock is read again after this time, because it may be set and the machine may be suspended."""

# DateTime.MinValue of .NET, which the host writes for a timer that has not run yet.
_NEVER = "0001-01-01T00:00:00+00:00"


def parse_schedule(text: object) -> Schedule:
    """Parse `{second} {minute} {hour} {day} {month} {day of week}` or `hh:mm:ss`. Raises BindingError."""
    if not isinstance(text, str):
        raise BindingError("schedule must be a string")
    if span := re.fullmatch(r"(\d{1,2}):(\d{1,2}):(\d{1,2})", text.strip()):
        return _parse_interval(text, *map(int, span.groups()))
    if len(text.split()) != 6 or re.search(r"#|\bLW?\b|\dL\b", text.upper()):
        raise BindingError(f"the schedule {text!r} is neither an NCRONTAB expression with six fields nor hh:mm:ss")

    def following(moment: datetime) -> datetime:
        times = CronSim(text, moment)
        times.day_and = True  # NCRONTAB requires both day fields to match, cron one of them
        return next(times)

    try:
        following(datetime.now(UTC))
    except CronSimError as error:
        raise BindingError(f"the schedule {text!r} is invalid: {error}") from None
    except StopIteration:
        raise BindingError(f"the schedule {text!r} is never due") from None
    return following


def _parse_interval(text: str, hours: int, minutes: int, seconds: int) -> Schedule:
    interval = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if hours > 23 or minutes > 59 or seconds > 59 or not interval:
        raise BindingError(f"the schedule {text!r} is not a time span between 00:00:01 and 23:59:59")
    return lambda moment: moment + interval


def timer_request(last: datetime | None, following: datetime, now: datetime, *, past_due: bool) -> str:
    """The JSON text of a TimerInfo: `last` is the time of the run before `now`, `following` that of the run after."""
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
    """A function's timer. Within its context it invokes the function when due, one run at a time.

    Due times that pass during a run are merged into a single run after it, which is marked IsPastDue.
    `invoke` is awaited with the text of the TimerRequest. It must not raise. With a `lock`, the first run waits for it.
    """

    def __init__(
        self,
        schedule: Schedule,
        invoke: Callable[[str], Awaitable[object]],
        *,
        at_start: bool,
        lock: TimerLock | None = None,
    ) -> None:
        self._schedule = schedule
        self._invoke = invoke
        self._at_start = at_start
        self._lock = lock
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop starting runs. A run in progress continues; the host waits for it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._lock is not None:
            await self._lock.release()

    async def _run(self) -> None:
        if self._lock is not None:
            await self._lock.acquire()
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
        await asyncio.sleep(min(max(wait_s, 0.0), _MAX_SLEEP_S))
