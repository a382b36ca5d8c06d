"""Hashes, lists and streams that are tables by themselves, as any client writes them."""

import gzip
import json

from platforms.readings import ROWS, TRUTH, theme

pressure = TRUTH["pressure_bar"]
theme.add(
    "b",
    "hash of metrics without a time",
    "redis-cli HSET",
    ["co2_flow_rate", "11.25", "pressure_bar", "1.625"],
    {"co2_flow_rate": [(None, 11.25)], "pressure_bar": [(None, 1.625)]},
    shape="hash",
)
by_time = [part for stamp, value in pressure for part in (str(stamp), str(value))]
theme.add(
    "b",
    "hash of epoch ms and value",
    "redis-cli HSET",
    by_time,
    {"value": pressure},
    shape="hash",
    or_refuse=True,
    alt=[{name: pressure} for name in ("values", "0", "y", "v", "data")],
    doubt="No name: any name of one series, or a refusal; 18 series of one value are a misreading.",
)
theme.add(
    "b",
    "list of numbers",
    "redis-cli RPUSH",
    [str(value) for _, value in pressure],
    {"value": [(None, value) for _, value in pressure]},
    shape="list",
    or_refuse=True,
    alt=[{name: [(None, value) for _, value in pressure]} for name in ("values", "0", "y", "v", "data")],
    doubt="Neither a name nor a time: a refusal is the likely right answer.",
)
theme.add(
    "b",
    "list of gzip texts",
    "redis-py rpush of gzip",
    [gzip.compress(json.dumps(row).encode(), mtime=0) for row in ROWS],
    TRUTH,
    shape="list",
)
theme.add(
    "b",
    "list of pairs",
    "redis-py rpush of JSON",
    [json.dumps([stamp, value]) for stamp, value in pressure],
    {"value": pressure},
    shape="list",
    or_refuse=True,
    alt=[{name: pressure} for name in ("values", "1", "y", "v", "data", "column 2", "column_2", "column 1")],
)
theme.add(
    "b",
    "stream of sensor and value",
    "redis-cli XADD",
    [
        ["sensor", sensor, "value", str(row[name]), "ts", row["ts"], "unit", "x"]
        for row in ROWS
        for sensor, name in (("F-1", "co2_flow_rate"), ("P-1", "pressure_bar"))
    ],
    {"F-1": TRUTH["co2_flow_rate"], "P-1": TRUTH["pressure_bar"]},
    shape="stream",
    alt=[{"value": [*TRUTH["co2_flow_rate"], *pressure]}],
    doubt="Per sensor; one metric over both is what the given cases allow.",
)
theme.add(
    "b",
    "stream whose entries differ",
    "redis-cli XADD",
    [
        [
            "ts",
            row["ts"],
            *(("co2_flow_rate", str(row["co2_flow_rate"])) if i % 2 else ("pressure_bar", str(row["pressure_bar"]))),
        ]
        for i, row in enumerate(ROWS)
    ],
    {"co2_flow_rate": TRUTH["co2_flow_rate"][1::2], "pressure_bar": TRUTH["pressure_bar"][0::2]},
    shape="stream",
)
