"""Health tells whether events can flow, and why not."""

import pytest
import redis.asyncio

from local.servers import free_port
from shared import health
from shared.connection import open_client, parse_connection_string
from shared.notifications import REQUIRED, missing_flags


@pytest.mark.parametrize("flags", [REQUIRED, "KA", "AK", "AKE", "g$lshzxeK", "K$ghlxem"])
def test_sufficient_flags_miss_nothing(flags: str) -> None:
    assert missing_flags(flags) == ()


@pytest.mark.parametrize("flags", ["Ex", "xE", "E", "AE", "g$"])
def test_flags_without_keyspace_channels_deliver_nothing(flags: str) -> None:
    (found,) = missing_flags(flags)
    assert "delivers nothing" in found
    assert REQUIRED in found


def test_no_flags_at_all_are_named() -> None:
    (found,) = missing_flags("")
    assert "off" in found


def test_each_missing_class_is_named_with_what_it_is_for() -> None:
    found = missing_flags("K$h")
    assert [sentence[0] for sentence in found] == ["g", "l", "x", "e"]
    assert "expired" in found[2]


async def test_a_server_that_notifies_is_ok(redis_client: redis.asyncio.Redis) -> None:
    found = await health.check(redis_client)
    assert found.status == "ok"
    assert found.reasons == ()
    assert found.redis_round_trip_ms is not None
    assert set(found.notify_keyspace_events or "") == set(REQUIRED)


async def test_a_server_that_is_away_is_failed_and_its_reason_holds_no_password() -> None:
    client = open_client(parse_connection_string(f"127.0.0.1:{free_port()},password=hunter2"))
    found = await health.check(client)
    await client.aclose()
    assert found.status == "failed"
    assert found.redis_round_trip_ms is None
    assert "hunter2" not in str(found.as_dict())
    assert "does not answer" in found.reasons[0]


async def test_a_server_that_hides_its_flags_is_ok_and_says_so(
    redis_client: redis.asyncio.Redis, redis_port: int
) -> None:
    """As Azure Cache for Redis does."""
    name = "no-config"
    await redis_client.acl_setuser(name, enabled=True, nopass=True, commands=["+@all", "-config"], keys=["*"])
    client = redis.asyncio.Redis(port=redis_port, username=name, password="any")
    found = await health.check(client)
    await client.aclose()
    await redis_client.acl_deluser(name)
    assert found.status == "ok"
    assert found.notify_keyspace_events is None
    assert "flags" in found.reasons[0]
