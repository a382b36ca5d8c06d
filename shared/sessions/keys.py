"""The two keys of a session: its own, which holds a bearer token, and its phantom's, which holds the token sealed.

Wherever a session's key has to be kept (the due times, a retry, a dead letter) the phantom's key stands for it: only
who has AUDIT_KEY can open it.
"""

from collections.abc import Sequence

from shared import namespaces
from shared.privacy.keyring import Keyring

_SESSION, _PHANTOM = namespaces.SESSION.prefix, namespaces.PHANTOM.prefix


def token_of(rings: Sequence[Keyring], key: bytes) -> bytes | None:
    """The token of the session that either key is of; None when it is of none, or no keyring opens it."""
    if key.startswith(_PHANTOM):
        sealed = key[len(_PHANTOM) :]
        return next((token for ring in rings if (token := ring.unseal(sealed)) is not None), None)
    parts = namespaces.parts_of(namespaces.SESSION, key)
    return parts[0] if parts else None


def session_key(token: bytes) -> bytes:
    """The session's own key."""
    return _SESSION + token


def phantom_key(sealed: bytes) -> bytes:
    """The phantom's key, for a token that Keyring.seal has sealed."""
    return _PHANTOM + sealed


def source_key(rings: Sequence[Keyring], key: bytes) -> bytes:
    """The session's own key for a phantom's; any other key as it is."""
    token = token_of(rings, key) if key.startswith(_PHANTOM) else None
    return key if token is None else session_key(token)
