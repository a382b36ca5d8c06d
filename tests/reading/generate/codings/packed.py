"""The same rows in every encoding, and in combinations of encodings: packed."""

import base64
import bz2
import gzip
import io
import json
import lzma
import zlib

import msgpack
import zstandard
from kit import lib

from codings.readings import FRAME, RECORDS, TRUTH, as_csv, theme

text = json.dumps(RECORDS).encode()
theme.add("b", "zlib", "Python 3.13 zlib.compress", zlib.compress(text), TRUTH)
theme.add("c", "zlib level 1", "Python 3.13 zlib.compress(level=1)", zlib.compress(text, 1), TRUTH)
theme.add("bc", "zstd", f"{lib('zstandard')} ZstdCompressor", zstandard.compress(text), TRUTH)
stream = io.BytesIO()
with zstandard.ZstdCompressor().stream_writer(stream, closefd=False) as writer:
    writer.write("\n".join(json.dumps(record) for record in RECORDS).encode())
theme.add(
    "c",
    "JSON lines in a zstd stream without content size",
    f"{lib('zstandard')} stream_writer",
    stream.getvalue(),
    TRUTH,
)
theme.add(
    "b",
    "gzip of csv",
    "Python 3.13 gzip.compress",
    gzip.compress(as_csv(FRAME).encode(), mtime=0),
    TRUTH,
    pandas={"call": "read_csv", "time": "ts"},
)
half = len(text) // 2
theme.add(
    "c",
    "gzip of two members",
    "two appended gzip files",
    gzip.compress(text[:half], mtime=0) + gzip.compress(text[half:], mtime=0),
    TRUTH,
)
theme.add(
    "b",
    "raw deflate",
    "Python 3.13 zlib.compressobj(wbits=-15)",
    zlib.compress(text, wbits=-15),
    TRUTH,
    or_refuse=True,
    doubt="Raw deflate has no magic bytes; a refusal is allowed.",
)
theme.add(
    "c",
    "bz2",
    "Python 3.13 bz2.compress",
    bz2.compress(text),
    TRUTH,
    or_refuse=True,
    doubt="Not among the kinds of the specification; a refusal by name is allowed.",
)
theme.add(
    "b",
    "xz",
    "Python 3.13 lzma.compress",
    lzma.compress(text),
    TRUTH,
    or_refuse=True,
    doubt="Not among the kinds of the specification; a refusal by name is allowed.",
)
theme.add(
    "b",
    "base64 of zlib of msgpack",
    f"{lib('msgpack')}, zlib, base64",
    base64.b64encode(zlib.compress(msgpack.packb(RECORDS))),
    TRUTH,
)
theme.add("c", "base64 of JSON", "Python 3.13 base64.b64encode", base64.b64encode(text), TRUTH)
theme.add("c", "base64 in lines of 76", "Python 3.13 base64.encodebytes", base64.encodebytes(text), TRUTH)
theme.add(
    "b",
    "base64 url alphabet without padding",
    "Python 3.13 base64.urlsafe_b64encode",
    base64.urlsafe_b64encode(gzip.compress(text, mtime=0)).rstrip(b"="),
    TRUTH,
)
theme.add(
    "b",
    "data URL",
    "RFC 2397",
    b"data:application/json;base64," + base64.b64encode(text),
    TRUTH,
    or_refuse=True,
    doubt="Rare; a refusal is allowed.",
)
theme.add(
    "bc",
    "base64 of gzip below a member",
    "message envelope",
    json.dumps({"encoding": "gzip+base64", "body": base64.b64encode(gzip.compress(text, mtime=0)).decode()}),
    TRUTH,
)
theme.add(
    "c", "gzip of base64 of JSON", "two layers the other way", gzip.compress(base64.b64encode(text), mtime=0), TRUTH
)
theme.add(
    "b",
    "zstd of msgpack",
    f"{lib('msgpack')} and {lib('zstandard')}",
    zstandard.compress(msgpack.packb(RECORDS)),
    TRUTH,
)
