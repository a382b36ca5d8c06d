"""What a process prepares once for bursts, better before the first one than during it."""

from functools import cache
from threading import Thread

from shared.runtime import lazy_numpy
from shared.runtime.malloc import keep_freed


@cache
def prepare_for_bursts() -> None:
    """Keep freed memory, and import NumPy in a thread, which takes 0.1 s."""
    keep_freed()
    Thread(target=lazy_numpy.load, name="load numpy", daemon=True).start()
