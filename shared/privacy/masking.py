"""Masking of keys and secrets for log lines, HTTP answers and records.

A session token is a bearer secret, an e-mail address is personal data: its keyed fingerprint replaces it.
"""

import re

from shared import namespaces
from shared.privacy.keyring import keyring
from shared.privacy.unknown_keys import shown_parts
from shared.words import escaped

MAX_SHOWN_CHARS = 200
_PART = re.compile(r"\{(\w+)\}")


def fingerprint(secret: bytes, audit_key: str) -> str:
    """The keyed fingerprint that replaces `secret`: see Keyring.fingerprint."""
    return keyring(audit_key).fingerprint(secret)


def printable(raw: bytes, limit: int = MAX_SHOWN_CHARS) -> str:
    """`raw` as `escaped` returns it, with bytes that are not UTF-8 escaped too; cut to `limit` characters."""
    text = escaped(raw[: 4 * limit].decode(errors="backslashreplace"))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def mask_key(key: bytes, audit_key: str, *, hide_users: bool = False) -> str:
    """The key with each secret part replaced by `~` and the first 12 digits of its fingerprint; with `hide_users`
    parts that name a user too.

    Of a key that fits no pattern only the words that name things stay readable: see unknown_keys.py.
    """
    parsed = namespaces.parse(key)
    if parsed is None:
        of_key = shown_parts(key, hide_users=hide_users)
        return printable("".join(_text(part) if shown else _mask(part, audit_key) for part, shown in of_key).encode())
    kind, parts = parsed
    if kind is namespaces.PHANTOM:  # masked with the fingerprint that its records have
        token = keyring(audit_key).unseal(parts[0])
        return printable(kind.prefix) + (_mask(token, audit_key) if token else "?")
    texts = {}
    for name, part in zip(kind.part_names, parts, strict=True):
        # Some applications use e-mail addresses as user ids.
        hidden = name in kind.secret or b"@" in part or (hide_users and name == "userId")
        texts[name] = _mask(part, audit_key) if hidden else _text(part)
    masked = _PART.sub(lambda match: texts[match[1]], kind.pattern)  # in one pass: a part may hold the name of another
    return printable(masked.encode(errors="backslashreplace"))


def _mask(secret: bytes, audit_key: str) -> str:
    return f"~{fingerprint(secret, audit_key)[:12]}" if secret else ""


def _text(part: bytes) -> str:
    return part.decode(errors="backslashreplace")
