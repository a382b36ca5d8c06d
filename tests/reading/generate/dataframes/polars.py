"""What the data frame libraries write: polars."""

import json

import polars as pl
from kit import plant, wide

from dataframes.readings import POLARS, theme

frame = plant(24, start="2026-02-14T00:00:00Z", step_s=600)
truth = wide(frame)
native = pl.DataFrame(
    {
        "ts": list(frame["ts"].dt.to_pydatetime()),
        "co2_flow_rate": frame["co2_flow_rate"].tolist(),
        "water_temp": frame["water_temp"].tolist(),
    }
)
theme.add("bc", "polars write_json", f"{POLARS} DataFrame.write_json", native.write_json(), truth)
theme.add("bc", "polars write_ndjson", f"{POLARS} DataFrame.write_ndjson", native.write_ndjson(), truth)
theme.add(
    "bc",
    "polars write_csv",
    f"{POLARS} DataFrame.write_csv",
    native.write_csv(),
    truth,
    pandas={"call": "read_csv", "time": "ts"},
)
naive = native.with_columns(pl.col("ts").dt.replace_time_zone(None))
theme.add("c", "polars write_json without zone", f"{POLARS} DataFrame.write_json", naive.write_json(), truth)
theme.add(
    "b",
    "polars to_dict",
    f"{POLARS} DataFrame.to_dict and json.dumps default=str",
    json.dumps(native.to_dict(as_series=False), default=str),
    truth,
)
theme.add(
    "c",
    "polars rows beside columns",
    f"{POLARS} DataFrame.rows and columns",
    json.dumps({"columns": native.columns, "rows": native.rows()}, default=str),
    truth,
)
theme.add("b", "polars unpivot", f"{POLARS} DataFrame.unpivot", native.unpivot(index="ts").write_json(), truth)
theme.add(
    "b",
    "polars DataFrame.serialize",
    f"{POLARS} DataFrame.serialize (binary)",
    native.serialize(),
    None,
    refuse="",
    doubt="A private binary form; the reason may name anything.",
)
