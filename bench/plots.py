"""Draws the plots of the documents of bench/tables.py and writes their tables: `.venv-bench/bin/python -m bench.plots`.

It uses the latest set of each experiment in bench/results.csv. Equal figures give byte-equal files with the versions of
bench/requirements.txt, so a diff of the files shows changed figures only.
"""

from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from bench import results, tables
from bench.results import Series

STYLE = {
    "svg.fonttype": "none",  # text stays text: searchable, accessible, in the reader's font
    "svg.hashsalt": "keyspace-functions",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.edgecolor": "#8a8f98",
    "axes.labelcolor": "#30343b",
    "xtick.color": "#30343b",
    "ytick.color": "#30343b",
    "grid.color": "#e3e5e9",
    "figure.facecolor": "white",  # explicit, so that it is readable on a dark page too
    "legend.frameon": False,
}
APP, NAIVE, OTHER, SPREAD = "#1f5fbf", "#5b616b", "#b4bfd0", "#30343b"
COLORS = {"app": APP, "naive": NAIVE, "analysis": NAIVE}
WIDTH_IN = 8.0
ROW_IN = 0.34

type Values = dict[Series, list[float]]


def main() -> None:
    rows = results.latest(results.read())
    with mpl.rc_context(STYLE):
        for name in tables.plots_of(rows):
            figure = DRAWN[name](results.values(rows))
            # Without date and version of the program, which would change in every drawing.
            figure.savefig(tables.plot_file(name), metadata={"Date": None, "Creator": None})
    for document in tables.DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        document.write_text(tables.rendered(text, rows), encoding="utf-8")


def burst(values: Values) -> Figure:
    speeds = _of(values, "burst", "events_per_s")
    naive = median(next(of_runs for series, of_runs in speeds.items() if series.consumer == "naive"))
    ratios = {series: [value / naive for value in of_runs] for series, of_runs in speeds.items()}
    figure, axes = _bars(ratios, "events/s in a burst, as a ratio to naive; line: least to most of all runs", "{:.2f}")
    axes.axvline(1, color=NAIVE, linewidth=0.8)
    return figure


def drain(values: Values) -> Figure:
    speeds = _of(values, "drain", "events_per_s")
    return _bars(
        speeds, "events/s with all batches there before the start; line: least to most of all runs", "{:,.0f}"
    )[0]


def _bars(values: Values, label: str, text: str) -> tuple[Figure, Axes]:
    """A bar per series, the longest on top, with its median at its end and a line from minimum to maximum."""
    ordered = sorted(values.items(), key=lambda item: median(item[1]))
    figure, axes = _axes(len(ordered), label)
    for place, (series, of_runs) in enumerate(ordered):
        middle = median(of_runs)
        axes.barh(place, middle, height=0.62, color=COLORS.get(series.consumer, OTHER))
        axes.plot([min(of_runs), max(of_runs)], [place, place], color=SPREAD, linewidth=1.2)
        axes.annotate(
            text.format(middle), (max(of_runs), place), xytext=(5, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(range(len(ordered)), [_name(series) for series, _ in ordered])
    axes.set_xlim(left=0)
    axes.margins(x=0.08)
    return figure, axes


def steady(values: Values) -> Figure:
    """Two points per consumer, p50 and p99, the quickest on top; trials that vary the overhead are in the table."""
    shades = {"p50_ms": 1.0, "p99_ms": 0.45}
    of_plan = {
        series: of_runs for series, of_runs in _of(values, "steady", "p50_ms").items() if " " not in series.parameter
    }
    medians = {series: median(of_runs) for series, of_runs in of_plan.items()}
    ordered = sorted(medians, key=medians.__getitem__, reverse=True)
    figure, axes = _axes(
        len(ordered), "ms from the write to the result, at 200 events/s; line: least to most of all runs"
    )
    for place, series in enumerate(ordered):
        color = COLORS.get(series.consumer, "#7f8da3")
        for name, alpha in shades.items():
            of_runs = values[series._replace(figure=name)]
            axes.plot([min(of_runs), max(of_runs)], [place, place], color=color, linewidth=2, alpha=alpha)
            axes.plot(median(of_runs), place, "o" if name == "p50_ms" else "D", color=color, markersize=6, alpha=alpha)
    for name, marker in (("p50", "o"), ("p99", "D")):
        axes.plot([], [], marker, color=OTHER if name == "p99" else NAIVE, label=name)
    axes.legend(loc="upper right")
    axes.set_xlim(left=0)
    axes.set_yticks(range(len(ordered)), [_name(series) for series in ordered])
    return figure


def overhead(values: Values) -> Figure:
    """A line each for app and naive."""
    speeds = _of(values, "burst-overhead", "events_per_s")
    figure, axes = _axes(8, "ms between two invocations of a function; line: least to most of all runs")
    for consumer in dict.fromkeys(series.consumer for series in speeds):
        points = sorted(
            (float(series.parameter.partition("=")[2]), of_runs)
            for series, of_runs in speeds.items()
            if series.consumer == consumer
        )
        middles = [median(of_runs) for _, of_runs in points]
        axes.plot([x for x, _ in points], middles, "o-", color=COLORS[consumer], markersize=5, label=consumer)
        for x, of_runs in points:
            axes.plot([x, x], [min(of_runs), max(of_runs)], color=SPREAD, linewidth=1.2)
    axes.set_yscale("log")
    axes.set_ylabel("events/s")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.grid()
    axes.legend()
    return figure


def _axes(bars: int, label: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH_IN, 0.9 + ROW_IN * bars), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(label)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return figure, axes


def _of(values: Values, experiment: str, figure: str) -> Values:
    return {
        series: of_runs
        for series, of_runs in values.items()
        if (series.experiment, series.figure) == (experiment, figure)
    }


def _name(series: Series) -> str:
    """The label of a series, as in `app, 2 processes`; one process is not mentioned."""
    name, _, value = series.parameter.partition("=")
    return f"{series.consumer}, {value} {name}" if name == "processes" and value != "1" else series.consumer


class Panel(NamedTuple):
    """One figure of the app over the varied parameter."""

    experiment: str
    figure: str
    title: str
    label: str
    """Label of the x axis."""
    logarithmic: tuple[bool, bool]
    """Whether the x axis and the y axis are logarithmic."""


PANELS = (
    Panel("growth-keys", "sweep_s", "A sweep, s", "keys of others beside 1,000 batches", (True, True)),
    Panel("growth-keys", "longest_command_ms", "Longest command of a sweep, ms", "keys of others", (True, False)),
    Panel("growth-payload", "events_per_s", "A burst, events/s", "bytes of a batch", (True, True)),
    Panel("growth-payload", "mb_per_s", "A burst, MB/s", "bytes of a batch", (True, False)),
    Panel(
        "instances", "events_per_s", "A burst, events/s", "hosts, on two cores with Redis and writer", (False, False)
    ),
    Panel("growth-events", "rss_mb", "Memory of a host, MB", "events so far", (False, False)),
)


def growth(values: Values) -> Figure:
    """Six small plots of the growth tables in docs/measurements.md."""
    figure = Figure(figsize=(WIDTH_IN, 7.2), layout="constrained")
    for panel, axes in zip(PANELS, figure.subplots(3, 2).flat, strict=True):
        points = _points(values, panel)
        axes.set_title(panel.title, loc="left", fontsize=10)
        axes.set_xlabel(panel.label)
        axes.grid()
        if panel.logarithmic[0]:
            axes.set_xscale("log")
        if panel.logarithmic[1]:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        axes.plot([x for x, _ in points], [y for _, y in points], "o-", color=APP, markersize=5, linewidth=1.5)
        if not panel.logarithmic[1]:
            axes.set_ylim(0, 1.15 * max((y for _, y in points), default=1))
        if panel.experiment == "instances":
            axes.set_xticks([x for x, _ in points])
    return figure


def _points(values: Values, panel: Panel) -> list[tuple[float, float]]:
    """Parameter and median of the figure. Memory has a point after a tenth of the events, and one at the end."""
    points = [
        (float(series.parameter.partition("=")[2]), median(of_runs))
        for series, of_runs in _of(values, panel.experiment, panel.figure).items()
    ]
    if panel.figure == "rss_mb":
        at_tenth = _of(values, panel.experiment, "rss_mb_at_tenth")
        points += [
            (float(series.parameter.partition("=")[2]) / 10, median(of_runs)) for series, of_runs in at_tenth.items()
        ]
    return sorted(points)


DRAWN: dict[str, Callable[[Values], Figure]] = {
    "burst": burst,
    "overhead": overhead,
    "steady": steady,
    "drain": drain,
    "growth": growth,
}

if __name__ == "__main__":
    main()
