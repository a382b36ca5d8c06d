"""What the data frame libraries write."""

import io
import json

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as arrow_csv
import tablib
from kit import Theme, iso, lib, plain, plant, rename, rows, table, timeless, wave, wide

PANDAS = lib("pandas")
POLARS = lib("polars")


def pandas_orients(theme: Theme) -> None:
    frame = plant(24)
    truth = wide(frame)
    indexed = frame.set_index("ts")

    def hint(orient: str) -> dict[str, str]:
        return {"call": "read_json", "orient": orient, "time": "ts"}

    source = f"{PANDAS} DataFrame.to_json"
    theme.add(
        "b",
        "index orient, row numbers as keys",
        source,
        frame.to_json(orient="index", date_format="iso"),
        truth,
        pandas=hint("index"),
    )
    positions = [
        dict(zip(frame.columns[1:], names, strict=True))
        for names in (
            ("1", "2"),
            ("2", "3"),
            ("0", "1"),
            ("column 1", "column 2"),
            ("column 2", "column 3"),
            ("column_1", "column_2"),
            ("column_2", "column_3"),
            ("c1", "c2"),
            ("value", "value 2"),
            ("value_1", "value_2"),
            ("series 1", "series 2"),
        )
    ]
    named, *others = [rename(truth, names) for names in positions]
    theme.add(
        "c",
        "values orient: rows without names",
        source,
        frame.to_json(orient="values", date_format="iso"),
        named,
        alt=others,
        or_refuse=True,
        doubt="No names anywhere: names by position, or a refusal.",
    )
    theme.add(
        "bc",
        "time as index, columns orient, iso keys",
        source,
        indexed.to_json(orient="columns", date_format="iso"),
        truth,
        pandas={"call": "read_json", "orient": "columns", "time": "index"},
    )
    theme.add(
        "c",
        "time as index, columns orient, epoch ms keys",
        source,
        indexed.to_json(orient="columns", date_format="epoch"),
        truth,
        pandas={"call": "read_json", "orient": "columns", "time": "index"},
    )
    theme.add(
        "b",
        "time as index, index orient, iso keys",
        source,
        indexed.to_json(orient="index", date_format="iso"),
        truth,
        pandas={"call": "read_json", "orient": "index", "time": "index"},
    )
    theme.add(
        "bc",
        "time as index, split orient, epoch ms",
        source,
        indexed.to_json(orient="split", date_format="epoch"),
        truth,
        pandas={"call": "read_json", "orient": "split", "time": "index"},
    )
    theme.add(
        "c",
        "time as index, split orient, epoch s",
        source,
        indexed.to_json(orient="split", date_format="epoch", date_unit="s"),
        truth,
    )
    theme.add(
        "b",
        "records orient, epoch ns",
        source,
        frame.to_json(orient="records", date_format="epoch", date_unit="ns"),
        truth,
    )
    theme.add(
        "c",
        "records orient, epoch us",
        source,
        frame.to_json(orient="records", date_format="epoch", date_unit="us"),
        truth,
    )
    theme.add(
        "c",
        "records orient, iso with ns",
        source,
        frame.to_json(orient="records", date_format="iso", date_unit="ns"),
        truth,
        pandas=hint("records"),
    )
    theme.add(
        "bc",
        "table orient with schema",
        source,
        indexed.to_json(orient="table"),
        truth,
        pandas={"call": "read_json", "orient": "table", "time": "index"},
    )
    theme.add(
        "b",
        "table orient, row numbers as index",
        source,
        frame.to_json(orient="table"),
        truth,
        pandas={"call": "read_json", "orient": "table", "time": "ts"},
    )
    series = indexed["water_temp"]
    alone = {"water_temp": truth["water_temp"]}
    theme.add(
        "c",
        "one Series, iso keys and no name",
        f"{PANDAS} Series.to_json",
        series.to_json(date_format="iso"),
        {"value": truth["water_temp"]},
        alt=[{other: truth["water_temp"]} for other in ("values", "series", "y", "data", "0", "c")],
        doubt="The name is nowhere in the payload; any name of one series is right.",
    )
    theme.add(
        "c",
        "one Series, split orient",
        f"{PANDAS} Series.to_json",
        series.to_json(orient="split", date_format="iso"),
        alone,
    )
    theme.add(
        "b",
        "one Series as frame, csv with the index",
        f"{PANDAS} Series.to_csv",
        series.to_csv(),
        alone,
        pandas={"call": "read_csv", "time": "ts"},
    )


def pandas_values(theme: Theme) -> None:
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
        json.dumps(
            [{"ts": iso(row.ts), "temp": row.temp, "pressure_bar": row.pressure_bar} for row in frame.itertuples()]
        ),
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


def pandas_sizes(theme: Theme) -> None:
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


def polars(theme: Theme) -> None:
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


def others(theme: Theme) -> None:
    frame = plant(24, start="2026-01-31T23:50:00Z", step_s=30)
    truth = wide(frame)
    arrow = pa.Table.from_pandas(frame)
    theme.add(
        "b",
        "pyarrow to_pylist",
        f"{lib('pyarrow')} Table.to_pylist and json.dumps default=str",
        json.dumps(arrow.to_pylist(), default=str),
        truth,
    )
    theme.add(
        "c",
        "pyarrow to_pydict",
        f"{lib('pyarrow')} Table.to_pydict and json.dumps default=str",
        json.dumps(arrow.to_pydict(), default=str),
        truth,
    )
    sink = io.BytesIO()
    arrow_csv.write_csv(arrow, sink)
    theme.add(
        "bc",
        "pyarrow csv, quoted header",
        f"{lib('pyarrow')} csv.write_csv",
        sink.getvalue(),
        truth,
        pandas={"call": "read_csv", "time": "ts"},
    )
    duck = duckdb.connect()
    duck.register("frame", frame)
    duck.execute("SET TimeZone='UTC'")
    listed = duck.sql("SELECT to_json(list(r)) FROM (SELECT * FROM frame) r").fetchall()[0]
    theme.add("bc", "duckdb to_json of a list of structs", f"{lib('duckdb')} to_json", listed[0], truth)
    columns = duck.sql(
        "SELECT to_json({ts: list(ts), co2_flow_rate: list(co2_flow_rate), water_temp: list(water_temp)}) FROM frame"
    ).fetchall()[0]
    theme.add("c", "duckdb to_json of columns", f"{lib('duckdb')} to_json", columns[0], truth)
    long = duck.sql(
        "SELECT to_json(list(r)) FROM (UNPIVOT frame ON co2_flow_rate, water_temp INTO NAME name VALUE value) r"
    ).fetchall()[0]
    theme.add("b", "duckdb unpivot", f"{lib('duckdb')} UNPIVOT and to_json", long[0], truth)
    records = rows(frame, form=lambda moment: moment.strftime("%Y-%m-%d %H:%M:%S"))
    theme.add("bc", "R jsonlite dataframe=rows", "jsonlite, toJSON dataframe argument", records, truth)
    theme.add(
        "c",
        "R jsonlite dataframe=columns",
        "jsonlite, toJSON dataframe argument",
        {name: [record[name] for record in records] for name in frame.columns},
        truth,
    )
    theme.add(
        "b",
        "R jsonlite dataframe=values with names",
        "jsonlite, toJSON dataframe argument",
        {"names": list(frame.columns), "values": [list(record.values()) for record in records]},
        truth,
    )
    boxed = [{name: [value] for name, value in record.items()} for record in records]
    theme.add("c", "R jsonlite list without auto_unbox", "jsonlite, toJSON auto_unbox argument", boxed, truth)
    sheet = tablib.Dataset(*[list(record.values()) for record in records], headers=list(frame.columns))
    theme.add(
        "b",
        "tablib csv",
        f"{lib('tablib')} Dataset.export('csv')",
        sheet.export("csv"),
        truth,
        pandas={"call": "read_csv", "time": "ts"},
    )
    theme.add("c", "tablib json", f"{lib('tablib')} Dataset.export('json')", sheet.export("json"), truth)
    theme.add(
        "b",
        "header row of names, rows of values",
        "csv.reader rows and json.dumps",
        [list(frame.columns), *[[plain(value) for value in record.values()] for record in records]],
        truth,
    )


def build() -> Theme:
    theme = Theme("dataframes")
    for part in (pandas_orients, pandas_values, pandas_sizes, polars, others):
        part(theme)
    return theme
