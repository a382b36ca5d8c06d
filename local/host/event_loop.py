"""The event loop of the worker process.

The platform's worker of Python 3.13 runs on uvloop, which differs from asyncio's own loop in details such as the error
of a write to an ended connection.
"""

import asyncio
import os
from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine
from typing import Any

VARIABLE = "LOCAL_HOST_LOOP"
"""Environment variable: `asyncio` for asyncio's own loop, as the platform's worker of Python 3.12 and older has."""


def factory() -> Callable[[], AbstractEventLoop]:
    """Creates event loops: uvloop's, where it exists and VARIABLE does not say otherwise."""
    if os.environ.get(VARIABLE, "") == "asyncio":
        return asyncio.new_event_loop
    try:
        import uvloop
    except ImportError:  # Windows
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def run[T](main: Coroutine[Any, Any, T]) -> T:
    """asyncio.run on the loop of the platform."""
    return asyncio.run(main, loop_factory=factory())
