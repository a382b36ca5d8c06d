"""What the app says about itself: every outcome is counted and timed, effects are logged, outages only once."""

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

from shared import reactor as outcomes
from shared import telemetry
from shared.errors import MalformedEvent
from shared.reactor import Outcome, Result, Source
from shared.telemetry import metrics

ROOT = Path(__file__).parents[2]
AUDIT_KEY = "an audit key of the tests"
KEY = b"nextauth:session:5e55107ab1e"

type Points = list[Any]
"""A counter's or a histogram's: the test knows which."""


@pytest.fixture(scope="session")
def reader() -> InMemoryMetricReader:
    """What an SDK in this process sees; a process has one for good, and the API finds it only from now on."""
    telemetry.count("before", "there was an SDK")
    found = InMemoryMetricReader()
    otel_metrics.set_meter_provider(MeterProvider([found], shutdown_on_exit=False))
    return found


@pytest.fixture
def function() -> str:
    """A name of the test's own, since metrics add up over the process."""
    return f"function-{uuid4().hex}"


@pytest.fixture
def points(reader: InMemoryMetricReader, function: str) -> Callable[[str], Points]:
    """The data points of a metric that belong to this test's function."""

    def read(metric: str) -> Points:
        data: Any = reader.get_metrics_data()
        found = [one for scope in data.resource_metrics[0].scope_metrics for one in scope.metrics if one.name == metric]
        return [point for one in found for point in one.data.data_points if point.attributes["function"] == function]

    return read


def an_outcome(result: Result) -> Outcome:
    return Outcome(KEY, result, "a reason")


@pytest.mark.parametrize("result", Result)
def test_every_outcome_is_counted_and_timed(function: str, points: Callable[[str], Points], result: Result) -> None:
    for duration_ms in (2.0, 4.0):
        telemetry.record(function, "batches", Source.EVENT, an_outcome(result), duration_ms, AUDIT_KEY, event="set")
    [counter] = points("keyspace_functions.outcomes")
    assert (counter.value, counter.attributes["outcome"]) == (2, result.value)
    [duration] = points("keyspace_functions.duration")
    assert (duration.count, duration.attributes["outcome"]) == (2, result.value)
    assert duration.sum == pytest.approx(0.006)
    assert telemetry.counts[function, result] == 2


@pytest.mark.parametrize("what", ["taken_over", "lost_lease", "swept", "dropped"])
def test_an_event_that_is_no_outcome_is_counted_with_its_number(
    function: str, points: Callable[[str], Points], what: str
) -> None:
    telemetry.count(function, what)
    telemetry.count(function, what, 64)
    [counter] = points("keyspace_functions.outcomes")
    assert (counter.value, counter.attributes["outcome"]) == (65, what)
    assert telemetry.counts[function, what] == 65
    assert points("keyspace_functions.duration") == []


def test_the_lag_between_write_and_effect_is_recorded_and_never_negative(
    function: str, points: Callable[[str], Points]
) -> None:
    for lag_ms in (250.0, 90_000.0, -3.0):
        telemetry.lag(function, lag_ms)
    [lag] = points("keyspace_functions.lag")
    assert (lag.count, lag.min, lag.max) == (3, 0.0, 90.0)


def test_buckets_tell_a_cheap_check_from_a_long_backlog(function: str, points: Callable[[str], Points]) -> None:
    for duration_ms in (0.3, 0.7, 40, 240_000):
        telemetry.record(
            function, "batches", Source.EVENT, an_outcome(Result.PROCESSED), duration_ms, AUDIT_KEY, event="set"
        )
    [duration] = points("keyspace_functions.duration")
    assert tuple(duration.explicit_bounds) == metrics.BUCKETS_S
    assert sorted(duration.bucket_counts) == [0] * (len(metrics.BUCKETS_S) - 3) + [1, 1, 1, 1]


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
def test_an_effect_is_one_line_at_the_level_it_deserves_with_its_key_masked(
    caplog: pytest.LogCaptureFixture, function: str, result: Result, level: int
) -> None:
    caplog.set_level(logging.DEBUG, telemetry.logger.name)
    telemetry.record(function, "batches", Source.EVENT, an_outcome(result), 1.5, AUDIT_KEY, event="set")
    [line] = caplog.records
    assert line.levelno == level
    assert line.__dict__["effect"]["outcome"] == result.value
    assert line.__dict__["effect"]["reason"] == "a reason"
    assert "5e55107ab1e" not in f"{line.getMessage()} {line.__dict__}"


def test_an_outage_is_one_warning_and_one_line_at_its_end_however_many_calls_fail(
    caplog: pytest.LogCaptureFixture, function: str
) -> None:
    caplog.set_level(logging.INFO, telemetry.logger.name)
    for _ in range(1000):
        telemetry.outage(function, ConnectionError("10.1.2.3:6380 refused user admin, password hunter2"))
        outcome = outcomes.retried(KEY, "Redis is away; the sweep will do it")
        telemetry.record(function, "batches", Source.EVENT, outcome, 1.0, AUDIT_KEY, event="set")
    for _ in range(1000):
        telemetry.recovered(function)
    start, end = caplog.records
    assert (start.levelno, start.getMessage()) == (logging.WARNING, f"{function} is away (ConnectionError)")
    assert end.levelno == logging.INFO
    assert end.getMessage().startswith(f"{function} is back after 0.")
    assert end.getMessage().endswith("failed calls: 1000")
    assert telemetry.counts[function, "retried"] == 1000


def test_the_next_outage_is_said_again(caplog: pytest.LogCaptureFixture, function: str) -> None:
    caplog.set_level(logging.INFO, telemetry.logger.name)
    for _ in range(2):
        telemetry.outage(function, TimeoutError())
        telemetry.recovered(function)
    assert [line.levelno for line in caplog.records] == [logging.WARNING, logging.INFO] * 2


def test_a_cold_start_does_not_pay_for_metrics_and_a_run_does_not_need_the_sdk() -> None:
    program = """
import sys
import function_app
from shared import telemetry
assert not any(name.startswith("opentelemetry") for name in sys.modules), "imported at start"
telemetry.count("function", "swept")
assert "opentelemetry.metrics" in sys.modules
assert not any(name.startswith("opentelemetry.sdk") for name in sys.modules), "the SDK"
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=30)


def test_recording_costs_little_without_an_sdk(measured: Callable[[str, float, str], None]) -> None:
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
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, timeout=30, capture_output=True, text=True
    )
    first_ms, each_us = map(float, found.stdout.split())
    measured("telemetry: first recording, with the import", first_ms, "ms")
    measured("telemetry: one outcome that is not logged", each_us, "us")
    assert first_ms < 500  # 6 ms on a quiet machine
    assert each_us < 100
