"""The sweep: what no event told of is found by looking at every key.

SCAN promises to return whatever was there during the whole of a round, so a round sees every key whose event was lost;
what it returns twice, or what another worker does at the same time, the reactors find done. The lease is there to save
work: it keeps N instances from sweeping at once. lua/sweep_acquire.lua gives it, lua/sweep_step.lua keeps it.
"""

import asyncio
import math
import secrets
import time
from collections import Counter, deque
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from shared import namespaces, retries, telemetry
from shared.context import Context
from shared.outcomes import Outcome, Result, later
from shared.swept import NEW_ONLY, Swept

GROUP = 64
"""Keys that a reactor gets at once: what its scripts take in one round trip."""
PAGE = 8 * GROUP
"""Keys that a page of SCAN is to have: enough that looking for them costs little beside reacting to them."""
MAX_COUNT = 1000
"""Largest COUNT for SCAN: about 0.5 ms of Redis' time, during which it serves nobody else."""
WINDOW = 4
"""Groups at work at once: while one is computed, Redis reads or writes the others."""
SAVE_S = 0.25
"""How long a sweep goes on until it saves its place and renews its lease."""
FIRST_SAVE_S = 0.05
"""The same for the first time: others see early whether there is much to do."""
HELP_FROM = GROUP
"""Effects of a sweep by its first saves from which on others help it."""
MAX_SEEN = 100_000
"""Keys that laps remember, by their hashes: 20 MB. Further ones are looked at again in each lap."""
_KEY = namespaces.build(namespaces.SWEEP)
_DONE = frozenset({Result.PROCESSED, Result.DUPLICATE, Result.IGNORED, Result.REJECTED, Result.DEAD})
_NOTHING_TO_TELL = frozenset({Result.DUPLICATE, Result.IGNORED, Result.LATER})


class SweptReactor(Protocol):
    """What a reactor offers to the sweep."""

    NAME: str
    SWEPT: tuple[Swept, ...]

    async def react(self, app: Context, keys: Sequence[bytes], operation: str) -> list[Outcome]: ...


class DueReactor(SweptReactor, Protocol):
    """A reactor whose keys have due times of their own."""

    async def take_due(self, app: Context, limit: int) -> list[bytes]: ...


@dataclass(frozen=True)
class SweepReport:
    """What one sweep did: `seen` keys of the reactors' patterns, and what came of them by result."""

    seen: int = 0
    outcomes: Counter[Result] = field(default_factory=Counter)
    finished: bool = False
    """Whether it reached the end of a round."""
    held_by_other: bool = False
    """Whether another sweep holds the lease, from the start or by now (or the state was flushed)."""
    duration_s: float = 0.0


@dataclass(frozen=True)
class LastRound:
    """The last round that was finished, by whichever instance."""

    age_s: float
    duration_s: float
    seen: int
    outcomes: dict[str, int]


class Scan:
    """One round over the patterns of `reactors`, page by page. `index` and `cursor` say where it goes on."""

    def __init__(self, reactors: Sequence[SweptReactor], index: int = 0, cursor: int = 0) -> None:
        self._places = _places(reactors)
        self._count = GROUP
        self.index = index
        self.cursor = cursor

    @property
    def done(self) -> bool:
        return self.index >= len(self._places)

    async def page(self, app: Context) -> tuple[SweptReactor, list[bytes]]:
        """The next source keys to react to, each once, and their reactor. Raises what the Redis client raises.

        COUNT is how many keys Redis looks at; it is chosen so that about PAGE of them match.
        """
        reactor, swept = self._places[self.index]
        answer: tuple[int, list[Any]] = await app.redis.scan(self.cursor, match=swept.pattern, count=self._count)
        self.cursor, found = answer
        keys = [key for key in dict.fromkeys(map(swept.key_of, found)) if key is not None]
        self._count = min(MAX_COUNT, max(GROUP, self._count * PAGE // max(1, len(keys))))
        if self.cursor == 0:
            self.index += 1
        return reactor, keys


class Laps:
    """A sweep without a lease, lap after lap until one finds nothing more to do: for when much is waiting.

    The first lap begins anywhere, so that several instances that begin at once do not all go for the same keys: SCAN
    goes on from any number as from a cursor. Keys that it has seen done it does not look at again: what happens to them
    from then on has events of its own. Laps are for new keys only, while they find many: then it looks at what it has
    passed over, too.
    """

    def __init__(self, reactors: Sequence[SweptReactor]) -> None:
        self._reactors = reactors
        self._feed: Feed | None = None
        self._whole = False
        self._found = False
        self._processed_before = 0
        self._new_only = True
        self._seen: set[int] = set()
        self._passed: set[int] = set()
        self.seen = 0
        self.outcomes: Counter[Result] = Counter()
        self.laps = 0
        """Whole ones so far."""
        self.ended = False

    @property
    def processed(self) -> int:
        return self.outcomes[Result.PROCESSED]

    async def go_on(self, app: Context, until_s: float, told: str = "sweep") -> None:
        """React until `until_s` (of time.monotonic) or the end of a lap. Raises what the Redis client raises."""
        from redis.exceptions import ResponseError

        if self._feed is None:
            scan = Scan(self._reactors, cursor=0 if self._whole else secrets.randbits(62))
            self._feed = Feed(app, scan, self._passed if self._new_only else self._seen)
        try:
            outcomes = await stretch(
                self._feed, scan_until_s=until_s, react_until_s=until_s, told=told, new_only=self._new_only
            )
        except ResponseError:
            if self._whole:
                raise
            self._feed, self._whole = None, True  # a server that takes no cursor but its own
            return
        results = [one.result for one in outcomes]
        looked_at = [hash(one.key) for one in outcomes]
        done = [key for key, result in zip(looked_at, results, strict=True) if result in _DONE]
        self._seen.update(done[: max(0, MAX_SEEN - len(self._seen))])
        passed = looked_at if self._new_only else done
        self._passed.update(passed[: max(0, MAX_SEEN - len(self._passed))])
        before = self.processed
        self.seen += len(outcomes)
        self.outcomes.update(results)
        self._found |= self.processed > before
        if self._feed.done:
            self.laps += self._whole
            self.ended = self._whole and not self._found and not self._new_only
            self._new_only = self.processed - self._processed_before >= GROUP or not self._whole
            self._processed_before = self.processed
            self._feed, self._whole, self._found = None, True, False


class _Found(msgspec.Struct):
    """What a round found so far, or in all, as it is kept in Redis."""

    seen: int = 0
    outcomes: dict[str, int] = msgspec.field(default_factory=dict)

    def add(self, seen: int, results: Counter[Result]) -> None:
        self.seen += seen
        for result, count in results.items():
            self.outcomes[result.value] = self.outcomes.get(result.value, 0) + count


class _Position(msgspec.Struct):
    """Where a round stands, as it is kept in Redis. A cursor means something only to the server that gave it, an index
    only to an app with the same patterns."""

    server: str
    places: list[str]
    began_ms: int
    index: int = 0
    cursor: int = 0
    found: _Found = msgspec.field(default_factory=_Found)


async def sweep(app: Context, reactors: Sequence[SweptReactor], *, budget_s: float, anew: bool = False) -> SweepReport:
    """React to every key that the reactors' patterns find; first to what is due for a retry.

    Goes on where the last sweep stopped, whichever instance that was, or from the start when `anew` (keys may have
    changed unnoticed behind that place). Stops at the end of a round, with the groups at work after `budget_s`, or soon
    after another sweep has taken over. Raises what the Redis client raises when Redis is away.
    """
    started_s = time.monotonic()
    await retry_due(app, reactors, budget_s=budget_s / 2)
    places = [f"{reactor.NAME}={swept.pattern!r}" for reactor, swept in _places(reactors)]
    position = _Position(await server_id(app), places, began_ms=0)
    lease = await app.script("sweep_acquire")(
        keys=[_KEY], args=[app.owner, app.settings.lease_ms, namespaces.SWEEP_TTL_S]
    )
    if not lease:
        laps = await _help(app, reactors, started_s + budget_s)
        return SweepReport(laps.seen, laps.outcomes, held_by_other=True, duration_s=time.monotonic() - started_s)
    token, position.began_ms, saved = lease
    if not anew:
        position = _former(saved, position) or position
    scan = Scan(reactors, position.index, position.cursor)
    feed = Feed(app, scan)
    results: Counter[Result] = Counter()
    seen, held, finished, out_of_time = 0, True, False, False
    while held and not finished and not out_of_time:
        until_s = min(time.monotonic() + (SAVE_S if seen else FIRST_SAVE_S), started_s + budget_s)
        outcomes = await stretch(feed, scan_until_s=until_s, react_until_s=started_s + budget_s)
        some = Counter(outcome.result for outcome in outcomes)
        results, seen = results + some, seen + len(outcomes)
        position.found.add(len(outcomes), some)
        if feed.empty:  # else time ran out: the next sweep goes on from before this stretch
            position.index, position.cursor = scan.index, scan.cursor
        finished, out_of_time = feed.done, time.monotonic() - started_s >= budget_s
        held = await _save(app, token, position, finished=finished, release=finished or out_of_time)
    return SweepReport(seen, results, held and finished, not held, time.monotonic() - started_s)


async def _help(app: Context, reactors: Sequence[SweptReactor], until_s: float) -> Laps:
    """Where the sweep that holds the lease has come upon many keys to react to, do so from another side."""
    laps = Laps(reactors)
    await asyncio.sleep(min(2 * FIRST_SAVE_S, until_s - time.monotonic()))  # until it has told what it found
    found = await _found_so_far(app)
    while found.outcomes.get(Result.PROCESSED, 0) >= HELP_FROM and not laps.ended and time.monotonic() < until_s:
        await laps.go_on(app, until_s)
    return laps


async def _found_so_far(app: Context) -> _Found:
    """What the round that goes on has found, as it was saved last; nothing where none goes on."""
    state = await app.redis.hget(_KEY, "position")
    try:
        return msgspec.json.decode(state or b"", type=_Position).found
    except msgspec.MsgspecError:
        return _Found()


def _places(reactors: Sequence[SweptReactor]) -> list[tuple[SweptReactor, Swept]]:
    return [(reactor, swept) for reactor in reactors for swept in reactor.SWEPT]


def _former(saved: bytes, now: _Position) -> _Position | None:
    """The position that was saved, if it means anything to this server and this version of the app."""
    try:
        former = msgspec.json.decode(saved, type=_Position)
    except msgspec.MsgspecError:
        return None
    known = (former.server, former.places) == (now.server, now.places)
    return former if known and 0 <= former.index < len(now.places) and 0 <= former.cursor < 2**64 else None


async def _save(app: Context, token: bytes, position: _Position, *, finished: bool, release: bool) -> bool:
    """Whether the lease still holds; with it the position is saved, and a finished round noted.

    Where Redis refuses to write (it is full, say) the sweep goes on without: others may sweep too, which harms nothing.
    """
    from redis.exceptions import ResponseError

    try:
        return bool(
            await app.script("sweep_step")(
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
        )
    except ResponseError as fault:
        telemetry.outage("Redis", fault)
        return True


async def server_id(app: Context) -> str:
    """What tells one run of a Redis server from another. Raises what the Redis client raises."""
    about: dict[str, Any] = await app.redis.info("server")
    return str(about.get("run_id"))


async def retry_due(app: Context, reactors: Sequence[SweptReactor], *, budget_s: float) -> int:
    """React again to the keys whose retry is due, and forget the failures of those that succeed. Returns how many.

    Raises what the Redis client raises when Redis is away; the keys are then due again after a lease.
    """
    by_name = {reactor.NAME: reactor for reactor in reactors}
    deadline_s = time.monotonic() + budget_s
    failed = {Result.RETRIED, Result.DEAD, Result.LATER}
    done = 0
    while due := await retries.take_due(app, GROUP):
        for name, keys in due.items():
            if reactor := by_name.get(name):  # another version of the app may have one more
                outcomes = await _react_in_groups(app, reactor, keys, "retry")
                await retries.clear(app, name, [one.key for one in outcomes if one.result not in failed])
                await retries.put_back(app, name, [one.key for one in outcomes if one.result is Result.LATER])
                done += len(keys)
        if time.monotonic() >= deadline_s:
            break
    return done


async def react_to_due(app: Context, reactor: DueReactor, *, budget_s: float) -> int:
    """React to the keys whose own time has come, such as a session's expiry. Returns how many.

    Raises what the Redis client raises when Redis is away; the keys are then due again after a lease.
    """
    deadline_s = time.monotonic() + budget_s
    done = 0
    while due := await reactor.take_due(app, GROUP):
        done += len(await _react_in_groups(app, reactor, due, "schedule"))
        if time.monotonic() >= deadline_s:
            break
    return done


async def last_round(app: Context) -> LastRound | None:
    """The last finished round, None where none is known. Raises what the Redis client raises."""
    state: list[Any] = await app.redis.hmget(_KEY, ["ended_ms", "duration_ms", "found"])
    seconds, microseconds = await app.redis.time()
    if None in state:
        return None
    try:
        ended_s, duration_s = int(state[0]) / 1000, int(state[1]) / 1000
        found = msgspec.json.decode(state[2], type=_Found)
    except (ValueError, OverflowError):  # msgspec's errors are ValueErrors too
        return None
    return LastRound(max(seconds + microseconds / 1e6 - ended_s, 0.0), duration_s, found.seen, found.outcomes)


async def stretch(
    feed: "Feed", *, scan_until_s: float, react_until_s: float = math.inf, told: str = "sweep", new_only: bool = False
) -> list[Outcome]:
    """Scan until `scan_until_s` (of time.monotonic) or the end of the round, and react to what is found: the outcomes.

    After `react_until_s` no more groups are begun; what the feed still has is for the next stretch. `told` is the name
    under which effects are recorded. WINDOW groups are at work at once. Raises what the Redis client raises while
    scanning.
    """
    outcomes: list[Outcome] = []
    first = True
    feed.begin(scan_until_s)

    async def work() -> None:
        nonlocal first
        while first or time.monotonic() < react_until_s:
            first = False
            group = await feed.next_group()
            if group is None:
                return
            reactor, keys = group
            asked = NEW_ONLY if new_only and any(swept.new_only for swept in reactor.SWEPT) else "sweep"
            outcomes.extend(await _react_to_group(feed.app, reactor, keys, asked, told))
            await asyncio.sleep(0)  # air for the other functions

    # Where one fails to scan, the others finish the groups that they have claimed.
    failures = await asyncio.gather(*(work() for _ in range(WINDOW)), return_exceptions=True)
    for failure in [*failures, await feed.stop()]:
        if failure is not None:
            raise failure
    return outcomes + feed.take_waiting()


class Feed:
    """What a scan finds, in groups of one reactor each, for several workers to take.

    Keys whose hash is in `skip` are passed over; those that wait for a retry too, since their backoff is not a sweep's
    to shorten.
    """

    def __init__(self, app: Context, scan: Scan, skip: Container[int] = frozenset()) -> None:
        self.app = app
        self.scan = scan
        self._skip = skip
        self._until_s = math.inf
        self._found: deque[tuple[SweptReactor, list[bytes]]] = deque()
        self._waiting: list[Outcome] = []
        self._looking: asyncio.Task[None] | None = None
        self._looked = False

    @property
    def empty(self) -> bool:
        return not self._found

    @property
    def done(self) -> bool:
        """Whether the round is at its end, and all that it found was taken."""
        return self.scan.done and self.empty

    def take_waiting(self) -> list[Outcome]:
        """An outcome for each key that waits for a retry, since the last time."""
        taken, self._waiting = self._waiting, []
        return taken

    async def next_group(self) -> tuple[SweptReactor, list[bytes]] | None:
        """Up to GROUP keys; None when there are no more. Raises what the Redis client raises."""
        while self._keys < GROUP and (looking := self._look_on()):
            await asyncio.wait([looking])
            looking.result()
        if not self._found:
            return None
        reactor, keys = self._found[0]
        group, keys[:GROUP] = keys[:GROUP], []
        if not keys:
            self._found.popleft()
        if self._keys < WINDOW * GROUP:  # so that nobody has to wait for the next page
            self._look_on()
        return reactor, group

    def begin(self, until_s: float) -> None:
        """Scan until then, and once in any case: a sweep with hardly any time goes on all the same."""
        self._until_s, self._looked = until_s, False

    async def stop(self) -> BaseException | None:
        """Let the look that is under way end; what went wrong with it."""
        if self._looking is None:
            return None
        await asyncio.wait([self._looking])
        return self._looking.exception()

    @property
    def _keys(self) -> int:
        return sum(len(keys) for _, keys in self._found)

    def _look_on(self) -> asyncio.Task[None] | None:
        """The look that is under way, or failed, or a new one; None when there is to be no more."""
        if self._looking is not None and (not self._looking.done() or self._looking.exception()):
            return self._looking
        if self.scan.done or (self._looked and time.monotonic() >= self._until_s):
            return None
        self._looked = True
        self._looking = asyncio.create_task(self._look())
        return self._looking

    async def _look(self) -> None:
        reactor, found = await self.scan.page(self.app)
        skip = self._skip
        keys = [key for key in found if hash(key) not in skip]
        if not keys:
            return
        telemetry.count(reactor.NAME, "swept", len(keys))
        if waiting := await retries.not_yet_due(self.app, reactor.NAME, keys):
            self._waiting += [later(key, "waits for its retry") for key in keys if key in waiting]
            keys = [key for key in keys if key not in waiting]
        if self._found and self._found[-1][0] is reactor:
            self._found[-1][1].extend(keys)
        elif keys:
            self._found.append((reactor, keys))


async def _react_in_groups(app: Context, reactor: SweptReactor, keys: Sequence[bytes], operation: str) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for start in range(0, len(keys), GROUP):
        outcomes += await _react_to_group(app, reactor, keys[start : start + GROUP], operation, operation)
    return outcomes


async def _react_to_group(
    app: Context, reactor: SweptReactor, keys: Sequence[bytes], operation: str, told: str
) -> list[Outcome]:
    """React to some keys at once, and tell what was done."""
    began_s = time.perf_counter()
    outcomes = await reactor.react(app, keys, operation)
    duration_ms = (time.perf_counter() - began_s) * 1000
    effects = [outcome for outcome in outcomes if outcome.result not in _NOTHING_TO_TELL]
    source = "sweep" if operation == NEW_ONLY else operation
    telemetry.record_group(told, reactor.NAME, source, effects, duration_ms, app.settings.audit_key)
    return outcomes
