"""The readings that the parts of `codings` write, and their theme."""

import csv
import io

import pandas as pd
from kit import Theme, iso, rows, table, wave, wide

theme = Theme("encodings")


def sample(count: int = 24) -> pd.DataFrame:
    return table(
        {
            "Temperature (°C)": wave(count, 61, 5, 0.3),
            "CO2 [ppm]": wave(count, 421, 14, 1, digits=1),
            "Δp": wave(count, -0.4, 0.3, 2, digits=3),
        },
        start="2026-06-21T04:00:00Z",
        step_s=120,
    )


def as_csv(frame: pd.DataFrame, **how: object) -> str:
    sheet = io.StringIO()
    writer = csv.writer(sheet, **how)
    writer.writerow(frame.columns)
    writer.writerows([iso(row[0]), *row[1:]] for row in frame.itertuples(index=False, name=None))
    return sheet.getvalue()


FRAME = sample()

RECORDS = rows(FRAME)

TRUTH = wide(FRAME)
