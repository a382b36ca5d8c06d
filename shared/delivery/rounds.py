"""How a reactor works through many keys: helpers that batches and charts share.

`in_rounds` looks at the keys in rounds of one round trip each, and again at those that need another look. Within a
round, small payloads are computed together in the event loop, one group at a time (`Turn`, `Breather`), and committed
together; then large ones follow one by one, each in a thread (`one_by_one`), so that no small one waits for them.

    round 1   claim or read 64 keys -> compute the small ones -> commit them -> large key 1 -> large key 2
    round 2   keys that need another look: no room in the call before, or written again meanwhile
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from shared.reactor import Outcome, Result, ignored, later

BREATH_S = 0.0005
"""How long a group is computed without a break for the other functions of the process."""
_NOTHING_DONE = frozenset({Result.DUPLICATE, Result.LATER, Result.IGNORED})


class Look(NamedTuple):
    """What one look at a key brought: its outcome, None if the call had no room for it; and whether to look again."""

    outcome: Outcome | None
    look_again: bool = False


async def in_rounds[Item](
    keys: Sequence[bytes],
    parse: Callable[[bytes], Item | None],
    look: Callable[[Sequence[Item]], Awaitable[Sequence[Look]]],
    *,
    not_ours: str,
    per_round: int,
    max_looks: int,
    timeout_s: float,
) -> list[Outcome]:
    """One outcome per key, in order.

    `parse` returns None for a key that is ignored because of `not_ours`. A key is looked at `max_looks` times at most;
    another look that does nothing leaves the outcome of the look that did. After `timeout_s` no further round is
    started, since an invocation has a time limit.
    """
    outcomes: dict[int, Outcome] = {}
    waiting: list[tuple[int, Item]] = []
    for index, key in enumerate(keys):
        item = parse(key)
        if item is None:
            outcomes[index] = ignored(key, not_ours)
        else:
            waiting.append((index, item))
    looks = [0] * len(keys)
    deadline_s = time.monotonic() + timeout_s
    while waiting:
        if any(looks) and time.monotonic() > deadline_s:
            return [outcomes.get(index) or later(key, "no time left in this call") for index, key in enumerate(keys)]
        batch, waiting = waiting[:per_round], waiting[per_round:]
        for (index, item), (outcome, look_again) in zip(batch, await look([item for _, item in batch]), strict=True):
            if outcome is not None:
                looks[index] += 1
                if _replaces(outcome, outcomes.get(index)):
                    outcomes[index] = outcome
            if look_again and looks[index] < max_looks:
                waiting.append((index, item))
    return [outcomes[index] for index in range(len(keys))]


def _replaces(outcome: Outcome, previous: Outcome | None) -> bool:
    return previous is None or previous.result in _NOTHING_DONE or outcome.result not in _NOTHING_DONE


async def one_by_one[Item](
    items: Mapping[int, Item], work: Callable[[int, Item], Awaitable[Look]], *, timeout_s: float
) -> tuple[dict[int, Look], list[int]]:
    """What `work` returns for each item by index, one after the other; and the indices that `timeout_s` left over."""
    deadline_s = time.monotonic() + timeout_s
    looks: dict[int, Look] = {}
    for index, item in items.items():
        if time.monotonic() > deadline_s:
            break
        looks[index] = await work(index, item)
    return looks, [index for index in items if index not in looks]


class Turn:
    """Lets groups use something one at a time: while one group computes, Redis reads or writes for another."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def taken(self, *, patience_s: float | None = None) -> AsyncIterator[None]:
        """Hold the turn; go on without it after `patience_s`."""
        held = False
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                held = await self._lock.acquire()
        try:
            yield
        finally:
            if held:
                self._lock.release()


class Breather:
    """Yields to the event loop once BREATH_S have passed since it last did."""

    def __init__(self) -> None:
        self._due_s = time.monotonic() + BREATH_S

    async def breathe(self) -> None:
        if time.monotonic() >= self._due_s:
            await asyncio.sleep(0)
            self._due_s = time.monotonic() + BREATH_S
