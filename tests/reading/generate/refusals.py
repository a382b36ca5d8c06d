"""What must not be read: formats refused by name, broken documents, errors, placeholders."""

import base64
import gzip
import io
import json
import pickle
import zipfile
import zlib
from hashlib import sha256
from typing import Any

import cbor2
import fastavro
import numpy as np
import openpyxl
import pyarrow as pa
from kit import Theme, iso, lib, plant, rows
from PIL import Image
from pyarrow import feather, orc, parquet

FRAME = plant(24)
ROWS = rows(FRAME)
TEXT = json.dumps(ROWS)


def noise(count: int) -> bytes:
    """Bytes that look encrypted, the same in every run."""
    blocks = (sha256(f"block {i}".encode()).digest() for i in range(count // 32 + 1))
    return b"".join(blocks)[:count]


def java_stream() -> bytes:
    """A java.util.ArrayList of one Double, as ObjectOutputStream writes it."""
    return bytes.fromhex(
        "aced0005737200136a6176612e7574696c2e41727261794c6973747881d21d99c7619d03000149000473697a6578700000000177040000"
        "0001737200106a6176612e6c616e672e446f75626c6580b3c24a296bfb0402000144000576616c7565787200106a6176612e6c616e67"
        "2e4e756d62657286ac951d0b94e08b0200007870403450000000000078"
    )


def images() -> dict[str, bytes]:
    written = {}
    for form in ("PNG", "JPEG", "GIF", "WEBP"):
        sink = io.BytesIO()
        Image.new("RGB", (32, 32), (200, 30, 30)).save(sink, form)
        written[form] = sink.getvalue()
    return written


def tables() -> dict[str, bytes]:
    arrow = pa.Table.from_pandas(FRAME)
    sinks = {
        name: io.BytesIO()
        for name in ("stream", "file", "parquet", "feather", "orc", "npy", "npz", "avro", "xlsx", "zip")
    }
    with pa.ipc.new_stream(sinks["stream"], arrow.schema) as writer:
        writer.write_table(arrow)
    with pa.ipc.new_file(sinks["file"], arrow.schema) as writer:
        writer.write_table(arrow)
    parquet.write_table(arrow, sinks["parquet"])
    feather.write_feather(arrow, sinks["feather"])
    orc.write_table(arrow.drop(["ts"]), sinks["orc"])
    numbers = FRAME[["co2_flow_rate", "water_temp"]].to_numpy()
    np.save(sinks["npy"], numbers)
    np.savez(sinks["npz"], readings=numbers)
    schema = {
        "type": "record",
        "name": "r",
        "fields": [
            {"name": "ts", "type": "string"},
            {"name": "co2_flow_rate", "type": "double"},
            {"name": "water_temp", "type": "double"},
        ],
    }
    fastavro.writer(sinks["avro"], fastavro.parse_schema(schema), ROWS, sync_marker=b"0123456789abcdef")
    book = openpyxl.Workbook()
    for row in ROWS:
        book.active.append(list(row.values()))
    book.save(sinks["xlsx"])
    with zipfile.ZipFile(sinks["zip"], "w") as archive:
        archive.writestr(zipfile.ZipInfo("readings.json", (2026, 1, 1, 0, 0, 0)), TEXT)
    return {name: sink.getvalue() for name, sink in sinks.items()}


def formats(theme: Theme) -> None:
    table, image = tables(), images()
    pickled = pickle.dumps(ROWS)
    listed: list[tuple[str, str, str, Any, str]] = [
        ("bc", "pickle", "Python 3.13 pickle.dumps", pickled, "pickle"),
        ("b", "pickle of a data frame", f"{lib('pandas')} and pickle", pickle.dumps(FRAME), "pickle"),
        ("b", "pickle, protocol 0", "Python 3.13 pickle.dumps(protocol=0)", pickle.dumps(ROWS, protocol=0), "pickle"),
        ("c", "pickle, protocol 2", "Python 3.13 pickle.dumps(protocol=2)", pickle.dumps(ROWS, protocol=2), "pickle"),
        ("b", "gzip of pickle", "Python 3.13 gzip, pickle", gzip.compress(pickled, mtime=0), "pickle"),
        ("b", "zlib of pickle", "django-redis ZlibCompressor", zlib.compress(pickled), "pickle"),
        ("c", "base64 of pickle", "Python 3.13 base64, pickle", base64.b64encode(pickled), "pickle"),
        ("b", "flask-caching pickle", f"{lib('cachelib')} RedisSerializer form", b"!" + pickled, "pickle"),
        ("b", "Java serialisation", "Java ObjectOutputStream", java_stream(), "java"),
        ("b", "npy", f"{lib('numpy')} save", table["npy"], "npy|numpy"),
        ("b", "npz", f"{lib('numpy')} savez", table["npz"], "npz|zip|numpy"),
        ("bc", "Arrow stream", f"{lib('pyarrow')} ipc.new_stream", table["stream"], "arrow"),
        ("b", "Arrow file", f"{lib('pyarrow')} ipc.new_file", table["file"], "arrow"),
        ("b", "Feather", f"{lib('pyarrow')} feather", table["feather"], "arrow|feather"),
        ("bc", "Parquet", f"{lib('pyarrow')} parquet", table["parquet"], "parquet"),
        ("b", "ORC", f"{lib('pyarrow')} orc", table["orc"], "orc|binary|unknown"),
        ("b", "Avro container", f"{lib('fastavro')} writer", table["avro"], "avro|binary|unknown"),
        ("b", "CBOR", f"{lib('cbor2')} dumps", cbor2.dumps(ROWS), "cbor"),
        (
            "b",
            "CBOR with the self-describe tag",
            f"{lib('cbor2')} dumps of tag 55799",
            cbor2.dumps(cbor2.CBORTag(55799, ROWS)),
            "cbor",
        ),
        ("c", "CBOR map", f"{lib('cbor2')} dumps", cbor2.dumps({"readings": ROWS}), "cbor"),
        ("b", "xlsx", f"{lib('openpyxl')} Workbook.save", table["xlsx"], "zip|xlsx|excel"),
        ("b", "zip", "Python 3.13 zipfile", table["zip"], "zip"),
        ("c", "PNG", f"{lib('pillow')} Image.save", image["PNG"], "png|image"),
        ("c", "JPEG", f"{lib('pillow')} Image.save", image["JPEG"], "jpeg|image"),
        ("c", "GIF", f"{lib('pillow')} Image.save", image["GIF"], "gif|image"),
        ("c", "PNG in base64", f"{lib('pillow')} Image.save, base64", base64.b64encode(image["PNG"]), "png|image"),
        (
            "b",
            "PDF",
            "PDF 1.7 header",
            b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n",
            "pdf",
        ),
        (
            "bc",
            "HTML page",
            "reverse proxy error page",
            "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head><body><h1>502</h1></body></html>",
            "html",
        ),
        (
            "b",
            "XML",
            "SOAP envelope",
            '<?xml version="1.0"?><readings><r ts="2026-03-01T06:00:00Z"><temp>20.5</temp></r></readings>',
            "xml",
        ),
        (
            "c",
            "SVG",
            "exported chart",
            '<svg xmlns="http://www.w3.org/2000/svg" width="10"><path d="M0 0L10 10"/></svg>',
            "svg|xml|html|image",
        ),
        (
            "b",
            "YAML",
            "YAML 1.2",
            "readings:\n  - ts: 2026-03-01T06:00:00Z\n    temp: 20.5\n  - ts: 2026-03-01T06:01:00Z\n    temp: 20.75\n",
            "",
        ),
        ("b", "plain text", "log line", "Batch 17 was processed without errors, see the log for details.", ""),
        (
            "b",
            "a JWT",
            "RFC 7519",
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxNyIsImlhdCI6MTc3MjM0NDgwMCwiZXhwIjoxNzcyMzQ4NDAwfQ."
            "c2lnbmF0dXJlLW9mLWEtdGVzdA",
            "",
        ),
        ("b", "encrypted bytes", "256 bytes without structure", noise(256), ""),
        ("c", "encrypted bytes in base64", "256 bytes without structure", base64.b64encode(noise(256)), ""),
        ("b", "Fernet token", "cryptography Fernet form", b"gAAAAABpo" + base64.urlsafe_b64encode(noise(180)), ""),
        ("b", "PHP array", "PHP serialize", 'a:1:{i:0;a:2:{s:2:"ts";i:1772344800;s:4:"temp";d:20.5;}}', ""),
        (
            "b",
            "Ruby Marshal",
            "Ruby Marshal.dump",
            b'\x04\x08[\x06{\x07:\x07tsI"\x192026-03-01T06:00:00Z\x06:\x06ET:\ttempf\t20.5',
            "",
        ),
        ("b", "protobuf", "protobuf wire format", bytes.fromhex("0a0c0a0474656d7011000000000080344012040a02434f"), ""),
        ("b", "snappy frame", "Prometheus remote write body", bytes.fromhex("ff060000734e61507059") + noise(64), ""),
        ("b", "SQLite file", "SQLite database header", b"SQLite format 3\0" + noise(100), ""),
    ]
    for kinds, name, source, payload, word in listed:
        theme.add(kinds, name, source, payload, None, refuse=word)


def broken(theme: Theme) -> None:
    for kinds, name, payload in (
        ("bc", "truncated JSON", TEXT[:-40]),
        ("b", "truncated gzip", gzip.compress(TEXT.encode(), mtime=0)[:-60]),
        ("b", "gzip with a wrong checksum", gzip.compress(TEXT.encode(), mtime=0)[:-8] + b"\0" * 8),
        ("b", "JSON with a trailing comma", '[{"ts": "2026-03-01T06:00:00Z", "temp": 20.5},]'),
        ("b", "Python repr of rows", repr(ROWS[:3])),
        ("b", "bytes that are no UTF-8 in a JSON name", b'[{"\xff\xfe": 1.5, "temp": 20}]'),
        ("b", "2,000 levels deep", "[" * 2000 + "1" + "]" * 2000),
        ("b", "[object Object]", "[object Object]"),
    ):
        theme.add(kinds, name, "damaged on the way" if "trunc" in name else "faulty writer", payload, None, refuse="")


def errors(theme: Theme) -> None:
    documents: list[tuple[str, str, str, Any]] = [
        (
            "bc",
            "error document of an Azure API",
            "Microsoft REST API guidelines, error response",
            {
                "error": {
                    "code": "ExpiredAuthenticationToken",
                    "message": "The access token expiry time is earlier than now.",
                    "innererror": {"retryAfter": 30},
                }
            },
        ),
        (
            "b",
            "problem details",
            "RFC 9457",
            {
                "type": "about:blank",
                "title": "Not Found",
                "status": 404,
                "detail": "no such batch",
                "instance": "/b/17",
            },
        ),
        (
            "b",
            "NestJS error",
            "NestJS exception filter",
            {"statusCode": 503, "message": "upstream", "error": "Service Unavailable", "timestamp": ROWS[0]["ts"]},
        ),
        (
            "c",
            "GraphQL errors without data",
            "GraphQL specification, errors",
            {
                "data": None,
                "errors": [{"message": "timeout", "locations": [{"line": 2, "column": 3}], "path": ["readings"]}],
            },
        ),
        (
            "b",
            "Elasticsearch error",
            "Elasticsearch error response",
            {"error": {"root_cause": [{"type": "index_not_found_exception"}]}, "status": 404},
        ),
        (
            "b",
            "DRF throttled",
            "Django REST framework",
            {"detail": "Request was throttled. Expected available in 34 seconds."},
        ),
        (
            "c",
            "health document",
            "Spring Boot Actuator health",
            {
                "status": "UP",
                "components": {
                    "diskSpace": {
                        "status": "UP",
                        "details": {"total": 250790436864, "free": 100327518208, "threshold": 10485760},
                    }
                },
            },
        ),
    ]
    for kinds, name, source, payload in documents:
        theme.add(
            kinds,
            name,
            source,
            payload,
            None,
            refuse="",
            doubt="Numbers of an error or a health document are no readings."
            if name in ("problem details", "NestJS error", "Elasticsearch error", "health document")
            else None,
        )


def placeholders(theme: Theme) -> None:
    waiting: list[tuple[str, str, str, Any]] = [
        ("bc", "id and status", "specification, clients.md", {"batchId": "b-17", "status": "processing"}),
        ("b", "state and null result", "hand-written service", {"state": "PENDING", "result": None}),
        (
            "b",
            "Celery pending",
            "Celery result document",
            {
                "status": "PENDING",
                "result": None,
                "traceback": None,
                "children": [],
                "date_done": None,
                "task_id": "6a1d8c2f",
            },
        ),
        (
            "b",
            "RQ job without a result",
            "RQ job.to_dict as JSON",
            {
                "created_at": iso(FRAME["ts"][0], 6),
                "origin": "default",
                "status": "queued",
                "timeout": 180,
                "result_ttl": 500,
                "description": "ingest(17)",
            },
        ),
        (
            "b",
            "progress",
            "hand-written service",
            {"batchId": "b-17", "status": "running", "progress": 0.4, "startedAt": ROWS[0]["ts"]},
        ),
        (
            "b",
            "queued with a position",
            "hand-written service",
            {"jobId": "j-9", "status": "queued", "position": 3, "attempt": 1},
        ),
        (
            "b",
            "id and a created time",
            "hand-written service",
            {"id": 17, "createdAt": ROWS[0]["ts"], "readings": None},
        ),
        (
            "b",
            "rows announced",
            "hand-written service",
            {"batchId": "b-17", "expected": 240, "received": 0, "readings": []},
        ),
        (
            "c",
            "DRF page without rows",
            "Django REST framework page",
            {"count": 0, "next": None, "previous": None, "results": []},
        ),
        (
            "c",
            "columns without rows",
            "pandas to_json split of an empty frame",
            {"columns": ["ts", "temp"], "index": [], "data": []},
        ),
        ("c", "Chart.js without data", "Chart.js documentation", {"labels": [], "datasets": []}),
        ("c", "Highcharts series without points", "Highcharts API", {"series": [{"name": "temp", "data": []}]}),
        ("b", "csv header only", "pandas to_csv of an empty frame", "ts,temp,co2\n"),
        ("b", "empty object", "hand-written service", {}),
        ("bc", "empty list", "hand-written service", []),
        ("b", "Keyv of null", "Keyv", {"value": None, "expires": 1795914857211}),
        (
            "c",
            "Elasticsearch without hits",
            "Elasticsearch Search API",
            {
                "took": 2,
                "timed_out": False,
                "_shards": {"total": 1, "successful": 1, "failed": 0},
                "hits": {"total": {"value": 0, "relation": "eq"}, "max_score": None, "hits": []},
            },
        ),
        (
            "c",
            "GraphQL without items",
            "Microsoft Fabric API for GraphQL",
            {"data": {"readings": {"items": [], "hasNextPage": False, "endCursor": None}}},
        ),
        (
            "c",
            "Prometheus without series",
            "Prometheus HTTP API",
            {"status": "success", "data": {"resultType": "matrix", "result": []}},
        ),
        (
            "b",
            "rows whose values are all null",
            "hand-written service",
            [{"ts": row["ts"], "temp": None} for row in ROWS],
        ),
        ("b", "heartbeat", "hand-written service", {"batchId": "b-17", "status": "alive", "ts": ROWS[0]["ts"]}),
        (
            "b",
            "lock",
            "hand-written service",
            {"locked": True, "owner": "worker-3", "pid": 4711, "until": ROWS[0]["ts"]},
        ),
    ]
    doubtful = {
        "progress": "`progress` is no reading, although it is a number beside a time.",
        "queued with a position": "Bookkeeping numbers.",
        "RQ job without a result": "Bookkeeping numbers.",
        "rows announced": "Bookkeeping numbers.",
        "lock": "Bookkeeping numbers.",
        "DRF page without rows": "`count` is the envelope's.",
        "Elasticsearch without hits": "`took` is the envelope's.",
    }
    for kinds, name, source, payload in waiting:
        theme.add(kinds, f"placeholder: {name}", source, payload, None, refuse="placeholder", doubt=doubtful.get(name))
    for name, payload in (
        ("null", b"null"),
        ("a number", b"42"),
        ("true", b"true"),
        ("empty", b""),
        ("a word", b"OK"),
        ("JSON text of a word", b'"pending"'),
        ("white space", b" \n "),
    ):
        theme.add("b", f"scalar: {name}", "hand-written service", payload, None, refuse="")
    theme.add(
        "b",
        "placeholder: hash of status",
        "redis-py hset",
        [b"batchId", b"b-17", b"status", b"processing", b"worker", b"w3"],
        None,
        shape="hash",
        refuse="placeholder",
    )
    theme.add(
        "b",
        "placeholder: hash of status and numbers",
        "redis-py hset",
        [b"batch_id", b"17", b"status", b"queued", b"attempt", b"1"],
        None,
        shape="hash",
        refuse="placeholder",
    )
    theme.add(
        "c",
        "Next.js tags hash",
        "Next.js cache handler, __sharedTags__",
        [b"/charts", b'["charts","_N_T_/layout"]'],
        None,
        shape="hash",
        refuse="",
    )
    theme.add(
        "c",
        "Next.js revalidated tags hash",
        "Next.js cache handler, __revalidated_tags__",
        [b"charts", b"1772344800000"],
        None,
        shape="hash",
        refuse="",
        doubt="A time under the name of a tag is no chart.",
    )
    theme.add("b", "list of ids", "redis-py rpush", [b"b-17", b"b-18", b"b-19"], None, shape="list", refuse="")


def build() -> Theme:
    theme = Theme("refusals")
    for part in (formats, broken, errors, placeholders):
        part(theme)
    return theme
