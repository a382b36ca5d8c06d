"""What the data frame libraries write: others."""

import io
import json

import duckdb
import pyarrow as pa
import pyarrow.csv as arrow_csv
import tablib
from kit import lib, plain, plant, rows, wide

from dataframes.readings import theme

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
