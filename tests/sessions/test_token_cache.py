"""A user's tokens: readable by the dashboard and by the app, shown by neither their repr nor any error."""

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
    """Port of a server that knows no SET."""
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


def all_that_an_error_holds(error: BaseException) -> str:
    """Its text and traceback with the locals of this app's frames, and the same of every error behind it."""
    held = []
    chain: list[BaseException | None] = [error]
    while chain:
        if (one := chain.pop()) is None:
            continue
        chain += [one.__cause__, one.__context__]
        held += [str(one), repr(one), repr(one.args), repr(vars(one))]
        held += traceback.format_exception(one)
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if Path(frame.f_code.co_filename).name == "token_cache.py":
                held += [repr(value) for value in frame.f_locals.values()]
    return "\n".join(held)


async def calls_of(client: redis.asyncio.Redis) -> dict[str, int]:
    """How often each command was called since the last CONFIG RESETSTAT."""
    found = {name.removeprefix("cmdstat_"): one["calls"] for name, one in (await client.info("commandstats")).items()}
    return {name: calls for name, calls in found.items() if name not in {"info", "config|resetstat"}}


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
            pytest.fail("CI has to have node")
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
async def test_any_json_object_comes_back_as_it_was_set(cache: TokenCache, fields: dict[str, Any]) -> None:
    await cache.set(USER, Tokens(fields))
    tokens = await cache.get(USER)
    assert tokens is not None
    assert dict(tokens) == fields
    assert Tokens(fields) == tokens


async def test_tokens_live_for_55_minutes_from_each_set(cache: TokenCache, redis_client: redis.asyncio.Redis) -> None:
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
async def test_where_there_are_no_tokens_none_are_found(
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
        (json.dumps(SECRET).encode(), "no JSON object"),
        (json.dumps([FIELDS]).encode(), "no JSON object"),
        (b"17", "no JSON object"),
        (b" ", "empty"),
        (b"\xff\xfe" + SECRET.encode(), "neither JSON nor UTF-8 text"),
        (b"\x1f\x8b" + SECRET.encode(), "gzip, not JSON"),
        (b'{"a":' * 2000 + json.dumps(SECRET).encode() + b"}" * 2000, "more than 64 levels deep"),
        (b'{"accessToken":"' + b"x" * MAX_TOKENS_BYTES + b'"}', f"more than {MAX_TOKENS_BYTES} bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_value_that_is_no_tokens_is_refused_with_key_and_reason_only(
    cache: TokenCache, redis_client: redis.asyncio.Redis, value: bytes, reason: str
) -> None:
    await redis_client.set(KEY, value)
    with pytest.raises(KeyspaceError) as found:
        await cache.get(USER)
    assert str(found.value) == f"{KEY}: {reason}"
    held = all_that_an_error_holds(found.value)
    assert "SECRET" not in held
    assert "xxxx" not in held
    assert await redis_client.get(KEY) == value


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(min_size=8, max_size=60))
async def test_no_error_holds_a_part_of_the_value(
    cache: TokenCache, redis_client: redis.asyncio.Redis, noise: bytes
) -> None:
    await redis_client.set(KEY, noise + b"SECRET" + noise)
    with pytest.raises(KeyspaceError) as found:
        await cache.get(USER)
    assert "SECRET" not in all_that_an_error_holds(found.value)


@pytest.mark.parametrize("write", ["hset", "rpush", "sadd"])
async def test_a_key_of_another_type_is_refused_and_left_alone(
    cache: TokenCache, redis_client: redis.asyncio.Redis, write: str
) -> None:
    await redis_client.execute_command(write, KEY, *([SECRET] * (2 if write == "hset" else 1)))
    with pytest.raises(KeyspaceError, match=rf"^{KEY}: not a string$"):
        await cache.get(USER)
    assert await redis_client.exists(KEY) == 1


async def test_of_a_value_that_is_too_large_only_the_limit_is_read(app: App, redis_client: redis.asyncio.Redis) -> None:
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
async def test_what_could_not_be_read_again_is_not_written(
    cache: TokenCache, redis_client: redis.asyncio.Redis, fields: dict[str, Any], reason: str
) -> None:
    await redis_client.set(KEY, FROM_THE_DASHBOARD)
    with pytest.raises(KeyspaceError) as found:
        await cache.set(USER, Tokens(fields))
    assert str(found.value) == f"{KEY}: {reason}"
    assert "SECRET" not in "".join(traceback.format_exception(found.value))
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
    with pytest.raises(KeyspaceError) as found:
        await cache.get(user_id)
    assert len(str(found.value).splitlines()) == 1
    assert len(str(found.value)) < 250
    assert await cache.delete(user_id) is True
    assert await cache.get(USER) == Tokens({"accessToken": "another's"})


@pytest.mark.parametrize("user_id", ["", b"", "\ud800"], ids=ascii)
async def test_a_user_id_that_makes_no_key_is_refused_before_redis_is_asked(
    cache: TokenCache, redis_client: redis.asyncio.Redis, user_id: str | bytes
) -> None:
    for call in (lambda: cache.get(user_id), lambda: cache.set(user_id, Tokens(FIELDS)), lambda: cache.delete(user_id)):
        with pytest.raises(ValueError, match=r"user-tokens|surrogates") as found:
            await call()
        assert "SECRET" not in str(found.value)
    assert await redis_client.dbsize() == 0


async def test_an_error_names_the_pseudonym_where_users_are_not_named(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    quiet = msgspec.structs.replace(app.settings, audit_pseudonymise_users=True)
    await redis_client.set("fabric:user:ada@example.com:tokens", SECRET)
    with pytest.raises(KeyspaceError) as found:
        await TokenCache(App(quiet, app.redis)).get("ada@example.com")
    pseudonym = keyring(quiet.audit_key).pseudonym("ada@example.com")
    assert str(found.value) == f"fabric:user:{pseudonym}:tokens: not JSON"


async def test_a_server_that_knows_no_set_is_not_quoted(app: App, port_without_set: int) -> None:
    """Redis answers an unknown command with its arguments."""
    async with redis.asyncio.Redis(port=port_without_set) as client:
        with pytest.raises(ResponseError, match=r"unknown command 'SET'$") as found:
            await TokenCache(App(app.settings, client)).set("u", Tokens(FIELDS))
    assert "SECRET" not in "".join(traceback.format_exception(found.value))


async def test_what_redis_refuses_passes_through_without_the_value(
    cache: TokenCache, redis_client: redis.asyncio.Redis
) -> None:
    await redis_client.config_set("maxmemory", 1)
    try:
        with pytest.raises(OutOfMemoryError) as found:
            await cache.set(USER, Tokens(FIELDS))
    finally:
        await redis_client.config_set("maxmemory", 0)
    assert "maxmemory" in str(found.value)
    assert "SECRET" not in "".join(traceback.format_exception(found.value))


async def test_an_outage_passes_through_without_the_value(app: App) -> None:
    nowhere = redis.asyncio.Redis(port=1, retry=None)
    cache = TokenCache(App(app.settings, nowhere))
    with pytest.raises(RedisError) as found:
        await cache.set(USER, Tokens(FIELDS))
    assert "SECRET" not in "".join(traceback.format_exception(found.value))
    await nowhere.aclose()


def test_tokens_show_the_names_of_their_fields_only(caplog: pytest.LogCaptureFixture) -> None:
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
    many = repr(Tokens({f"a{'b' * count}": count for count in range(1000)}))
    assert len(many) <= 200


def test_a_failed_comparison_shows_no_token() -> None:
    with pytest.raises(AssertionError) as found:
        assert Tokens(FIELDS) == Tokens({**FIELDS, "accessToken": f"{SECRET}-3"})
    assert "account=***" in str(found.value)
    assert "SECRET" not in str(found.value)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_tokens_are_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match=r"^tokens are not pickled$"):
        pickle.dumps(Tokens(FIELDS), protocol)


@pytest.mark.parametrize(
    "serialise", [json.dumps, msgspec.json.encode, copy.deepcopy, vars], ids=lambda one: one.__name__
)
def test_tokens_are_not_serialised_by_accident(serialise: Any) -> None:
    with pytest.raises(TypeError) as found:
        serialise(Tokens(FIELDS))
    assert "SECRET" not in str(found.value)


def test_a_field_that_is_not_there_is_named_without_the_others() -> None:
    with pytest.raises(KeyError) as found:
        Tokens(FIELDS)["idToken"]
    assert str(found.value) == "'idToken'"
    with pytest.raises(AttributeError, match="idToken") as missing:
        _ = Tokens(FIELDS).idToken
    assert "SECRET" not in "".join(traceback.format_exception(missing.value))


def test_tokens_do_not_change() -> None:
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
