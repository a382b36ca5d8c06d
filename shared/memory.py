"""Memory of the process in a burst."""

KEPT_BYTES = 64 * 1024 * 1024
MAPPED_FROM_BYTES = 8 * 1024 * 1024
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def keep_freed() -> None:
    """Have glibc keep up to KEPT_BYTES of freed memory for the next group of payloads.

    Else it gives each group's half a megabyte back to the system and asks for it again, page by page: a tenth of a
    burst's CPU. Where the C library is another, nothing happens.
    """
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, MAPPED_FROM_BYTES)
