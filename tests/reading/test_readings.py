"""Every shape of a batch becomes readings per metric; what cannot be used is told apart by its reason."""

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import NotReady, Rejected
from shared.reading import readings
from shared.reading.readings import Readings, from_hash, from_json, from_list

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


@pytest.mark.parametrize("value", ["NaN", "1e999", "-" + "9" * 400, "1.7976931348623159e308"])
def test_what_is_not_finite_is_told_apart_in_wide_records_too(value: str) -> None:
    found = from_json(b'[{"timestamp":1,"data":{"good":2,"bad":%s}}]' % value.encode())
    assert flat(found) == {"good": [(2.0, None, 1)]}
    assert found.rejected == {"value is not finite": 1}


def test_integers_beyond_the_exact_range_are_read_as_the_nearest_double() -> None:
    found = from_json(b'[{"metric":"m","ts":1,"value":9007199254740993}]')
    assert found.series["m"].values.tolist() == [9007199254740992.0]


def test_the_last_of_duplicate_fields_counts() -> None:
    assert from_json(b'[{"metric":"m","ts":1,"value":1,"value":2}]').series["m"].values.tolist() == [2.0]


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
    assert flat(from_json(json.dumps({"records": WIDE, "data": LONG}).encode())) == flat(found)


def test_metrics_are_sorted_in_every_shape() -> None:
    names = ["b", "a", "\U0001f600", "\uffff", "aa"]
    row = {"timestamp": 1, "data": dict.fromkeys(names, 1.0)}
    longs = [{"metric": name, "ts": 1, "value": 1.0} for name in names]
    for value in ({"records": [row]}, [row, {"timestamp": 2, "data": {}}], longs, [*longs, None]):
        assert list(from_json(json.dumps(value).encode()).series) == sorted(names)
    assert list(from_list([json.dumps(one).encode() for one in longs]).series) == sorted(names)
    assert list(from_hash({name.encode(): b"1" for name in names}).series) == sorted(names)


@pytest.mark.parametrize("time", [{}, {"timestamp": None}, {"timestamp": None, "time": 7}, {"ts": 7}], ids=str)
def test_a_time_may_be_missing_or_stand_under_another_name(time: dict[str, Any]) -> None:
    found = from_json(json.dumps({"records": [time | {"data": {"co2": 1.5}}]}).encode())
    assert flat(found) == {"co2": [(1.5, None, 7 if 7 in time.values() else None)]}


@pytest.mark.parametrize("label", ["x" * 128, "x" * 129, "x" * 1_000_000], ids=len)
def test_a_label_is_repeated_up_to_its_limit_however_clean_its_batch(label: str) -> None:
    for shape in ({"data": {"m": 1}, "timestamp": label}, {"metric": "m", "value": 1, "ts": label}):
        ((_, sensor, time),) = flat(from_json(json.dumps([shape | {"sensorId": label}]).encode()))["m"]
        assert sensor == time == label[: readings.MAX_NAME_CHARS]


@pytest.mark.parametrize("number", [0, 1767225600_123456789, 1.5e18, 2**62 - 1, 2**62, -(2**62), 10**4000, 1e300])
def test_a_number_is_a_time_up_to_its_limit_however_clean_its_batch(number: float) -> None:
    for shape in ({"data": {"m": 1}, "timestamp": number}, {"metric": "m", "value": 1, "ts": number}):
        ((_, _, time),) = flat(from_json(json.dumps([shape]).encode()))["m"]
        assert time == (number if abs(number) < readings.MAX_TIME else None)


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


def outcome(raw: bytes) -> object:
    """Everything that a caller sees, the order of the metrics included."""
    try:
        batch = from_json(raw)
    except (Rejected, NotReady) as fault:
        return repr(fault)
    return list(flat(batch).items()), dict(batch.rejected)


def outcome_of_the_general_path(raw: bytes) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readings, "_fast", lambda _: None)
        return outcome(raw)


ODD_METRICS = METRICS | st.sampled_from(["", "a}b", 'a"b', "a\\b", "data", "at0", "\x7f", "m" * 128, "m" * 129])
ODD_VALUES = st.sampled_from(
    ["1", "-2.5e-3", "9007199254740993"] * 5 + ["null", '"1"', "1e999", "NaN", "true", "{}", "[]"]
)


@st.composite
def texts_about(draw: st.DrawFn, metrics: list[str]) -> bytes:
    """Records of these metrics, and what becomes of them: another order, missing, more, twice, escaped."""

    def data() -> str:
        others = st.lists(st.sampled_from(metrics) | ODD_METRICS, max_size=5)
        names = draw(st.just(metrics) | st.permutations(metrics) | others)
        fields = [f"{json.dumps(name, ensure_ascii=draw(st.booleans()))}: {draw(ODD_VALUES)}" for name in names]
        return f'"data": {{{", ".join(fields)}}}'

    def record() -> str:
        time = draw(st.sampled_from(["1", '"t"', "null", "1e30"]))
        more = draw(st.sampled_from(["", f", {data()}", ', "sensorId": 5']))
        return f'{{"timestamp": {time}, {data()}{more}}}'

    listed = "[" + ", ".join(record() for _ in range(draw(st.integers(0, 2)))) + "]"
    before = draw(st.sampled_from(["", f'"meta": {{{data()}}}, ', '"readings": [], ', '"readings": null, ']))
    after = draw(st.sampled_from(["}", ', "data": []}', ', "readings": [{"metric": "m", "ts": 1, "value": 2}]}', ""]))
    return draw(st.sampled_from([listed, f'{{{before}"records": {listed}{after}'])).encode()


@given(metrics=st.lists(ODD_METRICS, min_size=1, max_size=4, unique=True), data=st.data())
def test_the_fast_path_reads_as_the_general_path(metrics: list[str], data: st.DataObject) -> None:
    raw = data.draw(texts_about(metrics))
    assert outcome(raw) == outcome_of_the_general_path(raw)


UNLIKE_THE_USUAL = [
    '{"records": [{"timestamp": 1, "data": {"a": 1, "b": 2}}, {"timestamp": 2, "data": {DATA}}]}'.replace("DATA", data)
    for data in ('"a": 3', '"a": 3, "b": 4, "c": 5', '"a": 3, "b": null', '"a": "3", "b": 4', '"a": 1e999, "b": 4', "")
] + [
    '{"x": {"data": {"a": 1, "b": 2}}, "records": [{"timestamp": 1, "data": {"c": 3}}]}',
    '{"x": {"data": {"a": 1, "b": 2}}, "readings": [{"metric": "c", "ts": 1, "value": 3}]}',
    '{"x": {"data": {"a": 1, "b": 2}}, "status": "processing"}',
    '{"records": [{"timestamp": 1, "data": {"a": 1, "b": 2}}], "readings": [{"metric": "c", "ts": 1, "value": 3}]}',
    '{"records": [{"timestamp": 1, "data": {"a": 1, "b": 2}}, {"time',
]


@pytest.mark.parametrize("text", UNLIKE_THE_USUAL)
def test_a_batch_that_resembles_a_documented_one_is_read_as_by_the_general_path(text: str) -> None:
    assert outcome(text.encode()) == outcome_of_the_general_path(text.encode())
