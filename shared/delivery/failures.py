"""Turns an error into an outcome, for every reactor.

Rejected, WorkerLost        another attempt would fail too: a dead letter at once
Redis is away, or refuses   the key is not the cause: no attempt is used; reconciliation finds the key afterwards
any other error             a retry after a backoff; when attempts are used up, a dead letter

While Redis refuses to serve, one refused key per reactor is remembered. shared/delivery/self_repair.py tries it again
and again: it shows when Redis serves that reactor again.
"""

import traceback
from collections.abc import Sequence
from typing import Any

from shared import telemetry
from shared.app import App, Call
from shared.delivery import dead_letters, retries
from shared.errors import KeyspaceError, Rejected, WorkerLost
from shared.reactor import Outcome, Payload, Withheld, dead, rejected, retried
from shared.store.connection import leave_server
from shared.store.refusals import is_away, is_demotion, is_refusal
from shared.store.script import Script
from shared.words import counted

AWAY = "Redis is away; reconciliation will find the key"
REFUSED = "Redis refuses to serve; reconciliation will find the key"


def is_outage(error: BaseException) -> bool:
    """Whether Redis is unreachable, did not reply in time, or refuses to serve: the key is not the cause."""
    return is_away(error) or is_refusal(error)


def refused_keys() -> dict[str, bytes]:
    """State of the app: by reactor, the key that Redis refused to serve last."""
    return {}


def report_outage(error: BaseException, part: str) -> None:
    """Record that Redis is away, or that it refuses `part`, such as a reactor's work."""
    telemetry.outage("Redis", error, part if is_refusal(error) else "")


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
        return _postponed(app, reactor, key, fault)


async def _failed(
    app: App, reactor: str, key: bytes, error: Exception, payload: Payload | Withheld | None, attempts: int
) -> Outcome:
    if isinstance(error, Rejected | WorkerLost):
        await dead_letters.bury(app, reactor, key, error, payload, attempts=attempts)
        return rejected(key, str(error)) if isinstance(error, Rejected) else dead(key, str(error))
    _log(reactor, error)
    if is_outage(error):
        return _postponed(app, reactor, key, error)
    due = await retries.schedule(app, reactor, key, error, digest=payload.digest if payload else "")
    name = type(error).__name__
    if due.delay_s is not None:
        return retried(key, f"{name}; attempt {due.attempts}, again in {due.delay_s:.1f} s")
    await dead_letters.bury(app, reactor, key, error, payload, attempts=due.attempts)
    return dead(key, f"{name}; {counted(due.attempts, 'attempt')}")


def _postponed(app: App, reactor: str, key: bytes, error: Exception) -> Outcome:
    if not is_refusal(error):
        return retried(key, AWAY)
    app.state(refused_keys)[reactor] = key
    if is_demotion(error):
        leave_server(app.redis)
    return retried(key, REFUSED)


def _log(reactor: str, error: Exception) -> None:
    """Log the class and traceback of an unexpected error, but not its text, which may hold input.

    The outcome's log line has the text of this app's own errors.
    """
    if isinstance(error, KeyspaceError):
        return
    if is_outage(error):
        report_outage(error, reactor)
        return
    frames = "".join(traceback.format_tb(error.__traceback__)[-5:])
    telemetry.logger.error("%s failed with %s at\n%s", reactor, type(error).__name__, frames)
