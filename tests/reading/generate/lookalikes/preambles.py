"""Delimited text with more than a header before the rows, and tables that are none of readings."""

import json

import pandas as pd
from kit import lib

from lookalikes.readings import FLOW, ISO, SPACED, TEMP, TWO, N, theme, truth

LINES = "".join(f"{SPACED[i]},{TEMP[i]},{FLOW[i]}\n" for i in range(N))
SEMI = LINES.replace(",", ";").replace(".", ",")


def add(name, payload, expected, source="logger export", kinds="bc", **how):
    theme.add(kinds, name, source, payload, expected, **how)


add("a preamble of names and values", f"Station: Plant 7\nSerial no.: 4711\n\ntime,temp,flow\n{LINES}", TWO)
add(
    "a preamble with delimiters", f"Logger;DL-20\nExport;01.03.2026 07:00\nKanal 1;PT100\n\nZeit;temp;flow\n{SEMI}", TWO
)
add("names and units in two rows", f"time,temp,flow\n,degC,l/min\n{LINES}", TWO, or_refuse=True)
add(
    "TOA5 of a data logger",
    '"TOA5","CR1000","CR1000","4711","CR1000.Std.32","CPU:a.CR1","1234","Table1"\n'
    '"TIMESTAMP","temp","flow"\n"TS","Deg C","l/min"\n"","Avg","Avg"\n'
    + "".join(f'"{SPACED[i]}",{TEMP[i]},{FLOW[i]}\n' for i in range(N)),
    TWO,
    or_refuse=True,
)
frame = pd.DataFrame({"temp": TEMP, "flow": FLOW}, index=pd.to_datetime(ISO))
add("describe() as JSON", frame.describe().to_json(), None, lib("pandas"), refuse="")
add("describe() as CSV", frame.describe().to_csv(), None, lib("pandas"), refuse="")
add("describe() as rows", frame.describe().reset_index().to_json(orient="records"), None, lib("pandas"), refuse="")
double = pd.concat({"north": frame, "south": frame + 1}, axis=1)
add(
    "two levels of names as CSV",
    double.to_csv(),
    {
        f"{side}.{name}": [(ms, round(value + more, 3)) for ms, value in TWO[name]]
        for side, more in (("north", 0), ("south", 1))
        for name in ("temp", "flow")
    },
    lib("pandas"),
    or_refuse=True,
)
add("two levels of names as split", double.to_json(orient="split"), None, lib("pandas"), refuse="", kinds="b")
deep = {
    "dims": ["time", "depth"],
    "attrs": {"units": "degC"},
    "name": "temp",
    "coords": {
        "time": {"dims": ["time"], "attrs": {}, "data": ISO},
        "depth": {"dims": ["depth"], "attrs": {}, "data": [1.0, 5.0]},
    },
    "data": [[TEMP[i], FLOW[i]] for i in range(N)],
}
add(
    "xarray of two dimensions",
    json.dumps(deep),
    {"temp.1.0": TWO["temp"], "temp.5.0": TWO["flow"]},
    "xarray DataArray.to_dict",
    or_refuse=True,
    alt=[{"1.0": TWO["temp"], "5.0": TWO["flow"]}, {"temp.1": TWO["temp"], "temp.5": TWO["flow"]}],
)
add(
    "xarray of one dimension",
    json.dumps(
        {
            "dims": ["time"],
            "attrs": {},
            "name": "temp",
            "coords": {"time": {"dims": ["time"], "attrs": {}, "data": ISO}},
            "data": TEMP,
        }
    ),
    truth(temp=TEMP),
    "xarray DataArray.to_dict",
    or_refuse=True,
)
add(
    "a footer of statistics",
    f"time,temp,flow\n{LINES}Mean,{sum(TEMP) / N:.3f},{sum(FLOW) / N:.3f}\n",
    TWO,
    or_refuse=True,
)
