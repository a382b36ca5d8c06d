"""Numbers in texts for people, and names in JSON."""

from collections.abc import Mapping
from typing import Any


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 key`, `2 keys`, `1,204 keys`; `plural` where it is not the noun with an s."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def camel(name: str) -> str:
    """A Python name as it is in JSON: `table_ttl_s` is `tableTtlS`."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def camel_names(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same fields under their names in JSON."""
    return {camel(name): value for name, value in fields.items()}
