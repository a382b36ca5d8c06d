"""Examples of payloads that the reader understands, one per kind: for the table in docs/inputs.md and its test.

All content is ours; the shapes are facts from public documentation.
"""

import base64
import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

TIMES = ("2026-03-01T06:00:00Z", "2026-03-01T06:01:00Z")
MS = (1_772_344_800_000, 1_772_344_860_000)
TEMP, CO2 = (20.5, 21.0), (410.0, 412.5)
ROWS = [{"ts": time, "temp": temp} for time, temp in zip(TIMES, TEMP, strict=True)]
_TEXT = json.dumps(ROWS, separators=(",", ":"))
_TEMP: Mapping[str, Sequence[float]] = {"temp": TEMP}
_BOTH: Mapping[str, Sequence[float]] = {"temp": TEMP, "co2": CO2}


@dataclass(frozen=True)
class Example:
    """A payload and what it is read as.

    group: encoding, envelope, table, long rows, axis. reads: "b" batch, "c" chart. shape, parts: as read_batch takes
    them. text: how the document shows the payload. series: values by name. x: the axis of a chart.
    """

    group: str
    name: str
    text: str
    parts: Sequence[bytes]
    series: Mapping[str, Sequence[float]] = field(default_factory=lambda: _TEMP)
    reads: str = "bc"
    shape: str = "string"
    x: str = "time"


def _json(group: str, name: str, value: Any, **more: Any) -> Example:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Example(group, name, text, [text.encode()], **more)


def _bytes(name: str, text: str, raw: bytes, **more: Any) -> Example:
    return Example("Encoding", name, text, [raw], **more)


def _key(name: str, text: str, shape: str, parts: Sequence[bytes]) -> Example:
    return Example("Encoding", name, text, parts, reads="b", shape=shape)


def _encodings() -> list[Example]:
    rows = _TEXT.encode()
    lines = [json.dumps(row, separators=(",", ":")).encode() for row in ROWS]
    table = f"ts,temp\n{TIMES[0]},20.5\n{TIMES[1]},21\n"
    fields = [part for row in ROWS for part in (b"ts", str(row["ts"]).encode(), b"temp", str(row["temp"]).encode())]
    entries = [b"1772344800000-0", b"2", *fields[:4], b"1772344860000-0", b"2", *fields[4:]]
    return [
        _bytes("JSON, also with a byte order mark", _TEXT, b"\xef\xbb\xbf" + rows),
        _bytes("JSON lines", " ⏎ ".join(line.decode() for line in lines), b"\n".join(lines)),
        _bytes("JSON in JSON", json.dumps(_TEXT), json.dumps(_TEXT).encode()),
        _bytes("CSV, TSV", table.strip().replace("\n", " ⏎ "), table.encode()),
        _bytes("MessagePack", "msgpack(rows)", msgspec.msgpack.encode(ROWS)),
        _bytes("gzip, zlib or zstd of any of them", "gzip(JSON)", gzip.compress(rows, mtime=0)),
        _bytes("base64 of any of them", "base64(zlib(JSON))", base64.b64encode(zlib.compress(rows))),
        _key("a list (RPUSH)", "an element per row, each JSON", "list", lines),
        _key("a hash (HSET)", f"site north readings {_TEXT}", "hash", [b"site", b"north", b"readings", rows]),
        _key("a stream (XADD)", " ⏎ ".join(f"ts {row['ts']} temp {row['temp']}" for row in ROWS), "stream", entries),
    ]


def _envelopes() -> list[Example]:
    group = "Envelope"
    body = base64.b64encode(_TEXT.encode()).decode()
    return [
        _json(group, "beside paging and status", {"status": "ok", "data": {"items": ROWS, "page": 1, "total": 2}}),
        _json(group, "GraphQL", {"data": {"readings": {"edges": [{"node": row} for row in ROWS]}}}),
        _json(group, "OData", {"@odata.context": "$metadata#R", "value": ROWS}),
        _json(group, "a cache library's wrapper", {"value": _TEXT, "expires": MS[1]}),
        _json(group, "a response body in base64", {"kind": "FETCH", "data": {"headers": {}, "body": body}}),
        _json(group, "superjson", {"json": ROWS, "meta": {"values": {"0.ts": ["Date"]}}}),
    ]


def _tables() -> list[Example]:
    group = "Table"
    grid = [[time, temp, co2] for time, temp, co2 in zip(TIMES, TEMP, CO2, strict=True)]
    nested = [
        {"timestamp": time, "data": {"temp": temp, "co2": co2}}
        for time, temp, co2 in zip(TIMES, TEMP, CO2, strict=True)
    ]
    return [
        _json(group, "rows", ROWS),
        _json(group, "rows with a nested object", {"records": nested}, series=_BOTH),
        _json(group, "one object", ROWS[0], series={"temp": TEMP[:1]}),
        _json(group, "rows of lists, names beside", {"columns": ["ts", "temp", "co2"], "rows": grid}, series=_BOTH),
        _json(group, "rows of lists, names first", [["ts", "temp", "co2"], *grid], series=_BOTH),
        _json(group, "columns", {"ts": TIMES, "temp": TEMP, "co2": CO2}, series=_BOTH),
        _json(
            group,
            "columns keyed by row",
            {"temp": dict(zip(TIMES, TEMP, strict=True)), "co2": dict(zip(TIMES, CO2, strict=True))},
            series=_BOTH,
        ),
        _json(group, "named lists of points", [{"name": "temp", "data": list(zip(MS, TEMP, strict=True))}]),
        _json(group, "points by name", {"temp": [{"ts": ms, "value": v} for ms, v in zip(MS, TEMP, strict=True)]}),
        _json(
            group,
            "labels beside datasets",
            {"labels": TIMES, "datasets": [{"label": "temp", "data": TEMP}, {"label": "co2", "data": CO2}]},
            series=_BOTH,
        ),
    ]


def _long() -> list[Example]:
    group = "Long rows"
    named = [
        {"ts": time, "metric": name, "value": value}
        for time, temp, co2 in zip(TIMES, TEMP, CO2, strict=True)
        for name, value in (("temp", temp), ("co2", co2))
    ]
    senml = [
        {"bn": "urn:dev:7:", "bt": 1772344800, "n": "temp", "u": "Cel", "v": 20.5},
        {"n": "temp", "t": 60, "v": 21.0},
    ]
    sensors = [{"ts": TIMES[0], "sensorId": name, "value": value} for name, value in (("T-07", 20.5), ("T-08", 18.5))]
    texts = [{"time": time, "tag": "temp", "value": str(value)} for time, value in zip(TIMES, TEMP, strict=True)]
    return [
        _json(group, "a name and a value", {"readings": named}, series=_BOTH),
        _json(group, "values as text", texts),
        _json(group, "a sensor and a value", sensors, series={"T-07": [20.5], "T-08": [18.5]}, reads="c"),
        _json(group, "SenML (RFC 8428)", senml, series={"urn:dev:7:temp": TEMP}),
    ]


def _axes() -> list[Example]:
    return [
        _json("Axis", "epoch s, ms, us, ns", [{"t": ms // 1000, "temp": v} for ms, v in zip(MS, TEMP, strict=True)]),
        _json("Axis", "numbers", {"x": [0, 5], "y": TEMP}, series={"y": TEMP}, reads="c", x="number"),
        _json(
            "Axis",
            "names",
            [{"tank": "A", "level": 20.5}, {"tank": "B", "level": 21.0}],
            series={"level": TEMP},
            reads="c",
            x="category",
        ),
    ]


EXAMPLES: tuple[Example, ...] = (*_encodings(), *_envelopes(), *_tables(), *_long(), *_axes())
