"""The flags of `notify-keyspace-events` that the triggers need, and which of them a value lacks."""

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
    """A sentence for each class of events that these flags do not deliver; empty when they deliver all.

    `flags` is the server's value, which it reports in its own order and may shorten to `A`.
    """
    classes = set(flags)
    if "A" in classes:
        classes |= _ALL_CLASSES
    if not flags:
        return (f"notifications are off: no event is delivered. Set notify-keyspace-events to {REQUIRED}",)
    if "K" not in classes:
        return (
            f"{flags!r} delivers no event to the triggers: without K Redis publishes only on __keyevent@0__ channels. "
            f"Set notify-keyspace-events to {REQUIRED}",
        )
    return tuple(f"{flag} is missing: {meaning}" for flag, meaning in CLASSES.items() if flag not in classes)
