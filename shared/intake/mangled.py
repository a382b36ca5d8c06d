"""Finds the keys of events whose keys are not UTF-8.

The extension writes U+FFFD for bytes that are not UTF-8, so such an event tells that a key changed, but not which. The
keys that the reactor's patterns match are scanned at once for those that the extension would write like the event's;
one that has a real U+FFFD in its name is among them.

    event 1   starts a search                      waits for it, for WAIT_S at most
    event 2   comes during it: left for the next    one search for all that came meanwhile, after a pause of REST times
    event 3                                         the last search: a flood of such keys does not keep Redis scanning

A search that does not end within BUDGET_S leaves its keys to reconciliation, which finds them without an event; so does
an outage of Redis, and the end of this process.
"""

import asyncio
import re
import time

from redis.exceptions import RedisError

from shared import telemetry
from shared.app import App
from shared.delivery.scan import GROUP, Scan, react_in_groups
from shared.intake.events import KeyEvent
from shared.reactor import Cause, Reactor
from shared.store.refusals import is_away

REPLACEMENT = "\ufffd"
PATIENCE_S = 0.005
"""How long the first event waits for others."""
WAIT_S = 0.25
"""How long an invocation waits for its search: what it logs belongs to a running invocation then."""
REST = 4
BUDGET_S = 2.0
"""Longest search; about a million keys."""
_RUN = re.compile(f"{REPLACEMENT}+")


class Search:
    """The searches of one reactor's function, one at a time."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._waiting: dict[str, Cause] = {}
        """The cause of the last event of each text."""
        self._searching: asyncio.Task[None] | None = None

    async def find(self, app: App, event: KeyEvent, *, queued: bool) -> None:
        """Search for the mangled key of `event`, and react to what is found. `queued` is whether messages wait for this
        one. Raises nothing."""
        self._waiting[_text(event.key)] = event.cause
        if self._searching is None or self._searching.done():
            self._searching = asyncio.create_task(self._search(app))
            if not queued:
                await asyncio.wait([self._searching], timeout=WAIT_S)

    async def _search(self, app: App) -> None:
        pause_s = PATIENCE_S
        while self._waiting:
            await asyncio.sleep(pause_s)
            wanted, self._waiting = self._waiting, {}
            started_s = time.monotonic()
            try:
                await self._scan(app, wanted, started_s + BUDGET_S)
            except (RedisError, OSError) as error:
                if is_away(error):  # the sweep reports a refusal: it scans the same way
                    telemetry.outage("Redis", error)
            pause_s = REST * (time.monotonic() - started_s)

    async def _scan(self, app: App, wanted: dict[str, Cause], until_s: float) -> None:
        """React to the keys whose text is wanted. Raises what the Redis client raises."""
        scan = Scan([self._reactor])
        while not scan.done and time.monotonic() < until_s:
            _, page = await scan.page(app)
            by_cause: dict[Cause, list[bytes]] = {}
            for position, key in enumerate(page):
                if position % GROUP == 0:
                    await asyncio.sleep(0)  # let other functions run: the token of a phantom takes some us to unseal
                if cause := wanted.get(_text(self._reactor.source(app, key))):
                    by_cause.setdefault(cause, []).append(key)
            for cause, keys in by_cause.items():
                await react_in_groups(app, self._reactor, keys, cause, self._reactor.function)


def is_mangled(key: bytes) -> bool:
    """Whether the key of an event has a U+FFFD, which may stand for other bytes."""
    return REPLACEMENT.encode() in key


def _text(key: bytes) -> str:
    """A key as text, with one U+FFFD for each run: how many bytes the extension replaces by one does not matter."""
    text = key.decode(errors="replace")
    return _RUN.sub(REPLACEMENT, text) if REPLACEMENT in text else text
