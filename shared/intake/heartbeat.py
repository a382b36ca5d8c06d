"""Heartbeats: messages that the app publishes to itself, on the channels that its triggers are subscribed to.

A heartbeat takes its place among the events of a channel, so when it arrives, its age is the time that an event takes
from Redis to the app, whatever an invocation costs. One that is overdue tells as much before it arrives. A missing
number tells that messages were lost. None at all, although Redis answers: the trigger is deaf.

    PUBLISH __keyspace@0__:fastapi:temp:data: "heartbeat 1764408840124 1764408853001"      number, Redis' time in ms

The channel is that of a key whose name ends where an id would begin, which no application writes. Nothing is stored
under it. All instances share the heartbeats, and each registers itself with the call that publishes them.
"""

from collections.abc import Sequence
from itertools import batched
from typing import Any, NamedTuple

from shared import namespaces
from shared.app import App
from shared.intake.sharing import division_of
from shared.store.script import Script

HEARTBEAT = Script(__file__, "heartbeat")
HOLDS_MS = 5000
"""How long an instance counts as living after its last call."""
_KEYS = (namespaces.build(namespaces.INSTANCES), namespaces.build(namespaces.HEARTBEATS))
_WORD = "heartbeat"
_MAX_DIGITS = 15


class Heartbeat(NamedTuple):
    """A heartbeat as it arrives: its number, and Redis' time in ms when it was published."""

    number: int
    sent_ms: int


class LaneReport(NamedTuple):
    """What Redis knows of a channel: the last heartbeat published, and the last that this instance heard."""

    number: int
    sent_ms: int
    heard: int


class Member(NamedTuple):
    """A living instance, or one of its processes. `state` is one word, `division` what `sharing.division_of` returned
    there; `age_ms` is the time since its last call."""

    identity: str
    state: str
    division: str
    age_ms: int

    @property
    def host(self) -> str:
        """The identity of the host, which is that of the instance."""
        return self.identity.partition("/")[0]


class Reply(NamedTuple):
    """`refused` is the error with which Redis refused to publish or to store, or empty."""

    now_ms: int
    refused: str
    lanes: tuple[LaneReport, ...]
    members: tuple[Member, ...]


def parse_heartbeat(message: str) -> Heartbeat | None:
    """The heartbeat in a message; None if it is another message."""
    word, _, rest = message.partition(" ")
    number, _, sent_ms = rest.partition(" ")
    if word != _WORD or not all(
        text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS for text in (number, sent_ms)
    ):
        return None
    return Heartbeat(int(number), int(sent_ms))


async def send(app: App, identity: str, state: str, lanes: Sequence[tuple[str, int, int]]) -> Reply:
    """Publish the heartbeats that are due, and register this instance: one round trip.

    `lanes` are channel, least time between two heartbeats in ms, and number of the last one heard. An empty `state`
    registers nothing. Raises what the Redis client raises.
    """
    division = division_of(tuple(channel for channel, _, _ in lanes))
    reply: list[Any] = await app.run(
        HEARTBEAT, keys=_KEYS, args=[identity, state, division, HOLDS_MS, *(value for lane in lanes for value in lane)]
    )
    now_ms, refused, reports, members = reply
    return Reply(
        int(now_ms),
        refused.decode(errors="replace"),
        tuple(LaneReport(*map(int, reports[start : start + 3])) for start in range(0, len(reports), 3)),
        tuple(
            Member(name.decode(errors="replace"), its_state.decode(), its_division.decode(), int(age_ms))
            for name, its_state, its_division, age_ms in batched(members, 4, strict=True)
        ),
    )


async def members(app: App) -> tuple[Member, ...]:
    """The living instances. Publishes and registers nothing. Raises what the Redis client raises."""
    return (await send(app, "", "", [])).members
