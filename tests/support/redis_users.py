"""A Redis user with the rights of the app and no others, for tests that run the whole app."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio

from shared.operations import redis_users

NAME = "app"
_ANY = "any password"
_DONE_WITHOUT = {"acl|whoami"}
"""What the doctor on the monitor page asks for and does without: its name."""


@asynccontextmanager
async def app_user(port: int, password: str = _ANY, *, rights: str = "app") -> AsyncIterator[str]:
    """The connection string of a user with `rights`. At the end, Redis has refused it no command, key or channel."""
    async with redis.asyncio.Redis(port=port, decode_responses=True) as admin:
        rules = redis_users.rules(rights, redis_users.version(await admin.info("server"))).split()
        await admin.execute_command("ACL", "SETUSER", NAME, "reset", "on", f">{password}", *rules)
        await admin.execute_command("ACL", "LOG", "RESET")
        try:
            yield f"127.0.0.1:{port},user={NAME},password={password}"
            refused = {
                (entry["reason"], entry["object"], entry["context"])
                for entry in await admin.acl_log()
                if entry["username"] == NAME and entry["reason"] != "auth" and entry["object"] not in _DONE_WITHOUT
            }
        finally:
            await admin.execute_command("ACL", "DELUSER", NAME)
    assert not refused, f"rights that shared/operations/redis_users.py does not list: {refused}"
