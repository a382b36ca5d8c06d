"""The `Redis` setting: one connection string for the triggers and for this app's own client.

The setting is a StackExchange.Redis configuration string, since the Redis extension of the Functions host reads it.
This module turns the same text into an asynchronous redis-py client. Options without a counterpart in redis-py, which
tune the extension's multiplexer, are accepted and ignored.
"""

import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from hiredis import pack_command
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from shared.errors import ConfigurationError
from shared.store.identity import Identity, Token, Tokens
from shared.store.refusals import is_demotion

DATABASE = 0
"""The triggers subscribe to `__keyspace@0__`; Azure Managed Redis has no other database."""

_ONLY_FOR_THE_EXTENSION = frozenset(
    {
        "allowadmin",
        "asynctimeout",
        "checkcertificaterevocation",
        "configcheckseconds",
        "configchannel",
        "connectretry",
        "highprioritythreads",
        "keepalive",
        "preserveasyncorder",
        "proxy",
        "resolvedns",
        "responsetimeout",
        "setlib",
        "sslprotocols",
        "tiebreaker",
        "tunnel",
        "version",
        "writebuffer",
    }
)
"""Options of StackExchange.Redis 2.7.4, the trigger's client, without a counterpart in redis-py."""
_NOT_SUPPORTED = {
    "servicename": "Sentinel is not supported",
    "sslhost": "redis-py checks the certificate against the endpoint's own name",
    "channelprefix": "keyspace channels have no prefix, so the triggers would never fire",
    "heartbeatconsistencychecks": "the trigger's client does not know it and would not start",
    "heartbeatinterval": "the trigger's client does not know it and would not start",
    "highintegrity": "the trigger's client does not know it and would not start",
}


@dataclass(frozen=True)
class ConnectionOptions:
    """The parsed `Redis` setting. The repr does not show the password."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ssl: bool = False
    protocol: int = 3
    """Of the app's own client; the trigger's client speaks RESP2 unless it is told otherwise, which is refused."""
    connect_timeout_s: float = 5.0
    """StackExchange.Redis' default connectTimeout."""
    command_timeout_s: float = 5.0
    """StackExchange.Redis' default syncTimeout."""
    client_name: str = "keyspace-functions"
    abort_connect: bool = True
    """Whether the trigger gives up when Redis is away at its start. The app's own client does not."""
    identity: Identity | None = None
    """Who signs in with tokens, in place of user and password."""


def parse_connection_string(text: str, identity: Identity | None = None) -> ConnectionOptions:
    """Parse `host:port,password=...,ssl=True,abortConnect=False,user=...`.

    With an identity, `text` is the value of `redisHostName`: options may follow the host name, TLS is on and
    abortConnect off unless they say otherwise, as the extension has it. Raises ConfigurationError, which names every
    wrong or unknown option and never shows a secret value.
    """
    if "://" in text:  # not quoted: it may contain the password
        raise ConfigurationError("Redis: a URL is not supported; expected host:port,password=...,ssl=True")
    faults: list[str] = []
    endpoints: list[str] = []
    values: dict[str, Any] = {} if identity is None else {"identity": identity, "ssl": True, "abort_connect": False}
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
        faults.append(f"expected one endpoint host:port, not {len(endpoints)}")
    if identity and not ssl:
        faults.append("ssl must be True with sign-in by identity: the token would travel in clear text")
    if identity and (values.get("username") or values.get("password")):
        faults.append("user and password contradict sign-in by identity; leave them out")
    if faults:
        name = "Redis__redisHostName" if identity else "Redis"
        raise ConfigurationError(*(f"{name}: {fault}" for fault in faults))
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
        case "ssl" | "abortconnect" as flag:
            return {"ssl" if flag == "ssl" else "abort_connect": _parse_bool(name, value)}
        case "connecttimeout":
            return {"connect_timeout_s": _parse_ms(name, value) / 1000}
        case "synctimeout":
            return {"command_timeout_s": _parse_ms(name, value) / 1000}
        case "protocol":
            return {"protocol": _parse_protocol(name, value)}
        case "defaultdatabase":
            if value != str(DATABASE):
                raise ValueError(f"{name} must be {DATABASE}: the triggers subscribe to __keyspace@{DATABASE}__")
            return {}
        case lowered if lowered in _NOT_SUPPORTED and value:
            raise ValueError(f"{name}: {_NOT_SUPPORTED[lowered]}")
        case lowered if lowered in _ONLY_FOR_THE_EXTENSION:
            return {}
    # The part after a comma in a password looks like an option, so only a plain word before any password is shown.
    if re.fullmatch(r"[A-Za-z]{1,30}", name) and "password" not in seen:
        raise ValueError(f"unknown option {name!r}")
    raise ValueError("an unknown option (not shown: it may be part of a password)")


def _parse_bool(name: str, value: str) -> bool:
    match value.lower():
        case "true" | "yes" | "1":
            return True
        case "false" | "no" | "0":
            return False
    raise ValueError(f"{name} must be True or False")


def _parse_ms(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit()) or int(value) == 0:
        raise ValueError(f"{name} must be a number of milliseconds above 0")
    return int(value)


def _parse_protocol(name: str, value: str) -> int:
    match value.lower():
        case "resp2" | "2":
            return 2
        case "resp3" | "3":
            raise ValueError(
                f"{name}: over RESP3 the trigger does not subscribe again after a lost connection; leave it out"
            )
    raise ValueError(f"{name} must be resp2, or be left out")


def open_client(options: ConnectionOptions) -> Redis:
    """A client that connects on first use and returns bytes. The caller closes it with `aclose()`.

    The client does not retry: only the caller knows whether a command that may have run can be repeated.
    """
    client = Redis(
        host=options.host,
        port=options.port,
        db=DATABASE,
        username=options.username,
        password=options.password,
        credential_provider=Tokens(options.identity) if options.identity else None,
        protocol=options.protocol,
        client_name=options.client_name,
        socket_connect_timeout=options.connect_timeout_s,
        socket_timeout=options.command_timeout_s,
        retry=Retry(NoBackoff(), 0),
        decode_responses=False,
        ssl=options.ssl,
    )
    pool = client.connection_pool
    pool.connection_class = _adapted(pool.connection_class)
    return client


def leave_server(client: Redis) -> None:
    """Replace every connection of a client of `open_client` before its next use. For a script that reports as data that
    the server is a replica; where that is the reply itself, the connection notices."""
    connection_class: Any = client.connection_pool.connection_class
    connection_class.newest = getattr(connection_class, "newest", 0) + 1


def _adapted(connection_class: type[AbstractConnection]) -> type[AbstractConnection]:
    """redis-py's connection with six changes:

    - hiredis packs the commands too: a script call for 64 batches has 400 arguments.
    - A connection that ended while it was idle is replaced under RESP3 as well.
    - A server that says it is a replica is left: every connection that was open then is replaced before its next use,
      and so reaches the new primary. redis-py would keep them.
    - A user who may not call CLIENT can connect: the name is for operators.
    - With sign-in by identity, a connection signs in again before its next use once there is a newer token.
    - A write to an ended connection is a ConnectionError. The event loops raise what no handler expects: RuntimeError
      (uvloop, which the platform's worker uses) or AttributeError (asyncio's own).
    - A connection that is dropped after an error or a cancelled call is aborted. Closed, it would wait until its unsent
      bytes are taken and, over TLS, up to 30 s for the other side's goodbye: for ever on a path that swallows packets.
    """

    class Connection(connection_class):  # type: ignore[valid-type, misc]
        client_name: str | None
        newest = 0
        """Connections of an earlier generation lead to a server that was a replica."""
        generation = 0
        token: Token | None = None
        """The token that it signed in with."""

        def pack_command(self, *args: Any) -> list[bytes]:
            if b" " in self.encoder.encode(args[0]):  # two words are two arguments, which the base class splits
                return super().pack_command(*args)  # type: ignore[no-any-return]
            return [pack_command(args)]

        async def on_connect_check_health(self, check_health: bool = True) -> None:
            self.generation = type(self).newest
            if isinstance(self.credential_provider, Tokens):
                self.token = await self.credential_provider.current()
            name, self.client_name = self.client_name, None
            try:
                await super().on_connect_check_health(check_health)
            finally:
                self.client_name = name
            if name:
                await self.send_command("CLIENT", "SETNAME", name, check_health=False)
                with suppress(ResponseError):
                    await self.read_response()

        @property
        def outdated(self) -> bool:
            """Whether it leads to a server that was a replica, and is to be replaced."""
            return self.generation != type(self).newest

        async def can_read(self) -> bool:
            """Whether something is unread. Raises ConnectionResetError when the connection is to be replaced: with
            RESP3 the pool takes True for a push message and would hand out a connection that has ended."""
            if self.outdated:
                raise ConnectionResetError("the server was a replica")
            if self.is_connected and self._reader.at_eof():
                raise ConnectionResetError("the connection has ended")
            if isinstance(self.credential_provider, Tokens):
                await self._sign_in_again(self.credential_provider)
            return await super().can_read()  # type: ignore[no-any-return]

        async def _sign_in_again(self, tokens: Tokens) -> None:
            newest = await tokens.current()
            if self.token and newest.value == self.token.value:
                return
            if self.token is None or not self.token.is_valid():  # the server ends it now, or has done so
                raise ConnectionResetError("the connection's token has expired")
            await self.send_command("AUTH", tokens.user, newest.value, check_health=False)
            await self.read_response()
            self.token = newest

        async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
            if self.is_connected and self._writer.is_closing():
                await self.disconnect(nowait=True)
                raise RedisConnectionError("the connection has ended")
            await super().send_packed_command(*args, **kwargs)

        async def read_response(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return await super().read_response(*args, **kwargs)
            except ResponseError as error:
                if is_demotion(error) and not self.outdated:
                    type(self).newest += 1
                raise

        async def disconnect(self, nowait: bool = False, **kwargs: Any) -> None:
            if nowait and self.is_connected:
                self._writer.transport.abort()
            await super().disconnect(nowait, **kwargs)

    return Connection
