"""How the living instances divide the keys: each key belongs to one of them, which alone reacts to its events.

Every instance receives every message. It drops those of keys that are another's, without I/O. Nothing but work depends
on this: claims and fencing keep two instances with different views from doubling an effect, and whoever notices that an
instance has fallen silent reconciles.

Where every event of a key matters and not only its last content (a reactor that is `ordered`: sessions), each instance
reacts to all. A pass cannot make up for the events that an instance took with it when it was killed.

Two versions of the app may run on one Redis, during an upgrade or in two slots. A key that each of them gives to the
other would be nobody's, so an instance divides the keys only among those that divide them alike (`division_of`), and
both versions react to all keys.

Rendezvous hashing (Thaler and Ravishankar, 1998), over SLOTS slots instead of single keys: when an instance joins or
leaves, only its own share moves, and a lookup costs one CRC.
"""

import hashlib
import zlib
from collections import Counter
from collections.abc import Collection
from functools import cache

SLOTS = 1024
VERSION = 1
"""Of the division: to be raised when a key may have another owner among the same instances."""


class Shares:
    """One instance's view of the division. It always counts itself in: at worst, two react to a key."""

    def __init__(self, identity: str) -> None:
        self._identity = identity
        self.members: frozenset[str] = frozenset({identity})
        self._mine: bytes | None = None
        """Per slot, whether it is this instance's; None if all are."""

    def divide(self, others: Collection[str]) -> frozenset[str]:
        """Divide the keys among this instance and `others`. Returns those that were members before and are no more."""
        members = frozenset({self._identity, *others})
        gone = self.members - members
        if members != self.members:
            self.members = members
            self._mine = (
                None if len(members) == 1 else bytes(_owner(members, slot) == self._identity for slot in range(SLOTS))
            )
        return gone

    def has(self, key: bytes) -> bool:
        """Whether the key is this instance's."""
        return self._mine is None or bool(self._mine[zlib.crc32(key) % SLOTS])

    @property
    def share(self) -> float:
        """The part of all keys that is this instance's."""
        return 1.0 if self._mine is None else sum(self._mine) / SLOTS


@cache
def division_of(channels: tuple[str, ...]) -> str:
    """What two instances have in common if they divide the keys alike: 8 hexadecimal digits, which depend on how keys
    are divided and on the channels of the keys that are."""
    return hashlib.blake2b(f"{VERSION} {sorted(channels)}".encode(), digest_size=4).hexdigest()


def division(members: Collection[str]) -> dict[str, float]:
    """The part of all keys that is each member's. About 1 ms per member."""
    owned = Counter(_owner(members, slot) for slot in range(SLOTS)) if members else Counter[str]()
    return {member: owned[member] / SLOTS for member in members}


def _owner(members: Collection[str], slot: int) -> str:
    return max(members, key=lambda member: (_weight(member, slot), member))


def _weight(member: str, slot: int) -> bytes:
    return hashlib.blake2b(b"%d" % slot, key=member.encode()[:64], digest_size=8).digest()
