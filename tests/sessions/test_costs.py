"""The cost of a session's event: one round trip, two if anything is recorded, and little time of Redis."""

import statistics
import time
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
import redis.asyncio

from shared.app import App
from shared.reactor import Result
from shared.sessions.reactor import react, take_due
from shared.settings import Settings
from tests.support.causes import cause
from tests.support.faulty import Fault, Moment, faulty_context
from tests.support.looks import DUE, KEY, NOON, ONE, event, nextauth, numbers, sealed, tokens_key, types

pytestmark = pytest.mark.redis_server

ALL_SETTINGS = {
    "audit_key": "another audit key of the tests",
    "delete_lapsed_sessions": True,
    "max_sessions_per_user": 1,
    "revoke_tokens_on_last_logout": True,
    "session_lost_after_s": 0,
    "audit_refresh_min_s": 0,
}


@pytest.fixture
def trips() -> Fault:
    """Injects no fault; `calls` counts the round trips of `chosen`."""
    return Fault(at=0, moment=Moment.BEFORE)


@pytest.fixture(params=[False, True], ids=["defaults", "all settings on"])
async def all_on(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
async def chosen(app: App, all_on: bool, app_settings: Settings, trips: Fault) -> AsyncIterator[App]:
    """A connected instance with these settings; the scripts are loaded."""
    changes = {**ALL_SETTINGS, "audit_key_previous": app_settings.audit_key} if all_on else {}
    context = faulty_context(msgspec.structs.replace(app_settings, **changes), trips)
    await event(context, "set", KEY + b"-loads-the-script")
    await take_due(context, 64)
    yield context
    await context.redis.aclose()


@pytest.mark.parametrize("count", [1, 64])
async def test_a_reaction_costs_one_round_trip_and_two_if_it_records_for_any_number_of_sessions(
    chosen: App, redis_client: redis.asyncio.Redis, trips: Fault, all_on: bool, count: int
) -> None:
    keys = [KEY + b"-%d" % number for number in range(count)]

    async def look(operation: str, expected: Result) -> int:
        before = trips.calls
        outcomes = await react(chosen, keys, cause(operation))
        assert [outcome.result for outcome in outcomes] == [expected] * count
        return trips.calls - before

    trips_of_looks = []
    for value in (nextauth(expires=NOON), nextauth("user-2", expires=ONE)):
        await redis_client.mset(dict.fromkeys(keys, value))
        trips_of_looks += [await look("set", Result.PROCESSED), await look("sweep", Result.DUPLICATE)]
    await redis_client.set(tokens_key("user-2"), "tokens")
    await redis_client.delete(*keys)
    trips_of_looks.append(await look("del", Result.PROCESSED))
    assert trips_of_looks == [2, 1, 2, 1, 2]
    recorded = await types(chosen)
    assert ("fabric.tokens.revoked" in recorded) == all_on
    assert await numbers(chosen) == list(range(1, len(recorded) + 1))


async def test_due_sessions_are_taken_in_one_round_trip(
    chosen: App, redis_client: redis.asyncio.Redis, trips: Fault
) -> None:
    await redis_client.zadd(DUE, {sealed(chosen, b"%d" % number): number for number in range(100)})
    before = trips.calls
    assert len(await take_due(chosen, 64)) == 64
    assert trips.calls - before == 1


async def test_the_cost_of_an_event_inside_redis_is_measured(
    chosen: App,
    redis_client: redis.asyncio.Redis,
    measured: Callable[[str, float, str], None],
    all_on: bool,
) -> None:
    keys = [KEY + b"-%d" % number for number in range(64)]

    async def cost(what: str, operation: str, value: str | None) -> None:
        await redis_client.config_resetstat()
        for start in range(0, len(keys), 16):
            group = keys[start : start + 16]
            if value is None and operation == "del":
                await redis_client.delete(*group)
            elif value is not None:
                await redis_client.mset(dict.fromkeys(group, value))
            await react(chosen, group, cause(operation))
        stats = (await redis_client.info("commandstats"))["cmdstat_evalsha"]
        assert stats["calls"] == len(keys) * (1 if what.startswith("nothing") else 2)
        measured(
            f"session in Redis, {what}, {'all settings on' if all_on else 'defaults'}", stats["usec"] / len(keys), "us"
        )

    await cost("created", "set", nextauth())
    await cost("nothing changed", "set", None)
    await cost("nothing changed, swept", "sweep", None)
    await cost("a touch", "set", nextauth(lastSeen=1))
    await cost("changed", "set", nextauth("user-2"))
    await cost("ended", "del", None)
    assert (await types(chosen)).count("ended") == len(keys)


@pytest.mark.any_server
@pytest.mark.timeout(120)
async def test_an_event_costs_a_few_times_a_bare_read_and_append(
    app: App, measured: Callable[[str, float, str], None]
) -> None:
    """Compared with GET of the session and XADD of a record of the same size, alternately on the same connection."""
    keys = [KEY + b"-%d" % number for number in range(300)]
    await event(app, "set", KEY)  # loads the script

    async def cost(what: str, operation: str, value: str | None) -> float:
        if operation == "del":
            await app.redis.delete(*keys)
        elif value:
            await app.redis.mset(dict.fromkeys(keys, value))
        reaction_s: list[float] = []
        bare_calls_s: list[float] = []
        for number, key in enumerate(keys):
            began_s = time.perf_counter()
            await react(app, [key], cause(operation))
            between_s = time.perf_counter()
            await app.redis.get(key)
            await app.redis.xadd("bare", {"event": "x" * 420, "n": number}, maxlen=1_000_000)
            reaction_s.append(between_s - began_s)
            bare_calls_s.append(time.perf_counter() - between_s)
        median_s = statistics.median(reaction_s)
        ratio = median_s / statistics.median(bare_calls_s)
        measured(f"session, {what}, median", median_s * 1e6, "us")
        measured(f"session, {what}, beside GET and XADD", ratio, "times")
        return ratio

    ratios = [
        await cost("created", "set", nextauth()),
        await cost("nothing changed", "set", None),
        await cost("a touch", "set", nextauth(lastSeen=1)),
        await cost("changed", "set", nextauth("user-2")),
        await cost("ended", "del", None),
    ]
    assert (await types(app)).count("ended") == len(keys)
    assert max(ratios) < 10, "usually 4"
