"""What a sweep looks for, as each reactor declares it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Swept:
    """Keys that a sweep finds for a reactor.

    `pattern` is the glob for SCAN's MATCH; `key_of` gives the source key to react to for a key that was found, None
    where there is none. A chart whose source is gone shows only in its cache: there the two keys differ.
    """

    pattern: bytes
    key_of: Callable[[bytes], bytes | None]
