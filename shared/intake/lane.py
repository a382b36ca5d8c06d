"""Detects when a function's messages queue up.

The host passes a function one message at a time and does not report how many wait. But if a message waits, the host
passes it at once, so invocations without gaps between them indicate a queue. To start a bulk scan, only invocations
with an effect count: after a bulk scan, the messages that still wait are duplicates and are no reason for another scan.
"""

import math

GAP_S = 0.001
"""If the time from the end of an invocation to the start of the next is shorter, the message was waiting already: to
pass a message takes the host about 0.5 ms (a gRPC round trip)."""
PAUSE_S = 1.0
"""After this time without a message the burst is over. Shorter pauses occur if the process is busy."""
RUN = 32
"""Effects without a gap after which the lane is saturated."""
MAX_RUN = 4096
"""Maximum of that number; it doubles after every bulk scan that was not worthwhile."""
QUEUE = 8
"""Invocations without a gap, with or without effect, after which messages are grouped."""


class Lane:
    """The invocations of one function. Times are in seconds by one clock, such as time.perf_counter().

    Two leaky buckets count effects and messages. An invocation without a gap before it adds 1; a gap of n times GAP_S
    removes n. A single gap does not empty them: in a busy process, a message may wait and still be passed late.
    """

    def __init__(self) -> None:
        self._ended_s = -math.inf
        self._effects = 0.0
        self._messages = 0.0
        self._needed = RUN

    @property
    def queued(self) -> bool:
        """Whether messages wait; they may be duplicates."""
        return self._messages >= QUEUE

    @property
    def saturated(self) -> bool:
        """Whether messages wait that have an effect."""
        return self._effects >= self._needed

    def begin(self, now_s: float) -> None:
        """An invocation starts."""
        gap_s = now_s - self._ended_s
        if gap_s >= PAUSE_S:
            self._effects, self._messages, self._needed = 0.0, 0.0, RUN
        elif gap_s >= GAP_S:
            self._effects = max(0.0, self._effects - gap_s / GAP_S)
            self._messages = max(0.0, self._messages - gap_s / GAP_S)
        else:
            self._messages = min(self._messages + 1, 2 * QUEUE)

    def effect(self) -> None:
        """The present invocation had an effect."""
        self._effects += 1

    def end(self, now_s: float) -> None:
        """The invocation ends."""
        self._ended_s = now_s

    def caught_up(self, *, worthwhile: bool) -> None:
        """A bulk scan has ended. The next needs a new run of effects, twice as long if this one was not worthwhile."""
        self._effects = 0.0
        self._needed = RUN if worthwhile else min(2 * self._needed, MAX_RUN)
