"""Statistical offices and markets."""

import pandas as pd
from kit import Truth, epoch_ms, table, timeless, wave, wide

from publicapis.readings import ROWS, STAMPS, TEMP, TRUTH, named, single, theme

MONTHS = [f"2025-{month:02d}" for month in range(1, 13)]
INDEX = wave(12, 104, 3)
MONTHLY = [(epoch_ms(f"{month}-01T00:00Z"), value) for month, value in zip(MONTHS, INDEX, strict=True)]
NAMES = ("value", "values", "observations", "CPI", "A", "data", "0:0", "series", "y", "0", "c", "Prices")

theme.add(
    "c",
    "SDMX-JSON",
    "SDMX-JSON 1.0, data message",
    {
        "header": {"id": "x", "test": False, "prepared": "2026-01-05T00:00:00Z"},
        "dataSets": [
            {
                "action": "Information",
                "series": {"0:0": {"attributes": [0], "observations": {str(i): [v] for i, v in enumerate(INDEX)}}},
            }
        ],
        "structure": {
            "name": "Prices",
            "dimensions": {
                "series": [{"id": "AREA", "values": [{"id": "A"}]}, {"id": "ITEM", "values": [{"id": "CPI"}]}],
                "observation": [{"id": "TIME_PERIOD", "values": [{"id": month, "name": month} for month in MONTHS]}],
            },
        },
    },
    {"value": MONTHLY},
    alt=[*single(MONTHLY, *NAMES), *single(timeless({"v": MONTHLY})["v"], *NAMES)],
    or_refuse=True,
    doubt="Observations refer to periods by position; a refusal is the likely right answer.",
)
theme.add(
    "c",
    "JSON-stat",
    "JSON-stat 2.0",
    {
        "version": "2.0",
        "class": "dataset",
        "label": "Prices",
        "id": ["time"],
        "size": [12],
        "dimension": {"time": {"label": "month", "category": {"index": {month: i for i, month in enumerate(MONTHS)}}}},
        "value": INDEX,
    },
    {"value": MONTHLY},
    alt=[*single(MONTHLY, *NAMES), *single(timeless({"v": MONTHLY})["v"], *NAMES)],
    or_refuse=True,
    doubt="Values refer to periods by position; the positions 0..11 as a series would be a misreading.",
)
years = list(range(2010, 2024))
shares = wave(14, 31, 4)
world: Truth = {"value": [(epoch_ms(f"{year}-01-01T00:00Z"), share) for year, share in zip(years, shares, strict=True)]}
bank = [
    {
        "indicator": {"id": "EG.FEC", "value": "Share"},
        "country": {"id": "DE", "value": "Germany"},
        "countryiso3code": "DEU",
        "date": str(year),
        "value": share,
        "unit": "",
        "obs_status": "",
        "decimal": 1,
    }
    for year, share in reversed(list(zip(years, shares, strict=True)))
]
theme.add(
    "c",
    "World Bank indicators",
    "World Bank Indicators API v2",
    [{"page": 1, "pages": 1, "per_page": 50, "total": 14, "sourceid": "2", "lastupdated": "2026-01-28"}, bank],
    timeless(world),
    alt=[
        world,
        *(
            named_as
            for name in ("Share", "Germany", "EG.FEC", "DE")
            for named_as in ({name: world["value"]}, {name: timeless(world)["value"]})
        ),
    ],
    doubt="Years as text: categories, or times. `decimal` 1 is a constant of the envelope.",
)
price = table({"open": wave(20, 180, 6), "close": wave(20, 181, 6, 0.2)}, start="2026-01-05T00:00:00Z", step_s=86400)
daily = wide(price)
days = [row.ts for row in price.itertuples()]
theme.add(
    "c",
    "numbered names by day",
    "Alpha Vantage, TIME_SERIES_DAILY",
    {
        "Meta Data": {"1. Information": "Daily Prices", "2. Symbol": "X", "3. Last Refreshed": "2026-01-24"},
        "Time Series (Daily)": {
            row.ts.strftime("%Y-%m-%d"): {"1. open": f"{row.open:.4f}", "4. close": f"{row.close:.4f}"}
            for row in price.itertuples()
        },
    },
    {"1. open": daily["open"], "4. close": daily["close"]},
    alt=[daily],
)
theme.add(
    "c",
    "Yahoo chart",
    "Yahoo Finance chart API, v8",
    {
        "chart": {
            "result": [
                {
                    "meta": {
                        "currency": "USD",
                        "symbol": "X",
                        "regularMarketPrice": 184.2,
                        "gmtoffset": -18000,
                        "firstTradeDate": 345479400,
                    },
                    "timestamp": [epoch_ms(day) // 1000 for day in days],
                    "indicators": {
                        "quote": [{name: [value for _, value in daily[name]] for name in ("open", "close")}],
                        "adjclose": [{"adjclose": [value for _, value in daily["close"]]}],
                    },
                }
            ],
            "error": None,
        }
    },
    {**daily, "adjclose": daily["close"]},
    alt=[daily, *named({**daily, "adjclose": daily["close"]}, "quote.{}")],
    or_refuse=True,
    doubt="The times stand two levels above the values; a chart over positions is a misreading.",
)
theme.add(
    "c",
    "pairs below several names",
    "CoinGecko API, market_chart",
    {
        "prices": [[s, v] for s, v in TEMP],
        "market_caps": [[s, v * 1000] for s, v in TEMP],
        "total_volumes": [[s, v * 10] for s, v in TEMP],
    },
    {"prices": TEMP, "market_caps": [(s, v * 1000) for s, v in TEMP], "total_volumes": [(s, v * 10) for s, v in TEMP]},
)
theme.add(
    "b",
    "streams by name",
    "Strava API, activity streams",
    {
        "time": {"data": list(range(24)), "series_type": "distance", "original_size": 24, "resolution": "high"},
        "watts": {
            "data": [row["pressure"] for row in ROWS],
            "series_type": "distance",
            "original_size": 24,
            "resolution": "high",
        },
        "temp": {
            "data": [row["temp"] for row in ROWS],
            "series_type": "distance",
            "original_size": 24,
            "resolution": "high",
        },
    },
    timeless({"watts": TRUTH["pressure"], "temp": TEMP}),
    alt=[
        timeless({"watts.data": TRUTH["pressure"], "temp.data": TEMP}),
        timeless({"watts": TRUTH["pressure"], "temp": TEMP, "time": [(None, i) for i in range(24)]}),
    ],
    or_refuse=True,
    doubt="`time` is seconds since the start.",
)
theme.add(
    "b",
    "fitness samples by day",
    "Fitbit Web API, intraday series",
    {
        "activities-heart": [{"dateTime": "2026-02-20", "value": {"restingHeartRate": 58}}],
        "activities-heart-intraday": {
            "dataset": [{"time": row["ts"][11:19], "value": row["temp"]} for row in ROWS],
            "datasetInterval": 1,
            "datasetType": "hour",
        },
    },
    timeless({"value": TEMP}),
    alt=[{"value": TEMP}, *single(timeless({"v": TEMP})["v"], "activities-heart-intraday", "dataset")],
    or_refuse=True,
    doubt="The date stands in another table.",
)
stamps = pd.Series(STAMPS)
theme.add(
    "c",
    "one object of parallel lists, nested names",
    "hand-written analytics API",
    {
        "meta": {"n": 24},
        "data": {
            "time": (stamps // 1000).tolist(),
            "channels": {"a": [row["temp"] for row in ROWS], "b": [row["pressure"] for row in ROWS]},
        },
    },
    {"a": TEMP, "b": TRUTH["pressure"]},
    alt=named({"a": TEMP, "b": TRUTH["pressure"]}, "channels.{}"),
    or_refuse=True,
    doubt="The time stands one level above the columns.",
)
