"""Devices, gateways and their brokers: senml."""

import json

import senml as senml_library
from kit import Truth, epoch_ms, lib, rename

from devices.readings import NAMES, ROWS, TRUTH, theme

start = epoch_ms(ROWS[0]["ts"]) // 1000
full = rename(TRUTH, lambda name: f"urn:dev:ow:10e2073a:{name}")
pack = [
    {
        "bn": "urn:dev:ow:10e2073a:",
        "bt": start,
        "bu": "Cel",
        "bver": 5,
        "n": "temperature",
        "v": ROWS[0]["temperature"],
    }
]
pack += [{"n": "humidity", "u": "%RH", "v": ROWS[0]["humidity"]}]
for i, row in enumerate(ROWS[1:], 1):
    pack += [
        {"n": "temperature", "t": 600 * i, "v": row["temperature"]},
        {"n": "humidity", "u": "%RH", "t": 600 * i, "v": row["humidity"]},
    ]
theme.add("bc", "SenML with base name and base time", "RFC 8428 section 5", pack, full, alt=[TRUTH])
based = [
    {"bn": "line1/", "bt": start, "bv": 100, "n": "co2", "v": 1.5},
    *({"n": "co2", "t": 60 * i, "v": i / 2} for i in range(1, 12)),
]
values = {"line1/co2": [(1000 * start, 101.5), *((1000 * (start + 60 * i), 100 + i / 2) for i in range(1, 12))]}
theme.add("b", "SenML with base value", "RFC 8428 section 4.1", based, values, alt=[{"co2": values["line1/co2"]}])
resolved = [
    {"n": "line1/temperature", "u": "Cel", "t": epoch_ms(row["ts"]) / 1000, "v": row["temperature"]} for row in ROWS
]
theme.add(
    "c",
    "SenML resolved",
    "RFC 8428 section 4.6",
    resolved,
    {"line1/temperature": TRUTH["temperature"]},
    alt=[{"temperature": TRUTH["temperature"]}],
)
switched = [
    {"bn": "d1:", "bt": start, "n": "temperature", "v": 20.5},
    {"n": "open", "vb": True},
    {"n": "mode", "vs": "auto"},
    {"bn": "d2:", "n": "temperature", "v": 22.25},
]
two: Truth = {"d1:temperature": [(1000 * start, 20.5)], "d2:temperature": [(1000 * start, 22.25)]}
theme.add(
    "b",
    "SenML with a second base name, a text and a switch",
    "RFC 8428 section 4.1",
    switched,
    two,
    doubt="The base name changes in the pack; a flag and a text are no numbers.",
)
library = senml_library.SenMLDocument(
    [
        senml_library.SenMLMeasurement(name=f"urn:dev:line1:{name}", time=epoch_ms(row["ts"]) / 1000, value=row[name])
        for row in ROWS
        for name in NAMES
    ]
)
theme.add(
    "c",
    "SenML of a library",
    f"{lib('senml')} SenMLDocument.to_json",
    json.dumps(library.to_json()),
    rename(TRUTH, lambda name: f"urn:dev:line1:{name}"),
    alt=[TRUTH],
)
