"""The whole app signed in by identity over TLS: its triggers as its own client."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio

from local.host.host import Host
from tests.e2e.conftest import AUDIT_KEY, ROOT, environment
from tests.support.certificates import authority, issued
from tests.support.entra import PRINCIPAL, FrontDoor, entra

RECORDS = [{"timestamp": f"2026-01-01T00:00:{n:02}Z", "data": {"co2": 1 + n / 100}} for n in range(20)]


@pytest.fixture
async def door(redis_client: redis.asyncio.Redis, redis_port: int, tmp_path: Path) -> AsyncIterator[FrontDoor]:
    """The app runs behind it, with tokens of an identity."""
    here = issued(tmp_path / "here", authority(tmp_path / "ca"), "IP:127.0.0.1")
    async with FrontDoor(redis_port, here) as started, entra(redis_client, life_s=200) as (tokens, variables):
        tokens.at_expiry = started.end
        connection = {"Redis__redisHostName": f"127.0.0.1:{started.port}", "Redis__principalId": PRINCIPAL}
        others = {"AUDIT_KEY": AUDIT_KEY, "AzureWebJobsStorage": "", "SSL_CERT_FILE": str(tmp_path / "ca" / "cert.pem")}
        host = Host(ROOT, http_port=0)
        with environment(variables | connection | others | {"Redis__credential": "managedidentity"}):
            await host.__aenter__()
            app = sys.modules["shared.app"].current_app()
            assert host.errors == {}
            yield started
            await host.__aexit__(None, None, None)
            await app.redis.aclose()


async def test_trigger_and_app_sign_in_by_identity(door: FrontDoor, redis_client: redis.asyncio.Redis) -> None:
    await redis_client.set("fastapi:temp:data:b1", json.dumps(RECORDS))
    async with asyncio.timeout(30):
        while not await redis_client.exists("fastapi:results:analysis:b1"):  # noqa: ASYNC110 (no event)
            await asyncio.sleep(0.02)
    assert len(door.signed_in) >= 2, "the trigger's subscription and the app's client"
