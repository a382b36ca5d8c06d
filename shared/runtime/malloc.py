"""Memory of the process in a burst, by the means of glibc; with another C library nothing happens."""

from typing import Any

KEPT_BYTES = 64 * 1024 * 1024
MAPPED_FROM_BYTES = 8 * 1024 * 1024
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def keep_freed() -> None:
    """Have glibc keep up to KEPT_BYTES of freed memory for the next group of payloads.

    Else it gives each group's half a megabyte back to the system and asks for it again, page by page: a tenth of a
    burst's CPU.
    """
    if mallopt := _function_of_c("mallopt"):
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, MAPPED_FROM_BYTES)


def give_back_freed() -> None:
    """Have it give back what it kept, when a burst is over. Takes some ms at the most."""
    if malloc_trim := _function_of_c("malloc_trim"):
        malloc_trim(0)


def _function_of_c(name: str) -> Any:
    import ctypes

    return getattr(ctypes.CDLL(None), name, None)
