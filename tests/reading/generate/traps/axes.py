"""Payloads that a careless reader misreads without a word: axes."""

from kit import epoch_ms, wave

from traps.readings import HAND, ROWS, STAMPS, TRUTH, theme

years = list(range(2016, 2026))
tonnes = wave(10, 980, 120)
theme.add(
    "c",
    "years as numbers",
    HAND,
    [{"year": year, "emissions_t": value} for year, value in zip(years, tonnes, strict=True)],
    {"emissions_t": [(None, value) for value in tonnes]},
    alt=[
        {"emissions_t": [(epoch_ms(f"{year}-01-01T00:00Z"), value) for year, value in zip(years, tonnes, strict=True)]}
    ],
    doubt="Years: a numeric axis, categories or times; a series of 2016..2025 is a misreading.",
)
theme.add(
    "b",
    "years as numbers",
    HAND,
    [{"year": year, "emissions_t": value} for year, value in zip(years, tonnes, strict=True)],
    {"emissions_t": [(None, value) for value in tonnes]},
)
theme.add(
    "c",
    "months 1 to 12",
    HAND,
    [{"month": i + 1, "rain_mm": value} for i, value in enumerate(wave(12, 55, 20))],
    {"rain_mm": [(None, value) for value in wave(12, 55, 20)]},
    doubt="A numeric or category axis; 1970 or a series of 1..12 is a misreading.",
)
theme.add(
    "c",
    "labels 1 to 12",
    "Chart.js documentation",
    {"labels": list(range(1, 13)), "datasets": [{"label": "rain_mm", "data": wave(12, 55, 20)}]},
    {"rain_mm": [(None, value) for value in wave(12, 55, 20)]},
)
theme.add(
    "c",
    "x from 0 to 10",
    HAND,
    [{"x": i / 2, "y": value} for i, value in enumerate(wave(21, 3, 1))],
    {"y": [(None, v) for v in wave(21, 3, 1)]},
    alt=[{name: [(None, v) for v in wave(21, 3, 1)]} for name in ("value", "values", "series", "c", "data", "1")],
)
theme.add(
    "c",
    "numbers below 2001 in epoch form",
    HAND,
    [{"x": 900_000_000 + 1000 * i, "force_N": value} for i, value in enumerate(wave(21, 3, 1))],
    {"force_N": [(None, value) for value in wave(21, 3, 1)]},
    doubt="1998 as epoch s: no plausible time by the specification.",
)
theme.add(
    "c",
    "t in seconds since the start",
    HAND,
    [{"t": 0.5 * i, "torque": value} for i, value in enumerate(wave(40, 12, 2))],
    {"torque": [(None, value) for value in wave(40, 12, 2)]},
)
theme.add(
    "c",
    "t is the temperature, ts the time",
    HAND,
    [{"ts": stamp, "t": row["temp"], "p": row["ph"]} for stamp, row in zip(STAMPS, ROWS, strict=True)],
    {"t": TRUTH["temp"], "p": TRUTH["ph"]},
)
theme.add(
    "c",
    "t is the time, T the temperature",
    HAND,
    [{"t": stamp // 1000, "T": row["temp"]} for stamp, row in zip(STAMPS, ROWS, strict=True)],
    {"T": TRUTH["temp"]},
)
theme.add(
    "b",
    "time is a duration, at the time",
    HAND,
    [{"at": row["ts"], "time": row["temp"], "ph": row["ph"]} for row in ROWS],
    {"time": TRUTH["temp"], "ph": TRUTH["ph"]},
    doubt="`time` holds durations of 38 to 45.",
)
theme.add(
    "c",
    "date is a number of samples",
    HAND,
    [{"sampled": row["ts"], "date": 3 + i % 4, "ph": row["ph"]} for i, row in enumerate(ROWS)],
    {"ph": TRUTH["ph"]},
    or_refuse=True,
    alt=[{"ph": TRUTH["ph"], "date": [(STAMPS[i], 3 + i % 4) for i in range(24)]}],
)
theme.add(
    "c",
    "shelves with numeric labels",
    HAND,
    {"categories": ["101", "102", "103"], "series": [{"name": "stock", "data": [4, 0, 9]}]},
    {"stock": [(None, value) for value in (4, 0, 9)]},
)
