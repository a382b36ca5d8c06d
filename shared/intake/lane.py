"""How far a function's messages are behind, by its heartbeats.

Times are in seconds by one clock, time.monotonic(), except where a name says Redis' time.
"""

import math

BEHIND_S = 0.02
"""Lag from which on an invocation ends before its outcome, so that the messages behind it are taken together: about ten
reactions one after the other. A wrong guess costs nothing: outcomes are logged a moment later."""
FAR_BEHIND_S = 0.05
"""Lag from which on the app listens by its own ear. That costs a connection, and a scan if more messages wait than a
scan takes time."""
DEAF_S = 5.0
"""Without an invocation of the function for this time, with a heartbeat overdue by as much, the trigger is deaf."""
DEAF_AT_START_S = 20.0
"""The same before the first heartbeat has arrived: a host takes seconds to subscribe after it has loaded the app."""
IDLE_PACE_S = 10.0
"""Time between two heartbeats at rest. Each is an invocation: 8,640 a day and function."""
BUSY_PACE_S = 2.0
"""The same while events flow; so a trigger that dies is noticed within BUSY_PACE_S + DEAF_S."""
BUSY_S = 30.0
"""How long after an event."""
MARK_AFTER = 8
"""Messages after which a lane asks for a heartbeat, and ..."""
MARK_PACE_S = 0.25
"""... the least time between two. At 200 events/s this adds 2 % of invocations; a queue is noticed after MARK_AFTER
messages and BEHIND_S."""
MAX_OUTSTANDING = 64
MAX_LAG_S = 3600.0


class Lane:
    """The messages of one function. `began_s` is the start of the process."""

    def __init__(self, began_s: float) -> None:
        self.heard = 0
        """Number of the last heartbeat that arrived; 0 for none."""
        self.newest = 0
        """Number of the last one that is known to be published."""
        self.elsewhere = 0
        """The same of all processes of this instance, where there are several."""
        self.lag_s = 0.0
        """Age of the last heartbeat when it arrived."""
        self.invoked_s = began_s
        self.subscribed = False
        """Whether a message has come: then the host has subscribed."""
        self.event_s = -math.inf
        self._outstanding: dict[int, float] = {}
        """When heartbeats that have not arrived were published, by number, the oldest first."""
        self._unconfirmed: dict[int, float] = {}
        """When heartbeats arrived that are not known to be published, by number."""
        self._published_s = began_s
        self._messages = 0
        self._mark_s = -math.inf

    @property
    def heard_anywhere(self) -> int:
        """The last heartbeat that arrived in any process of this instance."""
        return max(self.heard, self.elsewhere)

    def invoked(self, now_s: float) -> None:
        """The function is invoked, with an event or a heartbeat. Heartbeats that were out before the first time may
        have been published before the host had subscribed."""
        self.invoked_s = now_s
        if not self.subscribed:
            self.subscribed = True
            self._outstanding.clear()

    def event(self, now_s: float) -> bool:
        """It is invoked with an event. Returns whether to ask for a heartbeat."""
        self.event_s = now_s
        self._messages += 1
        asks = self._messages >= MARK_AFTER and now_s - self._mark_s >= MARK_PACE_S and not self._outstanding
        if asks:
            self._mark_s = now_s  # once, until it is published
        return asks

    def pace_s(self, now_s: float) -> float:
        """The least time between two heartbeats now. While one is out, the next follows soon: it shows a trigger that
        hears again."""
        if self._messages >= MARK_AFTER or self.lag_s >= BEHIND_S:
            return MARK_PACE_S
        busy = now_s - self.event_s < BUSY_S or self.heard_anywhere == 0 or self._outstanding
        return BUSY_PACE_S if busy else IDLE_PACE_S

    def published(self, number: int, sent_s: float, now_s: float) -> bool:
        """`number` is known to be the last heartbeat published. Returns whether messages before one that has arrived
        were lost. Called by one task, so a smaller number than before means that Redis has lost it."""
        if number != self.newest:
            if number < self.newest:
                self.heard, self._outstanding = 0, {}
            self.newest = number
            self._mark_s, self._messages = now_s, 0
            if number > self.heard and len(self._outstanding) < MAX_OUTSTANDING:
                self._outstanding[number] = sent_s
        return self._confirm(sent_s, now_s)

    def _confirm(self, sent_s: float, now_s: float) -> bool:
        """Take over what arrived before it was known to be published. What arrived before the last such call, and is
        unknown after this one, was never published."""
        arrived, self._unconfirmed = self._unconfirmed, {}
        lost = False
        for number in sorted(arrived):
            if number <= self.newest:
                lost |= self.hear(number, arrived[number], sent_s)
            elif arrived[number] > self._published_s:
                self._unconfirmed[number] = arrived[number]
        self._published_s = now_s
        return lost

    def hear(self, number: int, now_s: float, sent_s: float) -> bool:
        """A heartbeat has arrived. Returns whether a number is missing before it.

        A number that is not known to be published waits for `published`: it may be forged.
        """
        if number > self.newest:
            if len(self._unconfirmed) < MAX_OUTSTANDING:
                self._unconfirmed.setdefault(number, now_s)
            return False
        if number <= self.heard:
            return False
        lost = self.heard > 0 and number != self.heard + 1
        self.heard = number
        self.lag_s = min(max(0.0, now_s - self._outstanding.get(number, sent_s)), MAX_LAG_S)
        self._settle(number)
        return lost

    def heard_elsewhere(self, number: int) -> None:
        """Some process of this instance has heard a heartbeat: the trigger is not deaf. The lag of an older one that
        this process has heard does not count any more; what is overdue does."""
        self.elsewhere = number
        if number > self.heard:
            self.lag_s = 0.0
        self.subscribed |= number > 0
        self._settle(number)

    def _settle(self, number: int) -> None:
        """Heartbeats up to this number are no longer out."""
        for earlier in [sent for sent in self._outstanding if sent <= number]:
            del self._outstanding[earlier]

    def behind_s(self, now_s: float) -> float:
        """How far the lane is behind: the lag of the last heartbeat, or what an overdue one shows already. Before the
        first message has come nothing is known: the host may not have subscribed yet."""
        if not self._outstanding or not self.subscribed:
            return self.lag_s
        return max(self.lag_s, self.overdue_s(now_s))

    def overdue_s(self, now_s: float) -> float:
        """How long the oldest heartbeat that has not arrived is out."""
        return now_s - next(iter(self._outstanding.values())) if self._outstanding else 0.0

    def deaf(self, now_s: float) -> bool:
        """Whether its trigger is deaf."""
        limit_s = DEAF_S if self.heard_anywhere else DEAF_AT_START_S
        return self.overdue_s(now_s) >= limit_s and now_s - self.invoked_s >= limit_s

    def forget(self) -> None:
        """Redis was away: what was published may be lost."""
        self._outstanding.clear()
