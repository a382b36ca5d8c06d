"""The words of a name. Pure; every answer is cached by name."""

import re
from functools import lru_cache

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[^\W_]+")


@lru_cache(4096)
def words(name: str) -> tuple[str, ...]:
    """The words of a name in lower case, split at camel case, underscores and everything that is no letter or digit."""
    return tuple(word.lower() for part in _WORD.findall(name[:256]) for word in _CAMEL.split(part) if word)


@lru_cache(4096)
def compact(name: str) -> str:
    """The words of a name without anything between them: `Source_Timestamp` and `sourceTimestamp` are one name."""
    return "".join(words(name))
