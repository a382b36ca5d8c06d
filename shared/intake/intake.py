"""The intake of a process: by which way events come in, and which of them are its own.

At rest they come through the platform's triggers, one invocation each. `Intake.run`, a task of the process that needs
no timer of the platform, publishes heartbeats (heartbeat.py). They show how far each trigger is behind (lane.py), and
register the instance with the others, with which it divides the keys (sharing.py). When a trigger is far behind or
deaf, the process listens by its own ear (listening.py). Events wait for their reaction in collector.py.
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from redis.exceptions import RedisError

from shared import telemetry
from shared.app import App
from shared.delivery.catch_up import Watch, catch_up
from shared.intake import heartbeat
from shared.intake.events import KeyEvent
from shared.intake.lane import BEHIND_S, FAR_BEHIND_S
from shared.intake.listening import Listening, Need
from shared.intake.server_watch import WATCH_S, ServerWatch
from shared.intake.sharing import Shares, division_of
from shared.intake.way import Way
from shared.reactor import Reactor
from shared.settings import Settings
from shared.store.refusals import is_away
from shared.words import counted

TICK_S = 1.0
"""Time between two calls at rest."""
BUSY_TICK_S = 0.1
"""The same while a lane is behind, or was until lately."""
VIEW_S = 3.0
"""Age of a view of the living instances from which on it is not trusted: then every key is this instance's. Less than
heartbeat.HOLDS_MS, after which the others take over its share."""
AGAIN_S = 5.0
"""Time between two attempts to reconcile while another instance does."""


class State(StrEnum):
    """The state of an instance, as the others and operators see it."""

    STARTING = "starting"
    """It has not heard a heartbeat of each function yet."""
    TRIGGER = "trigger"
    """Events come through the platform's triggers."""
    BEHIND = "behind"
    """The triggers are far behind; it listens itself."""
    EAR = "ear"
    """The triggers are deaf; it listens itself."""
    DEAF = "deaf"
    """The triggers are deaf, and it does not hear by itself."""


SHARING = frozenset({State.TRIGGER, State.BEHIND, State.EAR})
"""States in which an instance hears, so that keys may be its."""
_EARS = frozenset({State.BEHIND, State.EAR})
"""States in which a process hears by its own ear."""


@dataclass(frozen=True)
class Report:
    """What operators are told. `since_s` is how long the state has lasted, `deaf_s` how long triggers have been deaf
    (None if they are not); `behind_s` is per function; `share` is the part of the keys that is this instance's;
    `refused` is the error with which Redis refuses heartbeats, or empty."""

    state: State
    since_s: float
    deaf_s: float | None
    behind_s: dict[str, float]
    instance: str
    instances: tuple[heartbeat.Member, ...]
    share: float
    refused: str


@dataclass
class Running:
    """The intake of this process, as `app.state(Running)`; None where no trigger runs, as in manage.py."""

    intake: "Intake | None" = None


class Intake:
    """One per process. `watch` is what the process' sweeps know of lost events."""

    def __init__(self, reactors: Sequence[Reactor], watch: Watch, settings: Settings) -> None:
        self._reactors, self._watch = reactors, watch
        self.ways = {reactor.name: Way(reactor, self._looked_at) for reactor in reactors}
        self._ways = [way for way in self.ways.values() if way.reactor.function not in settings.disabled]
        """Those of functions that are switched off are neither listened to nor missed."""
        self._name, self._one_of_several = settings.instance, settings.worker_processes > 1
        self._process = f"{self._name}/{secrets.token_hex(3)}" if self._one_of_several else self._name
        self._listening = Listening(self._process, self._ways, self.owns, self._lost, self._want_marks)
        self._shares = Shares(self._name)
        self._division = division_of(tuple(way.channel for way in self._ways))
        self._view_s = -VIEW_S
        self._members: tuple[heartbeat.Member, ...] = ()
        self._refused = ""
        self._redis_offset_s: float | None = None
        """time.monotonic() minus Redis' time."""
        self._server = ServerWatch()
        self._server_s = -WATCH_S
        self._measured_s = -TICK_S
        self._marks_asked = self._marks_answered = 0
        """How often heartbeats were asked for at once; the last such request that was answered."""
        self._wake = asyncio.Event()
        self._catching_up: asyncio.Task[None] | None = None
        self._state = State.STARTING
        self._state_since_s = time.monotonic()
        self._deaf_since_s: float | None = None

    # What the triggers call

    def hear(self, way: Way, beat: heartbeat.Heartbeat) -> None:
        """A heartbeat has come through a trigger."""
        now_s = time.monotonic()
        way.lane.invoked(now_s)
        sent_s = now_s if self._redis_offset_s is None else beat.sent_ms / 1000 + self._redis_offset_s
        if way.lane.hear(beat.number, now_s, sent_s) and not self._one_of_several:
            self._lost(f"heartbeats of {way.reactor.function} are missing")
        if way.lane.lag_s >= BEHIND_S or self._listening.open or self._state is State.STARTING or self._one_of_several:
            self._wake.set()  # the other processes of the host miss a heartbeat until they know who heard it

    def invoked(self, way: Way) -> bool:
        """A function was invoked with an event. Returns whether others wait behind it: then it should end soon."""
        now_s = time.monotonic()
        way.lane.invoked(now_s)
        behind_s = way.lane.behind_s(now_s)
        if way.lane.event(now_s) or (behind_s >= FAR_BEHIND_S and not self._listening.open):
            self._wake.set()
        return behind_s >= BEHIND_S

    async def admits(self, way: Way, event: KeyEvent) -> bool:
        """Whether to react to an event that came through a trigger: not if its key is another instance's, or if it was
        heard before."""
        if not way.reactor.ordered and not self.owns(event.key):
            way.dropped["elsewhere"] += 1
            return False
        await self._listening.hold(way)
        if self._listening.covers(way, event):
            way.dropped["heard"] += 1
            return False
        return True

    def owns(self, key: bytes) -> bool:
        """Whether a key is this instance's. All are while it is not known who lives."""
        return self._shares.has(key) or time.monotonic() - self._view_s > VIEW_S

    def report(self) -> Report:
        now_s = time.monotonic()
        return Report(
            self._state,
            now_s - self._state_since_s,
            None if self._deaf_since_s is None else now_s - self._deaf_since_s,
            {way.reactor.function: way.lane.behind_s(now_s) for way in self._ways},
            self._name,
            self._members,
            self._shares.share,
            self._refused,
        )

    # The process' own task

    async def run(self, app: App) -> None:
        """Until cancelled: publish heartbeats, and decide what follows from them. Raises nothing else."""
        app.state(Running).intake = self
        try:
            while True:
                try:
                    await self._tick(app)
                    self._measure()
                except Exception as error:  # whatever it is: without heartbeats nobody would notice a deaf trigger
                    telemetry.logger.error("heartbeats: %s; they go on", type(error).__name__)
                    await asyncio.sleep(TICK_S)
                busy = self._listening.need is Need.BEHIND or any(
                    way.lane.behind_s(time.monotonic()) >= BEHIND_S for way in self._ways
                )
                try:
                    async with asyncio.timeout(BUSY_TICK_S if busy else TICK_S):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                self._wake.clear()
        finally:
            await self._listening.stop()

    async def _tick(self, app: App) -> None:
        began_s, asked = time.monotonic(), self._marks_asked
        pace_s = [0.0 if asked > self._marks_answered else way.lane.pace_s(began_s) for way in self._ways]
        lanes = [
            (way.channel, round(pace * 1000), way.lane.heard) for way, pace in zip(self._ways, pace_s, strict=True)
        ]
        try:
            reply = await heartbeat.send(app, self._process, self._state, lanes)
            if began_s - self._server_s >= WATCH_S:
                self._server_s = began_s
                for reason in await self._server.look(app):
                    self._lost(reason)
        except (RedisError, OSError) as error:  # nothing can be told of the triggers
            if is_away(error):  # those who react report a refusal
                telemetry.outage("Redis", error)
            for way in self._ways:
                way.lane.forget()
            return
        telemetry.recovered("Redis")
        self._view_s = began_s
        self._take(reply, began_s, asked)
        if self._one_of_several and any(
            way.lane.heard != heard for way, (_, _, heard) in zip(self._ways, lanes, strict=True)
        ):
            self._wake.set()  # it was not known to be published, so it has still to be registered
        await self._decide(app)
        self._catch_up(app)

    def _take(self, reply: heartbeat.Reply, began_s: float, asked: int) -> None:
        """Take over what Redis says of the heartbeats and of the other instances. The call answers the requests up to
        `asked`; what was published before the last request is no answer to it."""
        now_s = time.monotonic()
        self._redis_offset_s = began_s - reply.now_ms / 1000
        published = not reply.refused and all(lane.sent_ms == reply.now_ms for lane in reply.lanes)
        answers = self._marks_answered < asked == self._marks_asked
        if published:  # else it was refused, and the next call asks again
            self._marks_answered = asked
        for way, lane in zip(self._ways, reply.lanes, strict=True):
            sent_s = lane.sent_ms / 1000 + self._redis_offset_s
            if way.lane.published(lane.number, sent_s, now_s) and not self._one_of_several:
                self._lost(f"heartbeats of {way.reactor.function} are missing")
            if self._one_of_several:
                way.lane.heard_elsewhere(min(lane.heard, lane.number))
            if answers and lane.sent_ms == reply.now_ms and not reply.refused:
                self._listening.published(way, lane.number)
        self._refused, self._members = reply.refused, reply.members
        gone = self._shares.divide(
            [member.host for member in reply.members if member.state in SHARING and member.division == self._division]
        )
        gone |= self._listening.divide(
            [member.identity for member in reply.members if member.host == self._name and member.state in _EARS]
        )
        # What was left to a process that has closed its ear in good order comes through the trigger as well.
        gone -= {m.identity for m in reply.members if m.host == self._name and m.state in SHARING}
        if gone:
            self._lost(f"{counted(len(gone), 'instance')} fell silent or left")

    async def _decide(self, app: App) -> None:
        now_s = time.monotonic()
        behind_s = max((way.lane.behind_s(now_s) for way in self._ways), default=0.0)
        deaf = any(way.lane.deaf(now_s) for way in self._ways)
        in_time = not deaf and not self._refused and behind_s < FAR_BEHIND_S / 2
        if deaf:
            self._listening.start(app, Need.DEAF)
        elif self._refused:
            self._listening.start(app, Need.NO_HEARTBEATS)
        elif behind_s >= FAR_BEHIND_S:
            self._listening.start(app, Need.BEHIND)
        if self._listening.open:
            await self._listening.look_after(app, in_time=in_time)
        self._deaf_since_s = (self._deaf_since_s or now_s) if deaf else None
        self._note(self._state_now(deaf=deaf))

    def _state_now(self, *, deaf: bool) -> State:
        if deaf:
            return State.EAR if self._listening.live else State.DEAF
        if self._listening.live and not self._refused:
            return State.BEHIND
        heard = all(way.lane.heard_anywhere for way in self._ways)
        return State.TRIGGER if heard or self._refused else State.STARTING

    def _note(self, state: State) -> None:
        if state is self._state:
            return
        before, self._state, self._state_since_s = self._state, state, time.monotonic()
        self._wake.set()  # tells the others
        if state in SHARING and before not in SHARING:  # they drop its share of what they have still to hear
            self._lost("this instance begins to hear")
        deaf = {State.DEAF, State.EAR}
        if state in deaf and before not in deaf:
            telemetry.logger.error(
                "the platform's trigger is deaf: Redis answers, but heartbeats do not come back through it. The app "
                "hears events by a subscription of its own"
            )
        elif before in deaf and state not in deaf:
            telemetry.logger.warning("the platform's trigger hears again")
        else:
            telemetry.logger.info("events come in by: %s (before: %s)", state.value, before.value)

    def _measure(self) -> None:
        """Set the metrics, once in TICK_S: an event costs nothing, and with an SDK this takes 0.2 ms."""
        if time.monotonic() - self._measured_s < TICK_S / 2:
            return
        self._measured_s = time.monotonic()
        report = self.report()
        states = [member.state for member in report.instances]
        telemetry.triggers(
            report.behind_s, report.deaf_s or 0.0, report.share, {state: states.count(state) for state in State}
        )
        for way in self._ways:
            dropped, way.dropped = way.dropped, Counter()
            for what, number in dropped.items():
                telemetry.count(way.reactor.function, what, number)

    # Help for the parts

    def _looked_at(self, key: bytes, began_s: float) -> None:
        self._listening.looked_at(key, began_s)

    def _want_marks(self) -> None:
        self._marks_asked += 1
        self._wake.set()

    def _lost(self, reason: str) -> None:
        """Events may have been missed: reconcile at once."""
        if not self._watch.behind:
            telemetry.logger.info("a sweep begins: %s", reason)
            self._wake.set()
        self._watch.lost()

    def _catch_up(self, app: App) -> None:
        """Reconcile if events may have been lost. Each process does so by itself: the platform's timers run on one
        instance, which does not see the outages of the others."""
        self._watch.notice_outages()
        idle = self._catching_up is None or self._catching_up.done()
        if self._watch.behind and idle and self._state is not State.STARTING:
            self._catching_up = asyncio.get_running_loop().create_task(self._reconcile(app))

    async def _reconcile(self, app: App) -> None:
        await catch_up(app, self._reactors, self._watch, due=False)
        if self._watch.behind:  # another instance reconciles, or Redis refuses
            await asyncio.sleep(AGAIN_S)
