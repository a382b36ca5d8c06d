"""The readings that the parts of `platforms` write, and their theme."""

from kit import Row, Theme, rows, table, wave, wide

theme = Theme("platforms")

FRAME = table(
    {"co2_flow_rate": wave(18, 11, 2), "pressure_bar": wave(18, 1.6, 0.2, 1, digits=3)},
    start="2026-05-17T13:00:00Z",
    step_s=20,
)

TRUTH = wide(FRAME)

ROWS: list[Row] = rows(FRAME)
