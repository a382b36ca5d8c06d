"""Every shape of a chart becomes named series; everything else a rejection."""

import json
import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.charts import cache as chart_cache
from shared.errors import Rejected
from shared.reading import chart_rows
from shared.reading.chart_input import MAX_POINTS, MAX_SERIES, TIME_FIELDS, parse

T0 = 1_735_689_600_000  # 2025-01-01T00:00:00Z
T1 = T0 + 60_000
ISO0, ISO1 = "2025-01-01T00:00:00.000Z", "2025-01-01T00:01:00.000Z"


def read(value):
    """{name: [(epoch ms, value), ...]} of a payload, given as a value or as JSON."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return {
        series.name: list(zip(series.times_ms.tolist(), series.values.tolist(), strict=True))
        for series in parse(raw).series
    }


ROWS = [{"timestamp": ISO0, "co2Flow": 1.2, "waterFlow": 30.1}, {"timestamp": ISO1, "co2Flow": 1.3, "waterFlow": 30}]
TWO_LINES = {"co2Flow": [(T0, 1.2), (T1, 1.3)], "waterFlow": [(T0, 30.1), (T1, 30.0)]}
CHART_JS = {
    "labels": [ISO0, ISO1],
    "datasets": [{"label": "co2Flow", "data": [1.2, 1.3]}, {"label": "waterFlow", "data": [30.1, 30]}],
}
CHART_JS_POINTS = {
    "datasets": [
        {"label": "co2Flow", "data": [{"x": T0, "y": 1.2}, {"x": T1, "y": 1.3}]},
        {"label": "waterFlow", "data": [{"x": ISO0, "y": 30.1}, {"x": ISO1, "y": 30}]},
    ]
}
COLUMNS = {"x": [T0, T1], "co2Flow": [1.2, 1.3], "waterFlow": [30.1, 30]}
NAMED_Y = {"x": [T0, T1], "y": {"co2Flow": [1.2, 1.3], "waterFlow": [30.1, 30]}}
SHAPES = {
    "wide rows": ROWS,
    "Chart.js": CHART_JS,
    "Chart.js with points": CHART_JS_POINTS,
    "columns": COLUMNS,
    "columns under y": NAMED_Y,
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize(
    "wrap",
    [
        lambda shape: shape,
        lambda shape: {"value": shape, "expires": T0},
        lambda shape: {"value": json.dumps(shape), "expires": None},
        lambda shape: {"value": {"value": shape, "expires": T0}, "expires": T0},
        lambda shape: {"value": json.dumps({"value": json.dumps(shape)}), "expires": T0},
        lambda shape: {"type": "line", "data": shape},
        lambda shape: {"value": json.dumps({"value": json.dumps({"data": shape})})},
    ],
    ids=["bare", "wrapped", "wrapped text", "wrapped twice", "wrapped text twice", "under data", "all of it"],
)
def test_every_shape_gives_the_same_series_however_it_is_wrapped(shape, wrap):
    assert read(wrap(shape)) == TWO_LINES


def test_y_as_a_list_is_one_series():
    assert read({"x": [T0, T1], "y": [1, 2]}) == {"y": [(T0, 1.0), (T1, 2.0)]}


def test_a_unit_is_kept():
    chart = parse(b'{"labels": ["2025-01-01"], "datasets": [{"label": "a", "data": [1], "unit": "kg/h"}]}')
    assert [series.unit for series in chart.series] == ["kg/h"]


@pytest.mark.parametrize("field", TIME_FIELDS)
def test_rows_and_columns_may_call_their_time_by_any_of_its_names(field):
    assert read([{field: ISO0, "a": 1}]) == {"a": [(T0, 1.0)]}
    assert read({field: [ISO0], "a": [1]}) == {"a": [(T0, 1.0)]}


@pytest.mark.parametrize(
    ("time", "time_ms"),
    [
        ("2025-01-01T00:00:00.000Z", T0),
        ("2025-01-01T00:00:00.1234567Z", T0 + 123),
        ("2025-01-01T00:00:00", T0),
        ("2025-01-01 00:00", T0),
        ("2025-01-01T01:00:00+01:00", T0),
        ("20250101T000000Z", T0),
        ("2025-01-01", T0),
        ("20250101", T0),
        ("2025-01", T0),
        ("2025", T0),
        (T0, T0),
        (T0 / 1000, T0),
        (T0 * 1000, T0),
        (T0 * 1_000_000, T0),
        (T0 / 1000 + 0.0625, T0 + 62),
        (str(T0), T0),
        (str(T0 // 1000), T0),
        ("1711120000000", 1_711_120_000_000),
        (0, 0),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
    ],
)
def test_a_time_is_read_in_every_notation(time, time_ms):
    assert read([{"t": time, "a": 1}]) == {"a": [(time_ms, 1.0)]}


@pytest.mark.parametrize(
    "time",
    ["1969-12-31T23:59:59Z", "1969-12-31T23:59:59.999Z", "0001-01-01T00:00:00+14:00", -1, "-5", 1e300, 10**400],
)
def test_a_time_outside_1970_to_9999_is_no_point(time):
    assert read([{"t": time, "a": 1}, {"t": ISO0, "a": 2}]) == {"a": [(T0, 2.0)]}
    with pytest.raises(Rejected, match=r"^no points$"):
        read([{"t": time, "a": 1}])


@pytest.mark.parametrize("time", ["Mon", "", None, True, [], {}, "2025-13-01T00:00:00.000Z", "２０２５-01-01", "NaN"])
def test_what_is_no_time_is_no_point(time):
    assert read([{"t": time, "a": 1}, {"t": ISO0, "a": 2}]) == {"a": [(T0, 2.0)]}


@pytest.mark.parametrize("label", ["Reactor 1", "Jan", "2025-13-01T00:00:00.000Z"])
def test_labels_that_are_categories_are_rejected(label):
    with pytest.raises(Rejected, match=r"^no label or time field holds a time$"):
        read({"labels": [label] * 2, "datasets": [{"data": [1, 2]}]})


@pytest.mark.parametrize("value", [None, True, "7", [], {}, math.nan, math.inf, -math.inf, 10**400])
def test_what_is_no_number_is_a_point_that_is_not_there(value):
    rows = [{"t": ISO0, "a": 1, "b": 2}, {"t": ISO1, "a": value, "b": 3}]
    assert read(rows) == {"a": [(T0, 1.0)], "b": [(T0, 2.0), (T1, 3.0)]}


def test_rows_are_sorted_by_time_and_the_last_of_one_time_counts():
    rows = [{"t": T1, "a": 1}, {"t": T0, "a": 2}, {"t": T1, "a": 3}, {"t": T1, "a": None}]
    assert read(rows) == {"a": [(T0, 2.0), (T1, 3.0)]}


def test_the_last_of_one_time_counts_among_many_rows():
    rows = [{"t": T0 + number % 7, "a": number} for number in range(700)]
    assert read(rows) == {"a": [(T0 + offset, 693.0 + offset) for offset in range(7)]}


def test_rows_may_differ_in_their_fields():
    rows = [{"t": T0, "a": 1, "site": "north"}, None, {"a": 5}, {"t": T1, "b": 2}, "x"]
    assert read(rows) == {"a": [(T0, 1.0)], "b": [(T1, 2.0)]}


def test_rows_of_as_many_but_other_fields_are_told_apart():
    assert read([{"t": T0, "a": 1}, {"t": T1, "b": 2}]) == {"a": [(T0, 1.0)], "b": [(T1, 2.0)]}


def test_points_counts_the_times_that_have_a_value():
    rows = [{"t": T0, "a": 1, "b": None}, {"t": T1, "a": 1, "b": 1}, {"t": T1 + 1, "a": None, "b": None}]
    assert parse(json.dumps(rows).encode()).points == 2


def test_a_column_longer_than_the_other_is_cut_to_it():
    assert read({"x": [T0, T1], "a": [1, 2, 3], "b": [4]}) == {"a": [(T0, 1.0), (T1, 2.0)], "b": [(T0, 4.0)]}


def test_names_are_bounded_told_apart_and_can_be_written():
    labels = ["a", "a", "n" * 500, "n" * 500, "\ud800"]
    names = list(
        read({"labels": [ISO0], "datasets": [*({"label": label, "data": [1]} for label in labels), {"data": [1]}]})
    )
    assert names == ["a", "a (2)", "n" * 128, "n" * 124 + " (2)", "\\ud800", "series 6"]


def test_integers_beyond_2_to_the_53rd_become_the_nearest_double():
    assert read(b'[{"t": 0, "a": 9007199254740993}]') == {"a": [(0, 9007199254740992.0)]}


def test_the_last_of_duplicate_fields_counts():
    assert read(b'[{"t": 0, "a": 1, "a": 2}]') == {"a": [(0, 2.0)]}


def test_as_many_series_as_allowed_are_read_and_more_rejected():
    row = {"t": T0, **{f"s{number}": number for number in range(MAX_SERIES)}}
    assert len(read([row])) == MAX_SERIES
    for shape in (
        [row | {"more": 1}],
        [row, {"t": T1, "more": 1}],
        {name: [value] for name, value in (row | {"more": 1}).items()},
        {"labels": [ISO0], "datasets": [{"data": [1]}] * (MAX_SERIES + 1)},
    ):
        with pytest.raises(Rejected, match=r"^more than 64 series$"):
            read(shape)


def test_more_points_than_allowed_are_rejected():
    half = b"[" + b"1," * (MAX_POINTS // 2) + b"1]"
    with pytest.raises(Rejected, match=r"^more than 1,000,000 points$"):
        parse(b'{"x":' + half + b',"a":' + half + b',"b":' + half + b"}")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "no shape of a chart that is known"),
        (7, "no shape of a chart that is known"),
        ({}, "no shape of a chart that is known"),
        ({"status": "processing"}, "no shape of a chart that is known"),
        ({"value": None, "expires": 1}, "no shape of a chart that is known"),
        ([], "no points"),
        ([1, 2], "a list, but not of rows"),
        ([{"a": 1}], "no row has a time field"),
        ([{"t": ISO0}], "no points"),
        ([{"t": ISO0, "site": "north"}], "no points"),
        ({"labels": [ISO0], "datasets": []}, "no points"),
        ({"datasets": [{"data": [1]}]}, "no points"),
        ({"x": [], "y": []}, "no points"),
        ("hunter2", "not JSON"),
    ],
)
def test_what_is_no_chart_is_rejected_with_its_reason(value, reason):
    with pytest.raises(Rejected) as caught:
        read(value)
    assert str(caught.value) == reason


def test_wrappers_without_end_are_rejected():
    shape = ROWS
    for _ in range(20):
        shape = {"value": shape}
    with pytest.raises(Rejected, match=r"^wrapped too often$"):
        read(shape)


# Rows that are all alike take a fast path


def by_the_long_way(rows):
    """The same rows beside an item that is none, which changes nothing but the path."""
    assert chart_rows.decode(json.dumps([*rows, 7]).encode()) is None
    return read([*rows, 7])


@pytest.mark.parametrize(
    "payload",
    [ROWS, {"value": ROWS, "expires": T0}, {"expires": None, "value": ROWS}, {"value": ROWS}],
    ids=["bare", "wrapped", "wrapped, without end", "wrapped, without expiry"],
)
def test_what_the_dashboard_writes_takes_the_fast_path(payload):
    assert chart_rows.decode(json.dumps(payload).encode()) == (
        {"co2Flow": (1.2, 1.3), "waterFlow": (30.1, 30)},
        {"timestamp": (ISO0, ISO1)},
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b'[{"t": 0, "a": 1}, {"t": 1}]',
        b'[{"t": 0, "a": 1}, {"t": 1, "a": 2, "b": 3}]',
        b'[{"t": 0, "a": 1}, {"t": 1, "a": "2"}]',
        b'[{"t": 0, "a": 1}, {"t": 1, "a": true}]',
        b'[{"t": 0, "a": 1}, {"t": 1, "a": NaN}]',
        b'[{"t": 0, "a": 1}, {"t": 1, "a": [2]}]',
        b'[{"t": 0, "a": [1]}]',
        b'[{"t": 0, "a": 1}, null]',
        b'[{"t": 0, "a": 1}] 7',
        b'[{"t": 0, "a": 1}',
        b'[{"t": 0, "a\\"": 1}]',
        b'[{"t": 0, "\\u0000": 1}]',
        b'[{"t": 0, "\\ud800": 1}]',
        b'[{"t": 0, "a": "' + b"a" * 5000 + b'"}]',
        b'{"value": [{"t": 0, "a": 1}], "x": [1]}',
        b'{"value": ' + b"[" * 5000,
        b'{"value": "[{\\"t\\": 0, \\"a\\": 1}]"}',
        json.dumps([{f"s{number}": number for number in range(65)}]).encode(),
    ],
)
def test_what_is_not_plain_or_not_alike_is_left_to_the_long_way(raw):
    assert chart_rows.decode(raw) is None


VALUES = st.none() | st.integers() | st.integers(2**53, 2**70) | st.floats(allow_nan=False, allow_infinity=False)
TIMES = st.sampled_from(
    [
        *(ISO0, ISO1, T0, T0 / 1000, 10**17 - 1, None, "", "\n", "Mon", "2025-01-01", "2025-13-01T00:00:00.000Z"),
        *("2024-02-29T23:59:59.999Z", "2023-02-29T00:00:00.000Z", "0000-01-01T00:00:00.000Z", ISO0[:-1], ISO0 + "\n"),
        *("2025-01-01T24:00:00.000Z", "2025-01-01T00:00:60.000Z", "2025-01-01t00:00:00.000z", "２" + ISO0[1:]),
    ]
)


@given(
    st.lists(
        st.sampled_from([*TIME_FIELDS, "a", "b", "\N{FIRE} \x7f", "field_1"]), min_size=2, max_size=6, unique=True
    ),
    st.data(),
)
def test_both_paths_find_the_same_series(names, data):
    row = st.fixed_dictionaries({name: TIMES if name in TIME_FIELDS else VALUES | st.booleans() for name in names})
    rows = data.draw(st.lists(row, min_size=1, max_size=8))
    given = []
    for way in (read, by_the_long_way):
        try:
            given.append(way(rows))
        except Rejected as fault:
            given.append(str(fault))
    assert given[0] == given[1]


@given(st.lists(st.sampled_from([ISO0, ISO1, ISO0[:-1], "Z" + ISO1, f"{ISO0}\n{ISO1}", ISO0 + "\n", "\n" + ISO1, ""])))
def test_times_are_told_apart_by_item_whatever_they_hold(times):
    shape = {"x": [*times, ISO0], "a": [*range(len(times)), -1]}
    one_by_one = {}
    for time, value in zip(shape["x"], shape["a"], strict=True):
        if time in (ISO0, ISO1, ISO0[:-1]):
            one_by_one[T1 if time == ISO1 else T0] = float(value)
    assert read(shape) == {"a": sorted(one_by_one.items())}


# Hypothesis

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**300, 10**400)
    | st.floats()
    | st.sampled_from([ISO0, T0, "Mon", "\ud800"])
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from([*TIME_FIELDS, "y", "value", "data", "labels", "a"]), inner, max_size=5)
        | st.fixed_dictionaries({"labels": inner, "datasets": st.lists(inner, max_size=3)})
        | st.fixed_dictionaries({"label": inner, "unit": inner, "data": st.lists(inner, max_size=3)})
        | st.lists(st.fixed_dictionaries({"t": inner, "a": inner}, optional={"b": inner}), max_size=4)
    ),
    max_leaves=40,
)


def finite_only(text):
    raise AssertionError(f"{text} is no JSON")


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_in_what_goes_out_is_valid_json_with_finite_numbers(raw):
    update = chart_cache.describe_update(b"c", b"d", "0" * 40)
    try:
        document = chart_cache.render(raw, update, 3)
    except Rejected:
        return
    chart = json.loads(document, parse_constant=finite_only)
    assert chart["points"] > 0
    for line in chart["series"]:
        statistics = chart["stats"][line["name"]]
        assert statistics["min"] <= statistics["mean"] <= statistics["max"]
        assert all(math.isfinite(value) and 0 <= time_ms <= 253_402_300_799_999 for time_ms, value in line["points"])
        assert [time_ms for time_ms, _ in line["points"]] == sorted({time_ms for time_ms, _ in line["points"]})


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
finite = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.dictionaries(
        st.integers(0, 253_402_300_799_999).map(lambda time_ms: EPOCH + timedelta(milliseconds=time_ms)),
        st.tuples(finite, finite),
        min_size=1,
    ),
    st.sampled_from(["milliseconds", "auto"]),
)
def test_wide_rows_come_back_as_their_series(values, precision):
    rows = [
        {"timestamp": moment.isoformat(timespec=precision).replace("+00:00", "Z"), "a": a, "b": b}
        for moment, (a, b) in values.items()
    ]
    ordered = [((moment - EPOCH) // timedelta(milliseconds=1), pair) for moment, pair in sorted(values.items())]
    assert read(rows) == {
        "a": [(time_ms, a) for time_ms, (a, _) in ordered],
        "b": [(time_ms, b) for time_ms, (_, b) in ordered],
    }
