"""Redis' own glob matching, as PSUBSCRIBE, SCAN and ACLs use it: `*`, `?`, `[a-z]`, `[^a]`, and a backslash before any.

Python's fnmatch knows no escapes, negates with `!` and reads an open bracket differently.
"""

MAX_PATTERN_BYTES = 1000
"""Longest pattern that is matched; Redis gives up on one with more than 1,000 stars."""

_STAR = None
type _Token = frozenset[int] | None
_ANY: frozenset[int] = frozenset(range(256))


def glob_match(pattern: bytes, text: bytes) -> bool:
    """Whether Redis' stringmatchlen, with case, matches the whole of `text`.

    Time is bounded by len(pattern) * len(text), whatever the pattern. Raises ValueError for a pattern of more than
    MAX_PATTERN_BYTES. As in Redis an empty text is matched by the empty pattern alone, not by `*`.
    """
    if len(pattern) > MAX_PATTERN_BYTES:
        raise ValueError(f"a pattern of {len(pattern)} bytes; at most {MAX_PATTERN_BYTES} are matched")
    tokens = _tokens(pattern)
    if not text:
        return not tokens
    at, start, after_star, retry = 0, 0, -1, 0
    while start < len(text):  # greedy: only the last star ever needs to take one more byte
        token = tokens[at] if at < len(tokens) else frozenset()
        if token is _STAR:
            at += 1
            after_star, retry = at, start
        elif text[start] in token:
            at, start = at + 1, start + 1
        elif after_star >= 0:
            retry += 1
            at, start = after_star, retry
        else:
            return False
    return all(token is _STAR for token in tokens[at:])


def literal_prefix(pattern: bytes) -> bytes:
    """The bytes that every match begins with."""
    prefix = bytearray()
    for token in _tokens(pattern):
        if token is _STAR or len(token) != 1:
            break
        prefix += bytes(token)
    return bytes(prefix)


def _tokens(pattern: bytes) -> list[_Token]:
    """One entry per piece of the pattern: the bytes that it takes, or _STAR for any number of any."""
    tokens: list[_Token] = []
    at = 0
    while at < len(pattern):
        byte = pattern[at]
        if byte == ord("["):
            members, at = _class(pattern, at + 1)
            tokens.append(members)
            continue
        if byte == ord("\\") and at + 1 < len(pattern):  # a last one stands for itself
            at += 1
            tokens.append(frozenset({pattern[at]}))
        elif byte == ord("*"):
            tokens.append(_STAR)
        else:
            tokens.append(_ANY if byte == ord("?") else frozenset({byte}))
        at += 1
    return tokens


def _class(pattern: bytes, at: int) -> tuple[frozenset[int], int]:
    """The bytes of the class that begins at `at`, behind its bracket, and where the pattern goes on.

    One that is not closed reaches to the end of the pattern.
    """
    negated = pattern[at : at + 1] == b"^"
    at += negated
    members: set[int] = set()
    while at < len(pattern) and pattern[at] != ord("]"):
        if pattern[at] == ord("\\") and at + 1 < len(pattern):
            members.add(pattern[at + 1])
            at += 2
        elif at + 2 < len(pattern) and pattern[at + 1] == ord("-"):
            members |= _between(pattern[at], pattern[at + 2])
            at += 3
        else:
            members.add(pattern[at])
            at += 1
    return (_ANY - members if negated else frozenset(members)), at + 1


def _between(first: int, last: int) -> set[int]:
    """A range in either order. Redis compares `char`s, which have a sign on x86-64: bytes from 128 on come first."""
    low, high = sorted(byte - 256 if byte > 127 else byte for byte in (first, last))
    return {byte % 256 for byte in range(low, high + 1)}
