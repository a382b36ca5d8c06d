"""The readings that the parts of `devices` write, and their theme."""

from kit import Row, Theme, Truth, rename, rows, table, wave, wide

theme = Theme("devices")

FRAME = table({"temperature": wave(12, 9, 4), "humidity": wave(12, 70, 8, 1)}, start="2026-11-11T11:00:00Z", step_s=600)

TRUTH = wide(FRAME)

ROWS: list[Row] = rows(FRAME)

NAMES = ("temperature", "humidity")


def named(truth: Truth, *forms: str) -> list[Truth]:
    return [rename(truth, lambda name, form=form: form.format(name)) for form in forms]
