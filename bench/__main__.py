"""The benchmark: `bench/run [EXPERIMENT ...]`. Runs the chosen trials alternately and prints their figures."""

import asyncio
import importlib
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import rich.box
import typer
from rich.console import Console
from rich.table import Table as TerminalTable

from bench import facts, results, tables
from bench.results import ROOT, Row, Series, Setting
from bench.trial import REAL_OVERHEAD_MS, Figures, Plan, Size, Trial
from local.host.overhead import parse_duration

EXPERIMENTS = (
    "bursts", "stages", "mixed", "steady", "charts", "warm", "sessions", "deaf", "lost", "growth", "footprint",
    "dialects",
)  # fmt: skip
"""Modules with a function `trials(plan)`."""
PEERS = ROOT / ".venv-bench"
RUNS = 5
INTERRUPTED = 130


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@dataclass(frozen=True)
class Outcome:
    """The result of one run of a trial: figures, or the reason of its failure."""

    run: int
    trial: Trial
    figures: Figures
    failure: str = ""


@app.command()
def main(
    experiments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[EXPERIMENT]...", help="Default: all.", show_default=False),
    ] = None,
    consumer: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Only this consumer (repeatable). Not saved: ratios need all consumers."),
    ] = None,
    runs: Annotated[
        int | None, typer.Option(min=1, help=f"Runs of each trial ({RUNS}; with --quick 1).", show_default=False)
    ] = None,
    invocation_overhead: Annotated[
        str,
        typer.Option(metavar="TIME", help="Time between two invocations of a function, where no experiment varies it."),
    ] = f"{REAL_OVERHEAD_MS}ms",
    quick: Annotated[
        bool, typer.Option("--quick", help="Run every trial once at small size, to check that it works. Not saved.")
    ] = False,
    no_save: Annotated[bool, typer.Option("--no-save", help="Do not change bench/results.csv and docs/.")] = False,
) -> None:
    """Measure the app and its alternatives: medians, spread, ratios, and which goals are met.

    Appends the figures to bench/results.csv, and updates the tables and plots
    of docs/performance.md and docs/measurements.md.
    """
    try:
        plan = Plan(Size.QUICK if quick else Size.FULL, parse_duration(invocation_overhead) * 1000)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--invocation-overhead") from None
    chosen = choose(all_trials(plan), experiments or (), consumer or ())
    console = Console(highlight=False, markup=False)
    setting = asyncio.run(facts.setting())
    facts_of_set = (setting.machine, setting.kernel, f"Python {setting.python}", setting.server, setting.commit)
    console.print("; ".join(facts_of_set), soft_wrap=True)
    measured: list[Outcome] = []
    interrupted = False
    try:
        for outcome in outcomes(chosen, runs or (1 if quick else None)):
            console.print(line_of(outcome), soft_wrap=True)
            measured.append(outcome)
    except KeyboardInterrupt:
        interrupted = True
    rows = rows_of(measured, setting, facts.packages(PEERS))
    show(console, rows)
    if interrupted:
        sys.exit(INTERRUPTED)
    if rows and not (quick or no_save or consumer):
        results.append(rows, results.RESULTS)
        draw()
    sys.exit(any(outcome.failure for outcome in measured))


def all_trials(plan: Plan) -> list[Trial]:
    """Every trial of every experiment. Imports the modules of the experiments, which takes some time."""
    modules = [importlib.import_module(f"bench.{name}") for name in EXPERIMENTS]
    return [trial for module in modules for trial in module.trials(plan)]


def choose(trials: Sequence[Trial], experiments: Collection[str], consumers: Collection[str]) -> list[Trial]:
    """The trials of these experiments and consumers; an empty collection means all. Raises BadParameter."""
    _check(experiments, [trial.experiment for trial in trials])
    _check(consumers, [trial.consumer for trial in trials])
    chosen = [
        trial
        for trial in trials
        if (not experiments or trial.experiment in experiments) and (not consumers or trial.consumer in consumers)
    ]
    if not chosen:
        raise typer.BadParameter("none of these consumers is in these experiments")
    return chosen


def _check(names: Collection[str], available: Sequence[str]) -> None:
    for name in names:
        if name not in available:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(dict.fromkeys(available))}")


def outcomes(trials: Sequence[Trial], runs: int | None) -> Iterator[Outcome]:
    """Run the trials alternately, so that a drift of the machine's speed affects all of them equally. `runs` is the
    most for each, and how often it runs if it does not say so itself."""
    runs_of = [min(trial.runs or runs or RUNS, runs or sys.maxsize) for trial in trials]
    for run in range(1, max(runs_of, default=0) + 1):
        for trial, its_runs in zip(trials, runs_of, strict=True):
            if run <= its_runs:
                yield _outcome(trial, run)


def _outcome(trial: Trial, run: int) -> Outcome:
    async def measured() -> Figures:
        return await trial.measure()

    try:
        return Outcome(run, trial, asyncio.run(measured()))
    except Exception as error:  # any error: the other trials still run
        return Outcome(run, trial, {}, f"{type(error).__name__}: {error}")


def line_of(outcome: Outcome) -> str:
    trial = outcome.trial
    text = outcome.failure or "  ".join(f"{name} {tables.text_of(value)}" for name, value in outcome.figures.items())
    return f"run {outcome.run}  {trial.experiment:<14} {trial.consumer:<17} {trial.parameter:<24} {text}"


def rows_of(measured: Iterable[Outcome], setting: Setting, packages: dict[str, str]) -> list[Row]:
    return [
        results.row(
            setting,
            Series(outcome.trial.experiment, outcome.trial.consumer, outcome.trial.parameter, name),
            run=outcome.run,
            value=value,
            overhead_ms=outcome.trial.overhead_ms,
            packages=packages.get(outcome.trial.consumer, ""),
        )
        for outcome in measured
        for name, value in outcome.figures.items()
    ]


def show(console: Console, rows: Sequence[Row]) -> None:
    """A table per experiment, then the goals."""
    titled = [(name, tables.experiment_table(name, rows)) for name in tables.experiments(rows)]
    for title, table in [*titled, ("goals", tables.goals_table(rows))]:
        shown = TerminalTable(title=title, title_justify="left", box=rich.box.SIMPLE)
        for head in table.head:
            shown.add_column(head, overflow="fold")
        for line in table.rows:
            shown.add_row(*line)
        console.print(shown)


def draw() -> None:
    """Update the documents, in the environment that has matplotlib."""
    subprocess.run([PEERS / "bin" / "python", "-m", "bench.plots"], cwd=ROOT, check=True)


if __name__ == "__main__":
    app(prog_name="bench/run")
