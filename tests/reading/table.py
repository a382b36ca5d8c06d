"""The table that the payloads of these tests hold: 24 readings of temp and co2, a minute apart."""

from datetime import UTC, datetime, timedelta

FIRST_MS = 1_772_344_800_000
COUNT = 24
MS = [FIRST_MS + 60_000 * row for row in range(COUNT)]
MOMENTS = [datetime.fromtimestamp(ms / 1e3, UTC) for ms in MS]
ISO = [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in MOMENTS]
SQL = [f"{moment:%Y-%m-%d %H:%M:%S}" for moment in MOMENTS]
TEMP = [20 + (row * 7 % 11) / 4 for row in range(COUNT)]
CO2 = [400 + (row * 3 % 8) * 2.5 for row in range(COUNT)]
DAYS = [datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=day) for day in range(COUNT)]

BOTH = {"temp": TEMP, "co2": CO2}
ROWS = [{"timestamp": time, "temp": temp, "co2": co2} for time, temp, co2 in zip(ISO, TEMP, CO2, strict=True)]
LONG = [
    {"timestamp": time, "metric": name, "value": value}
    for time, temp, co2 in zip(ISO, TEMP, CO2, strict=True)
    for name, value in (("temp", temp), ("co2", co2))
]


def wide(*names: str, times=ISO) -> list[dict]:
    """Rows of time, temp and co2 under these three names."""
    return [dict(zip(names, row, strict=True)) for row in zip(times, TEMP, CO2, strict=True)]
