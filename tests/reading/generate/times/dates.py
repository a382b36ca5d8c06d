"""One table in every form of time that libraries write: dates."""

import pandas as pd
from kit import rows, table, timeless, wave, wide

from times.readings import PYTHON, theme

daily = table({"CO2 [ppm]": wave(31, 415, 9), "rain_mm": wave(31, 4, 3)}, start="2026-01-05T00:00:00Z", step_s=86400)
truth = wide(daily)
for name, form, kinds in (
    ("dates", "%Y-%m-%d", "bc"),
    ("datekeys as text", "%Y%m%d", "c"),
    ("dates, day-month name-year", "%d %B %Y", "c"),
):
    theme.add(
        kinds,
        f"daily: {name}",
        f"{PYTHON} strftime {form}",
        rows(daily, form=lambda moment, form=form: moment.strftime(form)),
        truth,
    )
theme.add(
    "b",
    "daily: datekeys as numbers",
    "date dimension of a star schema",
    rows(daily, form=lambda moment: int(moment.strftime("%Y%m%d"))),
    truth,
)
months = pd.date_range("2025-01-01", periods=14, freq="MS", tz="UTC")
monthly = pd.DataFrame({"ts": months, "energy_kWh": wave(14, 8200, 900, digits=0)})
theme.add(
    "c",
    "monthly: year and month",
    "SQL to_char 'YYYY-MM'",
    rows(monthly, form=lambda moment: moment.strftime("%Y-%m")),
    wide(monthly),
    alt=[timeless(wide(monthly))],
    doubt="A month as text may also be a category.",
)
theme.add(
    "c",
    "date and time columns",
    "data logger export",
    [
        {"Date": row.ts.strftime("%Y-%m-%d"), "Time": row.ts.strftime("%H:%M:%S"), "Level": row.level}
        for row in table({"level": wave(24, 3.1, 0.4)}).itertuples()
    ],
    {"Level": wide(table({"level": wave(24, 3.1, 0.4)}))["level"]},
)
split = table({"TEMP": wave(20, 22, 2), "RH": wave(20, 51, 6)}, start="2026-04-20T21:30:00Z", step_s=1800)
lines = "DATE;TIME;TEMP;RH\n" + "".join(
    f"{row.ts.strftime('%d.%m.%Y')};{row.ts.strftime('%H:%M')};{row.TEMP};{row.RH}\n" for row in split.itertuples()
)
theme.add("cb", "date and time columns, day first, over midnight, csv", "data logger export", lines, wide(split))
key = [
    {"datekey": int(row.ts.strftime("%Y%m%d")), "hour": row.ts.hour, "load_MW": row.load}
    for row in table({"load": wave(48, 42, 11)}, start="2026-03-01T00:00:00Z", step_s=3600).itertuples()
]
hourly = table({"load": wave(48, 42, 11)}, start="2026-03-01T00:00:00Z", step_s=3600)
days = wide(hourly.assign(ts=hourly["ts"].dt.floor("D")))["load"]
theme.add(
    "b",
    "datekey and hour",
    "star schema with an hour column",
    key,
    {"load_MW": days},
    or_refuse=True,
    alt=[{"load_MW": days, "hour": [(None, float(i % 24)) for i in range(48)]}],
    doubt="`hour` is a part of the time, hardly a measurement; named like one, it may be kept.",
)
