"""Which columns are measured, what they are called, and what is refused rather than guessed."""

import json
from typing import Any

import pytest

from shared.errors import Rejected
from tests.reading.reads import batch, chart, flat, points, values
from tests.reading.table import ISO, MS

THREE = ISO[:3]
TWO = [
    (time, sensor, number)
    for number, (time, sensor) in enumerate((time, sensor) for time in THREE for sensor in ("A", "B"))
]


def test_a_batch_keeps_the_sensor_with_its_readings() -> None:
    for name in ("sensorId", "device", "deviceId", "station_id", "node"):
        rows = [{"timestamp": time, name: sensor, "temp": number} for time, sensor, number in TWO]
        assert flat(batch(rows)) == {"temp": [(float(number), sensor, time) for time, sensor, number in TWO]}
    rows = [{"timestamp": time, "metric": "temp", "sensorId": sensor, "value": number} for time, sensor, number in TWO]
    assert flat(batch(rows)) == {"temp": [(float(number), sensor, time) for time, sensor, number in TWO]}


@pytest.mark.parametrize("name", ["sensorId", "site", "location", "device_id", "plant"])
def test_two_sensors_or_places_are_two_lines_of_a_chart(name: str) -> None:
    rows = [{"timestamp": time, name: sensor, "temp": number} for time, sensor, number in TWO]
    assert {key: len(column) for key, column in values(chart(rows)).items()} == {"A.temp": 3, "B.temp": 3}
    apart = [{"timestamp": time, name: "AB"[row % 2], "temp": row} for row, time in enumerate(ISO[:6])]
    assert {key: len(column) for key, column in values(chart(apart)).items()} == {"A.temp": 3, "B.temp": 3}


def test_several_labels_make_one_name() -> None:
    rows = [
        {"ts": time, "site": site, "metric": metric, "value": 1.5}
        for time in THREE
        for site in ("north", "south")
        for metric in ("temp", "co2")
    ]
    names = {"north.temp", "north.co2", "south.temp", "south.co2"}
    assert set(values(chart(rows))) == set(values(batch(rows))) == names
    assert all(len(column) == 3 for column in values(chart(rows)).values())


def test_lists_of_one_name_stay_apart() -> None:
    value = {
        "labels": THREE,
        "datasets": [{"label": "a", "data": [1, 2, 3]}, {"label": "a", "data": [4, 5, 6]}, {"data": [7, 8, 9]}],
    }
    assert values(chart(value)) == {"a": [1, 2, 3], "a (2)": [4, 5, 6], "series 3": [7, 8, 9]}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"id": 7}, "an identifier is no measurement"),
        ({"reading_id": 7}, "an identifier is no measurement"),
        ({"index": 7}, "an index is no measurement"),
        ({"seq": 7}, "an index is no measurement"),
        ({"quality": 192}, "a quality is no measurement"),
        ({"schemaVersion": 2}, "a number of the envelope is no measurement"),
        ({"epoch_s": MS[0] // 1000}, "a time is no measurement"),
        ({"DateKey": 20260301}, "a time is no measurement"),
        ({"hour": 6}, "a time is no measurement"),
    ],
    ids=str,
)
def test_what_is_left_out_is_counted_with_its_reason(more: dict[str, Any], reason: str) -> None:
    rows = [{"timestamp": time, "temp": 1.5, **more} for time in THREE]
    for reading in (batch(rows), chart(rows)):
        assert values(reading) == {"temp": [1.5] * 3}
        assert reading.rejected == {reason: 3}


@pytest.mark.parametrize(
    "name",
    [
        "ph",
        "orp",
        "level",
        "tank",
        "n",
        "no",
        "nh4",
        "humidity",
        "grid",
        "state",
        "good",
        "wind_speed",
        "response_time",
        "uptime",
    ],
)
def test_a_measure_with_fractions_is_one_whatever_its_name(name: str) -> None:
    rows = [{"timestamp": time, "other": 2.5, name: 7.25 + row} for row, time in enumerate(THREE)]
    assert values(batch(rows)) == values(chart(rows)) == {"other": [2.5] * 3, name: [7.25, 8.25, 9.25]}


def test_a_column_t_beside_a_date_is_a_temperature() -> None:
    assert values(chart([{"date": time, "t": 20 + row} for row, time in enumerate(THREE)])) == {"t": [20, 21, 22]}


@pytest.mark.parametrize(
    ("quality", "kept"),
    [
        ("bad", 2),
        ("Bad", 2),
        ("BadSensorFailure", 2),
        (2147483648, 2),
        (2150694912, 2),
        ("uncertain", 3),
        ("good", 3),
        (192, 1),
        (0, 3),
    ],
)
def test_a_value_of_bad_quality_is_left_out_and_counted(quality: Any, kept: int) -> None:
    """192 among zeros is good in OPC DA, where 0 is bad."""
    rows = [
        {
            "timestamp": time,
            "value": 1.5,
            "quality": quality if row == 1 else ("good" if isinstance(quality, str) else 0),
        }
        for row, time in enumerate(THREE)
    ]
    reading = batch(rows)
    assert len(reading.series["value"].values) == kept
    assert reading.rejected.get("quality is bad", 0) == 3 - kept
    pi = [{"Timestamp": time, "Value": 1.5, "Good": row != 1} for row, time in enumerate(THREE)]
    assert len(batch(pi).series["Value"].values) == 2


def test_units_stay_with_their_measures() -> None:
    wide = [{"time": time, "temp": {"value": 1.5, "unit": "C"}, "co2": {"value": 4, "unit": "ppm"}} for time in THREE]
    long = [
        {"time": time, "metric": name, "value": 1, "unit": unit}
        for time in THREE
        for name, unit in (("temp", "C"), ("co2", "ppm"))
    ]
    table = {"units": {"temp": "C", "co2": "ppm"}, "rows": [{"time": time, "temp": 1, "co2": 2} for time in THREE]}
    for value in (wide, long, table):
        assert {name: series.unit for name, series in chart(value).series.items()} == {"temp": "C", "co2": "ppm"}


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (("1,234.5", "2,345.25", "999"), [1234.5, 2345.25, 999.0]),
        (("1.234,5", "12,25", "7"), [1234.5, 12.25, 7.0]),
        (("1e3", "-2.5E-1", "+4"), [1000.0, -0.25, 4.0]),
        (("21.5 °C", "22 °C", "-1.25 °C"), [21.5, 22.0, -1.25]),
        (("45%", "46%", "47.5%"), [45.0, 46.0, 47.5]),
    ],
)
def test_numbers_in_text(texts: tuple[str, ...], numbers: list[float]) -> None:
    assert values(batch([{"ts": time, "v": text} for time, text in zip(THREE, texts, strict=True)])) == {"v": numbers}


@pytest.mark.parametrize(
    "texts",
    [
        ("1,234", "2,345", "3,456"),
        ("1_000", "2_000", "3_000"),
        ("0x10", "0x11", "0x12"),
        ("a1", "a2", "a3"),
        ("1 C", "2 F", "3 K"),
    ],
)
def test_what_is_no_number_for_sure_is_refused(texts: tuple[str, ...]) -> None:
    with pytest.raises(Rejected, match=r"^rows found at the top, but no column of numbers: `v` holds text$"):
        batch([{"ts": time, "v": text} for time, text in zip(THREE, texts, strict=True)])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (
            {"result": [{"ts": THREE[0], "temp": "hot"}]},
            "rows found at `result`, but no column of numbers: `temp` holds text",
        ),
        (
            {"hourly": {"time": THREE, "a": [1, 2, 3]}, "daily": {"time": THREE, "b": [1, 2, 3]}},
            "tables found at `hourly` and at `daily`; set `rows` in INPUTS",
        ),
        (
            [{"sampled_at": ISO[0], "measured_at": ISO[5], "v": 1}],
            "`measured_at` and `sampled_at` could both be the time; set `time` in INPUTS",
        ),
        (
            [{"ts": time, "id": 5} for time in THREE],
            "rows found at the top, but no column of measurements: `id` is taken for an identifier",
        ),
        ([1, 2, 3], "numbers alone, without names or times"),
    ],
)
def test_a_reason_names_the_nearest_shape(value: Any, reason: str) -> None:
    for read in (batch, chart):
        with pytest.raises(Rejected) as caught:
            read(value)
        assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("value", "kind", "right"),
    [
        (
            {"labels": ["Tank A", "Tank B"], "datasets": [{"label": "level", "data": [3.5, 2]}]},
            "category",
            {"level": [("Tank A", 3.5), ("Tank B", 2)]},
        ),
        (
            [{"name": "Jan", "uv": 4, "pv": 2}, {"name": "Feb", "uv": 3, "pv": 1}],
            "category",
            {"uv": [("Jan", 4), ("Feb", 3)], "pv": [("Jan", 2), ("Feb", 1)]},
        ),
        (
            {"xAxis": {"categories": ["B", "A"]}, "series": [{"name": "x", "data": [1, 2]}]},
            "category",
            {"x": [("B", 1), ("A", 2)]},
        ),
        (
            {"datasets": [{"label": "s", "data": [{"x": 2.5, "y": 1}, {"x": 0.5, "y": 3}]}]},
            "number",
            {"s": [(0.5, 3), (2.5, 1)]},
        ),
        ({"x": [3, 1, 2], "y": [5, 6, 7]}, "number", {"y": [(1, 6), (2, 7), (3, 5)]}),
        ([{"depth": 1, "temp": 20}, {"depth": 0, "temp": 21}], "number", {"temp": [(0, 21), (1, 20)]}),
        ([{"t": 0.5, "temp": 20}, {"t": 0, "temp": 21}], "number", {"temp": [(0, 21), (0.5, 20)]}),
        ([{"time": 1, "temp": 20}, {"time": 2, "temp": 21}], "number", {"temp": [(1, 20), (2, 21)]}),
        (
            {"Tank A": {"level": 1.5, "time": ISO[0]}, "Tank B": {"level": 2, "time": ISO[0]}},
            "time",
            {"Tank A.level": [(MS[0], 1.5)], "Tank B.level": [(MS[0], 2)]},
        ),
        (
            [
                {"month": m, "site": s, "v": v}
                for v, (m, s) in enumerate((m, s) for m in ("Jan", "Feb", "Mar") for s in "ns")
            ],
            "category",
            {"n": [("Jan", 0), ("Feb", 2), ("Mar", 4)], "s": [("Jan", 1), ("Feb", 3), ("Mar", 5)]},
        ),
    ],
    ids=range(10),
)
def test_the_axis_of_a_chart(value: Any, kind: str, right: Any) -> None:
    reading = chart(value)
    assert reading.x == kind
    assert points(reading) == right


@pytest.mark.parametrize(
    "value",
    [
        [{"temp": 20}, {"temp": 21}],
        {"series": [{"name": "x", "data": [1, 2]}]},
        [{"depth": 1, "distance": 2, "temp": 20}, {"depth": 2, "distance": 3, "temp": 20}],
        [{"name": "a", "v": 1}, {"name": "a", "v": 2}],
        [{"Date": "03/04/2026", "v": 1}, {"Date": "05/04/2026", "v": 2}],
        {"start": MS[0], "interval": 60, "values": [1, 2, 3]},
    ],
    ids=json.dumps,
)
def test_a_chart_without_a_sure_axis_is_refused(value: Any) -> None:
    with pytest.raises(Rejected):
        chart(value)


def test_points_are_sorted_and_the_last_of_one_time_counts() -> None:
    rows = [{"t": MS[1], "a": 1}, {"t": MS[0], "a": 2}, {"t": MS[1], "a": 3}, {"t": MS[1], "a": None}]
    assert points(chart(rows)) == {"a": [(MS[0], 2.0), (MS[1], 3.0)]}


def test_bounds() -> None:
    row = {"t": MS[0], **{f"s{number}x": number + 0.5 for number in range(65)}}
    with pytest.raises(Rejected, match=r"^more than 64 series$"):
        chart([row])
    many = [{"metric": f"m{number}", "ts": 1, "value": 1} for number in range(261)]
    reading = batch(many)
    assert len(reading.series) == 256
    assert reading.rejected == {"too many metrics": 5}
    half = b"[" + b"1.5," * 500_000 + b"1.5]"
    with pytest.raises(Rejected, match=r"^more than 1,000,000 points$"):
        chart(b'{"x":' + half + b',"aa":' + half + b',"bb":' + half + b"}")


def test_a_copy_of_the_rows_is_no_second_table() -> None:
    rows = [{"time": time, "temp": 1.5} for time in THREE]
    assert values(chart({"recordsets": [rows], "recordset": rows})) == {"temp": [1.5] * 3}
    zeros = {"a": [{"ts": time, "value": 0} for time in THREE], "b": [{"ts": time, "value": 0} for time in THREE]}
    assert values(chart(zeros)) == {"a": [0.0] * 3, "b": [0.0] * 3}


def test_senml_is_resolved_wherever_it_stands() -> None:
    pack = [
        {"bn": "urn:x:", "bt": MS[0] / 1000, "bu": "A", "bv": 10, "n": "i", "v": 1.5},
        {"n": "i", "t": 60, "v": 2},
        {"n": "u", "u": "V", "t": -60, "v": 3},
    ]
    for value in (pack, {"value": pack, "expires": 1}, [pack]):
        assert points(chart(value)) == {"urn:x:i": [(MS[0], 11.5), (MS[1], 12.0)], "urn:x:u": [(MS[0] - 60_000, 13.0)]}
    assert {series.unit for series in chart(pack).series.values()} == {"A", "V"}


SIX = [20.5, 21.5, 22.5]


@pytest.mark.parametrize(
    "value",
    [
        {"start": MS[0] // 1000, "end": MS[2] // 1000, "step": 60, "values": SIX},
        {"start": MS[0], "step": 60_000, "values": SIX},
        {"values": SIX, "pointStart": MS[0], "pointInterval": 60_000},
        {"meta": {"start": MS[0] // 1000, "step": 60, "legend": ["values", "b"]}, "data": [[v, v + 0.5] for v in SIX]},
    ],
    ids=json.dumps,
)
def test_a_start_and_a_step_make_an_axis(value: Any) -> None:
    assert points(chart(value))["values"] == [(MS[row], number) for row, number in enumerate(SIX)]


@pytest.mark.parametrize(
    "value",
    [
        {"createdAt": MS[0] // 1000, "size": 60, "values": SIX},
        {"start": ISO[0], "step": 60, "values": SIX},
        {"timestamp": ISO[0], "readings": [{"value": number} for number in SIX]},
    ],
    ids=json.dumps,
)
def test_numbers_around_a_list_are_no_row_of_a_chart(value: Any) -> None:
    with pytest.raises(Rejected):
        chart(value)


def test_a_reading_may_hold_a_list_beside_its_measures() -> None:
    for more in ({"location": [8.5, 47.4]}, {"tags": [1, 2, 3]}, {"gateways": [{"rssi": -40, "snr": 9.5}]}):
        value = {"timestamp": ISO[0], "temp": 20.5, **more}
        assert values(batch(value)) == values(chart(value)) == {"temp": [20.5]}


def test_parts_of_a_date_are_a_time_and_never_measured() -> None:
    rows = [{"year": 2026, "month": 3, "day": 1, "hour": 6, "minute": row, "temp": 20.5} for row in range(3)]
    assert points(chart(rows)) == {"temp": [(MS[row], 20.5) for row in range(3)]}
    assert values(batch([{"hour": row, "temp": 20.5} for row in range(3)])) == {"temp": [20.5] * 3}


def test_named_series_in_lists() -> None:
    value = [[name, [], [[ms, number] for ms, number in zip(MS, SIX, strict=False)]] for name in ("temp", "co2")]
    assert values(chart(value)) == values(batch(value)) == {"temp": SIX, "co2": SIX}
