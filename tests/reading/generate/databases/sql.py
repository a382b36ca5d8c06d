"""Answers of databases: time series, document stores, SQL drivers: sql."""

import json

import numpy as np
import pandas as pd
from kit import epoch_ms, iso, rename, wide

from databases.readings import FRAME, ROWS, TRUTH, theme

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
            [f"{epoch_ms(row['time']) // 1000}.000000000", str(row["temp"]), f"{row['pressure']:.3f}"] for row in ROWS
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
