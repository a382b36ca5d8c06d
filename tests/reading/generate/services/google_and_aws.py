"""Answers of cloud services and query APIs: google and aws."""

import json

from kit import Row, epoch_ms, rename

from services.readings import LISTS, ROWS, TRUTH, google_date, theme

theme.add(
    "bc",
    "BigQuery query response",
    "BigQuery REST API, QueryResponse",
    {
        "kind": "bigquery#queryResponse",
        "schema": {
            "fields": [
                {"name": "Timestamp", "type": "TIMESTAMP", "mode": "NULLABLE"},
                {"name": "temperature", "type": "FLOAT", "mode": "NULLABLE"},
                {"name": "co2_flow", "type": "NUMERIC", "mode": "NULLABLE"},
            ]
        },
        "jobReference": {"projectId": "p", "jobId": "job_1", "location": "EU"},
        "totalRows": "20",
        "rows": [
            {"f": [{"v": f"{epoch_ms(row[0]) / 1000:.9E}"}, {"v": str(row[1])}, {"v": str(row[2])}]} for row in LISTS
        ],
        "totalBytesProcessed": "4711",
        "jobComplete": True,
        "cacheHit": False,
    },
    TRUTH,
)
columns: list[Row] = [
    {"Name": "time", "Type": {"ScalarType": "TIMESTAMP"}},
    {"Name": "temperature", "Type": {"ScalarType": "DOUBLE"}},
    {"Name": "co2_flow", "Type": {"ScalarType": "DOUBLE"}},
]
theme.add(
    "bc",
    "AWS Timestream",
    "Amazon Timestream Query API, Query response",
    {
        "QueryId": "AEBQEANMK",
        "ColumnInfo": columns,
        "Rows": [
            {
                "Data": [
                    {"ScalarValue": f"{row[0][:10]} {row[0][11:19]}.000000000"},
                    {"ScalarValue": str(row[1])},
                    {"ScalarValue": str(row[2])},
                ]
            }
            for row in LISTS
        ],
        "QueryStatus": {
            "ProgressPercentage": 100.0,
            "CumulativeBytesScanned": 3456,
            "CumulativeBytesMetered": 10000000,
        },
    },
    TRUTH,
)
header = [{"Data": [{"VarCharValue": name} for name in ("ts", "temperature", "co2_flow")]}]
theme.add(
    "b",
    "AWS Athena, names in the first row",
    "Amazon Athena API, GetQueryResults",
    {
        "UpdateCount": 0,
        "ResultSet": {
            "Rows": header + [{"Data": [{"VarCharValue": str(value)} for value in row]} for row in LISTS],
            "ResultSetMetadata": {
                "ColumnInfo": [
                    {
                        "Name": name,
                        "Label": name,
                        "Type": "varchar",
                        "Precision": 17,
                        "Scale": 0,
                        "Nullable": "UNKNOWN",
                    }
                    for name in ("ts", "temperature", "co2_flow")
                ]
            },
        },
    },
    TRUTH,
)
theme.add(
    "c",
    "CloudWatch GetMetricData",
    "Amazon CloudWatch API, GetMetricData",
    {
        "MetricDataResults": [
            {
                "Id": f"m{i}",
                "Label": name,
                "Timestamps": [row["Timestamp"] for row in reversed(ROWS)],
                "Values": [row[name] for row in reversed(ROWS)],
                "StatusCode": "Complete",
            }
            for i, name in enumerate(("temperature", "co2_flow"))
        ],
        "Messages": [],
    },
    TRUTH,
)
theme.add(
    "b",
    "CloudWatch GetMetricStatistics",
    "Amazon CloudWatch API, GetMetricStatistics",
    {
        "Label": "temperature",
        "Datapoints": [{"Timestamp": row["Timestamp"], "Average": row["temperature"], "Unit": "None"} for row in ROWS],
    },
    {"Average": TRUTH["temperature"]},
    alt=[
        {"temperature": TRUTH["temperature"]},
        {"temperature.Average": TRUTH["temperature"]},
        {"temperature Average": TRUTH["temperature"]},
    ],
)
theme.add(
    "b",
    "DynamoDB items",
    "Amazon DynamoDB API, Query response",
    {
        "Count": 20,
        "ScannedCount": 20,
        "Items": [
            {
                "pk": {"S": "line-1"},
                "ts": {"S": row["Timestamp"]},
                "temperature": {"N": str(row["temperature"])},
                "co2_flow": {"N": str(row["co2_flow"])},
            }
            for row in ROWS
        ],
    },
    TRUTH,
    alt=[rename(TRUTH, lambda name: f"{name}.N")],
)
wrapped = [{"stringValue": row["Timestamp"]} for row in ROWS]
theme.add(
    "c",
    "RDS Data API",
    "Amazon RDS Data API, ExecuteStatement",
    {
        "numberOfRecordsUpdated": 0,
        "columnMetadata": [
            {"name": name, "label": name, "type": 93, "precision": 19, "scale": 0}
            for name in ("ts", "temperature", "co2_flow")
        ],
        "records": [
            [wrapped[i], {"doubleValue": row["temperature"]}, {"doubleValue": row["co2_flow"]}]
            for i, row in enumerate(ROWS)
        ],
    },
    TRUTH,
)
theme.add(
    "c",
    "Google Sheets values",
    "Google Sheets API, ValueRange",
    {
        "range": "Readings!A1:C21",
        "majorDimension": "ROWS",
        "values": [["Timestamp", "temperature", "co2_flow"], *[[str(value) for value in row] for row in LISTS]],
    },
    TRUTH,
)
theme.add(
    "c",
    "Google visualisation DataTable",
    "Google Charts, DataTable JSON constructor",
    {
        "cols": [
            {"id": "A", "label": "time", "type": "datetime"},
            {"id": "B", "label": "temperature", "type": "number", "pattern": ""},
            {"id": "C", "label": "co2_flow", "type": "number", "pattern": ""},
        ],
        "rows": [
            {"c": [{"v": google_date(row[0]), "f": row[0]}, {"v": row[1], "f": f"{row[1]} °C"}, {"v": row[2]}]}
            for row in LISTS
        ],
        "p": None,
    },
    TRUTH,
    doubt="Months in Date(y,m,d,...) count from 0.",
)
theme.add(
    "c",
    "Google visualisation response in a function call",
    "Google Visualization API, response format",
    "/*O_o*/\ngoogle.visualization.Query.setResponse("
    + json.dumps(
        {
            "version": "0.6",
            "status": "ok",
            "table": {
                "cols": [
                    {"id": "A", "label": "t", "type": "datetime"},
                    {"id": "B", "label": "temperature", "type": "number"},
                ],
                "rows": [{"c": [{"v": google_date(row[0])}, {"v": row[1]}]} for row in LISTS],
            },
        }
    )
    + ");",
    {"temperature": TRUTH["temperature"]},
    or_refuse=True,
    doubt="JSONP is script, not data; a refusal is allowed.",
)
