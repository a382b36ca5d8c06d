"""What the real host adds to each invocation of a Redis-triggered function: `--invocation-overhead TIME`.

On the real host TIME passes from the end of a handler to the start of the next while messages wait: 0.65 ms with one
busy function, 1.2 ms with three (recorded). It is the time of two gRPC messages, of bookkeeping and of logging.

    handler       |==a==|            |==b==|                     |==c==|
    messages      a b waits          |                     c     |
                        |-- TIME ----|                     |-TIME|
"""

import asyncio
import os
import re
import sys
import time
from types import TracebackType
from typing import Self

_STEP_S = 1e-6
_STRAY_S = 0.0002
"""A wait that ends this much too late ended while the event loop was busy, which tells nothing about the timer."""
_FIRST_LEAD_S = 60e-6
"""What an idle event loop needs to wake up; it is corrected from the first wait on."""


def parse_duration(text: str) -> float:
    """Parse `0.65ms` or `0.002s` into seconds. Raises ValueError."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)(ms|s)", text)
    if match is None:
        raise ValueError(f"{text!r} is not a number with the unit ms or s, such as 0.65ms")
    return float(match[1]) / (1000 if match[2] == "ms" else 1)


class Overhead:
    """Waits of `duration_s` before the invocations of one function.

    The timers of event loops round up to 1 ms, so on Linux a timer of the kernel ends the wait. Waking up takes time,
    too: the timer is set earlier by a lead, which follows the measured error in steps. Elsewhere asyncio's timers do.

    Measured from handler to handler (p50, p90, p99): 0.67, 0.81, 0.99 ms for 0.65 ms; with three functions busy 1.22,
    1.36, 1.60 for 1.2 ms and 5.05, 5.33, 7.16 for 5 ms.
    """

    def __init__(self, duration_s: float) -> None:
        self._duration_s = duration_s
        self._lead_s = _FIRST_LEAD_S
        self._timer: int | None = None
        self._expired: asyncio.Future[None] | None = None

    def __enter__(self) -> Self:
        """Create the timer. Must be called in the running event loop."""
        if self._duration_s and sys.platform == "linux":
            self._timer = os.timerfd_create(time.CLOCK_MONOTONIC, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)
            asyncio.get_running_loop().add_reader(self._timer, self._expire)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._timer is not None:
            asyncio.get_running_loop().remove_reader(self._timer)
            os.close(self._timer)
            self._timer = None

    async def wait(self, since_s: float) -> None:
        """Return when the duration has passed since `since_s` (time.monotonic)."""
        due_s = since_s + self._duration_s
        remaining_s = due_s - time.monotonic() - self._lead_s
        if remaining_s <= 0:
            return
        if self._timer is None:
            await asyncio.sleep(remaining_s)
            return
        self._expired = asyncio.get_running_loop().create_future()
        os.timerfd_settime(self._timer, initial=remaining_s)
        await self._expired
        late_s = time.monotonic() - due_s
        if abs(late_s) < _STRAY_S:  # follows the median: as many waits end too early as too late
            self._lead_s = max(0.0, self._lead_s + (_STEP_S if late_s > 0 else -_STEP_S))

    def _expire(self) -> None:
        if self._timer is not None:
            os.read(self._timer, 8)
        if self._expired is not None and not self._expired.done():
            self._expired.set_result(None)
