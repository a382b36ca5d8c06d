"""Weather and water services."""

from kit import Truth, iso, rename

from publicapis.readings import PRESSURE, ROWS, STAMPS, TEMP, TRUTH, named, single, theme

theme.add(
    "b",
    "OpenWeather history",
    "OpenWeather History API, JSON response",
    {
        "message": "Count: 24",
        "cod": "200",
        "city_id": 4298960,
        "calctime": 0.0029,
        "cnt": 24,
        "list": [
            {
                "dt": stamp // 1000,
                "main": {"temp": row["temp"], "pressure": row["pressure"], "humidity": 60 + i % 5},
                "wind": {"speed": 2.25 + i / 8, "deg": 70 + i},
                "clouds": {"all": 20},
                "weather": [{"id": 801, "main": "Clouds", "description": "few clouds", "icon": "02n"}],
            }
            for i, (stamp, row) in enumerate(zip(STAMPS, ROWS, strict=True))
        ],
    },
    {
        **TRUTH,
        "humidity": [(stamp, 60 + i % 5) for i, stamp in enumerate(STAMPS)],
        "speed": [(stamp, 2.25 + i / 8) for i, stamp in enumerate(STAMPS)],
        "deg": [(stamp, 70 + i) for i, stamp in enumerate(STAMPS)],
        "all": [(stamp, 20) for stamp in STAMPS],
    },
    alt=[
        {
            **named(TRUTH, "main.{}")[0],
            "main.humidity": [(stamp, 60 + i % 5) for i, stamp in enumerate(STAMPS)],
            "wind.speed": [(stamp, 2.25 + i / 8) for i, stamp in enumerate(STAMPS)],
            "wind.deg": [(stamp, 70 + i) for i, stamp in enumerate(STAMPS)],
            "clouds.all": [(stamp, 20) for stamp in STAMPS],
        },
        {
            **TRUTH,
            "humidity": [(stamp, 60 + i % 5) for i, stamp in enumerate(STAMPS)],
            "wind.speed": [(stamp, 2.25 + i / 8) for i, stamp in enumerate(STAMPS)],
            "wind.deg": [(stamp, 70 + i) for i, stamp in enumerate(STAMPS)],
            "clouds.all": [(stamp, 20) for stamp in STAMPS],
        },
    ],
    doubt="Names with or without the object they stand in; the id of the weather is no measurement. A member `main` "
    "adds nothing to a name, `wind` does.",
)
details = [{"time": row["ts"], "data": {"instant": {"details": {"air_temperature": row["temp"]}}}} for row in ROWS]
theme.add(
    "c",
    "MET Norway locationforecast",
    "MET Norway Locationforecast 2.0, compact",
    {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [10.75, 59.91, 90]},
        "properties": {
            "meta": {"updated_at": "2026-02-20T00:11:00Z", "units": {"air_temperature": "celsius"}},
            "timeseries": details,
        },
    },
    {"air_temperature": TEMP},
    alt=single(
        TEMP, "data.instant.details.air_temperature", "details.air_temperature", "instant.details.air_temperature"
    ),
)
tide = [
    {"t": row["ts"][:16].replace("T", " "), "v": f"{row['temp']:.3f}", "s": "0.005", "f": "0,0,0,0", "q": "p"}
    for row in ROWS
]
sigma: Truth = {"s": [(stamp, 0.005) for stamp in STAMPS]}
theme.add(
    "bc",
    "NOAA water level",
    "NOAA CO-OPS Data Retrieval API, water_level",
    {"metadata": {"id": "8454000", "name": "Providence", "lat": "41.8071", "lon": "-71.4012"}, "data": tide},
    {"v": TEMP, **sigma},
    alt=[{"v": TEMP}, {"value": TEMP}, {"Providence": TEMP}],
    doubt="`s` is the standard deviation of each value: a second series, or left out. `f` is a list of flags.",
)
usgs = [
    {
        "sourceInfo": {"siteName": "RIVER AT A", "siteCode": [{"value": "01646500"}]},
        "variable": {"variableCode": [{"value": "00010"}], "variableName": "Temperature", "noDataValue": -999999.0},
        "values": [
            {
                "value": [{"value": str(row["temp"]), "qualifiers": ["P"], "dateTime": row["ts"]} for row in ROWS],
                "method": [{"methodID": 69928}],
            }
        ],
        "name": "USGS:01646500:00010:00000",
    }
]
theme.add(
    "c",
    "USGS instantaneous values",
    "USGS Water Services, Instantaneous Values, WaterML-JSON",
    {"name": "ns1:timeSeriesResponseType", "declaredType": "x", "scope": "y", "value": {"timeSeries": usgs}},
    {"USGS:01646500:00010:00000": TEMP},
    alt=single(TEMP, "value", "Temperature", "values", "USGS:01646500:00010:00000.value"),
    or_refuse=True,
    doubt="Four levels of `value` and `values`.",
)
observations = [
    {
        "type": "Feature",
        "id": f"https://api.example/obs/{i}",
        "geometry": {"type": "Point", "coordinates": [-95.1, 38.9]},
        "properties": {
            "timestamp": row["ts"].replace("Z", "+00:00"),
            "temperature": {"unitCode": "wmoUnit:degC", "value": row["temp"], "qualityControl": "V"},
            "windChill": {"unitCode": "wmoUnit:degC", "value": None, "qualityControl": "Z"},
        },
    }
    for i, row in enumerate(ROWS)
]
theme.add(
    "c",
    "National Weather Service observations",
    "weather.gov API, station observations (GeoJSON)",
    {"type": "FeatureCollection", "features": observations},
    {"temperature": TEMP},
    alt=single(TEMP, "temperature.value", "properties.temperature.value", "properties.temperature"),
    or_refuse=True,
    doubt="The values stand three levels below each feature.",
)
geojson = [
    {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [13.4, 52.5]},
        "properties": {"time": stamp, "pm25": row["temp"], "station": "A"},
    }
    for stamp, row in zip(STAMPS, ROWS, strict=True)
]
theme.add(
    "b",
    "GeoJSON features",
    "RFC 7946",
    {"type": "FeatureCollection", "bbox": [13, 52, 14, 53], "features": geojson},
    {"pm25": TEMP},
    alt=single(TEMP, "properties.pm25"),
    doubt="Coordinates and the box are no measurements.",
)
theme.add(
    "c",
    "Brightsky",
    "Bright Sky API, /weather",
    {
        "weather": [
            {
                "timestamp": row["ts"].replace("Z", "+00:00"),
                "source_id": 238685,
                "temperature": row["temp"],
                "pressure_msl": row["pressure"],
                "condition": "dry",
                "icon": "cloudy",
                "fallback_source_ids": {"x": 43567},
            }
            for row in ROWS
        ],
        "sources": [
            {
                "id": 238685,
                "dwd_station_id": "01766",
                "lat": 52.1344,
                "lon": 7.6969,
                "height": 47.8,
                "distance": 16365.0,
            }
        ],
    },
    rename(TRUTH, {"temp": "temperature", "pressure": "pressure_msl"}),
)
theme.add(
    "b",
    "Ecowitt history",
    "Ecowitt API, device history",
    {
        "code": 0,
        "msg": "success",
        "time": str(STAMPS[0] // 1000),
        "data": {
            "outdoor": {
                "temperature": {
                    "unit": "℃",
                    "list": {str(s // 1000): str(row["temp"]) for s, row in zip(STAMPS, ROWS, strict=True)},
                }
            },
            "pressure": {
                "relative": {
                    "unit": "hPa",
                    "list": {str(s // 1000): str(row["pressure"]) for s, row in zip(STAMPS, ROWS, strict=True)},
                }
            },
        },
    },
    {"outdoor.temperature": TEMP, "pressure.relative": PRESSURE},
    alt=[
        {"temperature": TEMP, "relative": PRESSURE},
        {"outdoor.temperature.list": TEMP, "pressure.relative.list": PRESSURE},
    ],
    or_refuse=True,
    doubt="Names two levels above maps of epoch and text.",
)
theme.add(
    "b",
    "OpenAQ measurements",
    "OpenAQ API v2, measurements",
    {
        "meta": {"name": "openaq-api", "page": 1, "limit": 100, "found": 48},
        "results": [
            {
                "locationId": 8118,
                "location": "A",
                "parameter": parameter,
                "value": row[name],
                "unit": "µg/m³",
                "date": {"utc": row["ts"].replace("Z", "+00:00"), "local": iso(row["ts"], suffix="+00:00")},
                "coordinates": {"latitude": 28.63, "longitude": 77.22},
                "isMobile": False,
            }
            for row in ROWS
            for parameter, name in (("pm25", "temp"), ("o3", "pressure"))
        ],
    },
    {"pm25": TEMP, "o3": PRESSURE},
)
