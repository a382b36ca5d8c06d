"""One connection setting for the trigger and for this app's own client.

The setting is a StackExchange.Redis configuration string, because that is what the Redis extension of the
Functions host reads; here the same text becomes a redis-py async client. Where an option has no counterpart in
redis-py (it tunes the extension's multiplexer) it is accepted and left to the extension.
"""

import re
import sys
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared.errors import ConfigurationError

if TYPE_CHECKING:
    from redis.asyncio import Redis

DATABASE = 0
"""The triggers watch `__keyspace@0__`; Azure Managed Redis has no other database."""

_LEFT_TO_THE_EXTENSION = frozenset(
    {
        "abortconnect",
        "allowadmin",
        "asynctimeout",
        "checkcertificaterevocation",
        "configcheckseconds",
        "configchannel",
        "connectretry",
        "heartbeatconsistencychecks",
        "heartbeatinterval",
        "highintegrity",
        "keepalive",
        "preserveasyncorder",
        "proxy",
        "resolvedns",
        "setlib",
        "sslprotocols",
        "tiebreaker",
        "tunnel",
        "version",
        "writebuffer",
    }
)
_NOT_SUPPORTED = {
    "servicename": "Sentinel is not supported",
    "sslhost": "redis-py checks the certificate against the endpoint's own name",
    "channelprefix": "keyspace channels have no prefix, so the triggers would never fire",
}


@dataclass(frozen=True)
class ConnectionOptions:
    """What this app needs to know of the `Redis` setting. The password never shows in a repr."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ssl: bool = False
    protocol: int = 3
    connect_timeout_s: float = 5.0
    """StackExchange.Redis' default connectTimeout."""
    command_timeout_s: float = 5.0
    """StackExchange.Redis' default syncTimeout."""
    client_name: str = "keyspace-functions"


def parse_connection_string(text: str) -> ConnectionOptions:
    """Parse `host:port,password=...,ssl=True,abortConnect=False,protocol=resp3,user=...`.

    Raises ConfigurationError that names every option that is wrong or unknown, never its value if that is a secret.
    """
    if "://" in text:  # not quoted: it may hold the password
        raise ConfigurationError("Redis: a URL; a connection string is host:port,password=...,ssl=True")
    faults: list[str] = []
    endpoints: list[str] = []
    values: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals:
            endpoints.append(part)
            continue
        try:
            values |= _parse_option(name.strip(), value.strip(), values)
        except ValueError as fault:
            faults.append(str(fault))
    ssl = bool(values.get("ssl", False))
    if len(endpoints) == 1:
        try:
            values["host"], values["port"] = _parse_endpoint(endpoints[0], default_port=6380 if ssl else 6379)
        except ValueError as fault:
            faults.append(str(fault))
    else:
        faults.append(f"one endpoint host:port expected, {len(endpoints)} found")
    if faults:
        raise ConfigurationError("Redis: " + "; ".join(faults))
    return ConnectionOptions(**values)


def _parse_endpoint(text: str, default_port: int) -> tuple[str, int]:
    if not re.fullmatch(r"[\w.\-:\[\]]+", text, re.ASCII):
        raise ValueError("the endpoint is not host:port")
    host, colon, port = text.rpartition(":")
    if not colon or (text.startswith("[") and text.endswith("]")):
        return text.strip("[]"), default_port
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("the endpoint is not host:port")
    return host.strip("[]"), int(port)


def _parse_option(name: str, value: str, seen: Collection[str]) -> dict[str, Any]:
    match name.lower():
        case "password":
            return {"password": value or None}
        case "user":
            return {"username": value or None}
        case "name":
            return {"client_name": value} if value else {}
        case "ssl":
            return {"ssl": _parse_bool(name, value)}
        case "connecttimeout":
            return {"connect_timeout_s": _parse_ms(name, value) / 1000}
        case "synctimeout":
            return {"command_timeout_s": _parse_ms(name, value) / 1000}
        case "protocol":
            return {"protocol": _parse_protocol(name, value)}
        case "defaultdatabase":
            if value != str(DATABASE):
                raise ValueError(f"{name} has to be {DATABASE}: the triggers watch __keyspace@{DATABASE}__")
            return {}
        case lowered if lowered in _NOT_SUPPORTED and value:
            raise ValueError(f"{name}: {_NOT_SUPPORTED[lowered]}")
        case lowered if lowered in _LEFT_TO_THE_EXTENSION:
            return {}
    # A password that holds a comma ends in what looks like an option: only a plain word may be shown.
    if re.fullmatch(r"[A-Za-z]{1,30}", name) and "password" not in seen:
        raise ValueError(f"unknown option {name!r}")
    raise ValueError("an unknown option, not shown since it may be part of a password")


def _parse_bool(name: str, value: str) -> bool:
    match value.lower():
        case "true" | "yes" | "1":
            return True
        case "false" | "no" | "0":
            return False
    raise ValueError(f"{name} has to be True or False")


def _parse_ms(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit()) or int(value) == 0:
        raise ValueError(f"{name} has to be a number of milliseconds above 0")
    return int(value)


def _parse_protocol(name: str, value: str) -> int:
    match value.lower():
        case "resp2" | "2":
            return 2
        case "resp3" | "3":
            return 3
    raise ValueError(f"{name} has to be resp2 or resp3")


def open_client(options: ConnectionOptions) -> "Redis":
    """A client that connects on first use and returns bytes. The caller closes it with `aclose()`.

    No automatic retry: a command that may have run is decided upon by whoever sent it, not by the client.
    """
    load_redis()
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    from shared.store.transport import over_streams

    client = Redis(
        host=options.host,
        port=options.port,
        db=DATABASE,
        username=options.username,
        password=options.password,
        protocol=options.protocol,
        client_name=options.client_name,
        socket_connect_timeout=options.connect_timeout_s,
        socket_timeout=options.command_timeout_s,
        retry=Retry(NoBackoff(), 0),
        decode_responses=False,
        ssl=options.ssl,
    )
    pool = client.connection_pool
    pool.connection_class = over_streams(pool.connection_class)
    return client


def load_redis() -> None:
    """Import redis-py without OpenTelemetry's SDK, which it loads wherever that is installed, for metrics of its own.

    The app does not use those, and the SDK takes as long to import as all of redis-py. Where the SDK is loaded already
    there is nothing to save.
    """
    sdk = "opentelemetry.sdk.metrics"
    if sdk in sys.modules:
        return
    sys.modules[sdk] = None  # type: ignore[assignment]  # how Python says: cannot be imported
    try:
        import redis.asyncio  # noqa: F401
    finally:
        del sys.modules[sdk]
