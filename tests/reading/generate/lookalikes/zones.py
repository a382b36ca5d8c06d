"""Times without a zone, whose zone is stated beside them."""

from lookalikes.readings import FLOW, HOUR_MS, ISO, MS, SECONDS, SPACED, TEMP, TWO, N, named, theme

LOCAL = [text.removesuffix(":00Z") for text in ISO]  # 2026-03-01T06:00, in whatever zone
BERLIN = named({"temp": TEMP, "flow": FLOW}, -HOUR_MS)
NEW_YORK = named({"temp": TEMP, "flow": FLOW}, 5 * HOUR_MS)
ROWS = [{"time": SPACED[i], "temp": TEMP[i], "flow": FLOW[i]} for i in range(N)]


def add(name, source, payload, expected, kinds="c", **how):
    theme.add(kinds, name, source, payload, expected, **how)


meteo = {
    "latitude": 52.5,
    "longitude": 13.4,
    "generationtime_ms": 0.05,
    "elevation": 38.0,
    "hourly_units": {"time": "iso8601", "temp": "°C"},
    "hourly": {"time": LOCAL, "temp": TEMP, "flow": FLOW},
}
add(
    "Open-Meteo in Berlin",
    "Open-Meteo API",
    {**meteo, "utc_offset_seconds": 3600, "timezone": "Europe/Berlin", "timezone_abbreviation": "GMT+1"},
    BERLIN,
)
add(
    "Open-Meteo in GMT",
    "Open-Meteo API",
    {**meteo, "utc_offset_seconds": 0, "timezone": "GMT", "timezone_abbreviation": "GMT"},
    TWO,
)
add(
    "Open-Meteo with unix times",
    "Open-Meteo API",
    {
        **meteo,
        "utc_offset_seconds": 3600,
        "timezone": "Europe/Berlin",
        "hourly": {"time": SECONDS, "temp": TEMP, "flow": FLOW},
    },
    TWO,
)
add(
    "Alpha Vantage intraday",
    "Alpha Vantage API",
    {
        "Meta Data": {
            "1. Information": "Intraday",
            "2. Symbol": "IBM",
            "3. Last Refreshed": SPACED[-1],
            "4. Interval": "1min",
            "6. Time Zone": "US/Eastern",
        },
        "Time Series (1min)": {
            SPACED[i]: {"1. open": f"{TEMP[i]}", "4. close": f"{FLOW[i]}"} for i in reversed(range(N))
        },
    },
    named({"1. open": TEMP, "4. close": FLOW}, 5 * HOUR_MS),
    or_refuse=True,
)
add("timezone of the document", "hand-written service", {"timezone": "Europe/Berlin", "rows": ROWS}, BERLIN)
add("tz in each row", "hand-written service", [{**row, "tz": "Europe/Berlin"} for row in ROWS], BERLIN)
add("offset text beside the rows", "hand-written service", {"utcOffset": "+01:00", "data": ROWS}, BERLIN)
add("offset in minutes", "hand-written service", {"utc_offset_minutes": -300, "data": ROWS}, NEW_YORK, or_refuse=True)
add(
    "a zone in meta",
    "Twelve Data API",
    {
        "meta": {"symbol": "X", "interval": "1min", "exchange_timezone": "America/New_York"},
        "values": [{"datetime": SPACED[i], "temp": str(TEMP[i]), "flow": str(FLOW[i])} for i in range(N)],
    },
    NEW_YORK,
    or_refuse=True,
)
add("a zone nobody knows", "hand-written service", {"timezone": "Plant/Local", "rows": ROWS}, None, refuse="zone")
add(
    "times with their own zone",
    "hand-written service",
    {"timezone": "Europe/Berlin", "rows": [{**row, "time": ISO[i]} for i, row in enumerate(ROWS)]},
    TWO,
)
add(
    "epoch ms beside a zone",
    "hand-written service",
    {"tz": "America/New_York", "rows": [{**row, "time": MS[i]} for i, row in enumerate(ROWS)]},
    TWO,
)
add(
    "zones that differ",
    "hand-written service",
    [{**row, "tz": "UTC" if i < 6 else "Europe/Berlin"} for i, row in enumerate(ROWS)],
    {
        name: [(ms - (HOUR_MS if i >= 6 else 0), value) for i, (ms, value) in enumerate(points)]
        for name, points in TWO.items()
    },
    or_refuse=True,
)
