"""NumPy, imported on demand: the import takes about 0.1 s, which a cold start should not pay."""

from types import ModuleType

_numpy: ModuleType | None = None


def load() -> None:
    """Import NumPy, so that `loaded` returns it from now on. Call it in a thread: it blocks."""
    import numpy as np

    global _numpy  # noqa: PLW0603 (one process, one NumPy)
    _numpy = np


def loaded() -> ModuleType | None:
    """NumPy, or None before `load` has run."""
    return _numpy
