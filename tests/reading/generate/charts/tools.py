"""Charts of Python libraries, and chart libraries whose data has a form of its own: tools."""

from kit import iso, wave

from charts.readings import NAMES, ONE, ROWS, STAMPS, TEXTS, TRUTH, any_name, theme

theme.add(
    "c",
    "Superset chart data",
    "Apache Superset API, /chart/data",
    {
        "result": [
            {
                "cache_key": None,
                "cached_dttm": None,
                "cache_timeout": 300,
                "error": None,
                "rowcount": 24,
                "status": "success",
                "from_dttm": None,
                "colnames": ["ts", *NAMES],
                "coltypes": [2, 0, 0],
                "indexnames": list(range(24)),
                "stacktrace": None,
                "is_cached": False,
                "data": [{"ts": float(STAMPS[i]), **{name: row[name] for name in NAMES}} for i, row in enumerate(ROWS)],
            }
        ]
    },
    TRUTH,
)
theme.add(
    "c",
    "Metabase dataset",
    "Metabase API, /api/dataset",
    {
        "data": {
            "rows": [[row["ts"], *(row[name] for name in NAMES)] for row in ROWS],
            "cols": [
                {
                    "display_name": name,
                    "source": "native",
                    "field_ref": ["field", name, {}],
                    "name": name,
                    "base_type": kind,
                }
                for name, kind in (
                    ("ts", "type/DateTimeWithLocalTZ"),
                    ("co2_flow_rate", "type/Float"),
                    ("water_temp", "type/Float"),
                )
            ],
            "rows_truncated": 2000,
            "results_timezone": "UTC",
        },
        "row_count": 24,
        "running_time": 31,
        "status": "completed",
        "database_id": 2,
    },
    TRUTH,
)
theme.add(
    "c",
    "Redash query result",
    "Redash API, query results",
    {
        "query_result": {
            "id": 91,
            "query_hash": "ab",
            "data": {
                "columns": [
                    {"name": "ts", "friendly_name": "ts", "type": "datetime"},
                    *({"name": name, "friendly_name": name, "type": "float"} for name in NAMES),
                ],
                "rows": ROWS,
            },
            "data_source_id": 1,
            "runtime": 0.02,
            "retrieved_at": "2026-09-01T06:00:00Z",
        }
    },
    TRUTH,
)
theme.add(
    "c",
    "Cube load",
    "Cube REST API, /v1/load",
    {
        "query": {"measures": ["plant.water_temp"], "timezone": "UTC", "limit": 10000},
        "data": [
            {
                "plant.ts.minute": iso(row["ts"], 3, ""),
                "plant.ts": iso(row["ts"], 3, ""),
                "plant.water_temp": str(row["water_temp"]),
            }
            for row in ROWS
        ],
        "annotation": {"measures": {}},
        "slowQuery": False,
        "total": None,
    },
    {"plant.water_temp": ONE},
    alt=[{"water_temp": ONE}],
)
theme.add(
    "c",
    "pivot: one row per series, one column per time",
    "pandas pivot_table, transposed to_dict('records')",
    [{"name": name, **{TEXTS[i]: row[name] for i, row in enumerate(ROWS[:6])}} for name in NAMES],
    {name: points[:6] for name, points in TRUTH.items()},
    or_refuse=True,
    doubt="Six series over two categories is a misreading.",
)
theme.add(
    "c",
    "one value",
    "single stat tile",
    {"title": "Level", "value": 4.25, "unit": "m"},
    {"value": [(None, 4.25)]},
    or_refuse=True,
    alt=any_name([(None, 4.25)], "Level"),
    doubt="One number without a time: a chart of one point, or no chart.",
)
theme.add(
    "c",
    "numeric axis, descending",
    "depth profile",
    [{"depth_m": 40 - 2 * i, "salinity": value} for i, value in enumerate(wave(21, 35, 0.4))],
    {"salinity": [(None, value) for value in wave(21, 35, 0.4)]},
    or_refuse=True,
    alt=[
        {
            "salinity": [(None, value) for value in wave(21, 35, 0.4)],
            "depth_m": [(None, 40 - 2 * i) for i in range(21)],
        }
    ],
    doubt="Nothing but the name tells that the first column is the axis.",
)
