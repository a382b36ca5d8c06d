"""The same rows in every encoding, and in combinations of encodings: tables."""

import csv
import json

from kit import wide

from codings.readings import FRAME, TRUTH, as_csv, theme

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
