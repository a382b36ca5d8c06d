"""Payloads that leave no doubt and were refused."""

from lookalikes.readings import FLOW, HOUR_MS, ISO, MS, SECONDS, TEMP, TWO, N, named, theme, truth

theme.add(
    "bc",
    "aWATTar market data",
    "aWATTar API",
    {
        "object": "list",
        "data": [
            {"start_timestamp": MS[i], "end_timestamp": MS[i] + HOUR_MS, "marketprice": TEMP[i], "unit": "Eur/MWh"}
            for i in range(N)
        ],
        "url": "/de/v1/marketdata",
    },
    truth(marketprice=TEMP),
)
theme.add(
    "bc",
    "energy-charts price",
    "energy-charts API /price",
    {"license_info": "CC BY 4.0", "unix_seconds": SECONDS, "price": TEMP, "unit": "EUR / MWh", "deprecated": False},
    truth(price=TEMP),
)
theme.add(
    "bc",
    "energy-charts power",
    "energy-charts API /public_power",
    {
        "unix_seconds": SECONDS,
        "production_types": [{"name": "temp", "data": TEMP}, {"name": "flow", "data": FLOW}],
        "deprecated": False,
    },
    TWO,
)
theme.add(
    "c",
    "energy-charts chart",
    "energy-charts.info chart data",
    [
        {"name": {"en": "Temp", "de": "Temperatur"}, "color": "#abc", "xAxisValues": MS, "data": TEMP},
        {"name": {"en": "Flow", "de": "Durchfluss"}, "color": "#def", "data": FLOW},
    ],
    named({"Temp": TEMP, "Flow": FLOW}),
    alt=[named({"Temperatur": TEMP, "Durchfluss": FLOW})],
)
theme.add(
    "bc",
    "from and to of an interval",
    "Carbon Intensity API",
    {
        "data": [
            {
                "from": ISO[i],
                "to": ISO[(i + 1) % N],
                "intensity": {"forecast": TEMP[i], "actual": FLOW[i], "index": "low"},
            }
            for i in range(N)
        ]
    },
    truth(forecast=TEMP, actual=FLOW),
    alt=[truth(**{"intensity.forecast": TEMP, "intensity.actual": FLOW})],
)
theme.add(
    "bc",
    "interval_start and interval_end",
    "Octopus Energy API",
    {
        "count": N,
        "next": None,
        "previous": None,
        "results": [
            {"consumption": TEMP[i], "interval_start": ISO[i], "interval_end": f"2026-03-01T06:{i + 1:02d}:00Z"}
            for i in range(N)
        ],
    },
    truth(consumption=TEMP),
)
