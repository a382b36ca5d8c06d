"""The analysis of a batch: statistics, anomaly scores, and hostile numbers."""

import json
import math
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from itertools import zip_longest

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.batches import analysis
from shared.batches.analysis import Analysis, Statistics, analyse, analyse_many
from shared.batches.baseline import Baseline, encode_delta
from shared.batches.results import findings
from shared.batches.sketch import Sketch, sketch
from shared.reading.model import Reading
from shared.reading.read import read_batch
from shared.runtime import lazy_numpy

FINITE = st.floats(allow_nan=False, allow_infinity=False)
HOSTILE = FINITE | st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 2.3e-308, 1.5e308, -1.5e308, 1.0, 1.0 + 2**-52])


def batch(**series: Iterable[float]) -> Reading:
    rows = [
        {"metric": metric, "sensorId": f"{metric}-{number}", "ts": number, "value": value}
        for metric, values in series.items()
        for number, value in enumerate(values)
    ]
    return read_batch("string", [json.dumps(rows).encode()])


def analysed(readings: Reading, baseline: Baseline | None = None, min_samples: int = 100) -> Analysis:
    return analyse(readings, baseline or Baseline(), threshold=3.5, min_samples=min_samples)


@given(values=st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=200))
def test_statistics_agree_with_numpy(values: list[float]) -> None:
    statistics = analysed(batch(m=values)).metrics["m"]
    assert statistics.count == len(values)
    assert statistics.mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-9)
    # For equal values, NumPy's mean is off in the last bits, and so are the deviations from it.
    assert statistics.std == pytest.approx(np.std(values), rel=1e-6, abs=max(1e-6, 1e-15 * max(map(abs, values))))
    assert (statistics.min, statistics.max) == (min(values), max(values))
    for name, quantile in (("p50", 50), ("p95", 95), ("p99", 99)):
        assert getattr(statistics, name) == pytest.approx(np.percentile(values, quantile), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("count", [1, 2, 10, 127, 128, 129, 1000, 20_000])
def test_statistics_and_anomalies_of_any_length_agree_with_numpy(count: int) -> None:
    chance = random.Random(count)
    values = [chance.gauss(1013, 0.3) + (40 if chance.random() < 0.02 else 0) for _ in range(count)]
    analysis = analysed(batch(m=values))
    array = np.array(values)
    expected = [np.mean(array), np.std(array), *np.percentile(array, [0, 100, 50, 95, 99])]
    names = ["mean", "std", "min", "max", "p50", "p95", "p99"]
    assert [getattr(analysis.metrics["m"], name) for name in names] == pytest.approx(expected, rel=1e-12)
    mad = np.median(np.abs(array - np.median(array)))
    scores = 0.6745 * (array - np.median(array)) / mad if count >= 10 else np.zeros(count)
    far = np.flatnonzero(np.abs(scores) > 3.5)
    assert len(far) == len(analysis.anomalies) + analysis.anomalies_omitted
    assert {anomaly.timestamp for anomaly in analysis.anomalies} == set(far.tolist())
    assert all(anomaly.score == pytest.approx(scores[anomaly.timestamp], abs=1e-6) for anomaly in analysis.anomalies)


@given(values=st.lists(HOSTILE, min_size=1, max_size=300), seed=st.randoms(use_true_random=False))
def test_the_order_of_readings_does_not_change_the_analysis(values: list[float], seed: random.Random) -> None:
    shuffled = seed.sample(values, len(values))
    before, after = analysed(batch(m=values)), analysed(batch(m=shuffled))
    assert after.metrics == before.metrics
    assert sorted((anomaly.value, anomaly.score) for anomaly in after.anomalies) == sorted(
        (anomaly.value, anomaly.score) for anomaly in before.anomalies
    )


@given(values=st.lists(HOSTILE, min_size=1, max_size=50), data=st.data())
def test_finite_readings_give_finite_results(values: list[float], data: st.DataObject) -> None:
    baseline_values = data.draw(st.lists(HOSTILE, max_size=50))
    readings = batch(m=values)
    analysis = analysed(readings, Baseline(1, {"m": sketch(baseline_values)}), min_samples=1)
    json.dumps(msgspec.to_builtins(findings(readings, analysis)), allow_nan=False)
    assert all(math.isfinite(anomaly.score) for anomaly in analysis.anomalies)


def test_a_planted_anomaly_is_reported_with_its_sensor_and_time() -> None:
    chance = random.Random(1)
    values = [chance.gauss(24, 0.3) for _ in range(40)]
    values[17] = 31.0
    (anomaly,) = analysed(batch(temp=values)).anomalies
    assert (anomaly.metric, anomaly.sensor_id, anomaly.timestamp, anomaly.value) == ("temp", "temp-17", 17, 31.0)
    assert anomaly.baseline.source == "batch"
    median = np.median(values)
    mad = np.median(np.abs(np.array(values) - median))
    assert anomaly.score == pytest.approx(0.6745 * (31.0 - median) / mad, rel=1e-5)


def test_a_batch_without_spread_is_scored_against_the_baseline() -> None:
    chance = random.Random(1)
    baseline = Baseline(9, {"temp": sketch([chance.gauss(24, 0.3) for _ in range(500)])})
    calm = batch(temp=[30.0 + 0.01 * number for number in range(6)])
    assert len(analysed(calm, baseline).anomalies) == 6
    assert not analysed(calm).anomalies


def test_a_baseline_with_too_few_samples_is_not_used() -> None:
    baseline = Baseline(1, {"temp": sketch([24.0] * 99)})
    assert not analysed(batch(temp=[30.0] * 6), baseline).anomalies
    assert analysed(batch(temp=[30.0] * 6), baseline, min_samples=99).anomalies


def test_a_mad_of_zero_is_replaced_by_the_mean_absolute_deviation() -> None:
    values = [5.0] * 30 + [6.0]
    (anomaly,) = analysed(batch(m=values)).anomalies
    mean_ad = np.mean(np.abs(np.array(values) - 5.0))
    assert anomaly.value == 6.0
    assert anomaly.score == pytest.approx(1 / (1.253314 * mean_ad), rel=1e-4)


def test_equal_values_have_no_anomalies() -> None:
    assert not analysed(batch(m=[7.0] * 50)).anomalies
    assert not analysed(batch(m=[7.0] * 50), Baseline(1, {"m": sketch([7.0] * 500)})).anomalies


def test_a_change_from_a_constant_baseline_gets_the_maximum_score() -> None:
    (anomaly,) = analysed(batch(m=[0.0, 0.0, 3.0]), Baseline(1, {"m": sketch([0.0] * 500)})).anomalies
    assert anomaly.score == analysis.MAX_SCORE


def test_values_further_apart_than_the_largest_double_are_scored() -> None:
    values = [-1.5e308] * 30 + [1.5e308]
    (anomaly,) = analysed(batch(m=values)).anomalies
    assert anomaly.value == 1.5e308
    assert 3.5 < anomaly.score <= analysis.MAX_SCORE


def test_a_baseline_with_a_mad_of_zero_gives_clamped_scores() -> None:
    """This app writes no sketch that fine, but another application may write the model's key."""
    baseline = Baseline(1, {"m": Sketch(0, {0x4014_0000_0000_0000: 500})})
    assert sorted(anomaly.score for anomaly in analysed(batch(m=[4.0, 5.0, 6.0]), baseline).anomalies) == [
        -analysis.MAX_SCORE,
        analysis.MAX_SCORE,
    ]


def test_the_list_of_anomalies_is_bounded_and_counts_the_rest() -> None:
    baseline = Baseline(1, {"m": sketch([0.0, 1.0, 2.0] * 50)})
    result = analysed(batch(m=[1e3 + number for number in range(analysis.MAX_ANOMALIES + 7)]), baseline)
    assert len(result.anomalies) == analysis.MAX_ANOMALIES
    assert result.anomalies_omitted == 7
    assert result.anomalies[0].value == 1e3 + analysis.MAX_ANOMALIES + 6


@pytest.fixture
def numpy_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use NumPy for groups of any size."""
    monkeypatch.setattr(lazy_numpy, "_numpy", np)
    monkeypatch.setattr(analysis, "_MIN_NUMPY_ROWS", 1)


def assert_same(grouped: Analysis, alone: Analysis, readings: Reading) -> None:
    """Anomalies and percentiles are equal; mean and std agree within the tolerance that analysis.py states."""
    assert grouped.anomalies == alone.anomalies
    assert grouped.baseline_samples == alone.baseline_samples
    assert grouped.metrics.keys() == alone.metrics.keys()
    for name, expected in alone.metrics.items():
        tolerance = 1e-12 * max(map(abs, readings.series[name].values))
        statistics = grouped.metrics[name]
        assert statistics.mean == pytest.approx(expected.mean, rel=0, abs=tolerance)
        assert statistics.std == pytest.approx(expected.std, rel=1e-6, abs=tolerance)
        assert exact(statistics) == exact(expected)


def exact(figures: Statistics) -> Statistics:
    return msgspec.structs.replace(figures, mean=0.0, std=0.0)


ROWS = st.integers(1, 40).flatmap(
    lambda count: st.lists(
        st.lists(FINITE | st.floats(20, 30) | st.sampled_from([0.0, 7.0]), min_size=count, max_size=count),
        min_size=1,
        max_size=8,
    )
)


@pytest.mark.usefixtures("numpy_for_all")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=ROWS, others=ROWS, baseline_values=st.lists(FINITE | st.floats(20, 30), max_size=150))
def test_a_batch_has_the_same_analysis_alone_and_in_a_group(
    rows: list[list[float]], others: list[list[float]], baseline_values: list[float]
) -> None:
    alike = [batch(m=row, n=row[::-1]) for row in rows]
    mixed = [batch(m=row, n=[*row, 1.0]) for row in others] + [batch(n=row) for row in others]
    group = [readings for pair in zip_longest(alike, mixed) for readings in pair if readings is not None]
    model = Baseline(1, {"m": sketch(baseline_values)} if baseline_values else {})
    together = analyse_many(group, model, threshold=3.5, min_samples=100)
    for readings, grouped in zip(group, together, strict=True):
        assert_same(grouped, analysed(readings, model), readings)
    assert [list(grouped.metrics) for grouped in together] == [list(readings.series) for readings in group]


@pytest.mark.usefixtures("numpy_for_all")
def test_a_group_reports_the_same_anomalies_as_single_batches() -> None:
    chance = random.Random(1)
    rows = [[chance.gauss(24, 0.3) for _ in range(25)] for _ in range(64)]
    rows[17][3] = 31.0
    model = Baseline(9, {"a": sketch([chance.gauss(24, 0.3) for _ in range(500)])})
    analyses = analyse_many([batch(a=row, b=row) for row in rows], model, threshold=3.5, min_samples=100)
    planted = [anomaly for anomaly in analyses[17].anomalies if anomaly.value == 31.0]
    reported = [(anomaly.metric, anomaly.timestamp, anomaly.baseline.source) for anomaly in planted]
    assert sorted(reported) == [("a", 3, "model"), ("b", 3, "batch")]
    for row, grouped in zip(rows, analyses, strict=True):
        assert_same(grouped, analysed(batch(a=row, b=row), model), batch(a=row, b=row))


def test_analysing_a_single_batch_does_not_import_numpy() -> None:
    code = """
import json, sys
from shared.batches import analysis, baseline
from shared.reading.read import read_batch
for count in (25, 20_000):
    rows = [{"metric": "m", "ts": row, "value": row * 7919 % 1009 / 7} for row in range(count)]
    batch = read_batch("string", [json.dumps(rows).encode()])
    result = analysis.analyse(batch, baseline.Baseline(), threshold=3.5, min_samples=100)
    delta = baseline.encode_delta({metric: series.values for metric, series in batch.series.items()})
    model = baseline.decode_model([b"+1000000:1", delta], 1000000 * baseline.GENERATION_S)
    assert model.centre("m").samples == result.metrics["m"].count == count
assert "numpy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


WIDE = [
    {
        "timestamp": f"2026-01-01T00:00:{row:02}.000Z",
        "location": "injection-well-07, wellhead manifold, north skid",
        "quality": {"flag": "good", "source": "scada", "calibration": "2025-11-30", "operator": "automatic"},
        "data": dict.fromkeys(("co2_flow_rate", "water_flow", "water_temp", "ph"), 20 + row * 7919 % 101 / 97),
    }
    for row in range(25)
]
LONG = [
    {"sensorId": "T-07", "metric": name, "ts": row["timestamp"], "value": value}
    for row in WIDE
    for name, value in row["data"].items()
]


@pytest.mark.parametrize("shape", [{"records": WIDE}, {"readings": LONG}], ids=["wide", "long"])
def test_a_hundred_readings_take_well_under_a_millisecond(
    shape: dict[str, object], measured: Callable[[str, float, str], None]
) -> None:
    """60 us on an idle machine; the limit allows for a slow and busy one."""
    raw = json.dumps(shape).encode()

    def work() -> bytes:
        readings = read_batch("string", [raw])
        result = msgspec.json.encode(findings(readings, analysed(readings)))
        return result + encode_delta({metric: series.values for metric, series in readings.series.items()})

    times_us = []
    for _ in range(50):
        started_ns = time.thread_time_ns()
        for _ in range(10):
            work()
        times_us.append((time.thread_time_ns() - started_ns) / 10_000)
    measured(f"analysis of 100 readings, {'/'.join(shape)}, CPU", min(times_us), "us")
    assert min(times_us) < 200
