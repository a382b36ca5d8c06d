"""The analysis of a batch: right figures, robust scores, nothing but finite numbers."""

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
from shared.reading.readings import Readings, from_json
from shared.runtime import lazy_numpy

FINITE = st.floats(allow_nan=False, allow_infinity=False)
HOSTILE = FINITE | st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 2.3e-308, 1.5e308, -1.5e308, 1.0, 1.0 + 2**-52])


def batch(**series: Iterable[float]) -> Readings:
    return from_json(
        json.dumps(
            [
                {"metric": metric, "sensorId": f"{metric}-{number}", "ts": number, "value": value}
                for metric, values in series.items()
                for number, value in enumerate(values)
            ]
        ).encode()
    )


def analysed(given: Readings, baseline: Baseline | None = None, min_samples: int = 100) -> Analysis:
    return analyse(given, baseline or Baseline(), threshold=3.5, min_samples=min_samples)


@given(values=st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=200))
def test_the_statistics_are_those_of_numpy(values: list[float]) -> None:
    found = analysed(batch(m=values)).metrics["m"]
    assert found.count == len(values)
    assert found.mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-9)
    # Of equal values NumPy's own mean is off by some last bits, and so is what they deviate from it.
    assert found.std == pytest.approx(np.std(values), rel=1e-6, abs=max(1e-6, 1e-15 * max(map(abs, values))))
    assert (found.min, found.max) == (min(values), max(values))
    for name, quantile in (("p50", 50), ("p95", 95), ("p99", 99)):
        assert getattr(found, name) == pytest.approx(np.percentile(values, quantile), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("count", [1, 2, 10, 127, 128, 129, 1000, 20_000])
def test_the_figures_and_anomalies_of_any_length_are_those_of_numpy(count: int) -> None:
    chance = random.Random(count)
    values = [chance.gauss(1013, 0.3) + (40 if chance.random() < 0.02 else 0) for _ in range(count)]
    found = analysed(batch(m=values))
    array = np.array(values)
    expected = [np.mean(array), np.std(array), *np.percentile(array, [0, 100, 50, 95, 99])]
    names = ["mean", "std", "min", "max", "p50", "p95", "p99"]
    assert [getattr(found.metrics["m"], name) for name in names] == pytest.approx(expected, rel=1e-12)
    mad = np.median(np.abs(array - np.median(array)))
    scores = 0.6745 * (array - np.median(array)) / mad if count >= 10 else np.zeros(count)
    far = np.flatnonzero(np.abs(scores) > 3.5)
    assert len(far) == len(found.anomalies) + found.anomalies_omitted
    assert {one.timestamp for one in found.anomalies} == set(far.tolist())
    assert all(one.score == pytest.approx(scores[one.timestamp], abs=1e-6) for one in found.anomalies)


@given(values=st.lists(HOSTILE, min_size=1, max_size=300), seed=st.randoms(use_true_random=False))
def test_the_order_of_readings_changes_no_figure_and_no_anomaly(values: list[float], seed: random.Random) -> None:
    shuffled = seed.sample(values, len(values))
    before, after = analysed(batch(m=values)), analysed(batch(m=shuffled))
    assert after.metrics == before.metrics
    assert sorted((one.value, one.score) for one in after.anomalies) == sorted(
        (one.value, one.score) for one in before.anomalies
    )


@given(values=st.lists(HOSTILE, min_size=1, max_size=50), data=st.data())
def test_no_finite_input_makes_a_figure_that_is_not_finite(values: list[float], data: st.DataObject) -> None:
    known = data.draw(st.lists(HOSTILE, max_size=50))
    readings = batch(m=values)
    found = analysed(readings, Baseline(1, {"m": sketch(known)}), min_samples=1)
    json.dumps(msgspec.to_builtins(findings(readings, found)), allow_nan=False)
    assert all(math.isfinite(one.score) for one in found.anomalies)


def test_a_planted_anomaly_is_found_with_its_sensor_and_time() -> None:
    chance = random.Random(1)
    values = [chance.gauss(24, 0.3) for _ in range(40)]
    values[17] = 31.0
    (found,) = analysed(batch(temp=values)).anomalies
    assert (found.metric, found.sensor_id, found.timestamp, found.value) == ("temp", "temp-17", 17, 31.0)
    assert found.baseline.source == "batch"
    median = np.median(values)
    mad = np.median(np.abs(np.array(values) - median))
    assert found.score == pytest.approx(0.6745 * (31.0 - median) / mad, rel=1e-5)


def test_a_whole_batch_off_its_baseline_is_found_although_it_is_calm_in_itself() -> None:
    chance = random.Random(1)
    known = Baseline(9, {"temp": sketch([chance.gauss(24, 0.3) for _ in range(500)])})
    calm = batch(temp=[30.0 + 0.01 * number for number in range(6)])
    assert len(analysed(calm, known).anomalies) == 6
    assert not analysed(calm).anomalies


def test_a_baseline_with_too_few_samples_is_not_used() -> None:
    known = Baseline(1, {"temp": sketch([24.0] * 99)})
    assert not analysed(batch(temp=[30.0] * 6), known).anomalies
    assert analysed(batch(temp=[30.0] * 6), known, min_samples=99).anomalies


def test_where_the_mad_is_zero_the_mean_absolute_deviation_scores() -> None:
    values = [5.0] * 30 + [6.0]
    (found,) = analysed(batch(m=values)).anomalies
    mean_ad = np.mean(np.abs(np.array(values) - 5.0))
    assert found.value == 6.0
    assert found.score == pytest.approx(1 / (1.253314 * mean_ad), rel=1e-4)


def test_equal_values_are_no_anomalies() -> None:
    assert not analysed(batch(m=[7.0] * 50)).anomalies
    assert not analysed(batch(m=[7.0] * 50), Baseline(1, {"m": sketch([7.0] * 500)})).anomalies


def test_a_change_of_what_never_changed_scores_the_most_there_is() -> None:
    (found,) = analysed(batch(m=[0.0, 0.0, 3.0]), Baseline(1, {"m": sketch([0.0] * 500)})).anomalies
    assert found.score == analysis.MAX_SCORE


def test_values_further_apart_than_the_largest_double_are_scored() -> None:
    values = [-1.5e308] * 30 + [1.5e308]
    (found,) = analysed(batch(m=values)).anomalies
    assert found.value == 1.5e308
    assert 3.5 < found.score <= analysis.MAX_SCORE


def test_a_baseline_without_any_spread_is_no_division_by_zero() -> None:
    """No sketch of this app's own is that fine; the model's key is another application's too."""
    known = Baseline(1, {"m": Sketch(0, {0x4014_0000_0000_0000: 500})})
    assert sorted(one.score for one in analysed(batch(m=[4.0, 5.0, 6.0]), known).anomalies) == [
        -analysis.MAX_SCORE,
        analysis.MAX_SCORE,
    ]


def test_the_list_of_anomalies_is_bounded_and_says_so() -> None:
    known = Baseline(1, {"m": sketch([0.0, 1.0, 2.0] * 50)})
    found = analysed(batch(m=[1e3 + number for number in range(analysis.MAX_ANOMALIES + 7)]), known)
    assert len(found.anomalies) == analysis.MAX_ANOMALIES
    assert found.anomalies_omitted == 7
    assert found.anomalies[0].value == 1e3 + analysis.MAX_ANOMALIES + 6


@pytest.fixture
def numpy_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few the batches are."""
    monkeypatch.setattr(lazy_numpy, "_numpy", np)
    monkeypatch.setattr(analysis, "_MANY", 1)


def assert_same(grouped: Analysis, alone: Analysis, readings: Readings) -> None:
    """Anomalies and percentiles are equal; mean and std within 1e-12 of the largest value (see the module)."""
    assert grouped.anomalies == alone.anomalies
    assert grouped.baseline_samples == alone.baseline_samples
    assert grouped.metrics.keys() == alone.metrics.keys()
    for name, expected in alone.metrics.items():
        tolerance = 1e-12 * max(map(abs, readings.series[name].values))
        found = grouped.metrics[name]
        assert found.mean == pytest.approx(expected.mean, rel=0, abs=tolerance)
        assert found.std == pytest.approx(expected.std, rel=1e-6, abs=tolerance)
        assert exact(found) == exact(expected)


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
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, others=ROWS, known=st.lists(FINITE | st.floats(20, 30), max_size=150))
def test_a_batch_gets_the_same_figures_alone_or_in_a_group(
    rows: list[list[float]], others: list[list[float]], known: list[float]
) -> None:
    alike = [batch(m=row, n=row[::-1]) for row in rows]
    mixed = [batch(m=row, n=[*row, 1.0]) for row in others] + [batch(n=row) for row in others]
    group = [one for pair in zip_longest(alike, mixed) for one in pair if one is not None]
    model = Baseline(1, {"m": sketch(known)} if known else {})
    together = analyse_many(group, model, threshold=3.5, min_samples=100)
    for readings, one in zip(group, together, strict=True):
        assert_same(one, analysed(readings, model), readings)
    assert [list(one.metrics) for one in together] == [list(one.series) for one in group]


@pytest.mark.usefixtures("numpy_for_all")
def test_anomalies_are_found_in_a_group_as_alone() -> None:
    chance = random.Random(1)
    rows = [[chance.gauss(24, 0.3) for _ in range(25)] for _ in range(64)]
    rows[17][3] = 31.0
    model = Baseline(9, {"a": sketch([chance.gauss(24, 0.3) for _ in range(500)])})
    found = analyse_many([batch(a=row, b=row) for row in rows], model, threshold=3.5, min_samples=100)
    planted = [(one.metric, one.timestamp, one.baseline.source) for one in found[17].anomalies if one.value == 31.0]
    assert sorted(planted) == [("a", 3, "model"), ("b", 3, "batch")]
    for row, one in zip(rows, found, strict=True):
        assert_same(one, analysed(batch(a=row, b=row), model), batch(a=row, b=row))


def test_no_batch_however_long_costs_a_worker_the_import_of_numpy() -> None:
    code = """
import json, sys
from shared.batches import analysis, baseline
from shared.reading import readings
for count in (25, 20_000):
    rows = [{"metric": "m", "ts": row, "value": row * 7919 % 1009 / 7} for row in range(count)]
    given = readings.from_json(json.dumps(rows).encode())
    found = analysis.analyse(given, baseline.Baseline(), threshold=3.5, min_samples=100)
    delta = baseline.encode_delta({metric: one.values for metric, one in given.series.items()})
    model = baseline.decode_model([b"+1000000:1", delta], 1000000 * baseline.GENERATION_S)
    assert model.centre("m").samples == found.metrics["m"].count == count
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
    """60 us on a quiet machine; the limit leaves room for a slow and busy one."""
    raw = json.dumps(shape).encode()

    def work() -> bytes:
        given = from_json(raw)
        found = analysed(given)
        return msgspec.json.encode(findings(given, found)) + encode_delta(
            {metric: one.values for metric, one in given.series.items()}
        )

    times_us = []
    for _ in range(50):
        started_ns = time.thread_time_ns()
        for _ in range(10):
            work()
        times_us.append((time.thread_time_ns() - started_ns) / 10_000)
    measured(f"analysis of 100 readings, {'/'.join(shape)}, CPU", min(times_us), "us")
    assert min(times_us) < 200
