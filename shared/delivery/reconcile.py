"""Reconciliation: a pass over all keys finds what no event told of.

The lease saves work: it keeps N instances from making a pass at once, and a pass continues where the last instance
stopped. sweep_acquire.lua grants it, sweep_step.lua renews it and saves the position.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from shared import namespaces, telemetry
from shared.app import App
from shared.delivery.due import retry_due
from shared.delivery.laps import Laps
from shared.delivery.scan import GROUP, Feed, Scan, places, react_to_feed
from shared.reactor import Cause, Reactor, Result
from shared.store.script import Script

SWEEP_ACQUIRE = Script(__file__, "sweep_acquire")
SWEEP_STEP = Script(__file__, "sweep_step")

SAVE_S = 0.25
"""Time between two saves of the position, each of which renews the lease."""
FIRST_SAVE_S = 0.05
"""The same for the first save: it tells other instances early whether there is much to do."""
HELP_FROM = GROUP
"""Effects by the first saves of a pass from which on other instances help."""
_KEY = namespaces.build(namespaces.SWEEP)


@dataclass(frozen=True)
class PassReport:
    """What one call did: `seen` keys of the reactors' patterns, and their outcomes by result."""

    seen: int = 0
    outcomes: Counter[Result] = field(default_factory=Counter)
    finished: bool = False
    """Whether the pass is complete."""
    held_by_other: bool = False
    """Whether another instance holds the lease, from the start or by now (or the state was flushed)."""
    duration_s: float = 0.0


@dataclass(frozen=True)
class LastPass:
    """The last complete pass, by any instance."""

    age_s: float
    duration_s: float
    seen: int
    outcomes: dict[str, int]


class _Counts(msgspec.Struct):
    """What a pass found so far, as it is stored in Redis."""

    seen: int = 0
    outcomes: dict[str, int] = msgspec.field(default_factory=dict)

    def add(self, seen: int, results: Counter[Result]) -> None:
        self.seen += seen
        for result, count in results.items():
            self.outcomes[result.value] = self.outcomes.get(result.value, 0) + count


class _Position(msgspec.Struct):
    """Where a pass stands, as it is stored in Redis. A cursor is valid only on the server that returned it, an index
    only for an app with the same patterns."""

    server: str
    places: list[str]
    began_ms: int
    index: int = 0
    cursor: int = 0
    found: _Counts = msgspec.field(default_factory=_Counts)


async def reconcile(app: App, reactors: Sequence[Reactor], *, budget_s: float, anew: bool = False) -> PassReport:
    """React to every key that the reactors' patterns match; first to what is due for a retry.

    Continues where the last pass stopped, on whichever instance, or from the start when `anew` (keys may have changed
    unnoticed before that position). Stops at the end of the pass, with the groups in progress after `budget_s`, or soon
    after another instance has taken over. Raises what the Redis client raises when Redis is away.
    """
    started_s = time.monotonic()
    await retry_due(app, reactors, budget_s=budget_s / 2)
    patterns = [f"{reactor.name}={scanned.pattern!r}" for reactor, scanned in places(reactors)]
    position = _Position(await server_id(app), patterns, began_ms=0)
    lease = await app.run(SWEEP_ACQUIRE, keys=[_KEY], args=[app.owner, app.settings.lease_ms, namespaces.SWEEP_TTL_S])
    if not lease:
        laps = await _help(app, reactors, started_s + budget_s)
        return PassReport(laps.seen, laps.outcomes, held_by_other=True, duration_s=time.monotonic() - started_s)
    token, position.began_ms, saved = lease
    if not anew:
        position = _saved_position(saved, position) or position
    scan = Scan(reactors, position.index, position.cursor)
    feed = Feed(app, scan)
    results: Counter[Result] = Counter()
    seen, held, finished, out_of_time = 0, True, False, False
    while held and not finished and not out_of_time:
        until_s = min(time.monotonic() + (SAVE_S if seen else FIRST_SAVE_S), started_s + budget_s)
        outcomes = await react_to_feed(feed, Cause.RECONCILE, scan_until_s=until_s, react_until_s=started_s + budget_s)
        new = Counter(outcome.result for outcome in outcomes)
        results, seen = results + new, seen + len(outcomes)
        position.found.add(len(outcomes), new)
        if feed.empty:  # otherwise time ran out: the next call repeats from the position saved before
            position.index, position.cursor = scan.index, scan.cursor
        finished, out_of_time = feed.done, time.monotonic() - started_s >= budget_s
        held = await _save(app, token, position, finished=finished, release=finished or out_of_time)
    return PassReport(seen, results, held and finished, not held, time.monotonic() - started_s)


async def _help(app: App, reactors: Sequence[Reactor], until_s: float) -> Laps:
    """If the pass of the instance that holds the lease finds many keys to react to, react to some from another side."""
    laps = Laps(reactors)
    await asyncio.sleep(min(2 * FIRST_SAVE_S, until_s - time.monotonic()))  # until its first counts are saved
    counts = await _counts_so_far(app)
    while counts.outcomes.get(Result.PROCESSED, 0) >= HELP_FROM and not laps.ended and time.monotonic() < until_s:
        await laps.advance(app, until_s)
    return laps


async def _counts_so_far(app: App) -> _Counts:
    """What the pass in progress has found, as last saved; empty where there is none."""
    state = await app.redis.hget(_KEY, "position")
    try:
        return msgspec.json.decode(state or b"", type=_Position).found
    except msgspec.MsgspecError:
        return _Counts()


def _saved_position(saved: bytes, now: _Position) -> _Position | None:
    """The saved position, if it is valid for this server and this version of the app."""
    try:
        position = msgspec.json.decode(saved, type=_Position)
    except msgspec.MsgspecError:
        return None
    same = (position.server, position.places) == (now.server, now.places)
    in_range = 0 <= position.index < len(now.places) and 0 <= position.cursor < 2**64
    return position if same and in_range else None


async def _save(app: App, token: bytes, position: _Position, *, finished: bool, release: bool) -> bool:
    """Save the position, or a complete pass. Whether the lease still holds.

    Where Redis refuses to write (it is full, say) the pass goes on without: other instances may start a pass too, which
    does no harm.
    """
    from redis.exceptions import ResponseError

    try:
        held = await app.run(
            SWEEP_STEP,
            keys=[_KEY],
            args=[
                token,
                0 if release else app.settings.lease_ms,
                namespaces.SWEEP_TTL_S,
                b"" if finished else msgspec.json.encode(position),
                position.began_ms,
                msgspec.json.encode(position.found),
            ],
        )
    except ResponseError as fault:
        telemetry.outage("Redis", fault)
        return True
    return bool(held)


async def server_id(app: App) -> str:
    """Identifies one run of a Redis server. Raises what the Redis client raises."""
    info: dict[str, Any] = await app.redis.info("server")
    return str(info.get("run_id"))


async def last_pass(app: App) -> LastPass | None:
    """The last complete pass, None where none is known. Raises what the Redis client raises."""
    state: list[Any] = await app.redis.hmget(_KEY, ["ended_ms", "duration_ms", "found"])
    seconds, microseconds = await app.redis.time()
    if None in state:
        return None
    try:
        ended_s, duration_s = int(state[0]) / 1000, int(state[1]) / 1000
        counts = msgspec.json.decode(state[2], type=_Counts)
    except (ValueError, OverflowError):  # msgspec's errors are ValueErrors too
        return None
    return LastPass(max(seconds + microseconds / 1e6 - ended_s, 0.0), duration_s, counts.seen, counts.outcomes)
