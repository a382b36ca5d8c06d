"""Devices, gateways and their brokers: opc ua."""

from kit import iso, rename

from devices.readings import NAMES, ROWS, TRUTH, named, theme

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
