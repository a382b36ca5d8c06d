"""The Redis users of this app, each with the commands, keys and channels that it needs and no others.

    app        the worker, and the triggers of the same app, which use the same connection
    trigger    what of it the trigger's extension needs
    operator   the command line and the doctor, which look at more

SCRIPTS is exactly what the app's scripts call, and the end-to-end tests run as `app`: tests hold both.
"""

import re
from collections.abc import Mapping
from typing import Any

from shared import namespaces
from shared.registry import REACTORS


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SCRIPTS = _words("""
    del exists expire get getrange hdel hexists hget hgetall hincrby hkeys hlen hmget hset hstrlen llen lrange
    memory|usage object|encoding object|idletime pexpire pttl publish rename set setrange strlen time type unlink
    xadd xdel xinfo|stream xlen xrange xrevrange
    zadd zcard zcount zrange zrangebyscore zrem zremrangebyscore zrevrangebyscore zscore
""")
CLIENT = _words("""
    client|list client|setinfo client|setname config|get dbsize del eval evalsha exists get getrange hget hmget hscan
    info ping psubscribe pttl scan script|load set time xrange zcard zrange
""")
"""Without `client|setname` connections have no name. Without `info`, `client|list` and `config|get` a restart of Redis,
new connections of the triggers and other notification flags are noticed by the heartbeats alone. Without `hscan` the
key look-up of the monitor page shows no hash."""
TRIGGER = _words("client|id client|setinfo client|setname echo info ping psubscribe punsubscribe subscribe unsubscribe")
"""`psubscribe`, `ping` and `echo` suffice; the rest keeps the extension's client from trying again and again."""
_SINCE = {"client|setinfo": (7, 2)}
"""Commands that an older server does not know: it refuses a rule that names one."""
LATEST = max(_SINCE.values())
OPERATOR = _words("acl|whoami dump persist pexpireat rpush scard")
KINDS = (
    *(reactor.kind for reactor in REACTORS),
    namespaces.USER_TOKENS,
    namespaces.QUERY_CACHE,
    namespaces.CHART_CACHE,
    namespaces.PROCESSING,
    namespaces.RESULT,
    namespaces.MODEL,
)
"""Kinds of keys that the app reads or writes, beside its own under `functions:`."""
EVENT_CHANNELS = (namespaces.BATCH_EVENTS_CHANNEL, namespaces.CHART_EVENTS_CHANNEL)


def rules(user: str, server: tuple[int, ...] = LATEST) -> str:
    """The rules of ACL SETUSER for a user named above, without name and password, on a server of this version. Needs
    Redis 6.2."""
    match user:
        case "app":
            commands, keys, channels = SCRIPTS | CLIENT | TRIGGER, own_keys(), (*keyspace_channels(), *event_channels())
        case "trigger":
            commands, keys, channels = TRIGGER, (), keyspace_channels()
        case "operator":
            commands, keys = SCRIPTS | CLIENT | OPERATOR, ("*",)
            channels = (*keyspace_channels(), *event_channels())
        case _:
            raise KeyError(user)
    return _rules(frozenset(name for name in commands if server >= _SINCE.get(name, ())), keys, channels)


def version(server_info: Mapping[str, Any]) -> tuple[int, ...]:
    """Major and minor version of Redis in the reply of INFO; of Valkey, of the Redis that it is compatible with."""
    return tuple(map(int, re.findall(r"\d+", str(server_info.get("redis_version", "")))[:2])) or LATEST


def is_own(key: bytes) -> bool:
    """Whether the app reads or writes keys like this."""
    return key.startswith((*(kind.prefix for kind in KINDS), b"functions:"))


def own_keys() -> tuple[str, ...]:
    return (*sorted({f"{kind.prefix.decode()}*" for kind in KINDS}), "functions:*")


def keyspace_channels() -> tuple[str, ...]:
    """The channel patterns of the triggers. Redis compares a pattern that is subscribed to with them as text; what is
    published is matched against them."""
    return tuple(reactor.channel for reactor in REACTORS)


def event_channels() -> tuple[str, ...]:
    return tuple(channel.decode() for channel in EVENT_CHANNELS)


def acl_file() -> str:
    """A Redis ACL file with the users, whose passwords are to be filled in."""
    users = [f"user {name} on >PASSWORD {rules(name)}" for name in ("app", "trigger", "operator")]
    return "\n".join(users) + "\n"


def access_string() -> str:
    """The rules of `app` as an access string of Azure Managed Redis, whose users have no rights to begin with."""
    return " ".join(rule for rule in rules("app").split() if not rule.startswith(("reset", "-@")))


def _rules(commands: frozenset[str], keys: tuple[str, ...], channels: tuple[str, ...]) -> str:
    return " ".join(
        (
            "resetkeys",
            *(f"~{key}" for key in keys),
            "resetchannels",
            *(f"&{channel}" for channel in channels),
            "-@all",
            *(f"+{command}" for command in sorted(commands)),
        )
    )
