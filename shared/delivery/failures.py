"""Turns an error into an outcome, for every reactor.

Rejected, WorkerLost        another attempt would fail too: a dead letter at once
Redis is away, or refuses   no retry can be stored; reconciliation finds the key after Redis' return
any other error             a retry after a backoff; when attempts are used up, a dead letter
"""

import re
import traceback
from collections.abc import Sequence
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared import telemetry
from shared.app import App, Call
from shared.delivery import dead_letters, retries
from shared.errors import KeyspaceError, Rejected, WorkerLost
from shared.reactor import Outcome, Payload, Withheld, dead, rejected, retried
from shared.store.script import Script

AWAY = "Redis is away; reconciliation will find the key"
_REFUSED = re.compile(r"\b(OOM|READONLY|MISCONF|NOPERM|NOREPLICAS|BUSY|LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN)\b")
"""Error codes of a server that refuses every client or this user: full, failing over, starting, or an ACL."""


def is_outage(error: BaseException) -> bool:
    """Whether Redis is unreachable, did not reply in time, or refuses to serve: the key is not the cause."""
    if isinstance(error, RedisConnectionError | RedisTimeoutError | OSError):
        return True
    return isinstance(error, RedisError) and bool(_REFUSED.search(f"{type(error).__name__} {error}"))


async def run_repeatable(app: App, script: Script, calls: Sequence[Call]) -> list[Any]:
    """A reply or an error per call, in one round trip, for a script whose calls can be repeated.

    A failed round trip is repeated once: perhaps only its reply was lost. Never raises.
    """
    if not calls:
        return []
    try:
        replies = await app.run_many(script, calls)
    except Exception:  # the caller passes the second error to `failed`
        try:
            replies = await app.run_many(script, calls)
        except Exception as error:
            return [error] * len(calls)
    telemetry.recovered("Redis")
    return replies


async def failed(
    app: App,
    reactor: str,
    key: bytes,
    error: Exception,
    payload: Payload | Withheld | None = None,
    *,
    attempts: int = 1,
) -> Outcome:
    """Record that the reaction to `key` failed, as a retry or a dead letter. `payload` is the content, if it was read.

    Never raises: if the record cannot be written, reconciliation finds the key.
    """
    try:
        return await _failed(app, reactor, key, error, payload, attempts)
    except Exception as fault:  # nothing is lost: the content has no effect, so reconciliation reacts to it
        _log(reactor, fault)
        return retried(key, AWAY)


async def _failed(
    app: App, reactor: str, key: bytes, error: Exception, payload: Payload | Withheld | None, attempts: int
) -> Outcome:
    if isinstance(error, Rejected | WorkerLost):
        await dead_letters.bury(app, reactor, key, error, payload, attempts=attempts)
        return rejected(key, str(error)) if isinstance(error, Rejected) else dead(key, str(error))
    _log(reactor, error)
    if is_outage(error):
        return retried(key, AWAY)
    due = await retries.schedule(app, reactor, key, error, digest=payload.digest if payload else "")
    name = type(error).__name__
    if due.delay_s is not None:
        return retried(key, f"{name}; attempt {due.attempts}, again in {due.delay_s:.1f} s")
    await dead_letters.bury(app, reactor, key, error, payload, attempts=due.attempts)
    return dead(key, f"{name}; {due.attempts} attempts")


def _log(reactor: str, error: Exception) -> None:
    """Log the class and traceback of an unexpected error, but not its text, which may hold input.

    The outcome's log line has the text of this app's own errors.
    """
    if isinstance(error, KeyspaceError):
        return
    if is_outage(error):
        telemetry.outage("Redis", error)
        return
    frames = "".join(traceback.format_tb(error.__traceback__)[-5:])
    telemetry.logger.error("%s failed with %s at\n%s", reactor, type(error).__name__, frames)
