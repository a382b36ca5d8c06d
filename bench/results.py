"""What was measured, kept in bench/results.csv: a row per figure of each run, with what it was measured on.

Columns:

    time        UTC, ISO 8601: when the command began, so the same for all rows of one set
    commit      short, `-dirty` where the tree held other code
    run         from 1 on; run n of all trials was made before run n + 1 of any
    experiment, consumer, parameter     the trial
    figure      with its unit, as in `events_per_s`
    value
    python      of every process but the servers
    server      the Redis, product and version
    packages    versions of what the consumer is made of, where that is not the app
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
    """What the rows of one set have in common."""

    time: str
    commit: str
    python: str
    server: str
    machine: str
    kernel: str


class Series(NamedTuple):
    """What the runs of one set repeat: one figure of one trial."""

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


def row(setting: Setting, series: Series, *, run: int, value: float, packages: str) -> Row:
    """The value is kept with six digits, which is more than any clock here gives."""
    return Row(run=run, value=float(f"{value:.6g}"), packages=packages, **asdict(setting), **series._asdict())


def read(path: Path = RESULTS) -> list[Row]:
    """All rows, in the order in which they were written. Raises ValueError for a file with other columns."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.DictReader(file, strict=True)
        if tuple(lines.fieldnames or ()) != HEADER:
            raise ValueError(f"{path.name}: the columns are not {', '.join(HEADER)}")
        return [_parsed(line) for line in lines]


def _parsed(line: dict[str, str]) -> Row:
    run, value = int(line.pop("run")), float(line.pop("value"))
    return Row(run=run, value=value, **line)


def append(rows: Iterable[Row], path: Path = RESULTS) -> None:
    """Add rows at the end, below a header where the file is new."""
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, HEADER, lineterminator="\n")
        if file.tell() == 0:
            writer.writeheader()
        writer.writerows(asdict(one) for one in rows)


def latest(rows: Sequence[Row]) -> list[Row]:
    """Of each experiment the rows of its latest set: only figures of one set are compared."""
    newest: dict[str, str] = {}
    for one in rows:
        newest[one.experiment] = max(one.time, newest.get(one.experiment, ""))
    return [one for one in rows if one.time == newest[one.experiment]]


def values(rows: Iterable[Row]) -> dict[Series, list[float]]:
    """The values of every series, a value per run, in the order in which the series were first measured."""
    found: dict[Series, list[float]] = {}
    for one in rows:
        found.setdefault(one.series, []).append(one.value)
    return found


def medians(rows: Iterable[Row]) -> Mapping[Series, float]:
    return {series: median(of_runs) for series, of_runs in values(rows).items()}


def naive_of(series: Series, found: Collection[Series]) -> Series | None:
    """What a figure is compared with: naive's under the same parameter, else the first that naive has."""
    same = series._replace(consumer="naive")
    others = (one for one in found if one._replace(parameter=same.parameter) == same)
    return same if same in found else next(others, None)
