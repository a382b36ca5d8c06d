"""Monitoring systems, historians and home automation: homes."""

from kit import Truth, epoch_ms, iso, rename

from monitoring.readings import NAMES, ROWS, TRUTH, named, theme

history = [
    [
        {
            "entity_id": f"sensor.line_{name}",
            "state": str(row[name]),
            "attributes": {"unit_of_measurement": "x", "friendly_name": name},
            "last_changed": iso(row["ts"], 6, "+00:00"),
            "last_updated": iso(row["ts"], 6, "+00:00"),
        }
        for row in ROWS
    ]
    for name in NAMES
]
truth = rename(TRUTH, lambda name: f"sensor.line_{name}")
theme.add("bc", "Home Assistant history", "Home Assistant REST API, /api/history/period", history, truth, alt=[TRUTH])
gaps = [[{**record, "state": "unavailable"} if i in (2, 3) else record for i, record in enumerate(history[0])]]
theme.add(
    "c",
    "Home Assistant history with unavailable",
    "Home Assistant REST API, /api/history/period",
    gaps,
    {"sensor.line_flow": [point for i, point in enumerate(TRUTH["flow"]) if i not in (2, 3)]},
    alt=[{name: [point for i, point in enumerate(TRUTH["flow"]) if i not in (2, 3)]} for name in ("flow", "state")],
)
minimal = [
    [
        history[0][0],
        *({"state": record["state"], "last_changed": record["last_changed"]} for record in history[0][1:]),
    ]
]
theme.add(
    "b",
    "Home Assistant history, minimal response",
    "Home Assistant REST API, minimal_response",
    minimal,
    {"sensor.line_flow": TRUTH["flow"]},
    alt=[{"state": TRUTH["flow"]}, {"flow": TRUTH["flow"]}],
    or_refuse=True,
    doubt="Only the first record names the entity.",
)
theme.add(
    "c",
    "openHAB persistence",
    "openHAB REST API, ItemHistoryDTO",
    {
        "name": "Line1_Flow",
        "totalrecords": "24",
        "datapoints": "24",
        "data": [{"time": epoch_ms(row["ts"]), "state": str(row["flow"])} for row in ROWS],
    },
    {"Line1_Flow": TRUTH["flow"]},
    alt=[{"state": TRUTH["flow"]}],
)
theme.add(
    "b",
    "Node-RED messages",
    "Node-RED msg object",
    [
        {
            "_msgid": f"{i:08x}.f00",
            "topic": f"line1/{name}",
            "payload": row[name],
            "timestamp": epoch_ms(row["ts"]),
            "qos": 0,
            "retain": False,
        }
        for i, row in enumerate(ROWS)
        for name in NAMES
    ],
    rename(TRUTH, lambda name: f"line1/{name}"),
    alt=[TRUTH],
)
theme.add(
    "c",
    "Node-RED dashboard chart",
    "Node-RED dashboard ui_chart stored data",
    [
        {
            "series": ["flow", "ph"],
            "data": [[{"x": epoch_ms(row["ts"]), "y": row[name]} for row in ROWS] for name in NAMES],
            "labels": [""],
        }
    ],
    TRUTH,
)
theme.add(
    "b",
    "ioBroker history",
    "ioBroker getHistory result",
    {
        "result": [
            {"val": row["flow"], "ack": True, "ts": epoch_ms(row["ts"]), "q": 0, "lc": epoch_ms(row["ts"])}
            for row in ROWS
        ],
        "step": None,
        "error": None,
    },
    {"val": TRUTH["flow"]},
    alt=[{"value": TRUTH["flow"]}],
)
netatmo = {
    "body": {
        "devices": [
            {
                "_id": "70:ee:50:00:00:01",
                "type": "NAMain",
                "module_name": "Line 1",
                "wifi_status": 55,
                "dashboard_data": {
                    "time_utc": epoch_ms(ROWS[0]["ts"]) // 1000,
                    "Temperature": 21.4,
                    "CO2": 967,
                    "Humidity": 36,
                    "Noise": 45,
                    "Pressure": 997.6,
                },
            }
        ]
    },
    "status": "ok",
    "time_exec": 0.06,
}
first = epoch_ms(ROWS[0]["ts"])
station: Truth = {
    "Temperature": [(first, 21.4)],
    "CO2": [(first, 967)],
    "Humidity": [(first, 36)],
    "Noise": [(first, 45)],
    "Pressure": [(first, 997.6)],
}
theme.add(
    "b",
    "Netatmo station data",
    "Netatmo Connect API, getstationsdata",
    netatmo,
    station,
    or_refuse=True,
    alt=[
        {**station, "wifi_status": [(first, 55)]},
        *named(station, "dashboard_data.{}"),
        {**named(station, "dashboard_data.{}")[0], "wifi_status": [(first, 55)]},
    ],
)
measure = {
    "body": [{"beg_time": first // 1000, "step_time": 60, "value": [[row["flow"]] for row in ROWS]}],
    "status": "ok",
    "time_exec": 0.05,
}
theme.add(
    "c",
    "Netatmo getmeasure, optimised",
    "Netatmo Connect API, getmeasure optimize=true",
    measure,
    {"value": TRUTH["flow"]},
    or_refuse=True,
    alt=[{"body": TRUTH["flow"]}, {"body.value": TRUTH["flow"]}],
    doubt="The times follow from beg_time and step_time; a reader that does not know the form has to refuse.",
)
positions = [
    (f"{name}{first}", f"{name}{first + 1}")
    for name in ("", "value ", "value_", "column ", "column_")
    for first in (0, 1, 2)
]
by_position = [rename(TRUTH, {"flow": first, "ph": second}) for first, second in positions]
theme.add(
    "c",
    "Netatmo getmeasure, by time",
    "Netatmo Connect API, getmeasure optimize=false",
    {"body": {str(epoch_ms(row["ts"]) // 1000): [row["flow"], row["ph"]] for row in ROWS}, "status": "ok"},
    by_position[0],
    alt=by_position[1:],
    or_refuse=True,
    doubt="The values have no names: names by position, or a refusal.",
)
