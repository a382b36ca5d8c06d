"""The readings that the parts of `traps` write, and their theme."""

from kit import Row, Theme, epoch_ms, rows, table, wave, wide

theme = Theme("traps")

FRAME = table({"temp": wave(24, 41, 3), "ph": wave(24, 6.8, 0.2, 1)}, start="2026-03-18T09:00:00Z", step_s=300)

TRUTH = wide(FRAME)

ROWS: list[Row] = rows(FRAME)

STAMPS = [epoch_ms(row["ts"]) for row in ROWS]

HAND = "hand-written service"

EXPORT = "spreadsheet export"
