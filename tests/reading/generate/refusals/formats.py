"""What must not be read: formats refused by name, broken documents, errors, placeholders: formats."""

import base64
import gzip
import pickle
import zlib
from typing import Any

import cbor2
from kit import lib

from refusals.readings import FRAME, ROWS, images, java_stream, noise, tables, theme

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
