"""Finds a key by what commands show of it."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from shared import namespaces
from shared.app import App
from shared.errors import KeyspaceError
from shared.operations import census
from shared.operations.census import Progress
from shared.operations.key_selection import Selection
from shared.privacy.masking import mask_key
from shared.sessions.keys import session_key, token_of

_FINGERPRINT = re.compile(rb"@([0-9a-f]{12,32})")
_MASKED_SESSION = re.compile(re.escape(namespaces.SESSION.prefix) + rb"~([0-9a-f]{12})")
_NOT_AS_IT_IS = re.compile(rb"~|\\|\xe2\x80\xa6$")
"""What a shown key has in place of a secret, of bytes that cannot be printed, and of its end (an ellipsis)."""
_GLOB_CHARS = re.compile(rb"[*?\[\]\\]")


type Watching = Callable[[int], AbstractContextManager[Progress | None]]
"""Shows the progress of a search among this many keys."""


async def find(app: App, text: bytes, watching: Watching = lambda _: nullcontext()) -> bytes:
    """The key that `text` means: itself where that key exists, else the one whose fingerprint it is, or that commands
    show as this text: masked, with escapes, or cut.

    Text that is none of these is returned unchanged. Raises KeyspaceError when no key, or more than one, matches.
    """
    if not text or await app.redis.exists(text):
        return text
    if match := _FINGERPRINT.fullmatch(text):
        digits = match[1].decode()
        if keys := await _sessions_or_phantoms(app, lambda key: _has_fingerprint(app, key, digits), watching):
            return session_key(token_of(app.keyrings, _only(keys)) or b"")
        raise KeyspaceError("no session, live or ended within 30 days, has this fingerprint")
    if match := _MASKED_SESSION.fullmatch(text):
        digits = match[1].decode()
        if keys := await _sessions_or_phantoms(app, lambda key: _has_fingerprint(app, key, digits), watching):
            return session_key(token_of(app.keyrings, _only(keys)) or b"")
    elif marks := _NOT_AS_IT_IS.search(text):
        pattern = _GLOB_CHARS.sub(rb"\\\g<0>", text[: marks.start()]) + b"*"
        wanted = text.decode(errors="surrogateescape")
        if keys := await _matching(app, pattern, lambda key: wanted in _forms(app, key), watching):
            return _only(keys)
        if b"~" not in text:
            return text
    else:
        return text
    raise KeyspaceError("no key is shown like this: it is gone, or AUDIT_KEY is another one")


async def _sessions_or_phantoms(app: App, matches: Callable[[bytes], bool], watching: Watching) -> set[bytes]:
    """The sessions that match, else the phantoms: of an ended session only the phantom is left."""
    for kind in (namespaces.SESSION, namespaces.PHANTOM):
        if keys := await _matching(app, kind.prefix + b"*", matches, watching):
            return keys
    return set()


def _forms(app: App, key: bytes) -> set[str]:
    """The key as commands show it, and as log lines and the HTTP API do."""
    return {app.shown(key), mask_key(key, app.settings.audit_key)}


def _has_fingerprint(app: App, key: bytes, digits: str) -> bool:
    token = token_of(app.keyrings, key)
    return token is not None and any(ring.fingerprint(token).startswith(digits) for ring in app.keyrings)


async def _matching(app: App, pattern: bytes, matches: Callable[[bytes], bool], watching: Watching) -> set[bytes]:
    matching: set[bytes] = set()
    with watching(await app.redis.dbsize()) as progress:
        async for keys in census.pages(app, Selection(match=pattern), progress=progress):
            matching.update(key for key in keys if matches(key))
    return matching


def _only(keys: set[bytes]) -> bytes:
    if len(keys) > 1:
        raise KeyspaceError(f"{len(keys)} keys match: pass the key itself, or more digits of the fingerprint")
    return next(iter(keys))
