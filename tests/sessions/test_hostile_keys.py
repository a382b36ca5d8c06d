"""Values of other applications at the app's own keys: nothing is recorded twice, and nothing is blocked."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from shared.app import App
from shared.audit import state
from shared.delivery.due import react_to_due
from shared.delivery.reconcile import reconcile
from shared.reactor import Result
from shared.registry import SESSIONS
from shared.sessions.reactor import react
from shared.settings import Settings
from tests.support.causes import cause
from tests.support.looks import (
    DUE,
    KEY,
    ONE,
    STATE,
    STREAM,
    TOKEN,
    data,
    event,
    lives,
    mark_key,
    nextauth,
    numbers,
    phantom_key,
    records,
    sealed,
    tokens_key,
    types,
    user_key,
    with_settings,
    write,
)

pytestmark = pytest.mark.redis_server

OTHER_TYPES: dict[str, Sequence[Any]] = {
    "string": ["SET", "{key}", "x"],
    "empty string": ["SET", "{key}", ""],
    "list": ["RPUSH", "{key}", "x"],
    "set": ["SADD", "{key}", "x"],
    "hash": ["HSET", "{key}", "x", "y"],
    "sorted set": ["ZADD", "{key}", 1, "x"],
    "stream": ["XADD", "{key}", "*", "x", "y"],
}


@pytest.fixture
def app_settings(app_settings: Settings) -> Settings:
    return msgspec.structs.replace(app_settings, audit_refresh_min_s=0, session_lost_after_s=0)


async def put(app: App, command: Sequence[Any], key: bytes) -> None:
    await app.redis.delete(key)
    await app.redis.execute_command(*(key if part == "{key}" else part for part in command))


@pytest.mark.parametrize("command", OTHER_TYPES.values(), ids=OTHER_TYPES.keys())
@pytest.mark.parametrize("name", ["phantom", "due", "user", "mark", "state", "stream"])
async def test_a_life_is_recorded_whatever_value_is_at_a_key_of_the_app(
    app: App, name: str, command: Sequence[Any]
) -> None:
    key = {
        "phantom": phantom_key(app),
        "due": DUE,
        "user": user_key(),
        "mark": mark_key(app),
        "state": STATE,
        "stream": STREAM,
    }[name]
    await put(app, command, key)
    watching = with_settings(app, max_sessions_per_user=5, revoke_tokens_on_last_logout=True)
    await app.redis.set(tokens_key(), "tokens")
    assert (await write(watching, nextauth())).result is Result.PROCESSED
    assert (await event(watching, "set")).result is Result.DUPLICATE
    await write(watching, nextauth(expires=ONE))
    await app.redis.delete(KEY)
    assert (await event(watching, "del")).result is Result.PROCESSED
    assert (await event(watching, "sweep")).result is Result.DUPLICATE
    recorded = [record async for record in own_records(app)]
    assert recorded == ["created", "refreshed", "ended", "fabric.tokens.revoked"]


async def own_records(app: App) -> Any:
    """Types of the records, without entries of other applications."""
    for _, fields in await app.redis.xrange(STREAM):
        if b"event" in fields:
            yield msgspec.json.decode(fields[b"event"])["type"].removeprefix("nextauth.session.")


@pytest.mark.parametrize("command", OTHER_TYPES.values(), ids=OTHER_TYPES.keys())
@pytest.mark.parametrize("name", ["due", "user", "state"])
async def test_a_value_that_replaces_a_key_of_the_app_causes_no_duplicate_record(
    app: App, name: str, command: Sequence[Any]
) -> None:
    await write(app, nextauth())
    await put(app, command, {"due": DUE, "user": user_key(), "state": STATE}[name])
    for operation in ("set", "sweep", "schedule"):
        assert (await event(app, operation)).result is Result.DUPLICATE
    assert await react_to_due(app, SESSIONS, budget_s=5) in {0, 1}  # 1: the member of the other application
    await app.redis.delete(KEY)
    await event(app, "del")
    assert await types(app) == ["created", "ended"]
    assert await numbers(app) == [1, 2]


@pytest.mark.parametrize("command", OTHER_TYPES.values(), ids=OTHER_TYPES.keys())
async def test_due_times_are_restored_after_another_value_replaced_them(app: App, command: Sequence[Any]) -> None:
    await write(app, nextauth())
    await put(app, command, DUE)
    await reconcile(app, (SESSIONS,), budget_s=10)
    assert await app.redis.zscore(DUE, sealed(app)) is not None


PHANTOMS: dict[str, dict[str, str]] = {
    "one field": {"life": "1"},
    "only an end": {"ended_ms": "1"},
    "a new release's": {"version": "2", "life": "1", "sequence": "1"},
    "no user": {"user_id": ""},
}


@pytest.mark.parametrize("fields", PHANTOMS.values(), ids=PHANTOMS.keys())
async def test_a_hash_that_is_not_a_phantom_counts_as_none(app: App, fields: dict[str, str]) -> None:
    await app.redis.hset(phantom_key(app), mapping=fields)
    await app.redis.set(KEY, nextauth())
    for operation in ("sweep", "schedule", "set"):
        await event(app, operation)
    assert await lives(app) == [["created"]]


@pytest.mark.parametrize("value", ["", "x", "nan", "inf", "-1", "1e400", "0x10", "9" * 40, b"\xff"])
@pytest.mark.parametrize("field", ["first_seen_ms", "sequence", "recorded_ms", "touches", "expires_ms", "prior_end_ms"])
async def test_a_damaged_number_in_a_phantom_blocks_nothing(app: App, field: str, value: str | bytes) -> None:
    await write(app, nextauth())
    await app.redis.hset(phantom_key(app), field, value)
    for operation in ("sweep", "schedule", "set"):
        assert (await event(app, operation)).result in {Result.DUPLICATE, Result.PROCESSED}
    await app.redis.delete(KEY)
    assert (await event(app, "del")).result is Result.PROCESSED
    recorded = await types(app)
    assert (recorded[0], recorded[-1], recorded.count("ended")) == ("created", "ended", 1)


FORGED: dict[str, dict[str, str | bytes]] = {
    "fingerprint": {"fingerprint": 'f","type":"forged'},
    "key id": {"key_id": '","data":{'},
    "life": {"life": "1.2"},
    "a long fingerprint": {"fingerprint": "a" * 100_000},
    "user, not UTF-8": {"user_id": b"\xff"},
    "a long user": {"user_id": "u" * 100_000},
}


@pytest.mark.parametrize("fields", FORGED.values(), ids=FORGED.keys())
async def test_forged_fields_of_a_phantom_are_in_no_record(app: App, fields: dict[str, Any]) -> None:
    await write(app, nextauth("user-1"))
    await app.redis.hset(phantom_key(app), mapping=fields)
    await write(app, nextauth("user-2"))
    await app.redis.delete(KEY)
    await event(app, "del")
    assert await lives(app) == [["created"], ["created", "ended"]]
    assert {record["subject"] for record in await records(app)} == {app.keyrings[0].fingerprint(TOKEN.encode())}


async def test_a_forged_missing_by_is_recorded_as_a_sweep(app: App) -> None:
    await write(app, nextauth())
    await app.redis.hset(phantom_key(app), mapping={"missing_ms": 1, "missing_by": '","userId":"forged'})
    await app.redis.delete(KEY)
    await event(app, "sweep")
    assert (await data(app))["detectedBy"] == "sweep"


@pytest.mark.parametrize("value", ["", "x", "nan", "inf", "-1", "9" * 40])
async def test_the_running_number_continues_from_the_stream_if_the_state_is_damaged(app: App, value: str) -> None:
    await write(app, nextauth())
    await app.redis.hset(STATE, "appended", value)
    await write(app, nextauth("user-2"))
    await app.redis.delete(STATE)
    await app.redis.delete(KEY)
    await event(app, "del")
    assert await numbers(app) == [1, 2, 3]
    assert await app.redis.hget(STATE, "appended") == b"3"


async def test_an_entry_of_another_application_does_not_change_the_running_number(app: App) -> None:
    await app.redis.xadd(STREAM, {"x": "n", "n": "many"})
    await write(app, nextauth())
    assert (await app.redis.xrevrange(STREAM, count=1))[0][1][b"n"] == b"1"


ASIDE = "functions:audit:aside"
GREATEST = f"{2**64 - 1}-{2**64 - 1}"


@pytest.mark.parametrize("remains", [True, False], ids=["the entry remains", "the entry was deleted"])
async def test_a_stream_that_accepts_no_entries_is_rebuilt_and_no_record_is_lost(app: App, remains: bool) -> None:
    """Somebody added an entry with the greatest possible id."""
    others = [KEY + b"-%d" % number for number in range(700)]
    await app.redis.mset(dict.fromkeys(others, nextauth()))
    await react(app, others, cause("set"))
    await app.redis.xadd(STREAM, {"x": "y"})
    before = await app.redis.xrange(STREAM)
    await app.redis.xadd(STREAM, {"x": "y" * 1000}, id=f"{2**64 - 1}-1")
    await app.redis.xadd(STREAM, {"x": "y" * 1000}, id=GREATEST)
    if not remains:
        await app.redis.xdel(STREAM, GREATEST)
    outcome = await write(app, nextauth("user-2"))
    assert (outcome.result, outcome.detail) == (Result.PROCESSED, "nextauth.session.created")
    entries = await app.redis.xrange(STREAM)
    assert entries[:-2] == before, "entries keep their ids"
    repaired, created = [msgspec.json.decode(fields[b"event"]) for _, fields in entries[-2:]]
    assert (repaired["type"], repaired["data"]) == ("functions.stream.repaired", {"dropped": 2})
    assert created["data"]["userId"] == "user-2"
    assert [int(fields[b"n"]) for _, fields in entries[-2:]] == [701, 702]
    assert await app.redis.exists("functions:audit:copy") == 0
    assert (await event(app, "set")).result is Result.DUPLICATE


async def test_records_with_ids_of_a_far_future_are_moved_when_the_stream_is_rebuilt(app: App) -> None:
    """The records after a foreign entry of the far future have ids beyond it."""
    await app.redis.xadd(STREAM, {"x": "y"}, id=f"{2**64 - 1}-{2**64 - 3}")
    await write(app, nextauth())  # gets the last id but one
    await app.redis.xadd(STREAM, {"x": "y"}, id=GREATEST)
    await write(app, nextauth("user-2"))
    assert [record["type"].rpartition(".")[2] for record in await records(app)] == ["created", "repaired", "changed"]
    assert await numbers(app) == [1, 2, 3]


async def test_several_instances_repair_a_stream_at_once(app: App) -> None:
    keys = [KEY + b"-%d" % number for number in range(40)]
    await app.redis.xadd(STREAM, {"x": "y"}, id=GREATEST)
    await app.redis.mset(dict.fromkeys(keys, nextauth()))
    await asyncio.gather(*(react(app, keys[start:], cause("set")) for start in range(0, 40, 10)))
    assert Counter(await types(app)) == {"created": 40, "functions.stream.repaired": 1}
    assert await numbers(app) == list(range(1, 42))


async def longest_call_ms(app: App) -> float:
    """The longest command in the slow log, 0 if there is none."""
    slowest = await app.redis.slowlog_get(128)
    return max((entry["duration"] / 1000 for entry in slowest), default=0.0)


@pytest.mark.parametrize(
    "name", ["a field of the phantom", "a due time", "the state", "an entry of the stream", "the mark"]
)
async def test_large_values_at_keys_of_the_app_do_not_hold_up_redis(
    app: App, name: str, measured: Callable[[str, float, str], None]
) -> None:
    """64 MB, which Redis would need 60 to 300 ms to load into a script."""
    await write(app, nextauth())
    large = b"x" * 64_000_000
    match name:
        case "a field of the phantom":
            await app.redis.hset(phantom_key(app), "pending", large)
        case "a due time":
            await app.redis.zadd(DUE, {large: 1})
        case "the state":
            await app.redis.hset(STATE, mapping={"appended": large, "x": large})
        case "an entry of the stream":
            await app.redis.xadd(STREAM, {"event": large})
        case "the mark":
            await app.redis.set(mark_key(app), large)
    await app.redis.config_set("slowlog-log-slower-than", 1000)
    await app.redis.slowlog_reset()
    for operation in ("set", "sweep", "schedule"):
        await event(app, operation)
    await react_to_due(app, SESSIONS, budget_s=5)
    await reconcile(app, (SESSIONS,), budget_s=10)
    await state.state(app)
    await state.read(app, "0-0")
    await app.redis.delete(KEY)
    await event(app, "del")
    longest_ms = await longest_call_ms(app)
    measured(f"longest call beside {name} of 64 MB", longest_ms, "ms")
    assert longest_ms < 50
    await app.redis.config_set("slowlog-log-slower-than", 10_000)
    again = name == "a field of the phantom"  # that phantom counts as none, and the stream is put aside as it is
    aside = name == "an entry of the stream"
    assert await types(app) == ["created"] * (not aside) + ["created"] * again + ["ended"]
    assert await app.redis.exists("functions:audit:aside") == aside
    assert await app.redis.zcard(DUE) == 0


FILL = "for n = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'event', ARGV[2], 'n', n) end"


@pytest.mark.parametrize("ahead", [500, 100_000], ids=["in the next page", "further on"])
async def test_a_large_entry_among_100_000_records_is_not_loaded(app: App, ahead: int) -> None:
    """64 MB; the export finds it when it comes near."""
    count, text = 100_000, "x" * 600
    await app.redis.eval(FILL, 1, STREAM, ahead, text)
    large = await app.redis.xadd(STREAM, {"event": b"x" * 64_000_000})
    await app.redis.eval(FILL, 1, STREAM, count - ahead, text)
    await app.redis.config_set("slowlog-log-slower-than", 1000)
    await app.redis.slowlog_reset()
    page = await state.read(app, "0-0")
    assert (len(page.entries) == 0) == (ahead == 500)
    longest_ms = await longest_call_ms(app)
    await app.redis.xtrim(STREAM, maxlen=500, approximate=False)  # as exported records go
    await app.redis.slowlog_reset()
    await state.read(app, "0-0")
    assert max(longest_ms, await longest_call_ms(app)) < 50
    await app.redis.config_set("slowlog-log-slower-than", 10_000)
    assert await app.redis.exists("functions:audit:aside")
    assert await app.redis.eval("return #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])", 1, ASIDE, large) == 1


async def test_no_records_of_this_app_are_taken_for_large_entries(app: App) -> None:
    """The largest, of user ids of 256 control characters, before and among 20,000 usual ones."""
    for count, size in ((5000, 4000), (20_000, 600), (5000, 4000)):
        await app.redis.eval(FILL, 1, STREAM, count, "x" * size)
    assert len((await state.read(app, "0-0")).entries) > 0
    assert not await app.redis.exists(ASIDE)


async def test_foreign_members_of_a_users_set_only_count_as_sessions(app: App) -> None:
    limited = with_settings(app, max_sessions_per_user=1)
    await app.redis.zadd(user_key(), {"x": "+inf", "y": "-inf", b"\xff": 5})
    await asyncio.gather(write(limited, nextauth()), event(limited, "set"))
    assert [record["type"].rpartition(".")[2] for record in await records(app)] == ["created", "excess"]
    assert (await data(app))["sessions"] == 2
