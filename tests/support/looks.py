"""Helpers of the session tests: write a session, react to an event, read the records and the app's own keys."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import msgspec

from shared import namespaces
from shared.app import App
from shared.clock import iso_utc
from shared.delivery import dead_letters
from shared.reactor import Outcome
from shared.sessions.draft import TOMBSTONE_MS
from shared.sessions.keys import phantom_key as phantom_of
from shared.sessions.reactor import NAME, react
from tests.support.causes import cause

TOKEN = "0a1b2c3d-a-planted-token-4e5f"
KEY = f"nextauth:session:{TOKEN}".encode()
STREAM = namespaces.build(namespaces.AUDIT_STREAM)
STATE = namespaces.build(namespaces.AUDIT_STATE)
DUE = namespaces.build(namespaces.SESSIONS_DUE)
NOON, ONE, TWO = (f"2031-05-01T{hour}:00:00.000Z" for hour in (12, 13, 14))
TOMBSTONE_S = TOMBSTONE_MS // 1000
"""How long the phantom of an ended life is kept."""


def nextauth(user_id: object = "user-1", expires: object = NOON, **fields: object) -> str:
    """A session as NextAuth writes it."""
    return json.dumps({"sessionToken": TOKEN, "userId": user_id, "expires": expires, **fields})


def with_settings(app: App, **changes: Any) -> App:
    """The same instance, on the same connection, with changed settings."""
    return App(msgspec.structs.replace(app.settings, **changes), app.redis)


async def event(app: App, operation: str, key: bytes = KEY) -> Outcome:
    """React to a Redis event (or to a `sweep`, `schedule`, `retry`, `replay`) of one session."""
    (outcome,) = await react(app, [key], cause(operation))
    assert outcome.key == key
    return outcome


async def write(app: App, value: str | bytes, operation: str = "set", key: bytes = KEY, **options: Any) -> Outcome:
    """SET a session as a client does, with `options` of SET, and react to it."""
    await app.redis.set(key, value, **options)
    return await event(app, operation, key)


async def records(app: App) -> list[dict[str, Any]]:
    return [json.loads(fields[b"event"]) for _, fields in await app.redis.xrange(STREAM)]


async def numbers(app: App) -> list[int]:
    return [int(fields[b"n"]) for _, fields in await app.redis.xrange(STREAM)]


async def types(app: App) -> list[str]:
    return [record["type"].removeprefix("nextauth.session.") for record in await records(app)]


async def data(app: App) -> dict[str, Any]:
    """`data` of the newest record."""
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
    """The app's own keys and their values, except for statistics, which any call may write."""
    values: dict[bytes, Any] = {}
    async for key in app.redis.scan_iter(b"functions:*"):
        if key.startswith(namespaces.STATISTICS.prefix):
            continue
        match await app.redis.type(key):
            case b"hash":
                values[key] = await app.redis.hgetall(key)
            case b"zset":
                values[key] = await app.redis.zrange(key, 0, -1, withscores=True)
            case b"stream":
                values[key] = await app.redis.xrange(key)
            case _:
                values[key] = await app.redis.get(key)
    return values


async def expire_tombstone(app: App, token: bytes = TOKEN.encode()) -> None:
    """Delete the phantom of an ended life, as Redis does after TOMBSTONE_S."""
    assert await app.redis.delete(phantom_key(app, token)) == 1


async def age(app: App, by_s: float, *fields: str) -> None:
    """Move times of the phantom (`recorded_ms`, ...) into the past by `by_s` seconds."""
    for field in fields:
        await app.redis.hincrby(phantom_key(app), field, -round(by_s * 1000))


async def until[T](look: Callable[[], Awaitable[T]]) -> T:
    """Call `look` every 2 ms until its result is true; returns that result."""
    while True:
        if result := await look():
            return result
        await asyncio.sleep(0.002)


def in_s(seconds: float) -> str:
    """The time in `seconds` from now, in the format of NextAuth."""
    return iso_utc(time.time() + seconds)


async def begin_brief_life(app: App, put: Callable[[float], Awaitable[object]]) -> None:
    """Begin the life of a session that expires soon: `put(seconds)` writes it. A slow machine gets more time."""
    seconds = 0.05
    while True:
        await put(seconds)
        await event(app, "set")
        if await types(app) == ["created"]:
            return
        await app.redis.flushall()
        seconds *= 2


async def begin_lapsing_life(app: App) -> str:
    """Begin the life of a session whose key outlives its `expires`, and wait until then; returns its `expires`."""
    expires = ""

    async def put(seconds: float) -> None:
        nonlocal expires
        expires = in_s(seconds)
        await app.redis.set(KEY, nextauth(expires=expires))

    await begin_brief_life(app, put)
    await until_past(app, expires)
    return expires


async def until_past(app: App, moment: str) -> None:
    """Wait until the clock of the server is past `moment`."""
    end_us = datetime.fromisoformat(moment).timestamp() * 1e6

    async def past() -> bool:
        seconds, microseconds = await app.redis.time()
        return bool(seconds * 1_000_000 + microseconds > end_us)

    await until(past)


async def lives(app: App) -> list[list[str]]:
    """The types of the records of each life, lives in the order of their beginnings."""
    types_of: dict[str, list[str]] = {}
    for record in await records(app):
        life, _, sequence = record["id"].rpartition(".")
        types_of.setdefault(life, []).append(record["type"].removeprefix("nextauth.session."))
        assert int(sequence) == len(types_of[life])
    return list(types_of.values())
