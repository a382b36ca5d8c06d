"""The tables of a set of figures, for the terminal and for docs/performance.md and docs/measurements.md.

In the documents, a table stands between `<!-- table: NAME -->` and `<!-- end -->`, where NAME is `measured`, `goals`,
`consumers` or an experiment; a plot whose figures are measured stands between `<!-- plot: NAME -->` and `<!-- end -->`.
Standard library only: both virtual environments run this.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bench import goals, results
from bench.consumers import CONSUMERS
from bench.results import ROOT, Row, Series

DOCUMENTS = (ROOT / "docs" / "performance.md", ROOT / "docs" / "measurements.md")
"""What counts, on one page; and every figure."""
_BLOCK = re.compile(r"(<!-- (table|plot): ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
NOT_MEASURED = "Not measured yet."


class Plot(NamedTuple):
    experiments: Sequence[str]
    """Experiments whose figures it shows; it is drawn if one of them was measured."""
    text: str


PLOTS = {
    "burst": Plot(["burst"], "Events per second in a burst, each consumer as a ratio to naive"),
    "overhead": Plot(["burst-overhead"], "Events per second in a burst over the time between two invocations"),
    "steady": Plot(["steady"], "Latency at 200 events/s, p50 and p99 of each consumer"),
    "drain": Plot(["drain"], "Events per second when all batches wait for the host"),
    "growth": Plot(
        ["growth-keys", "growth-events", "instances", "growth-payload"],
        "How time, memory and throughput grow with keys, events, hosts and payload",
    ),
}


class Table(NamedTuple):
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def experiments(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.experiment for row in rows))


def experiment_table(experiment: str, rows: Sequence[Row]) -> Table:
    """A row per trial: median and spread of every figure, and its ratio to that of naive if there is one."""
    values = {series: of_runs for series, of_runs in results.values(rows).items() if series.experiment == experiment}
    medians = results.medians(row for row in rows if row.experiment == experiment)
    figures = list(dict.fromkeys(series.figure for series in values))
    compared = {series.figure for series in values if series.consumer == "naive"}
    head = ["consumer", "parameter"]
    for name in figures:
        head += [name, "/ naive"] if name in compared else [name]
    lines = []
    for consumer, parameter in dict.fromkeys((series.consumer, series.parameter) for series in values):
        line = [consumer, parameter]
        for name in figures:
            series = Series(experiment, consumer, parameter, name)
            line.append(_with_spread(values[series], medians[series]) if series in values else "")
            if name in compared:
                line.append(_ratio(series, medians))
        lines.append(line)
    return Table(head, lines)


def goals_table(rows: Sequence[Row]) -> Table:
    lines = []
    for judged in goals.judged(results.by_run(rows)):
        goal = judged.goal
        bound = f"{goal.direction} {goal.bound:g} {goal.unit}".rstrip()
        value = "" if judged.value is None else text_of(judged.value, goal.unit)
        lines.append((goal.name, goal.text, goal.before, bound, value, judged.verdict.value))
    return Table(("goal", "what", "before", "bound", "measured", ""), lines)


def measured_table(rows: Sequence[Row]) -> Table:
    """A row per set: its experiments, time and setting."""
    lines = []
    for time in sorted({row.time for row in rows}):
        of_set = [row for row in rows if row.time == time]
        first = of_set[0]
        overheads_ms = {row.overhead_ms for row in of_set if row.overhead_ms is not None}
        lines.append(
            (
                ", ".join(experiments(of_set)),
                f"{time[:16].replace('T', ' ')} UTC",
                first.commit,
                str(max(row.run for row in of_set)),
                ", ".join(f"{value:g}" for value in sorted(overheads_ms)),
                first.python,
                first.server,
                f"{first.machine}, {first.kernel}",
            )
        )
    return Table(("experiments", "when", "commit", "runs", "overhead, ms", "Python", "server", "machine"), lines)


def consumers_table(rows: Sequence[Row]) -> Table:
    """The consumers, with the packages that were measured."""
    packages = {row.consumer: row.packages for row in rows}
    lines = [
        (f"`{consumer.id}`", consumer.title, consumer.fed_by, consumer.guarantee, packages.get(consumer.id, ""))
        for consumer in CONSUMERS.values()
    ]
    return Table(("id", "consumer", "its producer's part", "guarantee", "packages"), lines)


def text_of(value: float, unit: str = "") -> str:
    """A number with at least three significant digits, and no more decimals than these need."""
    size = abs(value)
    text = (
        f"{value:,.0f}"
        if size >= 100
        else f"{value:.1f}"
        if size >= 10
        else f"{value:.2f}"
        if size >= 1
        else f"{value:.3g}"
    )
    return f"{text} {unit}".rstrip()


def _with_spread(values: Sequence[float], median: float) -> str:
    if len(values) == 1:
        return text_of(median)
    return f"{text_of(median)} ({text_of(min(values))} to {text_of(max(values))})"


def _ratio(series: Series, medians: Mapping[Series, float]) -> str:
    naive = results.naive_of(series, medians)
    if naive is None or series not in medians or not medians[naive]:
        return ""
    return f"{medians[series] / medians[naive]:.2f}"


def rendered(text: str, rows: Sequence[Row]) -> str:
    """A document with tables and plots updated from the latest set of each experiment in `rows`."""
    rows = results.latest(rows)
    return _BLOCK.sub(lambda match: f"{match[1]}{_block(match[2], match[3], rows)}\n{match[4]}", text)


def _block(kind: str, name: str, rows: Sequence[Row]) -> str:
    if kind == "plot":
        return f"![{PLOTS[name].text}](images/{plot_file(name).name})" if name in plots_of(rows) else NOT_MEASURED
    makers = {"measured": measured_table, "goals": goals_table, "consumers": consumers_table}
    table = makers[name](rows) if name in makers else experiment_table(name, rows)
    return markdown(table) if table.rows else NOT_MEASURED


def plots_of(rows: Sequence[Row]) -> list[str]:
    """The plots that these rows have figures for."""
    measured = set(experiments(rows))
    return [name for name, plot in PLOTS.items() if measured & set(plot.experiments)]


def plot_file(name: str) -> Path:
    return ROOT / "docs" / "images" / f"performance-{name}.svg"


def markdown(table: Table) -> str:
    lines = [table.head, ["---"] * len(table.head), *table.rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
