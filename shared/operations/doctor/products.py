"""The product of a Redis, by its host name, and how to change a server setting there.

Azure blocks CONFIG; its settings are properties of the resource.
"""

import ipaddress
import json
import shlex
from dataclasses import dataclass
from enum import StrEnum

from shared.store.connection import ConnectionOptions


class Product(StrEnum):
    PLAIN = "Redis or Valkey"
    AZURE_CACHE = "Azure Cache for Redis"
    AZURE_MANAGED = "Azure Managed Redis"


_SUFFIXES = {
    ".redis.cache.windows.net": Product.AZURE_CACHE,
    ".redis.cache.usgovcloudapi.net": Product.AZURE_CACHE,
    ".redis.cache.chinacloudapi.cn": Product.AZURE_CACHE,
    ".redis.azure.net": Product.AZURE_MANAGED,
    ".redisenterprise.cache.azure.net": Product.AZURE_MANAGED,
}
_MANAGED_API = "2026-02-01-preview"
"""The first version of the API with notifyKeyspaceEvents."""


@dataclass(frozen=True)
class Change:
    """How to change a setting, as text and as commands. GROUP stands for the resource group."""

    words: str
    commands: tuple[str, ...]


def product_of(host: str) -> Product:
    host = host.lower().rstrip(".")
    return next((product for suffix, product in _SUFFIXES.items() if host.endswith(suffix)), Product.PLAIN)


def is_local(host: str) -> bool:
    """Whether the host is this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def redis_cli(options: ConnectionOptions, *words: str, as_admin: bool = False) -> str:
    """A shell command that runs a command of Redis on this server. It asks for the password.

    `as_admin`: not as the user of the options, for a command that needs more rights.
    """
    cli = ["redis-cli", "-h", options.host, "-p", str(options.port)]
    if options.ssl:
        cli.append("--tls")
    if options.username and not as_admin:
        cli += ["--user", options.username]
    if options.password:
        cli.append("--askpass")
    return shlex.join([*cli, *words])


def change_flags(options: ConnectionOptions, value: str) -> Change:
    """How to set notify-keyspace-events. The value holds a `$`, so it stands in single quotes for the shell."""
    host = options.host
    match product_of(host):
        case Product.AZURE_CACHE:
            return Change(
                "In the portal: Settings > Advanced settings > notify-keyspace-events (Standard and Premium; the Basic "
                "tier does not have it). Or:",
                (_az_redis(host, "notify-keyspace-events", value),),
            )
        case Product.AZURE_MANAGED:
            body = json.dumps({"properties": {"notifyKeyspaceEvents": value}})
            url = (
                "/subscriptions/{subscriptionId}/resourceGroups/GROUP/providers/Microsoft.Cache/redisEnterprise/"
                f"{_name(host)}/databases/default?api-version={_MANAGED_API}"
            )
            return Change(
                f"It is the property notifyKeyspaceEvents of the database (preview, api-version {_MANAGED_API}):",
                (f"az rest --method patch --url '{url}' --body '{body}'",),
            )
    return _plain(options, "notify-keyspace-events", value)


def change_eviction(options: ConnectionOptions, policy: str) -> Change:
    """How to set maxmemory-policy."""
    host = options.host
    match product_of(host):
        case Product.AZURE_CACHE:
            return Change(
                "In the portal: Settings > Advanced settings > maxmemory policy. Or:",
                (_az_redis(host, "maxmemory-policy", policy),),
            )
        case Product.AZURE_MANAGED:
            name = {"volatile-ttl": "VolatileTTL", "noeviction": "NoEviction"}[policy]
            return Change(
                "In the portal: Settings > Advanced settings > eviction policy. Or:",
                (
                    f"az redisenterprise database update --cluster-name {_name(host)} --resource-group GROUP "
                    f"--eviction-policy {name}",
                ),
            )
    return _plain(options, "maxmemory-policy", policy)


def _az_redis(host: str, setting: str, value: str) -> str:
    return f"az redis update --name {_name(host)} --resource-group GROUP --set 'redisConfiguration.{setting}={value}'"


def _plain(options: ConnectionOptions, setting: str, value: str) -> Change:
    return Change(
        f"For the running server with CONFIG SET; permanently as the line `{setting} {value}` in redis.conf "
        "(or with CONFIG REWRITE after CONFIG SET):",
        (redis_cli(options, "CONFIG", "SET", setting, value),),
    )


def _name(host: str) -> str:
    return host.partition(".")[0]
