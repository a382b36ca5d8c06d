"""Run blocking work in a thread of its own, with a time limit."""

import asyncio
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from shared.errors import WorkTimeout

SWITCH_S = 0.0005
"""Interval at which a computing thread releases the GIL. With Python's default of 5 ms, the event loop would wait that
long after every socket read while a thread computes."""


async def off_loop[**P, T](timeout_s: float, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `work` in a new thread; returns or raises what it does, WorkTimeout if it takes longer than `timeout_s`.

    A thread cannot be stopped, so work that hangs keeps its thread. A pool would run out of threads after a few hangs;
    a new thread per call does not.
    """
    sys.setswitchinterval(SWITCH_S)
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            settle = partial(result.set_result, work(*args, **kwargs))
        except BaseException as fault:  # the caller gets it
            settle = partial(result.set_exception, fault)
        with suppress(RuntimeError):  # the loop is closed: there is no caller any more
            loop.call_soon_threadsafe(lambda: result.done() or settle())

    threading.Thread(target=run, name=f"off-loop {work.__name__}", daemon=True).start()
    try:
        async with asyncio.timeout(timeout_s):
            return await result
    except TimeoutError:
        raise WorkTimeout(f"more than {timeout_s:g} s") from None
