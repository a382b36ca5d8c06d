"""The file of results: columns, reading and writing, and comparisons within a set."""

import csv
import math
from pathlib import Path

import pytest

from bench import results
from bench.results import Row, Series, Setting

SETTING = Setting(
    "2026-01-01T00:00:00+00:00", "abc1234", "3.13.9", "valkey 8.1.8", 'A "fast" CPU, 2 cores', "Linux 6.1"
)
LATER = "2026-01-02T00:00:00+00:00"


def measured(
    value: float,
    *,
    run: int = 1,
    experiment: str = "burst",
    consumer: str = "app",
    time: str = SETTING.time,
    overhead_ms: float | None = None,
) -> Row:
    setting = Setting(**{**vars(SETTING), "time": time})
    series = Series(experiment, consumer, "processes=1", "events_per_s")
    return results.row(setting, series, run=run, value=value, packages="saq 1.0, redis 8.1", overhead_ms=overhead_ms)


def test_appended_rows_are_read_unchanged_below_one_header(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    first, second = [measured(4321.5), measured(0.0001, run=2)], [measured(7, time=LATER, overhead_ms=0.65)]
    results.append(first, path)
    results.append(second, path)
    assert results.read(path) == first + second
    lines = list(csv.reader(path.read_text(encoding="utf-8").splitlines(), strict=True))
    assert [line for line in lines if line == list(results.HEADER)] == [lines[0]]
    assert {len(line) for line in lines} == {len(results.HEADER)}


def test_a_file_with_other_columns_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "others.csv"
    path.write_text("time,value\n2026,1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"others\.csv: the columns are not time, commit"):
        results.read(path)


def test_the_documented_columns_are_those_of_the_file() -> None:
    for name in results.HEADER:
        assert f"    {name}" in str(results.__doc__) or f", {name}" in str(results.__doc__), name
    assert all(math.isfinite(row.value) and row.run >= 1 for row in results.read())


def test_only_the_latest_set_of_an_experiment_counts() -> None:
    old, new = measured(1), measured(2, time=LATER)
    other = measured(3, experiment="steady")
    assert results.latest([old, other, new]) == [other, new]


def test_a_median_is_over_the_runs_of_one_series() -> None:
    rows = [measured(value, run=run) for run, value in enumerate((9, 1, 2), start=1)]
    rows.append(measured(5, consumer="naive"))
    assert results.medians(rows) == {rows[0].series: 2, rows[-1].series: 5}


def test_the_values_of_runs_stay_apart() -> None:
    first, second = measured(9), measured(1, run=3)
    assert results.by_run([first, second]) == {first.series: {1: 9, 3: 1}}


def test_naive_is_compared_with_the_same_parameter_or_else_with_the_first_it_has() -> None:
    app = Series("burst", "app", "processes=2", "events_per_s")
    first, second = (app._replace(consumer="naive", parameter=f"processes={count}") for count in (1, 2))
    others = [app, first._replace(experiment="steady"), first._replace(figure="p50_ms")]
    assert results.naive_of(app, [*others, first, second]) == second
    assert results.naive_of(app, [*others, first]) == first
    assert results.naive_of(app, others) is None
