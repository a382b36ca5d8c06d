"""What may be shown of a key or a secret: in a log line, an answer, a record.

A session token is a bearer secret, an e-mail address is personal. Where such a part has to be told apart from
others, its keyed fingerprint stands in its place.
"""

import re

from shared import namespaces
from shared.privacy.keyring import keyring

MAX_SHOWN_CHARS = 200
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""With the marks that turn the direction of text round: a name must not be read as another."""


def fingerprint(secret: bytes, audit_key: str) -> str:
    """What stands for `secret` wherever it would be shown: see Keyring.fingerprint."""
    return keyring(audit_key).fingerprint(secret)


def printable(raw: bytes, limit: int = MAX_SHOWN_CHARS) -> str:
    """`raw` on one line and readable: bytes that are not UTF-8 and control characters escaped, shortened to `limit`."""
    text = _CONTROL.sub(lambda match: ascii(match[0])[1:-1], raw[: 4 * limit].decode(errors="backslashreplace"))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def mask_key(key: bytes, audit_key: str, *, hide_users: bool = False) -> str:
    """A key fit to be shown: its secret parts as `~` and the first 12 digits of their fingerprint; with `hide_users`
    those that name a user too.

    A key that belongs to no pattern may hold anything, so only what names a namespace stays readable: everything
    behind the known prefix it shares with a pattern, else behind its first ':', is masked.
    """
    found = namespaces.parse(key)
    if found is None:
        shown = _known_prefix(key)
        return printable(shown) + _mark(key[len(shown) :], audit_key)
    kind, parts = found
    if kind is namespaces.PHANTOM:  # shown with the fingerprint that its records have
        token = keyring(audit_key).unseal(parts[0])
        return printable(kind.prefix) + (_mark(token, audit_key) if token else "?")
    shown_key = kind.pattern
    for name, part in zip(kind.part_names, parts, strict=True):
        # An e-mail address serves as a user id here and there.
        hidden = name in kind.secret or b"@" in part or (hide_users and name == "userId")
        text = _mark(part, audit_key) if hidden else part.decode(errors="backslashreplace")
        shown_key = shown_key.replace(f"{{{name}}}", text, 1)
    return printable(shown_key.encode(errors="backslashreplace"))


def _mark(secret: bytes, audit_key: str) -> str:
    return f"~{fingerprint(secret, audit_key)[:12]}" if secret else ""


def _known_prefix(key: bytes) -> bytes:
    """The longest run of `word:` segments at the start of `key` that some pattern also starts with."""
    segments = key.split(b":")[:-1]
    for count in range(len(segments), 0, -1):
        prefix = b":".join(segments[:count]) + b":"
        if any(kind.prefix.startswith(prefix) for kind in namespaces.TABLE):
            return prefix
    return b""
