"""Telemetry: every outcome is counted and timed, effects are logged, an outage is logged once."""

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from opentelemetry import metrics as otel_metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from redis.exceptions import OutOfMemoryError

from shared import reactor as outcomes
from shared import telemetry
from shared.delivery.catch_up import Watch
from shared.errors import MalformedEvent
from shared.intake.intake import Intake
from shared.reactor import Outcome, Result, Source
from shared.registry import REACTORS
from shared.settings import Settings
from shared.telemetry import metrics, minute_counts, outages

ROOT = Path(__file__).parents[2]
AUDIT_KEY = "an audit key of the tests"
KEY = b"nextauth:session:5e55107ab1e"

type Points = list[Any]
"""Data points of a counter or of a histogram, as the test expects."""


@pytest.fixture(scope="session")
def reader() -> InMemoryMetricReader:
    """The metrics that the SDK of this process collects from now on. A process has one SDK, for its lifetime."""
    telemetry.count("before", "the SDK")
    metric_reader = InMemoryMetricReader()
    otel_metrics.set_meter_provider(MeterProvider([metric_reader], shutdown_on_exit=False))
    return metric_reader


@pytest.fixture
def function() -> str:
    """A name that only this test uses, because metrics add up over the process."""
    return f"function-{uuid4().hex}"


@pytest.fixture
def points(reader: InMemoryMetricReader, function: str) -> Callable[[str], Points]:
    """The data points of a metric that belong to this test's function."""

    def read(metric: str) -> Points:
        data: Any = reader.get_metrics_data()
        scopes = data.resource_metrics[0].scope_metrics
        matching = [candidate for scope in scopes for candidate in scope.metrics if candidate.name == metric]
        collected = [point for candidate in matching for point in candidate.data.data_points]
        return [point for point in collected if point.attributes["function"] == function]

    return read


def outcome_of(result: Result) -> Outcome:
    return Outcome(KEY, result, "a reason")


@pytest.mark.parametrize("result", Result)
def test_every_outcome_is_counted_and_timed(function: str, points: Callable[[str], Points], result: Result) -> None:
    for duration_ms in (2.0, 4.0):
        telemetry.record(function, "batches", Source.EVENT, outcome_of(result), duration_ms, AUDIT_KEY, event="set")
    [counter] = points("keyspace_functions.outcomes")
    assert (counter.value, counter.attributes["outcome"]) == (2, result.value)
    [duration] = points("keyspace_functions.duration")
    assert (duration.count, duration.attributes["outcome"]) == (2, result.value)
    assert duration.sum == pytest.approx(0.006)
    assert telemetry.counts[function, result] == 2


@pytest.mark.parametrize(
    "outcome",
    [
        outcomes.inert(KEY, "the event changes nothing"),
        outcomes.ignored(b"fastapi:temp:data:canary-0123456789abcdef", "placeholder"),
        outcomes.ignored(b"fabric:data:chart::canary-0123456789abcdef", "not a chart"),
    ],
)
def test_an_event_with_nothing_to_react_to_is_in_no_rate_and_no_latency(
    function: str, points: Callable[[str], Points], caplog: pytest.LogCaptureFixture, outcome: Outcome
) -> None:
    caplog.set_level(logging.DEBUG, telemetry.logger.name)
    minute_counts.take(now=True)
    telemetry.record(function, "batches", Source.EVENT, outcome, 0.04, AUDIT_KEY, event="expire")
    minute, _ = minute_counts.split(minute_counts.take(now=True))
    assert minute == {}
    assert points("keyspace_functions.duration") == []
    [counter] = points("keyspace_functions.outcomes")
    assert (counter.value, counter.attributes["outcome"]) == (1, "inert")
    [line] = caplog.records
    assert (line.levelno, line.__dict__["effect"]["outcome"]) == (logging.DEBUG, "inert")


def test_a_batch_of_a_client_that_is_called_like_a_probe_is_counted(
    function: str, points: Callable[[str], Points]
) -> None:
    outcome = outcomes.processed(b"fastapi:temp:data:canary-0123456789abcdef")
    telemetry.record(function, "batches", Source.EVENT, outcome, 2.0, AUDIT_KEY, event="set")
    assert [point.attributes["outcome"] for point in points("keyspace_functions.duration")] == ["processed"]


@pytest.mark.parametrize("event_name", ["taken_over", "lost_lease", "swept", "dropped"])
def test_events_other_than_outcomes_are_counted(
    function: str, points: Callable[[str], Points], event_name: str
) -> None:
    telemetry.count(function, event_name)
    telemetry.count(function, event_name, 64)
    [counter] = points("keyspace_functions.outcomes")
    assert (counter.value, counter.attributes["outcome"]) == (65, event_name)
    assert telemetry.counts[function, event_name] == 65
    assert points("keyspace_functions.duration") == []


def test_the_lag_between_write_and_effect_is_recorded_and_not_negative(
    function: str, points: Callable[[str], Points]
) -> None:
    for lag_ms in (250.0, 90_000.0, -3.0):
        telemetry.lag(function, lag_ms)
    [lag] = points("keyspace_functions.lag")
    assert (lag.count, lag.min, lag.max) == (3, 0.0, 90.0)


def test_buckets_distinguish_durations_from_under_a_millisecond_to_minutes(
    function: str, points: Callable[[str], Points]
) -> None:
    for duration_ms in (0.3, 0.7, 40, 240_000):
        telemetry.record(
            function, "batches", Source.EVENT, outcome_of(Result.PROCESSED), duration_ms, AUDIT_KEY, event="set"
        )
    [duration] = points("keyspace_functions.duration")
    assert tuple(duration.explicit_bounds) == metrics.BUCKETS_S
    assert sorted(duration.bucket_counts) == [0] * (len(metrics.BUCKETS_S) - 3) + [1, 1, 1, 1]


def test_lag_and_share_and_deafness_of_the_triggers_are_gauges(
    function: str, points: Callable[[str], Points], reader: InMemoryMetricReader
) -> None:
    telemetry.triggers({function: 0.25}, 0.0, 0.5, {"trigger": 2, "deaf": 1})
    telemetry.triggers({function: 1.5}, 7.0, 0.25, {"trigger": 3, "deaf": 0})
    assert [point.value for point in points("keyspace_functions.behind")] == [1.5]
    data: Any = reader.get_metrics_data()
    values = {
        metric.name: metric.data.data_points[0].value
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        if metric.name in {"keyspace_functions.deaf", "keyspace_functions.share"}
    }
    assert values == {"keyspace_functions.deaf": 7.0, "keyspace_functions.share": 0.25}


def test_events_that_the_intake_drops_are_counted_at_its_tick() -> None:
    intake = Intake(REACTORS, Watch(), Settings())
    way = intake.ways["batches"]
    before = telemetry.counts[way.reactor.function, "elsewhere"]
    way.dropped["elsewhere"] += 3
    intake._measure()
    intake._measure()
    assert telemetry.counts[way.reactor.function, "elsewhere"] == before + 3


def test_a_malformed_message_is_counted(function: str, points: Callable[[str], Points]) -> None:
    telemetry.malformed(function, MalformedEvent("no JSON"))
    [counter] = points("keyspace_functions.outcomes")
    assert (counter.value, counter.attributes["outcome"]) == (1, "malformed")


@pytest.mark.parametrize(
    ("result", "level"),
    [
        (Result.PROCESSED, logging.INFO),
        (Result.DUPLICATE, logging.DEBUG),
        (Result.IGNORED, logging.DEBUG),
        (Result.REJECTED, logging.WARNING),
        (Result.RETRIED, logging.WARNING),
        (Result.DEAD, logging.ERROR),
    ],
)
def test_an_effect_is_one_log_line_at_the_level_of_its_result_with_a_masked_key(
    caplog: pytest.LogCaptureFixture, function: str, result: Result, level: int
) -> None:
    caplog.set_level(logging.DEBUG, telemetry.logger.name)
    telemetry.record(function, "batches", Source.EVENT, outcome_of(result), 1.5, AUDIT_KEY, event="set")
    [line] = caplog.records
    assert line.levelno == level
    assert line.__dict__["effect"]["outcome"] == result.value
    assert line.__dict__["effect"]["reason"] == "a reason"
    assert "5e55107ab1e" not in f"{line.getMessage()} {line.__dict__}"


def test_an_outage_is_one_warning_and_one_line_at_its_end(caplog: pytest.LogCaptureFixture, function: str) -> None:
    caplog.set_level(logging.INFO, telemetry.logger.name)
    for _ in range(1000):
        telemetry.outage("Redis", ConnectionError("10.1.2.3:6380 refused user admin, password hunter2"))
        outcome = outcomes.retried(KEY, "Redis is away; reconciliation will find the key")
        telemetry.record(function, "batches", Source.EVENT, outcome, 1.0, AUDIT_KEY, event="set")
    for _ in range(1000):
        telemetry.recovered("Redis")
    start, end = caplog.records
    assert (start.levelno, start.getMessage()) == (logging.WARNING, "Redis is away (ConnectionError)")
    assert end.levelno == logging.WARNING
    assert end.getMessage().startswith("Redis is back after 0.")
    assert end.getMessage().endswith("failed calls: 1000")
    assert telemetry.counts[function, "retried"] == 1000


def test_a_retry_while_only_another_service_is_away_is_logged(caplog: pytest.LogCaptureFixture, function: str) -> None:
    telemetry.outage("storage", ConnectionError())
    telemetry.record(function, "batches", Source.EVENT, outcome_of(Result.RETRIED), 1.0, AUDIT_KEY, event="set")
    telemetry.recovered("storage")
    _, retry, _ = caplog.records
    assert (retry.levelno, retry.__dict__["effect"]["outcome"]) == (logging.WARNING, "retried")


def test_a_service_that_nobody_needs_any_more_is_forgotten_without_a_line(
    caplog: pytest.LogCaptureFixture, function: str
) -> None:
    telemetry.outage(function, TimeoutError())
    telemetry.forget(function)
    telemetry.recovered(function)
    assert len(caplog.records) == 1
    assert not telemetry.in_outage(function)


def test_what_is_refused_is_one_outage_until_each_part_is_served_again(
    caplog: pytest.LogCaptureFixture, function: str
) -> None:
    for part in ("batches", "charts", "batches"):
        telemetry.outage(function, OutOfMemoryError("command not allowed"), part)
        telemetry.recovered(function)  # other calls succeed
    assert telemetry.refused_parts(function) == {"batches": "OutOfMemoryError", "charts": "OutOfMemoryError"}
    telemetry.recovered(function, "charts")
    assert [line.getMessage() for line in caplog.records] == [f"{function} refuses to serve (OutOfMemoryError)"]
    telemetry.recovered(function, "batches")
    assert caplog.records[-1].getMessage().startswith(f"{function} is back after 0.")
    assert len(caplog.records) == 2
    assert telemetry.refused_parts(function) == {}


def test_a_part_that_nobody_tries_any_more_is_forgotten(monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    telemetry.outage(function, OutOfMemoryError(), "the timer that moved to another instance")
    telemetry.recovered(function)
    assert telemetry.refused_parts(function)
    monkeypatch.setattr(outages, "FORGOTTEN_S", -1.0)
    telemetry.recovered(function)
    assert not telemetry.refused_parts(function)


def test_the_next_outage_is_logged_again(caplog: pytest.LogCaptureFixture, function: str) -> None:
    caplog.set_level(logging.INFO, telemetry.logger.name)
    for _ in range(2):
        telemetry.outage(function, TimeoutError())
        telemetry.recovered(function)
    assert [line.levelno for line in caplog.records] == [logging.WARNING] * 4


def test_neither_a_cold_start_nor_recording_needs_the_sdk() -> None:
    """redis-py imports the API of OpenTelemetry by itself (6 ms); the SDK would take 60 ms."""
    program = """
import sys
import function_app
from shared import telemetry
assert not any(name.startswith("opentelemetry.sdk") for name in sys.modules), "imported at start"
telemetry.count("function", "swept")
assert "opentelemetry.metrics" in sys.modules
assert not any(name.startswith("opentelemetry.sdk") for name in sys.modules), "the SDK"
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=30)


def test_recording_without_an_sdk_is_cheap(measured: Callable[[str, float, str], None]) -> None:
    program = """
import time
from shared import telemetry
from shared.reactor import Source, duplicate
started_s = time.perf_counter()
telemetry.count("function", "first")
print((time.perf_counter() - started_s) * 1e3)
started_s = time.perf_counter()
for _ in range(10_000):
    outcome = duplicate(b"fastapi:temp:data:b")
    telemetry.record("function", "batches", Source.EVENT, outcome, 1.0, "an audit key of the tests", event="set")
print((time.perf_counter() - started_s) * 1e2)
"""
    completed = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, timeout=30, capture_output=True, text=True
    )
    first_ms, each_us = map(float, completed.stdout.split())
    measured("telemetry: first recording, with the import", first_ms, "ms")
    measured("telemetry: one outcome that is not logged", each_us, "us")
    assert first_ms < 500  # 6 ms on an idle machine
    assert each_us < 100
