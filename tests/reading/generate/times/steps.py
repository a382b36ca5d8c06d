"""One table in every form of time that libraries write: steps."""

import pandas as pd
from kit import epoch_ms, lib, table, times, wave, wide

from times.readings import PYTHON, theme, values

base = times(24)
frame = table(values())
irregular = frame.assign(ts=[moment + pd.Timedelta(seconds=(i * i * 7) % 53) for i, moment in enumerate(base)])
theme.add(
    "c",
    "irregular steps",
    f"{lib('pandas')} to_json",
    irregular.to_json(orient="records", date_format="iso"),
    wide(irregular),
)
twice = frame.assign(ts=[base[i - i % 2] for i in range(24)])
theme.add(
    "b",
    "each time twice",
    f"{lib('pandas')} to_json",
    twice.to_json(orient="records", date_format="iso"),
    wide(twice),
)
shuffled = frame.iloc[[(i * 7) % 24 for i in range(24)]].reset_index(drop=True)
theme.add(
    "c",
    "no order",
    f"{lib('pandas')} to_json",
    shuffled.to_json(orient="records", date_format="iso"),
    wide(shuffled),
)
summer = pd.date_range("2026-03-29T00:00:00Z", periods=12, freq="20min").tz_convert("Europe/Berlin")
clock = pd.DataFrame({"ts": summer, "temp": wave(12, 8, 1)})
theme.add(
    "c",
    "offsets change at summer time",
    f"{PYTHON} zoneinfo isoformat",
    [{"ts": row.ts.isoformat(), "temp": row.temp} for row in clock.itertuples()],
    wide(clock),
)
old = table({"temp": wave(12, 8, 1)}, start="2001-09-09T01:40:00Z", step_s=60)
theme.add(
    "c",
    "epoch s just above 10^9",
    f"{PYTHON} time.time",
    [{"ts": epoch_ms(row.ts) // 1000, "temp": row.temp} for row in old.itertuples()],
    wide(old),
)
