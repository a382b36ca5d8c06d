"""Answers of cloud services and query APIs."""

import json
from typing import Any

import pandas as pd
from kit import Row, Theme, epoch_ms, iso, rename, rows, table, wave, wide

FRAME = table(
    {"temperature": wave(20, 38, 3), "co2_flow": wave(20, 120, 15, 2, digits=1)},
    start="2026-08-09T18:00:00Z",
    step_s=300,
    time="Timestamp",
)
TRUTH = wide(FRAME, "Timestamp")
ROWS: list[Row] = rows(FRAME, "Timestamp")
LISTS = [list(row.values()) for row in ROWS]


def azure(theme: Theme) -> None:
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
        "Columns": [
            {"ColumnName": name, "DataType": "String"} for name in ("Ordinal", "Kind", "Name", "Id", "PrettyName")
        ],
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


def microsoft_data(theme: Theme) -> None:
    theme.add(
        "c",
        "Power BI executeQueries, two tables of which one is empty",
        "Power BI REST API, Execute Queries In Group",
        {
            "results": [
                {"tables": [{"rows": [{f"Readings[{name}]": value for name, value in row.items()} for row in ROWS]}]}
            ],
            "informationProtectionLabel": {"id": "0", "name": "General"},
        },
        TRUTH,
        alt=[rename(TRUTH, lambda name: f"Readings[{name}]"), rename(TRUTH, lambda name: f"Readings.{name}")],
    )
    theme.add(
        "b",
        "Power BI measures in brackets",
        "Power BI REST API, Execute Queries",
        {
            "results": [
                {
                    "tables": [
                        {
                            "rows": [
                                {
                                    "Date[Date]": iso(row["Timestamp"], suffix=""),
                                    "[Avg temperature]": row["temperature"],
                                    "[Sum flow]": row["co2_flow"],
                                }
                                for row in ROWS
                            ]
                        }
                    ]
                }
            ]
        },
        {"Avg temperature": TRUTH["temperature"], "Sum flow": TRUTH["co2_flow"]},
        alt=[{"[Avg temperature]": TRUTH["temperature"], "[Sum flow]": TRUTH["co2_flow"]}],
    )
    theme.add(
        "bc",
        "Dataverse Web API",
        "Microsoft Dataverse Web API, query data",
        {
            "@odata.context": "https://org.example/api/data/v9.2/$metadata#cr_readings(cr_ts,cr_temperature)",
            "value": [
                {
                    "@odata.etag": f'W/"{7000 + i}"',
                    "cr_readingid": f"{i:08x}-aaaa-4bbb-8ccc-0123456789ab",
                    "cr_ts": row["Timestamp"],
                    "cr_temperature": row["temperature"],
                    "cr_temperature@OData.Community.Display.V1.FormattedValue": f"{row['temperature']:.2f}",
                }
                for i, row in enumerate(ROWS)
            ],
        },
        {"cr_temperature": TRUTH["temperature"]},
        doubt="The formatted value repeats the number as text under an annotation; it is no second series.",
    )
    theme.add(
        "c",
        "SharePoint list items",
        "Microsoft Graph, list items",
        {
            "value": [
                {
                    "id": str(i + 1),
                    "createdDateTime": "2026-08-10T06:00:00Z",
                    "fields": {
                        "Title": f"Reading {i + 1}",
                        "Timestamp": row["Timestamp"],
                        "temperature": row["temperature"],
                    },
                }
                for i, row in enumerate(ROWS)
            ]
        },
        {"temperature": TRUTH["temperature"]},
    )


def google_and_aws(theme: Theme) -> None:
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
                {"f": [{"v": f"{epoch_ms(row[0]) / 1000:.9E}"}, {"v": str(row[1])}, {"v": str(row[2])}]}
                for row in LISTS
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
            "Datapoints": [
                {"Timestamp": row["Timestamp"], "Average": row["temperature"], "Unit": "None"} for row in ROWS
            ],
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


def google_date(text: str) -> str:
    moment = pd.Timestamp(text)
    return f"Date({moment.year}, {moment.month - 1}, {moment.day}, {moment.hour}, {moment.minute}, {moment.second})"


def open_data(theme: Theme) -> None:
    hours = table(
        {"temperature_2m": wave(48, 11, 5, digits=1), "surface_pressure": wave(48, 1013, 6, 1, digits=1)},
        start="2026-04-04T00:00:00Z",
        step_s=3600,
        time="time",
    )
    minutes = [row["time"][:16] for row in rows(hours, "time")]
    weather: Row = {
        "latitude": 52.52,
        "longitude": 13.41,
        "generationtime_ms": 0.08,
        "utc_offset_seconds": 0,
        "timezone": "GMT",
        "timezone_abbreviation": "GMT",
        "elevation": 38.0,
        "current_units": {"time": "iso8601", "interval": "seconds", "temperature_2m": "°C"},
        "current": {"time": minutes[10], "interval": 900, "temperature_2m": 12.4},
        "hourly_units": {"time": "iso8601", "temperature_2m": "°C", "surface_pressure": "hPa"},
        "hourly": {
            "time": minutes,
            "temperature_2m": hours["temperature_2m"].tolist(),
            "surface_pressure": hours["surface_pressure"].tolist(),
        },
    }
    theme.add(
        "bc",
        "Open-Meteo hourly with current beside",
        "Open-Meteo Forecast API documentation",
        weather,
        wide(hours, "time"),
        alt=[rename(wide(hours, "time"), lambda name: f"hourly.{name}")],
    )
    unix = {**weather, "hourly": {**weather["hourly"], "time": [epoch_ms(text + "Z") // 1000 for text in minutes]}}
    theme.add(
        "c",
        "Open-Meteo hourly in unix time",
        "Open-Meteo Forecast API documentation, timeformat=unixtime",
        unix,
        wide(hours, "time"),
    )
    theme.add(
        "b",
        "Socrata",
        "Socrata Open Data API, JSON format",
        [
            {
                ":id": f"row-{i:04x}",
                "timestamp": iso(row["Timestamp"], 3, ""),
                "temperature": str(row["temperature"]),
                "co2_flow": str(row["co2_flow"]),
            }
            for i, row in enumerate(ROWS)
        ],
        TRUTH,
    )
    theme.add(
        "c",
        "CKAN datastore",
        "CKAN DataStore extension, datastore_search",
        {
            "help": "https://data.example/api/3/action/help_show?name=datastore_search",
            "success": True,
            "result": {
                "include_total": True,
                "limit": 100,
                "records_format": "objects",
                "resource_id": "0e3f",
                "total_estimation_threshold": None,
                "records": [
                    {
                        "_id": i + 1,
                        "Timestamp": row["Timestamp"][:-1],
                        "temperature": row["temperature"],
                        "co2_flow": str(row["co2_flow"]),
                    }
                    for i, row in enumerate(ROWS)
                ],
                "fields": [
                    {"id": "_id", "type": "int"},
                    {"id": "Timestamp", "type": "timestamp"},
                    {"id": "temperature", "type": "numeric"},
                    {"id": "co2_flow", "type": "text"},
                ],
                "total": 20,
                "total_was_estimated": False,
            },
        },
        TRUTH,
    )
    stations = [
        {
            "dateObserved": row["Timestamp"],
            "id": "urn:ngsi-ld:Line:1",
            "type": "Line",
            "temperature": {"type": "Property", "value": row["temperature"], "unitCode": "CEL"},
            "co2_flow": {"type": "Property", "value": row["co2_flow"], "unitCode": "MQH"},
        }
        for row in ROWS
    ]
    theme.add(
        "b",
        "NGSI-LD entities",
        "ETSI NGSI-LD normalized representation",
        stations,
        TRUTH,
        alt=[rename(TRUTH, lambda name: f"{name}.value")],
    )
    sta = [
        {
            "@iot.id": 400 + i,
            "@iot.selfLink": f"Observations({400 + i})",
            "phenomenonTime": iso(row["Timestamp"], 3),
            "resultTime": None,
            "result": row["temperature"],
        }
        for i, row in enumerate(ROWS)
    ]
    theme.add(
        "c",
        "SensorThings observations",
        "OGC SensorThings API, Observations",
        {"@iot.count": 20, "value": sta},
        {"result": TRUTH["temperature"]},
        alt=[{"value": TRUTH["temperature"]}],
    )
    theme.add(
        "c",
        "SensorThings dataArray",
        "OGC SensorThings API, data array extension",
        {
            "value": [
                {
                    "Datastream@iot.navigationLink": "Datastreams(1)",
                    "components": ["phenomenonTime", "result"],
                    "dataArray@iot.count": 20,
                    "dataArray": [[row["Timestamp"], row["temperature"]] for row in ROWS],
                }
            ]
        },
        {"result": TRUTH["temperature"]},
    )


def build() -> Theme:
    theme = Theme("services")
    parts: list[Any] = [azure, microsoft_data, google_and_aws, open_data]
    for part in parts:
        part(theme)
    return theme
