"""What the tests of sessions share: a session to write, a look at it, and what the app has recorded and kept."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from shared import namespaces
from shared.app import App
from shared.delivery import dead_letters
from shared.reactor import Outcome
from shared.sessions.keys import phantom_key as phantom_of
from shared.sessions.reactor import NAME, react
from tests.support.causes import cause

TOKEN = "0a1b2c3d-a-planted-token-4e5f"
KEY = f"nextauth:session:{TOKEN}".encode()
STREAM = namespaces.build(namespaces.AUDIT_STREAM)
STATE = namespaces.build(namespaces.AUDIT_STATE)
DUE = namespaces.build(namespaces.SESSIONS_DUE)
NOON, ONE, TWO = (f"2031-05-01T{hour}:00:00.000Z" for hour in (12, 13, 14))
TOMBSTONE_S = 60
"""How long the phantom of a life that has ended is kept: LATE_EVENT_MS of session_transition.lua."""


def nextauth(user_id: object = "user-1", expires: object = NOON, **more: object) -> str:
    return json.dumps({"sessionToken": TOKEN, "userId": user_id, "expires": expires, **more})


def with_settings(app: App, **changes: Any) -> App:
    """The same instance, on the same connection, under other settings."""
    return App(msgspec.structs.replace(app.settings, **changes), app.redis)


async def event(app: App, operation: str, key: bytes = KEY) -> Outcome:
    (outcome,) = await react(app, [key], cause(operation))
    assert outcome.key == key
    return outcome


async def write(app: App, value: str | bytes, operation: str = "set", key: bytes = KEY, **how: Any) -> Outcome:
    """A client's SET, and one look at it."""
    await app.redis.set(key, value, **how)
    return await event(app, operation, key)


async def records(app: App) -> list[dict[str, Any]]:
    return [json.loads(fields[b"event"]) for _, fields in await app.redis.xrange(STREAM)]


async def numbers(app: App) -> list[int]:
    return [int(fields[b"n"]) for _, fields in await app.redis.xrange(STREAM)]


async def types(app: App) -> list[str]:
    return [record["type"].removeprefix("nextauth.session.") for record in await records(app)]


async def data(app: App) -> dict[str, Any]:
    """Data of the latest record."""
    return (await records(app))[-1]["data"]


def sealed(app: App, token: bytes = TOKEN.encode()) -> bytes:
    return app.keyrings[0].seal(token).encode()


def phantom_key(app: App, token: bytes = TOKEN.encode()) -> bytes:
    return phantom_of(sealed(app, token))


def user_key(user_id: str = "user-1") -> bytes:
    return namespaces.build(namespaces.USER_SESSIONS, user_id)


def tokens_key(user_id: str = "user-1") -> bytes:
    return namespaces.build(namespaces.USER_TOKENS, user_id)


def mark_key(app: App, token: bytes = TOKEN.encode()) -> bytes:
    return dead_letters.mark_key(NAME, phantom_key(app, token))


async def own_keys(app: App) -> dict[bytes, Any]:
    """Everything that the app keeps, but for statistics, which travel with any call: its keys with their values."""
    kept: dict[bytes, Any] = {}
    async for key in app.redis.scan_iter(b"functions:*"):
        if key.startswith(namespaces.STATISTICS.prefix):
            continue
        match await app.redis.type(key):
            case b"hash":
                kept[key] = await app.redis.hgetall(key)
            case b"zset":
                kept[key] = await app.redis.zrange(key, 0, -1, withscores=True)
            case b"stream":
                kept[key] = await app.redis.xrange(key)
            case _:
                kept[key] = await app.redis.get(key)
    return kept


async def forget_tombstone(app: App, token: bytes = TOKEN.encode()) -> None:
    """What TOMBSTONE_S does to a life that has ended."""
    assert await app.redis.delete(phantom_key(app, token)) == 1


async def age(app: App, by_s: float, *fields: str) -> None:
    """Let the phantom's times (`recorded_ms`, ...) be so long ago."""
    for field in fields:
        await app.redis.hincrby(phantom_key(app), field, -round(by_s * 1000))


async def until[T](look: Callable[[], Awaitable[T]]) -> T:
    """What `look` gives as soon as it is true, looking every 2 ms."""
    while True:
        if seen := await look():
            return seen
        await asyncio.sleep(0.002)


def in_s(seconds: float) -> str:
    """A moment from now as NextAuth writes it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def begin_brief_life(app: App, put: Callable[[float], Awaitable[object]]) -> None:
    """See a session that ends soon while it lives, however slow this machine is: `put(seconds)` writes it."""
    seconds = 0.05
    while True:
        await put(seconds)
        await event(app, "set")
        if await types(app) == ["created"]:
            return
        await app.redis.flushall()
        seconds *= 2


async def begin_lapsing_life(app: App) -> str:
    """See a session whose key outlives its `expires`; returns that, once it is past."""
    expires = ""

    async def put(seconds: float) -> None:
        nonlocal expires
        expires = in_s(seconds)
        await app.redis.set(KEY, nextauth(expires=expires))

    await begin_brief_life(app, put)
    await until_past(app, expires)
    return expires


async def until_past(app: App, moment: str) -> None:
    """Wait until the server's clock is past it."""
    end_us = datetime.fromisoformat(moment).timestamp() * 1e6

    async def past() -> bool:
        seconds, micros = await app.redis.time()
        return bool(seconds * 1_000_000 + micros > end_us)

    await until(past)


async def lives(app: App) -> list[list[str]]:
    """The types of the records, life by life, in the order of their beginnings."""
    told: dict[str, list[str]] = {}
    for record in await records(app):
        life, _, sequence = record["id"].rpartition(".")
        told.setdefault(life, []).append(record["type"].removeprefix("nextauth.session."))
        assert int(sequence) == len(told[life])
    return list(told.values())
