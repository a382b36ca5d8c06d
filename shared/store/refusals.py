"""Classify errors of Redis: whether it is away, refuses to serve, or answers about one key.

Away      no reply, or none but "not now": nothing can be done until it is back (a restart, a network, a hanging script)
Refuses   it replies, and refuses some commands whatever the key: full, read-only, not enough replicas, a missing right
neither   the reply is about the key or the script

redis-py maps most codes to classes and strips the code from the text; other codes stay in the text. A refusal inside a
script arrives in one of three ways: as the code itself (Redis 7, Valkey), without its code (a command or channel that
an ACL forbids), or behind the text that Redis 6 puts before it.
"""

import re

from redis.exceptions import (
    AuthenticationError,
    ClusterCrossSlotError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.store.identity import NoToken

_REFUSALS = (
    ClusterCrossSlotError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
_DEMOTED = (MasterDownError, ReadOnlyError)
_CODES = "OOM|READONLY|MISCONF|NOREPLICAS|NOPERM|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MOVED|ASK|CROSSSLOT"
_BEFORE_REDIS_7 = r"(?:ERR )?(?:Error running script \(call to f_\w+\): )?(?:@\w+: ?\d+: )*"
"""What stands before a refusal inside a script; of one that the script caught and returned, without its beginning."""
_REFUSED = re.compile(
    rf"{_BEFORE_REDIS_7}-?"
    rf"(?:(?:{_CODES})\b"
    r"|ACL failure in script\b"  # Valkey
    r"|The user executing the script can't\b"  # Redis
    r"|unknown (?:\w+ )?command\b)",
    re.IGNORECASE,
)
_WRONG_TYPE = re.compile(rf"{_BEFORE_REDIS_7}-?WRONGTYPE\b")
_DEMOTED_CODE = re.compile(rf"{_BEFORE_REDIS_7}-?(?:READONLY|MASTERDOWN)\b")


def is_away(error: BaseException) -> bool:
    """Whether Redis cannot be reached, does not reply in time, or serves nobody: it loads its data or runs a script."""
    if isinstance(error, RedisConnectionError | RedisTimeoutError | OSError):  # LOADING is a ConnectionError
        return True
    return isinstance(error, ResponseError) and str(error).startswith("BUSY ")


def why_away(error: BaseException) -> str:
    """Why Redis cannot be reached, for an operator; no text of the server, which may quote a key."""
    if isinstance(error, NoToken):
        return f"Redis: {error}"
    if isinstance(error, AuthenticationError):
        return "Redis refuses the sign-in: wrong user or password, or an identity without an access policy"
    return f"Redis does not answer: {type(error).__name__}"


def is_refusal(error: BaseException) -> bool:
    """Whether Redis replied and refuses to serve, whatever the key: it is full or read-only, or a right is missing."""
    if isinstance(error, _REFUSALS):
        return True
    return isinstance(error, ResponseError) and _REFUSED.match(str(error)) is not None


def name_of(error: BaseException) -> str:
    """The class of an error for a log line, or the code of a refusal that redis-py has no class for. Never its text,
    which may quote a key."""
    if type(error) is not ResponseError or not is_refusal(error):
        return type(error).__name__
    code = re.search(rf"\b(?:{_CODES})\b", str(error))
    return code[0] if code else "unknown command" if "unknown" in str(error).lower() else "NOPERM"


def is_demotion(error: BaseException) -> bool:
    """Whether the server is a replica: the connection leads to a server that was the primary before a failover."""
    if isinstance(error, _DEMOTED):
        return True
    return isinstance(error, ResponseError) and _DEMOTED_CODE.match(str(error)) is not None


def is_wrong_type(error: object) -> bool:
    """Whether Redis refused a command because the key holds another type: another application has written it."""
    return isinstance(error, Exception) and _WRONG_TYPE.match(str(error)) is not None
