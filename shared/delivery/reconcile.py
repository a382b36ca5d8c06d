"""Reconciliation: a pass over all keys finds those whose events were lost.

A lease keeps N instances from making the same pass at once; it saves work, correctness does not depend on it. A pass
continues where the last instance stopped. sweep_acquire.lua grants the lease, sweep_step.lua renews it and saves the
position.

While nothing is known to be lost, a pass is made in slices, each followed by a rest, so that all instances together
take a stated share of the time. A pass that begins anew, because events may have been lost, and one that finds many
effects, because they were, take all the time they need.
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
from redis.exceptions import ResponseError

from shared import namespaces, telemetry
from shared.app import App
from shared.delivery.due import retry_due
from shared.delivery.scan import DONE, GROUP, MAX_SEEN, Feed, Scan, react_to_feed
from shared.reactor import NO_TIME, Cause, Reactor, Result
from shared.store.script import Script

SWEEP_ACQUIRE = Script(__file__, "sweep_acquire")
SWEEP_STEP = Script(__file__, "sweep_step")
READ_SWEEP = Script(__file__, "read_sweep")

SAVE_S = 0.25
"""Time between two saves of the position, each of which renews the lease."""
FIRST_SAVE_S = 0.05
"""Time until the first save, which shows other instances early whether there is much to do."""
MAX_LEASE_MS = 10_000
"""Longest lease of a pass: when its process was killed, another one takes over after that, or after LEASE_S if that is
shorter. A group can take longer than the lease; then another instance continues the pass, which is harmless."""
HELP_FROM = GROUP
"""Number of effects, as saved by the pass, from which on other instances help."""
SLICE_S = 0.1
"""Length of a slice of a paced pass. A share of 2 % makes the rest after it 5 s long, the default of RETRY_SCHEDULE."""
MAX_REST_S = 120
"""Longest rest: a slice can take long for other reasons than its work. A longer one in Redis is from before the clock
was set back."""
HELD: list[Any] = []
NOTHING_DUE: list[Any] = [0]
"""Replies of sweep_acquire.lua."""
_KEY = namespaces.build(namespaces.SWEEP)


@dataclass(frozen=True)
class PassReport:
    """The work of one call: number of keys `seen`, and their outcomes by result."""

    seen: int = 0
    outcomes: Counter[Result] = field(default_factory=Counter)
    finished: bool = False
    """Whether the pass is complete."""
    held_by_other: bool = False
    """Whether another instance held the lease or took it over, or the state was flushed."""
    duration_s: float = 0.0


@dataclass(frozen=True)
class LastPass:
    """The last complete pass, by any instance, and the one in progress."""

    age_s: float
    duration_s: float
    seen: int
    outcomes: dict[str, int]
    worked_age_s: float
    """Since a pass last looked at keys."""
    seen_since: int
    """Keys that the pass in progress has looked at."""


type _Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class _Counts(msgspec.Struct):
    """The counts of a pass, as stored in Redis."""

    seen: _Count = 0
    outcomes: dict[str, _Count] = msgspec.field(default_factory=dict)
    glob: str = ""
    """The keys that the pass scans."""

    def add(self, seen: int, results: Counter[Result]) -> None:
        self.seen += seen
        for result, count in results.items():
            self.outcomes[result.value] = self.outcomes.get(result.value, 0) + count


class _Position(msgspec.Struct):
    """The position of a pass, as stored in Redis. A cursor is valid only on the server that returned it, and for an app
    that scans the same keys."""

    server: str
    glob: str
    began_ms: _Count
    urgent: bool = False
    """Whether events were or may have been lost: then the pass is not paced."""
    cursor: int = 0
    counts: _Counts = msgspec.field(name="found", default_factory=_Counts)


async def reconcile(
    app: App,
    reactors: Sequence[Reactor],
    *,
    budget_s: float,
    anew: bool = False,
    begin: bool = True,
    share: float = 1,
    on_page: Callable[[int], None] | None = None,
) -> PassReport:
    """React to keys whose retry is due, then to every key that the reactors scan.

    Continues where the last pass stopped, on any instance, or from the start if `anew` (keys before that position may
    have changed unnoticed). Without `begin` it makes no other pass than one in progress. With a `share` (above 0, at
    most 1) below 1, a pass that is not urgent ends its call after about SLICE_S, and then rests so long that passes
    take this share of the time. Stops at the end of the pass, when the groups in progress end after `budget_s`, or soon
    after another instance took over. `on_page`: see Scan. Raises what the Redis client raises if Redis is away.
    """
    started_s = time.monotonic()
    await retry_due(app, reactors, budget_s=budget_s / 2)
    scan = Scan(reactors, on_page=on_page)
    position = _Position(await server_id(app), repr(scan.glob), began_ms=0, urgent=anew)
    lease = await _acquire(app, begin=begin or anew, paced=share < 1 and not anew)
    if lease == HELD:
        helped = await _help(app, reactors, started_s + budget_s)
        return PassReport(helped.total(), helped, held_by_other=True, duration_s=time.monotonic() - started_s)
    if lease == NOTHING_DUE:
        return PassReport(duration_s=time.monotonic() - started_s)
    token, position.began_ms, saved, rested_ms = lease
    if not anew:
        position = _saved_position(saved, position) or position
    position.counts.glob = position.glob
    scan.cursor = position.cursor
    working_s = time.monotonic()
    until_s = started_s + budget_s
    if share < 1 and not position.urgent:
        until_s = min(until_s, working_s + SLICE_S + share * rested_ms / 1000)
    feed = Feed(app, scan)
    results: Counter[Result] = Counter()
    seen, has_lease, finished, out_of_time = 0, True, False, False
    while has_lease and not finished and not out_of_time:
        save_s = min(time.monotonic() + (SAVE_S if seen else FIRST_SAVE_S), until_s)
        # Keys that were fetched are reacted to, or the position could not advance.
        outcomes = await react_to_feed(feed, Cause.RECONCILE, scan_until_s=save_s, react_until_s=started_s + budget_s)
        new = Counter(outcome.result for outcome in outcomes)
        results, seen = results + new, seen + len(outcomes)
        position.counts.add(len(outcomes), new)
        skipped = any(outcome.detail == NO_TIME for outcome in outcomes)
        if skipped or results[Result.PROCESSED] >= HELP_FROM:
            position.urgent, until_s = True, started_s + budget_s
        if feed.empty and not skipped:  # otherwise time ran out: the next call repeats from the last saved position
            position.cursor = scan.cursor
        finished, out_of_time = feed.done and not skipped, skipped or time.monotonic() >= until_s
        has_lease = await _save(
            app,
            token,
            position,
            finished=finished,
            release=finished or out_of_time,
            rest_s=0.0 if position.urgent else (time.monotonic() - working_s) * (1 / share - 1),
        )
    return PassReport(seen, results, has_lease and finished, not has_lease, time.monotonic() - started_s)


async def _acquire(app: App, *, begin: bool, paced: bool) -> list[Any]:
    lease: list[Any] = await app.run(
        SWEEP_ACQUIRE,
        keys=[_KEY],
        args=[app.owner, _lease_ms(app), namespaces.SWEEP_TTL_S, int(begin), int(paced)],
    )
    return lease


async def _help(app: App, reactors: Sequence[Reactor], until_s: float) -> Counter[Result]:
    """React to keys from a random position on, while the pass of the instance that holds the lease has many effects."""
    results: Counter[Result] = Counter()
    seen: set[int] = set()
    feed, effects, any_cursor = None, 0, True
    await asyncio.sleep(min(2 * FIRST_SAVE_S, until_s - time.monotonic()))  # until the pass has saved its first counts
    while time.monotonic() < until_s:
        if (await _counts_so_far(app)).outcomes.get(Result.PROCESSED, 0) < HELP_FROM:
            break
        if feed is None:
            scan = Scan(reactors, secrets.randbits(62) if any_cursor else 0)
            feed, effects = Feed(app, scan, lambda _, key: hash(key) not in seen), 0
        slice_s = min(until_s, time.monotonic() + SAVE_S)
        try:
            outcomes = await react_to_feed(feed, Cause.BULK, scan_until_s=slice_s, react_until_s=slice_s)
        except ResponseError:
            if not any_cursor:
                raise
            feed, any_cursor = None, False  # this server accepts only cursors of its own
            continue
        new = Counter(outcome.result for outcome in outcomes)
        results, effects = results + new, effects + new[Result.PROCESSED]
        if len(seen) < MAX_SEEN:
            seen.update(hash(outcome.key) for outcome in outcomes if outcome.result in DONE)
        if feed.done and not effects:
            break
        feed = None if feed.done else feed
    return results


async def _counts_so_far(app: App) -> _Counts:
    """The counts of the pass in progress, as last saved; empty if there is none."""
    _, position = await _read(app, "position")
    return _counts_of(position)


def _counts_of(position: bytes) -> _Counts:
    try:
        return msgspec.json.decode(position, type=_Position).counts
    except msgspec.MsgspecError:
        return _Counts()


async def _read(app: App, *fields: str) -> list[Any]:
    """Redis' time in ms, and these fields of the state. Raises what the Redis client raises, WRONGTYPE included."""
    reply: list[Any] = await app.run(READ_SWEEP, keys=[_KEY], args=fields)
    return reply


def _saved_position(saved: bytes, now: _Position) -> _Position | None:
    """The saved position, or None if it is not valid for this server and this version of the app."""
    try:
        position = msgspec.json.decode(saved, type=_Position)
    except msgspec.MsgspecError:
        return None
    same = (position.server, position.glob) == (now.server, now.glob)
    return position if same and 0 <= position.cursor < 2**64 else None


async def _save(app: App, token: bytes, position: _Position, *, finished: bool, release: bool, rest_s: float) -> bool:
    """Save the position, or the result of a complete pass. A paced pass rests for `rest_s` after its release. Returns
    whether the lease is still valid.

    If Redis refuses the write (for example, because it is full), the pass continues without saving: another instance
    may then start a pass too, which is harmless.
    """
    try:
        valid = await app.run(
            SWEEP_STEP,
            keys=[_KEY],
            args=[
                token,
                0 if release else _lease_ms(app),
                namespaces.SWEEP_TTL_S,
                b"" if finished else msgspec.json.encode(position),
                position.began_ms,
                msgspec.json.encode(position.counts),
                round(min(rest_s, MAX_REST_S) * 1000),
            ],
        )
    except ResponseError as fault:
        telemetry.logger.debug("the position of the sweep was not saved: %s", type(fault).__name__)
        return True
    return bool(valid)


async def passed_since(app: App, reactors: Sequence[Reactor], since_ms: int) -> bool:
    """Whether a pass over the keys of `reactors` that began at `since_ms` (Redis' time) or later is complete, by any
    instance. Raises what the Redis client raises, WRONGTYPE included."""
    _, ended_ms, duration_ms, counts = await _read(app, "ended_ms", "duration_ms", "found")
    try:
        began_ms = int(ended_ms) - max(int(duration_ms), 0)
        return began_ms >= since_ms and msgspec.json.decode(counts, type=_Counts).glob == repr(Scan(reactors).glob)
    except ValueError:  # msgspec's errors are ValueErrors too
        return False


def _lease_ms(app: App) -> int:
    return min(app.settings.lease_ms, MAX_LEASE_MS)


async def server_id(app: App) -> str:
    """The id of this run of the Redis server; the same for all processes that may not call INFO. Then a pass that goes
    on after a restart may miss keys, which the one after it finds; the lost connection makes that begin at once.

    Raises what the Redis client raises if Redis is away.
    """
    try:
        info: dict[str, Any] = await app.redis.info("server")
    except ResponseError:
        return "not shown"
    return str(info.get("run_id"))


async def last_pass(app: App) -> LastPass | None:
    """The last complete pass; None if Redis has none on record. Raises what the Redis client raises; WRONGTYPE while
    another application's value is in the place of the state, which the next pass replaces."""
    now_ms, *times, found, position = await _read(app, "ended_ms", "duration_ms", "worked_ms", "found", "position")
    try:
        ended_s, duration_s, worked_s = (max(int(time or 0), 0) / 1000 for time in times)
        counts = msgspec.json.decode(found, type=_Counts)
    except (ValueError, OverflowError):  # msgspec's errors are ValueErrors too
        return None
    age_s = max(now_ms / 1000 - ended_s, 0.0)
    worked_age_s = max(min(age_s, now_ms / 1000 - worked_s), 0.0)
    return LastPass(age_s, duration_s, counts.seen, counts.outcomes, worked_age_s, _counts_of(position).seen)
