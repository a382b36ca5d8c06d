"""Sign-in to Redis by identity, with azure-identity's own credential, over TLS."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import redis.asyncio
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError

from local.run.processes import child_process
from shared.app import App, open_app
from shared.operations import health
from shared.settings import parse
from shared.store import identity
from tests.support.certificates import authority, issued
from tests.support.entra import PRINCIPAL, Entra, FrontDoor, entra
from tests.support.rig import free_port

SERVER_WITH_TLS = shutil.which("redis-server")


class Azure(NamedTuple):
    tokens: Entra
    door: FrontDoor
    app: App


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `ca` and `here`, a certificate of it for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("certificates")
    issued(folder / "here", authority(folder / "ca"), "IP:127.0.0.1")
    return folder


@asynccontextmanager
async def azure(
    redis_client: redis.asyncio.Redis, certificates: Path, monkeypatch: pytest.MonkeyPatch, life_s: float
) -> AsyncIterator[Azure]:
    """An app that signs in to this test's Redis by identity, through the front door."""
    port = redis_client.connection_pool.connection_kwargs["port"]
    # azure-identity asks for a new token after 30 s at the earliest; here they live for seconds.
    monkeypatch.setattr("azure.identity._internal.utils.DEFAULT_TOKEN_REFRESH_RETRY_DELAY", 0)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca" / "cert.pem"))
    async with FrontDoor(port, certificates / "here") as door, entra(redis_client, life_s) as (tokens, variables):
        tokens.at_expiry = door.end
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        settings = {"Redis__redisHostName": f"127.0.0.1:{door.port}", "Redis__principalId": PRINCIPAL}
        app = open_app(parse(settings | {"Redis__credential": "managedidentity"}))
        try:
            yield Azure(tokens, door, app)
        finally:
            await app.redis.aclose()


async def many_pings(app: App, count: int = 8) -> None:
    """Use `count` connections at once."""
    await asyncio.gather(*(app.redis.ping() for _ in range(count)))


async def refused(app: App) -> None:
    """The first command may still find its connection open, and see it end."""
    try:
        await app.redis.ping()
    except AuthenticationError:
        raise
    except RedisConnectionError:
        await app.redis.ping()


async def test_no_command_fails_while_tokens_rotate(
    redis_client: redis.asyncio.Redis,
    certificates: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    measured: Callable[[str, float, str], None],
) -> None:
    """Neither on connections in use, nor on those that were idle while their token was replaced or had expired."""
    load_s, life_s = (60.0, 3.0) if request.config.getoption("--soak") else (5.5, 4.0)
    async with azure(redis_client, certificates, monkeypatch, life_s=life_s) as (tokens, door, app):
        await many_pings(app)
        until = time.monotonic() + load_s
        done = 0

        async def load(pause_s: float) -> None:
            nonlocal done
            while time.monotonic() < until:
                await app.redis.incr("commands")
                done += 1
                await asyncio.sleep(pause_s)

        await asyncio.gather(load(0), load(0.001), load(0.5), load(1.7))
        await many_pings(app)
        assert int(await app.redis.get("commands")) == done
        assert tokens.expired >= int(load_s / (life_s + 1))
        assert door.again >= tokens.expired
        assert len(tokens.issued) <= load_s / 2 + 2, "a token is requested once, not by every connection"
        measured(f"commands without a failure over {len(tokens.issued)} tokens", done, "commands")


async def test_an_idle_connection_signs_in_again_before_its_next_use(
    redis_client: redis.asyncio.Redis, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "REFRESH_SHARE", 0.0)
    async with azure(redis_client, certificates, monkeypatch, life_s=200) as (tokens, door, app):
        pool = app.redis.connection_pool

        async def use_all(count: int) -> None:
            connections = [await pool.get_connection() for _ in range(count)]
            for connection in connections:
                await pool.release(connection)

        await use_all(4)
        monkeypatch.setattr(identity, "REFRESH_SHARE", 0.7)
        async with asyncio.timeout(10):
            while len(tokens.issued) < 2:
                await app.redis.ping()  # finds the token due, and is served with it
            while tokens.issued[0] in door.signed_in.values():
                await use_all(4)
        assert len(door.signed_in) == 4, "connections are kept"
        assert door.cut == 0


async def test_commands_go_on_while_the_endpoint_of_tokens_is_slow_or_refuses(
    redis_client: redis.asyncio.Redis, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "REFRESH_SHARE", 0.0)
    monkeypatch.setattr(identity, "RETRY_S", 0.01)
    async with azure(redis_client, certificates, monkeypatch, life_s=200) as (tokens, _, app):
        await app.redis.ping()
        tokens.answers.clear()
        async with asyncio.timeout(20):
            tokens.requested.clear()
            while not tokens.requested.is_set():
                await app.redis.ping()
            for _ in range(50):  # the request waits meanwhile
                await app.redis.ping()
            tokens.refuses = True
            tokens.answers.set()
            tokens.requested.clear()
            while not tokens.requested.is_set():  # a refused request is repeated
                await app.redis.ping()
            tokens.refuses = False
            issued_before = len(tokens.issued)
            while len(tokens.issued) == issued_before:
                await app.redis.ping()


async def test_a_revoked_identity_is_a_clear_failure_and_recovers(
    redis_client: redis.asyncio.Redis, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with azure(redis_client, certificates, monkeypatch, life_s=200) as (tokens, door, app):
        assert (await health.check_app(app)).status != "failed"
        await tokens.grant("off")
        door.end(tokens.issued[0])
        with pytest.raises(AuthenticationError) as caught:
            await refused(app)
        report = await health.check_app(app)
        assert report.status == "failed"
        assert report.reasons == (
            "Redis refuses the sign-in: wrong user or password, or an identity without an access policy",
        )
        assert tokens.issued[0] not in str(caught.value)
        await tokens.grant("on")
        assert await app.redis.ping()


async def test_an_identity_without_token_is_a_clear_failure_and_recovers(
    redis_client: redis.asyncio.Redis, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with azure(redis_client, certificates, monkeypatch, life_s=200) as (tokens, _, app):
        tokens.refuses = True
        report = await health.check_app(app)
        assert report.status == "failed"
        assert report.reasons == ("Redis: no token for the identity: CredentialUnavailableError",)
        tokens.refuses = False
        assert await app.redis.ping()


@pytest.fixture
async def tls_port(certificates: Path, tmp_path: Path) -> AsyncIterator[int]:
    """Port of a Redis that speaks TLS itself."""
    if SERVER_WITH_TLS is None:
        pytest.skip("redis-server is not installed, and the packaged Valkey has no TLS")
    port, here = free_port(), certificates / "here"
    command = [
        *(SERVER_WITH_TLS, "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--save", ""),
        *("--tls-cert-file", str(here / "cert.pem"), "--tls-key-file", str(here / "key.pem")),
        *("--tls-auth-clients", "no", "--dir", str(tmp_path)),
    ]
    log = tmp_path / "redis.log"
    with log.open("wb") as output:
        async with child_process(command, output=output):
            async with asyncio.timeout(10):
                while b"Ready to accept" not in log.read_bytes():  # noqa: ASYNC110 (another process writes it)
                    await asyncio.sleep(0.01)
            yield port


async def test_a_server_is_trusted_by_its_authority_and_its_name(
    tls_port: int, certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ping(host: str, trusted: Path) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted / "cert.pem"))
        app = open_app(parse({"Redis": f"{host}:{tls_port},ssl=True"}))
        try:
            await app.redis.ping()
        finally:
            await app.redis.aclose()

    await ping("127.0.0.1", certificates / "ca")
    with pytest.raises(RedisConnectionError, match=r"unable to get local issuer|unable to verify|self-signed"):
        await ping("127.0.0.1", authority(tmp_path / "other"))
    with pytest.raises(RedisConnectionError, match="Hostname mismatch"):
        await ping("localhost", certificates / "ca")
