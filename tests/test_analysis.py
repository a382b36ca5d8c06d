"""The analysis of a batch: right figures, robust scores, nothing but finite numbers."""

import json
import math
import random
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import analysis
from shared.analysis import Analysis, analyse, as_result
from shared.baseline import Baseline
from shared.readings import Readings, from_json
from shared.sketch import sketch


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
    assert found["count"] == len(values)
    assert found["mean"] == pytest.approx(np.mean(values), rel=1e-9, abs=1e-9)
    assert found["std"] == pytest.approx(np.std(values), rel=1e-6, abs=1e-6)
    assert (found["min"], found["max"]) == (min(values), max(values))
    for name, quantile in (("p50", 50), ("p95", 95), ("p99", 99)):
        assert found[name] == pytest.approx(np.percentile(values, quantile), rel=1e-9, abs=1e-9)


@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=50), data=st.data())
def test_no_finite_input_makes_a_figure_that_is_not_finite(values: list[float], data: st.DataObject) -> None:
    known = data.draw(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=50))
    readings = batch(m=values)
    found = analysed(readings, Baseline(1, {"m": sketch(known)}), min_samples=1)
    json.dumps(as_result(readings, found), allow_nan=False)
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
    known = Baseline(9, {"temp": sketch(chance.gauss(24, 0.3) for _ in range(500))})
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


def test_the_list_of_anomalies_is_bounded_and_says_so() -> None:
    known = Baseline(1, {"m": sketch([0.0, 1.0, 2.0] * 50)})
    found = analysed(batch(m=[1e3 + number for number in range(analysis.MAX_ANOMALIES + 7)]), known)
    assert len(found.anomalies) == analysis.MAX_ANOMALIES
    assert found.anomalies_omitted == 7
    assert found.anomalies[0].value == 1e3 + analysis.MAX_ANOMALIES + 6
