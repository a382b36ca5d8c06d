"""What a failure leads to: one place that turns an error into an outcome, for every reactor.

Rejected, WorkerLost        another attempt would fail as well: a dead letter at once
Redis is away, or refuses   nothing can be noted there; the sweep that follows its return finds the key
anything else               due again after a backoff, until its attempts are used up: then a dead letter
"""

import re
import traceback
from collections.abc import Sequence
from typing import Any

from shared import telemetry
from shared.app import App, Call
from shared.delivery import dead_letters, retries
from shared.errors import KeyspaceError, Rejected, WorkerLost
from shared.reactor import Outcome, Payload, Withheld, dead, rejected, retried
from shared.store.script import Script

AWAY = "Redis is away; the sweep will do it"
_REFUSED = re.compile(r"\b(OOM|READONLY|MISCONF|NOPERM|NOREPLICAS|BUSY|LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN)\b")
"""Error codes of a server that cannot serve anybody now: full, failing over, starting, or set up against us."""


def is_outage(error: BaseException) -> bool:
    """Whether Redis could not be reached, did not answer in time, or refuses to serve: nothing of this key's doing."""
    from redis.exceptions import ConnectionError as RedisConnectionError
    from redis.exceptions import RedisError
    from redis.exceptions import TimeoutError as RedisTimeoutError

    if isinstance(error, RedisConnectionError | RedisTimeoutError | OSError):
        return True
    return isinstance(error, RedisError) and bool(_REFUSED.search(f"{type(error).__name__} {error}"))


async def run_repeatable(app: App, script: Script, calls: Sequence[Call]) -> list[Any]:
    """A reply or an error per call of a script whose calls can be repeated, in one round trip.

    A trip that failed is made once more: its answer may only have been lost. Never raises.
    """
    if not calls:
        return []
    try:
        replies = await app.run_many(script, calls)
    except Exception:  # tried once more, and then `failed` decides
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
    """Note that reacting to `key` failed, and say what becomes of it. `payload` is what was read, if it was.

    Never raises: where the note itself cannot be written, the sweep finds the key.
    """
    try:
        return await _failed(app, reactor, key, error, payload, attempts)
    except Exception as fault:  # nothing is lost: the key has no up-to-date effect, which a sweep sees
        _tell(reactor, fault)
        return retried(key, AWAY)


async def _failed(
    app: App, reactor: str, key: bytes, error: Exception, payload: Payload | Withheld | None, attempts: int
) -> Outcome:
    if isinstance(error, Rejected | WorkerLost):
        await dead_letters.bury(app, reactor, key, error, payload, attempts=attempts)
        return rejected(key, str(error)) if isinstance(error, Rejected) else dead(key, str(error))
    _tell(reactor, error)
    if is_outage(error):
        return retried(key, AWAY)
    due = await retries.schedule(app, reactor, key, error, digest=payload.digest if payload else "")
    name = type(error).__name__
    if due.delay_s is not None:
        return retried(key, f"{name}; attempt {due.attempts}, again in {due.delay_s:.1f} s")
    await dead_letters.bury(app, reactor, key, error, payload, attempts=due.attempts)
    return dead(key, f"{name}; {due.attempts} attempts")


def _tell(reactor: str, error: Exception) -> None:
    """Log an unexpected error with where it came from. Its text may hold input, so it stays out.

    Our own errors say it all in the outcome's line.
    """
    if isinstance(error, KeyspaceError):
        return
    if is_outage(error):
        telemetry.outage("Redis", error)
        return
    frames = "".join(traceback.format_tb(error.__traceback__)[-5:])
    telemetry.logger.error("%s failed with %s at\n%s", reactor, type(error).__name__, frames)
