"""The two keys of a session: its own, with a bearer token in it, and its phantom's, with the sealed token in it.

Due times, retries and dead letters store the phantom's key instead of the session's: only AUDIT_KEY unseals it.
"""

from collections.abc import Sequence

from shared import namespaces
from shared.privacy.keyring import Keyring

_SESSION, _PHANTOM = namespaces.SESSION.prefix, namespaces.PHANTOM.prefix


def token_of(rings: Sequence[Keyring], key: bytes) -> bytes | None:
    """The token in the key of a session or of its phantom; None for any other key, and if no keyring unseals it."""
    if key.startswith(_PHANTOM):
        sealed = key[len(_PHANTOM) :]
        return next((token for ring in rings if (token := ring.unseal(sealed)) is not None), None)
    parts = namespaces.parts_of(namespaces.SESSION, key)
    return parts[0] if parts else None


def session_key(token: bytes) -> bytes:
    """The session's own key."""
    return _SESSION + token


def phantom_key(sealed: bytes) -> bytes:
    """The phantom's key for a token sealed by Keyring.seal."""
    return _PHANTOM + sealed


def source_key(rings: Sequence[Keyring], key: bytes) -> bytes:
    """The session's own key for the key of a phantom; any other key unchanged."""
    token = token_of(rings, key) if key.startswith(_PHANTOM) else None
    return key if token is None else session_key(token)
