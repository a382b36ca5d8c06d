"""Answers of databases: time series, document stores, SQL drivers: time series."""

import json

from kit import epoch_ms, iso, rename

from databases.readings import ROWS, TRUTH, series_names, theme

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
