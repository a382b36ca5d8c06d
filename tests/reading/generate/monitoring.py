"""Monitoring systems, historians and home automation."""

import json
from typing import Any

from kit import Row, Theme, Truth, epoch_ms, iso, rename, rows, table, timeless, wave, wide

FRAME = table({"flow": wave(24, 14.5, 2.5), "ph": wave(24, 8.1, 0.2, 1)}, start="2026-10-10T08:00:00Z", step_s=60)
TRUTH = wide(FRAME)
ROWS: list[Row] = rows(FRAME)
NAMES = ("flow", "ph")


def named(truth: Truth, *forms: str) -> list[Truth]:
    return [rename(truth, lambda name, form=form: form.format(name)) for form in forms]


def prometheus(theme: Theme) -> None:
    def labels(name: str) -> Row:
        return {"__name__": f"plant_{name}", "instance": "10.0.0.4:9100", "job": "plc"}

    truth = rename(TRUTH, lambda name: f"plant_{name}")
    alt = named(
        truth,
        '{}{{instance="10.0.0.4:9100",job="plc"}}',
        '{}{{instance="10.0.0.4:9100", job="plc"}}',
        "{} 10.0.0.4:9100 plc",
        "{} instance=10.0.0.4:9100 job=plc",
    )
    matrix = {
        "status": "success",
        "data": {
            "resultType": "matrix",
            "result": [
                {"metric": labels(name), "values": [[epoch_ms(row["ts"]) / 1000, str(row[name])] for row in ROWS]}
                for name in NAMES
            ],
        },
    }
    theme.add("bc", "Prometheus query_range", "Prometheus HTTP API, range queries", matrix, truth, alt=alt)
    one_name = {
        "status": "success",
        "data": {
            "resultType": "matrix",
            "result": [
                {
                    "metric": {"__name__": "temp_celsius", "sensor": sensor},
                    "values": [[epoch_ms(row["ts"]) // 1000, str(row[name])] for row in ROWS],
                }
                for sensor, name in (("inlet", "flow"), ("outlet", "ph"))
            ],
        },
        "warnings": [],
        "infos": [],
    }
    by_sensor = {"inlet": TRUTH["flow"], "outlet": TRUTH["ph"]}
    theme.add(
        "bc",
        "Prometheus query_range, one name and two sensors",
        "Prometheus HTTP API, range queries",
        one_name,
        by_sensor,
        alt=named(
            by_sensor,
            'temp_celsius{{sensor="{}"}}',
            "temp_celsius.{}",
            "temp_celsius {}",
            "temp_celsius/{}",
            "temp_celsius_{}",
            "temp_celsius sensor={}",
            "temp_celsius{{sensor={}}}",
            "temp_celsius[{}]",
            "temp_celsius ({})",
            "{}.temp_celsius",
            "{} temp_celsius",
            "temp_celsius:{}",
            "temp_celsius@{}",
            "{}/temp_celsius",
            "{}: temp_celsius",
            "temp_celsius, {}",
            "temp_celsius · {}",
            "temp_celsius | {}",
        ),
        doubt="Two labels at one time are two series; the names may differ, 48 values in one series is a misreading.",
    )
    vector = {
        "status": "success",
        "data": {
            "resultType": "vector",
            "result": [
                {"metric": labels(name), "value": [epoch_ms(ROWS[0]["ts"]) / 1000, str(ROWS[0][name])]}
                for name in NAMES
            ],
        },
    }
    theme.add(
        "b",
        "Prometheus instant query",
        "Prometheus HTTP API, instant queries",
        vector,
        {name: points[:1] for name, points in truth.items()},
        alt=[{name: points[:1] for name, points in other.items()} for other in alt],
    )
    nan = {
        "status": "success",
        "data": {
            "resultType": "matrix",
            "result": [
                {
                    "metric": {"__name__": "plant_flow"},
                    "values": [
                        [epoch_ms(row["ts"]) / 1000, "NaN" if i in (3, 4) else "+Inf" if i == 9 else str(row["flow"])]
                        for i, row in enumerate(ROWS)
                    ],
                }
            ],
        },
    }
    kept = {"plant_flow": [point for i, point in enumerate(TRUTH["flow"]) if i not in (3, 4, 9)]}
    theme.add("c", "Prometheus with NaN and +Inf", "Prometheus HTTP API, expression query result formats", nan, kept)
    theme.add(
        "b",
        "Loki matrix",
        "Grafana Loki HTTP API, query_range",
        {
            "status": "success",
            "data": {
                "resultType": "matrix",
                "result": [
                    {
                        "metric": {"line": "1"},
                        "values": [[epoch_ms(row["ts"]) // 1000, str(row["flow"])] for row in ROWS],
                    }
                ],
                "stats": {"summary": {"bytesProcessedPerSecond": 3507022, "totalLinesProcessed": 24}},
            },
        },
        {"value": TRUTH["flow"]},
        alt=[
            {name: TRUTH["flow"]}
            for name in (
                "1",
                "line=1",
                '{line="1"}',
                "values",
                "line 1",
                "value line=1",
                "value{line=1}",
                'value{line="1"}',
                "value 1",
                "value.1",
                "line.1",
                "metric",
                "result",
                "{line=1}",
            )
        ],
        doubt="No name, one label: any name of one series is right.",
    )


def grafana(theme: Theme) -> None:
    def frame(fields: list[Row], values: list[list[Any]]) -> Row:
        return {"schema": {"refId": "A", "fields": fields}, "data": {"values": values}}

    time = {"name": "time", "type": "time", "typeInfo": {"frame": "time.Time"}}
    number = [{"name": name, "type": "number", "typeInfo": {"frame": "float64", "nullable": True}} for name in NAMES]
    stamps = [epoch_ms(row["ts"]) for row in ROWS]
    wide_frame = frame([time, *number], [stamps, *([row[name] for row in ROWS] for name in NAMES)])
    theme.add(
        "bc",
        "Grafana ds/query, wide frame",
        "Grafana data plane, time series wide",
        {"results": {"A": {"status": 200, "frames": [wide_frame]}}},
        TRUTH,
    )
    multi = [
        frame(
            [time, {"name": "Value", "type": "number", "labels": {"tag": name}, "config": {"displayNameFromDS": name}}],
            [stamps, [row[name] for row in ROWS]],
        )
        for name in NAMES
    ]
    theme.add(
        "c",
        "Grafana ds/query, multi frame",
        "Grafana data plane, time series multi",
        {"results": {"A": {"status": 200, "frames": multi}}},
        TRUTH,
        alt=named(
            TRUTH,
            "Value.{}",
            "Value {}",
            "{}.Value",
            "Value{{tag={}}}",
            'Value{{tag="{}"}}',
            "Value tag={}",
            "tag={}",
            "Value/{}",
            "Value ({})",
            "Value: {}",
            "{} Value",
            "Value_{}",
        ),
        doubt="Both value fields are called Value; the name is a label.",
    )
    theme.add(
        "b",
        "Grafana simple JSON time series",
        "Grafana JSON datasource, /query",
        [{"target": name, "datapoints": [[row[name], epoch_ms(row["ts"])] for row in ROWS]} for name in NAMES],
        TRUTH,
    )
    theme.add(
        "c",
        "Grafana table response",
        "Grafana JSON datasource, /query type=table",
        [
            {
                "columns": [
                    {"text": "Time", "type": "time"},
                    {"text": "flow", "type": "number"},
                    {"text": "ph", "type": "number"},
                ],
                "rows": [[epoch_ms(row["ts"]), row["flow"], row["ph"]] for row in ROWS],
                "type": "table",
            }
        ],
        TRUTH,
    )
    theme.add(
        "b",
        "Grafana csv download",
        "Grafana inspect panel, Download CSV",
        '"Time","flow","ph"\n'
        + "".join(f"{row['ts'][:10]} {row['ts'][11:19]},{row['flow']} m³/h,{row['ph']}\n" for row in ROWS),
        TRUTH,
        or_refuse=True,
        alt=[{"ph": TRUTH["ph"]}],
        doubt="`14.5 m³/h` is text with a unit: reading the number, or leaving the column out with a reason.",
    )


def historians(theme: Theme) -> None:
    def item(row: Row, name: str) -> Row:
        return {
            "Timestamp": iso(row["ts"], 7),
            "Value": row[name],
            "UnitsAbbreviation": "m3/h",
            "Good": True,
            "Questionable": False,
            "Substituted": False,
            "Annotated": False,
        }

    one = TRUTH["flow"]
    alt = [{name: one} for name in ("value", "Items", "m3/h")]
    theme.add(
        "bc",
        "PI Web API recorded",
        "PI Web API Reference, Stream GetRecorded",
        {"Links": {}, "Items": [item(row, "flow") for row in ROWS], "UnitsAbbreviation": "m3/h"},
        {"Value": one},
        alt=alt,
    )
    bad = [
        item(row, "flow")
        if i not in (4, 5)
        else {**item(row, "flow"), "Good": False, "Value": {"Name": "Bad Input", "Value": 255, "IsSystem": True}}
        for i, row in enumerate(ROWS)
    ]
    good = [point for i, point in enumerate(one) if i not in (4, 5)]
    theme.add(
        "c",
        "PI Web API recorded with system states",
        "PI Web API Reference, Stream GetRecorded",
        {"Links": {}, "Items": bad, "UnitsAbbreviation": "m3/h"},
        {"Value": good},
        alt=[{"value": good}],
        doubt="`Value.Value` 255 is a state's number. A second series of 255s is a misreading.",
    )
    streams = {
        "Links": {},
        "Items": [
            {
                "WebId": f"F1AbE{i}",
                "Name": name.upper(),
                "Path": rf"\\PI\Plant|{name.upper()}",
                "Links": {},
                "Items": [item(row, name) for row in ROWS],
                "UnitsAbbreviation": "",
            }
            for i, name in enumerate(NAMES)
        ],
    }
    theme.add(
        "bc",
        "PI Web API streamset interpolated",
        "PI Web API Reference, StreamSet GetInterpolated",
        streams,
        rename(TRUTH, str.upper),
        alt=named(rename(TRUTH, str.upper), "{}.Value", "{} Value"),
    )
    snapshot = {
        "Links": {},
        "Items": [
            {
                "WebId": f"F1AbE{i}",
                "Name": name.upper(),
                "Path": rf"\\PI\Plant|{name.upper()}",
                "Links": {},
                "Value": item(ROWS[i], name),
            }
            for i, name in enumerate(NAMES)
        ],
    }
    theme.add(
        "b",
        "PI Web API streamset values",
        "PI Web API Reference, StreamSet GetValues",
        snapshot,
        {name.upper(): [TRUTH[name][i]] for i, name in enumerate(NAMES)},
        or_refuse=True,
        doubt="One value per stream, nested one deeper.",
    )
    dataset = {
        "columns": [
            {"name": "t_stamp", "type": "java.util.Date"},
            {"name": "flow", "type": "java.lang.Double"},
            {"name": "ph", "type": "java.lang.Double"},
        ],
        "rows": [[epoch_ms(row["ts"]), row["flow"], row["ph"]] for row in ROWS],
    }
    theme.add("b", "Ignition dataset", "Ignition system.dataset.toJSONObject form", dataset, TRUTH)
    theme.add(
        "c",
        "Ignition tag history, tall",
        "Ignition system.tag.queryTagHistory, returnFormat Tall",
        [
            {"path": f"[default]Line1/{name}", "value": row[name], "quality": 192, "timestamp": epoch_ms(row["ts"])}
            for row in ROWS
            for name in NAMES
        ],
        rename(TRUTH, lambda name: f"[default]Line1/{name}"),
        alt=[TRUTH],
        doubt="Quality 192 means Good; it is no measurement.",
    )
    theme.add(
        "c",
        "Canary / OPC HDA triples",
        "Canary Views Web API, getTagData",
        {
            "statusCode": "Good",
            "data": {
                f"Line1.{name}": [{"t": iso(row["ts"], 7), "v": row[name], "q": 192} for row in ROWS] for name in NAMES
            },
            "continuation": None,
        },
        rename(TRUTH, lambda name: f"Line1.{name}"),
        alt=named(rename(TRUTH, lambda name: f"Line1.{name}"), "{}.v"),
    )
    theme.add(
        "b",
        "AVEVA Data Hub values",
        "AVEVA Data Hub, Sequential Data Store list values",
        [{"Timestamp": row["ts"], "Flow": row["flow"], "IsQuestionable": False} for row in ROWS],
        {"Flow": one},
    )
    theme.add(
        "b",
        "Zabbix history.get",
        "Zabbix API, history.get",
        {
            "jsonrpc": "2.0",
            "id": 1,
            "result": [
                {
                    "itemid": str(23296 + i),
                    "clock": str(epoch_ms(row["ts"]) // 1000),
                    "value": str(row[name]),
                    "ns": str(563157632 + i),
                }
                for row in ROWS
                for i, name in enumerate(NAMES)
            ],
        },
        {"23296": TRUTH["flow"], "23297": TRUTH["ph"]},
        alt=named(
            {"23296": TRUTH["flow"], "23297": TRUTH["ph"]},
            "value.{}",
            "value {}",
            "itemid={}",
            "itemid {}",
            "value itemid={}",
            "value/{}",
            "{}.value",
            "itemid.{}",
            "item {}",
        ),
        or_refuse=True,
        doubt="The only label is an id in digits; `ns` is a part of the time.",
    )


def homes(theme: Theme) -> None:
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
    theme.add(
        "bc", "Home Assistant history", "Home Assistant REST API, /api/history/period", history, truth, alt=[TRUTH]
    )
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
        None,
        refuse="",
        alt=[],
        doubt="The times follow from beg_time and step_time; a reader that does not know the form has to refuse.",
    )
    theme.add(
        "c",
        "Netatmo getmeasure, by time",
        "Netatmo Connect API, getmeasure optimize=false",
        {"body": {str(epoch_ms(row["ts"]) // 1000): [row["flow"], row["ph"]] for row in ROWS}, "status": "ok"},
        None,
        refuse="",
        doubt="The values have no names. Names by position would be defensible as well.",
    )


def gauges(theme: Theme) -> None:
    text = (
        '# HELP plant_flow Flow.\n# TYPE plant_flow gauge\nplant_flow{line="1"} 12.5\nplant_flow{line="2"} 11.25\n'
        "# TYPE plant_ph gauge\nplant_ph 8.1\n"
    )
    theme.add(
        "b",
        "Prometheus text exposition",
        "Prometheus exposition format",
        text,
        None,
        refuse="",
        doubt="A scrape without times. Reading three one-value series would be defensible.",
    )
    telegraf = "\n".join(
        json.dumps(
            {
                "fields": {"flow": row["flow"], "ph": row["ph"]},
                "name": "plant",
                "tags": {"host": "gw1"},
                "timestamp": epoch_ms(row["ts"]) // 1000,
            }
        )
        for row in ROWS
    )
    theme.add(
        "bc",
        "Telegraf json",
        "Telegraf JSON serializer",
        telegraf,
        TRUTH,
        alt=named(TRUTH, "plant.{}", "plant {}", "fields.{}"),
    )
    theme.add(
        "b",
        "Telegraf json batch",
        "Telegraf JSON serializer, batch format",
        {
            "metrics": [
                {
                    "fields": {"flow": row["flow"], "ph": row["ph"]},
                    "name": "plant",
                    "tags": {"host": "gw1"},
                    "timestamp": epoch_ms(row["ts"]) // 1000,
                }
                for row in ROWS
            ]
        },
        TRUTH,
        alt=named(TRUTH, "plant.{}", "plant {}", "fields.{}"),
    )
    otlp = {
        "resourceMetrics": [
            {
                "resource": {"attributes": []},
                "scopeMetrics": [
                    {
                        "scope": {"name": "plc"},
                        "metrics": [
                            {
                                "name": name,
                                "unit": "1",
                                "gauge": {
                                    "dataPoints": [
                                        {
                                            "timeUnixNano": str(epoch_ms(row["ts"]) * 1_000_000),
                                            "asDouble": row[name],
                                            "attributes": [],
                                        }
                                        for row in ROWS
                                    ]
                                },
                            }
                            for name in NAMES
                        ],
                    }
                ],
            }
        ]
    }
    theme.add(
        "b",
        "OpenTelemetry metrics",
        "OTLP/JSON metrics",
        otlp,
        TRUTH,
        alt=named(TRUTH, "{}.asDouble", "{} asDouble", "{}.gauge"),
    )
    theme.add(
        "c",
        "Netdata",
        "Netdata data API, format=json",
        {
            "labels": ["time", "flow", "ph"],
            "data": [[epoch_ms(row["ts"]) // 1000, row["flow"], row["ph"]] for row in reversed(ROWS)],
        },
        TRUTH,
    )
    theme.add(
        "c",
        "collectd / rrdtool xport",
        "rrdtool xport --json",
        {
            "about": "RRDtool graph JSON output",
            "meta": {
                "start": epoch_ms(ROWS[0]["ts"]) // 1000,
                "end": epoch_ms(ROWS[-1]["ts"]) // 1000,
                "step": 60,
                "legend": ["flow", "ph"],
            },
            "data": [[row["flow"], row["ph"]] for row in ROWS],
        },
        timeless(TRUTH),
        or_refuse=True,
        alt=[TRUTH],
        doubt="Times follow from start and step; names stand under meta.legend.",
    )


def build() -> Theme:
    theme = Theme("monitoring")
    for part in (prometheus, grafana, historians, homes, gauges):
        part(theme)
    return theme
