"""Monitoring systems, historians and home automation: grafana."""

from typing import Any

from kit import Row, epoch_ms

from monitoring.readings import NAMES, ROWS, TRUTH, named, theme


def frame(fields: list[Row], values: list[list[Any]]) -> Row:
    return {"schema": {"refId": "A", "fields": fields}, "data": {"values": values}}


time = {"name": "time", "type": "time", "typeInfo": {"frame": "time.Time"}}
number = [{"name": name, "type": "number", "typeInfo": {"frame": "float64", "nullable": True}} for name in NAMES]
stamps = [epoch_ms(row["ts"]) for row in ROWS]
wide_frame = frame([time, *number], [stamps, *([row[name] for row in ROWS] for name in NAMES)])
theme.add(
    "bc",
    "Grafana ds/query, wide frame",
    "Grafana data plane, time series wide",
    {"results": {"A": {"status": 200, "frames": [wide_frame]}}},
    TRUTH,
)
multi = [
    frame(
        [time, {"name": "Value", "type": "number", "labels": {"tag": name}, "config": {"displayNameFromDS": name}}],
        [stamps, [row[name] for row in ROWS]],
    )
    for name in NAMES
]
theme.add(
    "c",
    "Grafana ds/query, multi frame",
    "Grafana data plane, time series multi",
    {"results": {"A": {"status": 200, "frames": multi}}},
    TRUTH,
    alt=named(
        TRUTH,
        "Value.{}",
        "Value {}",
        "{}.Value",
        "Value{{tag={}}}",
        'Value{{tag="{}"}}',
        "Value tag={}",
        "tag={}",
        "Value/{}",
        "Value ({})",
        "Value: {}",
        "{} Value",
        "Value_{}",
    ),
    doubt="Both value fields are called Value; the name is a label.",
)
theme.add(
    "b",
    "Grafana simple JSON time series",
    "Grafana JSON datasource, /query",
    [{"target": name, "datapoints": [[row[name], epoch_ms(row["ts"])] for row in ROWS]} for name in NAMES],
    TRUTH,
)
theme.add(
    "c",
    "Grafana table response",
    "Grafana JSON datasource, /query type=table",
    [
        {
            "columns": [
                {"text": "Time", "type": "time"},
                {"text": "flow", "type": "number"},
                {"text": "ph", "type": "number"},
            ],
            "rows": [[epoch_ms(row["ts"]), row["flow"], row["ph"]] for row in ROWS],
            "type": "table",
        }
    ],
    TRUTH,
)
theme.add(
    "b",
    "Grafana csv download",
    "Grafana inspect panel, Download CSV",
    '"Time","flow","ph"\n'
    + "".join(f"{row['ts'][:10]} {row['ts'][11:19]},{row['flow']} m³/h,{row['ph']}\n" for row in ROWS),
    TRUTH,
    or_refuse=True,
    alt=[{"ph": TRUTH["ph"]}],
    doubt="`14.5 m³/h` is text with a unit: reading the number, or leaving the column out with a reason.",
)
