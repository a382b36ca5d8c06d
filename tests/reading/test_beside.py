"""Numbers that measure nothing, and shapes in which the numbers stand apart from their names and times."""

from typing import Any

import pytest

from shared.errors import NotReady, Rejected
from shared.reading.overrides import Override
from tests.reading.reads import batch, chart, values
from tests.reading.table import CO2, ISO, MS, TEMP

WIDE = [{"ts": time, "temp": temp} for time, temp in zip(ISO, TEMP, strict=True)]
LONG = [
    {"ts": time, "metric": name, "value": value}
    for time, temp, co2 in zip(ISO, TEMP, CO2, strict=True)
    for name, value in (("temp", temp), ("co2", co2))
]


def beside(rows: list[dict[str, Any]], **members: Any) -> list[dict[str, Any]]:
    return [{**row, **members} for row in rows]


@pytest.mark.parametrize(
    "members",
    [
        {"__v": 0},
        {"version": "1.10", "firmware": 2.1},
        {"phone": "+493012345678", "zip": "01069", "account": "4711"},
        {"lat": 52.5, "lon": 13.4, "altitude": 34},
        {"location": {"lat": 52.5, "lon": 13.4}},
        {"marker": {"radius": 4}, "itemStyle": {"opacity": 0.5}},
        {"device": {"id": 4, "firmware": "2.10", "rated": 5.5}},
        {"fallback_source_ids": {"x": 43567}},
        {"temp@OData.Community.Display.V1.FormattedValue": "20.00"},
        {"invoice": "4711"},
        {"expires": 1795914857211, "took": 2, "pages": 4},
    ],
    ids=str,
)
def test_what_measures_nothing_is_left_out_of_wide_rows(members: dict[str, Any]) -> None:
    rows = beside(WIDE, **members)
    assert values(batch(rows)) == {"temp": TEMP}
    assert values(chart(rows)) == {"temp": TEMP}


@pytest.mark.parametrize(
    "members",
    [
        {"qos": 0},
        {"address": 40001},
        {"datatype": 10},
        {"timestamp": {"offsetInNanos": 0}},
        {"coordinates": {"latitude": 28.63, "longitude": 77.22}},
        {"battery": 3.7},
    ],
    ids=str,
)
def test_what_stands_beside_a_named_value_is_left_out(members: dict[str, Any]) -> None:
    rows = beside(LONG, **members)
    assert values(batch(rows)) == {"co2": CO2, "temp": TEMP}
    assert values(chart(rows)) == {"temp": TEMP, "co2": CO2}


def test_where_it_moves_a_position_is_still_no_measurement() -> None:
    rows = [{**row, "lat": 52 + number / 100, "lon": 13.4} for number, row in enumerate(WIDE)]
    assert values(batch(rows)).keys() == {"temp"}
    assert batch(rows).rejected == {"a place is no measurement": 2 * len(WIDE)}


def test_what_a_member_called_after_a_sensor_measures_is_kept() -> None:
    rows = [{"ts": row["ts"], "sensor": {"temp": row["temp"]}} for row in WIDE]
    assert values(batch(rows)) == {"temp": TEMP}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("R[ts]", "R[temp]", "[co2]"), ("temp", "co2")),
        (("ts", "temp [°C]", "CO2[ppm]"), ("temp [°C]", "CO2[ppm]")),
        (("time[UTC]", "temp[°C]", "co2[ppm]"), ("temp[°C]", "co2[ppm]")),
    ],
)
def test_brackets_are_a_table_only_where_all_columns_have_the_same(
    names: tuple[str, str, str], expected: tuple[str, str]
) -> None:
    rows = [dict(zip(names, row, strict=True)) for row in zip(ISO, TEMP, CO2, strict=True)]
    assert values(batch(rows)) == dict(sorted(zip(expected, (TEMP, CO2), strict=True)))
    assert values(chart(rows)) == dict(zip(expected, (TEMP, CO2), strict=True))


@pytest.mark.parametrize("name", ["When", "Date/Time", "stamp"])
def test_a_text_that_looks_like_a_time_and_is_none_is_refused_with_its_notation(name: str) -> None:
    rows = [{name: f"2026.03.{day} 10h30", "temp": 1.5 * day, "x": day} for day in range(10, 20)]
    with pytest.raises(Rejected, match=r"seems to be the time, but '9999\.99\.99 99a99' is no known notation"):
        chart(rows)


def test_many_values_at_one_time_are_refused() -> None:
    with pytest.raises(Rejected, match="24 values of `load` at 1 times"):
        chart([{"date": "2026-03-01", "hour": hour + 1, "load": hour + 0.5} for hour in range(24)])


def test_rows_of_series_with_a_column_for_each_time_are_read() -> None:
    rows = [{"name": "temp", **dict(zip(ISO, TEMP, strict=True))}, {"name": "co2", **dict(zip(ISO, CO2, strict=True))}]
    assert values(chart(rows)) == {"temp": TEMP, "co2": CO2}
    assert list(chart(rows).series["temp"].x) == MS
    lines = [["name", *ISO], ["temp", *map(str, TEMP)], ["co2", *map(str, CO2)]]
    assert values(batch("\n".join(map(",".join, lines)).encode())) == {"co2": CO2, "temp": TEMP}


def test_tables_of_the_same_columns_are_named_after_their_members() -> None:
    value = {"actual": WIDE, "forecast": WIDE[:5]}
    assert values(chart(value)) == {"actual.temp": TEMP, "forecast.temp": TEMP[:5]}
    assert values(batch({"page1": WIDE[:5], "page2": WIDE[5:]})) == {"temp": TEMP}


def test_an_id_tells_apart_the_values_of_one_time() -> None:
    rows = [
        {"itemid": {"temp": "7", "co2": "8"}[str(row["metric"])], "clock": row["ts"], "value": row["value"]}
        for row in LONG
    ]
    assert values(batch(rows)) == {"7": TEMP, "8": CO2}


@pytest.mark.parametrize(
    "value",
    [
        {"error": {"code": "Expired", "innererror": {"retryAfter": 30}}},
        {"errors": [{"message": "no", "locations": [{"line": 1, "column": 2}]}]},
        {"status": "UP", "uptime": 12345.6, "version": "1.2"},
        {"cookie": {"originalMaxAge": 86400000, "expires": "2026-03-03T00:00:00.000Z"}, "views": 3},
        {"sub": "u1", "iat": 1772344800, "exp": 1772348400},
        {"status": "done", "duration_ms": 120, "rows": 0},
    ],
    ids=str,
)
def test_messages_of_services_hold_no_readings(value: Any) -> None:
    with pytest.raises((Rejected, NotReady)):
        batch(value)
    with pytest.raises(Rejected):
        chart(value)


def test_references_by_position_are_followed_and_bounded() -> None:
    rows = [{"ts": 2, "temp": 3}, ["Date", ISO[0]], 20.5]
    assert values(batch([[1], *rows])) == {"temp": [20.5]}
    assert values(batch([["1"], {"ts": "2", "temp": 20.5}, ISO[0]])) == {"temp": [20.5]}
    shared = [[level + 1] * 9 for level in range(9)]
    with pytest.raises(Rejected):
        batch([*shared, 1.5])
    with pytest.raises(Rejected):
        batch([[1], {"ts": 2, "temp": 0}, ISO[0]])


def test_what_inputs_names_as_a_measure_is_one() -> None:
    rows = beside(WIDE, lat=52.5, location={"lat": 52.5})
    assert values(batch(rows, Override(measures=("temp", "lat")))).keys() >= {"temp"}
    both = values(batch(beside(LONG, battery=3.7), Override(measures=("value", "battery"))))
    assert both.keys() == {"temp", "co2", "temp.battery", "co2.battery"}
    health = {"status": "UP", "uptime": 12345.6}
    assert values(batch(health, Override(measures=("uptime",)))) == {"uptime": [12345.6]}


def test_a_text_that_looks_like_a_time_and_is_none_names_no_series() -> None:
    rows = [{"When": f"2026.03.{day} 10h30", "level": 1.5 * day} for day in range(10, 20)]
    assert values(batch(rows)) == {"level": [1.5 * day for day in range(10, 20)]}


def test_a_date_around_times_of_day_belongs_to_them() -> None:
    value = {"date": "2026-03-01", "rows": [{"time": f"{hour:02d}:00", "temp": hour + 0.5} for hour in range(6, 9)]}
    assert list(chart(value).series["temp"].x) == [MS[0] + hour * 3_600_000 for hour in range(3)]


def test_what_rooms_measure_is_kept() -> None:
    rows = [{"ts": row["ts"], "location": {"kitchen": row["temp"]}, "power": 5.5} for row in WIDE]
    assert values(batch(rows)) == {"location.kitchen": TEMP, "power": [5.5] * len(TEMP)}
