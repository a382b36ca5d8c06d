"""The analysis of one batch: statistics per metric, anomalies, and what the batch adds to the baseline. Pure.

Anomaly score: the modified z-score M = 0.6745 (x - median) / MAD of Iglewicz and Hoaglin, "How to Detect and Handle
Outliers" (ASQC 1993), who recommend |M| > 3.5. Where more than half of the values are equal the MAD is 0; then, as
they advise, the mean absolute deviation takes its place: M = (x - median) / (1.253314 MeanAD).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.baseline import Baseline
from shared.readings import Readings, Series, Timestamp
from shared.sketch import Sketch, sketch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIN_SAMPLES_OF_A_BATCH = 10
"""Below this a batch says too little about its own spread to be scored against itself: of five normal values, one in
several batches would count as an anomaly."""
MAX_ANOMALIES = 1000
"""Anomalies listed in a result, the highest scores first; the rest is counted."""
MAX_SCORE = 1e6
"""Scores end here, so that a baseline that hardly ever changed gives a large number, not infinity."""
_MAD_SCALE = 0.6745
_MEAN_AD_SCALE = 1.253314
_QUANTILES = (("p50", 0.50), ("p95", 0.95), ("p99", 0.99))


@dataclass(frozen=True)
class Reference:
    """What a reading was scored against: the rolling model, or its own batch."""

    source: str
    median: float
    mad: float
    samples: int


@dataclass(frozen=True)
class Anomaly:
    metric: str
    sensor_id: str | None
    timestamp: Timestamp
    value: float
    score: float
    baseline: Reference


@dataclass(frozen=True)
class Analysis:
    """`metrics`: per metric count, mean, std (of the population), min, max, p50, p95, p99 (linear between ranks)."""

    metrics: Mapping[str, Mapping[str, float]]
    anomalies: tuple[Anomaly, ...]
    anomalies_omitted: int
    sketches: Mapping[str, Sketch]
    baseline_samples: int


def analyse(readings: Readings, baseline: Baseline, *, threshold: float, min_samples: int) -> Analysis:
    """Analyse a batch: each metric is scored against its baseline once that holds `min_samples`, else against itself.

    `threshold` is the modified z-score past which a reading is an anomaly.
    """
    import numpy as np

    metrics: dict[str, dict[str, float]] = {}
    anomalies: list[Anomaly] = []
    sketches: dict[str, Sketch] = {}
    baseline_samples = 0
    for metric, series in readings.series.items():
        values = np.array(series.values)
        ordered = np.sort(values)
        metrics[metric] = _statistics(values, ordered)
        known = baseline.centre(metric)
        if known is not None:
            baseline_samples += known.samples
        reference: Reference | None
        if known is not None and known.samples >= min_samples:
            reference = Reference("model", known.median, known.mad, known.samples)
        else:
            reference = _own_reference(values, ordered)
        if reference is not None:
            anomalies += _anomalies(metric, series, values, ordered, reference, threshold)
        sketches[metric] = sketch(series.values)
    anomalies.sort(key=lambda one: -abs(one.score))
    return Analysis(
        metrics=metrics,
        anomalies=tuple(anomalies[:MAX_ANOMALIES]),
        anomalies_omitted=max(0, len(anomalies) - MAX_ANOMALIES),
        sketches=sketches,
        baseline_samples=baseline_samples,
    )


def _statistics(values: "NDArray[np.float64]", ordered: "NDArray[np.float64]") -> dict[str, float]:
    count = len(values)
    # Sums of values near the largest double would overflow; scaled by the largest magnitude they cannot.
    scale = max(abs(float(ordered[0])), abs(float(ordered[-1])))
    scale = scale if scale > 1e150 else 1.0
    scaled = values if scale == 1.0 else values / scale
    mean = float(scaled.sum()) / count
    deviations = scaled - mean
    found = {
        "count": count,
        "mean": mean * scale,
        "std": math.sqrt(float(deviations @ deviations) / count) * scale,
        "min": float(ordered[0]),
        "max": float(ordered[-1]),
    }
    for name, quantile in _QUANTILES:
        found[name] = _quantile(ordered, quantile)
    return found


def _quantile(ordered: "NDArray[np.float64]", quantile: float) -> float:
    rank = quantile * (len(ordered) - 1)
    below = int(rank)
    weight = rank - below
    if not weight:
        return float(ordered[below])
    return float(ordered[below]) * (1 - weight) + float(ordered[below + 1]) * weight


def _own_reference(values: "NDArray[np.float64]", ordered: "NDArray[np.float64]") -> Reference | None:
    """The batch as its own reference; None when it is too small or all its values are equal."""
    import numpy as np

    if len(values) < MIN_SAMPLES_OF_A_BATCH or ordered[0] == ordered[-1]:
        return None
    median = _quantile(ordered, 0.5)
    deviations = np.sort(np.abs(values / 2 - median / 2))  # halved: the difference of two doubles may overflow
    mad = _quantile(deviations, 0.5) * 2
    if mad == 0:
        mean_ad = float((deviations / len(deviations)).sum()) * 2
        mad = mean_ad * _MEAN_AD_SCALE * _MAD_SCALE  # so that M comes out as (x - median) / (1.253314 MeanAD)
    return Reference("batch", median, mad, len(values))


def _anomalies(
    metric: str,
    series: Series,
    values: "NDArray[np.float64]",
    ordered: "NDArray[np.float64]",
    reference: Reference,
    threshold: float,
) -> list[Anomaly]:
    import numpy as np

    # Nearly every batch has none: then its two ends show it.
    limit = threshold * reference.mad / _MAD_SCALE
    if max(float(ordered[-1]) - reference.median, reference.median - float(ordered[0])) <= limit:
        return []
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        scores = np.nan_to_num(
            _MAD_SCALE * (values - reference.median) / reference.mad, posinf=MAX_SCORE, neginf=-MAX_SCORE
        ).clip(-MAX_SCORE, MAX_SCORE)
    return [
        Anomaly(
            metric=metric,
            sensor_id=series.sources[index].sensor,
            timestamp=series.sources[index].time,
            value=series.values[index],
            score=round(float(scores[index]), 6),
            baseline=reference,
        )
        for index in np.flatnonzero(np.abs(scores) > threshold).tolist()
    ]


def as_result(readings: Readings, analysis: Analysis) -> dict[str, Any]:
    """What a result says of the readings and the analysis, ready for JSON."""
    return {
        "readings": readings.count,
        "rejected": {"count": sum(readings.rejected.values()), "reasons": dict(readings.rejected)},
        "metrics": analysis.metrics,
        "anomalies": [
            {
                "metric": one.metric,
                "sensorId": one.sensor_id,
                "timestamp": one.timestamp,
                "value": one.value,
                "score": one.score,
                "baseline": {
                    "source": one.baseline.source,
                    "median": one.baseline.median,
                    "mad": one.baseline.mad,
                    "samples": one.baseline.samples,
                },
            }
            for one in analysis.anomalies
        ],
        "anomaliesOmitted": analysis.anomalies_omitted,
    }
