"""GET /api/metrics: what Prometheus reads is the format, has the documented names, and is right over all instances."""

import time

import msgspec
import pytest
import redis.exceptions

from shared import telemetry
from shared.app import App, open_app
from shared.delivery import dead_letters
from shared.delivery.catch_up import Watch
from shared.errors import Rejected
from shared.intake import heartbeat
from shared.intake.intake import Intake, Running
from shared.operations import exposition
from shared.reactor import Result, Source, processed
from shared.registry import REACTORS
from shared.telemetry import metrics, minute_counts
from shared.telemetry.metrics import METRICS
from tests.support.prometheus import Family, parse

BATCHES = "process_fastapi_data"
OUTCOMES = "keyspace_functions_outcomes_total"
DURATION = "keyspace_functions_duration_seconds"
LAG = "keyspace_functions_lag_seconds"


@pytest.fixture(autouse=True)
def _no_earlier_counts() -> None:
    minute_counts.take(now=True)


async def read(app: App) -> dict[str, Family]:
    return parse(await exposition.text(app))


def record(duration_ms: float = 3.0, n: int = 1) -> None:
    outcome = processed(b"fastapi:temp:data:b1")
    for _ in range(n):
        telemetry.record(BATCHES, "batches", Source.EVENT, outcome, duration_ms, "an audit key", event="set")


async def test_every_documented_metric_is_exported_under_its_prometheus_name(app: App) -> None:
    families = await read(app)
    assert list(families) == [
        OUTCOMES,
        DURATION,
        LAG,
        "keyspace_functions_backlog",
        "keyspace_functions_behind_seconds",
        "keyspace_functions_deaf_seconds",
        "keyspace_functions_share_ratio",
        "keyspace_functions_instances",
    ]
    for metric, family in zip(METRICS, families.values(), strict=True):
        assert (family.kind, family.help) == (metric.kind, metric.description)
        for _, labels in family.samples:
            assert {label for label, _ in labels} - {"le"} == set(exposition.label_names(metric))


async def test_counters_and_histograms_are_those_of_all_instances_whichever_answers(app: App) -> None:
    other = open_app(app.settings)
    record(3.0, n=2)
    telemetry.lag("batches", 40.0)
    await other.write_minute_counts()
    record(700_000.0)
    telemetry.count(BATCHES, "elsewhere", 5)
    first, second = await read(app), await read(other)
    await other.redis.aclose()
    assert first == second
    outcomes = first[OUTCOMES]
    assert outcomes.value(OUTCOMES, function=BATCHES, outcome="processed") == 3
    assert outcomes.value(OUTCOMES, function=BATCHES, outcome="elsewhere") == 5
    duration = first[DURATION]
    labels = {"function": BATCHES, "outcome": "processed"}
    assert duration.value(f"{DURATION}_count", **labels) == 3
    assert duration.value(f"{DURATION}_sum", **labels) == pytest.approx(700.006)
    assert duration.value(f"{DURATION}_bucket", **labels, le="0.0025") == 0
    assert duration.value(f"{DURATION}_bucket", **labels, le="0.005") == 2
    assert duration.value(f"{DURATION}_bucket", **labels, le="600.0") == 2
    assert first[LAG].value(f"{LAG}_sum", function="batches") == pytest.approx(0.04)


async def test_a_value_on_a_bound_is_counted_below_it_as_opentelemetry_does(app: App) -> None:
    record(5.0)
    duration = (await read(app))[DURATION]
    assert duration.value(f"{DURATION}_bucket", function=BATCHES, outcome="processed", le="0.005") == 1


async def test_counters_grow_from_scrape_to_scrape_and_survive_a_restart_of_the_app(app: App) -> None:
    record()
    await read(app)
    restarted = open_app(app.settings)
    record()
    outcomes = (await read(restarted))[OUTCOMES]
    await restarted.redis.aclose()
    assert outcomes.value(OUTCOMES, function=BATCHES, outcome="processed") == 2
    assert 6 * 86_400 < await app.redis.ttl("functions:stats:total") <= 7 * 86_400


async def test_a_sum_goes_on_growing_after_many_effects_that_came_late(app: App) -> None:
    """A million effects that are 20 minutes late: a sum that is dropped would look like a restart to `rate`."""
    telemetry.lag("batches", 1000.0)
    await app.write_minute_counts()
    key, million_s = "functions:stats:total", 1_200_000_000
    await app.redis.hincrby(key, "lag batches sum", million_s * 1_000_000)  # type: ignore[misc]
    telemetry.lag("batches", 500.0)
    lag = (await read(app))[LAG]
    assert lag.value(f"{LAG}_sum", function="batches") == pytest.approx(million_s + 1.5, abs=0.01)
    assert lag.value(f"{LAG}_count", function="batches") == 2


async def test_the_backlog_is_read_when_it_is_asked_for(app: App) -> None:
    await dead_letters.bury(app, "batches", b"fastapi:temp:data:b1", Rejected("not JSON"), None)
    name = "keyspace_functions_backlog"
    backlog = (await read(app))[name]
    assert backlog.value(name, what="dead_letters") == 1
    assert backlog.value(name, what="retries") == backlog.value(name, what="audit_records") == 0
    await app.redis.set("functions:audit:sessions", "another application's")
    kinds = {dict(labels)["what"] for _, labels in (await read(app))[name].samples}
    assert kinds == {"dead_letters", "retries"}, "a figure that Redis refuses is left out"


async def test_states_and_shares_of_all_instances_and_the_lag_of_the_one_that_answers(app: App) -> None:
    intake = Intake(REACTORS, Watch(), app.settings)
    app.state(Running).intake = intake
    intake._deaf_since_s = time.monotonic() - 60
    await heartbeat.send(app, 'a"\\\nb', "ear", [])
    await heartbeat.send(app, "other", "trigger", [])
    families = await read(app)
    here = intake.report().instance
    states = families["keyspace_functions_instances"]
    assert {dict(labels)["state"]: value for (_, labels), value in states.samples.items()} == {
        "starting": 0,
        "trigger": 1,
        "behind": 0,
        "ear": 1,
        "deaf": 0,
    }
    share = families["keyspace_functions_share_ratio"]
    assert sum(share.samples.values()) == pytest.approx(1, abs=0.01)
    assert {dict(labels)["app_instance"] for _, labels in share.samples} == {'a"\\\\nb', "other"}, "one line, escaped"
    deaf = families["keyspace_functions_deaf_seconds"]
    assert deaf.value("keyspace_functions_deaf_seconds", app_instance=here) == pytest.approx(60, abs=10)
    behind = families["keyspace_functions_behind_seconds"]
    assert {dict(labels)["function"] for _, labels in behind.samples} == {reactor.function for reactor in REACTORS}


async def test_what_another_application_writes_among_the_totals_is_left_out(app: App) -> None:
    record()
    await app.write_minute_counts()
    key = "functions:stats:total"
    foreign = {
        "outcomes process_fastapi_data x\ny": "1",
        "outcomes process_fastapi_data": "1",
        'outcomes a"} b': "1",
        "outcomes process_fastapi_data processed more": "1",
        "duration process_fastapi_data processed 99": "1",
        "duration process_fastapi_data processed -1": "1",
        "lag batches \xff": "1",
        "other a b": "1",
        "": "1",
        "outcomes process_fastapi_data ignored": "-4",
        "outcomes process_fastapi_data dead": "nan",
    }
    await app.redis.hset(key, mapping=foreign)  # type: ignore[misc]
    families = await read(app)
    assert list(families[OUTCOMES].samples.values()) == [1]
    assert families[DURATION].value(f"{DURATION}_count", function=BATCHES, outcome="processed") == 1
    assert families[LAG].samples == {}
    for name, size in (("outcomes a b{}", 5000), ("{}", 20_000)):
        await app.redis.hset(key, mapping={name.format(number): "1" for number in range(size)})  # type: ignore[misc]
        assert (await read(app))[OUTCOMES].samples == {}, "more than the app writes: another application's"
    await app.redis.delete(key)
    await app.redis.set(key, "another application's")
    record()
    assert (await read(app))[OUTCOMES].samples == {}


async def test_a_busy_app_stays_far_below_the_bound_of_its_totals(app: App) -> None:
    functions = [reactor.function for reactor in REACTORS] + ["sweep", "retry", "session_expiry", "refresh_charts"]
    for function in functions:
        for result in Result:
            for bound_s in (*metrics.BUCKETS_S, 1000):
                metrics.duration(function, result, bound_s * 1000)
            metrics.count(function, result)
    await app.write_minute_counts()
    fields = await app.redis.hlen("functions:stats:total")  # type: ignore[misc]
    assert 800 < fields < exposition.MAX_TOTALS / 2
    started_s = time.perf_counter()
    families = await read(app)
    assert len(families[DURATION].samples) == len(functions) * len(Result) * (len(metrics.BUCKETS_S) + 3)
    assert time.perf_counter() - started_s < 5  # 5 ms on an idle machine


async def test_when_redis_is_away_there_are_no_figures(app: App) -> None:
    away = open_app(msgspec.structs.replace(app.settings, redis="127.0.0.1:1"))
    with pytest.raises(redis.exceptions.ConnectionError):
        await exposition.text(away)
    await away.redis.aclose()
