"""Monitoring systems, historians and home automation: prometheus."""

from kit import Row, epoch_ms, rename

from monitoring.readings import NAMES, ROWS, TRUTH, named, theme


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
            {"metric": labels(name), "value": [epoch_ms(ROWS[0]["ts"]) / 1000, str(ROWS[0][name])]} for name in NAMES
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
