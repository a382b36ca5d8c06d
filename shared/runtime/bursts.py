"""What a process prepares once for bursts, better before the first one than during it."""

from functools import cache
from threading import Thread

from shared.runtime import lazy_numpy
from shared.runtime.malloc import keep_freed


@cache
def prepare_for_bursts() -> None:
    """Keep freed memory, and import NumPy in a thread, which takes 0.1 s.

    Not a daemon thread: one that is stopped amid an import keeps the interpreter's import lock, and a process that ends
    just then waits for it without end.
    """
    keep_freed()
    Thread(target=lazy_numpy.load, name="load numpy").start()
