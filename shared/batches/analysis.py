"""The analysis of batches: statistics per metric, and anomalies. Pure.

`analyse` takes one batch; `analyse_many` a group, which NumPy sorts and sums at once. Both give the same anomalies and
percentiles; means and standard deviations agree within a relative tolerance of 1e-12 of the largest value, since the
two add in different orders.

Anomaly score: the modified z-score M = 0.6745 (x - median) / MAD of Iglewicz and Hoaglin, "How to Detect and Handle
Outliers" (ASQC 1993), who recommend |M| > 3.5. Where more than half of the values are equal the MAD is 0; then, as
they advise, the mean absolute deviation takes its place: M = (x - median) / (1.253314 MeanAD).
"""

import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress, repeat
from typing import Any

import msgspec

from shared.batches.baseline import Baseline
from shared.reading.float_arrays import joined
from shared.reading.readings import Readings, Series, Timestamp
from shared.runtime import lazy_numpy

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
_PERCENTILES = (0.50, 0.95, 0.99)
_MANY = 96
"""Metrics of alike batches from which on NumPy is quicker."""


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


class Statistics(msgspec.Struct, frozen=True):
    """Of one metric's readings: `std` is that of the population, percentiles are linear between ranks."""

    count: int
    mean: float
    std: float
    min: float
    max: float
    p50: float
    p95: float
    p99: float


class Analysis(msgspec.Struct, frozen=True):
    metrics: Mapping[str, Statistics]
    anomalies: Sequence[Anomaly]
    anomalies_omitted: int
    baseline_samples: int


class References:
    """What readings are held against."""

    def __init__(self, baseline: Baseline, threshold: float, min_samples: int) -> None:
        self.threshold = threshold
        self._baseline = baseline
        self._min_samples = min_samples

    def of(self, metric: str) -> Reference | None:
        """The model's reference for a metric; None where its own batch has to do."""
        known = self._baseline.centre(metric)
        if known is None or known.samples < self._min_samples:
            return None
        return Reference("model", known.median, known.mad, known.samples)

    def samples(self, metrics: Iterable[str]) -> int:
        """How many the model has of these."""
        return sum([known.samples for metric in metrics if (known := self._baseline.centre(metric)) is not None])


def analyse(readings: Readings, baseline: Baseline, *, threshold: float, min_samples: int) -> Analysis:
    """Analyse a batch: each metric is scored against its baseline once that holds `min_samples`, else against itself.

    `threshold` is the modified z-score past which a reading is an anomaly.
    """
    return _analyse(readings, References(baseline, threshold, min_samples))


def analyse_many(
    group: Sequence[Readings], baseline: Baseline, *, threshold: float, min_samples: int
) -> list[Analysis]:
    """The same for each batch of a group: one `Analysis` each, in order."""
    references = References(baseline, threshold, min_samples)
    alike: defaultdict[tuple[object, ...], list[Readings]] = defaultdict(list)
    shapes = [(*readings.series, *{len(series.values) for series in readings.series.values()}) for readings in group]
    for shape, readings in zip(shapes, group, strict=True):
        alike[shape].append(readings)
    found = {shape: iter(_analyse_alike(some, references)) for shape, some in alike.items()}
    return [next(found[shape]) for shape in shapes]


def _analyse(readings: Readings, references: References) -> Analysis:
    metrics: dict[str, Statistics] = {}
    anomalies: list[Anomaly] = []
    for metric, series in readings.series.items():
        ordered = sorted(series.values)
        metrics[metric] = _statistics(ordered)
        anomalies += _anomalies(metric, series, ordered, references)
    return _analysis(metrics, anomalies, references.samples(metrics))


def _analysis(metrics: Mapping[str, Statistics], anomalies: list[Anomaly], samples: int) -> Analysis:
    anomalies.sort(key=lambda one: -abs(one.score))
    return Analysis(metrics, anomalies[:MAX_ANOMALIES], max(0, len(anomalies) - MAX_ANOMALIES), samples)


def _analyse_alike(group: Sequence[Readings], references: References) -> Iterable[Analysis]:
    """Batches with the same metrics and equal numbers of readings are one table: batch x metric x value."""
    np = lazy_numpy.loaded()
    names = list(group[0].series)
    count = len(group[0].series[names[0]].values)
    rows = [series.values for readings in group for series in readings.series.values()]
    if np is None or len(rows) < _MANY or any(len(row) != count for row in rows):
        return [_analyse(readings, references) for readings in group]
    table = np.frombuffer(joined(rows)).reshape(len(group), len(names), count)
    table.sort()
    ordered = np.moveaxis(table, -1, 0)  # all minima, then all second smallest values, ...
    low, high = ordered[0], ordered[-1]
    if max(-low.min(), high.max()) > _HUGE:
        return [_analyse(readings, references) for readings in group]
    percentiles = [_quantile(ordered, quantile) for quantile in _PERCENTILES]
    mean = table.mean(axis=-1)
    far = _far(np, ordered, percentiles[0], [references.of(name) for name in names], references.threshold).tolist()
    columns = (mean, table.std(axis=-1, mean=mean[..., None]), low, high, *percentiles)
    statistics = map(Statistics, repeat(count), *[column.ravel().tolist() for column in columns])
    samples = references.samples(names)
    analyses: list[Analysis] = []
    for readings, far_metrics in zip(group, far, strict=True):
        metrics = dict(zip(names, statistics, strict=False))  # takes the next len(names) statistics
        anomalies: list[Anomaly] = []
        if any(far_metrics):
            for name, series in compress(readings.series.items(), far_metrics):
                anomalies += _anomalies(name, series, sorted(series.values), references)
        analyses.append(_analysis(metrics, anomalies, samples))
    return analyses


def _far(np: Any, ordered: Any, medians: Any, references: Sequence[Reference | None], threshold: float) -> Any:
    """Which metrics of which batches have values further off than `threshold`, or have to be looked at more closely."""
    modelled = [one is not None for one in references]
    mads = 0.0 if all(modelled) else _own_mads(np, ordered, medians)
    if any(modelled):
        medians = np.where(modelled, [one.median if one else 0.0 for one in references], medians)
        mads = np.where(modelled, [one.mad if one else 0.0 for one in references], mads)
    with np.errstate(over="ignore"):  # infinite then, as Python has it
        return np.maximum(ordered[-1] - medians, medians - ordered[0]) > threshold * mads / _MAD_SCALE


def _own_mads(np: Any, ordered: Any, medians: Any) -> Any:
    """Infinite where a batch is too small to be scored against itself. 0 where that takes a closer look, or nothing
    differs."""
    if len(ordered) < MIN_SAMPLES_OF_A_BATCH:
        return np.inf
    deviations = np.abs(np.moveaxis(ordered, 0, -1) - medians[..., None])
    deviations.sort()
    return _quantile(np.moveaxis(deviations, -1, 0), 0.5)


def _statistics(ordered: Sequence[float]) -> Statistics:
    low, high = ordered[0], ordered[-1]
    largest = max(-low, high)
    if largest > _HUGE:
        mean, std = (figure * largest for figure in _mean_and_std([value / largest for value in ordered]))
    else:
        mean, std = _mean_and_std(ordered)
    percentiles = (_quantile(ordered, quantile) for quantile in _PERCENTILES)
    return Statistics(len(ordered), mean, std, low, high, *percentiles)


def _mean_and_std(values: Sequence[float]) -> tuple[float, float]:
    count = len(values)
    mean = sum(values) / count  # Python's `sum` of floats carries the rounding errors along
    return mean, math.sqrt(sum([(value - mean) * (value - mean) for value in values]) / count)


def _quantile(ordered: Any, quantile: float) -> Any:
    """Of ascending numbers; or of ascending arrays, place by place."""
    rank = quantile * (len(ordered) - 1)
    below = int(rank)
    weight = rank - below
    if not weight:
        return ordered[below]
    return ordered[below] * (1 - weight) + ordered[below + 1] * weight


def _own_reference(ordered: Sequence[float]) -> Reference | None:
    """The batch as its own reference; None when it is too small or all its values are equal."""
    if len(ordered) < MIN_SAMPLES_OF_A_BATCH or ordered[0] == ordered[-1]:
        return None
    median = _quantile(ordered, 0.5)
    # They fall, then rise: two runs, which sorting only merges.
    deviations = sorted([abs(value - median) for value in ordered])
    if deviations[-1] == math.inf:  # the difference of two doubles may overflow
        deviations = [min(one, sys.float_info.max) for one in deviations]
    mad = _quantile(deviations, 0.5)
    if mad == 0:
        mean_ad = math.fsum(one / len(deviations) for one in deviations)
        mad = mean_ad * _MEAN_AD_SCALE * _MAD_SCALE  # so that M comes out as (x - median) / (1.253314 MeanAD)
    return Reference("batch", median, mad, len(ordered))


def _anomalies(metric: str, series: Series, ordered: Sequence[float], references: References) -> list[Anomaly]:
    reference = references.of(metric) or _own_reference(ordered)
    if reference is None:
        return []
    median, mad = reference.median, reference.mad
    limit = references.threshold * mad / _MAD_SCALE
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
