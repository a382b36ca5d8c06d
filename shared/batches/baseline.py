"""The rolling baseline that readings are scored against: the model in Redis, read and folded. Pure.

The model is the hash `fastapi:cache:model:anomaly-detector`:

    version                  batches merged into it since it began
    {generation}:{metric}    the sketch of a metric (shared/batches/sketch.py), msgpack: [shift, bucket, count, ...]
    +{generation}:{version}  what one batch adds, not yet folded in, msgpack: per metric its values, or their sketch:
                             [{metric: [value, ...]}, {metric: [shift, bucket, count, ...]}]

Up to MAX_BUCKETS values of a metric are added as they are, at 9 bytes each: it is cheaper to sketch those of all
batches at once, which is done by whoever reads the model.

A commit only adds its own `+` field, which costs Redis next to nothing; whoever reads the model merges them, and a
later commit of that worker stores what it merged in their place. Since sketches merge to the same whatever the order,
neither the order of batches nor who folds when changes the baseline.

The window rolls in generations of half the model's TTL by Redis' clock: the current and the one before count, so the
baseline looks back between 30 and 60 minutes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import msgspec

from shared.batches.sketch import MAX_BUCKETS, Centre, Sketch, centre, merge, sketch
from shared.namespaces import MODEL_CACHE_TTL_S

GENERATION_S = MODEL_CACHE_TTL_S // 2
MAX_METRICS = 1000
"""Metrics that the model keeps per generation; a metric past that is scored against its own batches."""
FOLD_FROM = 32
"""Unfolded batches from which folding is worth a write."""

_flat = msgspec.msgpack.Decoder(list[int])
_delta = msgspec.msgpack.Decoder(tuple[dict[str, list[float]], dict[str, list[int]]])

type _Gathered = dict[str, tuple[list[float], list[Sketch]]]
"""Per metric, values and sketches of a generation."""


@dataclass(frozen=True)
class Fold:
    """A change of the model that changes no baseline: these fields go, those take their place.

    It holds as long as every field of `merged` is still there: then nobody else has folded since the model was read.
    """

    merged: tuple[bytes, ...] = ()
    outdated: tuple[bytes, ...] = ()
    sketches: Mapping[bytes, bytes] = field(default_factory=dict)

    def flat(self) -> list[bytes | int]:
        """As lua/commit_batches.lua takes it."""
        stored = (part for pair in self.sketches.items() for part in pair)
        return [len(self.merged), len(self.outdated), *self.merged, *self.outdated, *stored]


NO_FOLD = Fold()


@dataclass(frozen=True)
class Baseline:
    """The model as it was read."""

    version: int = 0
    sketches: Mapping[str, Sketch] = field(default_factory=dict)
    fold: Fold = NO_FOLD
    _centres: dict[str, Centre] = field(default_factory=dict, repr=False)

    def centre(self, metric: str) -> Centre | None:
        """Centre of a metric, computed once; None for a metric without samples."""
        if metric not in self._centres:
            found = self.sketches.get(metric)
            if found is None or not found.samples:
                return None
            self._centres[metric] = centre(found)
        return self._centres[metric]


def encode_delta(values: Mapping[str, Sequence[float]]) -> bytes:
    """What a batch adds to the model, its finite values per metric, as the value of its `+` field."""
    few = {metric: list(some) for metric, some in values.items() if len(some) <= MAX_BUCKETS}
    many = {metric: sketch(some).flat() for metric, some in values.items() if metric not in few}
    return msgspec.msgpack.encode((few, many))


def decode_model(fields: Sequence[bytes], now_s: int) -> Baseline:
    """The baseline in the model's hash, given flat as Redis returns it: field, value, field, value, ...

    Fields that this app did not write are passed over: the key is in FastAPI's namespace.
    """
    current = now_s // GENERATION_S
    version = 0
    unfolded: list[bytes] = []
    outdated: list[bytes] = []
    found: dict[int, _Gathered] = {current - 1: {}, current: {}}
    for name, value in zip(fields[::2], fields[1::2], strict=True):
        head, _, metric = name.partition(b":")
        try:
            if name == b"version":
                version = int(value)
            elif int(head) < current - 1:
                outdated.append(name)
            elif head.startswith(b"+"):
                _collect(found[int(head)], *_delta.decode(value))
                unfolded.append(name)
            else:
                _collect(found[int(head)], {}, {metric.decode(): _flat.decode(value)})
        except (ValueError, KeyError, IndexError, msgspec.MsgspecError):
            continue
    merged = {
        generation: {metric: merge([sketch(values), *sketches]) for metric, (values, sketches) in metrics.items()}
        for generation, metrics in found.items()
    }
    fold = _fold(merged, unfolded, outdated) if len(unfolded) >= FOLD_FROM or outdated else NO_FOLD
    metrics = {metric for one in merged.values() for metric in one}
    return Baseline(
        version,
        {metric: merge(one[metric] for one in merged.values() if metric in one) for metric in metrics},
        fold,
    )


def _collect(into: _Gathered, values: Mapping[str, list[float]], flat: Mapping[str, list[int]]) -> None:
    sketches = {metric: Sketch.from_flat(numbers) for metric, numbers in flat.items()}  # all or nothing
    for metric in chain(values, sketches):
        if metric not in into and len(into) < MAX_METRICS:
            into[metric] = ([], [])
    for metric, some in values.items():
        if metric in into:
            into[metric][0].extend(some)
    for metric, one in sketches.items():
        if metric in into:
            into[metric][1].append(one)


def _fold(merged: dict[int, dict[str, Sketch]], unfolded: list[bytes], outdated: list[bytes]) -> Fold:
    if not unfolded:  # nothing would tell that another fold came first, whose sketches these would replace
        return Fold(outdated=tuple(outdated))
    sketches = {
        f"{generation}:{metric}".encode(): msgspec.msgpack.encode(one.flat())
        for generation, metrics in merged.items()
        for metric, one in metrics.items()
    }
    return Fold(tuple(unfolded), tuple(outdated), sketches)
