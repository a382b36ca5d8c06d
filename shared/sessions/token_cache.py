"""A user's AAD tokens at `fabric:user:{userId}:tokens`, in the format of the dashboard: JSON, with a TTL of 55 minutes.

The dashboard uses JSON.stringify and JSON.parse; this module writes and reads the same text. The tokens are secrets: no
error, log line or repr shows any part of them.
"""

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from redis.exceptions import ResponseError

from shared import namespaces
from shared.app import App
from shared.errors import KeyspaceError, Rejected
from shared.privacy.keyring import keyring
from shared.privacy.masking import mask_key, printable
from shared.reading.documents.json_text import decode_json_value
from shared.store.refusals import is_wrong_type

MAX_TOKENS_BYTES = 256 * 1024
"""Largest value that is read or written, unless MAX_PAYLOAD_BYTES is lower. Real values have a few KiB."""

_PLAIN_NAME = re.compile(r"[A-Za-z_]{1,32}")


class Tokens:
    """JSON fields by name, read-only. Each value is read by its name, all of them with `dict(tokens)`; the repr shows
    names only.

    Not a dataclass, dict or Mapping: test runners and pretty-printers would show the values. It cannot be pickled.
    """

    __slots__ = ("_values",)
    _values: dict[str, Any]

    def __init__(self, values: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_values", copy.deepcopy(dict(values)))

    def __getitem__(self, name: str) -> Any:
        return copy.deepcopy(self._values[name])

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def keys(self) -> Sequence[str]:
        return list(self._values)

    def __eq__(self, other: object) -> bool:
        return self._values == other._values if isinstance(other, Tokens) else NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(self._values))

    def __repr__(self) -> str:
        # A name that is not a plain word may be a token itself.
        names = (name if _PLAIN_NAME.fullmatch(name) else "?" for name in self._values)
        return printable(f"Tokens({', '.join(f'{name}=***' for name in names)})".encode())

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("tokens are read-only")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("tokens are read-only")

    def __reduce__(self) -> NoReturn:
        raise TypeError("tokens are not pickled")


@dataclass(frozen=True)
class TokenCache:
    """The token cache in the app's Redis. Each call is one command.

    Every call raises ValueError for a user id that cannot be part of a key (empty, or with a lone surrogate), and
    redis.exceptions.RedisError or OSError, without any part of the tokens, when Redis is away or refuses.
    """

    app: App

    async def get(self, user_id: str | bytes) -> Tokens | None:
        """The user's tokens; None if there are none (no key, an empty value, `null`).

        Raises KeyspaceError with the masked key and the reason, without input, for a value that is not a Redis string,
        not a JSON object, or too large. Of a value that is too large, only the limit and one byte is read.
        """
        key = namespaces.build(namespaces.USER_TOKENS, user_id)
        try:
            return self._decode(cast("bytes", await self.app.redis.getrange(key, 0, self._max_bytes)))
        except Rejected as fault:
            reason = str(fault)
        except ResponseError as fault:
            if not is_wrong_type(fault):
                raise
            reason = "not a string"
        # Raised outside of the except block, without a context: the JSON decoder's error has the value as an attribute.
        raise KeyspaceError(f"{self._shown(key)}: {reason}")

    async def set(self, user_id: str | bytes, tokens: Tokens) -> None:
        """Store the user's tokens for namespaces.TOKEN_TTL_S, replacing earlier ones.

        Raises KeyspaceError, and writes nothing, for tokens that `get` would refuse: values that are not JSON (such as
        NaN and infinity), too large, or nested too deep.
        """
        key = namespaces.build(namespaces.USER_TOKENS, user_id)
        try:
            text = self._encode(tokens)
        except Rejected as fault:
            raise KeyspaceError(f"{self._shown(key)}: {fault}") from None
        try:
            await self.app.redis.set(key, text, ex=namespaces.TOKEN_TTL_S)
        except ResponseError as fault:  # Redis quotes the arguments of an unknown command
            fault.args = (str(fault).partition(", with args")[0],)
            raise

    async def delete(self, user_id: str | bytes) -> bool:
        """Delete the user's tokens. False if there were none."""
        return bool(await self.app.redis.delete(namespaces.build(namespaces.USER_TOKENS, user_id)))

    @property
    def _max_bytes(self) -> int:
        """Largest value that is read or written, in bytes."""
        return min(self.app.settings.max_payload_bytes, MAX_TOKENS_BYTES)

    def _encode(self, tokens: Tokens) -> bytes:
        """Raises Rejected."""
        try:
            text = json.dumps(dict(tokens), separators=(",", ":"), allow_nan=False).encode()
        except (TypeError, ValueError):
            raise Rejected("not JSON values") from None
        self._decode(text)
        return text

    def _decode(self, text: bytes) -> Tokens | None:
        """Raises Rejected."""
        if len(text) > self._max_bytes:
            raise Rejected(f"more than {self._max_bytes} bytes")
        value = decode_json_value(text) if text else None
        if not isinstance(value, dict | None):
            raise Rejected("not a JSON object")
        return None if value is None else Tokens(value)

    def _shown(self, key: bytes) -> str:
        """The masked key for a message, with a pseudonym of the user if AUDIT_PSEUDONYMISE_USERS is set."""
        settings = self.app.settings
        if settings.audit_pseudonymise_users and (parts := namespaces.parts_of(namespaces.USER_TOKENS, key)):
            user = keyring(settings.audit_key).pseudonym(parts[0].decode(errors="backslashreplace"))
            key = namespaces.build(namespaces.USER_TOKENS, user)
        return mask_key(key, settings.audit_key)
