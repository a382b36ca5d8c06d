"""Whether Redis can be reached: connection, TLS, sign-in; and what it means when not."""

import asyncio
import ssl
import time
from collections.abc import Awaitable
from typing import Any

from shared.app import App
from shared.operations.doctor.findings import Finding, error, ok, warning
from shared.operations.doctor.products import Product, is_local, product_of
from shared.store.connection import ConnectionOptions

CONNECT_TIMEOUT_S = 2.0
_PORTS = "Azure Cache for Redis listens with TLS on 6380, Azure Managed Redis on 10000."


async def permitted(answer: Awaitable[Any]) -> Any:
    """The answer, None where Redis refuses the command."""
    from redis.exceptions import ResponseError

    try:
        return await answer
    except ResponseError:
        return None


async def check_connection(app: App, options: ConnectionOptions) -> list[Finding]:
    """Connect, sign in, measure a round trip. The last finding is an error when that is not possible."""
    from redis.exceptions import RedisError

    address = f"{options.host}:{options.port}"
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await app.redis.ping()
            started_s = time.perf_counter()
            await app.redis.ping()
            round_trip_ms = (time.perf_counter() - started_s) * 1000
    except (RedisError, OSError) as fault:
        found, fix = explain(fault, options)
        return [error("connection", f"{address}: {found}", "The app can do nothing without Redis.", fix)]
    product = product_of(options.host)
    shown = f" ({product})" if product is not Product.PLAIN else ""
    return [_check_tls(options), ok("connection", f"{address}{shown} answers in {round_trip_ms:.1f} ms")]


def _check_tls(options: ConnectionOptions) -> Finding:
    if options.ssl:
        return ok("tls", "on; the certificate is valid for this host")
    if is_local(options.host):
        return ok("tls", "off, on this machine")
    return warning(
        "tls",
        "off, and the Redis is on another machine",
        "The password, session tokens and users' data cross the network in the clear.",
        f"Add ssl=True to the setting Redis, with the port that speaks TLS. {_PORTS}",
    )


def explain(fault: BaseException, options: ConnectionOptions) -> tuple[str, str]:
    """What a failed connection means, and what to do. Only what the fault is goes into the text, not what it says."""
    from redis.exceptions import AuthenticationError, BusyLoadingError, NoPermissionError, ResponseError

    for cause in _causes(fault):
        match cause:
            case ssl.SSLCertVerificationError():
                return f"its certificate is not accepted: {cause.verify_message}", (
                    "Use the host name that the certificate is for; a private endpoint too goes by the cache's public "
                    "name. A certificate of your own has to be trusted by this machine (SSL_CERT_FILE)."
                )
            case ssl.SSLError():
                return "the TLS handshake failed", f"Is it the port that speaks TLS? {_PORTS} Else set ssl=False."
            case AuthenticationError():
                return "the user or the password is refused", (
                    "Take the key from the portal again (Settings > Authentication): it may have been regenerated, or "
                    "access keys turned off in favour of Entra."
                )
            case BusyLoadingError():
                return "the server is loading its data", "Wait for it."
            case ConnectionRefusedError():
                return "nobody listens there", "Start the Redis, or correct host and port in the setting Redis."
            case OSError() if type(cause).__name__ == "gaierror":
                return "the host name is not known", (
                    "Correct it; the name of a private endpoint is known inside of its virtual network only."
                )
            case TimeoutError():
                return f"no answer within {CONNECT_TIMEOUT_S:.0f} s", (
                    "A firewall, a private endpoint of another network, or the wrong port."
                    + (" Or the port speaks no TLS." if options.ssl else f" Or the port speaks TLS: {_PORTS}")
                )
            case NoPermissionError():
                return "the user may not run CLIENT SETNAME or PING, with which the app's connections begin", (
                    "Give it +client|setname and +ping."
                )
            case ResponseError():
                return f"the greeting is refused ({type(cause).__name__})", "Is the server older than Redis 6.0?"
    hint = f"Perhaps it speaks TLS: add ssl=True. {_PORTS}" if not options.ssl else "Perhaps it speaks no TLS."
    return f"the connection broke ({type(fault).__name__})", hint


def _causes(fault: BaseException) -> list[BaseException]:
    """The fault behind the fault first."""
    found: list[BaseException] = []
    one: BaseException | None = fault
    while one is not None and one not in found:
        found.insert(0, one)
        one = one.__cause__ or one.__context__
    return found
