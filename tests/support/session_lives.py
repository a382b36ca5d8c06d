"""Clients that create, use and end sessions, and keep the actual life of each session."""

import asyncio
import json
import random
import secrets
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

from shared import namespaces
from shared.clock import iso_utc
from tests.support.audit_stream import AuditStream, Life
from tests.support.traffic import open_client

PLANTED = "planted-token"
"""Prefix of every token. No output of the app may contain it."""
USERS = 300
CLIENTS = ("nextauth", "connect-redis", "starsessions", "no expiry")
ENDINGS = {
    "nextauth": ("delete", "delete", "rename", "lapse", "lapse and read"),
    "connect-redis": ("delete", "rename", "expire"),
    "starsessions": ("delete", "rename", "expire"),
    "no expiry": ("delete", "rename"),
}
REASONS = {
    "delete": ("logout", "logout"),
    "rename": ("renamed", "renamed"),
    "expire": ("expired", "expired"),
    "lapse": ("expired", "logout"),
    "lapse and read": ("expired", "logout"),
}
"""Maps each ending to the reason that has to be recorded, and to the reason of the event when the key goes."""
LONG_S = 3600.0
RECORD_TIMEOUT_S = 60.0
"""How long the app may take to record a transition, blackouts included."""


class Sessions:
    """`clients` concurrent clients, each with one session after the other; `lives` has the lives of each token.

    A session is used and ended only after its creation was recorded, since Redis cannot tell of a session that the app
    never saw. Sessions that expire live between `short_s[0]` and `short_s[1]` seconds from their last write.
    """

    def __init__(
        self, port: int, stream: AuditStream, rng: random.Random, *, clients: int, short_s: tuple[float, float]
    ) -> None:
        self.lives: defaultdict[str, list[Life]] = defaultdict(list)
        self.begun = 0
        self._redis = open_client(port)
        self._stream = stream
        self._rng = rng
        self._clients = clients
        self._short_s = short_s
        self._reusing = asyncio.Semaphore(clients)
        self._echoes: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*self._echoes, return_exceptions=True)
        await self._redis.aclose()

    async def run(self, total: int) -> None:
        """Run the clients until `total` lives have begun and all of them are recorded as ended."""
        async with asyncio.TaskGroup() as clients:
            for _ in range(self._clients):
                clients.create_task(self._client(total))
        await asyncio.gather(*self._echoes)

    @asynccontextmanager
    async def no_immediate_reuse(self) -> AsyncIterator[None]:
        """No client deletes a session and creates it again at once meanwhile: without its events, that looks like one
        session."""
        async with AsyncExitStack() as stack:
            for _ in range(self._clients):
                await stack.enter_async_context(self._reusing)
            yield

    async def _client(self, total: int) -> None:
        while self.begun < total:
            token = f"{PLANTED}-{secrets.token_hex(8)}"
            count = self._rng.choice((1, 1, 1, 2, 3))
            life: Life | None = None
            for number in range(count):
                if life is None:
                    life = await self._begin(token)
                await self._use(life)
                if life.reason == "logout" and number == 0 and count > 1 and self._rng.random() < 0.5:
                    life = await self._reuse_token(life)
                else:
                    await self._end(life)
                    life = None

    def _new_life(self, token: str, client: str | None = None, ending: str | None = None) -> Life:
        client = client or self._rng.choice(CLIENTS)
        ending = ending or self._rng.choice(ENDINGS[client])
        anonymous = client == "connect-redis" and self._rng.random() < 0.2
        reason, event_reason = REASONS[ending]
        life = Life(
            token,
            client,
            ending,
            reason,
            [None if anonymous else self._user()],
            unbounded=client == "no expiry",
            key_remains=ending == "lapse",
            event_reason=event_reason,
        )
        self.begun += 1
        self.lives[token].append(life)
        return life

    def _user(self) -> str:
        return f"user-{self._rng.randrange(USERS)}"

    async def _begin(self, token: str) -> Life:
        """Create a session and wait for the record of it; one that expires is written again until then."""
        life = self._new_life(token)
        deadline_s = time.monotonic() + RECORD_TIMEOUT_S
        while True:
            wait_s = await self._write(life) / 2
            if await self._stream.wait_for(token, "created", len(self.lives[token]), min(wait_s, RECORD_TIMEOUT_S)):
                return life
            assert time.monotonic() < deadline_s, f"no record of the beginning: {life}"

    async def _write(self, life: Life, redis: Any = None) -> float:
        """Write the session as its client does; returns its remaining life in seconds."""
        lifetime_s = self._rng.uniform(*self._short_s) if life.reason == "expired" else LONG_S
        until_s = time.time() + lifetime_s
        until = iso_utc(until_s)
        key, user = _key(life.token), life.users[-1]
        redis = self._redis if redis is None else redis
        if life.client == "nextauth":
            life.due_s = until_s
            await redis.set(key, json.dumps({"sessionToken": life.token, "userId": user, "expires": until}))
            # NextAuth adapters keep an index of sessions by user under the same prefix, in one of two forms.
            index = namespaces.build(namespaces.SESSION_BY_USER, user or "")
            await redis.set(index, key if self._rng.random() < 0.5 else life.token)
        elif life.client == "connect-redis":
            cookie = {"originalMaxAge": round(lifetime_s * 1000), "expires": until, "httpOnly": True, "path": "/"}
            await redis.set(
                key, json.dumps({"cookie": cookie, "passport": {"user": user}}), px=round(lifetime_s * 1000)
            )
        elif life.client == "starsessions":
            last_seen_ms = round(until_s * 1000) if self._rng.random() < 0.5 else 0
            await redis.set(key, json.dumps({"sub": user, "lastSeen": last_seen_ms}), px=round(lifetime_s * 1000))
        else:
            await redis.set(key, json.dumps({"user": {"id": user}}))
        self._echo(key, "set")
        return lifetime_s

    async def _use(self, life: Life) -> None:
        """A few requests: touches, rewrites and unrelated keys; sometimes another user on the same token."""
        for _ in range(self._rng.randrange(4)):
            await asyncio.sleep(self._rng.uniform(0, 0.4))
            if life.reason == "expired":
                continue  # a late refresh would change when it expires
            if life.client == "connect-redis":
                await self._redis.expire(_key(life.token), round(LONG_S))
            elif life.client == "starsessions" or self._rng.random() < 0.2:
                await self._write(life)
        await self._redis.set(f"nextauth:sessions:{life.token}", "a near miss", px=5000)
        if life.reason in {"logout", "renamed"} and self._rng.random() < 0.1:
            life.users.append(f"{self._user()}-too")
            await self._write(life)
            changes = sum(len(other.users) - 1 for other in self.lives[life.token])
            assert await self._stream.wait_for(life.token, "changed", changes, RECORD_TIMEOUT_S), (
                f"no record of the change: {life}"
            )

    async def _reuse_token(self, life: Life) -> Life:
        """Log out and in again on the same token, in one pipeline; returns the second life."""
        async with self._reusing:
            key, second = _key(life.token), self._new_life(life.token, life.client, "delete")
            second.users = life.users[-1:]
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.delete(key)
            await self._write(second, pipeline)
            life.ended_s = time.time()
            await pipeline.execute()
            self._echo(key, "del")
            await self._ended(life, 1)
            life.over_s = time.time()
            assert await self._stream.wait_for(life.token, "created", 2, RECORD_TIMEOUT_S), (
                f"no record of the second life: {second}"
            )
            return second

    async def _end(self, life: Life) -> None:
        """End the session, or wait until it expires, and wait for the record of the end."""
        key, count = _key(life.token), len(self.lives[life.token])
        if life.ending == "delete":
            life.ended_s = time.time()
            await self._redis.delete(key)
            if life.client == "nextauth" and self._rng.random() < 0.5:
                await self._redis.delete(namespaces.build(namespaces.SESSION_BY_USER, life.users[-1] or ""))
            self._echo(key, "del")
        elif life.ending == "rename":
            await self._rename(life)
        elif life.ending == "lapse and read":
            await asyncio.sleep(life.due_s - time.time() + self._rng.uniform(0.001, 0.5))
            await self._redis.delete(key)
        await self._ended(life, count)
        if life.ending == "lapse" and self._rng.random() < 0.7:  # otherwise the next life overwrites it
            await self._redis.delete(key)
            self._echo(key, "del")
        if life.ending == "expire":
            self._echo(key, "expired")
        life.over_s = time.time()

    async def _ended(self, life: Life, count: int) -> None:
        assert await self._stream.wait_for(life.token, "ended", count, RECORD_TIMEOUT_S), (
            f"no record of the end: {life}"
        )

    async def _rename(self, life: Life) -> None:
        """Rename the key to one that is not a session, or to another token, whose life begins then."""
        key = _key(life.token)
        life.ended_s = time.time()
        if self._rng.random() < 0.5:
            await self._redis.rename(key, f"archive:{life.token}")
            await self._redis.delete(f"archive:{life.token}")
            return
        moved = self._new_life(f"{life.token}-moved-{secrets.token_hex(4)}", life.client, "delete")
        moved.users = life.users[-1:]
        await self._redis.rename(key, _key(moved.token))
        self._echo(key, "rename_from")
        assert await self._stream.wait_for(moved.token, "created", 1, RECORD_TIMEOUT_S), (
            f"no record of the beginning: {moved}"
        )
        await self._end(moved)

    def _echo(self, key: bytes, operation: str) -> None:
        """Sometimes publish an event a second time, at once or later."""
        if self._rng.random() < 0.1:
            echo = asyncio.create_task(self._publish(key, operation, self._rng.choice((0.0, self._rng.uniform(0, 2)))))
            self._echoes.add(echo)
            echo.add_done_callback(self._echoes.discard)

    async def _publish(self, key: bytes, operation: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await self._redis.publish(b"__keyspace@0__:" + key, operation)


def _key(token: str) -> bytes:
    return namespaces.build(namespaces.SESSION, token)
