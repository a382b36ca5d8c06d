"""What the data frame libraries write: pandas sizes."""

import numpy as np
import pandas as pd
from kit import plant, timeless, wave, wide

from dataframes.readings import PANDAS, theme

source = f"{PANDAS} DataFrame.to_json"
for count, kinds, orient in (
    (1, "bc", "records"),
    (2, "c", "split"),
    (3, "b", "columns"),
    (500, "bc", "records"),
    (500, "b", "split"),
):
    frame = plant(count, start="2025-11-03T22:15:30.250Z", step_s=15)
    theme.add(
        kinds,
        f"{count} rows, {orient}, sub-second start",
        source,
        frame.to_json(orient=orient, date_format="iso", date_unit="ms"),
        wide(frame),
        pandas={"call": "read_json", "orient": orient, "time": "ts"},
    )
newest_first = plant(24).iloc[::-1].reset_index(drop=True)
theme.add(
    "c",
    "newest first",
    source,
    newest_first.to_json(orient="records", date_format="iso"),
    wide(newest_first),
    pandas={"call": "read_json", "orient": "records", "time": "ts"},
)
numbers = pd.DataFrame({"x": np.round(np.linspace(0, 10, 21), 2), "yield_pct": wave(21, 60, 9)})
theme.add(
    "c",
    "numeric axis 0..10",
    source,
    numbers.to_json(orient="records"),
    timeless(wide(numbers, "x", []) | {"yield_pct": [(None, value) for value in numbers["yield_pct"]]}),
)
