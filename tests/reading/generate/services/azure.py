"""Answers of cloud services and query APIs: azure."""

import json

import pandas as pd
from kit import iso, rename

from services.readings import LISTS, ROWS, TRUTH, theme

columns = [
    {"name": "Timestamp", "type": "datetime"},
    {"name": "temperature", "type": "real"},
    {"name": "co2_flow", "type": "real"},
]
v1 = [
    {
        "ColumnName": column["name"],
        "DataType": {"datetime": "DateTime", "real": "Double"}[column["type"]],
        "ColumnType": column["type"],
    }
    for column in columns
]
toc = {
    "TableName": "Table_1",
    "Columns": [{"ColumnName": name, "DataType": "String"} for name in ("Ordinal", "Kind", "Name", "Id", "PrettyName")],
    "Rows": [
        [0, "QueryResult", "PrimaryResult", "07dd9603", ""],
        [1, "QueryStatus", "@ExtendedProperties", "", ""],
    ],
}
theme.add(
    "bc",
    "Kusto v1",
    "Query/management HTTP response (Azure Data Explorer)",
    {"Tables": [{"TableName": "Table_0", "Columns": v1, "Rows": LISTS}, toc]},
    TRUTH,
)
v2 = [{"ColumnName": column["name"], "ColumnType": column["type"]} for column in columns]
seven = [[iso(row[0], 7), *row[1:]] for row in LISTS]
frames = [
    {"FrameType": "DataSetHeader", "IsProgressive": False, "Version": "v2.0", "IsFragmented": False},
    {
        "FrameType": "DataTable",
        "TableId": 0,
        "TableKind": "QueryProperties",
        "TableName": "@ExtendedProperties",
        "Columns": [
            {"ColumnName": "TableId", "ColumnType": "int"},
            {"ColumnName": "Key", "ColumnType": "string"},
            {"ColumnName": "Value", "ColumnType": "dynamic"},
        ],
        "Rows": [[1, "Visualization", '{"Visualization":null,"Title":null}']],
    },
    {
        "FrameType": "DataTable",
        "TableId": 1,
        "TableKind": "PrimaryResult",
        "TableName": "PrimaryResult",
        "Columns": v2,
        "Rows": seven,
    },
    {
        "FrameType": "DataTable",
        "TableId": 2,
        "TableKind": "QueryCompletionInformation",
        "TableName": "QueryCompletionInformation",
        "Columns": [
            {"ColumnName": name, "ColumnType": kind}
            for name, kind in (
                ("Timestamp", "datetime"),
                ("ClientRequestId", "string"),
                ("Level", "int"),
                ("StatusCode", "int"),
            )
        ],
        "Rows": [
            ["2026-08-09T20:00:01.1234567Z", "KPC.execute;a1", 4, 0],
            ["2026-08-09T20:00:01.1234567Z", "KPC.execute;a1", 6, 0],
        ],
    },
    {"FrameType": "DataSetCompletion", "HasErrors": False, "Cancelled": False},
]
theme.add("bc", "Kusto v2", "Query V2 HTTP response (Azure Data Explorer)", frames, TRUTH)
theme.add(
    "b",
    "Log Analytics query",
    "Azure Monitor Log Analytics API response format",
    {"tables": [{"name": "PrimaryResult", "columns": columns, "rows": LISTS}]},
    TRUTH,
)
theme.add(
    "c",
    "Log Analytics query with statistics",
    "Azure Monitor Log Analytics API response format",
    {
        "statistics": {"query": {"executionTime": 0.0156, "resourceUsage": {"cpu": {"totalCpu": "00:00:00"}}}},
        "tables": [{"name": "PrimaryResult", "columns": columns, "rows": LISTS}],
    },
    TRUTH,
)
theme.add(
    "bc",
    "Azure Monitor metrics",
    "Azure Monitor REST API, Metrics - List",
    {
        "cost": 39,
        "timespan": "2026-08-09T18:00:00Z/2026-08-09T19:40:00Z",
        "interval": "PT5M",
        "value": [
            {
                "id": f"/subscriptions/0/providers/Microsoft.Insights/metrics/{name}",
                "type": "Microsoft.Insights/metrics",
                "name": {"value": name, "localizedValue": name.title()},
                "unit": "Unspecified",
                "timeseries": [
                    {
                        "metadatavalues": [],
                        "data": [{"timeStamp": row["Timestamp"], "average": row[name]} for row in ROWS],
                    }
                ],
                "errorCode": "Success",
            }
            for name in ("temperature", "co2_flow")
        ],
        "namespace": "plant/line",
        "resourceregion": "westeurope",
    },
    TRUTH,
    alt=[
        rename(TRUTH, str.title),
        rename(TRUTH, lambda name: f"{name}.average"),
        rename(TRUTH, lambda name: f"{name} average"),
    ],
    doubt="The name stands three levels above the points; `average` alone for both would be a misreading.",
)
theme.add(
    "b",
    "IoT Hub messages routed to storage",
    "Azure IoT Hub message routing, JSON bodies in Blob storage",
    "\r\n".join(
        json.dumps(
            {
                "EnqueuedTimeUtc": iso(pd.Timestamp(row["Timestamp"]) + pd.Timedelta(seconds=2), 7),
                "Properties": {},
                "SystemProperties": {
                    "connectionDeviceId": "line-1",
                    "connectionDeviceGenerationId": "637123456789012345",
                    "contentType": "application/json",
                    "contentEncoding": "utf-8",
                    "enqueuedTime": iso(pd.Timestamp(row["Timestamp"]) + pd.Timedelta(seconds=2), 7),
                },
                "Body": {"ts": row["Timestamp"], "temperature": row["temperature"], "co2_flow": row["co2_flow"]},
            }
        )
        for row in ROWS
    ),
    TRUTH,
    alt=[rename(TRUTH, lambda name: f"Body.{name}")],
)
central = [
    {
        "applicationId": "1b2f5f29-0000-4012-bf31-2016473cadf6",
        "deviceId": "line-1",
        "messageSource": "telemetry",
        "schema": "default@v1",
        "templateId": "dtmi:plant:line;1",
        "enqueuedTime": iso(row["Timestamp"], 3),
        "enrichments": {},
        "messageProperties": {"iothub-creation-time-utc": iso(row["Timestamp"], 3)},
        "telemetry": {"temperature": row["temperature"], "co2_flow": row["co2_flow"]},
    }
    for row in ROWS
]
theme.add(
    "bc",
    "IoT Central export",
    "Azure IoT Central data export, telemetry format",
    central,
    TRUTH,
    alt=[rename(TRUTH, lambda name: f"telemetry.{name}")],
)
theme.add(
    "b",
    "Application Insights metric events",
    "Application Insights Events API",
    {
        "@odata.context": "https://api.applicationinsights.io/v1/$metadata",
        "value": [
            {
                "id": f"{i:08x}-1f9a-11f1",
                "timestamp": row["Timestamp"],
                "type": "customMetric",
                "count": 1,
                "customMetric": {"name": "temperature", "value": row["temperature"], "valueCount": 1},
            }
            for i, row in enumerate(ROWS)
        ],
    },
    {"temperature": TRUTH["temperature"]},
    or_refuse=True,
    alt=[{"value": TRUTH["temperature"]}, {"customMetric.value": TRUTH["temperature"]}],
    doubt="`count` and `valueCount` are constants of the envelope; a refusal is allowed.",
)
