"""Sign-in to Redis by identity: a Microsoft Entra token in place of a password.

    settings Redis__*  ->  Identity  ->  azure-identity's credential  ->  Token  ->  AUTH principalId token

A token lives for hours, and the server ends a connection whose token has expired. So a token is replaced well before
that, in a thread, while the former one serves; and a connection signs in again before its next use once there is a
newer token (`shared/store/connection.py`).

Not with redis-entraid and redis-py's token manager: that requests tokens in the event loop, so a slow identity endpoint
stalls every function of the process, and it never renews again after one renewal that failed (redis-py 8.1).
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from redis.credentials import CredentialProvider
from redis.exceptions import AuthenticationError

from shared.errors import ConfigurationError
from shared.runtime.threads import off_loop

SCOPE = "https://redis.azure.com/.default"
REFRESH_SHARE = 0.7
"""Share of a token's life after which it is replaced."""
REQUEST_TIMEOUT_S = 10.0
RETRY_S = 30.0
"""Pause after a request that brought no new token, while the former one is valid; at most a tenth of what is left of
its life. azure-identity asks the issuer again after 30 s at the earliest."""
MANAGED_IDENTITY = "managedidentity"
_NAMES = ("principalId", "clientId", "tenantId", "clientSecret", "credential")


class NoToken(AuthenticationError):
    """There is no valid token. The text names the class of the reason, no secret."""


@dataclass(frozen=True)
class Identity:
    """Who signs in, by the names and rules of the trigger's extension and of the host."""

    principal_id: str
    """Object id of the identity, which is its user name in Redis."""
    client_id: str = ""
    """Of a user-assigned identity or, with tenant and secret, of a service principal."""
    tenant_id: str = ""
    client_secret: str = field(default="", repr=False)
    managed: bool = False
    """Whether only a managed identity may serve; otherwise azure-identity's default chain does."""


@dataclass(frozen=True, eq=False)
class Token:
    value: str = field(repr=False)
    expires_s: float
    """Unix time, as the issuer says."""
    refresh_s: float

    def is_valid(self) -> bool:
        return time.time() < self.expires_s


class Credential(Protocol):
    """azure-identity's synchronous credentials."""

    def get_token(self, *scopes: str) -> Any: ...


def parse_identity(values: Mapping[str, str]) -> Identity:
    """`values` are what follows `Redis__`, by name in lower case. Raises ConfigurationError, without secret values."""
    known = {name: values.get(name.lower(), "").strip() for name in _NAMES}
    supported = {name.lower() for name in _NAMES} | {"redishostname"}
    faults = [f"Redis__{name}: is not supported" for name in sorted(values.keys() - supported)]
    if not known["principalId"]:
        faults.append("Redis__principalId: must be the object id of the identity; it is its user name in Redis")
    if known["credential"] and known["credential"].lower() != MANAGED_IDENTITY:
        faults.append(f"Redis__credential: must be {MANAGED_IDENTITY}, or be left out")
    if known["clientSecret"] and not (known["clientId"] and known["tenantId"]):
        faults.append("Redis__clientSecret: needs Redis__clientId and Redis__tenantId as well")
    if faults:
        raise ConfigurationError(*faults)
    return Identity(
        known["principalId"],
        client_id=known["clientId"],
        tenant_id=known["tenantId"],
        client_secret=known["clientSecret"],
        managed=bool(known["credential"]),
    )


def credential_of(identity: Identity) -> Credential:
    """The credential that the host chooses for these settings. Imports azure-identity, which takes 0.4 s."""
    from azure.identity import ClientSecretCredential, DefaultAzureCredential, ManagedIdentityCredential

    # A request that fails is reported once, as an outage of Redis; azure-identity would log each in many lines.
    logging.getLogger("azure.identity").setLevel(logging.ERROR)
    logging.getLogger("azure.core").setLevel(logging.WARNING)
    if identity.client_secret:
        return ClientSecretCredential(identity.tenant_id, identity.client_id, identity.client_secret)
    if identity.managed:
        return ManagedIdentityCredential(client_id=identity.client_id or None)
    return DefaultAzureCredential(managed_identity_client_id=identity.client_id or None)


class Tokens(CredentialProvider):
    """The tokens of one client of one event loop. Requests them in a thread, one request at a time."""

    def __init__(self, identity: Identity) -> None:
        self.user = identity.principal_id
        self._identity = identity
        self._credential: Credential | None = None
        self._token: Token | None = None
        self._retry_s = 0.0
        self._failure = ""
        self._request: asyncio.Task[None] | None = None

    async def current(self) -> Token:
        """A valid token. Waits for a request only if there is none; replaces one that is due in the background.

        Raises NoToken.
        """
        token = self._token
        if token is None or not token.is_valid():
            await asyncio.shield(self._requested())
            token = self._token
            if token is None or not token.is_valid():
                raise NoToken(f"no token for the identity: {self._failure}")
        elif time.time() >= max(token.refresh_s, self._retry_s):
            self._requested()
        return token

    async def get_credentials_async(self) -> tuple[str, str]:
        return self.user, (await self.current()).value

    def get_credentials(self) -> tuple[str, str]:
        raise NotImplementedError("tokens are requested by the asynchronous client only")

    def _requested(self) -> asyncio.Task[None]:
        if self._request is None or self._request.done():
            self._request = asyncio.create_task(self._renew())
        return self._request

    async def _renew(self) -> None:
        """Request a token. A failure is kept, not raised: the former token may still serve."""
        former = self._token
        try:
            self._token = await off_loop(REQUEST_TIMEOUT_S, self._ask)
        except Exception as error:
            self._failure = type(error).__name__
        if former and self._token and self._token.value == former.value:
            left_s = former.expires_s - time.time()
            self._retry_s = time.time() + min(RETRY_S, max(0.0, left_s) / 10)

    def _ask(self) -> Token:
        if self._credential is None:
            self._credential = credential_of(self._identity)
        answer = self._credential.get_token(SCOPE)  # which may be the former one, from its cache
        now_s = time.time()
        return Token(answer.token, answer.expires_on, now_s + (answer.expires_on - now_s) * REFRESH_SHARE)
