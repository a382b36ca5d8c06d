"""Whether Redis can be reached (connection, TLS, sign-in), and what a failure means."""

import asyncio
import ssl
import time
from collections.abc import Awaitable
from typing import Any

from redis.exceptions import AuthenticationError, BusyLoadingError, NoPermissionError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.app import App
from shared.operations.doctor.findings import Finding, error, ok, warning
from shared.operations.doctor.products import Product, is_local, product_of
from shared.store.connection import ConnectionOptions
from shared.store.identity import REQUEST_TIMEOUT_S, NoToken

CONNECT_TIMEOUT_S = 2.0
NOBODY_LISTENS = "nothing listens there"
_NO_ROOM = "max number of clients reached"
"""The server's whole answer, which holds nothing of a client."""
_PORTS = "Azure Cache for Redis listens with TLS on 6380, Azure Managed Redis on 10000."


async def permitted(reply: Awaitable[Any]) -> Any:
    """The reply; None where Redis refuses the command."""
    try:
        return await reply
    except ResponseError:
        return None


async def check_connection(app: App, options: ConnectionOptions) -> list[Finding]:
    """Connect, sign in, measure a round trip. The last finding is an error when that is not possible."""
    address = f"{options.host}:{options.port}"
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S + (REQUEST_TIMEOUT_S if options.identity else 0)):
            await app.redis.ping()
            started_s = time.perf_counter()
            await app.redis.ping()
            round_trip_ms = (time.perf_counter() - started_s) * 1000
    except (RedisError, OSError) as failure:
        meaning, fix = explain(failure, options)
        return [error("connection", f"{address}: {meaning}", "The app does nothing without Redis.", fix)]
    product = product_of(options.host)
    shown = f" ({product})" if product is not Product.PLAIN else ""
    return [_check_tls(options), ok("connection", f"{address}{shown} answers in {round_trip_ms:.1f} ms")]


def _check_tls(options: ConnectionOptions) -> Finding:
    if options.ssl:
        return ok("tls", "on; the certificate is valid for this host")
    if is_local(options.host):
        return ok("tls", "off; Redis is on this machine")
    return warning(
        "tls",
        "off, and Redis is on another machine",
        "The password, session tokens and users' data cross the network unencrypted.",
        f"Add ssl=True to the setting Redis, with the TLS port. {_PORTS}",
    )


def explain(fault: BaseException, options: ConnectionOptions) -> tuple[str, str]:
    """What a failed connection means, and what to do. Uses the class of the error, and shows none of its text."""
    causes = _causes(fault)
    if any(isinstance(cause, RedisConnectionError) and str(cause) == _NO_ROOM for cause in causes):
        return f"it has no room for another connection ({_NO_ROOM})", (
            "CLIENT LIST shows who has many: usually an application that opens one per request. Correct that, or raise "
            "maxclients (on Azure it goes with the tier)."
        )
    for cause in causes:
        if meaning := _meaning(cause, options):
            return meaning
    hint = f"The port may use TLS: add ssl=True. {_PORTS}" if not options.ssl else "The port may not use TLS."
    return f"the connection broke ({type(fault).__name__})", hint


def _meaning(cause: BaseException, options: ConnectionOptions) -> tuple[str, str] | None:
    """What one error means, and what to do; None where its class does not tell."""
    match cause:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not accepted: {cause.verify_message}", (
                "Use the host name that the certificate is for; for a private endpoint too, use the cache's "
                "public name. This machine must trust a self-signed certificate (SSL_CERT_FILE)."
            )
        case ssl.SSLError():
            return "the TLS handshake failed", f"Check that this is the TLS port: {_PORTS} Otherwise set ssl=False."
        case NoToken():
            return str(cause), (
                "Check that the app has this managed identity (Redis__clientId for a user-assigned one); on your "
                "own machine sign in with `az login`, and set Redis__principalId to your own object id."
            )
        case AuthenticationError() if options.identity:
            return "the identity is refused", (
                "Give it a data access policy of this Redis (an access policy assignment), and check that "
                "Redis__principalId is its object id, not its client id."
            )
        case AuthenticationError() if is_local(options.host):
            return (
                "the user or the password is refused",
                "Correct password=... (and user=..., unless it is default) in the connection string.",
            )
        case AuthenticationError():
            return "the user or the password is refused", (
                "Copy the key from the portal again (Settings > Authentication): it may have been regenerated, or "
                "access keys may be disabled in favour of Entra."
            )
        case BusyLoadingError():
            return "the server is loading its data", "Wait for it."
        case ConnectionRefusedError():
            return NOBODY_LISTENS, "Start Redis, or correct its host and port."
        case OSError() if type(cause).__name__ == "gaierror":
            return "the host name is not known", (
                "Correct it; the name of a private endpoint resolves only inside its virtual network."
            )
        case TimeoutError():
            return f"no answer within {CONNECT_TIMEOUT_S:.0f} s", (
                "A firewall, a private endpoint of another network, or the wrong port."
                + (" Or the port does not use TLS." if options.ssl else f" Or the port uses TLS: {_PORTS}")
            )
        case NoPermissionError():
            return "the user may not run PING", "Give it +ping."
        case ResponseError():
            return f"the greeting is refused ({type(cause).__name__})", "The server may be older than Redis 6.0."
    return None


def _causes(fault: BaseException) -> list[BaseException]:
    """The error and its causes, the root cause first."""
    causes: list[BaseException] = []
    cause: BaseException | None = fault
    while cause is not None and cause not in causes:
        causes.insert(0, cause)
        cause = cause.__cause__ or cause.__context__
    return causes
