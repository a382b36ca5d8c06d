"""A user's tokens: the dashboard and the app read each other's values, and no repr or error shows them."""

import asyncio
import copy
import json
import logging
import os
import pickle
import pprint
import shutil
import socket
import subprocess
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis.asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError

from shared import namespaces
from shared.app import App
from shared.errors import KeyspaceError
from shared.privacy.keyring import keyring
from shared.sessions.token_cache import MAX_TOKENS_BYTES, TokenCache, Tokens
from tests.conftest import SERVER

USER = "12345678-1234-1234-1234-123456789abc"
KEY = f"fabric:user:{USER}:tokens"
SECRET = "eyJ0eXAi.SECRET-access-token"
FIELDS = {"accessToken": SECRET, "refreshToken": f"{SECRET}-2", "expiresAt": 1767225600000, "account": {"oid": SECRET}}
FROM_THE_DASHBOARD = (
    '{"accessToken":"eyJ0eXAi.SECRET-access-token","refreshToken":"eyJ0eXAi.SECRET-access-token-2",'
    '"expiresAt":1767225600000,"account":{"oid":"eyJ0eXAi.SECRET-access-token"}}'
)
"""JSON.stringify of FIELDS."""


@pytest.fixture
def cache(app: App) -> TokenCache:
    return TokenCache(app)


@pytest.fixture
def port_without_set(tmp_path: Path) -> Iterator[int]:
    """Port of a Redis server without the command SET."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--rename-command", "SET", "")
    server = subprocess.Popen([SERVER, *options], stdout=subprocess.PIPE, cwd=tmp_path)
    assert server.stdout is not None
    assert any(b"eady to accept connections" in line for line in server.stdout)
    yield port
    server.terminate()
    server.communicate(timeout=10)


def with_max_payload(app: App, max_payload_bytes: int) -> TokenCache:
    return TokenCache(App(msgspec.structs.replace(app.settings, max_payload_bytes=max_payload_bytes), app.redis))


def content_of(error: BaseException) -> str:
    """All texts that can be reached from an error: its message, arguments and attributes, its traceback with the locals
    of token_cache.py, and the same of its causes and contexts."""
    texts = []
    pending: list[BaseException | None] = [error]
    while pending:
        if (fault := pending.pop()) is None:
            continue
        pending += [fault.__cause__, fault.__context__]
        texts += [str(fault), repr(fault), repr(fault.args), repr(vars(fault))]
        texts += traceback.format_exception(fault)
        for frame, _ in traceback.walk_tb(fault.__traceback__):
            if Path(frame.f_code.co_filename).name == "token_cache.py":
                texts += [repr(value) for value in frame.f_locals.values()]
    return "\n".join(texts)


async def calls_of(client: redis.asyncio.Redis) -> dict[str, int]:
    """How often each command was called since the last CONFIG RESETSTAT."""
    stats = await client.info("commandstats")
    calls_by_name = {name.removeprefix("cmdstat_"): row["calls"] for name, row in stats.items()}
    return {name: calls for name, calls in calls_by_name.items() if name not in {"info", "config", "config|resetstat"}}


async def test_tokens_that_the_dashboard_wrote_are_read(cache: TokenCache, redis_client: redis.asyncio.Redis) -> None:
    await redis_client.set(KEY, FROM_THE_DASHBOARD, ex=3300)
    tokens = await cache.get(USER)
    assert tokens is not None
    assert dict(tokens) == FIELDS


async def test_tokens_are_written_as_the_dashboard_writes_them(
    cache: TokenCache, redis_client: redis.asyncio.Redis
) -> None:
    await cache.set(USER, Tokens(FIELDS))
    assert await redis_client.get(KEY) == FROM_THE_DASHBOARD.encode()


async def test_javascript_reads_what_was_written(cache: TokenCache, redis_client: redis.asyncio.Redis) -> None:
    node = shutil.which("node")
    if node is None:
        if "CI" in os.environ:
            pytest.fail("node is required in CI")
        pytest.skip("needs node")
    fields = {**FIELDS, "name": 'Zoë "😀"\n\u2028', "lone": "\ud800", "": [None, True, 1.5, -0.25, 1e21]}
    await cache.set(USER, Tokens(fields))
    script = "process.stdout.write(JSON.stringify(JSON.parse(require('fs').readFileSync(0, 'utf8'))))"
    written = await redis_client.get(KEY)
    run = await asyncio.to_thread(subprocess.run, [node, "-e", script], input=written, capture_output=True, check=True)
    assert json.loads(run.stdout) == fields
    await redis_client.set(KEY, run.stdout)
    assert await cache.get(USER) == Tokens(fields)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.dictionaries(st.text(), JSON_VALUES, max_size=6))
async def test_any_json_object_is_read_as_it_was_set(cache: TokenCache, fields: dict[str, Any]) -> None:
    await cache.set(USER, Tokens(fields))
    tokens = await cache.get(USER)
    assert tokens is not None
    assert dict(tokens) == fields
    assert Tokens(fields) == tokens


async def test_each_set_gives_tokens_a_ttl_of_55_minutes(cache: TokenCache, redis_client: redis.asyncio.Redis) -> None:
    await redis_client.set(KEY, "{}")
    for _ in range(2):
        await cache.set(USER, Tokens(FIELDS))
        assert 3_290_000 < await redis_client.pttl(KEY) <= namespaces.TOKEN_TTL_S * 1000
        await redis_client.expire(KEY, 5)


async def test_each_call_is_one_command(cache: TokenCache, redis_client: redis.asyncio.Redis) -> None:
    await cache.get(USER)  # connects
    await redis_client.config_resetstat()
    await cache.set(USER, Tokens(FIELDS))
    await cache.get(USER)
    await cache.delete(USER)
    assert await calls_of(redis_client) == {"set": 1, "getrange": 1, "del": 1}


async def test_delete_says_whether_there_were_tokens(cache: TokenCache, redis_client: redis.asyncio.Redis) -> None:
    await cache.set(USER, Tokens(FIELDS))
    assert await cache.delete(USER) is True
    assert await redis_client.exists(KEY) == 0
    assert await cache.delete(USER) is False


@pytest.mark.parametrize("value", [None, b"", b"null", b" null\n"])
async def test_a_missing_or_empty_value_is_no_tokens(
    cache: TokenCache, redis_client: redis.asyncio.Redis, value: bytes | None
) -> None:
    if value is not None:
        await redis_client.set(KEY, value)
    assert await cache.get(USER) is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (SECRET.encode(), "not JSON"),
        (FROM_THE_DASHBOARD[:-3].encode(), "JSON is cut short"),
        (json.dumps(SECRET).encode(), "not a JSON object"),
        (json.dumps([FIELDS]).encode(), "not a JSON object"),
        (b"17", "not a JSON object"),
        (b" ", "empty"),
        (b"\xff\xfe" + SECRET.encode(), "neither JSON nor UTF-8 text"),
        (b"\x1f\x8b" + SECRET.encode(), "gzip, not JSON"),
        (b'{"a":' * 2000 + json.dumps(SECRET).encode() + b"}" * 2000, "more than 64 levels deep"),
        (b'{"accessToken":"' + b"x" * MAX_TOKENS_BYTES + b'"}', f"more than {MAX_TOKENS_BYTES} bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_an_invalid_value_is_refused_with_key_and_reason_only(
    cache: TokenCache, redis_client: redis.asyncio.Redis, value: bytes, reason: str
) -> None:
    await redis_client.set(KEY, value)
    with pytest.raises(KeyspaceError) as caught:
        await cache.get(USER)
    assert str(caught.value) == f"{KEY}: {reason}"
    content = content_of(caught.value)
    assert "SECRET" not in content
    assert "xxxx" not in content
    assert await redis_client.get(KEY) == value


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(min_size=8, max_size=60))
async def test_no_error_contains_a_part_of_the_value(
    cache: TokenCache, redis_client: redis.asyncio.Redis, noise: bytes
) -> None:
    await redis_client.set(KEY, noise + b"SECRET" + noise)
    with pytest.raises(KeyspaceError) as caught:
        await cache.get(USER)
    assert "SECRET" not in content_of(caught.value)


@pytest.mark.parametrize("write", ["hset", "rpush", "sadd"])
async def test_a_key_of_another_type_is_refused_and_not_changed(
    cache: TokenCache, redis_client: redis.asyncio.Redis, write: str
) -> None:
    await redis_client.execute_command(write, KEY, *([SECRET] * (2 if write == "hset" else 1)))
    with pytest.raises(KeyspaceError, match=rf"^{KEY}: not a string$"):
        await cache.get(USER)
    assert await redis_client.exists(KEY) == 1


async def test_only_the_limit_is_read_of_a_value_that_is_too_large(app: App, redis_client: redis.asyncio.Redis) -> None:
    cache = with_max_payload(app, 2048)
    await redis_client.set(KEY, json.dumps({"accessToken": "x" * 5_000_000}))
    await redis_client.config_resetstat()
    with pytest.raises(KeyspaceError, match=r": more than 2048 bytes$"):
        await cache.get(USER)
    assert (await redis_client.info("stats"))["total_net_output_bytes"] < 50_000


async def test_a_value_as_large_as_the_limit_is_set_and_read(app: App) -> None:
    cache = with_max_payload(app, 2048)
    fits = {"accessToken": "x" * (2048 - len('{"accessToken":""}'))}
    await cache.set(USER, Tokens(fits))
    assert await cache.get(USER) == Tokens(fits)
    with pytest.raises(KeyspaceError, match=r": more than 2048 bytes$"):
        await cache.set(USER, Tokens({"accessToken": fits["accessToken"] + "x"}))
    assert await cache.get(USER) == Tokens(fits)


def circular() -> dict[str, Any]:
    fields: dict[str, Any] = {"accessToken": SECRET}
    fields["self"] = fields
    return fields


def nested(levels: int) -> object:
    value: object = SECRET
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"accessToken": SECRET.encode()}, "not JSON values"),
        ({"accessToken": SECRET, "expiresAt": float("nan")}, "not JSON values"),
        (circular(), "not JSON values"),
        ({"deep": nested(64)}, "more than 64 levels deep"),
    ],
    ids=["bytes", "nan", "circular", "too deep"],
)
async def test_tokens_that_get_would_refuse_are_not_written(
    cache: TokenCache, redis_client: redis.asyncio.Redis, fields: dict[str, Any], reason: str
) -> None:
    await redis_client.set(KEY, FROM_THE_DASHBOARD)
    with pytest.raises(KeyspaceError) as caught:
        await cache.set(USER, Tokens(fields))
    assert str(caught.value) == f"{KEY}: {reason}"
    assert "SECRET" not in "".join(traceback.format_exception(caught.value))
    assert await redis_client.get(KEY) == FROM_THE_DASHBOARD.encode()


@pytest.mark.parametrize(
    "user_id",
    ["a:b", "a:tokens", ":", "*", "new\nline", "Zoë 😀", b"\xff\xfe", "x" * 100_000, "\u202e\x00"],
    ids=ascii,
)
async def test_any_user_id_has_tokens_of_its_own(
    cache: TokenCache, redis_client: redis.asyncio.Redis, user_id: str | bytes
) -> None:
    await cache.set(USER, Tokens({"accessToken": "another's"}))
    await cache.set(user_id, Tokens(FIELDS))
    raw = user_id.encode() if isinstance(user_id, str) else user_id
    assert await redis_client.get(b"fabric:user:" + raw + b":tokens") == FROM_THE_DASHBOARD.encode()
    assert await cache.get(user_id) == Tokens(FIELDS)
    await redis_client.set(b"fabric:user:" + raw + b":tokens", SECRET)
    with pytest.raises(KeyspaceError) as caught:
        await cache.get(user_id)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 250
    assert await cache.delete(user_id) is True
    assert await cache.get(USER) == Tokens({"accessToken": "another's"})


@pytest.mark.parametrize("user_id", ["", b"", "\ud800"], ids=ascii)
async def test_an_invalid_user_id_is_refused_without_a_call_to_redis(
    cache: TokenCache, redis_client: redis.asyncio.Redis, user_id: str | bytes
) -> None:
    for call in (lambda: cache.get(user_id), lambda: cache.set(user_id, Tokens(FIELDS)), lambda: cache.delete(user_id)):
        with pytest.raises(ValueError, match=r"user-tokens|surrogates") as caught:
            await call()
        assert "SECRET" not in str(caught.value)
    assert await redis_client.dbsize() == 0


async def test_an_error_names_the_pseudonym_if_users_are_pseudonymised(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    pseudonymising = msgspec.structs.replace(app.settings, audit_pseudonymise_users=True)
    await redis_client.set("fabric:user:ada@example.com:tokens", SECRET)
    with pytest.raises(KeyspaceError) as caught:
        await TokenCache(App(pseudonymising, app.redis)).get("ada@example.com")
    pseudonym = keyring(pseudonymising.audit_key).pseudonym("ada@example.com")
    assert str(caught.value) == f"fabric:user:{pseudonym}:tokens: not JSON"


async def test_the_error_of_a_server_without_set_shows_no_token(app: App, port_without_set: int) -> None:
    """Redis quotes the arguments of an unknown command."""
    async with redis.asyncio.Redis(port=port_without_set) as client:
        with pytest.raises(ResponseError, match=r"unknown command ['`]SET['`]$") as caught:
            await TokenCache(App(app.settings, client)).set("u", Tokens(FIELDS))
    assert "SECRET" not in "".join(traceback.format_exception(caught.value))


async def test_a_refusal_of_redis_is_raised_without_the_value(
    cache: TokenCache, redis_client: redis.asyncio.Redis
) -> None:
    await redis_client.config_set("maxmemory", 1)
    try:
        with pytest.raises(OutOfMemoryError) as caught:
            await cache.set(USER, Tokens(FIELDS))
    finally:
        await redis_client.config_set("maxmemory", 0)
    assert "maxmemory" in str(caught.value)
    assert "SECRET" not in "".join(traceback.format_exception(caught.value))


async def test_an_outage_is_raised_without_the_value(app: App) -> None:
    unreachable = redis.asyncio.Redis(port=1, retry=None)
    cache = TokenCache(App(app.settings, unreachable))
    with pytest.raises(RedisError) as caught:
        await cache.set(USER, Tokens(FIELDS))
    assert "SECRET" not in "".join(traceback.format_exception(caught.value))
    await unreachable.aclose()


def test_the_repr_of_tokens_shows_field_names_only(caplog: pytest.LogCaptureFixture) -> None:
    tokens = Tokens(FIELDS)
    shown = "Tokens(accessToken=***, refreshToken=***, expiresAt=***, account=***)"
    assert [repr(tokens), str(tokens), f"{tokens}", f"{tokens!r}", pprint.pformat(tokens)] == [shown] * 5
    logging.getLogger("tests").warning("%r", tokens)
    logging.getLogger("tests").warning("%s and %s", tokens, [tokens])
    assert caplog.messages == [shown, f"{shown} and [{shown}]"]
    with pytest.raises(TypeError, match="format string"):
        format(tokens, ">40")


def test_a_field_name_that_may_be_a_secret_is_not_shown() -> None:
    tokens = Tokens({SECRET: 1, "new\nline": 2, "x" * 33: 3, "": 4, "scope": 5})
    assert repr(tokens) == "Tokens(?=***, ?=***, ?=***, ?=***, scope=***)"
    long = repr(Tokens({f"a{'b' * count}": count for count in range(1000)}))
    assert len(long) <= 200


def test_a_failed_comparison_shows_no_token() -> None:
    with pytest.raises(AssertionError) as caught:
        assert Tokens(FIELDS) == Tokens({**FIELDS, "accessToken": f"{SECRET}-3"})
    assert "account=***" in str(caught.value)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_tokens_cannot_be_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match=r"^tokens are not pickled$"):
        pickle.dumps(Tokens(FIELDS), protocol)


@pytest.mark.parametrize(
    "serialise", [json.dumps, msgspec.json.encode, copy.deepcopy, vars], ids=lambda serialise: serialise.__name__
)
def test_serialisers_refuse_tokens(serialise: Any) -> None:
    with pytest.raises(TypeError) as caught:
        serialise(Tokens(FIELDS))
    assert "SECRET" not in str(caught.value)


def test_the_error_for_a_missing_field_names_only_that_field() -> None:
    with pytest.raises(KeyError) as caught:
        Tokens(FIELDS)["idToken"]
    assert str(caught.value) == "'idToken'"
    with pytest.raises(AttributeError, match="idToken") as missing:
        _ = Tokens(FIELDS).idToken
    assert "SECRET" not in "".join(traceback.format_exception(missing.value))


def test_tokens_are_read_only() -> None:
    source = copy.deepcopy(FIELDS)
    tokens = Tokens(source)
    source["account"]["oid"] = "changed"
    tokens["account"]["oid"] = "changed"
    with pytest.raises(AttributeError, match="read-only"):
        tokens.accessToken = "changed"
    with pytest.raises(AttributeError, match="read-only"):
        tokens._values = {}
    with pytest.raises(AttributeError, match="read-only"):
        del tokens._values
    assert dict(tokens) == FIELDS
