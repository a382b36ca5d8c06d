"""Statistics are read as they were counted: by minute, with percentiles, whatever else is in their keys."""

import math
import random
import time
from collections import Counter

import msgspec
import pytest
import redis.exceptions
from hypothesis import given
from hypothesis import strategies as st

from local.run.servers import free_port
from shared.app import App, open_app
from shared.delivery.retries import WAITING_RETRIES
from shared.operations import activity
from shared.reactor import Result, Source
from shared.telemetry import minute_counts


def minute_key(ago: int = 0) -> str:
    return f"functions:stats:{int(time.time()) // 60 - ago}"


async def test_what_was_counted_in_this_process_is_read_back(app: App) -> None:
    minute_counts.take(now=True)
    minute_counts.outcome("batches", Source.EVENT, Result.PROCESSED, 12.0, n=3)
    minute_counts.outcome("batches", Source.SWEEP, Result.DUPLICATE, 900.0)
    minute_counts.lag("charts", 40.0)
    await app.write_minute_counts()
    found = await activity.read(app, 2)
    counted: Counter[tuple[str, str, str]] = Counter()
    for minute in found.minutes:
        for reactor, sources in minute.outcomes.items():
            for source, outcomes in sources.items():
                for outcome, count in outcomes.items():
                    counted[reactor, source, outcome] += count
    assert counted == {("batches", "event", "processed"): 3, ("batches", "sweep", "duplicate"): 1}
    assert found.latency_ms.keys() == {"batches"}, "a sweep's duration is no reaction's"
    assert found.latency_ms["batches"].count == 3
    assert math.isclose(found.latency_ms["batches"].p50, 12.0, rel_tol=0.155)
    assert math.isclose(found.lag_ms["charts"].p99, 40.0, rel_tol=0.155)


async def counted(app: App) -> int:
    """How many processed batches there are in the statistics."""
    minutes = (await activity.read(app, 2)).minutes
    return sum(minute.outcomes.get("batches", {}).get("event", {}).get("processed", 0) for minute in minutes)


async def test_instances_add_up(app: App) -> None:
    minute_counts.take(now=True)
    for instance in (app, App(app.settings, app.redis)):
        minute_counts.outcome("batches", Source.EVENT, Result.PROCESSED, 1.0)
        await instance.write_minute_counts()
    assert await counted(app) == 2


async def test_what_redis_did_not_take_is_written_when_it_is_back(app: App) -> None:
    minute_counts.take(now=True)
    minute_counts.outcome("batches", Source.EVENT, Result.PROCESSED, 1.0)
    away = open_app(msgspec.structs.replace(app.settings, redis=f"127.0.0.1:{free_port()}"))
    with pytest.raises(redis.exceptions.ConnectionError):
        await away.write_minute_counts()
    await away.redis.aclose()
    minute_counts.outcome("batches", Source.EVENT, Result.PROCESSED, 1.0)
    await app.write_minute_counts()
    await app.write_minute_counts()
    assert await counted(app) == 2


async def test_a_pipeline_of_scripts_takes_the_counts_along_when_they_are_due(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    minute_counts.take(now=True)
    minute_counts.outcome("batches", Source.EVENT, Result.PROCESSED, 1.0)
    monkeypatch.setattr(minute_counts, "FLUSH_S", 3600)
    await app.run_many(WAITING_RETRIES, [([b"functions:retry:due"], [])])
    assert await app.redis.exists(minute_key(0), minute_key(1)) == 0
    monkeypatch.setattr(minute_counts, "FLUSH_S", 0)
    await app.run_many(WAITING_RETRIES, [([b"functions:retry:due"], [])])
    assert await counted(app) == 1
    assert 7000 < max(await app.redis.ttl(minute_key(0)), await app.redis.ttl(minute_key(1))) <= 7200


async def test_every_minute_of_the_range_is_there_oldest_first(app: App) -> None:
    for ago in (0, 2, 59, 60):
        await app.redis.hset(minute_key(ago), "n sessions event processed", str(ago + 1))
    found = await activity.read(app)
    assert len(found.minutes) == 60
    assert [minute.minute for minute in found.minutes] == sorted({minute.minute for minute in found.minutes})
    counts = [minute.outcomes["sessions"]["event"]["processed"] for minute in found.minutes if minute.outcomes]
    assert counts in ([60, 3, 1], [3, 1]), "the second where a minute ended meanwhile"
    assert found.begin == found.minutes[0].minute
    assert found.minutes[-1].minute <= found.end


async def test_two_reads_cost_one_round_trip_each_and_the_tally_travels_with_them(app: App) -> None:
    await activity.read(app, 120)
    await app.redis.config_resetstat()
    await activity.read(app, 120)
    about = await app.redis.info("commandstats")
    assert about["cmdstat_evalsha"]["calls"] == 120
    assert "cmdstat_hgetall" in about or "cmdstat_type" in about


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


async def test_fields_that_are_none_of_ours_are_left_out(app: App) -> None:
    await app.redis.hset(minute_key(), mapping=HOSTILE | {"n batches event dead": "2"})
    found = await activity.read(app, 2)
    assert [minute.outcomes for minute in found.minutes if minute.outcomes] == [{"batches": {"event": {"dead": 2}}}]
    assert found.latency_ms == {}


async def test_a_minute_that_another_application_took_is_empty(app: App) -> None:
    await app.redis.set(minute_key(0), "a string")
    await app.redis.hset(minute_key(1), mapping={f"n batches event {number}": 1 for number in range(2000)})
    await app.redis.hset(minute_key(1), "n batches event dead", "1")
    await app.redis.hset(minute_key(2), "n batches event dead", "7")
    found = await activity.read(app, 5)
    assert [minute.outcomes for minute in found.minutes if minute.outcomes] == [{"batches": {"event": {"dead": 7}}}]


@given(st.lists(st.floats(0.1, 900_000), min_size=1, max_size=300))
def test_a_percentile_is_exact_to_15_percent(values: list[float]) -> None:
    found = activity.percentiles(Counter(minute_counts.bucket(value) for value in values))
    assert found.count == len(values)
    for share, told in ((0.5, found.p50), (0.95, found.p95), (0.99, found.p99)):
        exact = sorted(values)[math.ceil(share * len(values)) - 1]
        assert exact / 1.16 <= told <= exact * 1.16


def test_percentiles_stand_in_order() -> None:
    chance = random.Random(1)
    found = activity.percentiles(Counter(minute_counts.bucket(chance.lognormvariate(1, 2)) for _ in range(10_000)))
    assert found.p50 < found.p95 < found.p99
