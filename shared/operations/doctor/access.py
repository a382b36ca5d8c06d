"""The permissions of the Redis user: tries every command that the app uses, on a key of the doctor's own.

Redis checks permissions before the type of the key, so a command that is refused for the type is permitted. ACL DRYRUN
would check without running commands, but needs Redis 7 and a permission of its own.
"""

import secrets
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ReadOnlyError, ResponseError

from shared import namespaces
from shared.operations import redis_users
from shared.operations.doctor.findings import Finding, error, info, ok
from shared.operations.doctor.products import redis_cli
from shared.registry import REACTORS
from shared.settings import Settings

KEY_PREFIX = "functions:doctor:"
KEY_TTL_MS = 10_000
# One per command. KEY is the doctor's key, a short string with a TTL.
TRIALS = """
SET KEY doctor PX 10000|GET KEY|EXISTS KEY|TYPE KEY|STRLEN KEY|GETRANGE KEY 0 0|SETRANGE KEY 0 d|PTTL KEY
EXPIRE KEY 10|PEXPIRE KEY 10000|OBJECT ENCODING KEY|MEMORY USAGE KEY SAMPLES 1
HSET KEY f v|HGET KEY f|HMGET KEY f|HGETALL KEY|HDEL KEY f|HLEN KEY|HEXISTS KEY f|HINCRBY KEY f 1|HSTRLEN KEY f
HKEYS KEY|LLEN KEY|LRANGE KEY 0 0
ZADD KEY 1 m|ZREM KEY m|ZSCORE KEY m|ZCARD KEY|ZCOUNT KEY 0 0|ZRANGE KEY 0 0|ZRANGEBYSCORE KEY 0 0
ZREVRANGEBYSCORE KEY 0 0|ZREMRANGEBYSCORE KEY 0 0
XADD KEY * f v|XLEN KEY|XRANGE KEY - + COUNT 1|XREVRANGE KEY + - COUNT 1|XDEL KEY 1-1|XINFO STREAM KEY
RENAME KEY KEY|DEL KEY|UNLINK KEY
TIME|SCAN 0 MATCH KEY COUNT 1|SCRIPT LOAD return|EVAL return 0|EVALSHA 0000000000000000000000000000000000000000 0
"""
READ_PREFIXES = (*(reactor.kind.prefix for reactor in REACTORS), namespaces.SESSION_BY_USER.prefix)
WRITTEN = (
    namespaces.RESULT,
    namespaces.MODEL,
    namespaces.PROCESSING,
    namespaces.CHART_CACHE,
    namespaces.QUERY_CACHE,
    namespaces.STATISTICS,
)
"""Kinds of keys that the app writes whatever its settings."""


def written_prefixes(settings: Settings) -> tuple[bytes, ...]:
    """Prefixes of the keys that the app writes with these settings: keys of its clients only where it is asked to."""
    asked_for = {
        namespaces.CHART_DATA: bool(settings.chart_sources),
        namespaces.USER_TOKENS: settings.revoke_tokens_on_last_logout,
        namespaces.SESSION: settings.delete_lapsed_sessions,
    }
    return tuple(kind.prefix for kind in (*WRITTEN, *(kind for kind, asked in asked_for.items() if asked)))


def trials(key: bytes) -> list[list[bytes]]:
    """The commands of TRIALS, on `key`."""
    lines = TRIALS.strip().replace("\n", "|").split("|")
    return [[key if word == "KEY" else word.encode() for word in line.split()] for line in lines]


async def check_access(redis: Redis, settings: Settings) -> list[Finding]:
    """Try the commands, keys and channels that the app needs with these settings. Raises what the Redis client raises
    when Redis is away."""
    mark, options = secrets.token_hex(8), settings.redis_options
    refused = await _refused_commands(redis, f"{KEY_PREFIX}{mark}".encode())
    refused += await _refused_keys(redis, mark, written_prefixes(settings))
    refused += await _refused_channels(redis)
    user = await _user(redis)
    if not refused:
        return [
            ok(
                "access",
                f"{user} has every permission that the app needs",
                "All tried but PUBLISH on the event channels.",
            )
        ]
    if any("read-only" in text for text in refused):
        return [info("access", "not checked: the server takes no writes", "See the finding on its role.")]
    granted = redis_users.rules("operator", await _version(redis)).split()
    return [
        error(
            "access",
            f"{user} is refused: {', '.join(refused)}",
            "Reactions that need them fail until they become dead letters; events on refused channels are lost.",
            "Grant them, as an administrator; in Azure by a data access policy (Data Owner, or one that names them). "
            "All rules for app and command line (docs/security.md has those of the app alone; & needs Redis 6.2):",
            (redis_cli(options, "ACL", "SETUSER", options.username or "NAME", "on", *granted, as_admin=True),),
        )
    ]


async def _version(redis: Redis) -> tuple[int, ...]:
    try:
        return redis_users.version(await redis.info("server"))
    except ResponseError:  # not shown to this user
        return redis_users.LATEST


async def _refused_commands(redis: Redis, key: bytes) -> list[str]:
    """Names of the commands of `trials` that this user may not run."""
    commands = trials(key)
    clean_up = [
        [b"PEXPIRE", key, str(KEY_TTL_MS).encode()],
        [b"UNLINK", key],
    ]  # the TTL removes the key if UNLINK is refused
    replies = await _each(redis, [*commands, *clean_up])
    if any(isinstance(reply, ReadOnlyError) for reply in replies):
        return ["writes (read-only)"]
    refused = [
        command[0].decode()
        for command, reply in zip(commands, replies, strict=False)
        if isinstance(reply, NoPermissionError) and not _refused_for_key(reply)
    ]
    return refused + [f"keys {KEY_PREFIX}*"] * any(map(_refused_for_key, replies))


async def _refused_keys(redis: Redis, mark: str, written: Sequence[bytes]) -> list[str]:
    """Key patterns that this user may not read or, if their prefix is one of `written`, write.

    The keys do not exist, so EXPIRE, which needs the permission to write, changes nothing and causes no event.
    """
    patterns = [(b"EXISTS", prefix) for prefix in READ_PREFIXES] + [(b"EXPIRE", prefix) for prefix in written]
    commands = [[name, prefix + f"doctor-{mark}".encode()] + [b"1"] * (name == b"EXPIRE") for name, prefix in patterns]
    replies = await _each(redis, commands)
    if all(map(_refused_for_key, replies)):
        return ["keys of the app"]
    return [
        f"keys {prefix.decode()}*"
        for (_, prefix), reply in zip(patterns, replies, strict=True)
        if _refused_for_key(reply)
    ]


def _refused_for_key(reply: Any) -> bool:
    """Whether Redis refused the key, not the command. Every version has these words."""
    return isinstance(reply, NoPermissionError) and "to access" in str(reply)


async def _refused_channels(redis: Redis) -> list[str]:
    """Channel patterns that this user may not subscribe to."""
    refused = []
    for reactor in REACTORS:
        pubsub = redis.pubsub()
        try:
            await pubsub.psubscribe(reactor.channel)
            await pubsub.get_message(timeout=1)
        except NoPermissionError:
            refused.append(f"PSUBSCRIBE {reactor.channel}")
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py has no annotation here
    return refused


async def _each(redis: Redis, commands: Sequence[Sequence[bytes]]) -> list[Any]:
    """A reply or an exception per command: one round trip."""
    pipeline = redis.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    replies: list[Any] = await pipeline.execute(raise_on_error=False)
    return replies


async def _user(redis: Redis) -> str:
    try:
        name: bytes | str = await redis.acl_whoami()
    except ResponseError:
        return "the user"
    return f"user {name.decode(errors='backslashreplace') if isinstance(name, bytes) else name!r}"
