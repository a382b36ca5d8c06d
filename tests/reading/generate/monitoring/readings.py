"""The readings that the parts of `monitoring` write, and their theme."""

from kit import Row, Theme, Truth, rename, rows, table, wave, wide

theme = Theme("monitoring")

FRAME = table({"flow": wave(24, 14.5, 2.5), "ph": wave(24, 8.1, 0.2, 1)}, start="2026-10-10T08:00:00Z", step_s=60)

TRUTH = wide(FRAME)

ROWS: list[Row] = rows(FRAME)

NAMES = ("flow", "ph")


def named(truth: Truth, *forms: str) -> list[Truth]:
    return [rename(truth, lambda name, form=form: form.format(name)) for form in forms]
