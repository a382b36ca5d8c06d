"""From what a client wrote to readings per metric: every shape of a batch, however hostile. Pure.

The two documented shapes take a fast path, decoded straight into structs. Whatever that decoder refuses (one odd value
is enough) is read again, slowly and reading by reading, so that the good readings of a batch count and the bad ones
are told apart by their reason. Both paths give the same readings for clean input, whatever was read before.
"""

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Protocol

import msgspec

from shared.errors import NotReady, Rejected
from shared.reading.float_arrays import packed
from shared.reading.json_text import decode_json

MAX_METRICS = 256
"""Metrics per batch; readings of further ones are rejected."""
MAX_NAME_CHARS = 128
"""Length of a metric's name; of a sensor id and a timestamp as they are repeated in a result."""
MAX_TIME = 2**62
"""Numbers from here on are no time; nanoseconds since 1970 stay below it until 2116."""

_TAKEN: dict[str, float] = {}

type Timestamp = str | int | float | None

_LISTS = ("records", "readings", "data")
_TIMES = ("timestamp", "ts", "time")
_NO_METRIC = frozenset({*_TIMES, "batchId", "sensorId", "id", "status"})


class Source(Protocol):
    """Where a reading came from, for whoever has to look at the sensor."""

    @property
    def sensor(self) -> str | None: ...
    @property
    def time(self) -> Timestamp: ...


# Without gc: text and numbers make no cycles, and batches have many of these. A time under another name or none at all,
# and a label that would be shortened, are matters for the slow path.
_Label = Annotated[str, msgspec.Meta(max_length=MAX_NAME_CHARS)]
_Number = msgspec.Meta(gt=-MAX_TIME, lt=MAX_TIME)
_Time = _Label | Annotated[int, _Number] | Annotated[float, _Number]


class _LongReading(msgspec.Struct, gc=False):
    metric: str
    value: float
    time: _Time = msgspec.field(name="ts")
    sensor: _Label | None = msgspec.field(default=None, name="sensorId")


class _WideRecord[Row](msgspec.Struct, gc=False):
    data: Row
    time: _Time = msgspec.field(name="timestamp")
    sensor: _Label | None = msgspec.field(default=None, name="sensorId")


class _Envelope[Row](msgspec.Struct, gc=False):
    records: list[_WideRecord[Row]] = []
    readings: list[_LongReading] = []
    data: None = None  # a third list is a matter for the slow path


class _Origin(msgspec.Struct, gc=False):
    sensor: str | None
    time: Timestamp


class Series(msgspec.Struct, frozen=True, gc=False):
    """The readings of one metric in the order they came; `sources[i]` belongs to `values[i]`. All values are finite."""

    values: array[float]
    sources: Sequence[Source]


class Readings(msgspec.Struct, frozen=True, gc=False):
    """`series` by metric, sorted by its name. `rejected` counts the readings that could not be used, by reason."""

    series: Mapping[str, Series]
    rejected: Mapping[str, int] = {}

    @property
    def count(self) -> int:
        return sum(len(series.values) for series in self.series.values())


class _Gathered:
    """What was read one by one so far."""

    def __init__(self) -> None:
        self.series: dict[str, tuple[list[float], list[Source]]] = {}
        self.rejected: Counter[str] = Counter()

    def add(self, metric: object, value: object, source: Source) -> None:
        """Take one reading, or count why not."""
        name = _metric_name(metric)
        number = value if type(value) is float else _number(value)
        if name is None:
            self.rejected["metric is no name"] += 1
        elif number is None:
            self.rejected["value is not a number"] += 1
        elif not math.isfinite(number):
            self.rejected["value is not finite"] += 1
        elif name not in self.series and len(self.series) >= MAX_METRICS:
            self.rejected["too many metrics"] += 1
        else:
            values, sources = self.series.setdefault(name, ([], []))
            values.append(number)
            sources.append(source)

    def checked(self) -> Readings:
        """Raises Rejected when nothing could be used."""
        if not self.series:
            reason, _ = self.rejected.most_common(1)[0] if self.rejected else ("", 0)
            raise Rejected(f"no usable reading: {reason}" if reason else "no readings")
        series = {name: Series(packed(values), sources) for name, (values, sources) in sorted(self.series.items())}
        return Readings(series, self.rejected)


_any_wide = msgspec.json.Decoder(_Envelope[dict[str, float]] | list[_WideRecord[dict[str, float]]])
_long_list = msgspec.json.Decoder(list[_LongReading])


def from_json(raw: bytes) -> Readings:
    """Readings of a batch written as JSON text.

    Raises Rejected with the reason when there is nothing to read, NotReady for a placeholder without data.
    """
    fast = _fast(raw)
    return fast if fast is not None else _from_value(decode_json(raw)).checked()


def from_list(elements: Iterable[bytes]) -> Readings:
    """Readings of a batch filled by RPUSH: each element is the JSON text of one record or reading."""
    readings = _Gathered()
    for element in elements:
        try:
            _add_item(readings, decode_json(element))
        except Rejected as fault:
            readings.rejected[str(fault)] += 1
    return readings.checked()


def from_hash(fields: Mapping[bytes, bytes]) -> Readings:
    """Readings of a batch kept as a hash.

    A field `records`, `readings` or `data` holds the JSON text of the list; otherwise a field with a number is one
    reading of the metric it is named after, and a field with JSON is one record or reading.
    """
    named = {name.decode(errors="backslashreplace"): value for name, value in fields.items()}
    lists = {name: decode_json(named[name]) for name in _LISTS if name in named}
    if lists:
        return _from_value({**{name: "" for name in named if name == "status"}, **lists}).checked()
    readings = _Gathered()
    row: dict[str, Any] = {}
    for name, value in named.items():
        if name in _NO_METRIC:
            row[name] = value.decode(errors="backslashreplace")
        elif value.lstrip()[:1] in (b"{", b"["):
            try:
                found = decode_json(value)
            except Rejected as fault:
                readings.rejected[str(fault)] += 1
                continue
            for item in found if isinstance(found, list) else [found]:
                _add_item(readings, item)
        else:
            row[name] = _number_in_text(value)
    if row.keys() - _NO_METRIC:
        _add_item(readings, row)
    elif not readings.series and not readings.rejected and "status" in row:
        raise NotReady("a placeholder without data")
    return readings.checked()


def _fast(raw: bytes) -> Readings | None:
    """Readings of the documented shapes when every reading is clean; None to look closer."""
    items = _decoded(_any_wide.decode, raw) or _decoded(_long_list.decode, raw) or []
    wide = bool(items) and type(items[0]) is _WideRecord
    series = (_columns(items) or _ragged(items)) if wide else _groups(items)
    # The decoders take finite numbers only.
    clean = 0 < len(series) <= MAX_METRICS and [*map(_metric_name, series)] == [*series]
    return Readings(series) if clean else None


def _decoded(decode: Callable[[bytes], Any], raw: bytes) -> list[Any] | None:
    """The records or the readings; None when there are none or both, and where the decoder refuses."""
    try:
        found = decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if type(found) is list:
        return found
    return None if found.records and found.readings else found.records or found.readings


def _columns(records: list[_WideRecord[dict[str, float]]]) -> dict[str, Series]:
    """Empty unless all records have the same metrics, as they nearly always have."""
    rows = [record.data for record in records]
    metrics = sorted(rows[0])
    if set(map(len, rows)) != {len(metrics)}:
        return {}
    try:
        columns = {name: Series(packed([row[name] for row in rows]), records) for name in metrics}
    except KeyError:
        return {}
    for record in records:  # from here on they are sources only: free the dicts while they are in the cache
        record.data = _TAKEN
    return columns


def _ragged(records: list[_WideRecord[dict[str, float]]]) -> dict[str, Series]:
    having: defaultdict[str, list[_WideRecord[dict[str, float]]]] = defaultdict(list)
    for record in records:
        for name in record.data:
            having[name].append(record)
    return {name: Series(packed([one.data[name] for one in some]), some) for name, some in sorted(having.items())}


def _groups(longs: list[_LongReading]) -> dict[str, Series]:
    of: defaultdict[str, list[_LongReading]] = defaultdict(list)
    for reading in longs:
        of[reading.metric].append(reading)
    return {name: Series(packed([one.value for one in some]), some) for name, some in sorted(of.items())}


def _from_value(value: object) -> _Gathered:
    readings = _Gathered()
    for item in _items(value):
        _add_item(readings, item)
    return readings


def _items(value: object) -> Iterator[object]:
    if isinstance(value, list):
        yield from value
    elif isinstance(value, dict):
        lists = [value[name] for name in _LISTS if isinstance(value.get(name), list)]
        if any(lists):
            for one in lists:
                yield from one
        elif "value" in value or isinstance(value.get("data"), dict):
            yield value
        elif "status" in value:
            raise NotReady("a placeholder without data")
    else:
        raise Rejected("neither an object nor a list")


def _add_item(readings: _Gathered, item: object) -> None:
    """One record (wide: several metrics at one time) or one reading (long)."""
    if not isinstance(item, dict):
        readings.rejected["neither a record nor a reading"] += 1
        return
    source = _Origin(_text(item.get("sensorId")), _time(item))
    if "metric" in item or "value" in item:
        readings.add(item.get("metric"), item.get("value"), source)
    elif isinstance(item.get("data"), dict):
        for metric, value in item["data"].items():
            readings.add(metric, value, source)
    else:  # a flat row: its text fields are labels
        for metric, value in item.items():
            if metric not in _NO_METRIC and not isinstance(value, str):
                readings.add(metric, value, source)


def _metric_name(name: object) -> str | None:
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_CHARS:
        return None
    return name if name.isascii() else _text(name)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _number_in_text(value: bytes) -> float | None:
    try:
        return None if b"_" in value else float(value)  # Python's own 1_000 is no number elsewhere
    except ValueError:
        return None


def _text(value: object) -> str | None:
    """Text or a number as text, fit for UTF-8 and shortened; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value)[:MAX_NAME_CHARS].encode(errors="backslashreplace").decode()


def _time(item: Mapping[str, object]) -> Timestamp:
    value = next((item[name] for name in _TIMES if item.get(name) is not None), None)
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_TIME:
        return value  # NaN and infinities are not below it
    return _text(value) if isinstance(value, str) else None
