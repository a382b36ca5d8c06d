"""Columns beside the measurements, odd names and values, and every way to write long rows: beside."""

import json
from typing import Any

import jsonpickle
from kit import Row, Truth, epoch_ms, lib

from columns.readings import HAND, ROWS, TRUTH, theme


def rows_with(make: Any) -> list[Row]:
    return [{**make(i), **row} for i, row in enumerate(ROWS)]


def uuid(i: int) -> str:
    return f"6ba7b810-9dad-11d1-80b4-{i * 7919:012x}"


extras: list[tuple[str, str, Any]] = [
    ("bc", "uuid and site", lambda i: {"uuid": uuid(i), "site": "Nord", "plant": "P2"}),
    ("b", "camel-case ids that jump", lambda i: {"readingId": 88120 + i * i, "sensorId": 17, "tenantId": 3}),
    ("c", "row number from 1", lambda i: {"#": i + 1}),
    ("b", "sequence that wraps", lambda i: {"seq": (250 + i) % 256}),
    (
        "c",
        "unit, quality and comment",
        lambda i: {"unit": "mixed", "quality": "good" if i % 5 else "uncertain", "comment": ""},
    ),
    ("b", "quality as a code", lambda i: {"quality": 192 if i % 7 else 64}),
    ("c", "constant place", lambda _: {"lat": 52.5163, "lon": 13.3777, "altitude": 34}),
    ("b", "ingest time in epoch ms", lambda i: {"ingested_at": epoch_ms(ROWS[i]["ts"]) + 1830}),
    ("c", "flags", lambda i: {"running": i % 2 == 0, "alarm": False}),
    ("b", "ids as text with leading zeros", lambda i: {"serial": "0004711", "order_no": f"{i:08d}"}),
    ("c", "mongo id and version", lambda i: {"_id": f"65f1{i:020x}", "__v": 0}),
    ("b", "nested object of the device", lambda _: {"device": {"id": 41, "name": "line 1", "firmware": "2.10"}}),
    ("c", "address, version and colour", lambda i: {"ip": "10.0.0.17", "version": "1.10", "color": "#1f77b4"}),
    ("b", "partition and offset", lambda i: {"partition": 3, "offset": 10_223_344 + i, "key": "line-1"}),
    ("b", "tags as list and text", lambda _: {"tags": ["a", "b"], "labels": {"area": "north"}}),
    ("c", "a spectrum in each row", lambda i: {"spectrum": [0.1 * i, 0.2, 0.3, 0.4]}),
]
doubts = {
    "a spectrum in each row": "A list in a cell is no number: left out with a reason.",
    "quality as a code": "192 and 64 are OPC quality codes.",
    "flags": "A flag is a state, no measurement.",
}
for kinds, name, make in extras:
    alt: list[Truth] = []
    if name == "constant place":
        place: Truth = {
            key: [(epoch_ms(row["ts"]), value) for row in ROWS]
            for key, value in (("lat", 52.5163), ("lon", 13.3777), ("altitude", 34))
        }
        alt = [{**TRUTH, "altitude": place["altitude"]}]
    theme.add(kinds, f"beside: {name}", HAND, rows_with(make), TRUTH, alt=alt, doubt=doubts.get(name))
theme.add(
    "b",
    "beside: jsonpickle type names",
    f"{lib('jsonpickle')} encode of objects",
    json.dumps([{"py/object": "plant.Reading", **row} for row in json.loads(jsonpickle.encode(ROWS))]),
    TRUTH,
)
