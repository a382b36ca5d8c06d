"""What the data frame libraries write: pandas orients."""

from kit import plant, rename, wide

from dataframes.readings import PANDAS, theme

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
