"""Which function the events of a key reach, by Redis' own rules, and what its reactor does with them.

`explain` decides by the key alone, without Redis. The command `manage.py patterns test` shows the answers.
"""

from dataclasses import dataclass

from shared import namespaces
from shared.reactor import Reactor
from shared.registry import REACTORS
from shared.store.glob import glob_match, literal_prefix


@dataclass(frozen=True)
class Verdict:
    """`function` is None where no function receives events of the key; `reacts` says whether its reactor does more than
    ignore the key."""

    function: str | None
    reacts: bool
    why: str


def explain(key: bytes) -> Verdict:
    """What follows an event of `key`. The text quotes no part of the key but what it shares with a pattern."""
    reactor = next((reactor for reactor in REACTORS if glob_match(reactor.pattern.encode(), key)), None)
    if reactor is None:
        return Verdict(None, False, _not_received(key))
    if namespaces.parts_of(reactor.kind, key) is None:
        return Verdict(reactor.function, False, f"ignored: {_not_of_its_kind(reactor, key)}")
    why = f"{reactor.noun}: {reactor.effect}"
    if not _is_utf8(key):
        why += "; not UTF-8, so its events do not name it and it is searched for"
    return Verdict(reactor.function, True, why)


def _not_of_its_kind(reactor: Reactor, key: bytes) -> str:
    if namespaces.parts_of(namespaces.SESSION_BY_USER, key):
        return "NextAuth's index of sessions by user id, not a session"
    if key == reactor.kind.prefix:
        return "the id is empty"
    if reactor.kind is namespaces.CHART_DATA:
        return "not {chartId}:{dataType} with both parts"
    return f"not {reactor.kind.pattern}"


def _not_received(key: bytes) -> str:
    if not key:
        return "an empty key matches no pattern"
    if parsed := namespaces.parse(key):
        return f"no function subscribes to it; {parsed[0].owner}: {parsed[0].purpose}"
    for reactor in REACTORS:
        if glob_match(reactor.pattern.encode(), key.strip().lower()):
            return f"near miss of {reactor.pattern}: patterns are case-sensitive and blanks count"
    reactor = max(REACTORS, key=lambda reactor: len(common_prefix(reactor.pattern.encode(), key)))
    shared = common_prefix(reactor.pattern.encode(), key)
    if b":" not in shared:
        return "in no namespace that a function subscribes to"
    how = "ends too early" if shared == key else "has another character"
    return f"near miss of {reactor.pattern}: after {shared.decode()!r} the key {how}"


def common_prefix(pattern: bytes, key: bytes) -> bytes:
    """The longest common prefix of `key` and the literal beginning of `pattern`."""
    literal = literal_prefix(pattern)
    pairs = enumerate(zip(literal, key, strict=False))
    return literal[: next((index for index, (ours, theirs) in pairs if ours != theirs), min(len(literal), len(key)))]


def _is_utf8(key: bytes) -> bool:
    try:
        key.decode()
    except UnicodeDecodeError:
        return False
    return True
