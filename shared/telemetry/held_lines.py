"""Log lines that would be lost: held until an invocation runs.

The Functions host drops a log line that is written outside a running invocation: by a task that outlives the invocation
that started it (a group of a burst, a process' own repair), or by one that no invocation started. Such a line is held
here, and logged by the next invocation of any function in this process.

The host tells the invocation of a line by its task. So does this module: a task inherits the context variable of the
task that created it. Where nothing was invoked at all (manage.py, tests), lines are logged at once.
"""

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from shared.telemetry.logger import logger

MAX_HELD = 10_000
"""Lines held at most; the oldest are dropped and counted."""

_BACKGROUND = object()
_invocation: ContextVar[object] = ContextVar("held_lines_invocation", default=None)
_running: set[object] = set()
_held: deque[logging.LogRecord] = deque()
_dropped = 0


def _may_be_logged(record: logging.LogRecord) -> bool:
    global _dropped  # noqa: PLW0603 (state of the process)
    invocation = _invocation.get()
    if invocation is None or invocation in _running:
        return True
    if len(_held) >= MAX_HELD:
        _held.popleft()
        _dropped += 1
    _held.append(record)
    return False


logger.addFilter(_may_be_logged)


class invocation:  # noqa: N801 (used as a context manager; a generator would cost twice as much per event)
    """Around the body of every function: lines are logged within, and those held before."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = _invocation.set(self)
        _running.add(self)
        if _held:
            _log_held()

    def __exit__(self, *_: object) -> None:
        if _held:
            _log_held()
        _running.discard(self)
        _invocation.reset(self._token)


@contextmanager
def background() -> Iterator[None]:
    """Lines of tasks that are created in the block are held: no invocation runs."""
    token = _invocation.set(_BACKGROUND)
    try:
        yield
    finally:
        _invocation.reset(token)


def _log_held() -> None:
    global _dropped  # noqa: PLW0603 (state of the process)
    while _held:
        logger.handle(_held.popleft())
    if _dropped:
        logger.warning("%d log lines were dropped: no invocation ran to log them", _dropped)
        _dropped = 0
