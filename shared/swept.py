"""What a sweep looks for, as each reactor declares it."""

from collections.abc import Callable
from dataclasses import dataclass

NEW_ONLY = "new only"
"""The operation with which a burst looks for keys: those that have an effect or a holder already are passed over at
hardly any cost, as `later`. Where it was of older content, the key has an event that waits."""


@dataclass(frozen=True)
class Swept:
    """Keys that a sweep finds for a reactor.

    `pattern` is the glob for SCAN's MATCH; `key_of` gives the source key to react to for a key that was found, None
    where there is none. A chart whose source is gone shows only in its cache: there the two keys differ. `new_only`
    says that the reactor knows the operation NEW_ONLY.
    """

    pattern: bytes
    key_of: Callable[[bytes], bytes | None]
    new_only: bool = False
