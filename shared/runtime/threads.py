"""Work that would hold up the event loop, in a thread of its own and with a limit of time."""

import asyncio
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from shared.errors import WorkTimeout

SWITCH_S = 0.0005
"""How long a thread computes until the event loop has its turn. With Python's own 5 ms each read of a socket, and each
sort of NumPy's, would wait that long to go on beside a thread at work."""


async def off_loop[**P, T](timeout_s: float, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` returns or raises; WorkTimeout when it takes longer than `timeout_s`.

    A thread cannot be stopped, so one that hangs is left behind. That is why it is a new one each time and not of a
    pool: a pool would be full after a few of them, and nothing would run any more.
    """
    sys.setswitchinterval(SWITCH_S)
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            settle = partial(done.set_result, work(*args, **kwargs))
        except BaseException as fault:  # handed to whoever waits
            settle = partial(done.set_exception, fault)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(lambda: done.done() or settle())

    threading.Thread(target=run, name=f"off-loop {work.__name__}", daemon=True).start()
    try:
        async with asyncio.timeout(timeout_s):
            return await done
    except TimeoutError:
        raise WorkTimeout(f"more than {timeout_s:g} s") from None
