"""Key patterns such as `user:{id}:tokens`: their regular expressions, and whether two patterns have a key in common.

A part in braces stands for one or more bytes: any bytes in the first part of a pattern, any but ':' in the others. With
a ':' between any two parts a key can then be parsed in only one way: its last ':'s are those between the parts.
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
"""A set of bytes, and whether a byte of it occurs any number of times (also zero) instead of once."""


@dataclass(frozen=True)
class Pattern:
    """A valid pattern: `fault_in` returns None for its text."""

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
        regex = re.escape(texts[0]).encode()
        for number, (name, text) in enumerate(zip(texts[1::2], texts[2::2], strict=True)):
            regex += b"(?P<%b>%b)" % (name.encode(), b"[^:]+" if number else b".+") + re.escape(text).encode()
        return re.compile(regex, re.DOTALL)

    def fill(self, parts: dict[str, bytes]) -> bytes:
        """The key with these parts."""
        return self._template % tuple(parts[name] for name in self.parts)

    @cached_property
    def _template(self) -> bytes:
        """The text for the % operator."""
        return b"%b".join(text.replace("%", "%%").encode() for text in _PART.split(self.text)[::2])

    @cached_property
    def tokens(self) -> tuple[_Token, ...]:
        tokens: list[_Token] = []
        for number, text in enumerate(_PART.split(self.text)):
            if number % 2:
                allowed = _ANY if number == 1 else _NO_COLON
                tokens += [(allowed, False), (allowed, True)]
            else:
                tokens += [(frozenset({byte}), False) for byte in text.encode()]
        return tuple(tokens)


def fault_in(text: str) -> str | None:
    """Why `text` is not a valid pattern; None when it is."""
    if not text:
        return "is empty"
    texts = _PART.split(text)
    if any("{" in literal or "}" in literal for literal in texts[::2]):
        return "has a brace outside of a {part}"
    if not all(name.isascii() and name.isidentifier() for name in texts[1::2]):
        return "has a part whose name is not a plain word"
    if len(set(texts[1::2])) < len(texts[1::2]):
        return "has a part twice"
    if any(":" not in between for between in texts[2:-1:2]):
        return "is ambiguous: two parts need a ':' between them"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "is not valid text"
    return None


def within(prefix: str) -> tuple[_Token, ...]:
    """Tokens of every key that is longer than `prefix` and begins with it, for `common_key`."""
    return (*((frozenset({byte}), False) for byte in prefix.encode()), (_ANY, False), (_ANY, True))


def common_key(first: tuple[_Token, ...], second: tuple[_Token, ...]) -> bytes | None:
    """A shortest key that both patterns match; None when there is none.

    Breadth-first search of the product of the two automata (the textbook emptiness test of an intersection).
    """
    seen = {(0, 0)}
    queue = deque([(0, 0, b"")])
    while queue:
        here, there, key = queue.popleft()
        if here == len(first) and there == len(second):
            return key
        for state in _next(first, second, here, there):
            if state[:2] not in seen:
                seen.add(state[:2])
                # Steps without a byte come first, so that keys stay in order of length.
                (queue.append if state[2] else queue.appendleft)((state[0], state[1], key + state[2]))
    return None


def _next(first: tuple[_Token, ...], second: tuple[_Token, ...], here: int, there: int) -> list[tuple[int, int, bytes]]:
    """The states that follow a state, each with the byte that leads to it (empty for none)."""
    states = []
    if here < len(first) and first[here][1]:
        states.append((here + 1, there, b""))
    if there < len(second) and second[there][1]:
        states.append((here, there + 1, b""))
    if here < len(first) and there < len(second):
        (first_bytes, first_repeats), (second_bytes, second_repeats) = first[here], second[there]
        if common := first_bytes & second_bytes:
            byte = bytes([ord("x") if ord("x") in common else min(common)])
            states.append((here if first_repeats else here + 1, there if second_repeats else there + 1, byte))
    return states
