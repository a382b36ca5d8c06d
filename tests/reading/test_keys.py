"""Batches in every type of Redis key, and what announces a batch without holding one."""

import gzip
import json
from typing import Any

import pytest

from shared.errors import NotReady, Rejected
from shared.reading.batches import entries
from shared.reading.read import read_batch
from tests.reading.reads import batch, chart, flat, values
from tests.reading.table import CO2, ISO, LONG, MS, ROWS, TEMP

BOTH = {"temp": TEMP, "co2": CO2}


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


def fields(members: dict[str, Any]) -> list[bytes]:
    return [
        part
        for name, value in members.items()
        for part in (name.encode(), value if isinstance(value, bytes) else str(value).encode())
    ]


def stream(rows: list[dict[str, Any]], ids: list[str]) -> list[bytes]:
    return [
        part
        for row, entry in zip(rows, ids, strict=True)
        for part in (entry.encode(), str(len(row)).encode(), *fields(row))
    ]


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("list", [text(row) for row in ROWS]),
        ("list", [gzip.compress(text(row)) for row in ROWS]),
        ("list", [text(row) for row in LONG]),
        ("list", [text({"records": ROWS[:12]}), text({"records": ROWS[12:]})]),
        (
            "hash",
            fields({"batchId": "b", "status": "done", "readings": text(LONG), "count": 48, "createdAt": 1772344800}),
        ),
        ("hash", fields({str(row): text(cells) for row, cells in enumerate(ROWS)})),
        ("hash", fields({cells["timestamp"]: text({"temp": cells["temp"], "co2": cells["co2"]}) for cells in ROWS})),
        ("hash", fields({"temp": text(TEMP), "co2": text(CO2), "timestamps": text(ISO)})),
        ("hash", fields({"meta": "x", "data": gzip.compress(text(ROWS))})),
        ("stream", stream(ROWS, [f"{ms}-0" for ms in MS])),
        ("stream", stream([{"temp": row["temp"], "co2": row["co2"]} for row in ROWS], [f"{ms}-0" for ms in MS])),
        ("stream", stream([{"data": text(row)} for row in ROWS], [f"{ms}-0" for ms in MS])),
        (
            "stream",
            stream(
                [{"sensor": row["metric"], "value": row["value"]} for row in LONG],
                [f"{MS[i // 2]}-{i % 2}" for i in range(48)],
            ),
        ),
    ],
)
def test_a_batch_in_any_type_of_key_is_read(kind: str, parts: list[bytes]) -> None:
    assert values(read_batch(kind, parts)) == BOTH


def test_the_id_of_an_entry_is_its_time_where_it_has_no_other() -> None:
    parts = stream([{"temp": 1.5}, {"temp": 2}], ["1772344800000-0", "1772344860000-3"])
    assert flat(read_batch("stream", parts)) == {"temp": [(1.5, None, 1772344800000), (2.0, None, 1772344860000)]}
    parts = stream([{"ts": ISO[0], "temp": 1.5}], ["1772344899999-0"])
    assert flat(read_batch("stream", parts)) == {"temp": [(1.5, None, ISO[0])]}
    assert list(entries([b"1-0", b"1", b"a", b"b", b"2-0", b"0"])) == [(b"1-0", {b"a": b"b"}), (b"2-0", {})]


def test_a_hash_of_numbers_is_one_row() -> None:
    parts = fields({"timestamp": ISO[0], "sensorId": "T", "temp": "20.5", "co2": "4e2", "unit": "x"})
    assert flat(read_batch("hash", parts)) == {"temp": [(20.5, "T", ISO[0])], "co2": [(400.0, "T", ISO[0])]}
    assert flat(read_batch("hash", [b"temp\xe9", b"2.5"])) == {"temp\\xe9": [(2.5, None, None)]}


def test_bad_elements_are_counted_and_the_others_read() -> None:
    reading = read_batch("list", [text(ROWS[0]), b"{oops", b"3", text(LONG[0])])
    assert reading.rejected["not JSON"] == 1
    assert reading.rejected["neither a record nor a reading"] == 1
    assert reading.count == 3


def test_records_and_readings_of_one_batch_all_count() -> None:
    wide = [{"timestamp": ISO[0], "data": {"co2": 1.5, "temp": 24}}]
    long = [{"sensorId": "s1", "metric": "co2", "ts": 5, "value": 2.5}]
    for value in ({"records": wide, "readings": long}, {"records": wide, "data": long}, [*wide, *long]):
        assert flat(batch(value)) == {"co2": [(1.5, None, ISO[0]), (2.5, "s1", 5)], "temp": [(24.0, None, ISO[0])]}


@pytest.mark.parametrize(
    "value",
    [
        {"batchId": "b", "status": "processing"},
        {"batchId": "b", "status": "queued", "progress": 0.5, "createdAt": ISO[0]},
        {"batchId": "b", "status": "processing", "records": []},
        {"batchId": "b", "records": []},
        {"batchId": "b", "createdAt": MS[0]},
        {"batchId": "b", "status": "processing", "timestamp": ISO[0], "progress": 10},
        {"batchId": "b", "total": 24, "status": "processing"},
        {"batchId": "b", "status": "failed", "error": "x"},
        {"jobId": 5, "state": "running", "started": ISO[0]},
        {"id": 17},
    ],
    ids=json.dumps,
)
def test_an_object_without_a_reading_is_a_placeholder(value: dict[str, Any]) -> None:
    with pytest.raises(NotReady):
        batch(value)
    with pytest.raises(NotReady):
        read_batch(
            "hash", fields({name: json.dumps(item) if isinstance(item, list) else item for name, item in value.items()})
        )
    with pytest.raises(Rejected):
        chart(value)


@pytest.mark.parametrize(
    "value", [{"status": "processing", "result": ROWS}, {"status": "processing", "timestamp": ISO[0], "temp": 20.5}]
)
def test_a_status_says_nothing_about_whether_there_is_data(value: dict[str, Any]) -> None:
    assert "temp" in values(batch(value))


@pytest.mark.parametrize(
    ("kind", "parts", "reason"),
    [
        ("string", [b"null"], "neither an object nor a list"),
        ("list", [b"1", b"2"], "numbers alone, without names or times"),
        ("list", [b"{oops"], "no usable reading: not JSON"),
        ("zset", [b"1"], "a key of type zset is not read"),
        ("string", [b'{"readings":[{"metric":"m","ts":1,"value":NaN}]}'], "no usable reading: value is not finite"),
    ],
)
def test_what_holds_no_reading_is_rejected_with_the_reason(kind: str, parts: list[bytes], reason: str) -> None:
    with pytest.raises(Rejected) as caught:
        read_batch(kind, parts)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    "raw",
    [
        b"[]",
        b"{}",
        b'{"rows": []}',
        b'{"count": 0, "next": null, "results": []}',
        b'{"data": {"readings": {"items": []}}}',
        b'{"expected": 240, "received": 0, "readings": []}',
        b'[{"ts": "2026-03-01T06:00:00Z", "temp": null}]',
        b"ts,temp,co2\n",
        b'{"value": null, "expires": 1795914857211}',
    ],
)
def test_an_empty_result_is_a_placeholder_of_a_batch_and_no_chart(raw: bytes) -> None:
    with pytest.raises(NotReady):
        read_batch("string", [raw])
    with pytest.raises(Rejected):
        chart(raw)


@pytest.mark.parametrize("elements", [[b'{"status":"canary"}'], [b'{"batchId":"b1","status":"processing"}'] * 2])
def test_a_list_of_placeholders_is_a_placeholder(elements: list[bytes]) -> None:
    with pytest.raises(NotReady):
        read_batch("list", elements)


def test_a_list_with_one_element_that_is_no_placeholder_is_rejected() -> None:
    with pytest.raises(Rejected):
        read_batch("list", [b'{"status":"canary"}', b'{"rows":[{"temp":"warm"}]}'])
