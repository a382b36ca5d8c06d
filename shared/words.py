"""Numbers in texts for people, texts of others that people are shown, and names in JSON."""

import re
from collections.abc import Mapping
from typing import Any

_UNPRINTABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u2028\u2029\ud800-\udfff"
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
    r"\u180e\u200b\u2060-\u2064\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""Control characters, line separators, surrogates; marks that change the direction of text; characters that are not
seen, so that two texts would look the same. Joiners (U+200C, U+200D) are a part of scripts and emoji."""


def escaped(text: str) -> str:
    """`text` on one line, as it is read: what cannot be seen, or changes what is seen, is escaped."""
    return _UNPRINTABLE.sub(lambda match: ascii(match[0])[1:-1], text)


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
