"""What reading a batch or a chart gives. One model for both; plain data."""

from array import array
from collections.abc import Mapping, Sequence

import msgspec

type Time = str | int | float | None
"""A time as it was written."""


class Series(msgspec.Struct, frozen=True, gc=False):
    """The readings of one name. All values are finite.

    x: of a chart, where each value stands: epoch ms (int64), numbers (doubles) or names; () in batches.
    raw_times, sensors: of a batch, what each value came with; () in charts.
    exact: of a chart, the values as they were given, where one of them is an integer that no double holds; else ().
    """

    name: str
    unit: str | None
    values: array[float]
    x: array[int] | array[float] | Sequence[str] = ()
    raw_times: Sequence[Time] = ()
    sensors: Sequence[str | None] = ()
    exact: Sequence[int | float] = ()


class Reading(msgspec.Struct, frozen=True, gc=False):
    """What a payload holds. `series` by name, those of a batch sorted by it.

    x: "time", "number" or "category". rejected: how many values were left out, by reason.
    """

    series: Mapping[str, Series]
    rejected: Mapping[str, int] = {}
    x: str = "time"

    @property
    def count(self) -> int:
        return sum(len(series.values) for series in self.series.values())
