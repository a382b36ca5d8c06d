"""Scanning the keyspace for a reactor's keys, and reacting to them in groups.

SCAN guarantees to return every key that exists during the whole pass, so a pass finds every key whose event was lost.
If it returns a key twice, or another worker reacts to the key at the same time, the second reaction is a duplicate.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from shared import telemetry
from shared.app import App
from shared.delivery import retries
from shared.reactor import Cause, Outcome, Reactor, Result, later

GROUP = 64
"""Keys per call of a reactor: as many as its scripts take in one round trip."""
PAGE = 8 * GROUP
"""Matching keys that a page of SCAN should have: then scanning costs little compared with reacting."""
MAX_COUNT = 1000
"""Largest COUNT for SCAN, which blocks Redis for about 0.5 ms."""
WINDOW = 4
"""Groups in progress at once: while one is computed, Redis reads or writes the others."""
MAX_SEEN = 100_000
"""Keys that a scan remembers as looked at, as hashes: 10 MB. Further ones are looked at again."""
DONE = frozenset({Result.PROCESSED, Result.DUPLICATE, Result.IGNORED, Result.REJECTED, Result.DEAD})
"""Results after which the content that was there needs no further look."""
_SILENT = frozenset({Result.DUPLICATE, Result.IGNORED, Result.LATER})


class Scan:
    """One pass over the keys of `reactors`, page by page: one SCAN for all of them. It continues at `cursor`.

    `on_page` is called with the number of keys that Redis has examined so far, of reactors or not.
    """

    def __init__(
        self, reactors: Sequence[Reactor], cursor: int = 0, on_page: Callable[[int], None] | None = None
    ) -> None:
        self._on_page = on_page
        self._examined = 0
        self._places = [(reactor, scanned) for reactor in reactors for scanned in reactor.scanned]
        self.glob = glob_of([scanned.prefix for _, scanned in self._places])
        self._count = GROUP
        self.cursor = cursor
        self.done = False

    async def page(self, app: App) -> list[tuple[Reactor, list[bytes]]]:
        """The next keys to react to, by reactor and without duplicates. Raises what the Redis client raises.

        COUNT is the number of keys that Redis examines; it is adjusted so that about PAGE of them match.
        """
        reply: tuple[int, list[Any]] = await app.redis.scan(self.cursor, match=self.glob, count=self._count)
        self.cursor, matches = reply
        self._examined += self._count
        if self._on_page:
            self._on_page(self._examined)
        by_reactor: dict[str, tuple[Reactor, dict[bytes, None]]] = {}
        for reactor, scanned in self._places:
            names = [name for name in matches if name.startswith(scanned.prefix)]
            keyed = {name: key for name in names if (key := scanned.key_of(name)) is not None}
            if scanned.derived and keyed:
                keyed = await _without_source(app, reactor, keyed)
            if keyed:
                by_reactor.setdefault(reactor.name, (reactor, {}))[1].update(dict.fromkeys(keyed.values()))
        pages = [(reactor, list(keys)) for reactor, keys in by_reactor.values()]
        self._count = min(MAX_COUNT, max(GROUP, self._count * PAGE // max(1, sum(len(keys) for _, keys in pages))))
        self.done = self.cursor == 0
        return pages


def glob_of(prefixes: Sequence[bytes]) -> bytes:
    """A glob that matches every key with one of these prefixes, and hardly any other: a class of characters for each
    position that all of them have. SCAN takes one glob; a scan for each prefix would examine every key each time."""
    classes = [dict.fromkeys(characters) for characters in zip(*prefixes, strict=False)]
    return b"".join(map(_class_of, classes)) + b"*"


def _class_of(characters: Iterable[int]) -> bytes:
    escaped = [(b"\\" if character in b"*?[]\\^-" else b"") + bytes([character]) for character in characters]
    return escaped[0] if len(escaped) == 1 else b"[" + b"".join(escaped) + b"]"


async def _without_source(app: App, reactor: Reactor, keyed: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Those derived keys, each with the key to react to, whose source does not exist or is not known."""
    sources = {name: reactor.source(app, key) for name, key in keyed.items()}
    known = [name for name, source in sources.items() if source != name]
    for start in range(0, len(known), GROUP):
        group = known[start : start + GROUP]
        if await app.redis.exists(*(sources[name] for name in group)) == len(group):
            exist = [True] * len(group)
        else:
            pipeline = app.redis.pipeline(transaction=False)
            for name in group:
                pipeline.exists(sources[name])
            exist = await pipeline.execute()
        for name, exists in zip(group, exist, strict=True):
            if exists:
                del keyed[name]
    return keyed


class Feed:
    """Queues the keys of a scan in groups, each of one reactor, for several workers.

    Leaves out keys that are not `wanted`, and keys that wait for a retry: a pass must not shorten their backoff.
    """

    def __init__(self, app: App, scan: Scan, wanted: Callable[[Reactor, bytes], bool] = lambda *_: True) -> None:
        self.app = app
        self.scan = scan
        self._wanted = wanted
        self._until_s = math.inf
        self._pending: deque[tuple[Reactor, list[bytes]]] = deque()
        self._waiting: list[Outcome] = []
        self._fetching: asyncio.Task[None] | None = None
        self._fetched = False

    @property
    def empty(self) -> bool:
        return not self._pending

    @property
    def done(self) -> bool:
        """Whether the scan is complete and every group was taken."""
        return self.scan.done and self.empty

    def take_waiting(self) -> list[Outcome]:
        """The outcomes of keys that wait for a retry, collected since the last call."""
        waiting, self._waiting = self._waiting, []
        return waiting

    async def next_group(self) -> tuple[Reactor, list[bytes]] | None:
        """A reactor and up to GROUP keys; None if there are no more. Raises what the Redis client raises."""
        while self._keys < GROUP and (fetching := self._fetch_more()):
            await asyncio.wait([fetching])
            fetching.result()
        if not self._pending:
            return None
        reactor, keys = self._pending[0]
        group, keys[:GROUP] = keys[:GROUP], []
        if not keys:
            self._pending.popleft()
        if self._keys < WINDOW * GROUP:  # fetch ahead, so that no worker waits for a page
            self._fetch_more()
        return reactor, group

    def begin(self, until_s: float) -> None:
        """Scan until `until_s` (time.monotonic), but at least one page: a pass with little time makes progress too."""
        self._until_s, self._fetched = until_s, False

    async def stop(self) -> BaseException | None:
        """Wait for the fetch in progress. Returns its error, or None."""
        if self._fetching is None:
            return None
        await asyncio.wait([self._fetching])
        return self._fetching.exception()

    @property
    def _keys(self) -> int:
        return sum(len(keys) for _, keys in self._pending)

    def _fetch_more(self) -> asyncio.Task[None] | None:
        """The fetch in progress, the failed one, or a new one; None if the scan is complete or out of time."""
        if self._fetching is not None and (not self._fetching.done() or self._fetching.exception()):
            return self._fetching
        if self.scan.done or (self._fetched and time.monotonic() >= self._until_s):
            return None
        self._fetched = True
        self._fetching = asyncio.create_task(self._fetch())
        return self._fetching

    async def _fetch(self) -> None:
        for reactor, page in await self.scan.page(self.app):
            await self._queue(reactor, [key for key in page if self._wanted(reactor, key)])

    async def _queue(self, reactor: Reactor, keys: list[bytes]) -> None:
        if not keys:
            return
        telemetry.count(reactor.name, "swept", len(keys))
        if waiting := await retries.not_yet_due(self.app, reactor.name, keys):
            self._waiting += [later(key, "waits for its retry") for key in keys if key in waiting]
            keys = [key for key in keys if key not in waiting]
        same = next((queued for other, queued in self._pending if other is reactor), None)
        if same is not None:
            same.extend(keys)
        elif keys:
            self._pending.append((reactor, keys))


async def react_to_feed(
    feed: Feed,
    cause: Cause,
    *,
    scan_until_s: float,
    react_until_s: float = math.inf,
    function: str | None = "sweep",
) -> list[Outcome]:
    """Scan until `scan_until_s` (time.monotonic) or the end of the pass, and react to the keys. Returns the outcomes.

    No group starts after `react_until_s` (time.monotonic); the feed keeps the remaining groups for the next call. Up to
    WINDOW groups are in progress at once. Outcomes are recorded under `function`, by default that of each reactor.
    Raises what the Redis client raises while scanning.
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
            group_cause = Cause.RECONCILE if cause is Cause.BULK and not reactor.bulk else cause
            outcomes.extend(await react_to_group(feed.app, reactor, keys, group_cause, function or reactor.function))
            await asyncio.sleep(0)  # let other functions run

    # If scanning fails for one worker, the others finish the groups that they have taken.
    errors = await asyncio.gather(*(work() for _ in range(WINDOW)), return_exceptions=True)
    for error in [*errors, await feed.stop()]:
        if error is not None:
            raise error
    return outcomes + feed.take_waiting()


async def react_in_groups(
    app: App, reactor: Reactor, keys: Sequence[bytes], cause: Cause, function: str
) -> list[Outcome]:
    """React to any number of keys, GROUP at a time; outcomes are recorded under `function`."""
    outcomes: list[Outcome] = []
    for start in range(0, len(keys), GROUP):
        outcomes += await react_to_group(app, reactor, keys[start : start + GROUP], cause, function)
    return outcomes


async def react_to_group(
    app: App, reactor: Reactor, keys: Sequence[bytes], cause: Cause, function: str
) -> list[Outcome]:
    """React to up to GROUP keys in one call, and record the outcomes."""
    started_s = time.perf_counter()
    outcomes = await reactor.react(app, keys, cause)
    duration_ms = (time.perf_counter() - started_s) * 1000
    effects = [outcome for outcome in outcomes if outcome.result not in _SILENT]
    telemetry.record_group(function, reactor.name, cause.source, effects, duration_ms, app.settings.audit_key)
    return outcomes
