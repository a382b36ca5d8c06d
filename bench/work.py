"""Batches as clients write them, all with different contents: the work for every consumer."""

import json
import random
from collections.abc import Iterator

from shared import namespaces

METRICS = {"co2_flow_rate": (1.2, 0.05), "water_flow": (30.0, 0.6), "water_temp": (24.1, 0.2), "ph": (7.1, 0.03)}
ROWS = 25
"""Records of a batch; 4 metrics each, so 100 readings and about 8 KB."""


def batch(number: int, *, rows: int = ROWS) -> bytes:
    """The JSON text of batch `number`: normally distributed readings, with hardly any anomaly."""
    chance = random.Random(number)
    records = [
        {
            "timestamp": f"2026-01-01T{row // 3600 % 24:02}:{row // 60 % 60:02}:{row % 60:02}.000Z",
            "location": "injection-well-07, wellhead manifold, north skid",
            "quality": {"flag": "good", "source": "scada", "calibration": "2025-11-30", "operator": "automatic"},
            "data": {name: round(chance.gauss(*shape), 4) for name, shape in METRICS.items()},
        }
        for row in range(rows)
    ]
    return json.dumps({"batchId": f"bench-{number}", "records": records}).encode()


def batch_key(number: int) -> bytes:
    return namespaces.build(namespaces.BATCH, f"bench-{number}")


def result_key(number: int) -> bytes:
    return namespaces.build(namespaces.RESULT, f"bench-{number}")


def batches(count: int, first: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """Keys and contents of `count` batches."""
    return ((batch_key(number), batch(number)) for number in range(first, first + count))
