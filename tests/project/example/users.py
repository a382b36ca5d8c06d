"""An example reactor: keeps the digest of each `nextauth:user:{userId}` in the hash `functions:users`."""

from collections.abc import Sequence

from shared import namespaces
from shared.app import App
from shared.delivery import failures
from shared.delivery.dead_letters import mark_key
from shared.errors import Rejected
from shared.reactor import Cause, Outcome, Payload, Reactor, Scanned, already, duplicate, ignored, processed

NAME = "users"
DIGESTS = "functions:users"


async def react(app: App, keys: Sequence[bytes], cause: Cause) -> list[Outcome]:
    return [await _react_to(app, key) for key in keys]


async def _react_to(app: App, key: bytes) -> Outcome:
    payload = None
    try:
        content = await app.redis.get(key)
        if content is None:
            return ignored(key, "gone")
        payload = Payload("string", "", [content])
        if await app.redis.get(mark_key(NAME, key)) == payload.digest.encode():
            return already(key, "a dead letter already")
        return await replay(app, key, payload)
    except Exception as error:
        return await failures.failed(app, NAME, key, error, payload)


async def replay(app: App, key: bytes, payload: Payload) -> Outcome:
    content = payload.parts[0]
    if content == b"unreadable" and not await app.redis.exists("readable now"):
        raise Rejected("unreadable")
    if content == b"fails once" and await app.redis.set("failed once", b"", nx=True):
        raise ValueError("fails once")
    if await app.redis.hget(DIGESTS, key) == payload.digest.encode():
        return duplicate(key)
    await app.redis.hset(DIGESTS, key, payload.digest)
    await app.redis.publish(DIGESTS, key)
    return processed(key)


USERS = Reactor(
    name=NAME,
    function="watch_users",
    kind=namespaces.USER,
    effect="digest kept in functions:users",
    react=react,
    replay=replay,
    scanned=(Scanned(namespaces.USER.prefix),),
)
