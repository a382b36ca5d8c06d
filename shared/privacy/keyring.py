"""The keys derived from AUDIT_KEY: for fingerprints and sealed session tokens, pseudonyms of users, signatures.

Each use has its own key, derived from the one secret (HMAC-SHA-512 of a label, as HKDF-Expand does for one block), so a
value published for one use does not help to attack another.

A fingerprint cannot be reversed and appears in records that leave Redis. A sealed token can be decrypted with the key
and stays in Redis, which holds the token itself anyway: timers need it to check a session when it is due.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

FINGERPRINT_DIGITS = 32


class Keyring:
    """The keys derived from one AUDIT_KEY. `key_id` identifies the AUDIT_KEY and reveals nothing about it."""

    def __init__(self, audit_key: str) -> None:
        self._audit_key = audit_key.encode(errors="surrogateescape")  # bytes as in the environment
        self.key_id = self._derive("key id").hex()[:8]
        self._sealing_key = self._derive("seal")
        self._signing_key = self._derive("sign")
        self._user_key = self._derive("user")

    def fingerprint(self, secret: bytes) -> str:
        """HMAC-SHA-256 of `secret`: the first 32 hex digits."""
        return hmac.digest(self._audit_key, secret, hashlib.sha256).hex()[:FINGERPRINT_DIGITS]

    def seal(self, token: bytes) -> str:
        """`token` encrypted and authenticated, as base64url. Deterministic (AES-SIV, RFC 5297), so it can be a key or
        the member of a set. `token` must not be empty."""
        return base64.urlsafe_b64encode(self._cipher.encrypt(token, None)).rstrip(b"=").decode()

    def unseal(self, sealed: bytes) -> bytes | None:
        """The token; None when another key sealed it, or it was altered."""
        from cryptography.exceptions import InvalidTag

        try:
            raw = base64.b64decode(sealed + b"=" * (-len(sealed) % 4), altchars=b"-_", validate=True)
            token = self._cipher.decrypt(raw, None)
        except (binascii.Error, ValueError, InvalidTag):
            return None
        # Several base64 texts decode to the same bytes; only the canonical one is accepted.
        return token if self.seal(token).encode() == sealed else None

    def pseudonym(self, user_id: str) -> str:
        """The pseudonym that replaces a user id in records: `~` and the first 32 hex digits of its HMAC-SHA-256."""
        return self._pseudonym(user_id, hashlib.sha256)

    def pseudonyms(self, user_id: str) -> tuple[str, str]:
        """`pseudonym`, and the one of records before version 2 of the phantoms (HMAC-SHA-1)."""
        return self.pseudonym(user_id), self._pseudonym(user_id, hashlib.sha1)

    def _pseudonym(self, user_id: str, function: Any) -> str:
        raw = user_id.encode(errors="surrogatepass")
        return "~" + hmac.digest(self._user_key, raw, function).hex()[:FINGERPRINT_DIGITS]

    def sign(self, data: bytes) -> str:
        """HMAC-SHA-256 of `data` as 64 hex digits."""
        return hmac.digest(self._signing_key, data, hashlib.sha256).hex()

    def _derive(self, label: str) -> bytes:
        return hmac.digest(self._audit_key, b"keyspace-functions/" + label.encode() + b"\x01", hashlib.sha512)

    @cached_property
    def _cipher(self) -> "AESSIV":
        """Created on first use: the import takes 20 ms, which a cold start should not pay."""
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV

        return AESSIV(self._sealing_key)


@cache
def keyring(audit_key: str) -> Keyring:
    """The keyring of an AUDIT_KEY; cached."""
    return Keyring(audit_key)


def keyrings(audit_key: str, previous: str = "") -> Sequence[Keyring]:
    """The keyring of the current key, followed by that of the previous key, if there is one."""
    return [keyring(key) for key in (audit_key, previous) if key]
