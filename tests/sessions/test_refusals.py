"""Redis refuses a command for a while (an ACL): afterwards the audit records are complete, and each is single."""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import msgspec
import pytest
import redis.asyncio

from shared import namespaces
from shared.app import App, open_app
from shared.delivery.due import retry_due
from shared.delivery.reconcile import reconcile
from shared.registry import SESSIONS
from shared.sessions.reactor import react
from shared.sessions.transition import MAX_BACKLOG_BYTES
from shared.settings import Settings
from tests.support.causes import cause
from tests.support.looks import (
    DUE,
    KEY,
    ONE,
    in_s,
    lives,
    nextauth,
    numbers,
    phantom_key,
    tokens_key,
    with_settings,
)

pytestmark = pytest.mark.redis_server

SCRIPTS = (Path(__file__).parents[2] / "shared" / "sessions").glob("*.lua")
COMMANDS = sorted(
    {name for path in SCRIPTS for name in re.findall(r"(?:call|attempt|must)\('([A-Z]+)'", path.read_text("utf-8"))}
)
READING = {
    *("EXISTS", "GET", "GETRANGE", "HGET", "HMGET", "HSTRLEN", "MEMORY", "OBJECT", "PTTL", "STRLEN", "TIME", "TYPE"),
    *("XREVRANGE", "ZCARD", "ZCOUNT", "ZRANGEBYSCORE", "ZSCORE"),
}
WRITING = sorted(set(COMMANDS) - READING)
NEW_KEY = "another audit key of the tests"


@dataclass
class Client:
    """A client of Redis beside two instances of the app."""

    redis: redis.asyncio.Redis
    instances: list[App]

    async def permit(self, *rights: str) -> None:
        """Change the rights of the app's Redis user."""
        await self.redis.acl_setuser(
            "restricted", enabled=True, passwords=["+secret"], commands=rights, keys=["*"], reset=True
        )

    async def tell(self, operation: str, key: bytes = KEY) -> None:
        """Both instances receive the event."""
        for instance in self.instances:
            await react(instance, [key], cause(operation))

    async def put(self, value: str) -> None:
        await self.redis.set(KEY, value)
        await self.tell("set")

    async def settle(self) -> None:
        """Let the timers run."""
        for instance in self.instances:
            await retry_due(instance, (SESSIONS,), budget_s=10)
            await reconcile(instance, (SESSIONS,), budget_s=10, anew=True)

    async def members(self) -> dict[bytes, set[bytes]]:
        """The members of the app's sorted sets: due times, users' sessions."""
        keys = [DUE, *await self.redis.keys(namespaces.USER_SESSIONS.prefix + b"*")]
        return {key: set(found) for key in keys if (found := await self.redis.zrange(key, 0, -1))}


async def begin(client: Client) -> None:
    await client.put(json.dumps({"userId": "user-1"}))


async def change(client: Client) -> None:
    await client.put(nextauth("user-2"))


async def refresh(client: Client) -> None:
    await client.put(nextauth("user-2", ONE))


async def end(client: Client) -> None:
    await client.redis.delete(KEY)
    await client.tell("del")


async def lapse(client: Client) -> None:
    await client.put(nextauth("user-2", in_s(-1)))


async def reuse(client: Client) -> None:
    """Deleted and written again before the reaction."""
    await client.redis.delete(KEY)
    await client.redis.set(KEY, nextauth("user-3"))
    await client.tell("del")
    await client.tell("set")


async def be_brief(client: Client) -> None:
    """Created and deleted before the reaction."""
    await client.tell("set")
    await client.tell("del")


async def rotate(client: Client) -> None:
    """AUDIT_KEY changes."""
    keys = {"audit_key": NEW_KEY, "audit_key_previous": client.instances[0].settings.audit_key}
    client.instances = [with_settings(instance, **keys) for instance in client.instances]
    await client.tell("sweep")


BEGUN = ["created", "unbounded", "excess", "changed"]
ENDED = ["ended", "fabric.tokens.revoked"]
type Step = Callable[[Client], Awaitable[None]]
HISTORIES: dict[str, tuple[list[Step], list[list[str]]]] = {
    "end": ([begin, change, refresh, end], [[*BEGUN, "refreshed", *ENDED]]),
    "lapse": ([begin, change, lapse], [[*BEGUN, *ENDED]]),
    "reuse": ([begin, change, reuse], [[*BEGUN, *ENDED], ["created"]]),
    "brief": ([be_brief], [["created", "ended"]]),
    "rotation": ([begin, change, rotate, end], [[*BEGUN, *ENDED]]),
}
"""Steps, and the records of each life after them."""


@pytest.fixture
async def client(app_settings: Settings, redis_client: redis.asyncio.Redis) -> AsyncIterator[Client]:
    settings = msgspec.structs.replace(
        app_settings,
        redis=f"{app_settings.redis},user=restricted,password=secret",
        session_lost_after_s=0,
        audit_refresh_min_s=0,
        max_sessions_per_user=1,
        revoke_tokens_on_last_logout=True,
        delete_lapsed_sessions=True,
        retry_base_s=0.001,
        retry_cap_s=0.001,
    )
    instances = [open_app(settings) for _ in range(2)]
    yield Client(redis_client, instances)
    for instance in instances:
        await instance.redis.aclose()
    await redis_client.acl_deluser("restricted")


async def play(client: Client, steps: Sequence[Step], *, denied: str, denied_at: int) -> dict[bytes, set[bytes]]:
    """Play these steps, a command denied during one of them and the sweep after it. Returns the members of the app's
    sorted sets at the end."""
    client = Client(client.redis, list(client.instances))
    await client.redis.flushall()
    await client.permit("+@all")
    # user-1 has a session already, user-2 has tokens
    await client.redis.zadd(namespaces.build(namespaces.USER_SESSIONS, "user-1"), {"another session": "+inf"})
    await client.redis.set(tokens_key("user-2"), "tokens")
    for number, step in enumerate(steps):
        if number == denied_at:
            await client.permit("+@all", f"-{denied.lower()}")
        await step(client)
        await client.tell("sweep")
        await client.permit("+@all")
        await client.settle()
    return await client.members()


@pytest.mark.parametrize("history", HISTORIES)
async def test_whatever_command_is_refused_for_a_while_each_record_is_appended_once(
    client: Client, app: App, history: str
) -> None:
    steps, expected = HISTORIES[history]
    members = await play(client, steps, denied="PING", denied_at=-1)
    assert await lives(app) == expected
    for denied, denied_at in product(WRITING, range(len(steps))):
        where = f"{denied} denied at {steps[denied_at].__name__}"
        assert await play(client, steps, denied=denied, denied_at=denied_at) == members, where
        recorded = await lives(app)
        same = expected
        if denied == "HSET":  # nothing can be written, so the events are lost, and the next look compares
            same = {be_brief: [], reuse: [[*BEGUN, "changed", ENDED[1]]]}.get(steps[denied_at], expected)
        assert list(map(sorted, recorded)) == list(map(sorted, same)), where
        assert await numbers(app) == list(range(1, sum(map(len, same)) + 1)), where
        assert await client.redis.exists(tokens_key("user-2")) == (history == "brief"), where
        assert await client.redis.exists(KEY) == (history == "reuse"), where


def test_the_commands_that_are_refused_are_those_that_the_scripts_use() -> None:
    assert WRITING == ["HSET", "PEXPIRE", "UNLINK", "XADD", "ZADD", "ZREM"]


async def test_records_that_wait_for_long_are_complete_and_the_life_goes_on(client: Client, app: App) -> None:
    """More of them than a phantom takes: from then on no further one is made."""
    await client.permit("+@all")
    await begin(client)
    await client.permit("+@all", "-xadd")
    for number in range(60):
        await client.put(nextauth(f"{number:03}" + "\x01" * 253))
    phantom = phantom_key(app)
    assert MAX_BACKLOG_BYTES < await client.redis.hstrlen(phantom, "pending") < 2 * MAX_BACKLOG_BYTES
    await client.permit("+@all")
    await client.settle()
    await end(client)
    await client.settle()
    (life,) = await lives(app)
    assert (life[0], life.count("created"), life.count("ended"), life[-1]) == ("created", 1, 1, "ended")
    assert 25 < life.count("changed") < 60


async def test_a_session_that_could_not_be_recorded_is_no_session_of_its_user(client: Client, app: App) -> None:
    await client.permit("+@all", "-hset")
    await begin(client)
    await end(client)
    await client.permit("+@all")
    await client.settle()
    assert await client.members() == {}
