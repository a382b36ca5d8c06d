"""Statistics are read back as they were counted, per minute and with percentiles; foreign fields are ignored."""

import math
import random
import time
from collections import Counter

import msgspec
import pytest
import redis.asyncio
import redis.exceptions
from hypothesis import given
from hypothesis import strategies as st

from local.run.servers import free_port
from shared import namespaces
from shared.app import App, open_app
from shared.delivery.retries import WAITING_RETRIES
from shared.operations import activity
from shared.reactor import Result, Source
from shared.telemetry import minute_counts


def minute_key(age_min: int = 0) -> str:
    return f"functions:stats:{int(time.time()) // 60 - age_min}"


async def test_counts_of_this_process_are_read_back(app: App) -> None:
    minute_counts.take(now=True)
    minute_counts.outcome("batches", Source.EVENT, Result.PROCESSED, 12.0, n=3)
    minute_counts.outcome("batches", Source.SWEEP, Result.DUPLICATE, 900.0)
    minute_counts.lag("charts", 40.0)
    await app.write_minute_counts()
    report = await activity.read(app, 2)
    counted: Counter[tuple[str, str, str]] = Counter()
    for minute in report.minutes:
        for reactor, sources in minute.outcomes.items():
            for source, outcomes in sources.items():
                for outcome, count in outcomes.items():
                    counted[reactor, source, outcome] += count
    assert counted == {("batches", "event", "processed"): 3, ("batches", "sweep", "duplicate"): 1}
    assert report.latency_ms.keys() == {"batches"}, "the duration of a sweep is not a latency"
    assert report.latency_ms["batches"].count == 3
    assert math.isclose(report.latency_ms["batches"].p50, 12.0, rel_tol=0.155)
    assert math.isclose(report.lag_ms["charts"].p99, 40.0, rel_tol=0.155)


async def processed_batches(app: App) -> int:
    """Number of processed batches in the statistics of the last two minutes."""
    minutes = (await activity.read(app, 2)).minutes
    return sum(minute.outcomes.get("batches", {}).get("event", {}).get("processed", 0) for minute in minutes)


async def test_the_counts_of_instances_are_added(app: App) -> None:
    minute_counts.take(now=True)
    for instance in (app, App(app.settings, app.redis)):
        minute_counts.outcome("batches", Source.EVENT, Result.PROCESSED, 1.0)
        await instance.write_minute_counts()
    assert await processed_batches(app) == 2


async def test_counts_that_could_not_be_written_are_written_once_redis_is_back(app: App) -> None:
    minute_counts.take(now=True)
    minute_counts.outcome("batches", Source.EVENT, Result.PROCESSED, 1.0)
    unreachable = open_app(msgspec.structs.replace(app.settings, redis=f"127.0.0.1:{free_port()}"))
    with pytest.raises(redis.exceptions.ConnectionError):
        await unreachable.write_minute_counts()
    await unreachable.redis.aclose()
    minute_counts.outcome("batches", Source.EVENT, Result.PROCESSED, 1.0)
    await app.write_minute_counts()
    await app.write_minute_counts()
    assert await processed_batches(app) == 2


async def test_due_counts_are_written_in_the_pipeline_of_the_next_scripts(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    minute_counts.take(now=True)
    minute_counts.outcome("batches", Source.EVENT, Result.PROCESSED, 1.0)
    monkeypatch.setattr(minute_counts, "FLUSH_S", 3600)
    await app.run_many(WAITING_RETRIES, [([b"functions:retry:due"], [])])
    assert await app.redis.exists(minute_key(0), minute_key(1)) == 0
    monkeypatch.setattr(minute_counts, "FLUSH_S", 0)
    await app.run_many(WAITING_RETRIES, [([b"functions:retry:due"], [])])
    assert await processed_batches(app) == 1
    assert 7000 < max(await app.redis.ttl(minute_key(0)), await app.redis.ttl(minute_key(1))) <= 7200


async def test_every_minute_of_the_range_is_returned_oldest_first(app: App) -> None:
    for age_min in (0, 2, 59, 60):
        await app.redis.hset(minute_key(age_min), "n sessions event processed", str(age_min + 1))
    report = await activity.read(app)
    assert len(report.minutes) == 60
    assert [minute.minute for minute in report.minutes] == sorted({minute.minute for minute in report.minutes})
    counts = [minute.outcomes["sessions"]["event"]["processed"] for minute in report.minutes if minute.outcomes]
    assert counts in ([60, 3, 1], [3, 1]), "[3, 1] if a new minute began during the test"
    assert report.begin == report.minutes[0].minute
    assert report.minutes[-1].minute <= report.end


async def test_a_read_runs_one_script_per_minute(app: App) -> None:
    await activity.read(app, 120)
    await app.redis.config_resetstat()
    await activity.read(app, 120)
    stats = await app.redis.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 120
    assert "cmdstat_hgetall" in stats or "cmdstat_type" in stats


HOSTILE = {
    "n batches event processed": "-5",
    "n charts event processed": "1" * 16,
    "n sessions event processed": "1e3",
    "n batches event <script>": "1",
    "n batches somewhere processed": "1",
    "n __proto__ event processed": "1",
    "n batches event": "1",
    "d batches 57": "1",
    "d batches -1": "1",
    "d batches ²": "1",
    "d batches x": "1",
    "x batches 1": "1",
    "": "1",
    "y" * 100_000: "1",
    "n sessions event dead": "z" * 100_000,
    b"\xff\xfe": "1",
}


async def test_fields_that_the_app_does_not_write_are_ignored(app: App) -> None:
    await app.redis.hset(minute_key(), mapping=HOSTILE | {"n batches event dead": "2"})
    report = await activity.read(app, 2)
    assert [minute.outcomes for minute in report.minutes if minute.outcomes] == [{"batches": {"event": {"dead": 2}}}]
    assert report.latency_ms == {}


async def test_a_minute_key_of_another_application_is_read_as_empty(app: App) -> None:
    await app.redis.set(minute_key(0), "a string")
    await app.redis.hset(minute_key(1), mapping={f"n batches event {number}": 1 for number in range(2000)})
    await app.redis.hset(minute_key(1), "n batches event dead", "1")
    await app.redis.hset(minute_key(2), "n batches event dead", "7")
    report = await activity.read(app, 5)
    assert [minute.outcomes for minute in report.minutes if minute.outcomes] == [{"batches": {"event": {"dead": 7}}}]


@given(st.lists(st.floats(0.1, 900_000), min_size=1, max_size=300))
def test_a_percentile_is_exact_to_15_percent(values: list[float]) -> None:
    percentiles = activity.percentiles(Counter(minute_counts.bucket(value) for value in values))
    assert percentiles.count == len(values)
    for share, estimate in ((0.5, percentiles.p50), (0.95, percentiles.p95), (0.99, percentiles.p99)):
        exact = sorted(values)[math.ceil(share * len(values)) - 1]
        assert exact / 1.16 <= estimate <= exact * 1.16


def test_percentiles_are_in_ascending_order() -> None:
    rng = random.Random(1)
    percentiles = activity.percentiles(Counter(minute_counts.bucket(rng.lognormvariate(1, 2)) for _ in range(10_000)))
    assert percentiles.p50 < percentiles.p95 < percentiles.p99


async def test_without_the_right_to_expire_no_minute_is_left_without_a_ttl(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    minute_counts.outcome("batches", Source.EVENT, Result.PROCESSED, 12.0)
    await redis_client.execute_command("ACL", "SETUSER", "default", "-expire")
    try:
        await app.write_minute_counts()
        assert await redis_client.keys("functions:stats:*") == []
    finally:
        await redis_client.execute_command("ACL", "SETUSER", "default", "+expire")
    minute_counts.outcome("batches", Source.EVENT, Result.PROCESSED, 12.0)
    await app.write_minute_counts()
    keys = await redis_client.keys("functions:stats:*")
    kinds = (namespaces.STATISTICS, namespaces.STATISTICS_10_MIN, namespaces.STATISTICS_HOUR)
    parsed = [namespaces.parse(key) for key in keys]
    assert {row[0] for row in parsed if row} == set(kinds)
    for key, row in zip(keys, parsed, strict=True):
        assert 0 < await redis_client.ttl(key) <= ((row and row[0].ttl_s) or 0)


@pytest.mark.parametrize(("of", "step_s", "count"), [("6h", 600, 36), ("24h", 600, 144), ("7d", 3600, 168)])
async def test_a_history_has_the_same_counts_as_the_minutes_in_coarser_steps(
    app: App, of: str, step_s: int, count: int
) -> None:
    minute_counts.take(now=True)
    minute_counts.outcome("batches", Source.EVENT, Result.PROCESSED, 12.0, n=3)
    minute_counts.lag("batches", 40.0)
    await app.write_minute_counts()
    minute_counts.outcome("batches", Source.EVENT, Result.PROCESSED, 12.0, n=4)
    await app.write_minute_counts()
    oldest = int(time.time()) // step_s - count + 1
    prefix = "functions:stats:10min:" if step_s == 600 else "functions:stats:hour:"
    await app.redis.hset(f"{prefix}{oldest}", "n charts sweep duplicate", "5")
    await app.redis.hset(f"{prefix}{oldest - 1}", "n charts sweep duplicate", "6")
    history = await activity.history(app, activity.Range(of))
    assert (history.step_s, len(history.bars)) == (step_s, count)
    assert [bar.time for bar in history.bars] == sorted({bar.time for bar in history.bars})
    counted = [bar.outcomes for bar in history.bars if bar.outcomes]
    assert sum(outcomes.get("batches", {}).get("event", {}).get("processed", 0) for outcomes in counted) == 7
    assert counted[0] == {"charts": {"sweep": {"duplicate": 5}}}


async def test_what_is_kept_of_statistics_is_bounded(app: App) -> None:
    """Of a step longer than a minute, outcomes alone: no histogram."""
    minute_counts.take(now=True)
    for reactor in ("batches", "charts", "sessions"):
        for duration_ms in (1.0, 10.0, 100.0):
            minute_counts.outcome(reactor, Source.EVENT, Result.PROCESSED, duration_ms)
            minute_counts.lag(reactor, duration_ms)
    await app.write_minute_counts()
    for kind in (namespaces.STATISTICS_10_MIN, namespaces.STATISTICS_HOUR):
        (key,) = await app.redis.keys(kind.prefix.decode() + "*")
        assert await app.redis.hlen(key) == 3


async def test_a_write_of_counts_is_one_call_however_much_it_counts(app: App) -> None:
    minute_counts.take(now=True)
    for number in range(100):
        minute_counts.outcome("batches", Source.EVENT, Result.PROCESSED, float(number))
    await app.write_minute_counts()  # opens the connection
    await app.redis.config_resetstat()
    minute_counts.outcome("batches", Source.EVENT, Result.PROCESSED, 1.0)
    await app.write_minute_counts()
    assert (await app.redis.info("commandstats"))["cmdstat_eval"]["calls"] == 1
