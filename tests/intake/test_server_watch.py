"""What the server shows of lost events: each is told, once more at the next look, and nothing else is."""

import time
from pathlib import Path

import pytest
import redis.asyncio

from shared.app import App, open_app
from shared.intake.server_watch import TRIGGER_NAME, ServerWatch, _connections
from shared.settings import parse
from tests.support.rig import RedisProcess
from tests.support.traffic import open_client


@pytest.fixture
async def trigger(redis_client: redis.asyncio.Redis, redis_port: int):
    """The subscribed connection of a trigger, by the name that the extension gives it."""
    name = f"{TRIGGER_NAME}process_fastapi_data"
    async with redis.asyncio.Redis(port=redis_port, client_name=name) as client, client.pubsub() as pubsub:
        await pubsub.psubscribe("__keyspace@0__:fastapi:temp:data:*")
        await pubsub.get_message(timeout=5)
        yield pubsub


@pytest.mark.parametrize("options", ["", ",protocol=resp2"])
async def test_nothing_is_told_while_nothing_happens(app: App, trigger, redis_port: int, options: str) -> None:
    watch = ServerWatch()
    app = open_app(parse({"Redis": f"127.0.0.1:{redis_port}{options}", "AUDIT_KEY": "an audit key of the tests"}))
    assert [await watch.look(app) for _ in range(3)] == [[], [], []]
    assert len(watch.seen["connections"]) == 1
    await app.redis.aclose()


def test_a_reply_about_thousands_of_subscribers_is_read_in_a_moment() -> None:
    """It is read every WATCH_S in the event loop of the functions."""
    line = "id={} addr=10.0.0.1:50000 name={} age=100 flags=P psub=3 cmd=psubscribe lib-name={} lib-ver=5"
    names = ["", "someone", TRIGGER_NAME + "update_charts"]
    reply = "\n".join(line.format(number, names[number % 3], TRIGGER_NAME) for number in range(9000)).encode()
    began_s = time.thread_time()
    assert _connections(reply) == {b"id=%d" % number for number in range(2, 9000, 3)}
    assert time.thread_time() - began_s < 0.1


async def test_a_connection_of_the_trigger_that_ended_is_told_and_once_more_at_the_next_look(app: App, trigger) -> None:
    watch = ServerWatch()
    await watch.look(app)
    await app.redis.client_kill_filter(_type="pubsub")
    looks = [await watch.look(app) for _ in range(3)]
    assert looks == [["a connection of the trigger ended"], ["a connection of the trigger ended"], []]


async def test_a_connection_of_another_client_does_not_matter(app: App, redis_port: int) -> None:
    watch = ServerWatch()
    async with redis.asyncio.Redis(port=redis_port, client_name="someone") as client, client.pubsub() as pubsub:
        await pubsub.psubscribe("a*")
        await pubsub.get_message(timeout=5)
        await watch.look(app)
    assert await watch.look(app) == []


async def test_a_change_of_the_flags_is_told(app: App) -> None:
    watch = ServerWatch()
    await watch.look(app)
    flags = (await app.redis.config_get("notify-keyspace-events"))["notify-keyspace-events"]
    await app.redis.config_set("notify-keyspace-events", "Kx")
    assert await watch.look(app) == ["notify-keyspace-events was changed"]
    await app.redis.config_set("notify-keyspace-events", flags)
    assert await watch.look(app) == ["notify-keyspace-events was changed"]


async def test_a_restart_of_the_server_is_told(tmp_path: Path) -> None:
    async with RedisProcess(tmp_path) as server:
        instance = open_app(parse({"Redis": f"127.0.0.1:{server.port}", "AUDIT_KEY": "an audit key of the tests"}))
        watch = ServerWatch()
        await watch.look(instance)
        await server.kill()
        await server.start()
        await instance.redis.connection_pool.disconnect()
        assert "Redis was restarted or failed over" in await watch.look(instance)
        await instance.redis.aclose()


async def test_what_the_server_refuses_to_show_is_not_asked_for_again(app: App, redis_port: int) -> None:
    admin = open_client(redis_port)
    await admin.acl_setuser("blind", enabled=True, passwords=["+secret"], commands=["+ping", "+info", "+hello"])
    connection = f"127.0.0.1:{redis_port},user=blind,password=secret"
    blind = open_app(parse({"Redis": connection, "AUDIT_KEY": "an audit key of the tests"}))
    watch = ServerWatch()
    try:
        assert await watch.look(blind) == []
        assert (watch.seen["connections"], watch.seen["flags"]) == (None, None)
        await app.redis.config_resetstat()
        assert await watch.look(blind) == []
        commands = await app.redis.info("commandstats")
        assert not {"cmdstat_client|list", "cmdstat_config|get"} & {
            name for name, counts in commands.items() if counts.get("rejected_calls")
        }
    finally:
        await admin.acl_deluser("blind")
        await admin.aclose()
        await blind.redis.aclose()
