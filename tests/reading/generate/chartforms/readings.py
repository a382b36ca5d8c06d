"""The readings that the parts of `chartforms` write, and their theme."""

import pandas as pd
from kit import Row, Theme, Truth, epoch_ms, rows, table, wave, wide

theme = Theme("chartforms")

FRAME = table({"Inlet °C": wave(16, 33, 3), "Outlet °C": wave(16, 29, 2, 1)}, start="2026-12-31T22:00:00Z", step_s=900)

TRUTH = wide(FRAME)

ROWS: list[Row] = rows(FRAME)

NAMES = ("Inlet °C", "Outlet °C")

TEXTS = [row["ts"] for row in ROWS]

STAMPS = [epoch_ms(text) for text in TEXTS]

VALUES = {name: [row[name] for row in ROWS] for name in NAMES}

CLOCK = [text[11:16] for text in TEXTS]

TANKS = ["Tank 1", "Tank 2", "Tank 3", "Tank 4"]

LEVELS = [3.5, 2.25, 9.0, 7.75]

BY_NAME: Truth = {"Level": [(None, value) for value in LEVELS]}


def stamp_at(position: int) -> pd.Timestamp:
    return pd.Timestamp(STAMPS[position], unit="ms", tz="UTC")
