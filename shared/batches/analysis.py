"""The analysis of batches: statistics per metric, and anomalies. Pure.

`analyse` takes one batch, `analyse_many` a group, which NumPy sorts and sums at once. Both return the same anomalies
and percentiles; means and standard deviations agree within a relative tolerance of 1e-12 of the largest value, since
the two add in different orders.

Anomaly score: the modified z-score M = 0.6745 (x - median) / MAD of Iglewicz and Hoaglin, "How to Detect and Handle
Outliers" (ASQC 1993), who recommend |M| > 3.5. If more than half of the values are equal, the MAD is 0; then, as they
advise, the mean absolute deviation replaces it: M = (x - median) / (1.253314 MeanAD).
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
from shared.reading.model import Reading, Series, Time
from shared.runtime import lazy_numpy

MIN_SAMPLES_OF_A_BATCH = 10
"""Fewer values estimate the spread too poorly to score a batch against itself: in batches of five normal values, every
few batches would report an anomaly."""
MAX_ANOMALIES = 1000
"""Anomalies listed in a result, the highest scores first; the rest are counted."""
MAX_SCORE = 1e6
"""Scores are clamped to this: against a baseline that hardly ever changed, a score is large, not infinite."""
_MAD_SCALE = 0.6745
_MEAN_AD_SCALE = 1.253314
_HUGE = 1e150
"""Squares of larger values may overflow."""
_PERCENTILES = (0.50, 0.95, 0.99)
_MIN_NUMPY_ROWS = 96
"""Rows (batches times metrics) from which on NumPy is quicker than Python."""


class Reference(msgspec.Struct, frozen=True):
    """What a reading was scored against. `source` is `model` (the rolling baseline) or `batch` (its own batch)."""

    source: str
    median: float
    mad: float
    samples: int


class Anomaly(msgspec.Struct, frozen=True, rename="camel"):
    """A reading past the threshold, as a result lists it."""

    metric: str
    sensor_id: str | None
    timestamp: Time
    value: float
    score: float
    baseline: Reference


class Statistics(msgspec.Struct, frozen=True):
    """Statistics of one metric: `std` is that of the population, percentiles are linear between ranks."""

    count: int
    mean: float
    std: float
    min: float
    max: float
    p50: float
    p95: float
    p99: float


class Analysis(msgspec.Struct, frozen=True):
    """The analysis of one batch. `baseline_samples` counts the model's samples of the batch's metrics."""

    metrics: Mapping[str, Statistics]
    anomalies: Sequence[Anomaly]
    anomalies_omitted: int
    baseline_samples: int


class References:
    """The references that the model has for metrics."""

    def __init__(self, baseline: Baseline, threshold: float, min_samples: int) -> None:
        self.threshold = threshold
        self._baseline = baseline
        self._min_samples = min_samples

    def of(self, metric: str) -> Reference | None:
        """The model's reference for a metric; None if the model has too few samples of it."""
        centre = self._baseline.centre(metric)
        if centre is None or centre.samples < self._min_samples:
            return None
        return Reference("model", centre.median, centre.mad, centre.samples)

    def samples(self, metrics: Iterable[str]) -> int:
        """The number of samples that the model has of these metrics."""
        return sum([centre.samples for metric in metrics if (centre := self._baseline.centre(metric)) is not None])


def analyse(readings: Reading, baseline: Baseline, *, threshold: float, min_samples: int) -> Analysis:
    """Analyse a batch: each metric is scored against its baseline if that has `min_samples`, else against the batch.

    `threshold` is the modified z-score above which a reading is an anomaly.
    """
    return _analyse(readings, References(baseline, threshold, min_samples))


def analyse_many(group: Sequence[Reading], baseline: Baseline, *, threshold: float, min_samples: int) -> list[Analysis]:
    """Analyse each batch of a group: one `Analysis` per batch, in order."""
    references = References(baseline, threshold, min_samples)
    by_shape: defaultdict[tuple[object, ...], list[Reading]] = defaultdict(list)
    shapes = [(*readings.series, *{len(series.values) for series in readings.series.values()}) for readings in group]
    for shape, readings in zip(shapes, group, strict=True):
        by_shape[shape].append(readings)
    analyses = {shape: iter(_analyse_same_shape(batches, references)) for shape, batches in by_shape.items()}
    return [next(analyses[shape]) for shape in shapes]


def _analyse(readings: Reading, references: References) -> Analysis:
    metrics: dict[str, Statistics] = {}
    anomalies: list[Anomaly] = []
    for metric, series in readings.series.items():
        ordered = sorted(series.values)
        metrics[metric] = _statistics(ordered)
        anomalies += _anomalies(metric, series, ordered, references)
    return _analysis(metrics, anomalies, references.samples(metrics))


def _analysis(metrics: Mapping[str, Statistics], anomalies: list[Anomaly], samples: int) -> Analysis:
    anomalies.sort(key=lambda anomaly: -abs(anomaly.score))
    return Analysis(metrics, anomalies[:MAX_ANOMALIES], max(0, len(anomalies) - MAX_ANOMALIES), samples)


def _analyse_same_shape(group: Sequence[Reading], references: References) -> Iterable[Analysis]:
    """Analyse batches with the same metrics. If each metric has the same number of readings, they form one array:
    batch x metric x value."""
    np = lazy_numpy.loaded()
    names = list(group[0].series)
    count = len(group[0].series[names[0]].values)
    rows = [series.values for readings in group for series in readings.series.values()]
    if np is None or len(rows) < _MIN_NUMPY_ROWS or any(len(row) != count for row in rows):
        return [_analyse(readings, references) for readings in group]
    table = np.frombuffer(joined(rows)).reshape(len(group), len(names), count)
    table.sort()
    ordered = np.moveaxis(table, -1, 0)  # first all minima, then all second smallest values, ...
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
    """Batch x metric: whether any value may be an anomaly, so that its values must be scored one by one."""
    modelled = [reference is not None for reference in references]
    mads = 0.0 if all(modelled) else _own_mads(np, ordered, medians)
    if any(modelled):
        medians = np.where(modelled, [reference.median if reference else 0.0 for reference in references], medians)
        mads = np.where(modelled, [reference.mad if reference else 0.0 for reference in references], mads)
    with np.errstate(over="ignore"):  # an overflow is infinite, as in Python
        return np.maximum(ordered[-1] - medians, medians - ordered[0]) > threshold * mads / _MAD_SCALE


def _own_mads(np: Any, ordered: Any, medians: Any) -> Any:
    """The MADs of the batches' own values, batch x metric. Infinite if a batch is too small to be scored against
    itself; 0 if more than half of the values are equal, which `_anomalies` then handles."""
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
    mean = sum(values) / count  # Python's `sum` of floats compensates rounding errors (Neumaier)
    return mean, math.sqrt(sum([(value - mean) * (value - mean) for value in values]) / count)


def _quantile(ordered: Any, quantile: float) -> Any:
    """The quantile of ascending numbers, or of ascending arrays element by element; linear between ranks."""
    rank = quantile * (len(ordered) - 1)
    below = int(rank)
    weight = rank - below
    if not weight:
        return ordered[below]
    return ordered[below] * (1 - weight) + ordered[below + 1] * weight


def _own_reference(ordered: Sequence[float]) -> Reference | None:
    """The batch as its own reference; None if it is too small or all its values are equal."""
    if len(ordered) < MIN_SAMPLES_OF_A_BATCH or ordered[0] == ordered[-1]:
        return None
    median = _quantile(ordered, 0.5)
    # Deviations fall, then rise: two runs, which Timsort merges in linear time.
    deviations = sorted([abs(value - median) for value in ordered])
    if deviations[-1] == math.inf:  # the difference of two doubles may overflow
        deviations = [min(deviation, sys.float_info.max) for deviation in deviations]
    mad = _quantile(deviations, 0.5)
    if mad == 0:
        mean_ad = math.fsum(deviation / len(deviations) for deviation in deviations)
        mad = mean_ad * _MEAN_AD_SCALE * _MAD_SCALE  # makes M = (x - median) / (1.253314 MeanAD)
    return Reference("batch", median, mad, len(ordered))


def _anomalies(metric: str, series: Series, ordered: Sequence[float], references: References) -> list[Anomaly]:
    reference = references.of(metric) or _own_reference(ordered)
    if reference is None:
        return []
    median, mad = reference.median, reference.mad
    limit = references.threshold * mad / _MAD_SCALE
    # Nearly every batch has no anomaly: minimum and maximum suffice to tell.
    if max(ordered[-1] - median, median - ordered[0]) <= limit:
        return []
    return [
        Anomaly(metric, sensor, time, value, _score(value - median, mad), reference)
        for value, time, sensor in zip(series.values, series.raw_times, series.sensors, strict=True)
        if abs(value - median) > limit
    ]


def _score(deviation: float, mad: float) -> float:
    score = _MAD_SCALE * deviation / mad if mad else math.copysign(MAX_SCORE, deviation)
    return round(max(-MAX_SCORE, min(MAX_SCORE, score)), 6)
