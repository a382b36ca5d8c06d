"""The census of the keyspace: counts, sizes with their sampling error, TTLs, idle times."""

import dataclasses
import random
import time

import pytest
import redis.asyncio
from hypothesis import given
from hypothesis import strategies as st

from shared import namespaces
from shared.app import App
from shared.errors import KeyspaceError
from shared.operations import census
from shared.operations.census import Pace
from shared.operations.key_selection import UNKNOWN_KIND, Namespace, Selection, kind_of, namespace_of

IDLE_S = 5000


async def idle(client: redis.asyncio.Redis, key: bytes, value: bytes) -> None:
    """Write a key whose idle time is IDLE_S."""
    await client.set("template", value)
    dumped = await client.dump("template")
    await client.execute_command("RESTORE", key, 0, dumped, "REPLACE", "IDLETIME", IDLE_S)
    await client.delete("template")


async def test_keys_are_counted_by_namespace_and_kind(app: App) -> None:
    written = [kind.example.encode() for kind in namespaces.TABLE]
    foreign = [b"user:1:tokens", b"fabric:data:chart::id", b"nextauth", b"", b"\xff\xfe:\n", b"nextauth:sessions:x"]
    for key in [*written, *foreign]:
        await app.redis.set(key, "value")
    report = await census.take(app)
    counted = {(entry.namespace, entry.kind): entry.keys for entry in report.kinds}
    assert counted == {(Namespace(kind.namespace), kind.name): 1 for kind in namespaces.TABLE} | {
        (Namespace.NEXTAUTH, UNKNOWN_KIND): 1,
        (Namespace.FABRIC, UNKNOWN_KIND): 1,
        (Namespace.UNKNOWN, UNKNOWN_KIND): 4,
    }
    assert report.keys == len(written) + len(foreign)


async def test_sizes_of_few_keys_are_exact(app: App) -> None:
    for number in range(300):
        await app.redis.set(f"fastapi:temp:data:{number}", b"x" * number * 7)
    (batches,) = (await census.take(app)).kinds
    exact = sum([await app.redis.memory_usage(f"fastapi:temp:data:{number}") or 0 for number in range(300)])
    assert (batches.bytes, batches.bytes_error, batches.sampled) == (exact, 0, 300)


async def test_the_estimate_of_many_sizes_is_within_its_stated_error(app: App) -> None:
    rng = random.Random(5)
    pipeline = app.redis.pipeline(transaction=False)
    for number in range(6000):
        pipeline.set(f"fastapi:temp:data:{number}", b"x" * int(rng.lognormvariate(6, 0.8)))
        pipeline.memory_usage(f"fastapi:temp:data:{number}")
    exact = sum((await pipeline.execute())[1::2])
    (batches,) = (await census.take(app)).kinds
    assert batches.sampled == census.SAMPLE
    assert batches.bytes is not None
    assert batches.bytes_error is not None
    assert 0 < batches.bytes_error < 0.15 * exact
    # 2.5 times the 95 % interval: exceeded by chance once in a million runs.
    assert abs(batches.bytes - exact) < 2.5 * batches.bytes_error


async def test_the_variances_of_independent_samples_are_added(app: App) -> None:
    await app.redis.set("fastapi:temp:data:1", "x")
    (batches,) = (await census.take(app)).kinds
    entries = [
        dataclasses.replace(batches, bytes=100, bytes_error=3),
        dataclasses.replace(batches, bytes=50, bytes_error=4),
    ]
    assert census.total_bytes(entries) == (150, 5)
    assert census.total_bytes([*entries, dataclasses.replace(batches, bytes=None, bytes_error=None)]) == (None, None)


async def test_ttls_and_the_number_of_keys_without_a_ttl_are_reported(app: App) -> None:
    for ttl_s in (100, 200, 3000):
        await app.redis.set(f"fastapi:temp:data:{ttl_s}", "x", ex=ttl_s)
    await app.redis.set("fastapi:temp:data:endless", "x")
    (batches,) = (await census.take(app)).kinds
    assert (batches.keys, batches.without_ttl) == (4, 1)
    ttls = (batches.ttl_min_s, batches.ttl_median_s, batches.ttl_max_s)
    assert ttls == (pytest.approx(100, abs=5), pytest.approx(200, abs=5), pytest.approx(3000, abs=5))


async def test_the_longest_idle_time_is_reported_and_a_census_does_not_reset_it(app: App) -> None:
    await idle(app.redis, b"fastapi:temp:data:old", b"x")
    await app.redis.set("fastapi:temp:data:new", "x")
    for _ in range(2):
        (batches,) = (await census.take(app)).kinds
        assert batches.longest_idle_s is not None
        assert IDLE_S <= batches.longest_idle_s < IDLE_S + 60


async def test_a_missing_key_is_not_counted(app: App) -> None:
    await app.redis.set("fastapi:temp:data:1", "x")
    looks = await census.look(app, [b"fastapi:temp:data:1", b"fastapi:temp:data:2"], sizes=True)
    assert [look.key for look in looks] == [b"fastapi:temp:data:1"]


async def test_progress_reaches_the_number_of_keys(app: App) -> None:
    for number in range(700):
        await app.redis.set(f"key:{number}", "x")
    reported: list[int] = []
    await census.take(app, progress=reported.append)
    assert reported == sorted(reported)
    assert reported[-1] >= 700


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        *(Selection(namespace) for namespace in Namespace),
        *(Selection(kinds=frozenset({kind.name})) for kind in namespaces.TABLE),
        Selection(Namespace.FABRIC, frozenset({"chart-data", UNKNOWN_KIND})),
        Selection(match=b"*chart*"),
    ],
    ids=lambda selection: f"{selection.namespace} {sorted(selection.kinds)} {selection.match}",
)
async def test_a_selection_finds_exactly_its_keys(app: App, selection: Selection) -> None:
    keys = {kind.example.encode() for kind in namespaces.TABLE} | {b"fabric:data:chart::id", b"other", b"a:b"}
    for key in keys:
        await app.redis.set(key, "x")
    selected = {key async for page in census.pages(app, selection) for key in page}
    matching = {key for key in keys if selection.match is None or b"chart" in key}
    assert selected == {key for key in matching if selection.has(key)}
    assert selected or selection.kinds == {"unknown"}


def test_an_unknown_kind_is_refused_with_a_list_of_the_kinds() -> None:
    with pytest.raises(KeyspaceError, match=r"no such kind; expected one of: user, .*, unknown"):
        Selection(kinds=frozenset({"sessions"}))
    with pytest.raises(
        KeyspaceError, match="no such kind in fastapi; expected one of: batch, processing, result, model"
    ):
        Selection(Namespace.FASTAPI, frozenset({"session"}))


@given(st.binary(max_size=40))
def test_the_kind_of_a_key_belongs_to_the_namespace_of_the_key(key: bytes) -> None:
    kind = kind_of(key)
    assert kind is None or namespace_of(key) == kind.namespace


async def test_a_pace_limits_the_keys_per_second() -> None:
    pace = Pace(1000)
    started_s = time.monotonic()
    for _ in range(5):
        await pace.took(20)
    assert 0.09 < time.monotonic() - started_s < 5
