"""The model in Redis: bounded where it is stored, and robust against whatever another application writes there."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import redis.asyncio

from shared import telemetry
from shared.app import App, open_app
from shared.batches import baseline, claims
from shared.batches import reactor as batches
from shared.batches.baseline import FOLD_FROM, GENERATION_S, MAX_METRICS, Baseline, decode_model
from shared.batches.baseline_copy import baseline_copy
from shared.batches.sketch import sketch
from shared.reactor import Result
from shared.settings import Settings
from tests.support.causes import cause

pytestmark = pytest.mark.redis_server

MODEL = claims.model_key()


@pytest.fixture
async def current(app_settings: Settings, redis_client: redis.asyncio.Redis) -> AsyncIterator[App]:
    """An app that reads the model for every claim."""
    instance = open_app(msgspec.structs.replace(app_settings, baseline_max_age_s=0))
    yield instance
    await instance.redis.aclose()


def rows(metrics: dict[str, float]) -> str:
    return json.dumps([{"metric": metric, "ts": 1, "value": value} for metric, value in metrics.items()])


async def react(app: App, *contents: str) -> list[Result]:
    """Write batches, react to them as one group, and remove them."""
    keys = [f"fastapi:temp:data:{number}".encode() for number in range(len(contents))]
    await app.redis.delete(*(key.replace(b"temp:data", b"results:analysis") for key in keys))
    await app.redis.mset(dict(zip(keys, contents, strict=True)))
    return [outcome.result for outcome in await batches.react(app, keys, cause("set"))]


async def stored(app: App) -> Baseline:
    fields: list[Any] = [part for pair in (await app.redis.hgetall(MODEL)).items() for part in pair]
    return decode_model(fields, (await app.redis.time())[0])


async def generation(app: App) -> int:
    return int((await app.redis.time())[0]) // GENERATION_S


@pytest.mark.parametrize(
    "numbers",
    [[2**31], [2**34], [52, 2047, 1], [28, 1, 2**63 - 1], [63, 0, 2**39]],
    ids=["4 bytes", "2.4 GB", "infinite", "sums", "the last bucket"],
)
async def test_a_model_field_of_another_application_stops_no_batch_and_is_dropped_and_counted(
    current: App, numbers: list[int]
) -> None:
    dropped = telemetry.counts["batches", "model_dropped"]
    field = f"{await generation(current)}:temp"
    await current.redis.hset(MODEL, field, msgspec.msgpack.encode(numbers))
    for _ in range(3):
        assert await react(current, rows({"temp": 21.5, "ph": 7.0})) == [Result.PROCESSED]
    model = await stored(current)
    if numbers[0] != 63:
        assert model.sketches["temp"].samples == 3
        assert telemetry.counts["batches", "model_dropped"] == dropped + 2, "at each read until the fold removes it"
    assert model.dropped == 0
    assert model.sketches["ph"].samples == 3


@pytest.mark.parametrize("version", ["9" * 400, str(2**63 - 1), "-4", "1.5", "99999999999999"])
async def test_a_version_of_another_application_does_not_merge_two_commits_into_one(app: App, version: str) -> None:
    await app.redis.hset(MODEL, mapping={"version": version, "unfolded": version})
    for _ in range(3):
        assert await react(app, rows({"temp": 21.5})) == [Result.PROCESSED]
    model = await stored(app)
    assert model.version == 3
    assert model.sketches["temp"].samples == 3


@pytest.mark.any_server
async def test_a_flood_of_new_metrics_leaves_a_bounded_model_in_which_established_metrics_stay(
    current: App, measured: Any
) -> None:
    """384 batches of 256 names each, by two workers: 98,304 names."""
    full = telemetry.counts["batches", "model_full"]
    workers = [current, App(current.settings, current.redis)]
    for value in range(40):
        await react(current, *[rows({"old": 20 + value / 40})] * 4)
    most_fields = most_bytes = 0
    for number in range(0, 384, 8):
        contents = [
            rows({f"new-{batch}-{name}": 1.0 for name in range(255)} | {"old": 20.5})
            for batch in range(number, number + 8)
        ]
        halves = await write(current, contents)
        working = [batches.react(worker, keys, cause("set")) for worker, keys in zip(workers, halves, strict=True)]
        for outcomes in await asyncio.gather(*working):
            assert {outcome.result for outcome in outcomes} == {Result.PROCESSED}
        most_fields = max(most_fields, await current.redis.hlen(MODEL))
        most_bytes = max(most_bytes, await current.redis.memory_usage(MODEL, samples=0))
    measured("fields of the model in a flood of new metrics, at most", most_fields, "")
    measured("bytes of the model in a flood of new metrics, at most", most_bytes, "")
    assert MAX_METRICS < most_fields <= 2 * MAX_METRICS + 2 + FOLD_FROM
    assert most_bytes < baseline.MODEL_MAX_BYTES
    model = await stored(current)
    assert model.sketches["old"].samples == 40 * 4 + 384
    assert len(model.sketches) == MAX_METRICS
    assert telemetry.counts["batches", "model_full"] > full + 90_000
    assert await react(current, rows({"old": 1e6})) == [Result.PROCESSED]
    result = json.loads(await current.redis.get("fastapi:results:analysis:0"))
    assert [anomaly["metric"] for anomaly in result["anomalies"]] == ["old"]


async def write(app: App, contents: list[str]) -> list[list[bytes]]:
    """Write batches under new keys; returns the keys in two halves."""
    first = await app.redis.incrby("test:number", len(contents))
    keys = [f"fastapi:temp:data:flood-{first + index}".encode() for index in range(len(contents))]
    await app.redis.mset(dict(zip(keys, contents, strict=True)))
    return [keys[::2], keys[1::2]]


async def test_deltas_that_nobody_folds_are_bounded(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baseline, "UNFOLDED_MAX_BYTES", 400)
    full = telemetry.counts["batches", "model_full"]
    copy = baseline_copy(app)
    for number in range(40):
        copy.replace(Baseline())  # this worker never learns of a fold
        assert await react(app, rows({"temp": float(number)})) == [Result.PROCESSED]
    fields: dict[bytes, bytes] = await app.redis.hgetall(MODEL)
    deltas = [value for name, value in fields.items() if name.startswith(b"+")]
    assert sum(map(len, deltas)) == int(fields[b"unfolded"]) <= 400
    assert telemetry.counts["batches", "model_full"] - full == 40 - len(deltas)
    assert int(fields[b"version"]) == 40


async def test_a_fold_frees_the_room_of_its_deltas(current: App) -> None:
    for number in range(FOLD_FROM + 2):
        await react(current, rows({"temp": float(number)}))
    fields: dict[bytes, bytes] = await current.redis.hgetall(MODEL)
    deltas = [value for name, value in fields.items() if name.startswith(b"+")]
    assert len(deltas) < FOLD_FROM
    assert int(fields[b"unfolded"]) == sum(map(len, deltas))
    assert (await stored(current)).sketches["temp"].samples == FOLD_FROM + 2


async def test_deltas_without_a_count_and_a_count_without_deltas_are_put_right(current: App) -> None:
    """As an earlier version of the app, or a lost field, leaves them."""
    delta = baseline.encode_delta({"temp": [1.0]})
    now = await generation(current)
    await current.redis.hset(MODEL, mapping={f"+{now}:{number}": delta for number in range(FOLD_FROM)})
    for _ in range(3):
        await react(current, rows({"temp": 2.0}))
    fields: dict[bytes, bytes] = await current.redis.hgetall(MODEL)
    assert int(fields[b"unfolded"]) == sum(len(value) for name, value in fields.items() if name.startswith(b"+"))
    await current.redis.delete(MODEL)
    await current.redis.hset(MODEL, "unfolded", baseline.UNFOLDED_MAX_BYTES)
    for _ in range(3):
        await react(current, rows({"temp": 2.0}))
    assert (await stored(current)).sketches["temp"].samples >= 2


async def test_a_model_beyond_its_bounds_is_never_loaded_and_loses_only_what_is_too_large(
    current: App, redis_client: redis.asyncio.Redis
) -> None:
    await react(current, *[rows({"temp": float(number)}) for number in range(40)])
    await redis_client.hset(MODEL, "weights", b"w" * (40 << 20))
    before = (await redis_client.info("commandstats"))["cmdstat_hgetall"]
    assert await react(current, rows({"temp": 21.5})) == [Result.PROCESSED]
    assert await redis_client.hexists(MODEL, "weights") == 0
    assert (await stored(current)).sketches["temp"].samples == 41
    await redis_client.delete(MODEL)
    for start in range(0, 3 * baseline.MAX_FIELDS, 1000):
        await redis_client.hset(MODEL, mapping={f"f{start + number}": "x" for number in range(1000)})
    assert await react(current, rows({"temp": 21.5})) == [Result.PROCESSED]
    assert await redis_client.hlen(MODEL) <= 3
    after = (await redis_client.info("commandstats"))["cmdstat_hgetall"]
    assert after["usec"] - before["usec"] < 50_000


async def test_folds_of_a_model_keep_every_value(current: App) -> None:
    values = [float(number) for number in range(3 * FOLD_FROM)]
    for value in values:
        await react(current, rows({"temp": value}))
    assert (await stored(current)).sketches["temp"] == sketch(values)
