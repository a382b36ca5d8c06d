"""Payloads in the shapes of services, libraries and devices, each with the readings of tests/reading/table.py.

Shapes are facts from public documentation; all content is ours. Each entry: kinds ("b" batch, "c" chart), name, value
(encoded as JSON unless it is bytes), the names that temp and co2 get.
"""

import base64
import gzip
import json
import struct
import zlib

import msgspec

from tests.reading.table import CO2, DAYS, ISO, LONG, MOMENTS, MS, ROWS, SQL, TEMP, wide

PAIRS = [list(map(list, zip(MS, values, strict=True))) for values in (TEMP, CO2)]
POINTS = [[{"x": x, "y": y} for x, y in zip(MS, values, strict=True)] for values in (TEMP, CO2)]
GRID = [list(row) for row in zip(ISO, TEMP, CO2, strict=True)]
BOTH = ("temp", "co2")


def text(value) -> bytes:
    return json.dumps(value).encode()


def csv(times, mark=",", header="ts{0}temp{0}co2", comma=False, ending="\n") -> bytes:
    lines = [header.format(mark)]
    for time, temp, co2 in zip(times, TEMP, CO2, strict=True):
        line = f"{time}{mark}{temp}{mark}{co2}"
        if comma:
            line = f"{time}{mark}{str(temp).replace('.', ',')}{mark}{str(co2).replace('.', ',')}"
        lines.append(line)
    return (ending.join(lines) + ending).encode()


def f8(values) -> dict:
    return {"dtype": "f8", "bdata": base64.b64encode(struct.pack(f"<{len(values)}d", *values)).decode()}


def long(label, value="value", time="timestamp", **more) -> list:
    rows = []
    for at, temp, co2 in zip(ISO, TEMP, CO2, strict=True):
        rows += [{time: at, label: "temp", value: temp, **more}, {time: at, label: "co2", value: co2, **more}]
    return rows


ENTRIES: list = []


def add(kinds, name, value, names=BOTH):
    ENTRIES.append((kinds, name, value if isinstance(value, bytes) else text(value), names))


# Encodings
add("bc", "rows with a BOM", b"\xef\xbb\xbf" + text(ROWS))
add("bc", "JSON in UTF-16", json.dumps(ROWS).encode("utf-16"))
add("bc", "JSON three times", json.dumps(json.dumps(json.dumps(ROWS))).encode())
add("bc", "member with JSON", {"key": "k", "value": json.dumps(ROWS), "expires": MS[0]})
add("bc", "member with JSON twice", {"value": json.dumps({"value": json.dumps(ROWS)})})
add("bc", "member with base64", {"body": base64.b64encode(text(ROWS)).decode(), "encoding": "base64"})
add("bc", "member with base64 of gzip", {"data": base64.b64encode(gzip.compress(text(ROWS))).decode()})
add("bc", "Keyv buffer", {"value": ":base64:" + base64.b64encode(text(ROWS)).decode(), "expires": MS[0]})
add("bc", "Node buffer", {"value": {"type": "Buffer", "data": list(text(ROWS))}})
add("bc", "base64url without padding", base64.urlsafe_b64encode(text(ROWS)).rstrip(b"="))
add("bc", "base64 in lines", base64.encodebytes(text(ROWS)))
add("bc", "base64 of zlib", base64.b64encode(zlib.compress(text(ROWS))))
add("bc", "gzip of CSV", gzip.compress(csv(ISO)))
add("bc", "gzip of base64", gzip.compress(base64.b64encode(text(ROWS))))
add("bc", "zlib", zlib.compress(text(ROWS)))
add("bc", "gzip twice", gzip.compress(gzip.compress(text(ROWS))))
add("bc", "msgpack of msgpack text", msgspec.msgpack.encode(json.dumps(ROWS)))
add("bc", "msgpack with timestamps", msgspec.msgpack.encode(wide("ts", "temp", "co2", times=MOMENTS)))
add("bc", "msgpack with bin keys", msgspec.msgpack.encode([{k.encode(): v for k, v in row.items()} for row in ROWS]))
add("bc", "msgpack columns", msgspec.msgpack.encode({"ts": ISO, "temp": TEMP, "co2": CO2}))
add("bc", "gzip of msgpack", gzip.compress(msgspec.msgpack.encode(ROWS)))
add("bc", "JSON lines of lists", b"\n".join(map(text, [["ts", "temp", "co2"], *GRID])))
add("bc", "server-sent events", b"".join(b"data: " + text(row) + b"\n\n" for row in ROWS))
add("bc", "JSONP", b"callback(" + text(ROWS) + b");")
add("bc", "guarded JSON", b")]}',\n" + text(ROWS))
add("bc", "CSV with CRLF", csv(SQL, ending="\r\n"))
add("bc", "TSV", csv(SQL, "\t"))
add("bc", "semicolons and decimal commas", csv(SQL, ";", comma=True))
add("bc", "semicolons, decimal points", csv(SQL, ";"))
add(
    "bc",
    "German CSV",
    b"\xef\xbb\xbf" + csv([f"{m:%d.%m.%Y %H:%M:%S}" for m in MOMENTS], ";", "Zeit{0}temp{0}co2", comma=True),
)
add("bc", "bars", csv(SQL, "|"))
add("bc", "CSV with quotes", csv([f'"{time}"' for time in SQL], ",", '"ts"{0}"temp"{0}"co2"'))
add(
    "bc",
    "CSV with an index",
    b"\n".join(
        [
            b",ts,temp,co2",
            *(f"{i},{t},{a},{b}".encode() for i, (t, a, b) in enumerate(zip(SQL, TEMP, CO2, strict=True))),
        ]
    ),
)
add(
    "bc",
    "CSV with date and time",
    b"\n".join(
        [
            b"Date,Time,temp,co2",
            *(f"{m:%Y-%m-%d},{m:%H:%M:%S},{a},{b}".encode() for m, a, b in zip(MOMENTS, TEMP, CO2, strict=True)),
        ]
    ),
)
add("bc", "CSV in a member", {"format": "csv", "content": csv(SQL).decode()})
add("b", "CSV without times", b"\n".join([b"temp,co2", *(f"{a},{b}".encode() for a, b in zip(TEMP, CO2, strict=True))]))
add(
    "bc",
    "InfluxDB annotated CSV",
    (
        "#group,false,false,true,true,false,false,true,true\r\n#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string\r\n#default,mean,,,,,,,\r\n,result,table,_start,_stop,_time,_value,_field,_measurement\r\n"
        + "".join(
            f",,0,2026-03-01T00:00:00Z,2026-03-02T00:00:00Z,{t},{v},temp,plant\r\n"
            for t, v in zip(ISO, TEMP, strict=True)
        )
        + "\r\n,result,table,_start,_stop,_time,_value,_field,_measurement\r\n"
        + "".join(
            f",,1,2026-03-01T00:00:00Z,2026-03-02T00:00:00Z,{t},{v},co2,plant\r\n"
            for t, v in zip(ISO, CO2, strict=True)
        )
    ).encode(),
)
add(
    "bc",
    "InfluxDB line protocol",
    "\n".join(f"plant,site=north temp={a},co2={b} {ms}000000" for ms, a, b in zip(MS, TEMP, CO2, strict=True)).encode(),
)
add(
    "bc",
    "Prometheus exposition",
    (
        "# TYPE temp gauge\n"
        + "".join(f'temp{{a="1"}} {v} {t}\n' for t, v in zip(MS, TEMP, strict=True))
        + "".join(f'co2{{a="1"}} {v} {t}\n' for t, v in zip(MS, CO2, strict=True))
    ).encode(),
)

add(
    "bc",
    "CSV in cp1252",
    ("ts;temp;co2;Einheit\n" + "".join(f"{t};{a};{b};\xb0C\n" for t, a, b in zip(SQL, TEMP, CO2, strict=True))).encode(
        "cp1252"
    ),
)

# Envelopes
add(
    "bc",
    "OData",
    {
        "@odata.context": "$metadata#Readings",
        "@odata.count": 24,
        "value": wide("Timestamp", "temp", "co2"),
        "@odata.nextLink": "next",
    },
)
add(
    "bc",
    "GraphQL edges",
    {
        "data": {
            "readings": {
                "edges": [{"cursor": f"c{i}", "node": row} for i, row in enumerate(ROWS)],
                "pageInfo": {"hasNextPage": False, "endCursor": "c23"},
            }
        }
    },
)
add("bc", "GraphQL nodes in edges only", {"data": {"readings": {"edges": [{"node": row} for row in ROWS]}}})
add(
    "bc",
    "Django REST",
    {
        "count": 24,
        "next": None,
        "previous": None,
        "results": [{"id": i, "url": f"/r/{i}/", **row} for i, row in enumerate(ROWS, 1)],
    },
)
add("bc", "Django serializer", [{"model": "app.reading", "pk": i, "fields": row} for i, row in enumerate(ROWS, 1)])
add(
    "bc",
    "JSON:API",
    {
        "data": [
            {"type": "readings", "id": str(i), "attributes": row, "links": {"self": "/"}} for i, row in enumerate(ROWS)
        ],
        "meta": {"total": 24},
        "links": {"self": "/"},
    },
)
add(
    "bc",
    "GeoJSON",
    {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "geometry": {"type": "Point", "coordinates": [8.5, 47.4]}, "properties": row}
            for row in ROWS
        ],
    },
)
add(
    "bc",
    "Elasticsearch",
    {
        "took": 3,
        "timed_out": False,
        "_shards": {"total": 1, "successful": 1},
        "hits": {
            "total": {"value": 24, "relation": "eq"},
            "max_score": 1.0,
            "hits": [
                {"_index": "i", "_id": str(i), "_score": 1.0, "_source": {"@timestamp": t, "temp": a, "co2": b}}
                for i, (t, a, b) in enumerate(GRID)
            ],
        },
    },
)
add(
    "bc",
    "CouchDB",
    {
        "total_rows": 24,
        "offset": 0,
        "rows": [
            {"id": f"d{i}", "key": f"d{i}", "value": {"rev": "1-x"}, "doc": {"_id": f"d{i}", "_rev": "1-x", **row}}
            for i, row in enumerate(ROWS)
        ],
    },
)
add(
    "bc",
    "MongoDB extended JSON",
    [
        {"_id": {"$oid": f"{i:024x}"}, "ts": {"$date": t}, "temp": {"$numberDouble": str(a)}, "co2": b}
        for i, (t, a, b) in enumerate(GRID)
    ],
)
add(
    "bc",
    "MongoDB canonical dates",
    [{"ts": {"$date": {"$numberLong": str(t)}}, "temp": a, "co2": b} for t, a, b in zip(MS, TEMP, CO2, strict=True)],
)
add(
    "bc",
    "DynamoDB",
    {
        "Items": [{"ts": {"S": t}, "temp": {"N": str(a)}, "co2": {"N": str(b)}} for t, a, b in GRID],
        "Count": 24,
        "ScannedCount": 24,
    },
)
add(
    "bc",
    "Firestore",
    {
        "documents": [
            {
                "name": f"projects/p/{i}",
                "fields": {"ts": {"timestampValue": t}, "temp": {"doubleValue": a}, "co2": {"doubleValue": b}},
                "createTime": ISO[0],
                "updateTime": ISO[0],
            }
            for i, (t, a, b) in enumerate(GRID)
        ]
    },
)
add(
    "bc",
    "CloudEvents",
    [
        {
            "specversion": "1.0",
            "id": str(i),
            "source": "/plant",
            "type": "reading",
            "time": t,
            "datacontenttype": "application/json",
            "data": {"temp": a, "co2": b},
        }
        for i, (t, a, b) in enumerate(GRID)
    ],
)
add(
    "bc",
    "node-mssql",
    {
        "recordsets": [wide("Timestamp", "temp", "co2")],
        "recordset": wide("Timestamp", "temp", "co2"),
        "output": {},
        "rowsAffected": [24],
    },
)
add(
    "bc",
    "tedious rows",
    [
        [{"value": v, "metadata": {"colName": n}} for n, v in zip(("Timestamp", "temp", "co2"), row, strict=True)]
        for row in GRID
    ],
)
add("bc", "superjson", {"json": ROWS, "meta": {"values": {f"{i}.timestamp": ["Date"] for i in range(24)}}})
add(
    "bc",
    "celery",
    {
        "status": "SUCCESS",
        "result": {"rows": ROWS},
        "traceback": None,
        "children": [],
        "date_done": ISO[5],
        "task_id": "x",
    },
)
add("bc", "RQ", {"job_id": "1", "state": "finished", "progress": 100, "return_value": json.dumps(ROWS)})
add("bc", "cache-manager", {"value": {"data": ROWS, "fetchedAt": MS[0]}, "expires": MS[3]})
add("bc", "deep envelope", {"a": {"b": {"c": {"d": {"e": ROWS}}}}})
add(
    "bc",
    "superset",
    {
        "result": [
            {
                "cache_key": "x",
                "data": wide("ts", "temp", "co2"),
                "colnames": ["ts", "temp", "co2"],
                "coltypes": [2, 0, 0],
                "rowcount": 24,
                "status": "success",
            }
        ]
    },
)
add(
    "bc",
    "SWR list with meta",
    {"success": True, "code": 200, "message": "ok", "payload": {"list": ROWS, "page": 1, "pageSize": 24, "total": 24}},
)
add("bc", "list in a list", [ROWS])

# Grids
COLS = ["ts", "temp", "co2"]
add("bc", "pandas split, time as index", {"columns": ["temp", "co2"], "index": ISO, "data": [row[1:] for row in GRID]})
add("bc", "pandas split, epoch index", {"columns": ["temp", "co2"], "index": MS, "data": [row[1:] for row in GRID]})
add(
    "bc",
    "pandas tight",
    {"index": list(range(24)), "columns": COLS, "data": GRID, "index_names": [None], "column_names": [None]},
)
add("bc", "pandas index", {str(i): dict(zip(COLS, row, strict=True)) for i, row in enumerate(GRID)})
add("bc", "pandas index, time as index", {t: {"temp": a, "co2": b} for t, a, b in GRID})
add(
    "bc", "pandas index, epoch as index", {str(t): {"temp": a, "co2": b} for t, a, b in zip(MS, TEMP, CO2, strict=True)}
)
add(
    "bc",
    "pandas columns, time as index",
    {"temp": dict(zip(ISO, TEMP, strict=True)), "co2": dict(zip(ISO, CO2, strict=True))},
)
add(
    "bc",
    "pandas columns, epoch as index",
    {"temp": dict(zip(map(str, MS), TEMP, strict=True)), "co2": dict(zip(map(str, MS), CO2, strict=True))},
)
add(
    "bc",
    "pandas table",
    {
        "schema": {
            "fields": [
                {"name": "index", "type": "integer"},
                {"name": "ts", "type": "datetime"},
                {"name": "temp", "type": "number"},
                {"name": "co2", "type": "number"},
            ],
            "primaryKey": ["index"],
            "pandas_version": "1.4.0",
        },
        "data": [{"index": i, "ts": t, "temp": a, "co2": b} for i, (t, a, b) in enumerate(GRID)],
    },
)
add(
    "bc",
    "pandas table, time as index",
    {
        "schema": {
            "fields": [
                {"name": "ts", "type": "datetime", "tz": "UTC"},
                {"name": "temp", "type": "number"},
                {"name": "co2", "type": "number"},
            ],
            "primaryKey": ["ts"],
            "pandas_version": "1.4.0",
        },
        "data": wide(*COLS),
    },
)
add("bc", "pandas to_dict list", {"ts": ISO, "temp": TEMP, "co2": CO2})
add("bc", "pandas epoch seconds", wide(*COLS, times=[ms // 1000 for ms in MS]))
add("bc", "pandas epoch ns", wide(*COLS, times=[ms * 1_000_000 for ms in MS]))
add(
    "bc",
    "polars serialize",
    {
        "columns": [
            {
                "name": "ts",
                "datatype": {"Datetime": ["Microseconds", None]},
                "bit_settings": "",
                "values": [ms * 1000 for ms in MS],
            },
            {"name": "temp", "datatype": "Float64", "bit_settings": "", "values": TEMP},
            {"name": "co2", "datatype": "Float64", "bit_settings": "", "values": CO2},
        ]
    },
)
add("bc", "first row of names", [COLS, *GRID])
add(
    "bc", "rows in a member, first row of names", {"values": [COLS, *GRID], "range": "A1:C25", "majorDimension": "ROWS"}
)
add("bc", "cols and rows", {"cols": COLS, "rows": GRID})
add("bc", "fields and rows", {"fields": [{"name": n, "type": "x"} for n in COLS], "rows": GRID})
add("bc", "columns as objects", {"columns": [{"name": n, "type": "double"} for n in COLS], "data": GRID})
add(
    "bc",
    "ClickHouse JSONCompact",
    {
        "meta": [{"name": n, "type": "Float64"} for n in COLS],
        "data": GRID,
        "rows": 24,
        "statistics": {"elapsed": 0.001, "rows_read": 24, "bytes_read": 576},
    },
)
add(
    "bc",
    "ClickHouse JSON",
    {
        "meta": [{"name": n, "type": "Float64"} for n in COLS],
        "data": wide(*COLS),
        "rows": 24,
        "statistics": {"elapsed": 0.001, "rows_read": 24, "bytes_read": 576},
    },
)
add(
    "bc",
    "Snowflake",
    {
        "resultSetMetaData": {
            "numRows": 24,
            "format": "jsonv2",
            "rowType": [{"name": n, "type": "REAL"} for n in ("TS", "temp", "co2")],
        },
        "data": [[str(ms / 1000), str(a), str(b)] for ms, a, b in zip(MS, TEMP, CO2, strict=True)],
        "code": "090001",
    },
)
add(
    "bc",
    "Databricks",
    {
        "statement_id": "x",
        "status": {"state": "SUCCEEDED"},
        "manifest": {
            "schema": {"column_count": 3, "columns": [{"name": n, "position": i} for i, n in enumerate(COLS)]},
            "total_row_count": 24,
        },
        "result": {"row_count": 24, "data_array": [[t, str(a), str(b)] for t, a, b in GRID]},
    },
)
add(
    "bc",
    "BigQuery",
    {
        "kind": "bigquery#queryResponse",
        "schema": {
            "fields": [
                {"name": "ts", "type": "TIMESTAMP"},
                {"name": "temp", "type": "FLOAT"},
                {"name": "co2", "type": "FLOAT"},
            ]
        },
        "totalRows": "24",
        "rows": [
            {"f": [{"v": f"{ms / 1000:.9E}"}, {"v": str(a)}, {"v": str(b)}]}
            for ms, a, b in zip(MS, TEMP, CO2, strict=True)
        ],
        "jobComplete": True,
    },
)
add(
    "bc",
    "Google visualisation",
    {
        "cols": [
            {"id": "", "label": "Time", "type": "datetime"},
            {"id": "", "label": "temp", "type": "number"},
            {"id": "", "label": "co2", "type": "number"},
        ],
        "rows": [
            {"c": [{"v": f"Date({m.year},{m.month - 1},{m.day},{m.hour},{m.minute},{m.second})"}, {"v": a}, {"v": b}]}
            for m, a, b in zip(MOMENTS, TEMP, CO2, strict=True)
        ],
    },
)
add(
    "bc",
    "Google visualisation response",
    b"/*O_o*/\ngoogle.visualization.Query.setResponse("
    + text(
        {
            "version": "0.6",
            "status": "ok",
            "table": {
                "cols": [
                    {"id": "A", "label": "Time", "type": "datetime"},
                    {"id": "B", "label": "temp", "type": "number"},
                    {"id": "C", "label": "co2", "type": "number"},
                ],
                "rows": [
                    {
                        "c": [
                            {"v": f"Date({m.year},{m.month - 1},{m.day},{m.hour},{m.minute},{m.second})", "f": "x"},
                            {"v": a, "f": str(a)},
                            {"v": b},
                        ]
                    }
                    for m, a, b in zip(MOMENTS, TEMP, CO2, strict=True)
                ],
            },
        }
    )
    + b");",
)
add(
    "bc",
    "Athena",
    {
        "ResultSet": {
            "Rows": [
                {"Data": [{"VarCharValue": n} for n in COLS]},
                *[{"Data": [{"VarCharValue": str(v)} for v in row]} for row in GRID],
            ],
            "ResultSetMetadata": {"ColumnInfo": [{"Name": n, "Type": "double"} for n in COLS]},
        }
    },
)
add(
    "bc",
    "Timestream",
    {
        "QueryId": "x",
        "Rows": [
            {"Data": [{"ScalarValue": str(v)} for v in (s + ".000000000", a, b)]}
            for s, a, b in zip(SQL, TEMP, CO2, strict=True)
        ],
        "ColumnInfo": [
            {"Name": "time", "Type": {"ScalarType": "TIMESTAMP"}},
            {"Name": "temp", "Type": {"ScalarType": "DOUBLE"}},
            {"Name": "co2", "Type": {"ScalarType": "DOUBLE"}},
        ],
        "QueryStatus": {"ProgressPercentage": 100.0},
    },
)
add(
    "bc",
    "RDS Data API",
    {
        "columnMetadata": [{"name": n, "label": n} for n in COLS],
        "records": [
            [{"stringValue": s}, {"doubleValue": a}, {"doubleValue": b}] for s, a, b in zip(SQL, TEMP, CO2, strict=True)
        ],
        "numberOfRecordsUpdated": 0,
    },
)
add(
    "bc",
    "Log Analytics",
    {
        "tables": [
            {
                "name": "PrimaryResult",
                "columns": [
                    {"name": "TimeGenerated", "type": "datetime"},
                    {"name": "temp", "type": "real"},
                    {"name": "co2", "type": "real"},
                ],
                "rows": GRID,
            }
        ]
    },
)
KUSTO = [
    {"ColumnName": "Timestamp", "DataType": "DateTime", "ColumnType": "datetime"},
    {"ColumnName": "temp", "DataType": "Double", "ColumnType": "real"},
    {"ColumnName": "co2", "DataType": "Double", "ColumnType": "real"},
]
add(
    "bc",
    "Kusto v1",
    {
        "Tables": [
            {"TableName": "Table_0", "Columns": KUSTO, "Rows": GRID},
            {
                "TableName": "Table_1",
                "Columns": [{"ColumnName": "Value", "DataType": "String"}],
                "Rows": [['{"Visualization":null}']],
            },
            {
                "TableName": "Table_2",
                "Columns": [
                    {"ColumnName": n}
                    for n in ("Timestamp", "Severity", "SeverityName", "StatusCode", "StatusDescription", "Count")
                ],
                "Rows": [[ISO[0], 4, "Info", 0, "Query completed successfully", 1], [ISO[0], 6, "Stats", 0, "{}", 1]],
            },
            {
                "TableName": "Table_3",
                "Columns": [{"ColumnName": n} for n in ("Ordinal", "Kind", "Name", "Id", "PrettyName")],
                "Rows": [
                    [0, "QueryResult", "PrimaryResult", "x", ""],
                    [1, "QueryProperties", "@ExtendedProperties", "y", ""],
                    [2, "QueryStatus", "QueryStatus", "z", ""],
                ],
            },
        ]
    },
)
add("bc", "Kusto v1, one table", {"Tables": [{"TableName": "Table_0", "Columns": KUSTO, "Rows": GRID}]})
add(
    "bc",
    "Kusto v2",
    [
        {"FrameType": "DataSetHeader", "IsProgressive": False, "Version": "v2.0"},
        {
            "FrameType": "DataTable",
            "TableId": 0,
            "TableKind": "QueryProperties",
            "TableName": "@ExtendedProperties",
            "Columns": [{"ColumnName": "TableId"}, {"ColumnName": "Key"}, {"ColumnName": "Value"}],
            "Rows": [[1, "Visualization", "{}"]],
        },
        {
            "FrameType": "DataTable",
            "TableId": 1,
            "TableKind": "PrimaryResult",
            "TableName": "PrimaryResult",
            "Columns": KUSTO,
            "Rows": GRID,
        },
        {
            "FrameType": "DataTable",
            "TableId": 2,
            "TableKind": "QueryCompletionInformation",
            "TableName": "QueryCompletionInformation",
            "Columns": [{"ColumnName": n} for n in ("Timestamp", "ClientRequestId", "Level", "StatusCode")],
            "Rows": [[ISO[0], "x", 4, 0]],
        },
        {"FrameType": "DataSetCompletion", "HasErrors": False, "Cancelled": False},
    ],
)
add(
    "bc",
    "Trino",
    {
        "id": "x",
        "columns": [{"name": n, "type": "double", "typeSignature": {"rawType": "double"}} for n in COLS],
        "data": GRID,
        "stats": {"state": "FINISHED", "nodes": 2, "totalSplits": 5, "completedSplits": 5},
    },
)
add(
    "bc",
    "Netdata",
    {"labels": ["time", "temp", "co2"], "data": [[ms // 1000, a, b] for ms, a, b in zip(MS, TEMP, CO2, strict=True)]},
)
add(
    "bc",
    "QuestDB",
    {
        "query": "select",
        "columns": [
            {"name": "timestamp", "type": "TIMESTAMP"},
            {"name": "temp", "type": "DOUBLE"},
            {"name": "co2", "type": "DOUBLE"},
        ],
        "timestamp": 0,
        "dataset": [[t.replace("Z", ".000000Z"), a, b] for t, a, b in GRID],
        "count": 24,
    },
)
add("bc", "MindsDB / SQLAlchemy rows with keys", {"keys": COLS, "rows": GRID})
add("bc", "column arrays with header list", {"header": COLS, "columns_data": [ISO, TEMP, CO2]})
add(
    "bc",
    "Grafana frame",
    {
        "results": {
            "A": {
                "status": 200,
                "frames": [
                    {
                        "schema": {
                            "refId": "A",
                            "fields": [
                                {"name": "time", "type": "time"},
                                {"name": "temp", "type": "number"},
                                {"name": "co2", "type": "number"},
                            ],
                        },
                        "data": {"values": [MS, TEMP, CO2]},
                    }
                ],
            }
        }
    },
)
add(
    "bc",
    "Grafana frames",
    {
        "results": {
            "A": {
                "frames": [
                    {
                        "schema": {
                            "name": n,
                            "refId": "A",
                            "fields": [
                                {"name": "Time", "type": "time"},
                                {"name": "Value", "type": "number", "labels": {"metric": n}},
                            ],
                        },
                        "data": {"values": [MS, v]},
                    }
                    for n, v in (("temp", TEMP), ("co2", CO2))
                ]
            }
        }
    },
)
add(
    "bc",
    "Grafana old table",
    [
        {
            "type": "table",
            "columns": [
                {"text": "Time", "type": "time"},
                {"text": "temp", "type": "number"},
                {"text": "co2", "type": "number"},
            ],
            "rows": [[ms, a, b] for ms, a, b in zip(MS, TEMP, CO2, strict=True)],
        }
    ],
)
add(
    "bc",
    "Grafana simple JSON / Graphite",
    [
        {"target": n, "datapoints": [[v, ms] for v, ms in zip(values, MS, strict=True)]}
        for n, values in (("temp", TEMP), ("co2", CO2))
    ],
)
add(
    "bc",
    "Graphite seconds",
    [
        {"target": n, "tags": {"name": n}, "datapoints": [[v, ms // 1000] for v, ms in zip(values, MS, strict=True)]}
        for n, values in (("temp", TEMP), ("co2", CO2))
    ],
)

# Time-series services
add(
    "bc",
    "Open-Meteo",
    {
        "latitude": 47.4,
        "longitude": 8.5,
        "generationtime_ms": 0.1,
        "utc_offset_seconds": 0,
        "timezone": "GMT",
        "elevation": 400.0,
        "hourly_units": {"time": "iso8601", "temp": "°C", "co2": "ppm"},
        "hourly": {"time": [t[:16] for t in ISO], "temp": TEMP, "co2": CO2},
    },
)
add(
    "bc",
    "Open-Meteo with current",
    {
        "latitude": 47.4,
        "current_units": {"time": "iso8601", "interval": "seconds", "temp": "°C"},
        "current": {"time": ISO[0][:16], "interval": 900, "temp": 20.0},
        "hourly_units": {"time": "iso8601", "temp": "°C"},
        "hourly": {"time": [t[:16] for t in ISO], "temp": TEMP, "co2": CO2},
    },
)
add(
    "bc",
    "Prometheus matrix",
    {
        "status": "success",
        "data": {
            "resultType": "matrix",
            "result": [
                {
                    "metric": {"__name__": n, "instance": "a:9090", "job": "plant"},
                    "values": [[ms / 1000, str(v)] for ms, v in zip(MS, values, strict=True)],
                }
                for n, values in (("temp", TEMP), ("co2", CO2))
            ],
        },
    },
)
add(
    "bc",
    "InfluxDB v1 two series",
    {
        "results": [
            {
                "statement_id": 0,
                "series": [
                    {
                        "name": n,
                        "columns": ["time", "value"],
                        "values": [[t, v] for t, v in zip(ISO, values, strict=True)],
                    }
                    for n, values in (("temp", TEMP), ("co2", CO2))
                ],
            }
        ]
    },
)
add(
    "bc",
    "InfluxDB v1 with a tag",
    {
        "results": [
            {
                "statement_id": 0,
                "series": [
                    {
                        "name": "plant",
                        "tags": {"metric": n},
                        "columns": ["time", "mean"],
                        "values": [[t, v] for t, v in zip(ISO, values, strict=True)],
                    }
                    for n, values in (("temp", TEMP), ("co2", CO2))
                ],
            }
        ]
    },
)
add(
    "bc",
    "InfluxDB v1 two statements",
    {
        "results": [
            {
                "statement_id": i,
                "series": [
                    {
                        "name": "plant",
                        "columns": ["time", n],
                        "values": [[t, v] for t, v in zip(ISO, values, strict=True)],
                    }
                ],
            }
            for i, (n, values) in enumerate((("temp", TEMP), ("co2", CO2)))
        ]
    },
)
add(
    "bc",
    "InfluxDB v2 records",
    [
        {
            "result": "_result",
            "table": i,
            "_start": ISO[0],
            "_stop": ISO[-1],
            "_time": t,
            "_value": v,
            "_field": n,
            "_measurement": "plant",
        }
        for i, (n, values) in enumerate((("temp", TEMP), ("co2", CO2)))
        for t, v in zip(ISO, values, strict=True)
    ],
)
add("bc", "InfluxDB v3", [{"time": t[:-1], "temp": a, "co2": b, "site": "north"} for t, a, b in GRID])
add(
    "bc",
    "ThingsBoard",
    {
        n: [{"ts": ms, "value": str(v)} for ms, v in zip(MS, values, strict=True)]
        for n, values in (("temp", TEMP), ("co2", CO2))
    },
)
add(
    "bc",
    "ThingsBoard telemetry",
    [{"ts": ms, "values": {"temp": a, "co2": b}} for ms, a, b in zip(MS, TEMP, CO2, strict=True)],
)
add(
    "bc",
    "ThingsBoard gateway",
    {"Device A": [{"ts": ms, "values": {"temp": a, "co2": b}} for ms, a, b in zip(MS, TEMP, CO2, strict=True)]},
)
add(
    "bc",
    "PI stream sets",
    {
        "Links": {},
        "Items": [
            {
                "WebId": f"F1{n}",
                "Name": n,
                "Path": "\\\\s\\" + n,
                "Links": {},
                "Items": [
                    {
                        "Timestamp": t,
                        "Value": v,
                        "UnitsAbbreviation": "",
                        "Good": True,
                        "Questionable": False,
                        "Substituted": False,
                        "Annotated": False,
                    }
                    for t, v in zip(ISO, values, strict=True)
                ],
                "UnitsAbbreviation": "C",
            }
            for n, values in (("temp", TEMP), ("co2", CO2))
        ],
    },
)
add(
    "bc",
    "OPC Publisher samples",
    [
        {
            "NodeId": f"nsu=http://x;s={n}",
            "ApplicationUri": "urn:x",
            "DisplayName": n,
            "Value": {"Value": v, "SourceTimestamp": t, "ServerTimestamp": t},
        }
        for t, a, b in GRID
        for n, v in (("temp", a), ("co2", b))
    ],
)
add(
    "bc",
    "OPC Publisher samples, flat",
    [
        {"NodeId": n, "EndpointUrl": "opc.tcp://x", "Value": v, "SourceTimestamp": t, "StatusCode": 0}
        for t, a, b in GRID
        for n, v in (("temp", a), ("co2", b))
    ],
)
add(
    "bc",
    "OPC UA PubSub",
    [
        {
            "MessageId": str(i),
            "MessageType": "ua-data",
            "PublisherId": "p",
            "DataSetClassId": "0",
            "Messages": [
                {
                    "DataSetWriterId": "1",
                    "SequenceNumber": i,
                    "MetaDataVersion": {"MajorVersion": 1, "MinorVersion": 0},
                    "Timestamp": t,
                    "Status": {"Code": 0},
                    "Payload": {"temp": {"Value": a, "SourceTimestamp": t}, "co2": {"Value": b, "SourceTimestamp": t}},
                }
            ],
        }
        for i, (t, a, b) in enumerate(GRID)
    ],
)
add(
    "bc",
    "OPC UA PubSub raw",
    {
        "MessageId": "m",
        "MessageType": "ua-data",
        "Messages": [
            {"DataSetWriterId": 1, "SequenceNumber": i, "Timestamp": t, "Payload": {"temp": a, "co2": b}}
            for i, (t, a, b) in enumerate(GRID)
        ],
    },
)
add(
    "bc",
    "SenML",
    [{"bt": MS[0] / 1000, "n": "temp", "u": "Cel", "v": TEMP[0]}]
    + [
        {"n": n, "t": i * 60, "v": v}
        for i, (a, b) in enumerate(zip(TEMP, CO2, strict=True))
        for n, v in (("temp", a), ("co2", b))
        if i or n == "co2"
    ],
)
add(
    "bc",
    "SenML with a base name",
    [{"bn": "urn:dev:1:", "bt": MS[0] / 1000, "n": "temp", "u": "Cel", "v": TEMP[0]}]
    + [
        {"n": n, "t": i * 60, "v": v}
        for i, (a, b) in enumerate(zip(TEMP, CO2, strict=True))
        for n, v in (("temp", a), ("co2", b))
        if i or n == "co2"
    ],
    ("urn:dev:1:temp", "urn:dev:1:co2"),
)
add(
    "bc",
    "Azure Monitor",
    {
        "cost": 59,
        "timespan": "x/y",
        "interval": "PT1M",
        "value": [
            {
                "id": f"/subscriptions/{n}",
                "type": "Microsoft.Insights/metrics",
                "name": {"value": n, "localizedValue": n.title()},
                "displayDescription": "",
                "unit": "Percent",
                "timeseries": [
                    {
                        "metadatavalues": [],
                        "data": [{"timeStamp": t, "average": v} for t, v in zip(ISO, values, strict=True)],
                    }
                ],
                "errorCode": "Success",
            }
            for n, values in (("temp", TEMP), ("co2", CO2))
        ],
        "namespace": "x",
        "resourceregion": "westeurope",
    },
)
add(
    "bc",
    "CloudWatch",
    {
        "MetricDataResults": [
            {"Id": f"m{i}", "Label": n, "Timestamps": ISO, "Values": v, "StatusCode": "Complete"}
            for i, (n, v) in enumerate((("temp", TEMP), ("co2", CO2)))
        ],
        "Messages": [],
    },
)
add(
    "bc",
    "Google Cloud Monitoring",
    {
        "timeSeries": [
            {
                "metric": {"type": n, "labels": {}},
                "resource": {"type": "x", "labels": {"project_id": "p"}},
                "metricKind": "GAUGE",
                "valueType": "DOUBLE",
                "points": [
                    {"interval": {"startTime": t, "endTime": t}, "value": {"doubleValue": v}}
                    for t, v in zip(ISO, values, strict=True)
                ],
            }
            for n, values in (("temp", TEMP), ("co2", CO2))
        ]
    },
)
add(
    "bc",
    "Home Assistant history",
    [
        [
            {
                "entity_id": n,
                "state": str(v),
                "attributes": {"unit_of_measurement": "C", "friendly_name": n},
                "last_changed": t,
                "last_updated": t,
            }
            for t, v in zip(ISO, values, strict=True)
        ]
        for n, values in (("temp", TEMP), ("co2", CO2))
    ],
)
add(
    "bc",
    "Home Assistant minimal",
    [
        [
            {"entity_id": n, "state": str(v), "attributes": {}, "last_changed": t, "last_updated": t}
            if not i
            else {"state": str(v), "last_changed": t}
            for i, (t, v) in enumerate(zip(ISO, values, strict=True))
        ]
        for n, values in (("temp", TEMP), ("co2", CO2))
    ],
)
add(
    "bc",
    "Victron",
    {
        "success": True,
        "records": {
            n: [[ms, v] for ms, v in zip(MS, values, strict=True)] for n, values in (("temp", TEMP), ("co2", CO2))
        },
        "totals": {"temp": 500.0, "co2": 9000.0},
    },
)
add(
    "bc",
    "TTN uplinks",
    [
        {
            "end_device_ids": {"device_id": "d", "dev_eui": "70B3"},
            "received_at": t,
            "uplink_message": {
                "f_port": 1,
                "f_cnt": i,
                "frm_payload": "AQID",
                "decoded_payload": {"temp": a, "co2": b},
                "rx_metadata": [{"gateway_ids": {"gateway_id": "g"}, "rssi": -40, "snr": 9.5, "timestamp": 12345}],
                "settings": {"frequency": "868100000"},
                "received_at": t,
                "consumed_airtime": "0.05s",
            },
        }
        for i, (t, a, b) in enumerate(GRID)
    ],
)
add(
    "bc",
    "ChirpStack uplinks",
    [
        {
            "deduplicationId": f"x{i}",
            "time": t,
            "deviceInfo": {"tenantId": "t", "deviceName": "d", "devEui": "70b3"},
            "devAddr": "01",
            "dr": 5,
            "fCnt": i,
            "fPort": 2,
            "data": "AQ==",
            "object": {"temp": a, "co2": b},
            "rxInfo": [{"gatewayId": "g", "rssi": -40, "snr": 9.5}],
            "txInfo": {"frequency": 868100000},
        }
        for i, (t, a, b) in enumerate(GRID)
    ],
)
add(
    "bc",
    "Node-RED",
    [
        {"topic": n, "payload": v, "_msgid": f"{i}a", "timestamp": t}
        for i, (t, a, b) in enumerate(GRID)
        for n, v in (("temp", a), ("co2", b))
    ],
)
add(
    "bc",
    "IoT Hub messages",
    [
        {
            "EnqueuedTimeUtc": t,
            "Properties": {},
            "SystemProperties": {"connectionDeviceId": "d", "enqueuedTime": t},
            "Body": base64.b64encode(text({"temp": a, "co2": b})).decode(),
        }
        for t, a, b in GRID
    ],
)
add(
    "bc",
    "NGSI-LD rows",
    [
        {
            "id": "urn:x",
            "type": "Tank",
            "temp": {"type": "Property", "value": a, "unitCode": "CEL", "observedAt": t},
            "co2": {"type": "Property", "value": b, "observedAt": t},
        }
        for t, a, b in GRID
    ],
)
add(
    "bc", "Ignition tag history", [{"t_stamp": ms, "temp": a, "co2": b} for ms, a, b in zip(MS, TEMP, CO2, strict=True)]
)
add(
    "bc",
    "value and unit objects",
    [{"time": t, "temp": {"value": a, "unit": "C"}, "co2": {"value": b, "unit": "ppm"}} for t, a, b in GRID],
)
add("bc", "values with units in text", [{"time": t, "temp": f"{a} °C", "co2": f"{b} ppm"} for t, a, b in GRID])
add("bc", "Postgres json_agg", {"json_agg": wide("ts", "temp", "co2", times=[f"{s}+00" for s in SQL])})
add(
    "bc",
    "measurement message lists",
    {
        "device": "d",
        "messages": [
            {"time": t, "measurements": [{"name": "temp", "value": a}, {"name": "co2", "value": b}]} for t, a, b in GRID
        ],
    },
)
add("bc", "sensors by name", [{"time": t, "sensors": {"temp": a, "co2": b}} for t, a, b in GRID])
add(
    "bc",
    "outer time, list of readings",
    [{"timestamp": t, "readings": [{"metric": "temp", "value": a}, {"metric": "co2", "value": b}]} for t, a, b in GRID],
)
add(
    "bc",
    "single metric in the envelope twice",
    [
        {"metric": n, "unit": "x", "points": [{"t": ms, "v": v} for ms, v in zip(MS, values, strict=True)]}
        for n, values in (("temp", TEMP), ("co2", CO2))
    ],
)

# Long rows
for label in (
    "metric",
    "name",
    "parameter",
    "tag",
    "variable",
    "sensor",
    "sensorId",
    "tagName",
    "NodeId",
    "signal",
    "field",
    "type",
    "measurement",
    "channel",
    "key",
    "quantity",
    "series",
    "n",
    "id",
    "Parameter Name",
    "metric_name",
    "device_id",
    "point",
):
    add("bc", f"long rows: {label}", long(label))
for value in ("v", "val", "reading", "Value", "numeric_value", "measurement", "result", "y", "average"):
    add("bc", f"long rows: value is {value}", long("metric", value))
add("bc", "long rows: values as text", [{**row, "value": str(row["value"])} for row in LONG])
add("bc", "long rows: constant site and unit", long("metric", site="north", unit="x", quality="good", batch_id=17))
add(
    "bc",
    "long rows: metric and sensor",
    [{**row, "sensorId": {"temp": "T-07", "co2": "C-01"}[row["metric"]]} for row in LONG],
)
add("bc", "long rows: id per row", [{"id": 5000 + i, **row} for i, row in enumerate(LONG)])
add("bc", "long rows: uuid per row", [{"id": f"{i:08x}-aaaa-bbbb-cccc-{i:012x}", **row} for i, row in enumerate(LONG)])
add("bc", "long rows: numeric and text value columns", [{**row, "value_str": None} for row in LONG])
add("bc", "long rows, one after the other", sorted(LONG, key=lambda row: row["metric"]))
add(
    "bc",
    "long CSV",
    b"\n".join([b"time,metric,value,unit", *(f"{r['timestamp']},{r['metric']},{r['value']},x".encode() for r in LONG)]),
)
add("bc", "long grid", {"columns": ["time", "metric", "value"], "rows": [list(row.values()) for row in LONG]})

# Roles
add(
    "bc",
    "id, index, epoch, unit and quality beside measures",
    [
        {
            "id": 700 + i,
            "#": i,
            "ts": t,
            "epoch": ms,
            "device_id": 17,
            "temp": a,
            "temp_unit": "C",
            "co2": b,
            "quality": 192,
            "batchId": "b",
        }
        for i, (t, ms, a, b) in enumerate(zip(ISO, MS, TEMP, CO2, strict=True))
    ],
)
add(
    "bc",
    "numbers as text with ids",
    [{"Id": str(i), "ts": t, "temp": f"{a:.3f}", "co2": f"{b:.4e}"} for i, (t, a, b) in enumerate(GRID)],
)
add(
    "bc",
    "created and updated beside the time",
    [{"created_at": ISO[3], "updated_at": ISO[9], "timestamp": t, "temp": a, "co2": b} for t, a, b in GRID],
)
add(
    "bc",
    "calendar parts",
    [
        {"time": t, "year": 2026, "month": 3, "day": 1, "hour": 6, "minute": i, "temp": a, "co2": b}
        for i, (t, a, b) in enumerate(GRID)
    ],
)
add(
    "bc",
    "flags",
    [{"time": t, "temp": a, "co2": b, "valid": True, "pump_on": i % 2 == 0} for i, (t, a, b) in enumerate(GRID)],
)
add("bc", "status codes", [{"time": t, "temp": a, "co2": b, "status": "OK", "status_code": 0} for t, a, b in GRID])
add("bc", "datekey beside time", [{"DateKey": 20260301, "Timestamp": t, "temp": a, "co2": b} for t, a, b in GRID])
add(
    "bc",
    "received after measured",
    [{"receivedAt": ISO[(i + 1) % 24], "measuredAt": t, "temp": a, "co2": b} for i, (t, a, b) in enumerate(GRID)],
)
add(
    "bc",
    "text remarks",
    [
        {"time": t, "temp": a, "co2": b, "operator": f"o{i % 3}", "comment": f"remark {i}"}
        for i, (t, a, b) in enumerate(GRID)
    ],
)
add(
    "bc",
    "power bi with quotes",
    {
        "results": [
            {"tables": [{"rows": [{"Readings[Timestamp]": t, "Readings[temp]": a, "[co2]": b} for t, a, b in GRID]}]}
        ]
    },
)

# Times
TIMES = {
    "date": [m.isoformat() for m in MOMENTS],
    "ISO with an offset": [f"{m:%Y-%m-%dT%H:%M:%S}+00:00" for m in MOMENTS],
    "ISO basic": [f"{m:%Y%m%dT%H%M%SZ}" for m in MOMENTS],
    "ISO nanoseconds": [f"{m:%Y-%m-%dT%H:%M:%S}.000000000Z" for m in MOMENTS],
    "ISO comma": [f"{m:%Y-%m-%dT%H:%M:%S},000Z" for m in MOMENTS],
    "ISO lower case": [t.lower() for t in ISO],
    "ISO week": [f"{m:%G-W%V-%uT%H:%M:%SZ}" for m in MOMENTS],
    "ISO ordinal": [f"{m:%Y-%jT%H:%M:%SZ}" for m in MOMENTS],
    "UTC behind": [f"{s} UTC" for s in SQL],
    "offset behind": [f"{s} +0000" for s in SQL],
    "epoch s": [ms // 1000 for ms in MS], "epoch s with fraction": [ms / 1000 + 0.0 for ms in MS],
    "epoch ms": MS, "epoch us": [ms * 1000 for ms in MS], "epoch ns": [ms * 10**6 for ms in MS],
    "epoch s text": [str(ms // 1000) for ms in MS], "epoch ms text": [str(ms) for ms in MS],
    "RFC 1123": [f"{m:%a, %d %b %Y %H:%M:%S GMT}" for m in MOMENTS],
    "RFC 2822": [f"{m:%a, %d %b %Y %H:%M:%S +0000}" for m in MOMENTS],
    "Microsoft": [f"/Date({ms})/" for ms in MS],
    "Microsoft with offset": [f"/Date({ms}+0100)/" for ms in MS],
    "month first": [f"{m.month}/{m.day}/{m.year} {m.hour % 12 or 12}:{m:%M:%S %p}" for m in MOMENTS],
    "dots": [f"{m:%d.%m.%Y %H:%M}" for m in MOMENTS],
    "slashes year first": [f"{m:%Y/%m/%d %H:%M:%S}" for m in MOMENTS],
    "month name": [f"{m:%d %b %Y %H:%M:%S}" for m in MOMENTS],
    "month name US": [f"{m:%b %d, %Y %I:%M:%S %p}" for m in MOMENTS],
    "JavaScript": [f"{m:%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)}" for m in MOMENTS],
    "ctime": [f"{m:%a %b %d %H:%M:%S %Y}" for m in MOMENTS], "Java zoned": [t + "[UTC]" for t in ISO],
    "Java list": [[m.year, m.month, m.day, m.hour, m.minute] for m in MOMENTS],
    "digits": [int(f"{m:%Y%m%d%H%M%S}") for m in MOMENTS],
    ".NET ticks": [621355968000000000 + ms * 10_000 for ms in MS],
    "protobuf": [{"seconds": ms // 1000, "nanos": 0} for ms in MS], "without seconds": [t[:16] for t in ISO],
}  # fmt: skip
for kind, times in TIMES.items():
    add("bc", f"time: {kind}", wide("Timestamp", "temp", "co2", times=times))
for name in (
    "ts",
    "time",
    "Time",
    "TIMESTAMP",
    "t",
    "date",
    "dateTime",
    "Date/Time",
    "eventTime",
    "created_at",
    "recordedAt",
    "sample_time",
    "_time",
    "Zeitstempel",
    "unix",
    "when",
    "TimeUTC",
    "reading_date",
    "x",
    "Time (UTC)",
):
    add("bc", f"time called {name}", wide(name, "temp", "co2"))
for name in ("ts", "time", "t", "timestamp_ms", "epoch", "x", "dt", "unixTime", "Timestamp"):
    add("bc", f"epoch called {name}", wide(name, "temp", "co2", times=MS))
add(
    "c",
    "day first proven",
    [{"Date": f"{m:%d/%m/%Y}", "temp": a, "co2": b} for m, a, b in zip(DAYS, TEMP, CO2, strict=True)],
)
add(
    "c",
    "month first proven",
    [{"Date": f"{m:%m/%d/%Y}", "temp": a, "co2": b} for m, a, b in zip(DAYS, TEMP, CO2, strict=True)],
)
add(
    "bc",
    "date and time of day",
    [
        {"date": f"{m:%Y-%m-%d}", "time": f"{m:%H:%M}", "temp": a, "co2": b}
        for m, a, b in zip(MOMENTS, TEMP, CO2, strict=True)
    ],
)
add(
    "bc",
    "datekey and time of day",
    [
        {"date": int(f"{m:%Y%m%d}"), "time": f"{m:%H:%M:%S}", "temp": a, "co2": b}
        for m, a, b in zip(MOMENTS, TEMP, CO2, strict=True)
    ],
)

# Chart libraries
SERIES = (("temp", TEMP), ("co2", CO2))
add(
    "c",
    "Chart.js points",
    {
        "type": "line",
        "data": {
            "datasets": [
                {
                    "label": n,
                    "data": [{"x": t, "y": v} for t, v in zip(ISO, values, strict=True)],
                    "borderColor": "#fff",
                    "borderWidth": 1,
                    "yAxisID": "y",
                }
                for n, values in SERIES
            ]
        },
        "options": {"scales": {"x": {"type": "time"}, "y": {"min": 0, "max": 500}}},
    },
)
add(
    "c",
    "Chart.js labels and options",
    {
        "type": "line",
        "data": {
            "labels": ISO,
            "datasets": [{"label": n, "data": v, "borderColor": ["#fff"] * 3, "tension": 0.4} for n, v in SERIES],
        },
        "options": {"plugins": {"legend": {"position": "top"}}},
    },
)
add("c", "Highcharts categories", {"xAxis": {"categories": ISO}, "series": [{"name": n, "data": v} for n, v in SERIES]})
add(
    "c",
    "Highcharts pointStart",
    {"series": [{"name": n, "pointStart": MS[0], "pointInterval": 60000, "data": v} for n, v in SERIES]},
)
add(
    "c",
    "Highcharts plotOptions",
    {
        "plotOptions": {"series": {"pointStart": MS[0], "pointInterval": 60000}},
        "series": [{"name": n, "data": v} for n, v in SERIES],
    },
)
add(
    "c",
    "ApexCharts categories",
    {"series": [{"name": n, "data": v} for n, v in SERIES], "xaxis": {"type": "datetime", "categories": ISO}},
)
add("c", "ApexCharts pairs", {"series": [{"name": n, "data": p} for (n, _), p in zip(SERIES, PAIRS, strict=True)]})
add(
    "c",
    "ECharts pairs",
    {
        "xAxis": {"type": "time"},
        "yAxis": {},
        "series": [
            {"name": n, "type": "line", "data": [[t, v] for t, v in zip(ISO, values, strict=True)]}
            for n, values in SERIES
        ],
    },
)
add(
    "c",
    "ECharts named points",
    {
        "series": [
            {
                "name": n,
                "type": "line",
                "data": [{"name": t, "value": [t, v]} for t, v in zip(ISO, values, strict=True)],
            }
            for n, values in SERIES
        ]
    },
)
add(
    "c",
    "ECharts dataset",
    {
        "dataset": {"source": [["time", "temp", "co2"], *GRID]},
        "xAxis": {"type": "time"},
        "series": [{"type": "line"}, {"type": "line"}],
    },
)
add(
    "c",
    "ECharts dataset dimensions",
    {
        "dataset": {"dimensions": ["time", "temp", "co2"], "source": GRID},
        "series": [{"type": "line", "encode": {"x": "time", "y": "temp"}}],
    },
)
add("c", "ECharts dataset rows", {"dataset": {"source": wide("time", "temp", "co2")}})
add("c", "ECharts dataset columns", {"dataset": {"source": {"time": ISO, "temp": TEMP, "co2": CO2}}})
add(
    "c",
    "ECharts several axes",
    {
        "xAxis": [{"type": "category", "data": ISO}],
        "legend": {"data": ["temp", "co2"]},
        "series": [{"name": n, "type": "line", "data": v} for n, v in SERIES],
    },
)
add(
    "c",
    "Plotly typed arrays",
    {
        "data": [
            {
                "name": n,
                "x": ISO,
                "y": f8(v),
                "type": "scatter",
                "hovertemplate": "x",
                "marker": {"color": "#636efa", "symbol": "circle"},
            }
            for n, v in SERIES
        ],
        "layout": {
            "xaxis": {"range": [0, 1], "domain": [0.0, 1.0]},
            "template": {"data": {"scatter": [{"type": "scatter"}]}},
        },
    },
)
add(
    "c",
    "Plotly customdata",
    {
        "data": [
            {
                "name": n,
                "x": SQL,
                "y": v,
                "customdata": [[i, i * 2] for i in range(24)],
                "marker": {"size": list(range(24))},
                "type": "scatter",
            }
            for n, v in SERIES
        ],
        "layout": {},
    },
)
add("c", "Bokeh", {"data": {"x": MS, "temp": TEMP, "co2": CO2}, "selected": {"indices": []}})
add(
    "c",
    "Bokeh ndarray",
    {
        "data": {
            "x": MS,
            **{
                n: {
                    "type": "ndarray",
                    "array": {"type": "bytes", "data": f8(v)["bdata"]},
                    "shape": [24],
                    "dtype": "float64",
                    "order": "little",
                }
                for n, v in SERIES
            },
        }
    },
)
add(
    "c",
    "Vega-Lite",
    {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "data": {"values": wide("time", "temp", "co2")},
        "mark": "line",
        "encoding": {"x": {"field": "time", "type": "temporal"}, "y": {"field": "temp"}},
    },
)
add("c", "Vega-Lite long", {"data": {"values": LONG}, "mark": "line", "encoding": {"color": {"field": "metric"}}})
add(
    "c",
    "Altair datasets",
    {
        "config": {"view": {"continuousWidth": 300, "continuousHeight": 300}},
        "data": {"name": "data-abc"},
        "mark": {"type": "line"},
        "datasets": {"data-abc": wide("time", "temp", "co2")},
    },
)
add("c", "Recharts", wide("name", "temp", "co2"))
add(
    "c",
    "Nivo",
    [
        {"id": n, "color": "hsl(0,0%,0%)", "data": [{"x": t, "y": v} for t, v in zip(ISO, values, strict=True)]}
        for n, values in SERIES
    ],
)
add(
    "c",
    "uPlot with names",
    {"series": [{}, {"label": "temp"}, {"label": "co2"}], "data": [[ms // 1000 for ms in MS], TEMP, CO2]},
)
add("c", "uPlot bare", [[ms // 1000 for ms in MS], TEMP, CO2], ("column 2", "column 3"))
add("c", "C3", {"x": "x", "columns": [["x", *ISO], ["temp", *TEMP], ["co2", *CO2]]})
add(
    "c",
    "C3 in data",
    {
        "data": {"x": "x", "columns": [["x", *MS], ["temp", *TEMP], ["co2", *CO2]]},
        "axis": {"x": {"type": "timeseries"}},
    },
)
add(
    "c",
    "Dygraphs",
    {"labels": ["Date", "temp", "co2"], "file": [[ms, a, b] for ms, a, b in zip(MS, TEMP, CO2, strict=True)]},
)
add("c", "Chartist", {"labels": ISO, "series": [{"name": n, "data": v} for n, v in SERIES]})
add("c", "Chartist bare", {"labels": ISO, "series": [TEMP, CO2]}, ("series 1", "series 2"))
add("c", "Frappe", {"labels": ISO, "datasets": [{"name": n, "type": "line", "values": v} for n, v in SERIES]})
add("c", "Flot", [{"label": n, "data": p} for (n, _), p in zip(SERIES, PAIRS, strict=True)])
add(
    "c",
    "lightweight-charts",
    [
        {"name": n, "data": [{"time": ms // 1000, "value": v} for ms, v in zip(MS, values, strict=True)]}
        for n, values in SERIES
    ],
)
add(
    "c",
    "NVD3",
    [
        {"key": n, "values": [{"x": ms, "y": v} for ms, v in zip(MS, values, strict=True)], "color": "#fff"}
        for n, values in SERIES
    ],
)
add(
    "c",
    "Rickshaw",
    [
        {"name": n, "color": "red", "data": [{"x": ms // 1000, "y": v} for ms, v in zip(MS, values, strict=True)]}
        for n, values in SERIES
    ],
)
add(
    "c",
    "Victory",
    {
        "temp": [{"x": t, "y": v} for t, v in zip(ISO, TEMP, strict=True)],
        "co2": [{"x": t, "y": v} for t, v in zip(ISO, CO2, strict=True)],
    },
)
add("c", "vis.js", [{"x": t, "y": v, "group": n} for t, a, b in GRID for n, v in (("temp", a), ("co2", b))])
add(
    "c",
    "amCharts",
    {"data": wide("date", "temp", "co2", times=MS), "series": [{"valueYField": "temp"}, {"valueYField": "co2"}]},
)
add("c", "timestamps beside series", {"timestamps": ISO, "series": {"temp": TEMP, "co2": CO2}})
add(
    "c",
    "timestamps beside a list of series",
    {"timestamps": MS, "series": [{"name": n, "values": v} for n, v in SERIES]},
)
add("c", "columns with the time last", {"temp": TEMP, "co2": CO2, "timestamp": ISO})
add("c", "labels and values by name", {"labels": ISO, "values": {"temp": TEMP, "co2": CO2}})
add("c", "own x each", {"temp": {"x": ISO, "y": TEMP}, "co2": {"x": ISO, "y": CO2}})
add(
    "c",
    "own time and values each",
    {"series": {"temp": {"timestamps": MS, "values": TEMP}, "co2": {"timestamps": MS, "values": CO2}}},
)
add("c", "start and step", {"start": MS[0], "step": 60000, "series": [{"name": n, "values": v} for n, v in SERIES]})
add("c", "dashboard shape", {"value": [{"timestamp": t, "temp": a, "co2": b} for t, a, b in GRID], "expires": MS[-1]})
