"""Tune glibc's allocator for bursts. With another C library these functions do nothing."""

from typing import Any

KEPT_BYTES = 64 * 1024 * 1024
"""Freed memory at the top of the heap that glibc keeps (M_TRIM_THRESHOLD)."""
MAPPED_FROM_BYTES = 8 * 1024 * 1024
"""Allocations from this size on are mapped separately (M_MMAP_THRESHOLD)."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h; see mallopt(3)


def keep_freed() -> None:
    """Make glibc keep up to KEPT_BYTES of freed memory for the next group of payloads.

    By default it returns the half megabyte of each group to the system and requests it again page by page, which takes
    a tenth of a burst's CPU time.
    """
    if mallopt := _libc_function("mallopt"):
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, MAPPED_FROM_BYTES)


def give_back_freed() -> None:
    """Return the kept memory to the system, at the end of a burst. Takes a few ms at most."""
    if malloc_trim := _libc_function("malloc_trim"):
        malloc_trim(0)


def _libc_function(name: str) -> Any:
    """A function of the C library; None if it has none of this name."""
    import ctypes

    return getattr(ctypes.CDLL(None), name, None)
