"""Answers of databases: time series, document stores, SQL drivers: documents."""

from kit import Truth, epoch_ms, iso

from databases.readings import ROWS, TRUTH, series_names, theme

hits = [
    {
        "_index": "plant-2026",
        "_id": f"k{i}",
        "_score": 1.0,
        "_source": {
            "@timestamp": iso(row["time"], 3),
            "temp": row["temp"],
            "pressure": row["pressure"],
            "host": {"name": "line1"},
        },
        "sort": [epoch_ms(row["time"])],
    }
    for i, row in enumerate(ROWS)
]
theme.add(
    "bc",
    "Elasticsearch hits",
    "Elasticsearch Search API",
    {
        "took": 5,
        "timed_out": False,
        "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
        "hits": {"total": {"value": 24, "relation": "eq"}, "max_score": 1.0, "hits": hits},
    },
    TRUTH,
    alt=series_names(TRUTH, "_source.{}"),
)
buckets = [
    {
        "key_as_string": iso(row["time"], 3),
        "key": epoch_ms(row["time"]),
        "doc_count": 12 + i % 3,
        "avg_temp": {"value": row["temp"]},
        "max_pressure": {"value": row["pressure"]},
    }
    for i, row in enumerate(ROWS)
]
means = {"avg_temp": TRUTH["temp"], "max_pressure": TRUTH["pressure"]}
counts: Truth = {"doc_count": [(epoch_ms(row["time"]), 12 + i % 3) for i, row in enumerate(ROWS)]}
theme.add(
    "c",
    "Elasticsearch date histogram",
    "Elasticsearch date_histogram aggregation",
    {
        "took": 3,
        "timed_out": False,
        "hits": {"total": {"value": 311, "relation": "eq"}, "max_score": None, "hits": []},
        "aggregations": {"per_minute": {"buckets": buckets}},
    },
    {**counts, **means},
    alt=[means, {**counts, **series_names(means, "{}.value")[0]}, series_names(means, "{}.value")[0]],
    doubt="`doc_count` is a count of documents: both with and without it is defensible. `key` is the time.",
)
theme.add(
    "b",
    "Elasticsearch SQL",
    "Elasticsearch SQL REST API",
    {
        "columns": [
            {"name": "@timestamp", "type": "datetime"},
            {"name": "temp", "type": "float"},
            {"name": "pressure", "type": "float"},
        ],
        "rows": [[iso(row["time"], 3), row["temp"], row["pressure"]] for row in ROWS],
        "cursor": "sDXF1ZXJ5",
    },
    TRUTH,
)
relaxed = [
    {
        "_id": {"$oid": f"{0x65F0000000000000000000 + i:024x}"},
        "time": {"$date": row["time"]},
        "meta": {"sensor": "T-1"},
        "temp": row["temp"],
        "pressure": row["pressure"],
    }
    for row in ROWS
    for i in [ROWS.index(row)]
]
theme.add("b", "MongoDB extended JSON, relaxed", "MongoDB Extended JSON v2", relaxed, TRUTH)
canonical = [
    {
        "_id": {"$oid": f"{0x65F0000000000000000000 + i:024x}"},
        "time": {"$date": {"$numberLong": str(epoch_ms(row["time"]))}},
        "temp": {"$numberDouble": str(row["temp"])},
        "pressure": {"$numberDecimal": str(row["pressure"])},
        "valve": {"$numberInt": "1"},
    }
    for i, row in enumerate(ROWS)
]
theme.add(
    "bc",
    "MongoDB extended JSON, canonical",
    "MongoDB Extended JSON v2",
    canonical,
    {**TRUTH, "valve": [(epoch_ms(row["time"]), 1) for row in ROWS]},
    alt=[TRUTH, {**series_names(TRUTH, "{}")[0]}],
    doubt="`valve` is a constant 1: a measurement or a state.",
)
theme.add(
    "c",
    "CouchDB view",
    "CouchDB view API",
    {
        "total_rows": 24,
        "offset": 0,
        "rows": [
            {"id": f"r{i}", "key": [row["time"], 0], "value": {"temp": row["temp"], "pressure": row["pressure"]}}
            for i, row in enumerate(ROWS)
        ],
    },
    TRUTH,
    or_refuse=True,
    alt=series_names(TRUTH, "value.{}"),
    doubt="The time is the first element of a compound key.",
)
theme.add(
    "c",
    "CouchDB view with a plain key",
    "CouchDB view API",
    {
        "total_rows": 24,
        "offset": 0,
        "rows": [
            {"id": f"r{i}", "key": row["time"], "value": {"temp": row["temp"], "pressure": row["pressure"]}}
            for i, row in enumerate(ROWS)
        ],
    },
    TRUTH,
    alt=series_names(TRUTH, "value.{}"),
)
theme.add(
    "b",
    "Firebase realtime database, push ids",
    "Firebase Realtime Database REST API",
    {
        f"-Nx{i:03d}QkLmnopqrstuv": {"ts": epoch_ms(row["time"]), "temp": row["temp"], "pressure": row["pressure"]}
        for i, row in enumerate(ROWS)
    },
    TRUTH,
)
theme.add(
    "c",
    "Firestore documents",
    "Cloud Firestore REST API",
    {
        "documents": [
            {
                "name": f"projects/p/databases/(default)/documents/readings/{i:020d}",
                "createTime": iso("2026-02-03T00:00:00Z", 6),
                "updateTime": iso("2026-02-03T00:00:00Z", 6),
                "fields": {
                    "time": {"timestampValue": row["time"]},
                    "temp": {"doubleValue": row["temp"]},
                    "line": {"integerValue": "1"},
                },
            }
            for i, row in enumerate(ROWS)
        ]
    },
    {"temp": TRUTH["temp"]},
    or_refuse=True,
    alt=[{"temp": TRUTH["temp"], "line": [(epoch_ms(row["time"]), 1) for row in ROWS]}],
    doubt="Typed values two levels below.",
)
