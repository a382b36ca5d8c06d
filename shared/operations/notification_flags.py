"""What `notify-keyspace-events` has to hold for the triggers to fire, and what is missing from a given value."""

CLASSES = {
    "K": "keyspace channels, __keyspace@0__:<key>, which the triggers subscribe to",
    "g": "generic commands: del, expire, rename, restore",
    "$": "string commands: set, by which batches, charts and sessions are written",
    "h": "hash commands: hset, for batches kept as hashes",
    "l": "list commands: rpush, for batches filled as lists",
    "x": "expired keys: the end of sessions and charts",
    "e": "evicted keys: the end of sessions and charts when memory is full",
}
REQUIRED = "".join(CLASSES)
"""The flags to set; `A` stands for every class in it but K."""

_ALL_CLASSES = frozenset("g$lshzxetd")


def missing_flags(flags: str) -> tuple[str, ...]:
    """A sentence per class of events that does not arrive with these flags; empty when all do.

    `flags` is the server's value, which it reports in its own order and may shorten to `A`.
    """
    present = set(flags)
    if "A" in present:
        present |= _ALL_CLASSES
    if not flags:
        return (f"notifications are off: nothing is delivered. Set notify-keyspace-events to {REQUIRED}",)
    if "K" not in present:
        return (
            f"{flags!r} delivers nothing to the triggers: without K Redis publishes only on __keyevent@0__ channels. "
            f"Set notify-keyspace-events to {REQUIRED}",
        )
    return tuple(f"{flag} is missing: {meaning}" for flag, meaning in CLASSES.items() if flag not in present)
