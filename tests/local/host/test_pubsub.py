"""The pub/sub trigger behaves as in Azure, with a real server and the real worker library."""

import asyncio
import json
import logging
from collections import Counter
from itertools import pairwise

import pytest
import redis.asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from local.host.host import Host, HostStartError, Invocation
from local.host.pubsub import message_text

MAX_READ_BATCH, MAX_INVOKE_BATCH = 300, 40
"""How many messages may pass before other tasks run: a few ms."""
KEEP = """
received = []

@on("__keyspace@0__:keep:*")
async def keep(message: str) -> None:
    received.append(message)
"""


async def test_a_function_receives_one_message_at_a_time_while_other_functions_continue(make_app, redis_client, loaded):
    folder = make_app("""
        gate, two_passed = asyncio.Event(), asyncio.Event()
        started, ended, passed = [], [], []

        @on("slow")
        async def slow(message: str) -> None:
            started.append(message)
            await gate.wait()
            ended.append(message)

        @on("fast")
        async def fast(message: str) -> None:
            passed.append(message)
            if len(passed) == 2:
                two_passed.set()
    """)
    async with Host(folder, http_port=0) as host:
        app = loaded()
        for message in ("1", "2"):
            await redis_client.publish("slow", message)
            await redis_client.publish("fast", message)
        await app.two_passed.wait()
        assert ([json.loads(text)["Message"] for text in app.started], app.ended) == (["1"], [])
        app.gate.set()
        await host.drained()
        assert [json.loads(text)["Message"] for text in app.ended] == ["1", "2"]


@pytest.mark.parametrize(
    ("key", "written"),
    [
        (b"keep:plain", "keep:plain"),
        (b'keep:"quoted"\\/\'', 'keep:\\"quoted\\"\\\\/\''),
        (b"keep:line\n\r\ttab", "keep:line\\n\\r\\ttab"),
        (b"keep:\x00\x08\x0c\x1f\x7f", "keep:\\u0000\\b\\f\\u001f\x7f"),
        ("keep:Größe 🏭 <&>".encode(), "keep:Größe 🏭 <&>"),
        ("keep:\u2028\u2029\u0085".encode(), "keep:\\u2028\\u2029\\u0085"),
        (b"keep:\xff\xe2\x82\xed\xa0\x80", "keep:" + "\ufffd" * 5),
        (b"keep:", "keep:"),
    ],
)
async def test_the_message_text_is_that_of_the_extension(make_app, redis_client, loaded, key, written):
    async with Host(make_app(KEEP), http_port=0) as host:
        await redis_client.set(key, "value")
        await host.drained()
        assert loaded().received == [
            '{"SubscriptionChannel":"__keyspace@0__:keep:*","Channel":"__keyspace@0__:' + written + '","Message":"set"}'
        ]


@settings(deadline=None)
@given(st.text(), st.text(), st.text())
def test_any_utf8_text_is_restored_from_the_message(subscription, channel, message):
    text = message_text(subscription.encode(), channel.encode(), message.encode())
    assert json.loads(text) == {"SubscriptionChannel": subscription, "Channel": channel, "Message": message}


@given(st.binary())
def test_any_bytes_become_a_valid_message(channel):
    assert json.loads(message_text(b"*", channel, b"set"))["Channel"] == channel.decode("utf-8", "replace")


async def test_a_function_that_raises_loses_the_message_and_receives_the_next(make_app, redis_client):
    folder = make_app("""
        @on("numbers")
        async def half(message: str) -> None:
            if '"Message":"bad"' in message:
                raise LookupError("no such number")
    """)
    invocations: list[Invocation] = []
    async with Host(folder, http_port=0, on_invocation=invocations.append) as host:
        for message in ("1", "bad", "2"):
            await redis_client.publish("numbers", message)
        await host.drained()
    results = [(invocation.function, invocation.trigger, invocation.ok, invocation.error) for invocation in invocations]
    assert results == [
        ("half", "redisPubSubTrigger", True, None),
        ("half", "redisPubSubTrigger", False, "LookupError('no such number')"),
        ("half", "redisPubSubTrigger", True, None),
    ]
    assert [json.loads(invocation.message)["Message"] for invocation in invocations] == ["1", "bad", "2"]
    assert all(invocation.duration_ms >= 0 for invocation in invocations)


async def test_an_observer_that_raises_does_not_end_the_lane(make_app, redis_client, loaded):
    def fail(_: Invocation) -> None:
        raise RuntimeError("an error of the observer")

    async with Host(make_app(KEEP), http_port=0, on_invocation=fail) as host:
        await redis_client.set("keep:1", "")
        await redis_client.set("keep:2", "")
        await host.drained()
        assert len(loaded().received) == 2


async def test_a_synchronous_function_runs(make_app, redis_client, loaded):
    folder = make_app("""
        received = []

        @on("sync")
        def sync(message: str) -> None:
            received.append(message)
    """)
    async with Host(folder, http_port=0) as host:
        await redis_client.publish("sync", "1")
        await host.drained()
        assert len(loaded().received) == 1


async def test_without_pattern_the_channel_is_literal(make_app, redis_client, loaded):
    folder = make_app("""
        received = []

        @on("__keyspace@0__:literal:*", pattern=False)
        async def literal(message: str) -> None:
            received.append(message)
    """)
    async with Host(folder, http_port=0) as host:
        await redis_client.set("literal:1", "")
        await redis_client.set("literal:*", "")
        await host.drained()
        channel = "__keyspace@0__:literal:*"
        assert loaded().received == [f'{{"SubscriptionChannel":"{channel}","Channel":"{channel}","Message":"set"}}']


class _LogEvent(logging.Handler):
    """Sets an event when a text is logged."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.event = text, asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self.text in record.getMessage():
            self.event.set()


async def test_a_lost_connection_is_opened_and_subscribed_again(make_app, redis_client: redis.asyncio.Redis, loaded):
    subscribed_again = _LogEvent("keep: subscribed again")
    logging.getLogger("local.host.pubsub").addHandler(subscribed_again)
    try:
        async with Host(make_app(KEEP), http_port=0) as host:
            await redis_client.set("keep:before", "")
            await host.drained()
            await redis_client.client_kill_filter(_type="pubsub")
            await host.drained()
            await subscribed_again.event.wait()
            await redis_client.set("keep:after", "")
            await host.drained()
            keys = [json.loads(text)["Channel"].rpartition(":")[2] for text in loaded().received]
            assert keys == ["before", "after"]
    finally:
        logging.getLogger("local.host.pubsub").removeHandler(subscribed_again)


async def test_drained_waits_for_every_message_that_redis_sent(make_app, redis_client, loaded):
    folder = make_app(KEEP)
    async with Host(folder, http_port=0) as host:
        pipeline = redis_client.pipeline(transaction=False)
        for number in range(500):
            pipeline.set(f"keep:{number}", "")
        await pipeline.execute()
        await host.drained()
        assert [json.loads(text)["Channel"].rpartition(":")[2] for text in loaded().received] == [
            str(n) for n in range(500)
        ]


async def test_other_tasks_run_while_many_messages_are_read_and_invoked(make_app, redis_client, loaded):
    folder = make_app("""
        started, gate = asyncio.Event(), asyncio.Event()
        loop_iteration, invoked_in = 0, []

        @on("jobs")
        async def work(message: str) -> None:
            if not invoked_in:
                started.set()
                await gate.wait()
            invoked_in.append(loop_iteration)
    """)
    count = 2000
    async with Host(folder, http_port=0) as host:
        app = loaded()
        (lane,) = host._triggers[0].lanes
        sizes = [0]

        async def count_iterations():
            while True:
                await asyncio.sleep(0)
                app.loop_iteration += 1
                sizes.append(lane.queue.qsize())

        counting = asyncio.create_task(count_iterations())
        await redis_client.publish("jobs", "first")
        await app.started.wait()
        pipeline = redis_client.pipeline(transaction=False)
        for _ in range(count):
            pipeline.publish("jobs", "next")
        await pipeline.execute()
        while sizes[-1] < count:  # noqa: ASYNC110 (a queue has no event that reports its size)
            await asyncio.sleep(0)
        app.gate.set()
        await host.drained()
        counting.cancel()
        assert len(app.invoked_in) == count + 1
        assert max(after - before for before, after in pairwise(sizes)) <= MAX_READ_BATCH
        assert max(Counter(app.invoked_in).values()) <= MAX_INVOKE_BATCH


async def test_a_stop_waits_for_the_running_invocation_and_drops_waiting_messages(make_app, redis_client, loaded):
    folder = make_app("""
        started, gate = asyncio.Event(), asyncio.Event()
        ended = []

        @on("jobs")
        async def work(message: str) -> None:
            started.set()
            await gate.wait()
            ended.append(message)
    """)
    before = asyncio.all_tasks()
    async with Host(folder, http_port=0) as host:
        app = loaded()
        await redis_client.publish("jobs", "running")
        await redis_client.publish("jobs", "waiting")
        await app.started.wait()
        drained = asyncio.create_task(host.drained())
        asyncio.get_running_loop().call_later(0.05, app.gate.set)
    assert [json.loads(text)["Message"] for text in app.ended] == ["running"]
    await drained
    assert asyncio.all_tasks() == before
    assert await redis_client.pubsub_numpat() == 0


async def test_a_stop_cancels_an_invocation_that_hangs(make_app, redis_client, loaded, monkeypatch):
    folder = make_app("""
        started, ended = asyncio.Event(), []

        @on("jobs")
        async def hang(message: str) -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(message)
    """)
    monkeypatch.setattr("local.host.host.STOP_S", 0.05)
    before = asyncio.all_tasks()
    async with Host(folder, http_port=0):
        app = loaded()
        await redis_client.publish("jobs", "1")
        await app.started.wait()
    assert len(app.ended) == 1
    assert asyncio.all_tasks() == before


async def test_an_unreachable_redis_fails_the_start_with_the_function_s_name(make_app, monkeypatch, free_port):
    folder = make_app(KEEP)
    monkeypatch.setenv("Redis", f"127.0.0.1:{free_port}")
    with pytest.raises(HostStartError, match=f"keep cannot subscribe: .*{free_port}"):
        await Host(folder, http_port=0).__aenter__()
