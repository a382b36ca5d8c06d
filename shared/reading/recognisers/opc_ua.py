"""OPC UA PubSub JSON (part 14, section 7.2.5), as OPC Publisher writes it: messages with a payload of fields. Pure.

A field is a plain value or a DataValue, `{"Value": ..., "SourceTimestamp": ..., "StatusCode": ...}`; one without a time
has that of its message. Flat samples of OPC Publisher need no recogniser.
"""

from typing import Any


def read(messages: list[Any]) -> list[Any] | None:
    """A row for each field of each message; None if there is no such message."""
    rows: list[Any] = []
    for network in messages:
        if type(network) is not dict:
            return None
        inner = network.get("Messages", [network])
        inner = [inner] if type(inner) is dict else inner
        if type(inner) is not list:
            return None
        for message in inner:
            if type(message) is not dict or type(message.get("Payload")) is not dict:
                return None
            rows.extend(_fields(message, network))
    return rows or None


def _fields(message: dict[str, Any], network: dict[str, Any]) -> list[Any]:
    time = message.get("Timestamp", network.get("Timestamp"))
    writer = message.get("DataSetWriterName", message.get("DataSetWriterId"))
    rows = []
    for name, field in message["Payload"].items():
        row: dict[str, Any] = {"metric": name, "timestamp": time, "device": None if writer is None else str(writer)}
        if type(field) is dict:
            row["value"] = field.get("Value", field.get("value"))
            row["timestamp"] = field.get("SourceTimestamp") or field.get("ServerTimestamp") or time
            status = field.get("StatusCode", field.get("Status"))
            row["status"] = status.get("Symbol", status.get("Code")) if type(status) is dict else status
        else:
            row["value"] = field
        rows.append({key: value for key, value in row.items() if value is not None})
    return rows
