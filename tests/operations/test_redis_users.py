"""The rights of the Redis users: what scripts call is listed, nothing else, and a trigger can do with its own."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio
from redis.exceptions import NoPermissionError

from shared.operations import redis_users
from shared.registry import REACTORS
from shared.store.connection import open_client, parse_connection_string
from tests.support.redis_users import app_user

SHARED = Path(__file__).parents[2] / "shared"
DANGEROUS = (
    *("FLUSHALL", "FLUSHDB", "KEYS *", "SHUTDOWN", "DEBUG SLEEP 0", "REPLICAOF NO ONE", "SWAPDB 0 1", "MONITOR"),
    *("CONFIG SET maxmemory 1", "ACL SETUSER x", "ACL LIST", "SCRIPT FLUSH", "CLIENT KILL x:1", "FUNCTION FLUSH"),
)
WITH_SUBCOMMAND = {"memory", "object", "xinfo"}


@pytest.fixture
async def admin(
    redis_client: redis.asyncio.Redis, server_version: tuple[int, int]
) -> AsyncIterator[redis.asyncio.Redis]:
    """A client that may use commands that Redis 6.0 does not have."""
    if server_version < (7, 0):
        pytest.skip("needs COMMAND LIST and ACL DRYRUN of Redis 7")
    await redis_client.execute_command("ACL", "SETUSER", "admin", "reset", "on", "nopass", "+@all", "~*", "&*")
    port = redis_client.connection_pool.connection_kwargs["port"]
    async with redis.asyncio.Redis(port=port, username="admin", password="any") as client:
        yield client
    await redis_client.execute_command("ACL", "DELUSER", "admin")


async def called(redis_client: redis.asyncio.Redis, folder: Path) -> set[str]:
    """The commands that the scripts of a folder name."""
    known = {name.decode() for name in await redis_client.execute_command("COMMAND LIST")}
    commands: set[str] = set()
    for script in folder.rglob("*.lua"):  # noqa: ASYNC240 (a few files)
        text = re.sub(r"--.*", "", script.read_text(encoding="utf-8"))
        for name, second in re.findall(r"['\"]([A-Z]+)['\"](?:, *['\"]([A-Z]+)['\"])?", text):
            if name.lower() in known:
                command = f"{name}|{second}" if name.lower() in WITH_SUBCOMMAND else name
                commands.add(command.lower())
    return commands


async def test_the_list_is_exactly_what_the_scripts_call(admin: redis.asyncio.Redis) -> None:
    assert await called(admin, SHARED) == redis_users.SCRIPTS


async def test_the_operator_may_run_the_scripts_of_the_command_line(admin: redis.asyncio.Redis) -> None:
    granted = redis_users.SCRIPTS | redis_users.CLIENT | redis_users.OPERATOR
    assert await called(admin, SHARED.parent / "cli") <= granted


def test_every_command_of_the_client_is_called_somewhere() -> None:
    """`hget` by `.hget(`, `config|get` by `.config_get(` or by its words, and what connections send by its name."""
    text = "".join(path.read_text(encoding="utf-8") for path in SHARED.rglob("*.py") if "doctor" not in path.parts)
    named = {"psubscribe", "client|setname", "client|setinfo", "del", "evalsha"}
    """redis-py sends `client|setinfo` itself, `delete` is DEL, and registered scripts are EVALSHA."""
    for command in redis_users.CLIENT - named:
        words = ", ".join(f'"{word.upper()}"' for word in command.split("|"))
        assert f".{command.replace('|', '_')}(" in text or f"execute_command({words}" in text, command


@pytest.mark.parametrize("name", ["app", "trigger", "operator"])
async def test_no_user_has_a_dangerous_command(admin: redis.asyncio.Redis, name: str) -> None:
    await admin.execute_command("ACL", "SETUSER", "listed", "reset", *redis_users.rules(name).split())
    for command in DANGEROUS:
        answer = await admin.execute_command("ACL DRYRUN", "listed", *command.split())
        assert answer != b"OK", command
    await admin.execute_command("ACL", "DELUSER", "listed")


async def test_the_app_reads_and_writes_no_key_of_others(redis_client: redis.asyncio.Redis) -> None:
    port = redis_client.connection_pool.connection_kwargs["port"]
    async with app_user(port) as connection:
        client = open_client(parse_connection_string(connection))
        for key in (
            "nextauth:user:1",
            "nextauth:account:azure:a",
            "nextauth:token:t",
            "fabric:test:connection",
            "other",
        ):
            with pytest.raises(NoPermissionError):
                await client.get(key)
        with pytest.raises(NoPermissionError):
            await client.publish("other", "message")
        await client.aclose()
        await redis_client.execute_command("ACL", "LOG", "RESET")


async def test_a_trigger_with_its_own_rights_hears_events(redis_client: redis.asyncio.Redis) -> None:
    port = redis_client.connection_pool.connection_kwargs["port"]
    async with app_user(port, rights="trigger") as connection:
        client = open_client(parse_connection_string(f"{connection},protocol=resp2"))
        async with client.pubsub() as pubsub:
            await pubsub.psubscribe(*(reactor.channel for reactor in REACTORS))
            await redis_client.set("fastapi:temp:data:b1", "x")
            async with asyncio.timeout(10):
                async for message in pubsub.listen():
                    if message["type"] == "pmessage":
                        assert message["channel"] == b"__keyspace@0__:fastapi:temp:data:b1"
                        break
        with pytest.raises(NoPermissionError):
            await client.get("fastapi:temp:data:b1")
        await client.aclose()
        await redis_client.execute_command("ACL", "LOG", "RESET")


async def test_the_app_may_publish_on_the_channels_that_its_triggers_hear(redis_client: redis.asyncio.Redis) -> None:
    port = redis_client.connection_pool.connection_kwargs["port"]
    async with app_user(port) as connection:
        client = open_client(parse_connection_string(connection))
        for reactor in REACTORS:
            await client.publish(f"__keyspace@0__:{reactor.kind.prefix.decode()}heartbeat", "message")
        await client.aclose()
