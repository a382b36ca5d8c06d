"""The `Redis` setting: what it may contain, and the client that is opened from it."""

import pytest
import redis.asyncio

from shared.errors import ConfigurationError
from shared.store.connection import ConnectionOptions, open_client, parse_connection_string


def test_a_connection_string_of_the_azure_portal_is_parsed() -> None:
    text = "plant.redis.cache.windows.net:6380,password=c2VjcmV0PQ==,ssl=True,abortConnect=False,user=app"
    assert parse_connection_string(text) == ConnectionOptions(
        host="plant.redis.cache.windows.net",
        port=6380,
        username="app",
        password="c2VjcmV0PQ==",
        ssl=True,
        protocol=3,
        abort_connect=False,
    )


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("localhost", "localhost", 6379),
        ("localhost:7000", "localhost", 7000),
        ("localhost,ssl=true", "localhost", 6380),
        ("[::1]:7000", "::1", 7000),
        (" localhost:7000 , name=x ", "localhost", 7000),
    ],
)
def test_the_endpoint_is_parsed(text: str, host: str, port: int) -> None:
    options = parse_connection_string(text)
    assert (options.host, options.port) == (host, port)


def test_options_reach_the_client() -> None:
    options = parse_connection_string(
        "h:1,connectTimeout=1500,syncTimeout=250,name=me,protocol=resp2,ssl=yes,password=p"
    )
    kwargs = open_client(options).connection_pool.connection_kwargs
    assert kwargs["socket_connect_timeout"] == 1.5
    assert kwargs["socket_timeout"] == 0.25
    assert kwargs["client_name"] == "me"
    assert kwargs["protocol"] == 2
    assert kwargs["password"] == "p"
    assert issubclass(open_client(options).connection_pool.connection_class, redis.asyncio.SSLConnection)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("h:1,foo=bar", "unknown option 'foo'"),
        ("h:1,ssl=perhaps", "ssl must be"),
        ("h:1,protocol=resp9", "protocol must be"),
        ("h:1,connectTimeout=-5", "connectTimeout must be"),
        ("h:1,defaultDatabase=3", "defaultDatabase must be 0"),
        ("h:1,serviceName=mymaster", "serviceName: Sentinel"),
        ("h:1,channelPrefix=x:", "channelPrefix: "),
        ("h:1,protocol=resp3", "does not subscribe again"),
        ("h:1,highIntegrity=true", "does not know it"),
        ("h:1,heartbeatInterval=5000", "does not know it"),
        ("h:1,heartbeatConsistencyChecks=true", "does not know it"),
        ("h:1,i:2", "one endpoint host:port, not 2"),
        ("password=x", "one endpoint host:port, not 0"),
        ("h:port", "not host:port"),
        ("h:70000", "not host:port"),
    ],
)
def test_a_wrong_option_is_named(text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        parse_connection_string(text)


@pytest.mark.parametrize(
    "text",
    [
        "redis://:hunter2@127.0.0.1:1",
        "rediss://:hunter2=@h:6380",
        "h:1,password=abc,hunter2=x",
        "h:1,password=abc,hunter2",
        "user:hunter2@h:1",
    ],
)
def test_a_password_in_the_wrong_place_is_not_shown(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_connection_string(text)
    assert "hunter" not in str(caught.value)


def test_all_faults_are_named_at_once_without_a_secret() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_connection_string("h:1,foo=1,bar=2,ssl=hunter2,password=hunter2")
    assert "foo" in str(caught.value)
    assert "bar" in str(caught.value)
    assert "ssl" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_repr_hides_the_password() -> None:
    assert "hunter2" not in repr(parse_connection_string("h:1,password=hunter2"))


async def test_the_client_talks_to_a_real_server(redis_port: int) -> None:
    client = open_client(parse_connection_string(f"127.0.0.1:{redis_port},abortConnect=False"))
    assert await client.ping()
    assert await client.client_getname() == b"keyspace-functions"
    await client.aclose()
