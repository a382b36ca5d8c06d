"""Monitoring systems, historians and home automation: gauges."""

import json

from kit import epoch_ms, timeless

from monitoring.readings import NAMES, ROWS, TRUTH, named, theme

text = (
    '# HELP plant_flow Flow.\n# TYPE plant_flow gauge\nplant_flow{line="1"} 12.5\nplant_flow{line="2"} 11.25\n'
    "# TYPE plant_ph gauge\nplant_ph 8.1\n"
)
theme.add(
    "b",
    "Prometheus text exposition",
    "Prometheus exposition format",
    text,
    {'plant_flow{line="1"}': [(None, 12.5)], 'plant_flow{line="2"}': [(None, 11.25)], "plant_ph": [(None, 8.1)]},
    alt=[{"plant_flow": [(None, 12.5), (None, 11.25)], "plant_ph": [(None, 8.1)]}],
    or_refuse=True,
    doubt="A scrape without times: a refusal is the likely right answer.",
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
