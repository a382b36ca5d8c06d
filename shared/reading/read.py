"""Reading a batch or a chart: the fast path where it applies, else the general steps.

Both are imported when the first payload needs them: 35 ms that a cold start for sessions does not pay.
"""

from collections.abc import Sequence

from shared.reading.limits import LIMITS, Limits
from shared.reading.model import Reading
from shared.reading.overrides import NONE, Override


def read_batch(shape: str, parts: Sequence[bytes], override: Override = NONE, limits: Limits = LIMITS) -> Reading:
    """The readings of a batch.

    `shape` is the type of the Redis key; `parts` is, for a string, its value; for a list, its elements; for a hash,
    fields and values in turn; for a stream, per entry its id, the number of its fields, and fields and values in turn.
    Raises Rejected with the reason when there is nothing to read, NotReady for a placeholder without data.
    """
    from shared.reading.fast_path.fast import batch

    if shape == "string" and override is NONE and (reading := batch(parts[0], limits)) is not None:
        return reading
    from shared.reading import batches

    return batches.read_generally(shape, parts, override, limits)


def read_chart(raw: bytes, override: Override = NONE, limits: Limits = LIMITS) -> Reading:
    """The series of a chart. Raises Rejected with the reason."""
    from shared.reading.fast_path.fast import chart

    if override is NONE and (reading := chart(raw, limits)) is not None:
        return reading
    from shared.reading import charts

    return charts.read_generally(raw, override, limits)


def points(reading: Reading) -> int:
    """How many different places along the axis have a value in any series."""
    import numpy as np

    if reading.x == "category":
        return len({name for line in reading.series.values() for name in line.x})
    first, *others = (np.asarray(line.x) for line in reading.series.values())
    if all(np.array_equal(first, other) for other in others):
        return len(np.unique(first))
    return len(np.unique(np.concatenate([first, *others])))
