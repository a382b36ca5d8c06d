"""NumPy, loaded when there is enough to do with it: its import takes about 0.1 s, which no cold start should pay."""

from types import ModuleType

_numpy: ModuleType | None = None


def load() -> None:
    """Have `loaded` return it from now on. For a thread."""
    import numpy as np

    global _numpy  # noqa: PLW0603 (one process, one NumPy)
    _numpy = np


def loaded() -> ModuleType | None:
    return _numpy
