"""The file bench/results.csv: a row per figure of each run, with its setting.

Columns:

    time        UTC, ISO 8601: start of the command, so equal for all rows of a set
    commit      short; with `-dirty` if the work tree differed
    run         from 1 on; run n of all trials comes before run n + 1 of any
    experiment, consumer, parameter     the trial
    overhead_ms time between two invocations of a function; empty for consumers that are no function apps
    figure      with its unit, as in `events_per_s`
    value
    python      version, for every process but the servers
    server      product and version of the Redis
    packages    versions of the consumer's packages, for consumers other than the app
    machine     processor, cores, memory
    kernel
"""

import csv
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results.csv"


@dataclass(frozen=True)
class Setting:
    """The columns that are equal for all rows of a set."""

    time: str
    commit: str
    python: str
    server: str
    machine: str
    kernel: str


class Series(NamedTuple):
    """A figure of a trial, which the runs of a set repeat."""

    experiment: str
    consumer: str
    parameter: str
    figure: str


@dataclass(frozen=True)
class Row:
    time: str
    commit: str
    run: int
    experiment: str
    consumer: str
    parameter: str
    overhead_ms: float | None
    figure: str
    value: float
    python: str
    server: str
    packages: str
    machine: str
    kernel: str

    @property
    def series(self) -> Series:
        return Series(self.experiment, self.consumer, self.parameter, self.figure)


HEADER = tuple(field.name for field in fields(Row))


def row(
    setting: Setting, series: Series, *, run: int, value: float, packages: str = "", overhead_ms: float | None = None
) -> Row:
    """A row. The value is rounded to six digits, which exceeds the precision of the clocks."""
    return Row(
        run=run,
        value=float(f"{value:.6g}"),
        packages=packages,
        overhead_ms=overhead_ms,
        **asdict(setting),
        **series._asdict(),
    )


def read(path: Path = RESULTS) -> list[Row]:
    """All rows in the order of the file. Raises ValueError for a file with other columns."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.DictReader(file, strict=True)
        if tuple(lines.fieldnames or ()) != HEADER:
            raise ValueError(f"{path.name}: the columns are not {', '.join(HEADER)}")
        return [_parsed(line) for line in lines]


def _parsed(line: dict[str, str]) -> Row:
    run, value, overhead_ms = int(line.pop("run")), float(line.pop("value")), line.pop("overhead_ms")
    return Row(run=run, value=value, overhead_ms=float(overhead_ms) if overhead_ms else None, **line)


def append(rows: Iterable[Row], path: Path = RESULTS) -> None:
    """Append rows; a new file gets a header first."""
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, HEADER, lineterminator="\n")
        if file.tell() == 0:
            writer.writeheader()
        writer.writerows(asdict(new_row) for new_row in rows)


def latest(rows: Sequence[Row]) -> list[Row]:
    """The rows of the latest set of each experiment: only figures of the same set are compared."""
    newest: dict[str, str] = {}
    for measured in rows:
        newest[measured.experiment] = max(measured.time, newest.get(measured.experiment, ""))
    return [measured for measured in rows if measured.time == newest[measured.experiment]]


def values(rows: Iterable[Row]) -> dict[Series, list[float]]:
    """The values of every series, one per run; series in the order of their first measurement."""
    by_series: dict[Series, list[float]] = {}
    for measured in rows:
        by_series.setdefault(measured.series, []).append(measured.value)
    return by_series


def by_run(rows: Iterable[Row]) -> Mapping[Series, Mapping[int, float]]:
    """The value of every series in each run."""
    measured: dict[Series, dict[int, float]] = {}
    for of_run in rows:
        measured.setdefault(of_run.series, {})[of_run.run] = of_run.value
    return measured


def medians(rows: Iterable[Row]) -> Mapping[Series, float]:
    return {series: median(of_runs) for series, of_runs in values(rows).items()}


def naive_of(series: Series, available: Collection[Series]) -> Series | None:
    """The series of `naive` to compare with: that with the same parameter, else its first; None if there is none."""
    same = series._replace(consumer="naive")
    others = (other for other in available if other._replace(parameter=same.parameter) == same)
    return same if same in available else next(others, None)
