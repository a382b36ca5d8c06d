"""Redis' glob matching, as in PSUBSCRIBE, SCAN and ACLs: `*`, `?`, `[a-z]`, `[^a]`, and backslash escapes.

Python's fnmatch has no escapes, negates with `!`, and treats an unclosed bracket differently.
"""

MAX_PATTERN_BYTES = 1000
"""Longest pattern that is matched; Redis gives up after 1,000 nested stars."""

_STAR = None
type _Token = frozenset[int] | None
_ANY: frozenset[int] = frozenset(range(256))


def glob_match(pattern: bytes, text: bytes) -> bool:
    """Whether `pattern` matches the whole of `text`, as Redis' stringmatchlen does (case-sensitive).

    Time is bounded by len(pattern) * len(text) for any pattern. As in Redis, only the empty pattern matches an empty
    text; `*` does not. Raises ValueError for a pattern longer than MAX_PATTERN_BYTES.
    """
    if len(pattern) > MAX_PATTERN_BYTES:
        raise ValueError(f"a pattern of {len(pattern)} bytes; the limit is {MAX_PATTERN_BYTES}")
    tokens = _tokens(pattern)
    if not text:
        return not tokens
    index, position, after_star, star_end = 0, 0, -1, 0
    while position < len(text):  # greedy: on a mismatch, the last star takes one more byte
        token = tokens[index] if index < len(tokens) else frozenset()
        if token is _STAR:
            index += 1
            after_star, star_end = index, position
        elif text[position] in token:
            index, position = index + 1, position + 1
        elif after_star >= 0:
            star_end += 1
            index, position = after_star, star_end
        else:
            return False
    return all(token is _STAR for token in tokens[index:])


def literal_prefix(pattern: bytes) -> bytes:
    """The bytes with which every match begins."""
    prefix = bytearray()
    for token in _tokens(pattern):
        if token is _STAR or len(token) != 1:
            break
        prefix += bytes(token)
    return bytes(prefix)


def _tokens(pattern: bytes) -> list[_Token]:
    """One token per element of the pattern: the set of bytes that it matches, or _STAR for any number of any bytes."""
    tokens: list[_Token] = []
    at = 0
    while at < len(pattern):
        byte = pattern[at]
        if byte == ord("["):
            members, at = _class(pattern, at + 1)
            tokens.append(members)
            continue
        if byte == ord("\\") and at + 1 < len(pattern):  # a backslash at the end is literal
            at += 1
            tokens.append(frozenset({pattern[at]}))
        elif byte == ord("*"):
            tokens.append(_STAR)
        else:
            tokens.append(_ANY if byte == ord("?") else frozenset({byte}))
        at += 1
    return tokens


def _class(pattern: bytes, at: int) -> tuple[frozenset[int], int]:
    """The members of the class that begins at `at`, after its bracket, and the position after the class.

    An unclosed class extends to the end of the pattern.
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
    """The bytes of a range, whose ends may come in either order. Redis compares `char`s, signed on x86-64, so bytes
    from 128 on sort first."""
    low, high = sorted(byte - 256 if byte > 127 else byte for byte in (first, last))
    return {byte % 256 for byte in range(low, high + 1)}
