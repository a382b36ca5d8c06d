"""Answers of databases: time series, document stores, SQL drivers: influx."""

import json

from influxdb_client import Point
from influxdb_client.client.flux_csv_parser import FluxCsvParser, FluxSerializationMode
from kit import epoch_ms, lib
from urllib3 import HTTPResponse

from databases.readings import ROWS, TRUTH, series_names, theme

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
