"""What is still done when the process is told to stop.

The platform stops a Python worker by SIGTERM or without a word, and offers no hook. Where nobody else handles the
signal it is caught here, the work is done in a bounded time, and then the signal takes its course. It is a courtesy:
what matters must not depend on it.
"""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable

LIMIT_S = 5.0
"""How long the work may take in all. The platform's patience is not documented; containers are given 10 s or more."""

type Work = Callable[[], Awaitable[object]]

_works: list[Work] = []


def before_exit(work: Work) -> None:
    """Have `work` done when the process stops. Called from a function, that is within the worker's event loop; again
    with the same work, it changes nothing."""
    if work in _works:
        return
    _works.append(work)
    if len(_works) == 1 and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        try:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _stop)
        except (NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread's loop
            logging.getLogger("keyspace_functions").debug("SIGTERM cannot be caught here")


async def run() -> None:
    """Do all the work, at most for LIMIT_S. Failures are logged by class only; nothing is raised."""
    works = [work() for work in _works]
    _works.clear()
    try:
        async with asyncio.timeout(LIMIT_S):
            for failure in await asyncio.gather(*works, return_exceptions=True):
                if isinstance(failure, BaseException):
                    logging.getLogger("keyspace_functions").warning("at shutdown: %s", type(failure).__name__)
    except TimeoutError:
        logging.getLogger("keyspace_functions").warning("at shutdown: not done within %g s", LIMIT_S)


def _stop() -> None:
    loop = asyncio.get_running_loop()
    loop.remove_signal_handler(signal.SIGTERM)  # a second one ends the process at once
    task = loop.create_task(run())
    task.add_done_callback(lambda _: signal.raise_signal(signal.SIGTERM))
