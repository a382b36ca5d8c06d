"""The readings that the parts of `columns` write, and their theme."""

from kit import Row, Theme, rows, table, wave, wide

theme = Theme("columns")

FRAME = table({"temp": wave(24, 44, 3), "flow.m3h": wave(24, 17, 2, 1)}, start="2026-03-20T16:00:00Z")

TRUTH = wide(FRAME)

ROWS: list[Row] = rows(FRAME)

HAND = "hand-written service"
