"""The readings that the parts of `databases` write, and their theme."""

from kit import Row, Theme, Truth, rename, rows, table, wave, wide

theme = Theme("databases")

FRAME = table(
    {"temp": wave(24, 71, 4), "pressure": wave(24, 3.2, 0.3, 2, digits=3)},
    start="2026-02-02T12:00:00Z",
    step_s=60,
    time="time",
)

TRUTH = wide(FRAME, "time")

ROWS: list[Row] = rows(FRAME, "time")


def series_names(truth: Truth, *forms: str) -> list[Truth]:
    return [rename(truth, lambda name, form=form: form.format(name)) for form in forms]
