"""The pub/sub trigger's promises, over a real server and the real worker library."""

import asyncio
import json
import logging
from collections import Counter
from itertools import pairwise

import pytest
import redis.asyncio
from hypothesis import given
from hypothesis import strategies as st

from local.host.host import Host, HostStartError, Invocation
from local.host.pubsub import message_text

READ_AT_ONCE, TAKEN_AT_ONCE = 300, 40
"""Messages that may pass without a turn for others: a few ms."""
KEEP = """
seen = []

@on("__keyspace@0__:keep:*")
async def keep(message: str) -> None:
    seen.append(message)
"""


async def test_a_function_takes_one_message_at_a_time_while_other_functions_go_on(make_app, redis_client, loaded):
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
async def test_the_message_is_exactly_the_text_that_the_extension_sends(make_app, redis_client, loaded, key, written):
    async with Host(make_app(KEEP), http_port=0) as host:
        await redis_client.set(key, "value")
        await host.drained()
        assert loaded().seen == [
            '{"SubscriptionChannel":"__keyspace@0__:keep:*","Channel":"__keyspace@0__:' + written + '","Message":"set"}'
        ]


@given(st.text(), st.text(), st.text())
def test_any_utf8_text_comes_back_from_the_message(subscription, channel, message):
    text = message_text(subscription.encode(), channel.encode(), message.encode())
    assert json.loads(text) == {"SubscriptionChannel": subscription, "Channel": channel, "Message": message}


@given(st.binary())
def test_any_bytes_make_a_message(channel):
    assert json.loads(message_text(b"*", channel, b"set"))["Channel"] == channel.decode("utf-8", "replace")


async def test_a_function_that_raises_loses_the_message_and_takes_the_next(make_app, redis_client):
    folder = make_app("""
        @on("numbers")
        async def half(message: str) -> None:
            if '"Message":"bad"' in message:
                raise LookupError("no such number")
    """)
    seen: list[Invocation] = []
    async with Host(folder, http_port=0, on_invocation=seen.append) as host:
        for message in ("1", "bad", "2"):
            await redis_client.publish("numbers", message)
        await host.drained()
    assert [(one.function, one.trigger, one.ok, one.error) for one in seen] == [
        ("half", "redisPubSubTrigger", True, None),
        ("half", "redisPubSubTrigger", False, "LookupError('no such number')"),
        ("half", "redisPubSubTrigger", True, None),
    ]
    assert [json.loads(one.message)["Message"] for one in seen] == ["1", "bad", "2"]
    assert all(one.duration_ms >= 0 for one in seen)


async def test_a_watcher_that_raises_does_not_end_the_lane(make_app, redis_client, loaded):
    def fail(_: Invocation) -> None:
        raise RuntimeError("a fault of the watcher")

    async with Host(make_app(KEEP), http_port=0, on_invocation=fail) as host:
        await redis_client.set("keep:1", "")
        await redis_client.set("keep:2", "")
        await host.drained()
        assert len(loaded().seen) == 2


async def test_a_sync_function_runs_too(make_app, redis_client, loaded):
    folder = make_app("""
        seen = []

        @on("sync")
        def sync(message: str) -> None:
            seen.append(message)
    """)
    async with Host(folder, http_port=0) as host:
        await redis_client.publish("sync", "1")
        await host.drained()
        assert len(loaded().seen) == 1


async def test_without_pattern_the_channel_is_literal(make_app, redis_client, loaded):
    folder = make_app("""
        seen = []

        @on("__keyspace@0__:literal:*", pattern=False)
        async def literal(message: str) -> None:
            seen.append(message)
    """)
    async with Host(folder, http_port=0) as host:
        await redis_client.set("literal:1", "")
        await redis_client.set("literal:*", "")
        await host.drained()
        channel = "__keyspace@0__:literal:*"
        assert loaded().seen == [f'{{"SubscriptionChannel":"{channel}","Channel":"{channel}","Message":"set"}}']


class _Heard(logging.Handler):
    """Sets an event when a text is logged."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.event = text, asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self.text in record.getMessage():
            self.event.set()


async def test_a_lost_connection_comes_back_with_its_subscription(make_app, redis_client: redis.asyncio.Redis, loaded):
    heard = _Heard("keep: subscribed again")
    logging.getLogger("local.host.pubsub").addHandler(heard)
    try:
        async with Host(make_app(KEEP), http_port=0) as host:
            await redis_client.set("keep:before", "")
            await host.drained()
            await redis_client.client_kill_filter(_type="pubsub")
            await host.drained()
            await heard.event.wait()
            await redis_client.set("keep:after", "")
            await host.drained()
            keys = [json.loads(text)["Channel"].rpartition(":")[2] for text in loaded().seen]
            assert keys == ["before", "after"]
    finally:
        logging.getLogger("local.host.pubsub").removeHandler(heard)


@pytest.mark.parametrize("protocol", ["resp2", "resp3"])
async def test_drained_waits_for_all_that_redis_sent_on_either_protocol(
    make_app, redis_client, loaded, redis_port, monkeypatch, protocol
):
    folder = make_app(KEEP)
    monkeypatch.setenv("Redis", f"127.0.0.1:{redis_port},protocol={protocol}")
    async with Host(folder, http_port=0) as host:
        pipeline = redis_client.pipeline(transaction=False)
        for number in range(500):
            pipeline.set(f"keep:{number}", "")
        await pipeline.execute()
        await host.drained()
        assert [json.loads(text)["Channel"].rpartition(":")[2] for text in loaded().seen] == [
            str(n) for n in range(500)
        ]


@pytest.mark.parametrize("protocol", ["resp2", "resp3"])
async def test_a_long_run_of_messages_leaves_the_loop_to_others_while_it_is_read_and_while_it_is_taken(
    make_app, redis_client, loaded, redis_port, monkeypatch, protocol
):
    folder = make_app("""
        started, gate = asyncio.Event(), asyncio.Event()
        turn, taken_in = 0, []

        @on("jobs")
        async def work(message: str) -> None:
            if not taken_in:
                started.set()
                await gate.wait()
            taken_in.append(turn)
    """)
    monkeypatch.setenv("Redis", f"127.0.0.1:{redis_port},protocol={protocol}")
    count = 2000
    async with Host(folder, http_port=0) as host:
        app = loaded()
        (subscription,) = host._subscriptions
        sizes = [0]

        async def others():
            while True:
                await asyncio.sleep(0)
                app.turn += 1
                sizes.append(subscription._queue.qsize())

        turning = asyncio.create_task(others())
        await redis_client.publish("jobs", "first")
        await app.started.wait()
        pipeline = redis_client.pipeline(transaction=False)
        for _ in range(count):
            pipeline.publish("jobs", "next")
        await pipeline.execute()
        while sizes[-1] < count:  # noqa: ASYNC110 (a queue has no event for its size)
            await asyncio.sleep(0)
        app.gate.set()
        await host.drained()
        turning.cancel()
        assert len(app.taken_in) == count + 1
        assert max(after - before for before, after in pairwise(sizes)) <= READ_AT_ONCE
        assert max(Counter(app.taken_in).values()) <= TAKEN_AT_ONCE


async def test_leaving_ends_the_running_invocation_and_leaves_nothing(make_app, redis_client, loaded):
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
        waiting = asyncio.create_task(host.drained())
        asyncio.get_running_loop().call_later(0.05, app.gate.set)
    assert [json.loads(text)["Message"] for text in app.ended] == ["running"]
    await waiting
    assert asyncio.all_tasks() == before
    assert await redis_client.pubsub_numpat() == 0


async def test_a_hung_invocation_is_ended_at_the_bound(make_app, redis_client, loaded, monkeypatch):
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


async def test_a_redis_that_cannot_be_had_fails_the_start_with_the_function_named(make_app, monkeypatch, free_port):
    folder = make_app(KEEP)
    monkeypatch.setenv("Redis", f"127.0.0.1:{free_port}")
    with pytest.raises(HostStartError, match=f"keep cannot subscribe: .*{free_port}"):
        await Host(folder, http_port=0).__aenter__()
