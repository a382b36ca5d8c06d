"""Numbers that look like measurements and are none, and tables beside which others stand: told apart, or refused."""

from typing import Any

import pytest

from shared.errors import NotReady, Rejected
from shared.reading.overrides import Override
from tests.reading.reads import batch, chart, points, values

N = 6
ISO = [f"2026-03-01T06:0{i}:00Z" for i in range(N)]
LOCAL = [text.replace("T", " ").removesuffix("Z") for text in ISO]
MS = [1_772_344_800_000 + 60_000 * i for i in range(N)]
TEMP = [20.5, 20.75, 21.0, 20.25, 20.5, 21.5]
HOUR_MS = 3_600_000


def rows(**columns: Any) -> list[dict[str, Any]]:
    """Rows of a time, the columns and a temperature. A column is a list, or the same value in every row."""
    return [
        {
            "ts": ISO[i],
            **{name: item[i] if isinstance(item, list) else item for name, item in columns.items()},
            "temp": TEMP[i],
        }
        for i in range(N)
    ]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("Auftragsnr", [4711] * 3 + [4712] * 3),
        ("machine", 7),
        ("work_order", 88123),
        ("ventilator_nr", 3),
        ("operator_code", [12] * 5 + [13]),
        ("articolo", 5),
        ("errCode", [0, 0, 17, 0, 0, 0]),
        ("zorb", [1, 2, 3, 4, 5, 6]),
    ],
)
def test_a_code_is_no_series(name: str, column: Any) -> None:
    assert values(batch(rows(**{name: column}))) == {"temp": TEMP}
    assert values(chart(rows(**{name: column}))) == {"temp": TEMP}


@pytest.mark.parametrize(
    ("name", "column"), [("zorb", 7), ("zorb", [3, 3, 3, 4, 4, 4]), ("zorb", [4_500_001 + 7 * i for i in range(N)])]
)
def test_whole_numbers_under_an_unknown_word_are_refused_with_what_to_set(name: str, column: Any) -> None:
    for read in (batch, chart):
        with pytest.raises(
            Rejected, match="`zorb` holds whole numbers that may be a code or a measurement; set `ignore`"
        ):
            read(rows(**{name: column}))
        assert values(read(rows(**{name: column}), Override(ignore=(name,)))) == {"temp": TEMP}
        assert values(read(rows(**{name: column}), Override(measures=(name, "temp")))).keys() == {name, "temp"}


@pytest.mark.parametrize(
    "name", ["humidity", "rpm", "visitors", "TT-101", "uvIndex", "Drehzahl", "door_openings", "co2_ppm"]
)
def test_whole_numbers_under_the_name_of_a_quantity_are_a_series(name: str) -> None:
    assert values(batch(rows(**{name: [45] * 5 + [46]})))[name] == [45] * 5 + [46]


@pytest.mark.parametrize("name", ["k", "origin", "lastSeen", "unix_seconds"])
@pytest.mark.parametrize("scale", [1e-3, 1, 1e3, 1e6])
def test_numbers_of_the_size_of_times_are_the_time(name: str, scale: float) -> None:
    table = [{name: int(MS[i] * scale), "temp": TEMP[i]} for i in range(N)]
    assert points(chart(table)) == {"temp": list(zip(MS, TEMP, strict=True))}
    assert values(batch(table)) == {"temp": TEMP}


@pytest.mark.parametrize("first", [46082.25, 739677.25, 2461100.75])
def test_days_since_an_epoch_are_refused(first: float) -> None:
    with pytest.raises(Rejected, match="numbers that could be times"):
        batch([{"day": first + i / 1440, "temp": TEMP[i]} for i in range(N)])


def test_numbers_of_the_size_of_times_that_do_not_follow_the_time_are_refused() -> None:
    with pytest.raises(Rejected, match="`blob` holds numbers of the size of times"):
        batch(rows(blob=[1_600_000_000 + 9_000_000 * i for i in range(N)]))
    assert "free_bytes" in values(batch(rows(free_bytes=[1_600_000_000 + 9_000_000 * i for i in range(N)])))


@pytest.mark.parametrize(
    "name", ["hi_limit", "USL", "temp_setpoint", "Sollwert", "warnHigh", "consigne", "lower_threshold"]
)
def test_a_limit_is_no_series(name: str) -> None:
    reading = batch(rows(**{name: [30.5] * 5 + [31.5]}))
    assert values(reading) == {"temp": TEMP}
    assert reading.rejected == {"a limit is no measurement": N}


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("q", 192, 0),
        ("quality", 216, 28),
        ("q", True, False),
        ("temp_ok", True, False),
        ("fault", 0, 1),
        ("Quality", "Good", "Bad, Not Connected"),
        ("status", 0, 2_150_694_912),
        ("temp_qartod_flag", 1, 4),
    ],
)
def test_a_value_of_bad_quality_is_left_out(name: str, good: Any, bad: Any) -> None:
    reading = batch(rows(**{name: [good, good, bad, good, good, good]}))
    assert values(reading) == {"temp": TEMP[:2] + TEMP[3:]}
    assert reading.rejected["quality is bad"] == 1


def test_codes_of_quality_that_follow_no_table_are_refused() -> None:
    with pytest.raises(Rejected, match="`temp_qc` holds codes of quality that follow no known table; set `ignore`"):
        batch(rows(temp_qc=[0, 0, 1, 0, 0, 0]))


@pytest.mark.parametrize("more", [{"scale": 0.1}, {"exponent": -2}, {"unit": -3}])
def test_a_value_that_may_have_to_be_scaled_is_refused(more: dict[str, Any]) -> None:
    table = [{"ts": ISO[i], "metric": "temp", "value": TEMP[i], **more} for i in range(N)]
    with pytest.raises(Rejected, match="may scale `value`; set `ignore`"):
        batch(table)


@pytest.mark.parametrize(
    ("around", "zone_ms"),
    [
        ({"timezone": "Europe/Berlin"}, -HOUR_MS),
        ({"utc_offset_seconds": 3600, "timezone": "GMT+1"}, -HOUR_MS),
        ({"meta": {"tz": "America/New_York"}}, 5 * HOUR_MS),
        ({"6. Time Zone": "US/Eastern"}, 5 * HOUR_MS),
        ({"utcOffset": "+05:30"}, -5.5 * HOUR_MS),
        ({"tz": "MEZ"}, -HOUR_MS),
    ],
)
def test_a_zone_beside_the_times_counts(around: dict[str, Any], zone_ms: float) -> None:
    table = [{"time": LOCAL[i], "temp": TEMP[i]} for i in range(N)]
    assert points(chart({**around, "rows": table})) == {
        "temp": [(ms + zone_ms, v) for ms, v in zip(MS, TEMP, strict=True)]
    }
    assert points(chart({**around, "rows": rows()})) == {"temp": list(zip(MS, TEMP, strict=True))}
    by_hand = chart({**around, "rows": table}, Override(zone="UTC"))
    assert points(by_hand) == {"temp": list(zip(MS, TEMP, strict=True))}


def test_a_zone_in_the_name_of_the_time_counts() -> None:
    text = "Time (CET),temp\n" + "".join(f"{LOCAL[i]},{TEMP[i]}\n" for i in range(N))
    assert points(chart(text.encode()))["temp"][0] == (MS[0] - HOUR_MS, 20.5)


def test_a_zone_that_is_not_known_is_refused() -> None:
    with pytest.raises(Rejected, match="`timezone` states a zone of the times that is not known; set `zone`"):
        chart({"timezone": "Plant/North", "rows": [{"time": LOCAL[i], "temp": TEMP[i]} for i in range(N)]})


@pytest.mark.parametrize(
    "value",
    [
        {"temp": 20.5, "humidity": 45},
        {"createdAt": ISO[0], "replicas": 3},
        {"level": 30, "time": MS[0], "msg": "done", "responseTime": 12},
        {"items": [{"distance": 12.5, "duration": 30.5}]},
    ],
)
def test_numbers_without_the_time_of_a_measurement_are_refused_for_good(value: Any) -> None:
    for read in (batch, chart):
        with pytest.raises(Rejected) as caught:
            read(value)
        assert not isinstance(caught.value, NotReady)


def test_products_are_a_chart_over_names_and_no_batch() -> None:
    products = [{"sku": "a", "price": 9.5}, {"sku": "b", "price": 4.5}]
    assert chart(products).x == "category"
    with pytest.raises(Rejected, match="no name that speaks of a measurement"):
        batch(products)


def test_a_table_that_is_not_sure_is_refused_rather_than_the_one_beside_it() -> None:
    with pytest.raises(Rejected, match="zorb"):
        batch({"rows": rows(zorb=7), "daily": [{"ts": ISO[0], "temp": 20.5}, {"ts": ISO[1], "temp": 21.5}]})


def test_one_row_beside_many_is_not_the_table() -> None:
    clocks = [{"time": f"06:0{i}:00", "value": 60 + i} for i in range(N)]
    with pytest.raises(Rejected, match="one row found at `day` and several at `minutes`"):
        chart({"day": [{"date": "2026-03-01", "value": 64}], "minutes": clocks})


def test_two_tables_in_one_text_are_no_preamble() -> None:
    first = "time,temp\n" + "".join(f"{ISO[i]},{TEMP[i]}\n" for i in range(N))
    second = "\ntime,flow,ph\n" + "".join(f"{ISO[i]},{TEMP[i]},7\n" for i in range(N))
    with pytest.raises(Rejected, match="differ in their number of fields"):
        batch((first + second).encode())


def test_a_matrix_that_could_lie_either_way_is_refused() -> None:
    with pytest.raises(Rejected, match="rows or columns"):
        chart({"sensors": ["a", "b"], "times": ISO[:2], "values": [[1.5, 2.5], [3.5, 4.5]]})


def test_a_step_as_an_iso_duration_makes_the_times() -> None:
    period = {"timeInterval": {"start": "2026-03-01T06:00Z", "end": "2026-03-01T12:00Z"}, "resolution": "PT1M"}
    value = {"Period": {**period, "Point": [{"position": i + 1, "price": TEMP[i]} for i in range(N)]}}
    assert points(chart(value)) == {"price": list(zip(MS, TEMP, strict=True))}


def test_a_line_feed_within_a_number_shifts_no_value() -> None:
    cells = [f'"{20 + i},5"' for i in range(20)]
    cells[7] = '"2\n7"'
    text = "ts;temp\n" + "".join(f"2026-03-01T06:{i:02d}:00Z;{cell}\n" for i, cell in enumerate(cells))
    assert values(batch(text.encode())) == {"temp": [20.5 + i for i in range(20) if i != 7]}
