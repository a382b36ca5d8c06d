"""How a process listens by its own ear while the platform's triggers are deaf or far behind.

    trigger   ...events... ............ far behind, or deaf ............... in time for IN_TIME_S
    ear                 live; mark published     every event that is published from now on        closed
    scan                       |---- all keys that exist ----|
    trigger             events before the mark: reacted to,        events after it: dropped,
                        unless the scan has looked at their key    since the ear has heard them

So an event is always either heard by the ear or still to come through the trigger, and the scan only saves time. When
the ear is lost, that is not so, and the process reconciles. The end is as careful: first nothing is dropped any more,
then a heartbeat is published, and the ear is closed when it has heard it.
"""

import asyncio
import math
import time
from collections.abc import Callable, Collection, Sequence
from enum import Enum

from redis.exceptions import RedisError

from shared import telemetry
from shared.app import App
from shared.delivery.scan import DONE, MAX_SEEN, Feed, Scan, react_to_feed
from shared.intake.collector import Waiting
from shared.intake.ear import Ear
from shared.intake.events import KeyEvent
from shared.intake.heartbeat import parse_heartbeat
from shared.intake.lane import FAR_BEHIND_S
from shared.intake.sharing import Shares
from shared.intake.way import Way
from shared.reactor import CHANNEL_PREFIX, Cause, Reactor, Result
from shared.runtime.malloc import give_back_freed
from shared.store.refusals import is_away

IN_TIME_S = 5.0
"""How long all lanes have to be in time before the ear is closed."""
SCAN_S_PER_KEY = 1e-6
"""About what a scan takes per key of others. A scan begins when messages have waited for as long as it will take: so it
costs at most twice what waiting would have."""
SLICE_S = 0.25
LOOKS_PER_EFFECT = 10
"""Looks per effect above which a scan ends once it has taken as long as the messages had waited: a look takes about 0.1
ms, an invocation about 1 ms. How many keys have their effect already is not known before. Measured, 1,000 batches
beside 60,000 sessions: 25 s with a scan of all to the end, 3.7 s without a scan."""
_CONTENT = frozenset({Cause.WRITTEN, Cause.TOUCHED})
_DATABASE = 0


class Need(Enum):
    """Why the ear is open."""

    BEHIND = "behind"
    DEAF = "deaf"
    NO_HEARTBEATS = "no heartbeats"
    """Redis does not let the app publish: nobody knows how far the triggers are."""


class Listening:
    """The ear of one process, and what it covers. Processes of one host that listen divide what they hear; `process`
    identifies this one. `owns(key)` tells whether a key is this instance's; `lost(reason)` is
    called when events may have been missed; `mark()` when heartbeats are to be published at once."""

    def __init__(
        self,
        process: str,
        ways: Sequence[Way],
        owns: Callable[[bytes], bool],
        lost: Callable[[str], None],
        mark: Callable[[], None],
    ) -> None:
        self.need: Need | None = None
        self._process = process
        self._shares = Shares(process)
        self._former: list[Shares] = []
        """Earlier divisions, by which messages were dropped that the ear has still to hear."""
        self._ways = ways
        self._by_pattern = {way.reactor.channel.encode(): way for way in ways}
        self._by_name = {way.reactor.name: way for way in ways}
        self._owns, self._lost, self._mark = owns, lost, mark
        self._app: App | None = None
        self._ear: Ear | None = None
        self._task: asyncio.Task[None] | None = None
        self._scanning: asyncio.Task[None] | None = None
        self._scanned: list[Way] = []
        """Those that scans began for since the ear was live."""
        self._live_since_s = math.inf
        """When all patterns were subscribed (time.monotonic); infinite while they are not."""
        self._ending = False
        self._in_time_since_s: float | None = None
        self._covers_since_s = math.inf
        """Since when the ear hears all that is this process'."""
        self._fresh: set[int] = set()
        """Keys whose look began since then, as hashes."""

    @property
    def _live(self) -> bool:
        return self._live_since_s < math.inf

    @property
    def open(self) -> bool:
        return self._task is not None

    @property
    def live(self) -> bool:
        return self._live and self._ear is not None and self._ear.live

    # What the triggers ask

    def covers(self, way: Way, event: KeyEvent) -> bool:
        """Whether an event that came through the trigger needs no reaction: the ear has heard it, or its key was looked
        at since it was published."""
        if not self.live or self._ending or not self._shares.has(event.key):
            return False
        return way.covered or (not way.reactor.ordered and event.cause in _CONTENT and hash(event.key) in self._fresh)

    def divide(self, processes: Collection[str]) -> frozenset[str]:
        """Divide what is heard among these processes of the host and this one. Returns those that listen no more.

        The ear may have passed over what is this process' from now on, so nothing that was published before is dropped
        any more; and it may not have heard yet what was dropped, so it hears by the former division as well.
        """
        if self._shares.members == {self._process, *processes}:
            return frozenset()
        former, self._shares = self._shares, Shares(self._process)
        self._shares.divide(processes)
        if self._live:
            self._former.append(former)
            self._covers_since_s = time.monotonic()
            self._fresh.clear()
            for way in self._ways:
                way.mark = 0
            self._mark()
        return former.members - self._shares.members

    async def hold(self, way: Way) -> None:
        """Wait for a scan, up to SLICE_S. The messages that come before its end are mostly of keys that it finds, so
        they would only take time from it. Those of an ordered reactor all count."""
        if (
            self._scanning is not None
            and not self._scanning.done()
            and way in self._scanned
            and not way.reactor.ordered
        ):
            await asyncio.wait([self._scanning], timeout=SLICE_S)

    def looked_at(self, key: bytes, began_s: float) -> None:
        """A key's content was looked at to the end. A look that began before the ear was live does not count: what was
        written after it, and before the ear was live, is still to come through the trigger."""
        if began_s > self._covers_since_s and len(self._fresh) < MAX_SEEN:
            self._fresh.add(hash(key))

    # Opening and closing

    def start(self, app: App, need: Need) -> None:
        """Open the ear, if it is not open."""
        if self.live and self.need is Need.BEHIND and need is not Need.BEHIND:
            self._lost("the trigger will not bring what was published before the app listened by itself")
        self.need = need if self.need is not Need.DEAF else Need.DEAF
        self._in_time_since_s, self._ending = None, False
        if self._task is None:
            self._app = app
            self._ear = Ear(app, [way.reactor.channel for way in self._ways], self._hear)
            self._task = asyncio.get_running_loop().create_task(self._ear.listen(self._on_live))
        for way in self._ways:
            way.end_mark = 0

    def published(self, way: Way, number: int) -> None:
        """A heartbeat was published at the request of `mark`, after all that had been done before the request."""
        if self._live and not way.mark:
            way.mark = number
        if self._ending and not way.end_mark:
            way.end_mark = number

    async def look_after(self, app: App, *, in_time: bool) -> None:
        """Scan, notice a lost ear, close it when it is no longer needed. Called every BUSY_TICK_S while it is open."""
        if self._live and not self.live:
            self._uncover()
            self._lost("the app's own subscription was lost")
        if all(0 < way.mark <= way.ear_heard for way in self._ways):
            self._former.clear()
        idle = self._scanning is None or self._scanning.done()
        if self.live and self.need is Need.BEHIND and idle and app.settings.burst_sweep:
            await self._scan_if_worthwhile(app)
        if not in_time:
            self._in_time_since_s, self._ending = None, False
            for way in self._ways:
                way.end_mark = 0
        elif self._in_time_since_s is None:
            self._in_time_since_s = time.monotonic()
        elif time.monotonic() - self._in_time_since_s >= IN_TIME_S:
            await self._end()

    async def _end(self) -> None:
        if not self._live:
            await self.close()
        elif not self._ending:
            self._ending = True
            self._mark()
        elif all(0 < way.end_mark <= way.ear_heard for way in self._ways):
            await self.close()

    async def close(self) -> None:
        """Close the ear. A scan ends by itself after the groups that it works on."""
        deaf = self.need is Need.DEAF
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._task = self._ear = self.need = None
        self._uncover()
        if deaf:
            self._lost("the triggers hear again")

    async def stop(self) -> None:
        """The process ends."""
        await self.close()
        if self._scanning is not None:
            self._scanning.cancel()
            await asyncio.wait([self._scanning])

    def _uncover(self) -> None:
        self._live_since_s = self._covers_since_s = math.inf
        self._ending = False
        self._scanned.clear()
        self._former.clear()
        self._in_time_since_s = None
        self._fresh.clear()
        for way in self._ways:
            way.uncover()

    def _on_live(self) -> None:
        """All patterns are subscribed: from now on every event is heard."""
        again = self._live
        self._uncover()
        self._live_since_s = self._covers_since_s = time.monotonic()
        self._mark()
        if again or self.need is not Need.BEHIND:
            self._lost("the app listens by itself")

    # What the ear hears

    def _hear(self, pattern: bytes, channel: bytes, message: bytes) -> None:
        way, app = self._by_pattern[pattern], self._app
        key = channel[len(CHANNEL_PREFIX) :]
        name = message.decode(errors="replace")
        if key == way.prefix and (beat := parse_heartbeat(name)):
            way.ear_heard = max(way.ear_heard, beat.number)
            return
        event = KeyEvent(key, name, _DATABASE)
        if app is None or event.cause in way.reactor.inert or not self._hears(way, key):
            return
        if way.collector.full:
            self._lost("more events than the app remembers wait for their reaction")
            return
        way.collector.put(app, Waiting(event, "", time.perf_counter()))

    def _hears(self, way: Way, key: bytes) -> bool:
        mine = self._shares.has(key) or any(former.has(key) for former in self._former)
        return mine and (way.reactor.ordered or self._owns(key))

    # The scan

    async def _scan_if_worthwhile(self, app: App) -> None:
        """Scan for the functions whose messages have waited for as long as it will take, once for each."""
        now_s = time.monotonic()
        behind_s = {way: way.lane.behind_s(now_s) for way in self._ways if way not in self._scanned}
        if max(behind_s.values(), default=0.0) < FAR_BEHIND_S:
            return
        try:
            takes_s = max(FAR_BEHIND_S, SCAN_S_PER_KEY * await app.redis.dbsize())
        except (RedisError, OSError):
            return
        if ways := [way for way in behind_s if behind_s[way] >= takes_s]:
            self._scanned += ways
            patience_s = max(behind_s[way] for way in ways)
            self._scanning = asyncio.get_running_loop().create_task(self._scan(app, ways, patience_s))

    async def _scan(self, app: App, ways: Sequence[Way], patience_s: float) -> None:
        """React to the keys of `ways` that were not looked at since the ear was live, while it is, and for longer than
        `patience_s` only while that is worthwhile. The sweep reports what Redis refuses: it scans the same way."""
        began_s = time.monotonic()
        feed = Feed(app, Scan([way.reactor for way in ways]), self._wanted)
        effects = looks = 0
        try:
            while not feed.done and began_s >= self._live_since_s:
                if looks > LOOKS_PER_EFFECT * effects and time.monotonic() - began_s >= patience_s:
                    break
                until_s = time.monotonic() + SLICE_S
                outcomes = await react_to_feed(
                    feed, Cause.BULK, scan_until_s=until_s, react_until_s=until_s, function=None
                )
                looks += len(outcomes)
                for outcome in outcomes:
                    effects += outcome.result is Result.PROCESSED
                    if outcome.result in DONE:
                        self.looked_at(outcome.key, began_s)
        except (RedisError, OSError) as fault:
            if is_away(fault):
                telemetry.outage("Redis", fault)
        if effects:
            give_back_freed()

    def _wanted(self, reactor: Reactor, key: bytes) -> bool:
        return (
            hash(key) not in self._fresh
            and self._owns(key)
            and self._shares.has(key)
            and not self._by_name[reactor.name].collector.has(key)
        )
