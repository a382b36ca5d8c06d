"""The rolling baseline that readings are scored against: decoding and folding the model in Redis. Pure.

The model is the hash `fastapi:cache:model:anomaly-detector`:

    version                  number of batches added since the model was created
    unfolded                 bytes of the deltas that are not folded yet; bounded by UNFOLDED_MAX_BYTES
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
count, so the baseline covers the last 30 to 60 minutes. A field of any other generation is outdated, also one that is
ahead: it was written before the clock was set back.

The model has at most MAX_METRICS metrics. Those in it stay while they have values in the window; new ones are added
while there is room. The key is in FastAPI's namespace, so its fields may be anybody's: a field with a name of ours and
a value that is no sketch or delta is dropped, and fields with other names are left alone.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import msgspec

from shared.batches.sketch import MAX_BUCKETS, Centre, Sketch, centre, merge, sketch
from shared.namespaces import MODEL_CACHE_TTL_S

GENERATION_S = MODEL_CACHE_TTL_S // 2
MAX_METRICS = 1000
"""Maximum number of metrics of the model; further metrics are scored against their own batches."""
FOLD_FROM = 32
"""Unfolded deltas from which on a fold is worth a write."""
UNFOLDED_MAX_BYTES = 4 * 1024 * 1024
"""Bytes of unfolded deltas from which on a commit adds none. Folds keep up with 1 MB/s and more."""
MAX_FIELDS = 8192
"""Fields from which on a commit adds no delta: two sketches per metric, and deltas."""
MODEL_MAX_BYTES = 12 * 1024 * 1024
"""Largest model in Redis' memory that is read, about twice what the other bounds allow; a larger one is not this app's
alone. Redis takes 30 ms to return it."""
FIELD_MAX_BYTES = 2 * 1024 * 1024
"""Largest field of a model above its bounds that is kept: a delta has MAX_METRICS sketches at most."""

_FIELD = re.compile(rb"(\+?)(0|[1-9]\d{0,9}):(.+)", re.DOTALL)
_COUNT = re.compile(rb"0|[1-9]\d{0,13}")
_flat = msgspec.msgpack.Decoder(list[int])
_delta = msgspec.msgpack.Decoder(tuple[dict[str, list[float]], dict[str, list[int]]])


@dataclass(frozen=True)
class Fold:
    """A change of the model that leaves the baseline as it is: delete `merged` and `removed`, store `sketches`.

    It is valid while every field of `merged` exists: then nobody else has folded since the model was read. `unfolded`
    is that field as it was read, `drift` the number of bytes by which it exceeds those of the deltas.
    """

    merged: tuple[bytes, ...] = ()
    removed: tuple[bytes, ...] = ()
    sketches: Mapping[bytes, bytes] = field(default_factory=dict)
    unfolded: bytes = b""
    drift: int = 0

    def flat(self) -> list[bytes | int]:
        """The arguments of commit_batches.lua."""
        stored = (part for pair in self.sketches.items() for part in pair)
        return [
            self.unfolded,
            self.drift,
            len(self.merged),
            len(self.removed),
            *self.merged,
            *self.removed,
            *stored,
        ]


NO_FOLD = Fold()


@dataclass(frozen=True)
class Baseline:
    """The model as it was read: a sketch per metric, and the fold that is due. `dropped` counts the fields that are no
    sketch or delta, `left_out` the metrics for which there was no room."""

    version: int = 0
    sketches: Mapping[str, Sketch] = field(default_factory=dict)
    fold: Fold = NO_FOLD
    dropped: int = 0
    left_out: int = 0
    _centres: dict[str, Centre] = field(default_factory=dict, repr=False)

    def centre(self, metric: str) -> Centre | None:
        """Centre of a metric, computed once; None for a metric without samples."""
        if metric not in self._centres:
            metric_sketch = self.sketches.get(metric)
            if metric_sketch is None or not metric_sketch.samples:
                return None
            self._centres[metric] = centre(metric_sketch)
        return self._centres[metric]


@dataclass(frozen=True)
class _Delta:
    """A `+` field."""

    name: bytes
    generation: int
    version: int
    values: Mapping[str, Sequence[float]]
    sketches: Mapping[str, Sketch]


@dataclass
class _Model:
    """The fields of the model, sorted by what they are."""

    version: int = 0
    unfolded: bytes = b""
    sketches: dict[tuple[int, str], Sketch] = field(default_factory=dict)
    """By generation and metric."""
    deltas: list[_Delta] = field(default_factory=list)
    delta_bytes: int = 0
    outdated: list[bytes] = field(default_factory=list)
    broken: list[bytes] = field(default_factory=list)


def encode_delta(values: Mapping[str, Sequence[float]]) -> bytes:
    """The value of the `+` field for finite `values` per metric; empty for no values."""
    if not values:
        return b""
    plain = {metric: list(numbers) for metric, numbers in values.items() if len(numbers) <= MAX_BUCKETS}
    sketched = {metric: sketch(numbers).flat() for metric, numbers in values.items() if metric not in plain}
    return msgspec.msgpack.encode((plain, sketched))


def decode_model(fields: Sequence[bytes], now_s: int) -> Baseline:
    """The baseline in the model's hash, as Redis returns it: [field, value, field, value, ...].

    `now_s` is Redis' time.
    """
    model = _sorted_fields(fields, now_s // GENERATION_S)
    established = Counter[str]()
    for (_, metric), stored in model.sketches.items():
        established[metric] += stored.samples
    metrics = {metric for metric, _ in established.most_common(MAX_METRICS)}
    left_out: set[str] = set()
    for delta in sorted(model.deltas, key=lambda delta: (delta.generation, delta.version)):
        for metric in chain(delta.values, delta.sketches):
            if metric not in metrics:
                (metrics if len(metrics) < MAX_METRICS else left_out).add(metric)
    kept = {place: stored for place, stored in model.sketches.items() if place[1] in metrics}
    surplus = [_name(*place) for place in model.sketches if place not in kept]
    changed = _merged(kept, model.deltas, metrics)
    by_metric: dict[str, list[Sketch]] = {}
    for (_, metric), stored in (kept | changed).items():
        by_metric.setdefault(metric, []).append(stored)
    return Baseline(
        model.version,
        {metric: merge(parts) for metric, parts in by_metric.items()},
        _fold(model, surplus, changed),
        len(model.broken),
        len(left_out) + len({metric for _, metric in model.sketches} - metrics),
    )


def _sorted_fields(fields: Sequence[bytes], current: int) -> _Model:
    model = _Model()
    for name, value in zip(fields[::2], fields[1::2], strict=True):
        if name == b"version":
            model.version = int(value) if _COUNT.fullmatch(value) else 0
        elif name == b"unfolded":
            model.unfolded = value
        elif match := _FIELD.fullmatch(name):
            if match[1]:
                model.delta_bytes += len(value)
            if not current - 1 <= int(match[2]) <= current:
                model.outdated.append(name)
                continue
            try:
                if match[1]:
                    model.deltas.append(_decode_delta(name, int(match[2]), match[3], value))
                else:
                    place = int(match[2]), match[3].decode()
                    model.sketches[place] = Sketch.from_flat(_flat.decode(value))
            except ValueError:  # msgspec's errors are ValueErrors too
                model.broken.append(name)
    return model


def _decode_delta(name: bytes, generation: int, version: bytes, value: bytes) -> _Delta:
    """Raises ValueError for a field that no commit wrote."""
    if not _COUNT.fullmatch(version):
        raise ValueError("not a version")
    values, flat = _delta.decode(value)
    if not all(map(math.isfinite, chain.from_iterable(values.values()))):
        raise ValueError("values that are not finite")
    sketches = {metric: Sketch.from_flat(numbers) for metric, numbers in flat.items()}
    return _Delta(name, generation, int(version), values, sketches)


def _merged(
    sketches: Mapping[tuple[int, str], Sketch], deltas: Iterable[_Delta], metrics: set[str]
) -> dict[tuple[int, str], Sketch]:
    """The sketches that the deltas change, by generation and metric."""
    values: dict[tuple[int, str], list[float]] = {}
    parts: dict[tuple[int, str], list[Sketch]] = {}
    for delta in deltas:
        for metric, numbers in delta.values.items():
            if metric in metrics:
                values.setdefault((delta.generation, metric), []).extend(numbers)
        for metric, part in delta.sketches.items():
            if metric in metrics:
                parts.setdefault((delta.generation, metric), []).append(part)
    changed: dict[tuple[int, str], Sketch] = {}
    for place in values.keys() | parts.keys():
        stored = [sketches[place]] if place in sketches else []
        changed[place] = merge([*stored, sketch(values.get(place, [])), *parts.get(place, [])])
    return changed


def _fold(model: _Model, surplus: Sequence[bytes], changed: Mapping[tuple[int, str], Sketch]) -> Fold:
    counted = int(model.unfolded) if _COUNT.fullmatch(model.unfolded) else 0
    drift = counted - model.delta_bytes
    bad = [*model.broken, *surplus]
    due = model.outdated or drift >= UNFOLDED_MAX_BYTES // 4
    if not model.deltas:  # without a merged field, the script could not detect a fold by another worker in between
        return Fold(removed=tuple(model.outdated), unfolded=model.unfolded, drift=drift) if due else NO_FOLD
    if not due and not bad and len(model.deltas) < FOLD_FROM:
        return NO_FOLD
    return Fold(
        tuple(delta.name for delta in model.deltas),
        (*model.outdated, *bad),
        {_name(*place): msgspec.msgpack.encode(merged.flat()) for place, merged in changed.items()},
        model.unfolded,
        drift,
    )


def _name(generation: int, metric: str) -> bytes:
    return f"{generation}:{metric}".encode()
