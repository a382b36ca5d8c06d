"""Devices, gateways and their brokers: brokers."""

import json

from kit import Truth, epoch_ms, iso, rename

from devices.readings import NAMES, ROWS, TRUTH, named, theme

things = {name: [{"ts": epoch_ms(row["ts"]), "value": str(row[name])} for row in reversed(ROWS)] for name in NAMES}
theme.add("bc", "ThingsBoard time series, newest first", "ThingsBoard REST API, getTimeseries", things, TRUTH)
upload = [{"ts": epoch_ms(row["ts"]), "values": {name: row[name] for name in NAMES}} for row in ROWS]
theme.add(
    "b",
    "ThingsBoard telemetry upload",
    "ThingsBoard MQTT device API, telemetry upload",
    upload,
    TRUTH,
    alt=named(TRUTH, "values.{}"),
)
gateway = {"Line 1": upload}
theme.add(
    "c",
    "ThingsBoard gateway telemetry",
    "ThingsBoard MQTT gateway API",
    gateway,
    TRUTH,
    alt=named(TRUTH, "values.{}", "Line 1.{}"),
)
birth = [
    {
        "timestamp": epoch_ms(row["ts"]),
        "metrics": [
            {"name": f"Inputs/{name}", "timestamp": epoch_ms(row["ts"]), "dataType": "Double", "value": row[name]}
            for name in NAMES
        ],
        "seq": i % 256,
    }
    for i, row in enumerate(ROWS)
]
sparkplug = rename(TRUTH, lambda name: f"Inputs/{name}")
theme.add(
    "bc", "Sparkplug B as JSON", "Eclipse Sparkplug specification, payload as JSON", birth, sparkplug, alt=[TRUTH]
)
aliases = [
    {
        "timestamp": epoch_ms(row["ts"]),
        "metrics": [
            {"alias": i, "timestamp": epoch_ms(row["ts"]), "datatype": 10, "value": row[name]}
            for i, name in enumerate(NAMES)
        ],
        "seq": 0,
    }
    for row in ROWS
]
theme.add(
    "c",
    "Sparkplug B with aliases only",
    "Eclipse Sparkplug specification, alias",
    aliases,
    {"0": TRUTH["temperature"], "1": TRUTH["humidity"]},
    or_refuse=True,
    alt=named(
        {"0": TRUTH["temperature"], "1": TRUTH["humidity"]},
        "alias {}",
        "alias={}",
        "value.{}",
        "value alias={}",
        "value {}",
        "alias.{}",
    ),
    doubt="The names went over the line once, in the birth message. One series of both is a misreading.",
)
tasmota = [
    {
        "Time": iso(row["ts"], suffix=""),
        "SI7021": {"Temperature": row["temperature"], "Humidity": row["humidity"]},
        "TempUnit": "C",
    }
    for row in ROWS
]
cased = rename(TRUTH, str.title)
theme.add(
    "b",
    "Tasmota SENSOR",
    "Tasmota MQTT tele/SENSOR",
    "\n".join(json.dumps(row) for row in tasmota),
    cased,
    alt=named(cased, "SI7021.{}"),
)
zigbee = [
    {
        "last_seen": row["ts"],
        "temperature": row["temperature"],
        "humidity": row["humidity"],
        "battery": 97,
        "voltage": 3015,
        "linkquality": 120 + i,
    }
    for i, row in enumerate(ROWS)
]
extra: Truth = {
    "battery": [(epoch_ms(row["ts"]), 97) for row in ROWS],
    "voltage": [(epoch_ms(row["ts"]), 3015) for row in ROWS],
}
quality: Truth = {"linkquality": [(epoch_ms(row["ts"]), 120 + i) for i, row in enumerate(ROWS)]}
theme.add(
    "b",
    "Zigbee2MQTT",
    "Zigbee2MQTT device payload",
    zigbee,
    {**TRUTH, **extra, **quality},
    alt=[{**TRUTH, **extra}],
    doubt="`linkquality` is a figure of the radio: a series, or left out as a quality.",
)
ruuvi = {"deviceId": "c9:1f", "data": {"ts": iso(ROWS[0]["ts"]), "temperature": 3.5, "humidity": 81.25}}
first = epoch_ms(ROWS[0]["ts"])
theme.add(
    "b",
    "one reading of one device",
    "hand-written gateway",
    ruuvi,
    {"temperature": [(first, 3.5)], "humidity": [(first, 81.25)]},
    alt=[{"data.temperature": [(first, 3.5)], "data.humidity": [(first, 81.25)]}],
)
particle = [
    {
        "event": "temperature",
        "data": str(row["temperature"]),
        "ttl": 60,
        "published_at": iso(row["ts"], 3),
        "coreid": "e00fce68",
    }
    for row in ROWS
]
theme.add(
    "c",
    "Particle events",
    "Particle Cloud API, product event stream",
    particle,
    {"temperature": TRUTH["temperature"]},
    alt=[{"data": TRUTH["temperature"]}],
    doubt="`ttl` 60 is a constant of the envelope; a series of it is a misreading.",
)
aws = {
    "requestId": "a1",
    "propertyAliasValues": [
        {
            "propertyAlias": f"/line1/{name}",
            "propertyValues": [
                {
                    "value": {"doubleValue": row[name]},
                    "timestamp": {"timeInSeconds": epoch_ms(row["ts"]) // 1000, "offsetInNanos": 0},
                    "quality": "GOOD",
                }
                for row in ROWS
            ],
        }
        for name in NAMES
    ],
}
theme.add(
    "b",
    "AWS IoT SiteWise values",
    "AWS IoT SiteWise API, BatchPutAssetPropertyValue",
    aws,
    rename(TRUTH, lambda name: f"/line1/{name}"),
    or_refuse=True,
    alt=[
        TRUTH,
        *named(rename(TRUTH, lambda name: f"/line1/{name}"), "{}.value", "{}.doubleValue", "{}.value.doubleValue"),
    ],
)
modbus = {
    "device": "PLC-3",
    "timestamp": iso(ROWS[0]["ts"]),
    "registers": [
        {"name": "inlet_temp", "address": 40001, "value": 18.5, "unit": "°C"},
        {"name": "flow", "address": 40003, "value": 7.25, "unit": "m3/h"},
    ],
}
values: Truth = {"inlet_temp": [(first, 18.5)], "flow": [(first, 7.25)]}
theme.add(
    "b",
    "registers of a PLC at one time",
    "hand-written Modbus gateway",
    modbus,
    values,
    doubt="`address` is a number of a register, no measurement; the time stands beside the rows.",
)
kafka = [
    {
        "topic": "readings",
        "partition": 0,
        "offset": 91200 + i,
        "timestamp": epoch_ms(row["ts"]),
        "key": "line-1",
        "value": json.dumps({"temperature": row["temperature"], "humidity": row["humidity"]}),
    }
    for i, row in enumerate(ROWS)
]
theme.add(
    "c",
    "Kafka records with JSON text as value",
    "Kafka REST Proxy, consumer records",
    kafka,
    TRUTH,
    alt=named(TRUTH, "value.{}"),
    or_refuse=True,
    doubt="JSON text inside each row; offset and partition are no measurements.",
)
