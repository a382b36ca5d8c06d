"""What libraries of Node write: serialisers, csv writers, caches, clients of Redis."""

import json

from kit import Row, Theme, epoch_ms, iso, rename, table, wave, wide
from store import node_version as pin
from store import node_writers, parts, server

FRAME = table({"flow": wave(24, 17, 2), "temp": wave(24, 31, 2.5, 1)}, start="2026-03-03T00:00:00Z")
TRUTH = wide(FRAME)
ROWS: list[Row] = [{"ts": iso(row.ts, 3), "flow": row.flow, "temp": row.temp} for row in FRAME.itertuples()]
DATA = rename(TRUTH, lambda name: f"data.{name}")

# name of what writers.mjs wrote, kinds, source
STRINGS = [
    ("superjson", "bc", f"{pin('superjson')} stringify of Dates"),
    ("superjson object", "c", f"{pin('superjson')} stringify with Set and undefined"),
    ("papaparse", "b", f"{pin('papaparse')} unparse"),
    ("papaparse fields and data", "c", f"{pin('papaparse')} unparse input form"),
    ("papaparse parse result", "b", f"{pin('papaparse')} parse with header"),
    ("d3-dsv tsv", "c", f"{pin('d3-dsv')} tsvFormat: short dates"),
    ("d3-dsv csv", "b", f"{pin('d3-dsv')} csvFormat: short dates"),
    ("json-2-csv", "b", f"{pin('json-2-csv')} json2csv, nested keys"),
    ("csv-stringify", "c", f"{pin('csv-stringify')} stringify with BOM and semicolons"),
    ("msgpackr", "bc", f"{pin('msgpackr')} pack of Dates"),
    ("@msgpack/msgpack", "c", f"{pin('@msgpack/msgpack')} encode of Dates"),
    ("pako deflate", "b", f"{pin('pako')} deflate"),
    ("pako gzip base64", "c", f"{pin('pako')} gzip, base64"),
    ("node gzip of Date rows", "b", "Node 20 zlib gzipSync"),
    ("node deflate base64", "c", "Node 20 zlib deflateSync, base64"),
    ("arquero toJSON", "c", f"{pin('arquero')} toJSON"),
    ("arquero toJSON data only", "b", f"{pin('arquero')} toJSON schema: false"),
    ("arquero toCSV", "b", f"{pin('arquero')} toCSV"),
]
UNSURE = [
    (
        "devalue",
        f"{pin('devalue')} stringify",
        "References by position: row values are indices, reading them as values is a misreading.",
    ),
    ("flatted", f"{pin('flatted')} stringify", "References by position in text."),
    ("msgpackr records", f"{pin('msgpackr')} Packr with records", "An extension type that only msgpackr knows."),
    (
        "node brotli",
        "Node 20 zlib brotliCompressSync",
        "Brotli has no magic bytes and is no kind of the specification.",
    ),
    (
        "Buffer as JSON",
        "Node 20 JSON.stringify(Buffer)",
        "Bytes as a list of numbers: 1,400 values named data would be a misreading.",
    ),
]
# key in Redis, kinds, name, source
KEYS = [
    ("keyv::rows", "bc", "Keyv value and expires", f"{pin('keyv')}, {pin('@keyv/redis')}"),
    ("keyv::object", "b", "Keyv without a TTL", f"{pin('keyv')}, {pin('@keyv/redis')}"),
    ("text::json", "c", "Keyv holding JSON text", f"{pin('keyv')}, {pin('@keyv/redis')}"),
    ("cm::rows", "bc", "cache-manager around an object", f"{pin('cache-manager')}, {pin('@keyv/redis')}"),
    ("io:string", "bc", "wide records", f"{pin('ioredis')} set"),
    ("io:hash", "bc", "hash with JSON readings beside plain fields", f"{pin('ioredis')} hset"),
    ("io:list", "bc", "list of JSON texts", f"{pin('ioredis')} rpush"),
    ("io:stream", "b", "stream of rows", f"{pin('ioredis')} xadd"),
    ("node:hash", "b", "hash with the time as field", f"{pin('redis')} hSet"),
    ("node:list", "c", "list of JSON texts, newest first", f"{pin('redis')} rPush"),
    ("node:stream", "b", "stream with JSON in one field", f"{pin('redis')} xAdd"),
    ("bull:readings:job-1", "b", "BullMQ job", f"{pin('bullmq')} Queue.add"),
    ("next:fetch", "bc", "Next.js cache handler, FETCH", f"{pin('@neshca/cache-handler')} redis-strings"),
    ("next:route", "c", "Next.js cache handler, ROUTE", f"{pin('@neshca/cache-handler')} redis-strings"),
]


def build() -> Theme:
    theme = Theme("nodelibs")
    with server() as client:
        written = node_writers(client, ROWS)
        for name, kinds, source in STRINGS:
            alt = [DATA] if name == "json-2-csv" else []
            theme.add(kinds, name, source, written[name], TRUTH, alt=alt)
        for name, source, doubt in UNSURE:
            theme.add("c", name, source, written[name], TRUTH, or_refuse=True, doubt=doubt)
        for key, kinds, name, source in KEYS:
            shape, value = parts(client, key)
            alt = [DATA] if key == "io:string" else []
            theme.add(kinds, name, source, value, TRUTH, shape=shape, alt=alt)
        shape, value = parts(client, "node:long")
        theme.add(
            "b",
            "stream of long rows without a time",
            pin("redis") + " xAdd",
            value,
            {name: [(None, number) for _, number in points] for name, points in TRUTH.items()},
            shape=shape,
            doubt="The time is in the entries' ids, which the fixture does not hold.",
        )
        shape, value = parts(client, "io:flat")
        first = epoch_ms(ROWS[0]["ts"])
        theme.add(
            "b",
            "hash as one row",
            pin("ioredis") + " hset",
            value,
            {"flow": [(first, ROWS[0]["flow"])], "temp": [(first, ROWS[0]["temp"])]},
            shape=shape,
        )
    theme.add(
        "b",
        "connect-redis like session",
        "express-session cookie under the wrong prefix",
        json.dumps(
            {
                "cookie": {
                    "originalMaxAge": 86400000,
                    "expires": iso(FRAME["ts"][0], 3),
                    "httpOnly": True,
                    "path": "/",
                },
                "passport": {"user": "u1"},
            }
        ),
        None,
        refuse="",
        doubt="A session under the pattern of batches: no reading in it, and `originalMaxAge` is none.",
    )
    return theme
