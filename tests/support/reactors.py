"""Reactors for tests."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared import namespaces
from shared.app import App
from shared.reactor import Cause, Outcome, Payload, Reactor, Scanned, duplicate, processed, retried


async def _no_replay(app: App, key: bytes, payload: Payload) -> Outcome:
    raise AssertionError("this reactor is not replayed")


def make_reactor(
    react: Callable[[App, Sequence[bytes], Cause], Awaitable[list[Outcome]]],
    *,
    name: str = "gate",
    function: str = "a_function",
    prefix: bytes = b"gate:",
    **fields: Any,
) -> Reactor:
    """A reactor over the keys with `prefix` with the mandatory fields only, and `fields`."""
    return Reactor(
        name=name,
        function=function,
        kind=namespaces.BATCH,
        effect="for tests",
        react=react,
        replay=_no_replay,
        scanned=(Scanned(prefix),),
        **fields,
    )


@dataclass
class Gate:
    """A reactor that records the groups of keys it is called with, and returns while its gate is open."""

    groups: list[list[bytes]] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    """Set at the first call."""
    open: asyncio.Event = field(default_factory=asyncio.Event)
    """Set at the start; while it is cleared, calls wait."""
    fails: bool = False
    delay_s: float = 0.0
    """How long a reaction takes."""
    effects: bool = True

    def __post_init__(self) -> None:
        self.open.set()

    @property
    def keys(self) -> list[bytes]:
        return [key for group in self.groups for key in group]

    @property
    def reactor(self) -> Reactor:
        return make_reactor(self.react)

    async def react(self, app: App, keys: Sequence[bytes], cause: Cause) -> list[Outcome]:
        self.groups.append(list(keys))
        self.reached.set()
        await self.open.wait()
        await asyncio.sleep(self.delay_s)
        if self.fails:
            return [retried(key, "on purpose") for key in keys]
        return [processed(key) if self.effects else duplicate(key) for key in keys]


async def write_gate_keys(app: App, count: int) -> set[bytes]:
    """Write `count` keys that the reactor of a Gate reacts to."""
    keys = {f"gate:{number}".encode() for number in range(count)}
    await app.redis.mset(dict.fromkeys(keys, b""))
    return keys
