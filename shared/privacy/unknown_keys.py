"""Which parts of a key of no known kind can be shown: the words that name things, not the ids between them.

Such a key may be of any application and hold anything, so a part is shown only if it cannot well be an id, a token or a
name of a person. Hidden parts that follow each other are one:

    cart:3f2a77c1                 cart:~
    bull:emails:17:lock           bull:emails:~:lock
    celery-task-meta-5f2c9a3e...  celery-task-meta-~
    user:alice:tokens             user:~:tokens
    b52a77c1-90aa...              ~

The last part is where ids stand, so only words of a list are shown there; where users are to be hidden, everywhere. In
the namespace of sign-in, whose ids are tokens, the last part is never shown.
"""

import re
from collections.abc import Iterator

from shared import namespaces

_SEPARATOR = re.compile(rb"([-_./|#])")
_WORD = re.compile(rb"(?:[a-z]+|[A-Z]+|[A-Z]?[a-z]+(?:[A-Z][a-z]{2,})*|v\d{1,2})")
_SIGN_IN = b"nextauth:"
_PLAIN_WORD = re.compile(rb"[A-Z]?[a-z]{2,}|[A-Z]{3,}")
_MAX_WORD_CHARS = 16
_CONSONANTS = re.compile(rb"[bcdfghjklmnpqrstvwxz]{5}", re.IGNORECASE)
_VOWEL = re.compile(rb"[aeiouy]", re.IGNORECASE)
_HEX = re.compile(rb"[a-f]{6,}", re.IGNORECASE)

_BEFORE_IDS = frozenset(
    b"account accounts actor admin api apikey auth bearer by client code cookie credential csrf customer customers "
    b"device email emails employee host id ip jti jwt key login mail member members name nonce oauth otp owner "
    b"pass password patient person phone player profile refresh secret sess session sessions sid sso tenant ticket "
    b"tickets token tokens uid user userid username users uuid verification".split()
)
"""Words after which an id is likely, whatever it looks like."""
_COMMON = frozenset(
    b"access active alarm alerts app archive asset assets backup balance batch batches blob blocked bucket buffer "
    b"busy cache caches cart carts catalog channel chart charts chunk chunks completed config connection count "
    b"counter counters daily data date day dead default delayed details devices done draft drafts entries entry "
    b"errors event events expired expires expiry failed feed fields file files filter flag flags flow graph groups "
    b"health high history hits hour hourly idx index indices info items jobs keys last latest level limit limits "
    b"list live lock locks log logs low map marker measurements memory message messages meta metadata metric "
    b"metrics minute model models month mutex news notifications object objects offset order orders page pages "
    b"paused pending permissions ping plan pool position prefs priority processed processing product products "
    b"profiles progress published queue queued queues rate ratelimit raw readings records repeat report reports "
    b"requests results retry revision role roles rows rules running sample samples schedule scheduled score scores "
    b"search seen sensor sensors sequence series set settings shard size snapshot sorted stale stalled state stats "
    b"status stock stream streams subscribers subscriptions sum summary tag tags task tasks temp test theme time "
    b"timeline timer tmp today topic topics total totals trace tree ttl type types unread updates values version "
    b"versions views visits wait waiting watch week window worker workers year zset".split()
)
_LISTED = (
    _BEFORE_IDS
    | _COMMON
    | {word for kind in namespaces.TABLE for word in re.findall(rb"[a-z]+", kind.pattern.encode())}
)


def shown_parts(key: bytes, *, hide_users: bool = False) -> Iterator[tuple[bytes, bool]]:
    """The parts of `key` in order, with whether each can be shown. They join to the key; a hidden part is never empty.

    hide_users: show words of the list only.
    """
    of_sign_in = key.startswith(_SIGN_IN)
    hidden = b""
    before: bytes | None = None
    segments = key.split(b":")
    for number, segment in enumerate(segments):
        colon = b":" if number else b""
        last = number == len(segments) - 1
        visible = _visible_bytes(segment, before, listed=hide_users or of_sign_in, last=last)
        if of_sign_in and last:
            visible = 0
        before = segment
        if hidden and visible < len(segment):
            hidden += colon + segment
            continue
        if hidden:
            yield hidden, False
        yield colon + segment[:visible], True
        hidden = segment[visible:]
    if hidden:
        yield hidden, False


def _visible_bytes(segment: bytes, before: bytes | None, *, listed: bool, last: bool) -> int:
    """How many bytes of a segment can be shown: all, or up to the first token that may be an id. `before` is the one
    before it. `listed`: show words of the list only."""
    if b"@" in segment or b"%40" in segment:
        return 0
    tokens = _SEPARATOR.split(segment)
    words, separators = tokens[::2], [*tokens[1::2], b""]
    is_id = (before or b"").lower() in _BEFORE_IDS
    after_ids = is_id or (before is None and last and len(words) == 1)
    shown: list[int] = []
    for number, (word, separator) in enumerate(zip(words, separators, strict=True)):
        is_listed = word.lower() in _LISTED
        needs_list = listed or after_ids or (last and number == len(words) - 1)
        if word and not is_listed and (needs_list or not _is_word(word)):
            break
        after_ids = word.lower() in _BEFORE_IDS
        in_front = is_listed or not word or (before is None and _PLAIN_WORD.fullmatch(word))
        shown.append(len(word) + len(separator) if in_front else -1)
    if len(shown) == len(words):
        return len(segment)
    if is_id:
        return 0
    # What is in front of an id may be a part of it: plain words of the first segment, else words of the list.
    return sum(shown[: shown.index(-1)] if -1 in shown else shown)


def _is_word(token: bytes) -> bool:
    """Whether it reads like a word: random text seldom does."""
    if len(token) > _MAX_WORD_CHARS or not _WORD.fullmatch(token):
        return False
    return not (_CONSONANTS.search(token) or _HEX.fullmatch(token) or (len(token) > 4 and not _VOWEL.search(token)))
