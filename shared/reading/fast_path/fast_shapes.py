"""A row of each documented shape of a batch, as the fast path decodes it."""

from typing import Annotated

import msgspec

_MAX_TIME = 2**62
_MAX_NAME_CHARS = 128

# Without gc: text and numbers make no cycles, and batches have many of these.
_Label = Annotated[str, msgspec.Meta(max_length=_MAX_NAME_CHARS)]
_Number = msgspec.Meta(gt=-_MAX_TIME, lt=_MAX_TIME)
_Time = _Label | Annotated[int, _Number] | Annotated[float, _Number]


class LongReading(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    metric: _Label
    value: float
    time: _Time = msgspec.field(name="ts")
    sensor: _Label | None = msgspec.field(default=None, name="sensorId")


class WideRecord(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    data: dict[str, float]
    time: _Time = msgspec.field(name="timestamp")
    sensor: _Label | None = msgspec.field(default=None, name="sensorId")
