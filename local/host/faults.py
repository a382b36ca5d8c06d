"""The ways in which the real trigger loses messages or goes deaf, on demand: `--fault NAME[@SECONDS]`.

All of them were recorded from the real extension, which logs nothing of them after its first line. SECONDS is when the
fault begins, counted from the start of the host. With `NAME@signal` it begins at SIGUSR1 and ends at SIGUSR2.
"""

import asyncio
import signal
import time
from collections.abc import Iterable
from enum import StrEnum


class Fault(StrEnum):
    DEAF = "deaf"
    """Nothing arrives: a channel prefix, `pattern` False with a glob, or flags without K."""
    HALF_OPEN = "half-open"
    """The path to Redis swallows packets; the trigger does not notice, however long it takes."""
    NEVER_AGAIN = "never-again"
    """The connection is lost and opened again, and its patterns are never subscribed again: `protocol=resp3`, or
    channel rights that were missing for a moment."""
    RESTART = "restart"
    """The job host restarts inside its process, as after a touched file: waiting messages are dropped, and what is
    published until it has subscribed again is lost."""
    CUT = "cut"
    """The connection is lost every CUT_EVERY_S and comes back; what is published meanwhile is lost."""


CUT_EVERY_S = 5.0
_ENDS_CONNECTION = (Fault.CUT, Fault.NEVER_AGAIN, Fault.RESTART)


type Planned = tuple[Fault, float | None]
"""A fault and the seconds until it begins; None: at a signal."""


class Faults:
    """Which faults are active. A test begins them with `begin`."""

    def __init__(self, planned: Iterable[Planned] = ()) -> None:
        now_s = time.monotonic()
        planned = tuple(planned)
        self._begin_s = {fault: now_s + after_s for fault, after_s in planned if after_s is not None}
        self._at_signal = [fault for fault, after_s in planned if after_s is None]
        self._changed = asyncio.Event()

    def obey_signals(self) -> None:
        """Let the signals begin and end the faults that are planned so. Must be called in the running event loop."""
        loop = asyncio.get_running_loop()
        for fault in self._at_signal:
            loop.add_signal_handler(signal.SIGUSR1, self.begin, fault)
            loop.add_signal_handler(signal.SIGUSR2, self.end, fault)

    def begin(self, fault: Fault) -> None:
        self._begin_s[fault] = time.monotonic()
        self._changed.set()

    def end(self, fault: Fault) -> None:
        """End a fault. A trigger that was told never to subscribe again stays so."""
        self._begin_s.pop(fault, None)

    def active(self, fault: Fault) -> bool:
        return fault in self._begin_s and time.monotonic() >= self._begin_s[fault]

    async def cut(self, last_s: float | None) -> float:
        """Return when the connection is to be cut, with the present time (time.monotonic). `last_s` is the time of the
        last cut."""
        while (cut_s := self._next_cut_s(last_s)) is None:
            self._changed.clear()
            await self._changed.wait()
        await asyncio.sleep(max(0.0, cut_s - time.monotonic()))
        return time.monotonic()

    def _next_cut_s(self, last_s: float | None) -> float | None:
        if Fault.CUT in self._begin_s and last_s is not None:
            return last_s + CUT_EVERY_S
        begun_s = [self._begin_s[fault] for fault in _ENDS_CONNECTION if fault in self._begin_s]
        return min(begun_s) if begun_s and last_s is None else None


def parse_fault(text: str) -> Planned:
    """Parse `half-open`, `cut@10` or `deaf@signal`. Raises ValueError."""
    name, _, after_s = text.partition("@")
    try:
        return Fault(name), None if after_s == "signal" else float(after_s or 0)
    except ValueError:
        raise ValueError(
            f"{text!r} is not NAME, NAME@SECONDS or NAME@signal, with NAME of {', '.join(Fault)}"
        ) from None
