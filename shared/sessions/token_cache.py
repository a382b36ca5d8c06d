"""A user's AAD tokens at `fabric:user:{userId}:tokens`, as the dashboard keeps them: one JSON object for 55 minutes.

The dashboard writes the value with JSON.stringify and reads it with JSON.parse; so does this, in effect, and either
reads what the other wrote. What is in there opens doors: no error, log line or repr shows any of it.
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
from shared.reading.json_text import decode_json
from shared.store.refusals import is_wrong_type

MAX_TOKENS_BYTES = 256 * 1024
"""Largest value that is read or written, where MAX_PAYLOAD_BYTES does not say less. Real ones have a few KiB."""

_PLAIN_NAME = re.compile(r"[A-Za-z_]{1,32}")


class Tokens:
    """JSON fields by name, read-only. Values come out one by one, by name; as a whole it shows its names only.

    `dict(tokens)` takes them all out. No dataclass, dict or Mapping, whose values test runners and pretty-printers
    show, and not to be pickled.
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
        # A name that is no plain word may itself be a token.
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
    """The token cache on the app's Redis. Each call is one command.

    All calls raise ValueError for a user id that makes no key (empty, or with a lone surrogate), and
    redis.exceptions.RedisError or OSError, which hold nothing of the tokens, when Redis is away or refuses.
    """

    app: App

    async def get(self, user_id: str | bytes) -> Tokens | None:
        """The user's tokens; None when there are none. Empty and `null` are none too.

        Raises KeyspaceError with the masked key and the reason, never input, for a value that is not a string in
        Redis, no JSON object or too large; of one that is too large, no more than the limit and one byte is read.
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
        # Out here nothing of the value hangs on to the error: the JSON decoder's own has all of it as an attribute.
        raise KeyspaceError(f"{self._shown(key)}: {reason}")

    async def set(self, user_id: str | bytes, tokens: Tokens) -> None:
        """Keep the user's tokens for namespaces.TOKEN_TTL_S, in place of what was there.

        Raises KeyspaceError as `get` does, and writes nothing, for what could not be read again: values that are not
        JSON (NaN and infinity are not), too large, too deep.
        """
        key = namespaces.build(namespaces.USER_TOKENS, user_id)
        try:
            text = self._encode(tokens)
        except Rejected as fault:
            raise KeyspaceError(f"{self._shown(key)}: {fault}") from None
        try:
            await self.app.redis.set(key, text, ex=namespaces.TOKEN_TTL_S)
        except ResponseError as fault:  # Redis quotes the arguments of a command that it does not know
            fault.args = (str(fault).partition(", with args")[0],)
            raise

    async def delete(self, user_id: str | bytes) -> bool:
        """Forget the user's tokens. False when there were none."""
        return bool(await self.app.redis.delete(namespaces.build(namespaces.USER_TOKENS, user_id)))

    @property
    def _max_bytes(self) -> int:
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
        value = decode_json(text) if text else None
        if not isinstance(value, dict | None):
            raise Rejected("no JSON object")
        return None if value is None else Tokens(value)

    def _shown(self, key: bytes) -> str:
        """The key fit for a message: with the user's pseudonym where users are not to be named."""
        settings = self.app.settings
        if settings.audit_pseudonymise_users and (parts := namespaces.parts_of(namespaces.USER_TOKENS, key)):
            user = keyring(settings.audit_key).pseudonym(parts[0].decode(errors="backslashreplace"))
            key = namespaces.build(namespaces.USER_TOKENS, user)
        return mask_key(key, settings.audit_key)
