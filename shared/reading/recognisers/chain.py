"""The recognisers in their order. Each makes rows for the general rules of a part of a document, or None. Pure."""

from collections.abc import Callable
from typing import Any

from shared.reading.recognisers import grafana, kusto, opc_ua, references, senml, xarray

_OF_LISTS: tuple[tuple[frozenset[str], Callable[[list[Any]], Any], str], ...] = (
    (senml.MARKS, senml.read, "SenML"),
    (frozenset(("FrameType",)), kusto.read_frames, "Kusto v2"),
    (frozenset(("Messages", "Payload")), opc_ua.read, "OPC UA PubSub"),
)
_OF_OBJECTS: tuple[tuple[frozenset[str], Callable[[dict[str, Any]], Any], str], ...] = (
    (frozenset(("results", "frames")), grafana.read, "Grafana frames"),
    (frozenset(("Messages", "Payload")), lambda message: opc_ua.read([message]), "OPC UA PubSub"),
    (frozenset(("Tables", "tables")), kusto.read_tables, "Kusto v1"),
    (frozenset(("coords",)), xarray.read, "xarray"),
)


def recognise(value: Any) -> tuple[Any, str] | None:
    """A part of a document made into plain rows, and the name of its format; None where no recogniser knows it."""
    if type(value) is list and value and type(value[0]) in (list, dict):
        for read, name in ((references.read_devalue, "devalue"), (references.read_flatted, "flatted")):
            rows = read(value)
            if rows is not None:
                return rows, name
    if type(value) is list and value and type(value[0]) is dict:
        return _first(value, value[0], _OF_LISTS)
    return _first(value, value, _OF_OBJECTS) if type(value) is dict else None


def _first(value: Any, members: dict[str, Any], recognisers: Any) -> tuple[Any, str] | None:
    for marks, read, name in recognisers:
        if not marks.isdisjoint(members):
            rows = read(value)
            if rows is not None:
                return rows, name
    return None
