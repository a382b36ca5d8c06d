"""What the data frame libraries write: pandas values."""

import json

import numpy as np
import pandas as pd
from kit import iso, plant, table, wave, wide

from dataframes.readings import PANDAS, theme

frame = table({"temp": wave(24, 20, 2), "pressure_bar": wave(24, 1.9, 0.05, 2, digits=3)})
frame.loc[5, "temp"] = np.nan
frame.loc[11, "pressure_bar"] = np.nan
frame.loc[12, "pressure_bar"] = np.nan
truth = wide(frame)
theme.add(
    "bc",
    "nulls in the middle",
    f"{PANDAS} DataFrame.to_json",
    frame.to_json(orient="records", date_format="iso"),
    truth,
    pandas={"call": "read_json", "orient": "records", "time": "ts"},
)
theme.add(
    "b",
    "NaN as bare words",
    "Python 3.13 json.dumps",
    json.dumps([{"ts": iso(row.ts), "temp": row.temp, "pressure_bar": row.pressure_bar} for row in frame.itertuples()]),
    truth,
)
theme.add(
    "c",
    "csv with empty cells and a row number",
    f"{PANDAS} DataFrame.to_csv",
    frame.to_csv(),
    truth,
    pandas={"call": "read_csv", "time": "ts", "drop": ["Unnamed: 0"]},
)
theme.add(
    "b",
    "csv with NaN and semicolons",
    f"{PANDAS} DataFrame.to_csv",
    frame.to_csv(index=False, sep=";", na_rep="NaN"),
    truth,
    pandas={"call": "read_csv", "sep": ";", "time": "ts"},
)
theme.add(
    "c",
    "tsv",
    f"{PANDAS} DataFrame.to_csv",
    plant().to_csv(index=False, sep="\t"),
    wide(plant()),
    pandas={"call": "read_csv", "sep": "\t", "time": "ts"},
)
theme.add(
    "b",
    "dict of lists",
    f"{PANDAS} DataFrame.to_dict('list') and json.dumps default=str",
    json.dumps(plant().to_dict("list"), default=str),
    wide(plant()),
)
theme.add(
    "c",
    "dict tight",
    f"{PANDAS} DataFrame.to_dict('tight') and json.dumps default=str",
    json.dumps(plant().to_dict("tight"), default=str),
    wide(plant()),
)
wide_index = plant().set_index("ts")
wide_index.columns = pd.MultiIndex.from_product([["line1"], wide_index.columns])
theme.add(
    "b",
    "two header levels flattened by to_json",
    f"{PANDAS} DataFrame.to_json, MultiIndex columns",
    wide_index.reset_index().to_json(orient="records", date_format="iso"),
    {f"line1.{name}": points for name, points in wide(plant()).items()},
    alt=[
        wide(plant()),
        {f"('line1', '{name}')": points for name, points in wide(plant()).items()},
        {f"('line1','{name}')": points for name, points in wide(plant()).items()},
        {f"line1 {name}": points for name, points in wide(plant()).items()},
    ],
    doubt="pandas writes the names as tuples in text; any readable name that holds both parts is right.",
)
