"""Numbers in texts for people."""


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 key`, `2 keys`, `1,204 keys`; `plural` where it is not the noun with an s."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
