"""How a reactor works through many keys: helpers that batches and charts share.

`in_rounds` looks at the keys in rounds of one round trip each, and repeats those that need another look. Within a
round, small payloads are computed together in the event loop, one group at a time (`Turn`, `Breather`), and committed
together; then large ones follow one by one, each in a thread (`one_by_one`), so that no small one waits for them.

    round 1   claim or read 64 keys -> compute the small ones -> commit them -> large key 1 -> large key 2
    round 2   keys that need another look: no room in the first call, or written again during round 1
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from shared.reactor import NO_TIME, Outcome, Result, inert, later

BREATH_S = 0.0005
"""How long a group is computed before it yields to the other functions of the process."""
_NOTHING_DONE = frozenset({Result.DUPLICATE, Result.LATER, Result.IGNORED})


class Look(NamedTuple):
    """The result of one look at a key: its outcome, None if the call had no room for it; and whether to look again."""

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

    `parse` returns None for a key that is not the reactor's: it is ignored with the reason `not_ours`. A key is looked
    at `max_looks` times at most; a later look that does nothing does not replace the outcome of an earlier one that did
    something. After `timeout_s` no further round starts, because an invocation has a time limit.
    """
    outcomes: dict[int, Outcome] = {}
    waiting: list[tuple[int, Item]] = []
    for index, key in enumerate(keys):
        item = parse(key)
        if item is None:
            outcomes[index] = inert(key, not_ours)
        else:
            waiting.append((index, item))
    looks = [0] * len(keys)
    deadline_s = time.monotonic() + timeout_s
    while waiting:
        if any(looks) and time.monotonic() > deadline_s:
            return [outcomes.get(index) or later(key, NO_TIME) for index, key in enumerate(keys)]
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
    """Run `work` for one item after the other until `timeout_s`: the looks by index, and the indices not reached."""
    deadline_s = time.monotonic() + timeout_s
    looks: dict[int, Look] = {}
    for index, item in items.items():
        if time.monotonic() > deadline_s:
            break
        looks[index] = await work(index, item)
    return looks, [index for index in items if index not in looks]


def parts_by_size[Item](
    items: Mapping[int, Item], size_bytes: Callable[[Item], int], part_bytes: int
) -> Iterator[dict[int, Item]]:
    """The items in parts of `part_bytes` at most; a larger item is a part of its own."""
    part: dict[int, Item] = {}
    room_bytes = part_bytes
    for index, item in items.items():
        if part and size_bytes(item) > room_bytes:
            yield part
            part, room_bytes = {}, part_bytes
        part[index] = item
        room_bytes -= size_bytes(item)
    if part:
        yield part


class Turn:
    """A lock for groups: while one group computes, Redis reads or writes for another."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def taken(self, *, patience_s: float | None = None) -> AsyncIterator[None]:
        """Hold the turn during the block; after waiting `patience_s`, run the block without it."""
        acquired = False
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                acquired = await self._lock.acquire()
        try:
            yield
        finally:
            if acquired:
                self._lock.release()


class Breather:
    """Yields to the event loop every BREATH_S."""

    def __init__(self) -> None:
        self._due_s = time.monotonic() + BREATH_S

    async def breathe(self) -> None:
        if time.monotonic() >= self._due_s:
            await asyncio.sleep(0)
            self._due_s = time.monotonic() + BREATH_S
