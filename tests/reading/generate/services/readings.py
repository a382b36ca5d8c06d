"""The readings that the parts of `services` write, and their theme."""

import pandas as pd
from kit import Row, Theme, rows, table, wave, wide

theme = Theme("services")

FRAME = table(
    {"temperature": wave(20, 38, 3), "co2_flow": wave(20, 120, 15, 2, digits=1)},
    start="2026-08-09T18:00:00Z",
    step_s=300,
    time="Timestamp",
)

TRUTH = wide(FRAME, "Timestamp")

ROWS: list[Row] = rows(FRAME, "Timestamp")

LISTS = [list(row.values()) for row in ROWS]


def google_date(text: str) -> str:
    moment = pd.Timestamp(text)
    return f"Date({moment.year}, {moment.month - 1}, {moment.day}, {moment.hour}, {moment.minute}, {moment.second})"
