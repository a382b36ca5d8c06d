"""Classification of Redis' errors: each way in which it refuses to serve, outside and inside of scripts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis.asyncio
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, ResponseError

from shared.app import App
from shared.store.connection import open_client, parse_connection_string
from shared.store.refusals import is_away, is_demotion, is_refusal, is_wrong_type, name_of
from shared.store.script import Script
from tests.support.oldest_server import all_channels

pytestmark = pytest.mark.redis_server

CLOSED = "127.0.0.1 1"
"""An address at which no primary is."""


def script(folder: Path, source: str) -> Script:
    (folder / "script.lua").write_text(source)
    return Script(str(folder / "module.py"), "script")


@asynccontextmanager
async def configured(client: redis.asyncio.Redis, setting: str, value: str, usual: str) -> AsyncIterator[None]:
    await client.config_set(setting, value)
    try:
        yield
    finally:
        await client.config_set(setting, usual)


@asynccontextmanager
async def replica(client: redis.asyncio.Redis, stale: str = "yes") -> AsyncIterator[None]:
    await client.config_set("replica-serve-stale-data", stale)
    await client.execute_command("REPLICAOF", *CLOSED.split())
    try:
        yield
    finally:
        await client.execute_command("REPLICAOF", "NO", "ONE")
        await client.config_set("replica-serve-stale-data", "yes")


@asynccontextmanager
async def user(client: redis.asyncio.Redis, *rules: str) -> AsyncIterator[None]:
    channels = await all_channels(client)
    await client.execute_command("ACL", "SETUSER", "limited", "reset", "on", "nopass", "+@all", "~*", *channels, *rules)
    try:
        yield
    finally:
        await client.execute_command("ACL", "DELUSER", "limited")


REFUSALS: dict[str, Callable[[redis.asyncio.Redis], object]] = {
    "full": lambda client: configured(client, "maxmemory", "1", "0"),
    "no replicas": lambda client: configured(client, "min-replicas-to-write", "3", "0"),
    "read-only": replica,
    "no primary": lambda client: replica(client, "no"),
    "no right to a command": lambda client: user(client, "-set"),
    "no right to a key": lambda client: user(client, "resetkeys"),
    "no right to a channel": lambda client: user(client, "resetchannels"),
    "no right to scripts": lambda client: user(client, "-eval", "-evalsha"),
}
SINCE = {"no right to a channel": (6, 2), "no replicas": (7, 0)}
WRITE = "redis.call('SET', KEYS[1], 'x') redis.call('PUBLISH', 'channel', 'x')"
CAUGHT = "local r = redis.pcall('SET', KEYS[1], 'x') if r.err then return {err = r.err} end " + WRITE.split("x') ")[1]


@pytest.mark.parametrize("how", REFUSALS)
async def test_each_refusal_is_told_from_errors_of_a_key(
    how: str,
    redis_client: redis.asyncio.Redis,
    app: App,
    redis_port: int,
    tmp_path: Path,
    server_version: tuple[int, int],
) -> None:
    if server_version < SINCE.get(how, (6, 0)):
        pytest.skip("this server does not refuse that to a script")
    options = f"127.0.0.1:{redis_port}" + (",user=limited,password=any" if "right" in how else "")
    async with REFUSALS[how](redis_client):  # type: ignore[attr-defined]
        limited = App(app.settings, open_client(parse_connection_string(options)))
        for source in (WRITE, CAUGHT):
            with pytest.raises(ResponseError) as raised:
                await limited.run(script(tmp_path, source), keys=[b"key"])
            (reply,) = await limited.run_many(script(tmp_path, source), [([b"key"], [])])
            for error in (raised.value, reply):
                assert (is_refusal(error), is_away(error)) == (True, False), (type(error), str(error))
                assert is_demotion(error) == (how in {"read-only", "no primary"})
        await limited.redis.aclose()


@pytest.mark.parametrize(
    "text",
    [
        "Error running script (call to f_1a2b): @user_script:1: @user_script: 1: -READONLY You can't write against a "
        "read only replica.",
        "Error running script (call to f_1a2b): @user_script:1: @user_script: 1: -OOM command not allowed when used "
        "memory > 'maxmemory'.",
        "Error running script (call to f_1a2b): @user_script:1: @user_script: 1: The user executing the script can't "
        "run this command or subcommand",
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
        "unknown command 'EVALSHA', with args beginning with: ",
    ],
)
def test_refusals_that_redis_6_words_differently_are_recognised(text: str) -> None:
    assert is_refusal(ResponseError(text))
    assert name_of(ResponseError(text)) in {"READONLY", "OOM", "NOPERM", "MISCONF", "unknown command"}
    assert is_demotion(ResponseError(text)) == ("READONLY" in text)


@pytest.mark.parametrize(
    "source",
    [
        "return redis.call('INCR', KEYS[1])",
        "return redis.call('LPUSH', KEYS[1], 'x')",
        "error('READONLY in the text of a key')",
        "return {err = 'ERR the key is named OOM'}",
    ],
)
async def test_errors_of_a_key_or_of_the_script_are_no_refusals(source: str, app: App, tmp_path: Path) -> None:
    await app.redis.set("key", "text")
    with pytest.raises(ResponseError) as raised:
        await app.run(script(tmp_path, source), keys=[b"key"])
    assert not is_refusal(raised.value)
    assert not is_away(raised.value)


async def test_a_server_that_became_a_replica_is_left_at_the_next_call(
    redis_client: redis.asyncio.Redis, redis_port: int
) -> None:
    client = open_client(parse_connection_string(f"127.0.0.1:{redis_port}"))

    async def connections(count: int) -> set[int]:
        async def id_of(pipeline: redis.asyncio.client.Pipeline) -> int:
            return int((await pipeline.client_id().execute())[0])

        pipelines = [client.pipeline(transaction=False) for _ in range(count)]
        gathered: list[Awaitable[int]] = [id_of(pipeline) for pipeline in pipelines]
        return set(await asyncio.gather(*gathered))

    before = await connections(3)
    assert len(before) == 3
    async with replica(redis_client):
        with pytest.raises(ReadOnlyError):
            await client.set("key", "x")
        assert not before & await connections(3), "idle connections lead to the same server: they are left too"
    after = await connections(3)
    await client.set("key", "x")
    assert await connections(3) == after
    await client.aclose()


async def test_a_user_who_may_not_call_client_or_info_can_connect(
    redis_client: redis.asyncio.Redis, app: App, redis_port: int
) -> None:
    async with user(redis_client, "-client", "-info"):
        limited = open_client(parse_connection_string(f"127.0.0.1:{redis_port},user=limited,password=any"))
        assert await limited.ping()
        await limited.aclose()


async def test_a_server_that_runs_a_script_is_away(app: App, redis_client: redis.asyncio.Redis) -> None:
    assert is_away(ResponseError("BUSY Redis is busy running a script. You can only call SCRIPT KILL."))
    assert is_away(RedisConnectionError())


async def test_only_a_wrong_type_error_is_recognised_as_one(app: App) -> None:
    await app.redis.set("string", "x")
    pipeline = app.redis.pipeline(transaction=False)
    pipeline.lpush("string", "x")
    pipeline.incr("string")
    pipeline.get("string")
    wrong_type, not_a_number, value = await pipeline.execute(raise_on_error=False)
    assert isinstance(not_a_number, ResponseError)
    assert [is_wrong_type(reply) for reply in (wrong_type, not_a_number, value, b"WRONGTYPE")] == [
        True,
        False,
        False,
        False,
    ]
