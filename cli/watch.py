"""`watch`: key events as they arrive, and the outcomes of the app.

One task receives events, counts them and keeps a bounded number for display. A terminal that blocks holds up a thread,
never that task: it always reads from Redis, and counts the events that there was no room for.
"""

import asyncio
import contextlib
import os
import queue
import select
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

import msgspec
import typer
from redis.exceptions import RedisError
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cli.audit_display import as_json
from cli.formatting import whole
from cli.terminal import Exit, Json, complain, open_console, run, shown
from shared import namespaces
from shared.app import App
from shared.clock import iso_utc
from shared.intake.events import cause_of
from shared.intake.heartbeat import parse_heartbeat
from shared.operations import activity, health, instances
from shared.operations.instances import Instance
from shared.privacy.masking import printable
from shared.reactor import CHANNEL_PREFIX, Reactor
from shared.registry import REACTORS
from shared.words import counted

LAST_EVENTS = 15
MAX_SECONDS = 30 * 86_400
MAX_WAITING = 2000
"""Events that may wait to be written; further ones are counted and not shown."""
RATE_S = 60
STATISTICS_EVERY_S = 5.0
_FOLDED = {"Key", "Instance", "Trigger"}
"""Columns whose cells may take several lines."""
_REFRESH_S = 0.5
_AWAY_S = 1.0
_CLOSING_S = 1.0
_KEY_AT = len(CHANNEL_PREFIX)


@dataclass(frozen=True, slots=True)
class Event:
    """`time_s` is the time of arrival. `key` is not masked."""

    time_s: float
    reactor: int
    """Index into REACTORS."""
    key: bytes
    operation: bytes


@dataclass
class Seen:
    """What was received so far. `seconds` has the last RATE_S seconds: the second, and its events per reactor."""

    verbose: bool = False
    """Whether events with nothing to react to are shown."""
    began_s: float = field(default_factory=time.monotonic)
    events: list[int] = field(default_factory=lambda: [0] * len(REACTORS))
    seconds: deque[tuple[int, list[int]]] = field(default_factory=lambda: deque(maxlen=RATE_S + 1))
    last: deque[Event] = field(default_factory=lambda: deque(maxlen=LAST_EVENTS))
    dropped: int = 0
    outages: int = 0
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    instances: list[Instance] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """Count an event with something to react to, and keep it for display."""
        self.last.append(event)
        self.events[event.reactor] += 1
        second = int(time.monotonic())
        if not self.seconds or self.seconds[-1][0] != second:
            self.seconds.append((second, [0] * len(REACTORS)))
        self.seconds[-1][1][event.reactor] += 1

    def rates(self) -> list[tuple[int, float]]:
        """Per reactor: events in the last full second, and per second over the last minute (or since the start)."""
        now_s = time.monotonic()
        recent = [(second, counts) for second, counts in self.seconds if second > now_s - RATE_S - 1]
        length_s = max(1.0, min(now_s - self.began_s, RATE_S))
        last = next((counts for second, counts in recent if second == int(now_s) - 1), [0] * len(REACTORS))
        return [
            (last[index], round(sum(counts[index] for _, counts in recent) / length_s, 1))
            for index in range(len(REACTORS))
        ]


def watch(
    seconds: Annotated[
        int | None,
        typer.Option(
            parser=whole(1, MAX_SECONDS), metavar="N", help="Stop after this many seconds; otherwise at Ctrl-C."
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Also show events with nothing to react to; they are never counted.")
    ] = False,
    json: Json = False,
) -> None:
    """Show events as they arrive, their rates, and the outcomes. Of all reactors, with keys masked.

    Subscribes by itself: it shows what Redis publishes, whether or not the app receives it. Events with nothing to
    react to, such as the `expire` of SET EX or the events of an index, are counted nowhere. Outcomes are those of all
    instances in the current and the last minute, from the statistics in Redis; instances are those that live, with the
    state of their triggers and their share of the keys. Heartbeats are not shown. In a terminal a page that refreshes;
    in a pipe a line per event. When the reader is too slow, events are counted and not shown.

    JSON: a line each. {"event": {"time", "function", "key", "operation"}}; every 5 s and at the end {"rates":
    {FUNCTION: {"events", "lastSecond", "perSecond"}}, "dropped", "outages", "outcomes": [{"reactor", "source",
    "outcome", "count"}], "instances": [{"instance", "state", "share", "ageS"}]}.

    Example: python3 manage.py watch --seconds 60
    """
    run(partial(_watch, seconds=seconds, verbose=verbose, json=json))


async def _watch(app: App, *, seconds: int | None, verbose: bool, json: bool) -> Exit:
    seen = Seen(verbose=verbose)
    console = open_console()
    live = console.is_terminal and not json
    for reason in (await health.check(app.redis)).reasons:
        complain(reason)
    lines = None if live else Lines(partial(_line, app, json=json))
    subscribed = asyncio.Event()
    tasks = [
        asyncio.create_task(listen(app, seen, lines.put if lines else lambda _: True, subscribed)),
        asyncio.create_task(_statistics(app, seen)),
    ]
    try:
        await _first(subscribed.wait(), tasks)
        if lines:
            complain("subscribed")
        showing = _show(app, seen, console) if live else _summaries(seen, lines, json=json)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await _first(showing, tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if lines:
            lines.close(_summary(seen) if json else None)
        complain(_in_words(seen))
    return Exit.OK


async def _first(work: Any, tasks: Sequence["asyncio.Task[None]"]) -> None:
    """Wait until `work` or one of the tasks ends. Raises what they raise."""
    own = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait([own, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for finished in done:
            finished.result()
    finally:
        own.cancel()
        await asyncio.gather(own, return_exceptions=True)


async def listen(app: App, seen: Seen, put: Callable[[Event], bool], subscribed: asyncio.Event) -> None:
    """Receive events for ever: count each, pass it to `put`, and count those that it has no room for. Subscribes again
    after an outage of Redis; events in between are missed. Raises what the Redis client raises before it ever
    connected.
    """
    while True:
        pubsub = app.redis.pubsub()
        try:
            await pubsub.psubscribe(*(reactor.channel for reactor in REACTORS))
            await _receive(pubsub, seen, put, subscribed)
        except (RedisError, OSError) as error:
            if not subscribed.is_set():
                raise
            seen.outages += 1
            complain(f"Redis is away ({type(error).__name__}); events in between are missed")
            await asyncio.sleep(_AWAY_S)
        finally:
            with contextlib.suppress(RedisError, OSError):
                await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py has no annotation here


async def _receive(pubsub: Any, seen: Seen, put: Callable[[Event], bool], subscribed: asyncio.Event) -> None:
    places = {reactor.channel.encode(): index for index, reactor in enumerate(REACTORS)}
    confirmed = received = 0
    while True:
        message = await pubsub.get_message(timeout=1.0)
        if message is None:
            continue
        if message["type"] == "psubscribe":
            confirmed += 1
            if confirmed == len(REACTORS):
                if subscribed.is_set():
                    complain("subscribed again")
                subscribed.set()
            continue
        if message["type"] != "pmessage":
            continue
        index = places[message["pattern"]]
        event = Event(time.time(), index, message["channel"][_KEY_AT:], message["data"])
        if is_heartbeat(REACTORS[index], event.key, event.operation):
            continue
        if not is_inert(REACTORS[index], event.key, event.operation):
            seen.add(event)
            seen.dropped += not put(event)
        elif seen.verbose:
            seen.last.append(event)
            seen.dropped += not put(event)
        received += 1
        if received % 100 == 0:
            await asyncio.sleep(0)  # messages that were read already arrive without a wait: let other tasks run


def is_inert(reactor: Reactor, key: bytes, operation: bytes) -> bool:
    """Whether the reactor has nothing to react to: the event, the key's name or a test of events says so."""
    if namespaces.parts_of(reactor.kind, key) is None or namespaces.is_probe(key):
        return True
    return cause_of(operation.decode("latin-1")) in reactor.inert


def is_heartbeat(reactor: Reactor, key: bytes, operation: bytes) -> bool:
    return key == reactor.kind.prefix and parse_heartbeat(operation.decode("latin-1")) is not None


async def _statistics(app: App, seen: Seen) -> None:
    """Read the outcomes of the current and the last minute, and the instances, every STATISTICS_EVERY_S."""
    while True:
        with contextlib.suppress(RedisError, OSError):  # `listen` reports outages
            seen.outcomes = outcomes_of(await activity.read(app, minutes=2))
            seen.instances = await instances.read(app)
        await asyncio.sleep(STATISTICS_EVERY_S)


def outcomes_of(stats: activity.Stats) -> list[dict[str, Any]]:
    """Reactor, source, outcome and count, over all minutes."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for minute in stats.minutes:
        for reactor, sources in minute.outcomes.items():
            for source, outcomes in sources.items():
                counts.update({(reactor, source, outcome): count for outcome, count in outcomes.items()})
    names = ("reactor", "source", "outcome")
    return [dict(zip(names, group, strict=True)) | {"count": count} for group, count in sorted(counts.items())]


class Lines:
    """Writes a line per event to stdout, in a thread that may block; at most MAX_WAITING events wait for it."""

    def __init__(self, render: Callable[[Event | dict[str, Any]], str], descriptor: int | None = None) -> None:
        self._render = render
        self._descriptor = sys.stdout.fileno() if descriptor is None else descriptor
        self._waiting: queue.Queue[Event | dict[str, Any] | None] = queue.Queue(MAX_WAITING)
        self.closed = threading.Event()
        """Set when the reader of the pipe has gone, as after `| head`."""
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def put(self, line: Event | dict[str, Any]) -> bool:
        """Returns False when there is no room."""
        try:
            self._waiting.put_nowait(line)
        except queue.Full:
            return False
        return True

    def unread(self) -> bool:
        """Whether the reader of the pipe has gone; while nothing is written, only a poll shows it. Some programs
        (Node.js, uvloop) give a child a socket in place of a pipe."""
        poll = select.poll()
        poll.register(self._descriptor, 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))

    def close(self, last: dict[str, Any] | None) -> None:
        """Write the waiting lines and `last`, within _CLOSING_S."""
        with contextlib.suppress(queue.Full):
            deadline_s = time.monotonic() + _CLOSING_S
            if last:
                self._waiting.put(last, timeout=_CLOSING_S)
            self._waiting.put(None, timeout=max(0.01, deadline_s - time.monotonic()))
            self._thread.join(max(0.01, deadline_s - time.monotonic()))

    def _write(self) -> None:
        while (line := self._waiting.get()) is not None:
            data = (self._render(line) + "\n").encode(errors="replace")
            try:
                while data:  # not print: a thread that holds the lock of stdout would keep the process from ending
                    data = data[os.write(self._descriptor, data) :]
            except OSError:
                self.closed.set()
                return


def _line(app: App, line: Event | dict[str, Any], *, json: bool) -> str:
    if isinstance(line, dict):
        return as_json(line)
    event = _as_dict(app, line)
    if json:
        return as_json({"event": event})
    return "  ".join((event["time"][11:23], f"{event['operation']:<8}", event["key"]))


def _as_dict(app: App, event: Event) -> dict[str, str]:
    return {
        "time": iso_utc(event.time_s),
        "function": REACTORS[event.reactor].function,
        "key": shown(app, event.key),
        "operation": printable(event.operation, 20),
    }


def _summary(seen: Seen) -> dict[str, Any]:
    rates = {
        reactor.function: {"events": count, "lastSecond": last, "perSecond": per_s}
        for reactor, count, (last, per_s) in zip(REACTORS, seen.events, seen.rates(), strict=True)
    }
    return {
        "rates": rates,
        "dropped": seen.dropped,
        "outages": seen.outages,
        "outcomes": seen.outcomes,
        "instances": msgspec.to_builtins(seen.instances),
    }


def _in_words(seen: Seen) -> str:
    counts = ", ".join(f"{reactor.noun} events {count:,}" for reactor, count in zip(REACTORS, seen.events, strict=True))
    dropped = f"; {seen.dropped:,} not shown: the reader is too slow" if seen.dropped else ""
    outages = f"; Redis was away {counted(seen.outages, 'time')}" if seen.outages else ""
    return counts + dropped + outages


async def _summaries(seen: Seen, lines: Lines | None, *, json: bool) -> None:
    """A summary every STATISTICS_EVERY_S, for scripts, until the reader has gone."""
    last_s = time.monotonic()
    while lines and not lines.closed.is_set() and not lines.unread():
        await asyncio.sleep(_REFRESH_S)
        if json and time.monotonic() - last_s >= STATISTICS_EVERY_S:
            last_s = time.monotonic()
            lines.put(_summary(seen))


async def _show(app: App, seen: Seen, console: Any) -> None:
    """A page that refreshes. It is drawn in a thread, since the terminal may block."""
    with Live(console=console, auto_refresh=False, transient=False) as page:
        while True:
            await asyncio.to_thread(page.update, _page(app, seen), refresh=True)
            await asyncio.sleep(_REFRESH_S)


def _page(app: App, seen: Seen) -> Group:
    patterns = _table("Pattern", "Events", "Last s", "Per s, 1 min")
    for reactor, count, (last, per_s) in zip(REACTORS, seen.events, seen.rates(), strict=True):
        patterns.add_row(reactor.pattern, f"{count:,}", f"{last:,}", f"{per_s:,}")
    outcomes = _table("Last two minutes", "Source", "Outcome", "Count")
    for row in seen.outcomes:
        outcomes.add_row(row["reactor"], row["source"], row["outcome"], f"{row['count']:,}")
    events = _table("Time (UTC)", "Event", "Key")
    for event in reversed(seen.last):
        row = _as_dict(app, event)
        events.add_row(row["time"][11:23], row["operation"], row["key"])
    results: Table | Text = outcomes if seen.outcomes else Text("No outcomes in the last two minutes.")
    parts: list[Table | Text] = [patterns, Text(), _instances(seen), Text(), results, Text(), events]
    if seen.outages:
        parts.append(Text(f"Redis was away {counted(seen.outages, 'time')}; events in between were missed."))
    return Group(*parts)


def _instances(seen: Seen) -> Table | Text:
    if not seen.instances:
        return Text("No instance has reported within 5 s.")
    table = _table("Instance", "Keys", "Trigger")
    for one in seen.instances:
        table.add_row(Text(one.instance), f"{one.share:.0%}", instances.MEANINGS.get(one.state, one.state))
    return table


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for header in headers:
        right = header in {"Events", "Last s", "Per s, 1 min", "Count", "Keys"}
        table.add_column(header, justify="right" if right else "left", no_wrap=header not in _FOLDED, overflow="fold")
    return table
