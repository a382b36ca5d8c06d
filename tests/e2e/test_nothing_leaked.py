"""Nothing leaked: secrets that traffic carries through every path of the app appear nowhere afterwards."""

import asyncio
import base64
import json
import logging
import sys
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import redis.asyncio

from local.host.host import Host
from local.run.servers import azurite
from shared.app import App
from shared.delivery import dead_letters
from tests.e2e.conftest import ROOT, Effects, environment
from tests.support.intake import settled
from tests.support.redis_users import app_user

AUDIT_KEY = "planted-audit-key-5bd1e995"
PASSWORD = "planted-redis-password-c6a4a793"
MAILS = [f"planted.user{number}@plant.example" for number in range(4)]
USERS = [f"user-id-{number}-85ebca6b" for number in range(4)]
SESSIONS = [f"planted-session-token-{number}-9e3779b97f4a7c15" for number in range(16)]
ACCESS = [f"eyJplanted.access-token-{number}.c2ln" for number in range(4)]
SECRETS = [*MAILS, *SESSIONS, *ACCESS, AUDIT_KEY, PASSWORD]
FAST = {
    "AUDIT_KEY": AUDIT_KEY,
    "AUDIT_REFRESH_MIN_S": "0",
    "AUDIT_SCHEDULE": "* * * * * *",
    "DEBUG_ENDPOINT_ENABLED": "true",
    "DELETE_LAPSED_SESSIONS": "true",
    "EXPIRY_SCHEDULE": "* * * * * *",
    "MAX_SESSIONS_PER_USER": "1",
    "MAX_PAYLOAD_BYTES": "65536",
    "SESSION_LOST_AFTER_S": "0",
    "SWEEP_SCHEDULE": "* * * * * *",
    "RETRY_SCHEDULE": "* * * * * *",
}


CONFIGURATIONS = {
    # e-mail addresses as user ids: pseudonyms keep them out of the records
    "pseudonyms": ({"AUDIT_PSEUDONYMISE_USERS": "true"}, MAILS),
    "plain user ids": ({"REVOKE_TOKENS_ON_LAST_LOGOUT": "true"}, USERS),
}


class Plant:
    """The running app on a Redis with a password, its storage, and its log lines."""

    def __init__(
        self, host: Host, client: redis.asyncio.Redis, app: App, log: Effects, storage: str, users: list[str]
    ) -> None:
        self.host, self.redis, self.app, self.log, self.storage, self.users = host, client, app, log, storage, users

    async def recorded(self, wanted: str, within_s: float = 40) -> None:
        """Wait until storage holds a record of this type."""
        async with asyncio.timeout(within_s):
            while True:
                if wanted in "".join((await blobs(self.storage)).values()):
                    return
                await asyncio.sleep(0.1)


@pytest.fixture(params=CONFIGURATIONS)
async def plant(
    request: pytest.FixtureRequest, redis_port: int, redis_client: redis.asyncio.Redis
) -> AsyncIterator[Plant]:
    changes, users = CONFIGURATIONS[request.param]
    log = Effects()
    root = logging.getLogger()
    before = root.level
    root.addHandler(log)
    root.setLevel(logging.DEBUG)  # including the lines of all libraries
    async with app_user(redis_port, PASSWORD, rights="operator") as connection, azurite() as storage:
        assert storage is not None, "Azurite cannot be started here"
        settings = FAST | changes | {"Redis": connection, "AzureWebJobsStorage": storage.connection_string}
        with environment(settings):
            host = Host(ROOT, http_port=0)
            await host.__aenter__()
            app = sys.modules["shared.app"].current_app()
        yield Plant(host, redis_client, app, log, storage.connection_string, users)
        await host.__aexit__(None, None, None)
        await app.redis.aclose()
    root.removeHandler(log)
    root.setLevel(before)


async def blobs(connection: str) -> dict[str, str]:
    """Every blob of every container, by name."""
    from azure.storage.blob.aio import BlobServiceClient

    contents = {}
    async with BlobServiceClient.from_connection_string(connection) as service:
        async for container in service.list_containers(include_metadata=True):
            client = service.get_container_client(container.name)
            async for blob in client.list_blobs(include=["metadata"]):
                data = await (await client.download_blob(blob.name)).readall()
                contents[f"{container.name}/{blob.name} {container.metadata} {blob.metadata}"] = data.decode()
    return contents


def session(number: int, user: str, **more: Any) -> str:
    return json.dumps(
        {
            "sessionToken": SESSIONS[number],
            "userId": user,
            "expires": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
            "accessToken": ACCESS[number % len(ACCESS)],
            "user": {"email": MAILS[number % len(MAILS)]},
        }
        | more
    )


def key(number: int) -> str:
    return f"nextauth:session:{SESSIONS[number]}"


async def traffic(client: redis.asyncio.Redis, users: list[str]) -> None:
    """Writes of every documented client, and every kind of faulty session."""
    first, other, *_ = users
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    for number in range(8):
        user, mail = users[number % len(users)], MAILS[number % len(MAILS)]
        await client.set(key(number), session(number, user), ex=3600 if number % 2 else None)
        await client.set(f"nextauth:session:by-user-id:{user}", key(number) if number % 2 else SESSIONS[number])
        await client.set(f"nextauth:user:{user}", json.dumps({"id": user, "email": mail}))
        await client.set(f"nextauth:email:{mail}", user)
        await client.set(f"nextauth:account:azure:{mail}", json.dumps({"access_token": ACCESS[0]}))
        await client.set(f"fabric:user:{user}:tokens", json.dumps({"accessToken": ACCESS[0]}), ex=3300)
    await client.set(key(0), session(0, other))  # another user
    await client.set(key(8), session(8, first, expires=None))  # unbounded
    await client.set(key(9), session(9, first), ex=1)  # expires
    await client.set(key(10), session(10, first, expires=soon))  # lapses
    await client.set(key(11), session(11, first)[:-9])  # truncated
    await client.set(key(12), SESSIONS[12])  # a bare token
    await client.hset(key(13), "accessToken", ACCESS[1])  # another type
    await client.set(key(14), session(14, first, padding="x" * 70_000))  # too large
    await client.rename(key(1), f"nextauth:session:{SESSIONS[15]}")
    await client.set(f"nextauth:sessions:{SESSIONS[0]}", SESSIONS[0])  # near misses
    for user in users:
        await client.delete(f"nextauth:session:by-user-id:{user}")
    for number in range(2, 8):
        await client.delete(key(number))


async def write_garbage(plant: Plant) -> None:
    """Malformed messages, and another application's writes to the app's own keys."""
    for name in ("handle_session_changes", "process_fastapi_data", "update_charts"):
        function = next(function for function in plant.host.functions if function.name == name)
        for text in (SESSIONS[0], json.dumps({"Channel": key(0)}), json.dumps({"Message": ACCESS[0]}), key(0)):
            await plant.host._run_message(function, text)
    await plant.redis.set("functions:sessions:due", "another application's")
    await plant.redis.xadd("functions:audit:sessions", {"event": "no record"})


async def responses(plant: Plant) -> list[str]:
    """The responses of every HTTP function: to valid requests, requests with secrets, and invalid requests."""
    texts = []
    headers = {"x-functions-key": plant.host.function_key}
    async with aiohttp.ClientSession(plant.host.url, headers=headers) as http:
        for function in plant.host.functions:
            if "route" in function.trigger:
                route = str(function.trigger["route"])
                for path in (route, f"{route}?userId={quote(plant.users[1])}", f"{route}?id={quote(SESSIONS[1])}"):
                    for method in ("GET", "POST"):
                        async with http.request(method, f"/api/{path}") as response:
                            text = await response.text()
                            texts.append(f"{response.status} {response.headers} {text}")
        for shown in (*map(key, range(16)), *map("nextauth:email:{}".format, MAILS), *SESSIONS, *own_keys_of(plant)):
            async with http.post("/api/keys/show", json={"key": shown}) as response:
                texts.append(f"{response.status} {response.headers} {await response.text()}")
    assert texts
    return texts


def own_keys_of(plant: Plant) -> list[str]:
    """Further keys that hold or name what is secret."""
    return [f"{kind}:{user}" for kind in ("nextauth:user", "nextauth:session:by-user-id") for user in plant.users]


async def values(client: redis.asyncio.Redis, name: bytes) -> str:
    """The content of a key of any type, as text."""
    match await client.type(name):
        case b"string":
            value: Any = await client.get(name)
        case b"hash":
            value = await client.hgetall(name)
        case b"zset":
            value = await client.zrange(name, 0, -1)
        case b"stream":
            value = await client.xrange(name)
        case other:
            raise AssertionError(f"the app wrote a {other!r}")
    return f"{value!r}"


def forms(secret: str) -> list[str]:
    """A secret in plain and in encoded forms."""
    raw = secret.encode()
    return [secret, base64.b64encode(raw).decode().rstrip("=")[:-1], raw.hex(), quote(secret, safe="")]


def leaks(places: dict[str, str]) -> list[str]:
    return [
        f"{secret} in {name}"
        for name, text in places.items()
        for secret in SECRETS
        for form in forms(secret)
        if form in text
    ]


@pytest.mark.timeout(120)
async def test_no_planted_secret_appears_in_anything_that_the_app_logs_sends_or_writes(plant: Plant) -> None:
    await traffic(plant.redis, plant.users)
    await settled(plant.host)
    wanted = ["session.changed", "session.unbounded", "session.excess", '"deleted":true']
    for record_type in [*wanted, "tokens.revoked"] if plant.users is USERS else wanted:
        await plant.recorded(record_type)
    await write_garbage(plant)
    await plant.redis.set(key(3), session(3, plant.users[3]))
    await plant.redis.flushall()  # a reset of the log, and sessions without their phantoms
    await plant.redis.set(key(4), session(4, plant.users[0]))
    await plant.recorded("audit.reset")
    await traffic(plant.redis, plant.users)
    await settled(plant.host)
    http_responses = await responses(plant)
    await plant.redis.acl_setuser("app", enabled=False)
    await plant.redis.client_kill_filter(user="app")  # for the app, Redis is away
    http_responses += await responses(plant)
    await plant.redis.acl_setuser("app", enabled=True)
    await plant.recorded("session.ended")

    own = [name async for name in plant.redis.scan_iter(b"functions:*")]
    assert any(name.startswith(b"functions:phantom:") for name in own)
    places = {f"value of {name!r}": await values(plant.redis, name) for name in own}
    places |= {f"name {name!r}": name.decode(errors="replace") for name in own}
    page = await dead_letters.list_page(plant.app)
    assert {letter.reactor for letter in page.letters} >= {"sessions"}
    for letter in page.letters:
        payload = await dead_letters.payload(plant.app, letter.id)
        assert payload is None or letter.reactor != "sessions"
        places[f"letter {letter.id}"] = f"{letter!r} {payload!r}"
    places |= await blobs(plant.storage)
    places |= {f"response {number}": text for number, text in enumerate(http_responses)}
    places |= {f"line {number}": line for number, line in enumerate(plant.log.lines)}
    assert len(plant.log.lines) > 50
    assert leaks(places) == []
    assert (
        len(leaks({"a check of this test": zlib.decompress(zlib.compress(session(1, MAILS[0]).encode())).decode()}))
        >= 3
    )
