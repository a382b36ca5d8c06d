"""The local host's Redis trigger does what was recorded from the real extension.

extension_messages.json: a list of {pattern, channel_b64, event, text}, recorded from extension 1.0.0. A function that
was subscribed to `pattern` got exactly `text` when Redis published `event` on the channel with the bytes `channel_b64`.
"""

import asyncio
import base64
import json
import os
import signal
from collections import defaultdict
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis.asyncio

from local.host import faults as faults_module
from local.host import pubsub
from local.host.faults import Fault, Faults, parse_fault
from local.host.host import Host
from local.host.pubsub import message_text
from shared.errors import MalformedEvent
from shared.intake.events import parse_event
from tests.support.rig import RedisProcess

pytestmark = pytest.mark.both_loops

RECORDED = json.loads((Path(__file__).parent / "extension_messages.json").read_text(encoding="utf-8"))
MESSAGES = [(item["pattern"], base64.b64decode(item["channel_b64"]), item["event"], item["text"]) for item in RECORDED]
TWO = """
received = {"first": [], "second": []}

@on("__keyspace@0__:first:*")
async def first(message: str) -> None:
    received["first"].append(message)

@on("__keyspace@0__:second:*")
async def second(message: str) -> None:
    received["second"].append(message)
"""


def test_every_recorded_text_is_written_the_same() -> None:
    assert len(MESSAGES) > 300
    for pattern, channel, event, text in MESSAGES:
        assert message_text(pattern.encode(), channel, event.encode()) == text


def test_every_recorded_text_is_read_back_to_its_key_unless_the_text_no_longer_tells_it() -> None:
    untold = 0
    for _, channel, event, text in MESSAGES:
        key = channel.partition(b":")[2]
        try:
            parsed = parse_event(text)
        except MalformedEvent:
            assert not key or not is_utf8(key)
            continue
        assert parsed.name == event
        if not is_utf8(key):
            untold += 1
            assert b"\xef\xbf\xbd" in parsed.key, "which shows that the key is another one"
        else:
            assert parsed.key == key
    assert untold > 0


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


async def test_what_redis_publishes_reaches_the_functions_as_recorded(make_app, redis_client, loaded) -> None:
    expected: dict[str, list[str]] = defaultdict(list)
    for pattern, _, _, text in MESSAGES:
        expected[pattern].append(text)
    source = "received = {}\n"
    for number, pattern in enumerate(expected):
        source += f"""
@on("{pattern}")
async def function_{number}(message: str) -> None:
    received.setdefault("{pattern}", []).append(message)
"""
    async with Host(make_app(source), http_port=0) as host:
        pipeline = redis_client.pipeline(transaction=False)
        for _, channel, event, _ in MESSAGES:
            pipeline.publish(channel, event)
        await pipeline.execute()
        await host.drained()
        assert loaded().received == expected


async def test_one_connection_pair_serves_all_functions_of_a_setting(make_app, redis_client) -> None:
    async with Host(make_app(TWO), http_port=0):
        clients = [client for client in await redis_client.client_list() if client["name"]]
    assert [client["name"] for client in clients] == ["AzureFunctionsRedisExtension.first"] * 2
    assert sorted(int(client["psub"]) for client in clients) == [0, 2]
    assert {client["resp"] for client in clients if "resp" in client} <= {"2"}


def received(loaded) -> list[str]:
    return [json.loads(text)["Channel"].rpartition(":")[2] for text in loaded().received["first"]]


async def pubsub_id(client: redis.asyncio.Redis, other_than: str = "") -> str:
    """The id of the trigger's subscribed connection, once there is one."""
    async with asyncio.timeout(10):
        while True:
            ids = [row["id"] for row in await client.client_list(_type="pubsub") if row["id"] != other_than]
            if ids:
                return str(ids[0])
            await asyncio.sleep(0.01)


async def test_a_cut_connection_comes_back_and_only_what_was_published_meanwhile_is_lost(
    make_app, redis_client, loaded, monkeypatch
) -> None:
    monkeypatch.setattr(faults_module, "CUT_EVERY_S", 0.2)
    async with Host(make_app(TWO), http_port=0) as host:
        before = await pubsub_id(redis_client)
        host.faults.begin(Fault.CUT)
        second = await pubsub_id(redis_client, other_than=before)
        await redis_client.set("first:a", "")
        third = await pubsub_id(redis_client, other_than=second)
        await redis_client.set("first:b", "")
        await host.drained()
        assert third != second
        assert received(loaded)[:1] == ["a"]


async def test_with_the_fault_never_again_the_trigger_is_connected_and_deaf(make_app, redis_client, loaded) -> None:
    async with Host(make_app(TWO), http_port=0) as host:
        await redis_client.set("first:a", "")
        await host.drained()
        host.faults.begin(Fault.NEVER_AGAIN)
        await asyncio.wait_for(host._triggers[0]._tasks[0], 10)
        await redis_client.set("first:b", "")
        assert await redis_client.client_list(_type="pubsub") == []
        names = [client["name"] for client in await redis_client.client_list()]
        assert "AzureFunctionsRedisExtension.first" in names
        assert received(loaded) == ["a"]


async def test_a_restart_of_the_job_host_drops_what_waits_and_hears_again(make_app, redis_client, loaded) -> None:
    folder = make_app("""
        gate, received = asyncio.Event(), {"first": []}

        @on("__keyspace@0__:first:*")
        async def first(message: str) -> None:
            received["first"].append(message)
            await gate.wait()
    """)
    async with Host(folder, http_port=0) as host:
        before = await pubsub_id(redis_client)
        for key in ("running", "waiting"):
            await redis_client.set(f"first:{key}", "")
        async with asyncio.timeout(10):
            while not host._triggers[0].lanes[0].queue.qsize():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        host.faults.begin(Fault.RESTART)
        await pubsub_id(redis_client, other_than=before)
        loaded().gate.set()
        await redis_client.set("first:after", "")
        await host.drained()
        assert received(loaded) == ["running", "after"]


@pytest.mark.parametrize("fault", [Fault.HALF_OPEN, Fault.DEAF])
async def test_a_deaf_trigger_stays_subscribed_and_hears_nothing(make_app, redis_client, loaded, fault) -> None:
    async with Host(make_app(TWO), http_port=0) as host:
        await redis_client.set("first:a", "")
        await host.drained()
        host.faults.begin(fault)
        await redis_client.set("first:b", "")
        await host.drained()
        assert await pubsub_id(redis_client)
        assert received(loaded) == ["a"]


@asynccontextmanager
async def no_channels(client: redis.asyncio.Redis):
    await client.execute_command("ACL", "SETUSER", "default", "resetchannels")
    try:
        yield
    finally:
        await client.execute_command("ACL", "SETUSER", "default", "allchannels")


async def test_a_subscription_refused_after_a_lost_connection_is_never_tried_again(
    make_app, redis_client, loaded
) -> None:
    async with Host(make_app(TWO), http_port=0) as host:
        async with no_channels(redis_client):  # this also ends connections that are subscribed
            await redis_client.client_kill_filter(_type="pubsub")
            await asyncio.wait_for(host._triggers[0]._tasks[0], 10)
        await redis_client.set("first:a", "")
        await host.drained()
        assert received(loaded) == []


async def test_a_subscription_refused_at_the_start_is_tried_again(make_app, redis_client, loaded, monkeypatch) -> None:
    monkeypatch.setattr(pubsub, "_START_RETRY_S", 0.05)
    async with no_channels(redis_client):
        host = Host(make_app(TWO), http_port=0)
        await host.__aenter__()
    try:
        await pubsub_id(redis_client)
        await redis_client.set("first:a", "")
        await host.drained()
        assert received(loaded) == ["a"]
    finally:
        await host.__aexit__(None, None, None)


async def test_with_abort_connect_false_a_redis_that_is_away_at_the_start_is_tried_again(
    make_app, tmp_path, loaded, monkeypatch
) -> None:
    monkeypatch.setattr(pubsub, "_START_RETRY_S", 0.05)
    server = RedisProcess(tmp_path)
    folder = make_app(TWO)
    monkeypatch.setenv("Redis", f"127.0.0.1:{server.port},abortConnect=False")
    async with Host(folder, http_port=0) as host, server, redis.asyncio.Redis(port=server.port) as client:
        await pubsub_id(client)
        await client.set("first:a", "")
        await host.drained()
        assert received(loaded) == ["a"]


def test_a_fault_is_named_with_the_time_at_which_it_begins() -> None:
    assert parse_fault("half-open") == (Fault.HALF_OPEN, 0.0)
    assert parse_fault("cut@2.5") == (Fault.CUT, 2.5)
    assert parse_fault("deaf@signal") == (Fault.DEAF, None)
    for text in ("nothing", "cut@soon"):
        with pytest.raises(ValueError, match="never-again"):
            parse_fault(text)
    planned = Faults([(Fault.DEAF, 0.0), (Fault.HALF_OPEN, 3600.0)])
    assert (planned.active(Fault.DEAF), planned.active(Fault.HALF_OPEN)) == (True, False)


async def test_a_fault_begins_and_ends_at_signals(make_app, redis_client, loaded) -> None:
    async with Host(make_app(TWO), http_port=0, faults=Faults([(Fault.DEAF, None)])) as host:
        for number, name in ((None, "a"), (signal.SIGUSR1, "b"), (signal.SIGUSR2, "c")):
            if number is not None:
                os.kill(os.getpid(), number)
                async with asyncio.timeout(10):
                    while host.faults.active(Fault.DEAF) is not (number is signal.SIGUSR1):  # noqa: ASYNC110
                        await asyncio.sleep(0)
            await redis_client.set(f"first:{name}", "")
            await host.drained()
        assert received(loaded) == ["a", "c"]
