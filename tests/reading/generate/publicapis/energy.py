"""Energy services and inverters."""

from kit import Truth, iso

from publicapis.readings import PRESSURE, ROWS, STAMPS, TEMP, single, theme

LATER = [iso(row["ts"][:10] + f"T{row['ts'][11:13]}:59:59Z") for row in ROWS]

theme.add(
    "bc",
    "intervals with start and end",
    "Octopus Energy REST API, consumption",
    {
        "count": 24,
        "next": None,
        "previous": None,
        "results": [
            {"consumption": row["temp"], "interval_start": row["ts"], "interval_end": LATER[i]}
            for i, row in enumerate(ROWS)
        ],
    },
    {"consumption": TEMP},
    doubt="The start is the time of an interval; its end would give another first time.",
)
theme.add(
    "c",
    "Tibber consumption",
    "Tibber API, consumption nodes",
    {
        "data": {
            "viewer": {
                "homes": [
                    {
                        "consumption": {
                            "nodes": [
                                {
                                    "from": row["ts"],
                                    "to": LATER[i],
                                    "cost": row["pressure"],
                                    "consumption": row["temp"],
                                    "consumptionUnit": "kWh",
                                }
                                for i, row in enumerate(ROWS)
                            ]
                        }
                    }
                ]
            }
        }
    },
    {"cost": PRESSURE, "consumption": TEMP},
)
theme.add(
    "c",
    "SolarEdge power",
    "SolarEdge Monitoring API, site power",
    {
        "power": {
            "timeUnit": "HOUR",
            "unit": "W",
            "measuredBy": "INVERTER",
            "values": [
                {"date": row["ts"][:19].replace("T", " "), "value": row["pressure"] if i > 2 else None}
                for i, row in enumerate(ROWS)
            ],
        }
    },
    {"value": PRESSURE[3:]},
    alt=single(PRESSURE[3:], "power", "power.value", "values", "W"),
)
meters = {
    "energyDetails": {
        "timeUnit": "HOUR",
        "unit": "Wh",
        "meters": [
            {"type": kind, "values": [{"date": row["ts"][:19].replace("T", " "), "value": row[name]} for row in ROWS]}
            for kind, name in (("Production", "temp"), ("Consumption", "pressure"))
        ],
    }
}
theme.add(
    "bc",
    "SolarEdge meters",
    "SolarEdge Monitoring API, energyDetails",
    meters,
    {"Production": TEMP, "Consumption": PRESSURE},
    alt=[{"Production.value": TEMP, "Consumption.value": PRESSURE}],
)
intervals = [
    {"end_at": stamp // 1000, "devices_reporting": 1, "powr": row["temp"], "enwh": row["pressure"]}
    for stamp, row in zip(STAMPS, ROWS, strict=True)
]
devices: Truth = {"devices_reporting": [(stamp, 1) for stamp in STAMPS]}
theme.add(
    "b",
    "Enphase intervals",
    "Enphase Monitoring API, telemetry",
    {
        "system_id": 1765,
        "granularity": "day",
        "total_devices": 1,
        "start_at": STAMPS[0] // 1000,
        "items": "intervals",
        "intervals": intervals,
    },
    {"powr": TEMP, "enwh": PRESSURE, **devices},
    alt=[{"powr": TEMP, "enwh": PRESSURE}],
)
theme.add(
    "c",
    "Victron VRM records",
    "Victron VRM API, installation stats",
    {
        "success": True,
        "records": {
            "bv": [
                [stamp, row["temp"], row["temp"] - 1, row["temp"] + 1] for stamp, row in zip(STAMPS, ROWS, strict=True)
            ]
        },
        "totals": {"bv": 12.5},
    },
    {"bv": TEMP},
    or_refuse=True,
    alt=[
        {
            f"bv{mark}{first}": TEMP,
            f"bv{mark}{first + 1}": [(s, v - 1) for s, v in TEMP],
            f"bv{mark}{first + 2}": [(s, v + 1) for s, v in TEMP],
        }
        for mark in (".", " ", "_")
        for first in (0, 1, 2)
    ],
    doubt="Mean, least and greatest value without names.",
)
fronius = {
    "Head": {"RequestArguments": {}, "Status": {"Code": 0, "Reason": ""}, "Timestamp": ROWS[0]["ts"]},
    "Body": {
        "Data": {
            "inverter/1": {
                "NodeType": 97,
                "DeviceType": 102,
                "Start": ROWS[0]["ts"],
                "End": ROWS[-1]["ts"],
                "Data": {
                    "TimeSpanInSec": {"Unit": "sec", "Values": {"0": 300}},
                    "EnergyReal_WAC": {
                        "Unit": "Wh",
                        "Values": {str(3600 * i): row["temp"] for i, row in enumerate(ROWS)},
                    },
                },
            }
        }
    },
}
theme.add(
    "c",
    "Fronius archive data",
    "Fronius Solar API V1, GetArchiveData",
    fronius,
    {"EnergyReal_WAC": [(None, value) for _, value in TEMP]},
    alt=[{"EnergyReal_WAC": TEMP}],
    or_refuse=True,
    doubt="Seconds since `Start` as keys: a numeric axis, the right times, or a refusal.",
)
theme.add(
    "c",
    "Shelly live hours",
    "hand-written gateway of Shelly meters",
    {
        "device": "shelly-3em",
        "phases": [
            {"phase": phase, "power": [[s, row[name]] for s, row in zip(STAMPS, ROWS, strict=True)]}
            for phase, name in (("a", "temp"), ("b", "pressure"))
        ],
    },
    {"a": TEMP, "b": PRESSURE},
    or_refuse=True,
    alt=[{f"a{mark}power": TEMP, f"b{mark}power": PRESSURE} for mark in (".", " ", "/", "_", ": ")]
    + [{f"power{mark}a": TEMP, f"power{mark}b": PRESSURE} for mark in (".", " ", "/", "_", ": ")],
)
theme.add(
    "c",
    "EIA series",
    "EIA Open Data API v2",
    {
        "response": {
            "total": "24",
            "dateFormat": 'YYYY-MM-DD"T"HH24',
            "frequency": "hourly",
            "data": [
                {
                    "period": row["ts"][:13],
                    "respondent": "MISO",
                    "respondent-name": "Midcontinent",
                    "type": "D",
                    "value": str(row["pressure"]),
                    "value-units": "megawatthours",
                }
                for row in reversed(ROWS)
            ],
        },
        "apiVersion": "2.1.9",
    },
    {"value": PRESSURE},
    alt=[{"MISO": PRESSURE}, {"D": PRESSURE}, {"Midcontinent": PRESSURE}],
    doubt="`2026-02-20T00` names an hour; every other text is constant.",
)
