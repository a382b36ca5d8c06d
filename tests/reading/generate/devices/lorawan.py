"""Devices, gateways and their brokers: lorawan."""

import json

from kit import iso

from devices.readings import NAMES, ROWS, TRUTH, named, theme

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
