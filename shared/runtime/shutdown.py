"""Run work when the process receives SIGTERM.

The platform stops a Python worker with SIGTERM or SIGKILL and offers no hook. If nothing else handles SIGTERM, this
module does: it runs the registered work within LIMIT_S and raises the signal again. The work is best effort;
correctness must not depend on it.
"""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable

LIMIT_S = 5.0
"""Time limit for all of the work. How long the platform waits is not documented; containers get 10 s or more."""

type Work = Callable[[], Awaitable[object]]

_registered: list[Work] = []


def before_exit(work: Work) -> None:
    """Register `work` to run when the process stops; registering it twice has no effect.

    Call it from a function, that is, on the event loop of the worker.
    """
    if work in _registered:
        return
    _registered.append(work)
    if len(_registered) == 1 and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        try:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _stop)
        except (NotImplementedError, RuntimeError, ValueError):  # Windows, or the loop of another thread
            logging.getLogger("keyspace_functions").debug("no handler for SIGTERM on this loop")


async def run() -> None:
    """Run all registered work at once, for at most LIMIT_S. Failures are logged by class only; raises nothing."""
    works = [work() for work in _registered]
    _registered.clear()
    try:
        async with asyncio.timeout(LIMIT_S):
            for failure in await asyncio.gather(*works, return_exceptions=True):
                if isinstance(failure, BaseException):
                    logging.getLogger("keyspace_functions").warning("at shutdown: %s", type(failure).__name__)
    except TimeoutError:
        logging.getLogger("keyspace_functions").warning("at shutdown: not finished within %g s", LIMIT_S)


def _stop() -> None:
    loop = asyncio.get_running_loop()
    loop.remove_signal_handler(signal.SIGTERM)  # a second SIGTERM ends the process at once
    task = loop.create_task(run())
    task.add_done_callback(lambda _: signal.raise_signal(signal.SIGTERM))
