"""The way of one reactor's events into the app: its lane, its collector, and how far the app's own ear covers it."""

import time
from collections import Counter
from collections.abc import Callable

from shared.intake.collector import Collector
from shared.intake.lane import Lane
from shared.reactor import CHANNEL_PREFIX, Reactor


class Way:
    """`done` is called as by Collector."""

    def __init__(self, reactor: Reactor, done: Callable[[bytes, float], None]) -> None:
        self.reactor = reactor
        self.prefix = reactor.kind.prefix
        self.channel = CHANNEL_PREFIX + self.prefix.decode()
        """The channel of its heartbeats."""
        self.lane = Lane(time.monotonic())
        self.collector = Collector(reactor, done)
        self.mark = 0
        """Number of the first heartbeat published after the ear was live; 0 while it is not."""
        self.end_mark = 0
        """Number of the first one published after the ear was no longer needed; 0 before."""
        self.ear_heard = 0
        """Number of the last heartbeat that the ear heard."""
        self.dropped: Counter[str] = Counter()
        """Events without a reaction since the last tick: `elsewhere`, `heard`."""

    @property
    def covered(self) -> bool:
        """Whether the ear has heard whatever now comes through the trigger. The host hands over the next message, to
        any of its processes, when the one before has ended."""
        return 0 < self.mark <= self.lane.heard_anywhere

    def uncover(self) -> None:
        self.mark = self.end_mark = self.ear_heard = 0
