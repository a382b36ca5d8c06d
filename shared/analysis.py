"""The analysis of one batch: statistics per metric, anomalies, and what the batch adds to the baseline. Pure.

Anomaly score: the modified z-score M = 0.6745 (x - median) / MAD of Iglewicz and Hoaglin, "How to Detect and Handle
Outliers" (ASQC 1993), who recommend |M| > 3.5. Where more than half of the values are equal the MAD is 0; then, as
they advise, the mean absolute deviation takes its place: M = (x - median) / (1.253314 MeanAD).
"""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from shared.baseline import Baseline
from shared.readings import Readings, Series, Timestamp

MIN_SAMPLES_OF_A_BATCH = 10
"""Below this a batch says too little about its own spread to be scored against itself: of five normal values, one in
several batches would count as an anomaly."""
MAX_ANOMALIES = 1000
"""Anomalies listed in a result, the highest scores first; the rest is counted."""
MAX_SCORE = 1e6
"""Scores end here, so that a baseline that hardly ever changed gives a large number, not infinity."""
_MAD_SCALE = 0.6745
_MEAN_AD_SCALE = 1.253314
_HUGE = 1e150
"""Squares of larger values may overflow."""


class Reference(msgspec.Struct, frozen=True):
    """What a reading was scored against: the rolling model, or its own batch."""

    source: str
    median: float
    mad: float
    samples: int


class Anomaly(msgspec.Struct, frozen=True, rename="camel"):
    """As a result lists it."""

    metric: str
    sensor_id: str | None
    timestamp: Timestamp
    value: float
    score: float
    baseline: Reference


class Analysis(msgspec.Struct, frozen=True):
    """`metrics`: per metric count, mean, std (of the population), min, max, p50, p95, p99 (linear between ranks)."""

    metrics: Mapping[str, Mapping[str, float]]
    anomalies: tuple[Anomaly, ...]
    anomalies_omitted: int
    baseline_samples: int


def analyse(readings: Readings, baseline: Baseline, *, threshold: float, min_samples: int) -> Analysis:
    """Analyse a batch: each metric is scored against its baseline once that holds `min_samples`, else against itself.

    `threshold` is the modified z-score past which a reading is an anomaly.
    """
    metrics: dict[str, dict[str, float]] = {}
    anomalies: list[Anomaly] = []
    baseline_samples = 0
    for metric, series in readings.series.items():
        ordered = sorted(series.values)
        metrics[metric] = figures = _statistics(ordered)
        known = baseline.centre(metric)
        if known is not None:
            baseline_samples += known.samples
        reference: Reference | None
        if known is not None and known.samples >= min_samples:
            reference = Reference("model", known.median, known.mad, known.samples)
        else:
            reference = _own_reference(ordered, figures["p50"])
        if reference is not None:
            anomalies += _anomalies(metric, series, ordered, reference, threshold)
    anomalies.sort(key=lambda one: -abs(one.score))
    return Analysis(
        metrics=metrics,
        anomalies=tuple(anomalies[:MAX_ANOMALIES]),
        anomalies_omitted=max(0, len(anomalies) - MAX_ANOMALIES),
        baseline_samples=baseline_samples,
    )


def _statistics(ordered: Sequence[float]) -> dict[str, float]:
    low, high = ordered[0], ordered[-1]
    largest = max(-low, high)
    if largest > _HUGE:
        mean, std = (figure * largest for figure in _mean_and_std([value / largest for value in ordered]))
    else:
        mean, std = _mean_and_std(ordered)
    return {
        "count": len(ordered),
        "mean": mean,
        "std": std,
        "min": low,
        "max": high,
        "p50": _quantile(ordered, 0.50),
        "p95": _quantile(ordered, 0.95),
        "p99": _quantile(ordered, 0.99),
    }


def _mean_and_std(values: Sequence[float]) -> tuple[float, float]:
    count = len(values)
    mean = math.fsum(values) / count
    deviations = [value - mean for value in values]
    return mean, math.sqrt(math.sumprod(deviations, deviations) / count)


def _quantile(ordered: Sequence[float], quantile: float) -> float:
    rank = quantile * (len(ordered) - 1)
    below = int(rank)
    weight = rank - below
    if not weight:
        return ordered[below]
    return ordered[below] * (1 - weight) + ordered[below + 1] * weight


def _own_reference(ordered: Sequence[float], median: float) -> Reference | None:
    """The batch as its own reference; None when it is too small or all its values are equal."""
    if len(ordered) < MIN_SAMPLES_OF_A_BATCH or ordered[0] == ordered[-1]:
        return None
    # They fall, then rise: two runs, which sorting only merges.
    deviations = sorted([abs(value - median) for value in ordered])
    if deviations[-1] == math.inf:  # the difference of two doubles may overflow
        deviations = [min(one, sys.float_info.max) for one in deviations]
    mad = _quantile(deviations, 0.5)
    if mad == 0:
        mean_ad = math.fsum(one / len(deviations) for one in deviations)
        mad = mean_ad * _MEAN_AD_SCALE * _MAD_SCALE  # so that M comes out as (x - median) / (1.253314 MeanAD)
    return Reference("batch", median, mad, len(ordered))


def _anomalies(
    metric: str, series: Series, ordered: Sequence[float], reference: Reference, threshold: float
) -> list[Anomaly]:
    median, mad = reference.median, reference.mad
    limit = threshold * mad / _MAD_SCALE
    # Nearly every batch has none: then its two ends show it.
    if max(ordered[-1] - median, median - ordered[0]) <= limit:
        return []
    return [
        Anomaly(metric, source.sensor, source.time, value, _score(value - median, mad), reference)
        for value, source in zip(series.values, series.sources, strict=True)
        if abs(value - median) > limit
    ]


def _score(deviation: float, mad: float) -> float:
    score = _MAD_SCALE * deviation / mad if mad else math.copysign(MAX_SCORE, deviation)
    return round(max(-MAX_SCORE, min(MAX_SCORE, score)), 6)


def as_result(readings: Readings, analysis: Analysis) -> dict[str, Any]:
    """What a result says of the readings and the analysis, ready for JSON."""
    return {
        "readings": readings.count,
        "rejected": {"count": sum(readings.rejected.values()), "reasons": dict(readings.rejected)},
        "metrics": analysis.metrics,
        "anomalies": msgspec.to_builtins(analysis.anomalies),
        "anomaliesOmitted": analysis.anomalies_omitted,
    }
