"""The batches reactor over a real Redis: a result per content, whatever the shape, and nothing from hostile input."""

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


async def test_a_batch_becomes_a_result(app: App, redis_client: redis.asyncio.Redis) -> None:
    await redis_client.set(KEY, BATCH, ex=3600)
    assert (await react(app)).result is Result.PROCESSED
    found = await result(redis_client)
    assert found["analysisId"] == found["batchId"] == "b1"
    assert len(found["inputDigest"]) == 40
    assert found["processedAt"].endswith("Z")
    assert found["readings"] == 40
    assert found["rejected"] == {"count": 0, "reasons": {}}
    assert set(found["metrics"]) == {"co2", "temp"}
    assert set(found["metrics"]["co2"]) == {"count", "mean", "std", "min", "max", "p50", "p95", "p99"}
    assert found["metrics"]["co2"]["mean"] == pytest.approx(1.095)
    assert found["model"] == {"name": "anomaly-detector", "version": 0, "samples": 0}
    assert found["anomalies"] == []
    assert 86_390 < await redis_client.ttl(RESULT) <= 86_400


async def write_string(client: redis.asyncio.Redis) -> None:
    await client.set(KEY, json.dumps({"readings": LONG}))


async def write_bare_list(client: redis.asyncio.Redis) -> None:
    await client.set(KEY, json.dumps(RECORDS))


async def write_hash(client: redis.asyncio.Redis) -> None:
    await client.hset(KEY, mapping={"batchId": "b1", "records": json.dumps(RECORDS)})


async def write_big_hash(client: redis.asyncio.Redis) -> None:
    await client.hset(KEY, mapping={f"r{number}": json.dumps(one) for number, one in enumerate(LONG)})
    await client.config_set("hash-max-ziplist-entries", 4)
    await client.hset(KEY, "r0", json.dumps(LONG[0]))  # now a hash table, read by cursor
    await client.config_set("hash-max-ziplist-entries", 128)


async def write_list(client: redis.asyncio.Redis) -> None:
    await client.rpush(KEY, *(json.dumps(one) for one in RECORDS))


async def write_renamed(client: redis.asyncio.Redis) -> None:
    await client.set(b"staging", BATCH, ex=3600)
    await client.rename(b"staging", KEY)


@pytest.mark.parametrize(
    "write", [write_string, write_bare_list, write_hash, write_big_hash, write_list, write_renamed]
)
async def test_every_way_of_writing_a_batch_gives_the_same_figures(
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
async def test_the_same_content_again_changes_nothing(app: App, redis_client: redis.asyncio.Redis, write: Any) -> None:
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


async def test_a_result_that_was_deleted_is_made_anew(app: App, redis_client: redis.asyncio.Redis) -> None:
    await redis_client.set(KEY, BATCH)
    await react(app)
    await redis_client.delete(RESULT)
    assert (await react(app)).result is Result.PROCESSED
    assert (await result(redis_client))["readings"] == 40


async def test_a_result_is_announced(app: App, redis_client: redis.asyncio.Redis) -> None:
    async with redis_client.pubsub() as channel:
        await channel.subscribe(namespaces.BATCH_EVENTS_CHANNEL)
        await channel.get_message(timeout=5)
        await redis_client.set(KEY, BATCH)
        await react(app)
        message = await channel.get_message(timeout=5)
    assert message is not None
    found = json.loads(message["data"])
    stored = await result(redis_client)
    assert found == {
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
        (b'{"records":[]}', Result.REJECTED, "no readings"),
        (b"[" * 2000 + b"]" * 2000, Result.REJECTED, "levels deep"),
        (b"\x80\x04\x95\x01.", Result.REJECTED, "pickle"),
        (b"\x1f\x8b\x08\x00", Result.REJECTED, "gzip"),
        (b"\x81\xa1a\x01", Result.REJECTED, "msgpack"),
        (bytes(range(256)), Result.REJECTED, "JSON"),
        (b'[{"metric":"m","ts":1,"value":NaN}]', Result.REJECTED, "not finite"),
        (b'{"batchId":"b1","status":"processing"}', Result.IGNORED, "placeholder"),
    ],
)
async def test_hostile_content_is_told_by_its_reason_and_leaves_the_result_alone(
    app: App, redis_client: redis.asyncio.Redis, value: bytes, outcome: Result, reason: str
) -> None:
    await redis_client.set(KEY, BATCH)
    await react(app)
    before = await redis_client.dump(RESULT)
    await redis_client.set(KEY, value)
    found = await react(app)
    assert found.result is outcome
    assert reason in str(found.detail)
    assert await redis_client.dump(RESULT) == before


async def test_other_types_are_rejected(app: App, redis_client: redis.asyncio.Redis) -> None:
    await redis_client.sadd(KEY, "x")
    assert await react(app) == Outcome(KEY, Result.REJECTED, "a set is no batch")


@pytest.mark.parametrize("shape", ["string", "list", "hash"])
async def test_a_batch_past_the_size_limit_is_not_read(
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
    found = await react(small)
    await small.redis.aclose()
    assert found.result is Result.REJECTED
    assert "more than MAX_PAYLOAD_BYTES" in str(found.detail)


@pytest.mark.parametrize(
    "batch_id", [b"with space", b"line\nbreak", "emoji 🌋".encode(), b"glob*[a]?", b"\xff\xfe", b"a:b:c", b"x" * 4000]
)
async def test_any_batch_id_is_served(app: App, redis_client: redis.asyncio.Redis, batch_id: bytes) -> None:
    await redis_client.set(b"fastapi:temp:data:" + batch_id, BATCH)
    assert (await react(app, b"fastapi:temp:data:" + batch_id)).result is Result.PROCESSED
    found = await result(redis_client, b"fastapi:results:analysis:" + batch_id)
    assert found["batchId"] == batch_id.decode(errors="backslashreplace")


@pytest.mark.parametrize("key", [b"fastapi:temp:data:", b"fastapi:temp:database:1", b"other"])
async def test_keys_that_are_no_batch_are_ignored(app: App, redis_client: redis.asyncio.Redis, key: bytes) -> None:
    await redis_client.set(key, BATCH)
    assert (await react(app, key)).result is Result.IGNORED
    assert await redis_client.keys() == [key]


async def test_a_batch_that_is_gone_is_ignored(app: App) -> None:
    assert (await react(app)).result is Result.IGNORED
    assert "mangled" in str((await react(app, "fastapi:temp:data:\ufffd".encode())).detail)


async def test_many_keys_are_answered_in_their_order(app: App, redis_client: redis.asyncio.Redis) -> None:
    keys = [f"fastapi:temp:data:{number}".encode() for number in range(150)]
    for key in keys[::2]:
        await redis_client.set(key, BATCH)
    outcomes = await batches.react(app, [*keys, b"other"], "sweep")
    assert [one.key for one in outcomes] == [*keys, b"other"]
    assert [one.result for one in outcomes] == [Result.PROCESSED, Result.IGNORED] * 75 + [Result.IGNORED]


async def test_a_reading_is_scored_against_what_other_batches_taught(
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
    found = await result(redis_client)
    assert found["model"] == {"name": "anomaly-detector", "version": 20, "samples": 200}
    (anomaly,) = found["anomalies"]
    assert (anomaly["metric"], anomaly["sensorId"], anomaly["timestamp"], anomaly["value"]) == ("temp", "s9", 5, 40.0)
    assert anomaly["score"] > 3.5
    assert anomaly["baseline"]["source"] == "model"
    assert anomaly["baseline"]["samples"] == 200
    assert anomaly["baseline"]["median"] == pytest.approx(24.5, abs=0.1)
    assert 3_590 < await redis_client.ttl(MODEL) <= 3_600


@pytest.mark.parametrize("reverse", [False, True])
async def test_the_stored_baseline_is_the_same_whatever_the_order_and_whoever_folds(
    app_settings: Settings, redis_client: redis.asyncio.Redis, reverse: bool
) -> None:
    """Two workers, more batches than are left unfolded, forwards and backwards: the exact sketch of all values."""
    workers = [open_app(msgspec.structs.replace(app_settings, baseline_max_age_s=0)) for _ in range(2)]
    values = [[20 + (row * 13 + number * 5) % 17 / 7 for row in range(8)] for number in range(3 * FOLD_FROM)]
    for number, some in enumerate(values):
        rows = [{"metric": "temp", "ts": 1, "value": value} for value in some]
        await redis_client.set(f"fastapi:temp:data:{number}", json.dumps(rows))
    order = range(len(values))[:: -1 if reverse else 1]

    async def work(worker: App, numbers: range) -> None:
        for number in numbers:
            await batches.react(worker, [f"fastapi:temp:data:{number}".encode()], "set")

    await asyncio.gather(work(workers[0], order[::2]), work(workers[1], order[1::2]))
    fields = [part for pair in (await redis_client.hgetall(MODEL)).items() for part in pair]
    model = decode_model(fields, int(time.time()))
    for worker in workers:
        await worker.redis.aclose()
    expected = sketch([value for batch in values for value in batch])
    assert (model.sketches["temp"].shift, dict(model.sketches["temp"].counts)) == (expected.shift, expected.counts)
    unfolded = [name for name in fields[::2] if name.startswith(b"+")]
    assert len(unfolded) < len(values), "nothing was folded"


async def test_a_model_written_over_by_another_application_costs_the_baseline_not_the_result(
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


async def test_a_batch_costs_two_round_trips(app: App, redis_client: redis.asyncio.Redis) -> None:
    await redis_client.set(b"fastapi:temp:data:warm", BATCH)
    await react(app, b"fastapi:temp:data:warm")
    await redis_client.set(KEY, BATCH)
    before = await redis_client.info("commandstats")
    await react(app)
    after = await redis_client.info("commandstats")
    calls = {name: after[name]["calls"] - before.get(name, {"calls": 0})["calls"] for name in after}
    assert calls["cmdstat_evalsha"] == 2
    assert not any(calls.get(f"cmdstat_{name}") for name in ("eval", "script|load", "multi"))


async def test_a_large_batch_leaves_the_event_loop_free(app: App, redis_client: redis.asyncio.Redis) -> None:
    rows = [{"sensorId": "s", "metric": f"m{row % 8}", "ts": row, "value": row / 7} for row in range(60_000)]
    await redis_client.set(KEY, json.dumps({"readings": rows}))
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


async def test_an_outage_in_the_middle_of_a_group_costs_one_call_more_and_keeps_no_claim(
    app: App, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call may take a whole timeout: claims that went back one by one would take as many."""
    keys = [f"fastapi:temp:data:{number}".encode() for number in range(64)]
    await redis_client.mset(dict.fromkeys(keys, BATCH))
    calls = 0
    release = claims.release

    async def counted(app: App, held: Sequence[Claim]) -> list[bool]:
        nonlocal calls
        calls += bool(held)
        return await release(app, held)

    async def away(*_: object) -> list[Any]:
        raise redis.exceptions.TimeoutError

    monkeypatch.setattr(claims, "release", counted)
    monkeypatch.setattr(App, "run_many", away)
    outcomes = await batches.react(app, keys, cause("set"))
    monkeypatch.undo()
    assert {one.result for one in outcomes} == {Result.RETRIED}
    assert calls == 1
    assert not await redis_client.keys("fastapi:queue:processing:*")
    assert {one.result for one in await batches.react(app, keys, cause("sweep"))} == {Result.PROCESSED}


async def test_poison_in_a_group_is_dealt_with_when_the_others_have_their_results(
    app: App, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"fastapi:temp:data:{number}".encode() for number in range(64)]
    await redis_client.mset({key: "poison" if number % 2 else BATCH for number, key in enumerate(keys)})
    results = []
    bury = dead_letters.bury

    async def noting(*args: Any, **kwargs: Any) -> Any:
        results.append(len(await redis_client.keys("fastapi:results:analysis:*")))
        return await bury(*args, **kwargs)

    monkeypatch.setattr(dead_letters, "bury", noting)
    outcomes = await batches.react(app, keys, cause("set"))
    assert [one.result for one in outcomes] == [Result.PROCESSED, Result.REJECTED] * 32
    assert results == [32] * 32


async def test_a_batch_of_a_group_that_redis_refuses_to_commit_keeps_none_of_the_others_from_it(
    app: App, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is that the script stumbles over."""
    keys = [f"fastapi:temp:data:{number}".encode() for number in range(8)]
    await redis_client.mset(dict.fromkeys(keys, BATCH))
    run = failures.run_repeatable

    async def stumbling(app: App, script: str, calls: Sequence[Call]) -> list[Any]:
        ((call_keys, _),) = calls
        if b"fastapi:results:analysis:5" in call_keys:
            return [redis.exceptions.ResponseError("stumbled")]
        return await run(app, script, calls)

    monkeypatch.setattr(failures, "run_repeatable", stumbling)
    outcomes = await batches.react(app, keys, cause("set"))
    assert [one.result for one in outcomes] == [
        Result.RETRIED if number == 5 else Result.PROCESSED for number in range(8)
    ]
    assert await redis_client.exists(*(key.replace(b"temp:data", b"results:analysis") for key in keys)) == 7
    assert await redis_client.hget(MODEL, "version") == b"7"
    assert not await redis_client.keys("fastapi:queue:processing:*")


async def test_many_large_batches_take_no_longer_in_one_call_than_one_may(
    app: App, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read at once is bounded, so large ones are worked on in turns; the host ends a worker that takes long."""
    keys = [f"fastapi:temp:data:{number}".encode() for number in range(64)]
    await redis_client.mset(dict.fromkeys(keys, BATCH))
    hurried = App(msgspec.structs.replace(app.settings, work_timeout_s=0.0), app.redis)
    monkeypatch.setattr(claims, "CLAIM_BYTES", 1)
    outcomes = await batches.react(hurried, keys, cause("set"))
    assert [(one.key, one.result) for one in outcomes] == [
        (key, Result.LATER if number else Result.PROCESSED) for number, key in enumerate(keys)
    ]
    assert not await redis_client.keys("fastapi:queue:processing:*")
    outcomes = await batches.react(app, keys, cause("sweep"))
    assert [one.result for one in outcomes] == [Result.DUPLICATE] + [Result.PROCESSED] * 63
