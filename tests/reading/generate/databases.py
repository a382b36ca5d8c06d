"""Answers of databases: time series, document stores, SQL drivers."""

import json

import numpy as np
import pandas as pd
from influxdb_client import Point
from influxdb_client.client.flux_csv_parser import FluxCsvParser, FluxSerializationMode
from kit import Row, Theme, Truth, epoch_ms, iso, lib, rename, rows, table, wave, wide
from urllib3 import HTTPResponse

FRAME = table(
    {"temp": wave(24, 71, 4), "pressure": wave(24, 3.2, 0.3, 2, digits=3)},
    start="2026-02-02T12:00:00Z",
    step_s=60,
    time="time",
)
TRUTH = wide(FRAME, "time")
ROWS: list[Row] = rows(FRAME, "time")


def series_names(truth: Truth, *forms: str) -> list[Truth]:
    return [rename(truth, lambda name, form=form: form.format(name)) for form in forms]


def influx(theme: Theme) -> None:
    alt = series_names(TRUTH, "plant.{}", "plant {}", "plant_{}")
    epoch = {
        "results": [
            {
                "statement_id": 0,
                "series": [
                    {
                        "name": "plant",
                        "columns": ["time", "temp", "pressure"],
                        "values": [[epoch_ms(row["time"]) * 1_000_000, row["temp"], row["pressure"]] for row in ROWS],
                    }
                ],
            }
        ]
    }
    theme.add("c", "InfluxDB v1, epoch ns", "InfluxDB 1.8 API, /query", epoch, TRUTH, alt=alt)
    tagged = {
        "results": [
            {
                "statement_id": 0,
                "series": [
                    {
                        "name": "plant",
                        "tags": {"sensor": sensor},
                        "columns": ["time", "mean"],
                        "values": [[row["time"], row[name]] for row in ROWS],
                    }
                    for sensor, name in (("T-1", "temp"), ("P-4", "pressure"))
                ],
            }
        ]
    }
    by_tag = {"T-1": TRUTH["temp"], "P-4": TRUTH["pressure"]}
    theme.add(
        "bc",
        "InfluxDB v1, grouped by a tag",
        "InfluxDB 1.8 API, GROUP BY",
        tagged,
        by_tag,
        alt=series_names(
            by_tag,
            "plant.{}",
            "mean.{}",
            "{}.mean",
            "{} mean",
            "mean {}",
            "mean sensor={}",
            "mean.sensor={}",
            "plant {}",
            "plant.{}.mean",
            "plant.mean.{}",
            "plant sensor={}",
            "mean/{}",
            "{}/mean",
            "{}: mean",
            "sensor={}",
            "plant.sensor={}",
            "plant {} mean",
            "mean ({})",
            "plant.mean sensor={}",
            "mean@{}",
        ),
        doubt="One series per tag; several names are defensible. One series of 48 values would be a misreading.",
    )
    flux = (
        "#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string\r\n"
        "#group,false,false,true,true,false,false,true,true\r\n#default,_result,,,,,,,\r\n"
        ",result,table,_start,_stop,_time,_value,_field,_measurement\r\n"
    )
    for number, name in enumerate(("temp", "pressure")):
        for row in ROWS:
            flux += f",,{number},2026-02-02T11:30:00Z,2026-02-02T13:00:00Z,{row['time']},{row[name]},{name},plant\r\n"
    theme.add(
        "c",
        "InfluxDB v2 annotated csv",
        "InfluxDB v2 API, annotated CSV",
        flux,
        TRUTH,
        alt=alt,
        or_refuse=True,
        doubt="Annotation rows before the header; a refusal is allowed, a misreading is not.",
    )
    response = HTTPResponse(body=flux.encode(), preload_content=True)
    parser = FluxCsvParser(response=response, serialization_mode=FluxSerializationMode.tables)
    list(parser.generator())
    tables = parser.table_list()
    theme.add(
        "bc",
        "InfluxDB v2 FluxTable JSON",
        f"{lib('influxdb-client')} TableList.to_json",
        tables.to_json(),
        TRUTH,
        alt=alt,
    )
    v3 = [{"time": row["time"][:-1], "temp": row["temp"], "pressure": row["pressure"], "line": "L1"} for row in ROWS]
    theme.add(
        "b",
        "InfluxDB v3 query as JSON lines",
        "InfluxDB 3 Core, /api/v3/query_sql format=jsonl",
        "\n".join(json.dumps(row) for row in v3),
        TRUTH,
    )
    lines = "\n".join(
        Point("plant")
        .tag("line", "L1")
        .field("temp", row["temp"])
        .field("pressure", row["pressure"])
        .time(epoch_ms(row["time"]) * 1_000_000)
        .to_line_protocol()
        for row in ROWS
    )
    theme.add(
        "bc",
        "InfluxDB line protocol",
        f"{lib('influxdb-client')} Point.to_line_protocol",
        lines,
        TRUTH,
        alt=alt,
        or_refuse=True,
        doubt="Not named by the specification as an encoding; reading it is welcome, a refusal is allowed.",
    )


def time_series(theme: Theme) -> None:
    theme.add(
        "c",
        "OpenTSDB query",
        "OpenTSDB 2.4 HTTP API, /api/query",
        [
            {
                "metric": name,
                "tags": {"host": "line1"},
                "aggregateTags": [],
                "dps": {str(epoch_ms(row["time"]) // 1000): row[name] for row in ROWS},
            }
            for name in ("temp", "pressure")
        ],
        TRUTH,
        alt=series_names(TRUTH, "{}.line1", "{} line1", "{} host=line1", "{}.dps"),
    )
    theme.add(
        "b",
        "OpenTSDB put",
        "OpenTSDB 2.4 HTTP API, /api/put",
        [
            {
                "metric": f"plant.{name}",
                "timestamp": epoch_ms(row["time"]) // 1000,
                "value": row[name],
                "tags": {"host": "line1"},
            }
            for row in ROWS
            for name in ("temp", "pressure")
        ],
        rename(TRUTH, lambda name: f"plant.{name}"),
    )
    theme.add(
        "c",
        "Graphite render",
        "Graphite render API, format=json",
        [
            {
                "target": f"plant.{name}",
                "tags": {"name": f"plant.{name}"},
                "datapoints": [[row[name], epoch_ms(row["time"]) // 1000] for row in ROWS],
            }
            for name in ("temp", "pressure")
        ],
        rename(TRUTH, lambda name: f"plant.{name}"),
        doubt="The value stands before the time.",
    )
    theme.add(
        "c",
        "QuestDB",
        "QuestDB REST API, /exec",
        {
            "query": "SELECT * FROM plant",
            "columns": [
                {"name": "time", "type": "TIMESTAMP"},
                {"name": "temp", "type": "DOUBLE"},
                {"name": "pressure", "type": "DOUBLE"},
            ],
            "timestamp": 0,
            "dataset": [[iso(row["time"], 6), row["temp"], row["pressure"]] for row in ROWS],
            "count": 24,
        },
        TRUTH,
    )
    theme.add(
        "b",
        "ClickHouse JSON",
        "ClickHouse formats, JSON",
        {
            "meta": [
                {"name": "time", "type": "DateTime"},
                {"name": "temp", "type": "Float64"},
                {"name": "pressure", "type": "Float64"},
            ],
            "data": [
                {"time": row["time"][:19].replace("T", " "), "temp": row["temp"], "pressure": row["pressure"]}
                for row in ROWS
            ],
            "rows": 24,
            "rows_before_limit_at_least": 24,
            "statistics": {"elapsed": 0.0012, "rows_read": 24, "bytes_read": 576},
        },
        TRUTH,
    )
    theme.add(
        "c",
        "ClickHouse JSONCompact",
        "ClickHouse formats, JSONCompact",
        {
            "meta": [{"name": "time", "type": "DateTime"}, {"name": "temp", "type": "Float64"}],
            "data": [[row["time"][:19].replace("T", " "), row["temp"]] for row in ROWS],
            "rows": 24,
            "statistics": {"elapsed": 0.0012, "rows_read": 24, "bytes_read": 576},
        },
        {"temp": TRUTH["temp"]},
    )
    theme.add(
        "b",
        "ClickHouse JSONCompactEachRowWithNamesAndTypes",
        "ClickHouse formats",
        "\n".join(
            json.dumps(line)
            for line in [
                ["time", "temp"],
                ["DateTime", "Float64"],
                *[[row["time"][:19].replace("T", " "), row["temp"]] for row in ROWS],
            ]
        ),
        {"temp": TRUTH["temp"]},
        or_refuse=True,
        doubt="Two header lines; a refusal is allowed.",
    )
    theme.add(
        "c",
        "Redis TS.RANGE, one series",
        "RedisTimeSeries TS.RANGE reply as JSON (RESP3)",
        [[epoch_ms(row["time"]), row["temp"]] for row in ROWS],
        {"value": TRUTH["temp"]},
        alt=[
            {name: TRUTH["temp"]}
            for name in ("1", "y", "values", "series", "data", "c", "v", "0", "series 1", "series_1", "column_2")
        ],
        doubt="No name anywhere.",
    )
    theme.add(
        "c",
        "Redis TS.MRANGE",
        "RedisTimeSeries TS.MRANGE reply as JSON (RESP3)",
        {
            name: [[], {"aggregators": []}, [[epoch_ms(row["time"]), row[name]] for row in ROWS]]
            for name in ("temp", "pressure")
        },
        TRUTH,
        or_refuse=True,
        doubt="An empty list of labels stands before the points.",
    )
    theme.add(
        "b",
        "node-redis TS.RANGE objects",
        "node-redis @redis/time-series",
        {
            "temp": [{"timestamp": epoch_ms(row["time"]), "value": row["temp"]} for row in ROWS],
            "pressure": [{"timestamp": epoch_ms(row["time"]), "value": row["pressure"]} for row in ROWS],
        },
        TRUTH,
    )


def documents(theme: Theme) -> None:
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


def sql(theme: Theme) -> None:
    theme.add(
        "bc",
        "Snowflake SQL API",
        "Snowflake SQL API, handling responses",
        {
            "resultSetMetaData": {
                "numRows": 24,
                "format": "jsonv2",
                "rowType": [
                    {
                        "name": "TIME",
                        "type": "timestamp_ntz",
                        "scale": 9,
                        "precision": None,
                        "nullable": True,
                        "length": None,
                        "byteLength": None,
                    },
                    {
                        "name": "TEMP",
                        "type": "real",
                        "scale": None,
                        "precision": None,
                        "nullable": True,
                        "length": None,
                        "byteLength": None,
                    },
                    {
                        "name": "PRESSURE",
                        "type": "fixed",
                        "scale": 3,
                        "precision": 10,
                        "nullable": True,
                        "length": None,
                        "byteLength": None,
                    },
                ],
                "partitionInfo": [{"rowCount": 24, "uncompressedSize": 960}],
            },
            "data": [
                [f"{epoch_ms(row['time']) // 1000}.000000000", str(row["temp"]), f"{row['pressure']:.3f}"]
                for row in ROWS
            ],
            "code": "090001",
            "statementStatusUrl": "/api/v2/statements/01a2",
            "sqlState": "00000",
            "statementHandle": "01a2",
            "message": "Statement executed successfully.",
            "createdOn": 1770033600000,
        },
        rename(TRUTH, str.upper),
    )
    theme.add(
        "b",
        "Databricks statement",
        "Databricks SQL Statement Execution API",
        {
            "statement_id": "01ee",
            "status": {"state": "SUCCEEDED"},
            "manifest": {
                "format": "JSON_ARRAY",
                "schema": {
                    "column_count": 3,
                    "columns": [
                        {"name": "time", "type_text": "TIMESTAMP", "type_name": "TIMESTAMP", "position": 0},
                        {"name": "temp", "type_text": "DOUBLE", "type_name": "DOUBLE", "position": 1},
                        {
                            "name": "pressure",
                            "type_text": "DECIMAL(10,3)",
                            "type_name": "DECIMAL",
                            "type_precision": 10,
                            "type_scale": 3,
                            "position": 2,
                        },
                    ],
                },
                "total_chunk_count": 1,
                "total_row_count": 24,
                "truncated": False,
            },
            "result": {
                "chunk_index": 0,
                "row_offset": 0,
                "row_count": 24,
                "data_array": [[iso(row["time"], 3), str(row["temp"]), str(row["pressure"])] for row in ROWS],
            },
        },
        TRUTH,
    )
    theme.add(
        "c",
        "Trino statement",
        "Trino client REST API",
        {
            "id": "20260202_1",
            "infoUri": "http://t/ui",
            "columns": [
                {
                    "name": "time",
                    "type": "timestamp(3)",
                    "typeSignature": {"rawType": "timestamp", "arguments": [{"kind": "LONG", "value": 3}]},
                },
                {"name": "temp", "type": "double", "typeSignature": {"rawType": "double", "arguments": []}},
            ],
            "data": [[row["time"][:19].replace("T", " ") + ".000", row["temp"]] for row in ROWS],
            "stats": {"state": "FINISHED", "queued": False, "scheduled": True, "nodes": 1, "totalSplits": 9},
        },
        {"temp": TRUTH["temp"]},
    )
    theme.add(
        "b",
        "libSQL / Turso",
        "libSQL Hrana over HTTP",
        {
            "results": [
                {
                    "type": "ok",
                    "response": {
                        "type": "execute",
                        "result": {
                            "cols": [{"name": "time", "decltype": "TEXT"}, {"name": "temp", "decltype": "REAL"}],
                            "rows": [
                                [{"type": "text", "value": row["time"]}, {"type": "float", "value": row["temp"]}]
                                for row in ROWS
                            ],
                            "affected_row_count": 0,
                            "last_insert_rowid": None,
                        },
                    },
                }
            ]
        },
        {"temp": TRUTH["temp"]},
    )
    theme.add(
        "c",
        "sqlite3 CLI box of JSON",
        "sqlite3 -json",
        "[" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in ROWS) + "]\n",
        TRUTH,
    )
    rng = np.linspace(0, 1, 24)
    bigint = pd.DataFrame(
        {
            "bucket": FRAME["time"],
            "energy_wh": [str(90_000_000_000 + 1_250 * i) for i in range(24)],
            "share": np.round(rng, 4),
        }
    )
    theme.add(
        "b",
        "TimescaleDB bigint counters as text",
        "node-postgres, bigint parsed as text",
        [{"bucket": iso(row.bucket, 3), "energy_wh": row.energy_wh, "share": row.share} for row in bigint.itertuples()],
        wide(bigint.astype({"energy_wh": "float64"}), "bucket"),
    )


def build() -> Theme:
    theme = Theme("databases")
    for part in (influx, time_series, documents, sql):
        part(theme)
    return theme
