"""The readings that the parts of `charts` write, and their theme."""

from typing import Any

from kit import Row, Theme, Truth, epoch_ms, plant, rows, wide

theme = Theme("charts")

FRAME = plant(24, start="2026-09-01T05:00:00Z", step_s=120)

TRUTH = wide(FRAME)

ROWS: list[Row] = rows(FRAME)

NAMES = ("co2_flow_rate", "water_temp")

STAMPS = [epoch_ms(row["ts"]) for row in ROWS]

TEXTS = [row["ts"] for row in ROWS]

ONE = TRUTH["water_temp"]


def any_name(points: Any, *names: str) -> list[Truth]:
    return [
        {name: points}
        for name in (*names, "value", "y", "values", "series", "data", "v", "c", "series 1", "series_1", "1", "0")
    ]
