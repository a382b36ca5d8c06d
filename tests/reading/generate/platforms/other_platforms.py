"""Shapes of Redis that any client writes, and forms that other platforms' caches are known to use: other platforms."""

import json
from typing import Any

from kit import epoch_ms

from platforms.readings import ROWS, TRUTH, theme

documents = json.dumps(ROWS)
theme.add(
    "bc",
    ".NET distributed cache",
    "Microsoft.Extensions.Caching.StackExchangeRedis, hash of absexp, sldexp, data",
    [b"absexp", b"639046908000000000", b"sldexp", b"-1", b"data", documents.encode()],
    TRUTH,
    shape="hash",
)
jackson: list[Any] = [
    "java.util.ArrayList",
    [
        {
            "@class": "com.plant.Reading",
            "ts": ["java.util.Date", epoch_ms(row["ts"])],
            "co2_flow_rate": row["co2_flow_rate"],
            "pressure_bar": ["java.math.BigDecimal", row["pressure_bar"]],
        }
        for row in ROWS
    ],
]
theme.add(
    "c",
    "Spring Data Redis, typed JSON",
    "Spring Data Redis GenericJackson2JsonRedisSerializer",
    jackson,
    TRUTH,
    or_refuse=True,
    doubt="Type names stand before each value.",
)
theme.add(
    "b",
    "Spring Data Redis, typed root",
    "Spring Data Redis GenericJackson2JsonRedisSerializer",
    {
        "@class": "com.plant.Batch",
        "readings": ["java.util.ArrayList", [{"@class": "com.plant.Reading", **row} for row in ROWS]],
    },
    TRUTH,
    or_refuse=True,
)
