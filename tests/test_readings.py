"""Every shape of a batch becomes readings per metric; what cannot be used is told apart by its reason."""

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import readings
from shared.errors import NotReady, Rejected
from shared.readings import Readings, from_hash, from_json, from_list

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60)
METRICS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def flat(found: Readings) -> dict[str, list[tuple[float, str | None, Any]]]:
    return {
        metric: [(value, source.sensor, source.time) for value, source in zip(one.values, one.sources, strict=True)]
        for metric, one in found.series.items()
    }


WIDE = [
    {"timestamp": "2026-01-01T00:00:00Z", "data": {"co2": 1.5, "temp": 24}},
    {"timestamp": "2026-01-01T00:01:00Z", "data": {"co2": 1.25}},
]
WIDE_EXPECTED = {
    "co2": [(1.5, None, "2026-01-01T00:00:00Z"), (1.25, None, "2026-01-01T00:01:00Z")],
    "temp": [(24.0, None, "2026-01-01T00:00:00Z")],
}
LONG = [
    {"sensorId": "s1", "metric": "co2", "ts": 1767225600, "value": 1.5},
    {"sensorId": "s2", "metric": "temp", "ts": 1767225660.5, "value": 24},
]
LONG_EXPECTED = {"co2": [(1.5, "s1", 1767225600)], "temp": [(24.0, "s2", 1767225660.5)]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"batchId": "b", "records": WIDE}, WIDE_EXPECTED),
        (WIDE, WIDE_EXPECTED),
        ({"readings": LONG}, LONG_EXPECTED),
        (LONG, LONG_EXPECTED),
        ({"data": LONG}, LONG_EXPECTED),
        ([{"time": 5, "co2": 1.5, "site": "north"}], {"co2": [(1.5, None, 5)]}),
        (LONG[0], {"co2": LONG_EXPECTED["co2"]}),
        ({"batchId": "b", "timestamp": "t", "data": {"co2": 1.5}}, {"co2": [(1.5, None, "t")]}),
    ],
)
def test_every_json_shape_of_the_clients_is_read(value: Any, expected: dict[str, Any]) -> None:
    found = from_json(json.dumps(value).encode())
    assert flat(found) == expected
    assert not found.rejected
    assert flat(from_json(b"\xef\xbb\xbf" + json.dumps(value).encode())) == expected


def test_a_list_filled_element_by_element_is_read() -> None:
    found = from_list([json.dumps(one).encode() for one in (*WIDE, LONG[1])] + [b"{oops", b"3"])
    assert flat(found) == {"co2": WIDE_EXPECTED["co2"], "temp": [*WIDE_EXPECTED["temp"], *LONG_EXPECTED["temp"]]}
    assert found.rejected == {"not JSON": 1, "neither a record nor a reading": 1}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({b"batchId": b"b", b"records": json.dumps(WIDE).encode()}, WIDE_EXPECTED),
        ({b"readings": json.dumps(LONG).encode(), b"status": b"done"}, LONG_EXPECTED),
        ({b"ts": b"12", b"sensorId": b"s", b"co2": b"1.5"}, {"co2": [(1.5, "s", "12")]}),
        ({b"0": json.dumps(LONG[0]).encode(), b"1": json.dumps(LONG[1]).encode()}, LONG_EXPECTED),
        ({b"caf\xe9": b"2"}, {"caf\\xe9": [(2.0, None, None)]}),
    ],
)
def test_every_hash_shape_is_read(fields: dict[bytes, bytes], expected: dict[str, Any]) -> None:
    assert flat(from_hash(fields)) == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b'{"metric":"m","ts":1,"value":NaN}', "value is not finite"),
        (b'{"metric":"m","ts":1,"value":-Infinity}', "value is not finite"),
        (b'{"metric":"m","ts":1,"value":1e999}', "value is not finite"),
        (b'{"metric":"m","ts":1,"value":' + b"9" * 400 + b"}", "value is not finite"),
        (b'{"metric":"m","ts":1,"value":null}', "value is not a number"),
        (b'{"metric":"m","ts":1,"value":true}', "value is not a number"),
        (b'{"metric":"m","ts":1,"value":"12"}', "value is not a number"),
        (b'{"metric":"m","ts":1}', "value is not a number"),
        (b'{"metric":"","ts":1,"value":1}', "metric is no name"),
        (b'{"metric":7,"ts":1,"value":1}', "metric is no name"),
        (b'{"metric":"' + b"m" * 200 + b'","ts":1,"value":1}', "metric is no name"),
        (b"17", "neither a record nor a reading"),
    ],
)
def test_a_bad_reading_is_counted_by_its_reason_and_the_good_one_is_used(value: bytes, reason: str) -> None:
    found = from_json(b'{"readings":[{"metric":"good","ts":1,"value":2},' + value + b"]}")
    assert flat(found) == {"good": [(2.0, None, 1)]}
    assert found.rejected == {reason: 1}


def test_integers_beyond_the_exact_range_are_read_as_the_nearest_double() -> None:
    found = from_json(b'[{"metric":"m","ts":1,"value":9007199254740993}]')
    assert found.series["m"].values == [9007199254740992.0]


def test_the_last_of_duplicate_fields_counts() -> None:
    assert from_json(b'[{"metric":"m","ts":1,"value":1,"value":2}]').series["m"].values == [2.0]


def test_a_lone_surrogate_in_a_name_becomes_readable_text() -> None:
    found = from_json(b'[{"metric":"m\\ud800","ts":1,"value":1}]')
    assert list(found.series) == ["m\\ud800"]


def test_metrics_past_the_limit_are_rejected_readings() -> None:
    many = [{"metric": f"m{number}", "ts": 1, "value": 1} for number in range(readings.MAX_METRICS + 5)]
    found = from_json(json.dumps(many).encode())
    assert len(found.series) == readings.MAX_METRICS
    assert found.rejected == {"too many metrics": 5}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty"),
        (b" ", "empty"),
        (b"null", "neither an object nor a list"),
        (b"42", "neither an object nor a list"),
        (b'"text"', "neither an object nor a list"),
        (b"{}", "no readings"),
        (b"[]", "no readings"),
        (b'{"records":[]}', "no readings"),
        (b'{"readings":[{"metric":"m","ts":1,"value":NaN}]}', "no usable reading: value is not finite"),
        (b'{"records":[{"timestamp"', "JSON is cut short"),
        (b"[" * 2000 + b"]" * 2000, "levels deep"),
        (b'{"records":' + b'{"a":' * 2000 + b"1" + b"}" * 2001, "levels deep"),
        (b"\x1f\x8b\x08\x00junk", "gzip, not JSON"),
        (b"\x80\x04\x95.", "pickle, not JSON"),
        (b"\x82\xa1a\x01\xa1b\x02", "msgpack, not JSON"),
        (b"\xff\xfe\x00\x01", "neither JSON nor UTF-8"),
    ],
)
def test_what_cannot_be_read_is_rejected_with_its_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        from_json(raw)


def test_a_placeholder_is_not_ready_rather_than_wrong() -> None:
    with pytest.raises(NotReady):
        from_json(b'{"batchId":"b","status":"processing"}')
    with pytest.raises(NotReady):
        from_json(b'{"batchId":"b","status":"processing","records":[]}')
    with pytest.raises(NotReady):
        from_hash({b"batchId": b"b", b"status": b"processing"})


@given(
    records=st.lists(st.dictionaries(METRICS, NUMBERS, min_size=1, max_size=4), min_size=1, max_size=5),
    odd=st.booleans(),
)
def test_the_fast_and_the_slow_path_agree(records: list[dict[str, float]], odd: bool) -> None:
    wide = [{"timestamp": number, "data": record} for number, record in enumerate(records)]
    clean = from_json(json.dumps({"records": wide}).encode())
    slow = from_json(json.dumps({"records": [*wide, None]}).encode())  # one odd item: read item by item
    assert slow.rejected == {"neither a record nor a reading": 1}
    assert flat(slow) == flat(clean)


@given(
    longs=st.lists(st.tuples(METRICS, NUMBERS, st.none() | st.text(max_size=5)), min_size=1, max_size=8),
    bare=st.booleans(),
)
def test_the_fast_and_the_slow_path_agree_on_long_readings(
    longs: list[tuple[str, float, str | None]], bare: bool
) -> None:
    rows: list[Any] = [
        {"metric": metric, "value": value, "ts": number, "sensorId": sensor}
        for number, (metric, value, sensor) in enumerate(longs)
    ]
    clean = from_json(json.dumps(rows if bare else {"readings": rows}).encode())
    slow = from_json(json.dumps([*rows, None] if bare else {"readings": [*rows, None]}).encode())
    assert slow.rejected == {"neither a record nor a reading": 1}
    assert flat(slow) == flat(clean)


@pytest.mark.parametrize("second", [{"b": 2.0}, {"b": 2.0, "c": 3.0}, {"a": 4.0, "b": 2.0, "c": 3.0}, {}], ids=str)
def test_records_need_not_have_the_same_metrics(second: dict[str, float]) -> None:
    rows = [{"timestamp": 1, "data": {"a": 1.0, "b": 1.0}}, {"timestamp": 2, "data": second}]
    expected = {metric: [(1.0, None, 1)] for metric in ("a", "b")}
    for metric, value in second.items():
        expected.setdefault(metric, []).append((value, None, 2))
    assert flat(from_json(json.dumps(rows).encode())) == expected


def test_records_and_readings_of_one_batch_all_count() -> None:
    found = from_json(json.dumps({"records": WIDE, "readings": LONG}).encode())
    assert flat(found) == {metric: WIDE_EXPECTED[metric] + LONG_EXPECTED[metric] for metric in ("co2", "temp")}
    assert not found.rejected


@pytest.mark.parametrize("time", [{}, {"timestamp": None}, {"timestamp": None, "time": 7}, {"ts": 7}], ids=str)
def test_a_time_may_be_missing_or_stand_under_another_name(time: dict[str, Any]) -> None:
    found = from_json(json.dumps({"records": [time | {"data": {"co2": 1.5}}]}).encode())
    assert flat(found) == {"co2": [(1.5, None, 7 if 7 in time.values() else None)]}


@given(raw=st.binary() | JSON_VALUES.map(json.dumps).map(str.encode))
def test_whatever_is_written_gives_finite_readings_or_a_reason(raw: bytes) -> None:
    with contextlib.suppress(Rejected, NotReady):
        found = from_json(raw)
        assert found.count > 0
        assert all(math.isfinite(value) for one in found.series.values() for value in one.values)
        json.dumps(flat(found), allow_nan=False).encode()


@given(elements=st.lists(st.binary() | JSON_VALUES.map(json.dumps).map(str.encode)), fields=st.booleans())
def test_whatever_a_list_or_hash_holds_gives_finite_readings_or_a_reason(elements: list[bytes], fields: bool) -> None:
    with contextlib.suppress(Rejected, NotReady):
        found = from_hash(dict(zip(elements[::2], elements[1::2], strict=False))) if fields else from_list(elements)
        assert all(math.isfinite(value) for one in found.series.values() for value in one.values)
