"""`manage.py watch`: shows events as they arrive, masked; a reader that stops reading blocks nothing."""

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from cli import watch
from shared import reactor as outcomes
from shared.app import App
from shared.intake import heartbeat
from shared.reactor import Reactor, Source
from shared.registry import BATCHES, CHARTS, SESSIONS
from shared.telemetry import minute_counts
from tests.cli.conftest import ROOT, Manage

type Start = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start(manage_environment: dict[str, str]) -> AsyncIterator[Start]:
    """Starts `watch` and waits until it has subscribed."""
    started: list[Process] = []

    async def begin(*arguments: str) -> Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "manage.py", "watch", *arguments),
            cwd=ROOT,
            env=manage_environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        started.append(process)
        assert process.stderr
        assert await process.stderr.readline() == b"subscribed\n"
        return process

    yield begin
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line(process: Process) -> bytes:
    assert process.stdout
    return await process.stdout.readline()


async def test_events_of_the_three_patterns_are_shown_with_keys_masked(app: App, start: Start) -> None:
    process = await start("--json")
    await app.redis.publish("__keyspace@0__:fastapi:temp:data:", "heartbeat 1764408840124 1764408853001")
    await app.redis.set("nextauth:session:a-token-nobody-may-see", "{}")
    await app.redis.set("somewhere:else", "x")
    await app.redis.set("fabric:data:chart:\x1b[31m:d", "x")
    await app.redis.rpush("fastapi:temp:data:b1", "x")
    events = [json.loads(await line(process))["event"] for _ in range(3)]
    assert [event["function"] for event in events] == [
        "handle_session_changes",
        "update_charts",
        "process_fastapi_data",
    ]
    assert [event["operation"] for event in events] == ["set", "set", "rpush"]
    assert events[0]["key"].startswith("nextauth:session:~")
    assert events[1]["key"] == "fabric:data:chart:\\x1b[31m:d"
    process.send_signal(signal.SIGINT)
    output, stderr = await process.communicate()
    summary = json.loads(output.splitlines()[-1])
    assert process.returncode == 130
    assert {name: rate["events"] for name, rate in summary["rates"].items()} == {
        "process_fastapi_data": 1,
        "update_charts": 1,
        "handle_session_changes": 1,
    }
    assert stderr.startswith(b"batch events 1, chart events 1, session events 1")


async def test_watch_ends_after_the_chosen_seconds(app: App, start: Start) -> None:
    minute_counts.take(now=True)
    minute_counts.outcome("charts", Source.EVENT, outcomes.Result.PROCESSED.value, 1.0)
    await app.write_minute_counts()
    await heartbeat.send(app, "one\x1b", "ear", [])
    process = await start("--seconds", "1", "--json")
    output, _ = await process.communicate()
    (summary,) = map(json.loads, output.splitlines())
    assert process.returncode == 0
    assert summary["outcomes"] == [{"reactor": "charts", "source": "event", "outcome": "processed", "count": 1}]
    (instance,) = summary["instances"]
    assert (instance["instance"], instance["state"], instance["share"]) == ("one\\x1b", "ear", 1.0)


async def test_a_pipe_receives_one_line_per_event(app: App, start: Start) -> None:
    process = await start()
    await app.redis.set("fastapi:temp:data:b1", "x")
    assert (await line(process)).split()[1:] == [b"set", b"fastapi:temp:data:b1"]


async def test_a_reader_that_stops_reading_blocks_neither_redis_nor_the_exit(app: App, start: Start) -> None:
    """Its output is not read: the pipe takes 64 KiB, the queue MAX_WAITING lines, and further lines are counted."""
    process = await start("--json")
    pipeline = app.redis.pipeline(transaction=False)
    for number in range(6000):
        pipeline.set(f"fastapi:temp:data:b{number}", "x")
    await pipeline.execute()
    await asyncio.wait_for(wait_until_drained(app), 20)
    process.send_signal(signal.SIGINT)
    _, stderr = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 130
    match = re.match(rb"batch events ([\d,]+), chart events 0, session events 0; ([\d,]+) not shown", stderr)
    assert match, stderr
    received, dropped = (int(number.replace(b",", b"")) for number in match.groups())
    assert received - dropped > watch.MAX_WAITING
    assert dropped > 0


async def wait_until_drained(app: App) -> None:
    """Wait until no subscriber has pending messages, in Redis or in its socket."""
    while True:
        clients = await app.redis.client_list(_type="pubsub")
        assert clients
        if all(
            client["omem"] == client["obl"] == "0" and not unread(int(client["addr"].rpartition(":")[2]))
            for client in clients
        ):
            return


def unread(port: int) -> bool:
    """Whether the socket with this local port has unread bytes. Only Linux reports that; elsewhere False."""
    table = Path("/proc/net/tcp")
    lines = [line.split() for line in table.read_text().splitlines()[1:]] if table.exists() else []
    return any(int(line[1][-4:], 16) == port and int(line[4].partition(":")[2], 16) for line in lines)


async def test_watch_ends_if_its_reader_closes_the_pipe(app: App, start: Start) -> None:
    process = await start()
    transport = process._transport.get_pipe_transport(1)  # type: ignore[attr-defined]
    transport.close()
    while process.returncode is None:
        await app.redis.set("fastapi:temp:data:b1", "x")
        await asyncio.sleep(0)
    assert process.returncode == 0


async def test_watch_ends_if_its_reader_closes_the_pipe_while_no_event_arrives(app: App, start: Start) -> None:
    process = await start()
    process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
    assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_a_lost_connection_is_reopened(app: App, start: Start) -> None:
    process = await start("--json")
    assert process.stderr
    await app.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    assert b"Redis is away" in await process.stderr.readline()
    assert await process.stderr.readline() == b"subscribed again\n"
    await app.redis.set("fastapi:temp:data:b1", "x")
    while "event" not in (shown := json.loads(await line(process))):
        assert "rates" in shown
    assert shown["event"]["key"] == "fastapi:temp:data:b1"


async def test_missing_flags_are_reported_first(app: App, manage: Manage) -> None:
    former = (await app.redis.config_get("notify-keyspace-events"))["notify-keyspace-events"]
    await app.redis.config_set("notify-keyspace-events", "Ex")
    try:
        code, _, stderr = await asyncio.to_thread(manage, "watch", "--seconds", "1")
    finally:
        await app.redis.config_set("notify-keyspace-events", former)
    assert code == 0
    assert "delivers no event to the triggers" in stderr.splitlines()[0]


def test_the_memory_of_seen_events_is_bounded() -> None:
    seen = watch.Seen()
    for number in range(100_000):
        seen.add(watch.Event(number / 1000, number % 3, b"k", b"set"))
    assert seen.events == [33_334, 33_333, 33_333]
    assert len(seen.last) == watch.LAST_EVENTS
    assert len(seen.seconds) <= watch.RATE_S + 1
    assert all(per_s > 0 for _, per_s in seen.rates())


def test_lines_are_dropped_if_the_reader_stops_and_closing_takes_bounded_time() -> None:
    reading, writing = os.pipe()
    lines = watch.Lines(lambda _: "x" * 10_000, writing)
    event = watch.Event(0, 0, b"k", b"set")
    accepted = sum(lines.put(event) for _ in range(3 * watch.MAX_WAITING))
    assert watch.MAX_WAITING <= accepted < 2 * watch.MAX_WAITING
    lines.close({"last": 1})
    os.close(reading)
    assert lines.closed.wait(5)
    os.close(writing)


@pytest.mark.parametrize(
    ("reactor", "key", "operation", "inert"),
    [
        (BATCHES, b"fastapi:temp:data:b1", b"set", False),
        (BATCHES, b"fastapi:temp:data:b1", b"expire", True),
        (BATCHES, b"fastapi:temp:data:canary-0123456789abcdef", b"set", True),
        (CHARTS, b"fabric:data:chart::no-chart", b"set", True),
        (CHARTS, b"fabric:data:chart:c:realtime", b"expired", False),
        (SESSIONS, b"nextauth:session:by-user-id:u1", b"set", True),
        (SESSIONS, b"nextauth:session:t1", b"\xff", False),
    ],
)
def test_events_with_nothing_to_react_to_are_told_from_the_others(
    reactor: Reactor, key: bytes, operation: bytes, inert: bool
) -> None:
    assert watch.is_inert(reactor, key, operation) is inert
