"""The flags of `notify-keyspace-events`: which the triggers need, which of them a value lacks, and the value to set."""

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
"""The flags that the triggers need."""

_ALL_CLASSES = frozenset("g$lshzxetd")
"""What the flag `A` stands for."""


def wanted_flags(flags: str) -> str:
    """The value to set where `flags` is set: keeps every flag, which another application may need, and adds those that
    the triggers lack."""
    missing = [line[0] for line in missing_classes(flags)]
    return readable("".join([*flags, *missing]))


def readable(flags: str) -> str:
    """K and E first, as documentation writes them; servers report another order."""
    return "".join(sorted(flags, key=lambda flag: "KE".find(flag) % 3))


def missing_flags(flags: str) -> tuple[str, ...]:
    """Why these flags do not deliver every event that the triggers need, in sentences, the last with the value to set;
    empty when they do.

    `flags` is the server's value, which it reports in its own order and may shorten to `A`.
    """
    change = f"Set notify-keyspace-events to {wanted_flags(flags)}"
    if not flags:
        return (f"notifications are off: no event is delivered. {change}",)
    if "K" not in flags:
        return (
            f"{readable(flags)} delivers no event to the triggers: without K Redis publishes only on __keyevent@0__ "
            f"channels. {change}",
        )
    *others, last = missing_classes(flags) or [""]
    return (*others, f"{last}. {change}") if last else ()


def missing_classes(flags: str) -> list[str]:
    """The classes of events that are not delivered, each with its meaning."""
    classes = set(flags) | (_ALL_CLASSES if "A" in flags else set())
    return [f"{flag} is missing: {meaning}" for flag, meaning in CLASSES.items() if flag not in classes]
