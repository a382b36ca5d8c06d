"""The Redis users of this app, each with the commands, keys and channels that it needs and no others.

    app        the worker, and the triggers of the same app, which use the same connection
    trigger    what of it the trigger's extension needs
    operator   the command line and the doctor, which look at more

SCRIPTS is exactly what the app's scripts call, and the end-to-end tests run as `app`: tests hold both.
"""

from shared import namespaces
from shared.registry import REACTORS


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SCRIPTS = _words("""
    del exists expire get getrange hdel hexists hget hgetall hincrby hkeys hlen hmget hset hstrlen llen lrange
    memory|usage object|encoding object|idletime pexpire pttl publish rename set setrange strlen time type unlink
    xadd xdel xinfo|stream xlen xrange xrevrange
    zadd zcard zcount zrange zrangebyscore zrem zrevrangebyscore zscore
""")
CLIENT = _words("""
    client|list client|setinfo client|setname config|get dbsize del eval evalsha exists get getrange hget hmget info
    ping psubscribe pttl scan script|load set time xrange zcard zrange
""")
"""Without `client|setname` connections have no name. Without `info`, `client|list` and `config|get` a restart of Redis,
new connections of the triggers and other notification flags are noticed by the heartbeats alone."""
TRIGGER = _words("client|id client|setinfo client|setname echo info ping psubscribe punsubscribe subscribe unsubscribe")
"""`psubscribe`, `ping` and `echo` suffice; the rest keeps the extension's client from trying again and again."""
OPERATOR = _words("acl|whoami dump hscan persist pexpireat rpush scard")
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


def rules(user: str) -> str:
    """The rules of ACL SETUSER for a user named above, without name and password. Needs Redis 6.2."""
    match user:
        case "app":
            return _rules(SCRIPTS | CLIENT | TRIGGER, own_keys(), (*keyspace_channels(), *event_channels()))
        case "trigger":
            return _rules(TRIGGER, (), keyspace_channels())
        case "operator":
            return _rules(SCRIPTS | CLIENT | OPERATOR, ("*",), (*keyspace_channels(), *event_channels()))
    raise KeyError(user)


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
