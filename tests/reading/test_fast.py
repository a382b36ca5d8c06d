"""The fast path gives what the general steps give, to the last bit, for whatever it takes."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import NotReady
from shared.reading import batches, charts, reader
from shared.reading.documents import document
from shared.reading.fast_path import fast
from shared.reading.limits import LIMITS
from shared.reading.overrides import NONE
from shared.reading.read import read_batch, read_chart
from shared.reading.tree import Budget
from tests.reading.gallery import ENTRIES
from tests.reading.reads import outcome

TIMES = st.sampled_from(
    [
        "2026-03-01T06:00:00Z",
        "2026-03-01T06:01:00.000Z",
        "2026-03-01 06:01",
        "2026-03-01",
        "2026-03-01T99:99:00",
        "2026-03-01 night",
        "06:00",
        "1772344800",
        "t",
        "",
        "x" * 128,
        5,
        0,
        1772344800000,
        1772344800.5,
        2**62 - 1,
        -3,
    ]
)
NUMBERS = (
    st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**53), 2**53)
    | st.floats(-100, 100)
    | st.integers(0, 50)
)
NAMES = st.sampled_from(
    [
        "co2",
        "temp",
        "pH",
        "seq",
        "id",
        "device_id",
        "value",
        "time",
        "level",
        "a b",
        "R[x]",
        "état",
        "quality",
        "line",
        "status",
    ]
) | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
SENSORS = st.none() | st.sampled_from(["s1", "s2", "x" * 128])


def general_batch(raw: bytes) -> Any:
    budget = Budget(LIMITS.expanded_bytes, LIMITS.layers, LIMITS.nodes)
    decoded = batches.decode("string", [raw], budget)
    try:
        found = reader.find(decoded, budget, LIMITS, NONE, chart=False)
    except reader.Unreadable as fault:
        if fault.placeholder:
            raise NotReady("a placeholder without data") from None
        raise
    return batches.read_chosen(found, LIMITS)


def general_chart(raw: bytes) -> Any:
    budget = Budget(LIMITS.expanded_bytes, LIMITS.layers, LIMITS.nodes)
    return charts.read_document(document.decode(raw, budget), budget, NONE, LIMITS)


def same(raw: bytes) -> bool:
    """Compares both ways, and tells whether the fast one took it."""
    quick = fast.batch(raw, LIMITS)
    if quick is not None:
        assert outcome(lambda: quick) == outcome(general_batch, raw)
    line = fast.chart(raw, LIMITS)
    if line is not None:
        assert outcome(lambda: line) == outcome(general_chart, raw)
    return quick is not None or line is not None


@settings(deadline=None)
@given(
    names=st.lists(NAMES, min_size=1, max_size=4, unique=True),
    rows=st.integers(1, 5),
    envelope=st.sampled_from(["records", "bare", "flat", "more"]),
    data=st.data(),
)
def test_wide_records(names: list[str], rows: int, envelope: str, data: st.DataObject) -> None:
    records = []
    for _ in range(rows):
        measures = {name: data.draw(NUMBERS) for name in names}
        record: dict[str, Any] = {"timestamp": data.draw(TIMES), "data": measures}
        sensor = data.draw(SENSORS)
        if sensor is not None:
            record["sensorId"] = sensor
        records.append(record if envelope != "flat" else {"timestamp": record["timestamp"], **measures})
    value = {"batchId": "b", "records": records} if envelope == "records" else records
    same(json.dumps({"records": records, "sensorId": "around"} if envelope == "more" else value).encode())


@settings(deadline=None)
@given(rows=st.lists(st.tuples(NAMES, NUMBERS, TIMES, SENSORS), min_size=1, max_size=8), bare=st.booleans())
def test_long_readings(rows: list[tuple[str, float, Any, str | None]], bare: bool) -> None:
    readings = [{"metric": name, "value": value, "ts": time, "sensorId": sensor} for name, value, time, sensor in rows]
    same(json.dumps(readings if bare else {"batchId": "b", "readings": readings}).encode())


@pytest.mark.parametrize(
    "value",
    [
        {"batchId": "b", "records": [{"timestamp": "2026-03-01T06:00:00Z", "data": {"co2": 1.5, "temp": 24}}]},
        {"readings": [{"sensorId": "s", "metric": "co2", "ts": 5, "value": 1.5}]},
        [{"timestamp": "2026-03-01T06:00:00Z", "data": {"co2": 1.5}}],
        [{"sensorId": "s", "metric": "co2", "ts": 5, "value": 1.5}],
        [{"timestamp": "2026-03-01T06:00:00.000Z", "co2Flow": 1.2, "waterFlow": 30.1}],
        {"value": [{"timestamp": "2026-03-01T06:00:00.000Z", "co2Flow": 1.2, "waterFlow": 30.1}], "expires": 1},
    ],
)
def test_the_documented_shapes_take_the_fast_path(value: Any) -> None:
    assert same(json.dumps(value).encode())


@pytest.mark.parametrize(
    "record",
    [
        {"timestamp": "t", "data": {"seq": 1, "co2": 1.5}},
        {"timestamp": "t", "data": {"device_id": 1, "co2": 1.5}},
        {"timestamp": "t", "data": {"co2": 1.5}, "quality": "bad"},
        {"timestamp": "t", "data": {"co2": 1772344800}},
        {"timestamp": "t", "data": {"co2": None}},
        {"timestamp": "t", "data": {}},
    ],
)
def test_what_needs_a_closer_look_does_not(record: dict[str, Any]) -> None:
    assert fast.batch(json.dumps([record]).encode(), LIMITS) is None


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry[1] for entry in ENTRIES])
def test_a_shortcut_changes_no_result(entry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = entry[2]
    quick = outcome(read_batch, "string", [raw]), outcome(read_chart, raw)
    for name in ("batch", "chart", "from_table"):
        monkeypatch.setattr(fast, name, lambda *_: None)
    assert quick == (outcome(read_batch, "string", [raw]), outcome(read_chart, raw))


@settings(deadline=None)
@given(
    names=st.lists(NAMES, min_size=1, max_size=3, unique=True),
    time=st.sampled_from(["timestamp", "time", "ts", "date"]),
    count=st.integers(1, 5),
    shape=st.sampled_from(["rows", "columns", "grid", "text"]),
    data=st.data(),
)
def test_a_plain_table_takes_a_shortcut_with_the_same_result(
    names: list[str], time: str, count: int, shape: str, data: st.DataObject
) -> None:
    texts = st.sampled_from(["2026-03-01T06:00:00Z", "2026-03-01 06:01:00", "06:00", "x", "1772344800"])
    columns: dict[str, list[Any]] = {time: [data.draw(texts) for _ in range(count)]}
    for name in names:
        numbers = [data.draw(NUMBERS) for _ in range(count)]
        columns.setdefault(name, [str(number) for number in numbers] if shape == "text" else numbers)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    grid = {"columns": list(columns), "data": [list(row.values()) for row in rows]}
    value = {"rows": {"result": rows}, "text": {"result": rows}, "columns": columns, "grid": grid}[shape]
    raw = json.dumps(value).encode()
    assert outcome(read_batch, "string", [raw]) == outcome(general_batch, raw)
