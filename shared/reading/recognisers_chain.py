"""The recognisers in their order. Each gets the document and returns rows that the general rules read, or None. Pure."""

from typing import Any

from shared.reading.recognisers import grafana, kusto, opc_ua, senml


def recognise(value: Any) -> tuple[Any, str] | None:
    """The document made into plain rows, and the name of its format; None where no recogniser knows it."""
    if type(value) is list:
        if value and type(value[0]) is dict:
            first = value[0]
            if not first.keys().isdisjoint(senml.MARKS):
                rows = senml.read(value)
                if rows is not None:
                    return rows, "SenML"
            if "FrameType" in first:
                rows = kusto.read_frames(value)
                if rows is not None:
                    return rows, "Kusto v2"
            if "Messages" in first or "Payload" in first:
                rows = opc_ua.read(value)
                if rows is not None:
                    return rows, "OPC UA PubSub"
    elif type(value) is dict:
        if "results" in value or "frames" in value:
            rows = grafana.read(value)
            if rows is not None:
                return rows, "Grafana frames"
        if "Messages" in value or "Payload" in value:
            rows = opc_ua.read([value])
            if rows is not None:
                return rows, "OPC UA PubSub"
        if "Tables" in value or "tables" in value:
            rows = kusto.read_tables(value)
            if rows is not None:
                return rows, "Kusto v1"
    return None
