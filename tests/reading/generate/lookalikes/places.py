"""Places on the earth, which are no measurements, and tables beside which others stand."""

from lookalikes.readings import FLOW, ISO, MS, SECONDS, SPACED, TEMP, TWO, N, theme, truth

LAT, LON = ([round(start + i / 900, 5) for i in range(N)] for start in (52.5, 13.4))

theme.add(
    "bc",
    "a moving vehicle",
    "telematics",
    [{"ts": ISO[i], "lat": LAT[i], "lon": LON[i], "alt": 34.1 + i, "temp": TEMP[i], "flow": FLOW[i]} for i in range(N)],
    TWO,
)
theme.add(
    "bc",
    "position in a member",
    "telematics",
    [
        {"ts": ISO[i], "position": {"latitude": LAT[i], "longitude": LON[i]}, "temp": TEMP[i], "flow": FLOW[i]}
        for i in range(N)
    ],
    TWO,
)
theme.add(
    "bc",
    "GPS words in the names",
    "telematics",
    [{"ts": ISO[i], "gps_lat": LAT[i], "gps_lng": LON[i], "temp": TEMP[i], "flow": FLOW[i]} for i in range(N)],
    TWO,
)
theme.add(
    "bc",
    "GeoJSON points",
    "RFC 7946",
    {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": [LON[i], LAT[i]]},
                "properties": {"time": ISO[i], "temp": TEMP[i], "flow": FLOW[i]},
            }
            for i in range(N)
        ],
    },
    TWO,
)
theme.add(
    "bc",
    "GeoJSON line",
    "RFC 7946",
    {
        "type": "Feature",
        "properties": {"name": "track"},
        "geometry": {"type": "LineString", "coordinates": [[LON[i], LAT[i]] for i in range(N)]},
    },
    None,
    refuse="",
)
theme.add(
    "bc",
    "a track of nothing but places",
    "GPS logger",
    [{"time": ISO[i], "lat": LAT[i], "lon": LON[i]} for i in range(N)],
    None,
    refuse="",
)
theme.add(
    "b",
    "OpenWeather current",
    "OpenWeather API",
    {
        "coord": {"lon": 13.4, "lat": 52.5},
        "weather": [{"id": 800, "main": "Clear", "icon": "01d"}],
        "base": "stations",
        "main": {"temp": 8.2, "feels_like": 6.1, "pressure": 1016, "humidity": 60},
        "visibility": 10000,
        "wind": {"speed": 3.4, "deg": 250},
        "clouds": {"all": 0},
        "dt": SECONDS[0],
        "sys": {"type": 2, "id": 2011538, "country": "DE", "sunrise": SECONDS[0] - 900, "sunset": SECONDS[0] + 39000},
        "timezone": 3600,
        "id": 2950159,
        "name": "Berlin",
        "cod": 200,
    },
    {
        name: [(MS[0], value)]
        for name, value in (
            ("temp", 8.2),
            ("feels_like", 6.1),
            ("pressure", 1016),
            ("humidity", 60),
            ("visibility", 10000),
            ("wind.speed", 3.4),
            ("wind.deg", 250),
            ("clouds.all", 0),
        )
    },
    alt=[
        {
            name: [(MS[0], value)]
            for name, value in (
                ("temp", 8.2),
                ("feels_like", 6.1),
                ("pressure", 1016),
                ("humidity", 60),
                ("visibility", 10000),
                ("speed", 3.4),
                ("deg", 250),
                ("all", 0),
            )
        }
    ],
    or_refuse=True,
)
theme.add(
    "bc",
    "Plotly scattergeo",
    "plotly.js",
    {
        "data": [{"type": "scattergeo", "lat": LAT, "lon": LON, "marker": {"size": [4] * N}}],
        "layout": {"geo": {"scope": "europe"}},
    },
    None,
    refuse="",
)
theme.add(
    "b",
    "sensor.community",
    "sensor.community API",
    [
        {
            "id": 900 + i,
            "sampling_rate": None,
            "timestamp": SPACED[i],
            "location": {
                "id": 5,
                "latitude": "52.5",
                "longitude": "13.4",
                "altitude": "34.1",
                "country": "DE",
                "indoor": 0,
            },
            "sensor": {"id": 77, "pin": "1", "sensor_type": {"id": 14, "name": "SDS011", "manufacturer": "Nova"}},
            "sensordatavalues": [
                {"id": 2 * i, "value": str(TEMP[i]), "value_type": "P1"},
                {"id": 2 * i + 1, "value": str(FLOW[i]), "value_type": "P2"},
            ],
        }
        for i in range(N)
    ],
    truth(P1=TEMP, P2=FLOW),
    alt=[truth(**{"77.P1": TEMP, "77.P2": FLOW})],
)
theme.add(
    "bc",
    "PVGIS hourly",
    "PVGIS API seriescalc",
    {
        "inputs": {
            "location": {"latitude": 45.0, "longitude": 8.0, "elevation": 250.0},
            "meteo_data": {"radiation_db": "PVGIS-SARAH3", "year_min": 2026, "year_max": 2026},
            "mounting_system": {"fixed": {"slope": {"value": 35, "optimal": False}}},
        },
        "outputs": {
            "hourly": [{"time": f"20260301:06{i:02d}", "G(i)": TEMP[i], "T2m": FLOW[i], "Int": 0.0} for i in range(N)]
        },
        "meta": {"outputs": {"hourly": {"type": "time series"}}},
    },
    truth(**{"G(i)": TEMP, "T2m": FLOW, "Int": [0.0] * N}),
    alt=[truth(**{"G(i)": TEMP, "T2m": FLOW})],
)
CODEC8 = {"pr": 0, "ang": 120, "sat": 11, "239": 0, "66": 12450}
theme.add(
    "b",
    "Teltonika record",
    "Teltonika Codec JSON",
    {"state": {"reported": {"ts": MS[0], "latlng": "52.5,13.4", "alt": 34, "sp": 0, "evt": 0, **CODEC8}}},
    {name: [(MS[0], value)] for name, value in CODEC8.items()},
    or_refuse=True,
    alt=[
        {name: [(MS[0], value)] for name, value in {**CODEC8, **more}.items()}
        for more in ({"alt": 34}, {"alt": 34, "sp": 0})
    ],
    doubt="Inputs by number: readings, or not for sure.",
)
shelly = {"temperature:0": {"id": 0, "tC": 21.5, "tF": 70.7}, "humidity:0": {"id": 0, "rh": 45.2}}
theme.add(
    "b",
    "Shelly gen2 notification",
    "Shelly gen2 RPC NotifyFullStatus",
    {"src": "shellyhtg3-1", "dst": "u", "method": "NotifyFullStatus", "params": {"ts": SECONDS[0] + 0.5, **shelly}},
    {name: [(MS[0] + 500, value)] for name, value in (("tC", 21.5), ("tF", 70.7), ("rh", 45.2))},
    or_refuse=True,
    alt=[
        {
            name: [(MS[0] + 500, value)]
            for name, value in (("temperature:0.tC", 21.5), ("temperature:0.tF", 70.7), ("humidity:0.rh", 45.2))
        }
    ],
)
theme.add(
    "b",
    "Shelly gen2 switch",
    "Shelly gen2 RPC NotifyStatus",
    {
        "src": "shellyplus1pm-1",
        "dst": "u",
        "method": "NotifyStatus",
        "params": {
            "ts": SECONDS[0] + 0.5,
            "switch:0": {
                "id": 0,
                "apower": 8.9,
                "voltage": 230.1,
                "aenergy": {"by_minute": [6.2, 5.9, 6.0], "minute_ts": SECONDS[0], "total": 11.7},
            },
        },
    },
    {
        name: [(MS[0] + 500, value)]
        for name, value in (("switch:0.apower", 8.9), ("switch:0.voltage", 230.1), ("aenergy.total", 11.7))
    },
    or_refuse=True,
    alt=[
        {
            name: [(MS[0] + 500, value)]
            for name, value in (("switch:0.apower", 8.9), ("switch:0.voltage", 230.1), (total, 11.7))
        }
        for total in ("switch:0.aenergy.total", "total")
    ]
    + [{name: [(MS[0] + 500, value)] for name, value in (("apower", 8.9), ("voltage", 230.1), ("total", 11.7))}],
)
