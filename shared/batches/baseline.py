"""The rolling baseline that readings are scored against: decoding and folding the model in Redis. Pure.

The model is the hash `fastapi:cache:model:anomaly-detector`:

    version                  number of batches added since the model was created
    {generation}:{metric}    the sketch of a metric (shared/batches/sketch.py), msgpack: [shift, bucket, count, ...]
    +{generation}:{version}  the delta of one commit, not folded yet, msgpack: per metric its values, or their sketch:
                             [{metric: [value, ...]}, {metric: [shift, bucket, count, ...]}]

A commit adds a `+` field, which costs Redis little. A reader merges all fields into one baseline; its next commit
replaces the fields that it merged by the merged sketches (a fold):

    workers A and B commit    fields +0:7 and +0:8
    worker A reads            merges 0:temp, +0:7 and +0:8
    worker A commits          field +0:9; fold: delete +0:7 and +0:8, store the merged 0:temp

Merging is independent of order, so neither the order of batches nor the time and author of a fold changes the
baseline. A delta holds up to MAX_BUCKETS values of a metric unsketched, at 9 bytes each: sketching the values of many
batches at once, when the model is read, is cheaper.

The window rolls in generations of half the model's TTL by Redis' clock. The current generation and the one before it
count, so the baseline covers the last 30 to 60 minutes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import msgspec

from shared.batches.sketch import MAX_BUCKETS, Centre, Sketch, centre, merge, sketch
from shared.namespaces import MODEL_CACHE_TTL_S

GENERATION_S = MODEL_CACHE_TTL_S // 2
MAX_METRICS = 1000
"""Maximum number of metrics per generation of the model; further metrics are scored against their own batches."""
FOLD_FROM = 32
"""Unfolded deltas from which on a fold is worth a write."""

_flat = msgspec.msgpack.Decoder(list[int])
_delta = msgspec.msgpack.Decoder(tuple[dict[str, list[float]], dict[str, list[int]]])

type _Parts = dict[str, tuple[list[float], list[Sketch]]]
"""Values and sketches of a generation, by metric."""


@dataclass(frozen=True)
class Fold:
    """A change of the model that leaves the baseline as it is: delete `merged` and `outdated`, store `sketches`.

    It is valid while every field of `merged` exists: then nobody else has folded since the model was read.
    """

    merged: tuple[bytes, ...] = ()
    outdated: tuple[bytes, ...] = ()
    sketches: Mapping[bytes, bytes] = field(default_factory=dict)

    def flat(self) -> list[bytes | int]:
        """The arguments of commit_batches.lua."""
        stored = (part for pair in self.sketches.items() for part in pair)
        return [len(self.merged), len(self.outdated), *self.merged, *self.outdated, *stored]


NO_FOLD = Fold()


@dataclass(frozen=True)
class Baseline:
    """The model as it was read: a sketch per metric, and the fold that is due."""

    version: int = 0
    sketches: Mapping[str, Sketch] = field(default_factory=dict)
    fold: Fold = NO_FOLD
    _centres: dict[str, Centre] = field(default_factory=dict, repr=False)

    def centre(self, metric: str) -> Centre | None:
        """Centre of a metric, computed once; None for a metric without samples."""
        if metric not in self._centres:
            metric_sketch = self.sketches.get(metric)
            if metric_sketch is None or not metric_sketch.samples:
                return None
            self._centres[metric] = centre(metric_sketch)
        return self._centres[metric]


def encode_delta(values: Mapping[str, Sequence[float]]) -> bytes:
    """The value of the `+` field for finite `values` per metric."""
    plain = {metric: list(numbers) for metric, numbers in values.items() if len(numbers) <= MAX_BUCKETS}
    sketched = {metric: sketch(numbers).flat() for metric, numbers in values.items() if metric not in plain}
    return msgspec.msgpack.encode((plain, sketched))


def decode_model(fields: Sequence[bytes], now_s: int) -> Baseline:
    """The baseline in the model's hash, as Redis returns it: [field, value, field, value, ...].

    `now_s` is Redis' time. Skips fields that this app did not write: the key is in FastAPI's namespace.
    """
    current = now_s // GENERATION_S
    version = 0
    unfolded: list[bytes] = []
    outdated: list[bytes] = []
    parts: dict[int, _Parts] = {current - 1: {}, current: {}}
    for name, value in zip(fields[::2], fields[1::2], strict=True):
        head, _, metric = name.partition(b":")
        try:
            if name == b"version":
                version = int(value)
            elif int(head) < current - 1:
                outdated.append(name)
            elif head.startswith(b"+"):
                _collect(parts[int(head)], *_delta.decode(value))
                unfolded.append(name)
            else:
                _collect(parts[int(head)], {}, {metric.decode(): _flat.decode(value)})
        except (ValueError, KeyError, IndexError, msgspec.MsgspecError):
            continue
    merged = {
        generation: {metric: merge([sketch(values), *sketches]) for metric, (values, sketches) in metrics.items()}
        for generation, metrics in parts.items()
    }
    fold = _fold(merged, unfolded, outdated) if len(unfolded) >= FOLD_FROM or outdated else NO_FOLD
    metrics = {metric for sketches in merged.values() for metric in sketches}
    return Baseline(
        version,
        {metric: merge(sketches[metric] for sketches in merged.values() if metric in sketches) for metric in metrics},
        fold,
    )


def _collect(into: _Parts, values: Mapping[str, list[float]], flat: Mapping[str, list[int]]) -> None:
    sketches = {metric: Sketch.from_flat(numbers) for metric, numbers in flat.items()}  # raises before any is added
    for metric in chain(values, sketches):
        if metric not in into and len(into) < MAX_METRICS:
            into[metric] = ([], [])
    for metric, numbers in values.items():
        if metric in into:
            into[metric][0].extend(numbers)
    for metric, decoded in sketches.items():
        if metric in into:
            into[metric][1].append(decoded)


def _fold(merged: dict[int, dict[str, Sketch]], unfolded: list[bytes], outdated: list[bytes]) -> Fold:
    if not unfolded:  # without a merged field, the script could not detect a fold by another worker in between
        return Fold(outdated=tuple(outdated))
    sketches = {
        f"{generation}:{metric}".encode(): msgspec.msgpack.encode(metric_sketch.flat())
        for generation, metrics in merged.items()
        for metric, metric_sketch in metrics.items()
    }
    return Fold(tuple(unfolded), tuple(outdated), sketches)
