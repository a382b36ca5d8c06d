"""Due keys: retries after their backoff, and keys that a reactor scheduled itself."""

import time
from collections.abc import Sequence

from redis.exceptions import ResponseError

from shared import telemetry
from shared.app import App
from shared.delivery import retries
from shared.delivery.failures import report_outage
from shared.delivery.scan import GROUP, react_in_groups
from shared.reactor import Cause, Reactor, Result
from shared.store.refusals import is_refusal

_STILL_FAILING = frozenset({Result.RETRIED, Result.DEAD, Result.LATER})


async def retry_due(app: App, reactors: Sequence[Reactor], *, budget_s: float) -> int:
    """React to the keys whose retry is due, and forget the failures of those that are settled. Returns their number.

    Stops taking keys after `budget_s`, and when Redis refuses a command: a sweep is possible all the same. Raises what
    the Redis client raises if Redis is away. The keys that were taken are then due again after a lease.
    """
    try:
        count = await _retry_due(app, reactors, budget_s)
    except ResponseError as error:
        if not is_refusal(error):
            raise
        report_outage(error, "retries")
        return 0
    telemetry.recovered("Redis", "retries")
    return count


async def _retry_due(app: App, reactors: Sequence[Reactor], budget_s: float) -> int:
    by_name = {reactor.name: reactor for reactor in reactors}
    deadline_s = time.monotonic() + budget_s
    count = 0
    while due := await retries.take_due(app, GROUP):
        for name, keys in due.items():
            if reactor := by_name.get(name):  # another version of the app may have other reactors
                outcomes = await react_in_groups(app, reactor, keys, Cause.RETRY, "retry")
                settled = [outcome.key for outcome in outcomes if outcome.result not in _STILL_FAILING]
                await retries.clear(app, name, settled)
                postponed = [outcome.key for outcome in outcomes if outcome.result is Result.LATER]
                await retries.put_back(app, name, postponed)
                count += len(keys)
        if time.monotonic() >= deadline_s:
            break
    return count


async def react_to_due(app: App, reactor: Reactor, *, budget_s: float) -> int:
    """React to the keys that are due by the reactor's schedule, such as a session's expiry. Returns their number.

    Stops taking keys after `budget_s`. Raises what the Redis client raises if Redis is away; the keys that were taken
    are then due again after a lease.
    """
    if reactor.take_due is None:
        return 0
    deadline_s = time.monotonic() + budget_s
    count = 0
    while due := await reactor.take_due(app, GROUP):
        count += len(await react_in_groups(app, reactor, due, Cause.DUE, "schedule"))
        if time.monotonic() >= deadline_s:
            break
    return count
