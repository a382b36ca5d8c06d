"""When a function's messages queue up.

The host hands a function one message at a time and does not say how many wait. But it hands over the next one at once
when there is one, so invocations without pauses between them are the sign of a queue. Only those count that had an
effect: a queue of messages whose work is done already, as a bulk sweep leaves it, is no reason for another sweep.
"""

import math

GAP_S = 0.001
"""A shorter time from the end of one invocation to the start of the next means that the message was waiting already:
handing it over takes the host about 0.5 ms (a gRPC round trip)."""
PAUSE_S = 1.0
"""After a time as long as this without a message the burst is over. Shorter ones occur when the process is busy."""
RUN = 32
"""Effects without a gap that make a queue."""
MAX_RUN = 4096
"""The most that it takes, after bulk sweeps that were not worth it."""
QUEUE = 8
"""Invocations without a gap, whatever their effect, after which messages are taken together."""


class Lane:
    """One function's invocations, told by their start and end in seconds of one clock, such as time.perf_counter().

    Two leaky buckets: what comes without a gap fills them, and a gap empties them by as many as it is times GAP_S long.
    A gap alone does not tell that the queue is empty: in a busy process a message may wait and still come late.
    """

    def __init__(self) -> None:
        self._ended_s = -math.inf
        self._effects = 0.0
        self._messages = 0.0
        self._needed = RUN

    @property
    def queued(self) -> bool:
        """Whether messages wait; they may be of work that is done already."""
        return self._messages >= QUEUE

    @property
    def saturated(self) -> bool:
        """Whether messages with an effect wait."""
        return self._effects >= self._needed

    def begin(self, now_s: float) -> None:
        gap_s = now_s - self._ended_s
        if gap_s >= PAUSE_S:
            self._effects, self._messages, self._needed = 0.0, 0.0, RUN
        elif gap_s >= GAP_S:
            self._effects = max(0.0, self._effects - gap_s / GAP_S)
            self._messages = max(0.0, self._messages - gap_s / GAP_S)
        else:
            self._messages = min(self._messages + 1, 2 * QUEUE)

    def effect(self) -> None:
        """The invocation that runs had one."""
        self._effects += 1

    def end(self, now_s: float) -> None:
        self._ended_s = now_s

    def caught_up(self, *, worthwhile: bool) -> None:
        """A sweep has been made. The next one takes a new run; a longer one when this sweep was not worth it."""
        self._effects = 0.0
        self._needed = RUN if worthwhile else min(2 * self._needed, MAX_RUN)
