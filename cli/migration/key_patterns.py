"""Key patterns such as `user:{id}:tokens`: the regular expression of one, and whether two have a key in common.

A part in braces holds one byte or more; any bytes in the first part of a pattern, any but ':' in the others. With a
':' between any two parts a key can then be read in one way only: its last ':'s are those between the parts.
"""

import re
from collections import deque
from dataclasses import dataclass
from functools import cached_property

_PART = re.compile(r"\{(\w+)\}")
_COLON = ord(":")
_ANY = frozenset(range(256))
_NO_COLON = _ANY - {_COLON}

type _Token = tuple[frozenset[int], bool]
"""A byte out of a set, and whether it comes any number of times, also never, instead of once."""


@dataclass(frozen=True)
class Pattern:
    """A pattern that `fault_in` finds nothing wrong with."""

    text: str

    @cached_property
    def parts(self) -> tuple[str, ...]:
        return tuple(_PART.findall(self.text))

    @property
    def prefix(self) -> bytes:
        """The literal text before the first part."""
        return self.text.partition("{")[0].encode()

    @cached_property
    def regex(self) -> re.Pattern[bytes]:
        """Matches a whole key, with a named group per part."""
        texts = _PART.split(self.text)
        found = re.escape(texts[0]).encode()
        for number, (name, text) in enumerate(zip(texts[1::2], texts[2::2], strict=True)):
            found += b"(?P<%b>%b)" % (name.encode(), b"[^:]+" if number else b".+") + re.escape(text).encode()
        return re.compile(found, re.DOTALL)

    def fill(self, parts: dict[str, bytes]) -> bytes:
        """The key with these parts."""
        return self._template % tuple(parts[name] for name in self.parts)

    @cached_property
    def _template(self) -> bytes:
        """The text for the % operator."""
        return b"%b".join(text.replace("%", "%%").encode() for text in _PART.split(self.text)[::2])

    @cached_property
    def tokens(self) -> tuple[_Token, ...]:
        found: list[_Token] = []
        for number, text in enumerate(_PART.split(self.text)):
            if number % 2:
                held = _ANY if number == 1 else _NO_COLON
                found += [(held, False), (held, True)]
            else:
                found += [(frozenset({byte}), False) for byte in text.encode()]
        return tuple(found)


def fault_in(text: str) -> str | None:
    """Why `text` is no pattern; None when it is one."""
    if not text:
        return "is empty"
    texts = _PART.split(text)
    if any("{" in one or "}" in one for one in texts[::2]):
        return "has a brace that is no {part}"
    if not all(name.isascii() and name.isidentifier() for name in texts[1::2]):
        return "has a part whose name is no plain word"
    if len(set(texts[1::2])) < len(texts[1::2]):
        return "has a part twice"
    if any(":" not in between for between in texts[2:-1:2]):
        return "is ambiguous: between two parts there has to be a ':'"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "is no valid text"
    return None


def within(prefix: str) -> tuple[_Token, ...]:
    """Every key that begins with `prefix` and goes on, for `common_key`."""
    return (*((frozenset({byte}), False) for byte in prefix.encode()), (_ANY, False), (_ANY, True))


def common_key(one: tuple[_Token, ...], other: tuple[_Token, ...]) -> bytes | None:
    """A key that both take, a short one; None when there is none.

    Walks the product of the two automata, breadth first (the textbook emptiness test of an intersection).
    """
    seen = {(0, 0)}
    queue = deque([(0, 0, b"")])
    while queue:
        here, there, key = queue.popleft()
        if here == len(one) and there == len(other):
            return key
        for state in _next(one, other, here, there):
            if state[:2] not in seen:
                seen.add(state[:2])
                # A step that takes no byte comes first, so that keys stay in the order of their lengths.
                (queue.append if state[2] else queue.appendleft)((state[0], state[1], key + state[2]))
    return None


def _next(one: tuple[_Token, ...], other: tuple[_Token, ...], here: int, there: int) -> list[tuple[int, int, bytes]]:
    found = []
    if here < len(one) and one[here][1]:
        found.append((here + 1, there, b""))
    if there < len(other) and other[there][1]:
        found.append((here, there + 1, b""))
    if here < len(one) and there < len(other):
        (held, repeats), (other_held, other_repeats) = one[here], other[there]
        if both := held & other_held:
            byte = bytes([ord("x") if ord("x") in both else min(both)])
            found.append((here if repeats else here + 1, there if other_repeats else there + 1, byte))
    return found
