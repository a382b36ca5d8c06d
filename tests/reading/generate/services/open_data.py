"""Answers of cloud services and query APIs: open data."""

from kit import Row, epoch_ms, iso, rename, rows, table, wave, wide

from services.readings import ROWS, TRUTH, theme

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
