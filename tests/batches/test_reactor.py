"""The batches reactor on a real Redis: one result per content in any shape, and refusals of hostile input."""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
import redis.asyncio

from shared import namespaces
from shared.app import App, Call, open_app
from shared.batches import claims
from shared.batches import reactor as batches
from shared.batches.baseline import FOLD_FROM, decode_model
from shared.batches.claims import Claim
from shared.batches.sketch import sketch
from shared.delivery import dead_letters, failures
from shared.reactor import Outcome, Result
from shared.settings import Settings
from tests.support.causes import cause

pytestmark = pytest.mark.redis_server

KEY = b"fastapi:temp:data:b1"
RESULT = b"fastapi:results:analysis:b1"
MODEL = b"fastapi:cache:model:anomaly-detector"
RECORDS = [
    {"timestamp": f"2026-01-01T00:00:{second:02}Z", "data": {"co2": 1 + second / 100, "temp": 24.0}}
    for second in range(20)
]
BATCH = json.dumps({"batchId": "b1", "records": RECORDS})
LONG = [
    {"sensorId": "s", "metric": metric, "ts": row["timestamp"], "value": value}
    for row in RECORDS
    for metric, value in row["data"].items()
]


async def react(app: App, key: bytes = KEY) -> Outcome:
    (outcome,) = await batches.react(app, [key], cause("set"))
    return outcome


async def result(client: redis.asyncio.Redis, key: bytes = RESULT) -> dict[str, Any]:
    raw = await client.get(key)
    assert raw is not None, "no result"
    return json.loads(raw, parse_constant=lambda name: pytest.fail(f"{name} in a result"))


async def test_a_batch_is_analysed_into_a_result(app: App, redis_client: redis.asyncio.Redis) -> None:
    await redis_client.set(KEY, BATCH, ex=3600)
    assert (await react(app)).result is Result.PROCESSED
    document = await result(redis_client)
    assert document["analysisId"] == document["batchId"] == "b1"
    assert len(document["inputDigest"]) == 40
    assert document["processedAt"].endswith("Z")
    assert document["readings"] == 40
    assert document["rejected"] == {"count": 0, "reasons": {}}
    assert set(document["metrics"]) == {"co2", "temp"}
    assert set(document["metrics"]["co2"]) == {"count", "mean", "std", "min", "max", "p50", "p95", "p99"}
    assert document["metrics"]["co2"]["mean"] == pytest.approx(1.095)
    assert document["model"] == {"name": "anomaly-detector", "version": 0, "samples": 0}
    assert document["anomalies"] == []
    assert 86_390 < await redis_client.ttl(RESULT) <= 86_400


async def write_string(client: redis.asyncio.Redis) -> None:
    await client.set(KEY, json.dumps({"readings": LONG}))


async def write_bare_list(client: redis.asyncio.Redis) -> None:
    await client.set(KEY, json.dumps(RECORDS))


async def write_hash(client: redis.asyncio.Redis) -> None:
    await client.hset(KEY, mapping={"batchId": "b1", "records": json.dumps(RECORDS)})


async def write_big_hash(client: redis.asyncio.Redis) -> None:
    await client.hset(KEY, mapping={f"r{number}": json.dumps(row) for number, row in enumerate(LONG)})
    await client.config_set("hash-max-ziplist-entries", 4)
    await client.hset(
        KEY, "r0", json.dumps(LONG[0])
    )  # converts it to a hash table, which HSCAN returns in several pages
    await client.config_set("hash-max-ziplist-entries", 128)


async def write_list(client: redis.asyncio.Redis) -> None:
    await client.rpush(KEY, *(json.dumps(row) for row in RECORDS))


async def write_renamed(client: redis.asyncio.Redis) -> None:
    await client.set(b"staging", BATCH, ex=3600)
    await client.rename(b"staging", KEY)


@pytest.mark.parametrize(
    "write", [write_string, write_bare_list, write_hash, write_big_hash, write_list, write_renamed]
)
async def test_every_shape_of_a_batch_has_the_same_statistics(
    app: App, redis_client: redis.asyncio.Redis, write: Any
) -> None:
    await redis_client.set(KEY, BATCH)
    await react(app)
    expected = (await result(redis_client))["metrics"]
    await redis_client.flushall()
    await write(redis_client)
    assert (await react(app)).result is Result.PROCESSED
    assert (await result(redis_client))["metrics"] == expected


@pytest.mark.parametrize("write", [write_string, write_big_hash, write_list])
async def test_equal_content_changes_nothing(app: App, redis_client: redis.asyncio.Redis, write: Any) -> None:
    await write(redis_client)
    await react(app)
    before = [await redis_client.dump(RESULT), await redis_client.hgetall(MODEL)]
    await write(redis_client)
    if write is write_list:
        await redis_client.ltrim(KEY, 0, len(RECORDS) - 1)
    assert (await react(app)).result is Result.DUPLICATE
    assert [await redis_client.dump(RESULT), await redis_client.hgetall(MODEL)] == before


async def test_changed_content_replaces_the_result(app: App, redis_client: redis.asyncio.Redis) -> None:
    await redis_client.set(KEY, BATCH)
    await react(app)
    first = await result(redis_client)
    await redis_client.set(KEY, json.dumps(RECORDS[:3]))
    assert (await react(app)).result is Result.PROCESSED
    second = await result(redis_client)
    assert second["readings"] == 6
    assert second["inputDigest"] != first["inputDigest"]


async def test_a_deleted_result_is_computed_again(app: App, redis_client: redis.asyncio.Redis) -> None:
    await redis_client.set(KEY, BATCH)
    await react(app)
    await redis_client.delete(RESULT)
    assert (await react(app)).result is Result.PROCESSED
    assert (await result(redis_client))["readings"] == 40


async def test_a_result_is_announced_by_a_message(app: App, redis_client: redis.asyncio.Redis) -> None:
    async with redis_client.pubsub() as channel:
        await channel.subscribe(namespaces.BATCH_EVENTS_CHANNEL)
        await channel.get_message(timeout=5)
        await redis_client.set(KEY, BATCH)
        await react(app)
        message = await channel.get_message(timeout=5)
    assert message is not None
    announced = json.loads(message["data"])
    stored = await result(redis_client)
    assert announced == {
        **{name: stored[name] for name in ("analysisId", "batchId", "inputDigest", "processedAt", "readings")},
        "anomalies": 0,
    }


@pytest.mark.parametrize(
    ("value", "outcome", "reason"),
    [
        (b"", Result.REJECTED, "empty"),
        (b"null", Result.REJECTED, "neither an object nor a list"),
        (b"42", Result.REJECTED, "neither an object nor a list"),
        (b'{"records":[{"timestamp":"2026', Result.REJECTED, "cut short"),
        (b'{"records":[]}', Result.IGNORED, "placeholder"),
        (b"[" * 2000 + b"]" * 2000, Result.REJECTED, "levels deep"),
        (b"\x80\x04\x95\x01.", Result.REJECTED, "pickle"),
        (b"\x1f\x8b\x08\x00", Result.REJECTED, "gzip"),
        (b"\x91\x81\xa1a\xa1b", Result.REJECTED, "no column of numbers"),
        (bytes(range(256)), Result.REJECTED, "JSON"),
        (b'[{"metric":"m","ts":1,"value":NaN}]', Result.REJECTED, "not finite"),
        (b'{"batchId":"b1","status":"processing"}', Result.IGNORED, "placeholder"),
    ],
)
async def test_unreadable_content_is_refused_with_its_reason_and_leaves_the_result_unchanged(
    app: App, redis_client: redis.asyncio.Redis, value: bytes, outcome: Result, reason: str
) -> None:
    await redis_client.set(KEY, BATCH)
    await react(app)
    before = await redis_client.dump(RESULT)
    await redis_client.set(KEY, value)
    actual = await react(app)
    assert actual.result is outcome
    assert reason in str(actual.detail)
    assert await redis_client.dump(RESULT) == before


async def test_values_of_other_types_are_rejected(app: App, redis_client: redis.asyncio.Redis) -> None:
    await redis_client.sadd(KEY, "x")
    assert await react(app) == Outcome(KEY, Result.REJECTED, "a set is no batch")


@pytest.mark.parametrize("shape", ["string", "list", "hash"])
async def test_a_batch_above_the_size_limit_is_not_read(
    app_settings: Settings, redis_client: redis.asyncio.Redis, shape: str
) -> None:
    small = open_app(msgspec.structs.replace(app_settings, max_payload_bytes=2048))
    match shape:
        case "string":
            await redis_client.set(KEY, b"[" + b" " * 4096 + b"]")
        case "list":
            await redis_client.rpush(KEY, *(b"x" * 100 for _ in range(40)))
        case "hash":
            await redis_client.hset(KEY, mapping={f"f{number}": b"x" * 100 for number in range(40)})
    outcome = await react(small)
    await small.redis.aclose()
    assert outcome.result is Result.REJECTED
    assert "more than MAX_PAYLOAD_BYTES" in str(outcome.detail)


@pytest.mark.parametrize(
    "batch_id", [b"with space", b"line\nbreak", "emoji 🌋".encode(), b"glob*[a]?", b"\xff\xfe", b"a:b:c", b"x" * 4000]
)
async def test_any_batch_id_is_processed(app: App, redis_client: redis.asyncio.Redis, batch_id: bytes) -> None:
    await redis_client.set(b"fastapi:temp:data:" + batch_id, BATCH)
    assert (await react(app, b"fastapi:temp:data:" + batch_id)).result is Result.PROCESSED
    document = await result(redis_client, b"fastapi:results:analysis:" + batch_id)
    assert document["batchId"] == batch_id.decode(errors="backslashreplace")


@pytest.mark.parametrize("key", [b"fastapi:temp:data:", b"fastapi:temp:database:1", b"other"])
async def test_keys_that_are_not_batches_are_ignored(app: App, redis_client: redis.asyncio.Redis, key: bytes) -> None:
    await redis_client.set(key, BATCH)
    assert (await react(app, key)).result is Result.IGNORED
    assert await redis_client.keys() == [key]


async def test_a_missing_batch_is_ignored(app: App) -> None:
    assert (await react(app)).result is Result.IGNORED


async def test_outcomes_come_in_the_order_of_the_keys(app: App, redis_client: redis.asyncio.Redis) -> None:
    keys = [f"fastapi:temp:data:{number}".encode() for number in range(150)]
    for key in keys[::2]:
        await redis_client.set(key, BATCH)
    outcomes = await batches.react(app, [*keys, b"other"], cause("sweep"))
    assert [outcome.key for outcome in outcomes] == [*keys, b"other"]
    assert [outcome.result for outcome in outcomes] == [Result.PROCESSED, Result.IGNORED] * 75 + [Result.IGNORED]


async def test_a_reading_is_scored_against_the_baseline_of_earlier_batches(
    app_settings: Settings, redis_client: redis.asyncio.Redis
) -> None:
    app = open_app(msgspec.structs.replace(app_settings, baseline_max_age_s=0))
    for number in range(20):
        rows = [{"timestamp": row, "data": {"temp": 24 + (row * 7 + number) % 11 / 10}} for row in range(10)]
        await redis_client.set(f"fastapi:temp:data:{number}", json.dumps(rows))
        await react(app, f"fastapi:temp:data:{number}".encode())
    await redis_client.set(KEY, json.dumps([{"metric": "temp", "sensorId": "s9", "ts": 5, "value": 40.0}]))
    await react(app)
    await app.redis.aclose()
    document = await result(redis_client)
    assert document["model"] == {"name": "anomaly-detector", "version": 20, "samples": 200}
    (anomaly,) = document["anomalies"]
    assert (anomaly["metric"], anomaly["sensorId"], anomaly["timestamp"], anomaly["value"]) == ("temp", "s9", 5, 40.0)
    assert anomaly["score"] > 3.5
    assert anomaly["baseline"]["source"] == "model"
    assert anomaly["baseline"]["samples"] == 200
    assert anomaly["baseline"]["median"] == pytest.approx(24.5, abs=0.1)
    assert 3_590 < await redis_client.ttl(MODEL) <= 3_600


@pytest.mark.parametrize("reverse", [False, True])
async def test_the_stored_baseline_does_not_depend_on_order_or_on_who_folds(
    app_settings: Settings, redis_client: redis.asyncio.Redis, reverse: bool
) -> None:
    """Two workers and enough batches for folds, in both orders: the model is the exact sketch of all values."""
    workers = [open_app(msgspec.structs.replace(app_settings, baseline_max_age_s=0)) for _ in range(2)]
    values = [[20 + (row * 13 + number * 5) % 17 / 7 for row in range(8)] for number in range(3 * FOLD_FROM)]
    for number, batch in enumerate(values):
        rows = [{"metric": "temp", "ts": 1, "value": value} for value in batch]
        await redis_client.set(f"fastapi:temp:data:{number}", json.dumps(rows))
    order = range(len(values))[:: -1 if reverse else 1]

    async def work(worker: App, numbers: range) -> None:
        for number in numbers:
            await batches.react(worker, [f"fastapi:temp:data:{number}".encode()], cause("set"))

    await asyncio.gather(work(workers[0], order[::2]), work(workers[1], order[1::2]))
    fields = [part for pair in (await redis_client.hgetall(MODEL)).items() for part in pair]
    model = decode_model(fields, int(time.time()))
    for worker in workers:
        await worker.redis.aclose()
    expected = sketch([value for batch in values for value in batch])
    assert (model.sketches["temp"].shift, dict(model.sketches["temp"].counts)) == (expected.shift, expected.counts)
    unfolded = [name for name in fields[::2] if name.startswith(b"+")]
    assert len(unfolded) < len(values), "nothing was folded"


async def test_an_overwritten_model_loses_the_baseline_but_no_result(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    for wreck in (
        redis_client.set(MODEL, "weights"),
        redis_client.hset(MODEL, mapping={"version": "v2", "1:m": b"\xc1", "+1:9": b""}),
    ):
        await redis_client.flushall()
        await wreck
        await redis_client.set(KEY, BATCH)
        assert (await react(app)).result is Result.PROCESSED
        assert (await redis_client.hget(MODEL, "version")) == b"1"


async def test_a_batch_takes_two_round_trips(app: App, redis_client: redis.asyncio.Redis) -> None:
    await redis_client.set(b"fastapi:temp:data:warm", BATCH)
    await react(app, b"fastapi:temp:data:warm")
    await redis_client.set(KEY, BATCH)
    before = await redis_client.info("commandstats")
    await react(app)
    after = await redis_client.info("commandstats")
    calls = {name: after[name]["calls"] - before.get(name, {"calls": 0})["calls"] for name in after}
    assert calls["cmdstat_evalsha"] == 2
    assert not any(calls.get(f"cmdstat_{name}") for name in ("eval", "script|load", "multi"))


@pytest.mark.any_server
async def test_a_large_batch_does_not_block_the_event_loop(app: App, redis_client: redis.asyncio.Redis) -> None:
    rows = [{"sensorId": "s", "metric": f"m{row % 8}", "ts": row, "value": row / 7} for row in range(60_000)]
    await redis_client.set(KEY, json.dumps({"readings": rows}))
    await redis_client.set(b"fastapi:temp:data:first", BATCH)
    await react(app, b"fastapi:temp:data:first")  # imports the reader
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.001)
            ticks.append(time.perf_counter())

    ticking = asyncio.create_task(tick())
    started = time.perf_counter()
    assert (await react(app)).result is Result.PROCESSED
    took_s = time.perf_counter() - started
    ticking.cancel()
    longest_s = max(later - earlier for earlier, later in zip([started, *ticks], ticks, strict=False))
    assert longest_s < took_s / 2, f"stalled {longest_s * 1000:.0f} ms of {took_s * 1000:.0f} ms"


async def test_an_outage_before_the_commit_releases_all_claims_in_one_call(
    app: App, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call may take a whole timeout, so releasing 64 claims one by one might take 64 timeouts."""
    keys = [f"fastapi:temp:data:{number}".encode() for number in range(64)]
    await redis_client.mset(dict.fromkeys(keys, BATCH))
    calls = 0
    release = claims.release

    async def counted(app: App, held_claims: Sequence[Claim]) -> list[bool]:
        nonlocal calls
        calls += bool(held_claims)
        return await release(app, held_claims)

    async def away(*_: object) -> list[Any]:
        raise redis.exceptions.TimeoutError

    monkeypatch.setattr(claims, "release", counted)
    monkeypatch.setattr(App, "run_many", away)
    outcomes = await batches.react(app, keys, cause("set"))
    monkeypatch.undo()
    assert {outcome.result for outcome in outcomes} == {Result.RETRIED}
    assert calls == 1
    assert not await redis_client.keys("fastapi:queue:processing:*")
    assert {outcome.result for outcome in await batches.react(app, keys, cause("sweep"))} == {Result.PROCESSED}


async def test_unreadable_batches_of_a_group_are_buried_after_the_others_have_their_results(
    app: App, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"fastapi:temp:data:{number}".encode() for number in range(64)]
    await redis_client.mset({key: "poison" if number % 2 else BATCH for number, key in enumerate(keys)})
    results = []
    bury = dead_letters.bury

    async def counting_bury(*args: Any, **kwargs: Any) -> Any:
        results.append(len(await redis_client.keys("fastapi:results:analysis:*")))
        return await bury(*args, **kwargs)

    monkeypatch.setattr(dead_letters, "bury", counting_bury)
    outcomes = await batches.react(app, keys, cause("set"))
    assert [outcome.result for outcome in outcomes] == [Result.PROCESSED, Result.REJECTED] * 32
    assert results == [32] * 32


async def test_a_batch_that_redis_refuses_to_commit_does_not_block_its_group(
    app: App, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any error of the commit script, caused by one batch."""
    keys = [f"fastapi:temp:data:{number}".encode() for number in range(8)]
    await redis_client.mset(dict.fromkeys(keys, BATCH))
    run = failures.run_repeatable

    async def failing_for_batch_5(app: App, script: str, calls: Sequence[Call]) -> list[Any]:
        ((call_keys, _),) = calls
        if b"fastapi:results:analysis:5" in call_keys:
            return [redis.exceptions.ResponseError("refused")]
        return await run(app, script, calls)

    monkeypatch.setattr(failures, "run_repeatable", failing_for_batch_5)
    outcomes = await batches.react(app, keys, cause("set"))
    assert [outcome.result for outcome in outcomes] == [
        Result.RETRIED if number == 5 else Result.PROCESSED for number in range(8)
    ]
    assert await redis_client.exists(*(key.replace(b"temp:data", b"results:analysis") for key in keys)) == 7
    assert await redis_client.hget(MODEL, "version") == b"7"
    assert not await redis_client.keys("fastapi:queue:processing:*")


async def test_a_call_with_many_large_batches_stops_at_the_work_timeout(
    app: App, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call reads a bounded number of bytes, so large batches take several rounds; the host kills slow workers."""
    keys = [f"fastapi:temp:data:{number}".encode() for number in range(64)]
    await redis_client.mset(dict.fromkeys(keys, BATCH))
    hurried = App(msgspec.structs.replace(app.settings, work_timeout_s=0.0), app.redis)
    monkeypatch.setattr(claims, "CLAIM_BYTES", 1)
    outcomes = await batches.react(hurried, keys, cause("set"))
    assert [(outcome.key, outcome.result) for outcome in outcomes] == [
        (key, Result.LATER if number else Result.PROCESSED) for number, key in enumerate(keys)
    ]
    assert not await redis_client.keys("fastapi:queue:processing:*")
    outcomes = await batches.react(app, keys, cause("sweep"))
    assert [outcome.result for outcome in outcomes] == [Result.DUPLICATE] + [Result.PROCESSED] * 63


async def test_the_entries_of_a_stream_are_the_rows_of_a_batch(app: App, redis_client: redis.asyncio.Redis) -> None:
    """More entries than one page of the script, so pages meet."""
    for number in range(250):
        await redis_client.xadd(KEY, {"temp": number, "co2": 400 + number}, id=f"{1_772_344_800_000 + number}-0")
    assert (await react(app)).result is Result.PROCESSED
    metrics = json.loads(await redis_client.get(RESULT))["metrics"]
    assert {name: metric["count"] for name, metric in metrics.items()} == {"temp": 250, "co2": 250}
    assert metrics["temp"]["mean"] == 124.5
    assert (await react(app)).result is Result.DUPLICATE
    await redis_client.xadd(KEY, {"temp": 1000})
    assert (await react(app)).result is Result.PROCESSED
    assert json.loads(await redis_client.get(RESULT))["metrics"]["temp"]["max"] == 1000


async def test_a_stream_of_too_many_entries_or_bytes_is_refused(app: App, redis_client: redis.asyncio.Redis) -> None:
    small = App(msgspec.structs.replace(app.settings, max_payload_bytes=1024), app.redis)
    for _ in range(20):
        await redis_client.xadd(KEY, {"temp": "1" * 100})
    assert "more than MAX_PAYLOAD_BYTES" in str((await react(small)).detail)
