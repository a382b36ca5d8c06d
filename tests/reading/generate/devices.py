"""Devices, gateways and their brokers."""

import json

import senml as senml_library
from kit import Row, Theme, Truth, epoch_ms, iso, lib, rename, rows, table, wave, wide

FRAME = table({"temperature": wave(12, 9, 4), "humidity": wave(12, 70, 8, 1)}, start="2026-11-11T11:00:00Z", step_s=600)
TRUTH = wide(FRAME)
ROWS: list[Row] = rows(FRAME)
NAMES = ("temperature", "humidity")


def named(truth: Truth, *forms: str) -> list[Truth]:
    return [rename(truth, lambda name, form=form: form.format(name)) for form in forms]


def senml(theme: Theme) -> None:
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
            senml_library.SenMLMeasurement(
                name=f"urn:dev:line1:{name}", time=epoch_ms(row["ts"]) / 1000, value=row[name]
            )
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


def opc_ua(theme: Theme) -> None:
    samples = [
        {
            "NodeId": f"nsu=http://plant/;s={name}",
            "EndpointUrl": "opc.tcp://plc:4840",
            "DisplayName": name,
            "Value": {
                "Value": row[name],
                "SourceTimestamp": iso(row["ts"], 7),
                "StatusCode": {"Code": 0, "Symbol": "Good"},
            },
        }
        for row in ROWS
        for name in NAMES
    ]
    node = rename(TRUTH, lambda name: f"nsu=http://plant/;s={name}")
    theme.add(
        "bc",
        "OPC UA Publisher samples",
        "OPC Publisher telemetry message formats, samples mode",
        samples,
        TRUTH,
        alt=[node],
    )
    flat = [
        {
            "NodeId": f"ns=2;s={name}",
            "ApplicationUri": "urn:plant",
            "DisplayName": name,
            "Value": row[name],
            "SourceTimestamp": row["ts"],
            "Status": "Good",
        }
        for row in ROWS
        for name in NAMES
    ]
    theme.add(
        "b",
        "OPC UA Publisher, flat",
        "OPC Publisher configuration, telemetry messages",
        flat,
        TRUTH,
        alt=named(TRUTH, "ns=2;s={}"),
    )
    pubsub = [
        {
            "MessageId": str(i),
            "MessageType": "ua-data",
            "PublisherId": "opc",
            "DataSetClassId": "78c4e91c-82cb-444e-a8e0-6bbacc9a946d",
            "Messages": [
                {
                    "DataSetWriterId": 2,
                    "SequenceNumber": 18 + i,
                    "MetaDataVersion": {"MajorVersion": 452345324, "MinorVersion": 2},
                    "Timestamp": iso(row["ts"], 7),
                    "Status": 0,
                    "DataSetWriterName": "line1",
                    "Payload": {
                        name: {
                            "Value": row[name],
                            "SourceTimestamp": iso(row["ts"], 7),
                            "ServerTimestamp": iso(row["ts"], 7),
                        }
                        for name in NAMES
                    },
                }
            ],
        }
        for i, row in enumerate(ROWS)
    ]
    theme.add(
        "bc",
        "OPC UA PubSub messages",
        "OPC Publisher telemetry message formats, PubSub",
        pubsub,
        TRUTH,
        alt=named(TRUTH, "{}.Value", "Payload.{}", "Payload.{}.Value"),
    )
    raw = [
        {
            "DataSetWriterId": 2,
            "SequenceNumber": 40 + i,
            "Timestamp": row["ts"],
            "Payload": {name: row[name] for name in NAMES},
        }
        for i, row in enumerate(ROWS)
    ]
    theme.add(
        "c",
        "OPC UA PubSub, raw data values",
        "OPC UA Part 14, JSON DataSetMessage",
        raw,
        TRUTH,
        alt=named(TRUTH, "Payload.{}"),
    )
    aio = [{name: {"SourceTimestamp": row["ts"], "Value": row[name]} for name in NAMES} for row in ROWS]
    theme.add(
        "c",
        "Azure IoT Operations data points",
        "Azure IoT Operations, OPC UA connector messages",
        aio,
        TRUTH,
        alt=named(TRUTH, "{}.Value"),
        or_refuse=True,
        doubt="Each row has one time per measurement.",
    )


def lorawan(theme: Theme) -> None:
    uplinks = [
        {
            "end_device_ids": {
                "device_id": "line-1",
                "application_ids": {"application_id": "plant"},
                "dev_eui": "70B3D57ED005A11A",
                "dev_addr": "260B1F2A",
            },
            "correlation_ids": ["gs:uplink:01"],
            "received_at": iso(row["ts"], 9),
            "uplink_message": {
                "session_key_id": "AYf",
                "f_port": 2,
                "f_cnt": 4021 + i,
                "frm_payload": "AWcA4g==",
                "decoded_payload": {name: row[name] for name in NAMES},
                "rx_metadata": [
                    {
                        "gateway_ids": {"gateway_id": "gw-1"},
                        "timestamp": 2463457000 + i,
                        "rssi": -80 - i % 4,
                        "snr": 8.5,
                        "location": {"latitude": 52.1, "longitude": 5.3, "altitude": 12},
                    }
                ],
                "settings": {
                    "data_rate": {"lora": {"bandwidth": 125000, "spreading_factor": 7}},
                    "frequency": "868300000",
                },
                "received_at": iso(row["ts"], 9),
                "consumed_airtime": "0.056576s",
            },
        }
        for i, row in enumerate(ROWS)
    ]
    alt = named(TRUTH, "decoded_payload.{}", "uplink_message.decoded_payload.{}")
    theme.add(
        "bc",
        "The Things Stack v3 uplinks",
        "The Things Stack, uplink message data format",
        uplinks,
        TRUTH,
        alt=alt,
        or_refuse=True,
        doubt="Measurements three levels deep beside radio figures; a refusal is better than rssi as a series.",
    )
    lean = [
        {
            "result": {
                "end_device_ids": {"device_id": "line-1"},
                "received_at": iso(row["ts"], 9),
                "uplink_message": {"f_port": 2, "decoded_payload": {name: row[name] for name in NAMES}},
            }
        }
        for row in ROWS
    ]
    theme.add(
        "b",
        "The Things Stack storage integration",
        "The Things Stack, Storage Integration",
        "\n\n".join(json.dumps(row) for row in lean) + "\n",
        TRUTH,
        alt=alt,
        or_refuse=True,
    )
    chirp = [
        {
            "deduplicationId": f"3ac7e3c4-{i:04x}",
            "time": iso(row["ts"], 6, "+00:00"),
            "deviceInfo": {
                "tenantName": "T",
                "applicationName": "plant",
                "deviceName": "line-1",
                "devEui": "0101010101010101",
            },
            "devAddr": "00189440",
            "adr": True,
            "dr": 1,
            "fCnt": 10 + i,
            "fPort": 1,
            "confirmed": False,
            "data": "AQID",
            "object": {name: row[name] for name in NAMES},
            "rxInfo": [{"gatewayId": "0016c001f153a14c", "uplinkId": 4217106255, "rssi": -36, "snr": 10.5}],
            "txInfo": {"frequency": 868100000},
        }
        for i, row in enumerate(ROWS)
    ]
    theme.add(
        "bc",
        "ChirpStack v4 uplinks",
        "ChirpStack v4, event types, up",
        chirp,
        TRUTH,
        alt=named(TRUTH, "object.{}"),
        or_refuse=True,
        doubt="`dr`, `fCnt`, `fPort` are radio figures and counters, not measurements.",
    )


def brokers(theme: Theme) -> None:
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


def build() -> Theme:
    theme = Theme("devices")
    for part in (senml, opc_ua, lorawan, brokers):
        part(theme)
    return theme
