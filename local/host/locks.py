"""The lock of a timer: in Azure each timer function runs on the instance that holds its lock, a blob lease in storage.

A lease that is not renewed runs out after `period_s`. A host that finds a lock taken tries again every `recovery_s`. So
after a host was killed its timers are silent, until its leases have run out and another host tries again; a host that
stops in order gives its locks back.

Here a lock is a file in a folder that the hosts of a machine share.
"""

import asyncio
import json
import os
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

DEFAULT_S = 60.0
"""The platform's default of both times."""
LEAST_S = 15.0
"""The least that it accepts for the period."""
_TIME_SPAN = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})")


@dataclass(frozen=True)
class LockTimes:
    """`singleton.listenerLockPeriod` and `singleton.listenerLockRecoveryPollingInterval` of host.json."""

    period_s: float = DEFAULT_S
    recovery_s: float = DEFAULT_S


def parse_times(period: str | None, recovery: str | None) -> LockTimes:
    """Parse the time spans of host.json; None is the default. Raises ValueError."""
    times = LockTimes(*(DEFAULT_S if text is None else _seconds(text) for text in (period, recovery)))
    if not LEAST_S <= times.period_s <= 60:
        raise ValueError("listenerLockPeriod must be from 00:00:15 to 00:01:00")
    return times


def _seconds(text: str) -> float:
    match = _TIME_SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not hh:mm:ss")
    hours, minutes, seconds = map(int, match.groups())
    return hours * 3600.0 + minutes * 60 + seconds


class TimerLock:
    """The lock of one timer function."""

    def __init__(self, folder: Path, function: str, times: LockTimes) -> None:
        self._file = folder / f"{function}.lock"
        self._times = times
        self._owner = secrets.token_hex(8)
        self._renewing: asyncio.Task[None] | None = None

    async def acquire(self) -> None:
        """Return once this host holds the lock, which it then renews."""
        while not self._take():  # noqa: ASYNC110 (a lease of another process)
            await asyncio.sleep(self._times.recovery_s)
        self._renewing = asyncio.create_task(self._renew())

    async def release(self) -> None:
        """Give the lock back, if this host holds it."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])
            self._take(for_s=0.0)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._times.period_s / 2)
            self._take()

    def _take(self, for_s: float | None = None) -> bool:
        """Take or renew the lease, or end it with `for_s` 0. False if another host has it."""
        import fcntl  # not on Windows, where several hosts of a machine share no locks

        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            lease = json.loads(os.read(descriptor, 1000) or b"{}")
            if lease.get("owner") not in {None, self._owner} and lease["until_s"] > time.time():
                return False
            os.ftruncate(descriptor, 0)
            lease = {"owner": self._owner, "until_s": time.time() + (self._times.period_s if for_s is None else for_s)}
            os.pwrite(descriptor, json.dumps(lease).encode(), 0)
            return True
        finally:
            os.close(descriptor)
