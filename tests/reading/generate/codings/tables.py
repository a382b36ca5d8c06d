"""The same rows in every encoding, and in combinations of encodings: tables."""

import csv
import json

from kit import rename, wide

from codings.readings import FRAME, RECORDS, TRUTH, as_csv, theme

theme.add(
    "bc",
    "csv with BOM",
    "spreadsheet export, UTF-8",
    as_csv(FRAME).encode("utf-8-sig"),
    TRUTH,
    pandas={"call": "read_csv", "time": "ts"},
)
theme.add(
    "c",
    "csv with every cell quoted",
    "Python 3.13 csv QUOTE_ALL",
    as_csv(FRAME, quoting=csv.QUOTE_ALL),
    TRUTH,
    pandas={"call": "read_csv", "time": "ts"},
)
theme.add(
    "b",
    "csv with bars",
    "Python 3.13 csv delimiter |",
    as_csv(FRAME, delimiter="|"),
    TRUTH,
    pandas={"call": "read_csv", "sep": "|", "time": "ts"},
)
comma = FRAME.copy()
theme.add(
    "c",
    "csv with decimal commas and semicolons",
    "pandas to_csv(sep=';', decimal=',')",
    comma.to_csv(index=False, sep=";", decimal=","),
    TRUTH,
    pandas={"call": "read_csv", "sep": ";", "decimal": ",", "time": "ts"},
)
theme.add(
    "b",
    "csv in Windows-1252",
    "spreadsheet export, ANSI",
    as_csv(FRAME[["ts", "Temperature (°C)"]]).encode("cp1252"),
    wide(FRAME[["ts", "Temperature (°C)"]]),
    or_refuse=True,
    doubt="No UTF-8: reading it as Latin-1 is right, a refusal is allowed.",
)
theme.add(
    "c",
    "csv with comment lines",
    "data logger export",
    "# station: line 2\n# unit: mixed\n" + as_csv(FRAME),
    TRUTH,
    or_refuse=True,
    pandas={"call": "read_csv", "comment": "#", "time": "ts"},
)
theme.add("b", "csv in JSON", "Power Automate body", json.dumps({"csv": as_csv(FRAME)}), TRUTH)
theme.add(
    "c",
    "csv with units in a second row",
    "data logger export",
    as_csv(FRAME).replace("\r\n", "\r\n,degC,ppm,bar\r\n", 1),
    TRUTH,
    or_refuse=True,
    doubt="A row of units below the names: to be skipped and counted, or refused.",
)

theme.add(
    "b",
    "csv after a sep= line",
    "Excel, sep=; in the first line",
    "sep=;\r\n" + as_csv(FRAME, delimiter=";"),
    TRUTH,
    or_refuse=True,
    doubt="Only Excel knows the first line; a refusal is allowed.",
)
theme.add("c", "csv with spaces after the commas", "hand-written", as_csv(FRAME).replace(",", ", "), TRUTH)
theme.add(
    "c",
    "tsv in UTF-16",
    "Excel, Unicode text",
    as_csv(FRAME, delimiter="\t").encode("utf-16"),
    TRUTH,
    or_refuse=True,
    doubt="No UTF-8; a refusal is allowed.",
)
theme.add("b", "csv of one row", "Python 3.13 csv.writer", as_csv(FRAME.head(1)), wide(FRAME.head(1)))
theme.add(
    "bc",
    "csv without a header",
    "data logger export",
    as_csv(FRAME).split("\r\n", 1)[1],
    rename(TRUTH, dict(zip(TRUTH, "123", strict=True))),
    or_refuse=True,
    alt=[
        rename(TRUTH, dict(zip(TRUTH, (f"{word}{first + i}" for i in range(3)), strict=True)))
        for word in ("", "column ", "column_", "value ", "value_", "series ", "c")
        for first in (0, 1, 2)
    ],
    doubt="No names: by position, or a refusal. The first row as names loses a row and names a series 62.85.",
)
theme.add(
    "b",
    "csv with empty lines and trailing separators",
    "spreadsheet export",
    as_csv(FRAME).replace("\r\n", ",\r\n") + "\r\n,,,\r\n",
    TRUTH,
)
theme.add(
    "c",
    "csv with lines after the table",
    "spreadsheet export",
    as_csv(FRAME) + "\r\nExported by: operator 3\r\n",
    TRUTH,
    or_refuse=True,
    doubt="A foot line: left out with a reason, or a refusal.",
)
theme.add(
    "b",
    "objects one after another without lines",
    "appending writer",
    "".join(json.dumps(record) for record in RECORDS),
    TRUTH,
    or_refuse=True,
    doubt="Concatenated JSON: all 24 rows, or a refusal; the first row alone is a misreading.",
)
theme.add(
    "b",
    "prefix against script inclusion",
    "Angular, )]}' prefix",
    ")]}',\n" + json.dumps(RECORDS),
    TRUTH,
    or_refuse=True,
    doubt="A refusal is allowed.",
)
theme.add(
    "c",
    "lists of rows, one per line",
    "appending writer",
    "\n".join(json.dumps(RECORDS[i : i + 8]) for i in range(0, 24, 8)),
    TRUTH,
    or_refuse=True,
    doubt="Each line holds a list: all rows, or a refusal; the first list alone is a misreading.",
)
