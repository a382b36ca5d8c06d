"""The readings that the parts of `publicapis` write, and their theme."""

from kit import Row, Theme, Truth, epoch_ms, rename, rows, table, wave, wide

theme = Theme("publicapis")

FRAME = table(
    {"temp": wave(24, 6, 5), "pressure": wave(24, 1009, 4, 1, digits=1)}, start="2026-02-20T00:00:00Z", step_s=3600
)
TRUTH = wide(FRAME)
ROWS: list[Row] = rows(FRAME)
STAMPS = [epoch_ms(row["ts"]) for row in ROWS]
TEMP = TRUTH["temp"]
PRESSURE = TRUTH["pressure"]


def named(truth: Truth, *forms: str) -> list[Truth]:
    return [rename(truth, lambda name, form=form: form.format(name)) for form in forms]


def single(points: list[tuple[int | None, float | None]], *names: str) -> list[Truth]:
    return [{name: points} for name in names]
