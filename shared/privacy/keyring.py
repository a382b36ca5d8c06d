"""What AUDIT_KEY is for: fingerprints and sealed forms of session tokens, pseudonyms of users, signatures.

Each use has a key of its own, derived from the one secret (HMAC-SHA-512 of a label, as HKDF-Expand does for one block),
so nothing that is published under one use helps with another.

A fingerprint goes one way and stands in records that leave Redis. A sealed token can be opened again by whoever has the
key and stays in Redis, which holds the token itself anyway: it is what lets a timer look at a session when it is due.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

FINGERPRINT_DIGITS = 32
_BLOCK_BYTES = 64
"""Block of SHA-1, to which HMAC pads its key (RFC 2104)."""


class Keyring:
    """The keys that follow from one AUDIT_KEY. `key_id` tells it from others and gives nothing away."""

    def __init__(self, audit_key: str) -> None:
        self._audit_key = audit_key.encode(errors="surrogateescape")  # as the environment had it
        self.key_id = self._derive("key id").hex()[:8]
        self._sealing_key = self._derive("seal")
        self._signing_key = self._derive("sign")
        user_key = self._derive("user")
        self.user_pads = (_xor(user_key, 0x36), _xor(user_key, 0x5C))
        """HMAC's inner and outer key of `pseudonym`, for the script that computes it too: of no other use."""

    def fingerprint(self, secret: bytes) -> str:
        """HMAC-SHA-256 of `secret`: the first 32 hex digits."""
        return hmac.digest(self._audit_key, secret, hashlib.sha256).hex()[:FINGERPRINT_DIGITS]

    def seal(self, token: bytes) -> str:
        """`token` encrypted and authenticated, as base64url: always the same text for the same token (AES-SIV, RFC
        5297), so it can be a key or a member of a set. `token` must not be empty."""
        return base64.urlsafe_b64encode(self._cipher.encrypt(token, None)).rstrip(b"=").decode()

    def unseal(self, sealed: bytes) -> bytes | None:
        """The token; None when this key did not seal it, or it was altered."""
        from cryptography.exceptions import InvalidTag

        try:
            raw = base64.b64decode(sealed + b"=" * (-len(sealed) % 4), altchars=b"-_", validate=True)
            token = self._cipher.decrypt(raw, None)
        except (binascii.Error, ValueError, InvalidTag):
            return None
        # base64 has several texts for the same bytes; a token has one sealed form.
        return token if self.seal(token).encode() == sealed else None

    def pseudonym(self, user_id: str) -> str:
        """What is recorded in place of a user id: `~` and the first 32 hex digits of its HMAC-SHA-1.

        SHA-1 because the script in Redis has to compute it too; as a keyed function it is not known to be weak.
        """
        inner, outer = self.user_pads
        digest = hashlib.sha1(inner + user_id.encode(errors="surrogatepass"), usedforsecurity=False).digest()
        return "~" + hashlib.sha1(outer + digest, usedforsecurity=False).hexdigest()[:FINGERPRINT_DIGITS]

    def sign(self, data: bytes) -> str:
        """HMAC-SHA-256 of `data` as 64 hex digits."""
        return hmac.digest(self._signing_key, data, hashlib.sha256).hex()

    def _derive(self, label: str) -> bytes:
        return hmac.digest(self._audit_key, b"keyspace-functions/" + label.encode() + b"\x01", hashlib.sha512)

    @cached_property
    def _cipher(self) -> "AESSIV":
        """Made at first use: the import takes 20 ms, which a cold start need not wait for."""
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV

        return AESSIV(self._sealing_key)


def _xor(key: bytes, byte: int) -> bytes:
    return bytes(one ^ byte for one in key.ljust(_BLOCK_BYTES, b"\0"))


@cache
def keyring(audit_key: str) -> Keyring:
    """The keyring of an AUDIT_KEY, made once."""
    return Keyring(audit_key)


def keyrings(audit_key: str, previous: str = "") -> Sequence[Keyring]:
    """The present keyring, and behind it the one of the key before, if there is one."""
    return [keyring(key) for key in (audit_key, previous) if key]
