"""bench/run: the order of trials, failing trials, saved rows, tables, and arguments."""

import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

import bench.__main__ as runner
from bench import facts, results, tables
from bench.results import ROOT, Setting
from bench.trial import Figures, Plan, Size, Trial

SETTING = Setting("2026-01-01T00:00:00+00:00", "abc1234", "3.13.9", "valkey 8.1.8", "a CPU, 2 cores", "Linux 6.1")

type Run = Callable[..., Result]


@pytest.fixture
def consumers() -> list[str]:
    """The consumers in the order of their trials, and "drawn" when the plots were drawn."""
    return []


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, consumers: list[str]) -> Run:
    """bench/run with four trials: the app, naive, one that fails, and one with a number of runs of its own."""

    def trial(experiment: str, consumer: str, figures: Figures, runs: int | None = None) -> Trial:
        async def measure() -> Figures:
            consumers.append(consumer)
            if not figures:
                raise OSError("no such peer")
            return figures

        return Trial(experiment, consumer, "overhead_ms=0", measure, runs, None if consumer == "rq" else 0.65)

    trials = [
        trial("burst-overhead", "app", {"events_per_s": 4000.0, "cpu_us_per_event": 150.0}),
        trial("burst-overhead", "rq", {}),
        trial("burst-overhead", "naive", {"events_per_s": 1000.0}),
        trial("idle", "host", {"rss_mb": 80.0}, runs=1),
    ]

    async def setting() -> Setting:
        return SETTING

    monkeypatch.setattr(runner, "all_trials", lambda _: trials)
    monkeypatch.setattr(runner, "draw", lambda: consumers.append("drawn"))
    monkeypatch.setattr(facts, "setting", setting)
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results.csv")
    return lambda *arguments: CliRunner().invoke(runner.app, arguments, env={"COLUMNS": "160"})


def test_trials_alternate_and_one_with_fewer_runs_belongs_to_the_first(run: Run, consumers: list[str]) -> None:
    run("--runs", "2", "--no-save")
    assert consumers == ["app", "rq", "naive", "host", "app", "rq", "naive"]


def test_a_trial_may_run_more_often_than_the_others_but_not_more_often_than_the_command_says() -> None:
    async def measure() -> Figures:
        return {}

    trials = [Trial("mixed", "app", "", measure, runs=7), Trial("burst", "app", "", measure)]
    for runs, expected in ((None, (7, runner.RUNS)), (6, (6, 6)), (1, (1, 1))):
        outcomes = list(runner.outcomes(trials, runs))
        assert tuple(sum(outcome.trial is trial for outcome in outcomes) for trial in trials) == expected


@pytest.mark.parametrize("text", ["5", "fast", "-1ms"])
def test_an_overhead_without_a_unit_is_refused(run: Run, text: str) -> None:
    done = run(f"--invocation-overhead={text}")
    assert done.exit_code == 2
    assert "unit" in done.stderr


def test_the_overhead_is_that_of_every_trial_that_does_not_vary_it() -> None:
    trials = runner.all_trials(Plan(Size.FULL, overhead_ms=3))
    varied = {trial.overhead_ms for trial in trials if "overhead_ms=" in trial.parameter}
    assert varied == {0, 0.65, 1.2, 2, 5, 10}
    fixed = {(trial.consumer, trial.overhead_ms) for trial in trials if "overhead_ms=" not in trial.parameter}
    assert {overhead_ms for consumer, overhead_ms in fixed if consumer == "naive"} == {3}
    assert {overhead_ms for consumer, overhead_ms in fixed if consumer == "saq"} == {None}


def test_a_failing_trial_is_reported_with_its_reason_and_stops_no_other(run: Run, consumers: list[str]) -> None:
    done = run("--runs", "2")
    assert done.exit_code == 1
    reported = [line for line in done.stdout.splitlines() if "OSError: no such peer" in line]
    assert [line.split()[:4] for line in reported] == [
        ["run", "1", "burst-overhead", "rq"],
        ["run", "2", "burst-overhead", "rq"],
    ]
    assert consumers[-1] == "drawn"
    assert {row.consumer for row in results.read(results.RESULTS)} == {"app", "naive", "host"}


def test_the_tables_have_medians_ratios_and_goals(run: Run) -> None:
    done = run("burst-overhead", "--consumer", "app", "--consumer", "naive")
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["app", "overhead_ms=0", "4,000", "(4,000", "to", "4,000)", "4.00", "150", "(150", "to", "150)"] in lines
    (goal,) = [line for line in done.stdout.splitlines() if "burst, 0 ms" in line]
    assert goal.split()[-3:] == ["4.00", "not", "met"]
    assert "not measured" in done.stdout


def test_every_figure_of_every_run_is_a_row_with_its_setting(run: Run) -> None:
    run("--runs", "3")
    rows = results.read(results.RESULTS)
    assert len(rows) == 3 * (2 + 1) + 1
    assert {row.overhead_ms for row in rows} == {0.65}
    assert [row.run for row in rows if row.series == ("burst-overhead", "app", "overhead_ms=0", "events_per_s")] == [
        1,
        2,
        3,
    ]
    assert {(row.time, row.commit, row.python, row.server, row.machine, row.kernel) for row in rows} == {
        (SETTING.time, SETTING.commit, SETTING.python, SETTING.server, SETTING.machine, SETTING.kernel)
    }


@pytest.mark.parametrize("option", ["--quick", "--no-save", "--consumer=app"])
def test_partial_sets_are_not_saved(run: Run, consumers: list[str], option: str) -> None:
    run("burst-overhead", option)
    assert not results.RESULTS.exists()
    assert "drawn" not in consumers


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["brust"], "'brust' is none of burst-overhead, idle"),
        (["--consumer", "me"], "'me' is none of app, rq, naive, host"),
        (["idle", "--consumer", "app"], "none of these consumers is in these experiments"),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_names(run: Run, arguments: Sequence[str], message: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())


def test_a_set_has_the_commit_and_the_machine() -> None:
    assert re.fullmatch(r"[0-9a-f]{7,}(-dirty)?|unknown", facts.commit(ROOT))
    assert re.fullmatch(r".+, \d+ cores, [\d.]+ GiB", facts.machine())


@pytest.mark.parametrize("document", tables.DOCUMENTS, ids=lambda path: path.name)
def test_the_tables_of_the_documents_are_those_of_the_results(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert text == tables.rendered(text, results.read()), "run: .venv-bench/bin/python -m bench.plots"


def test_every_experiment_has_its_table_in_the_documents() -> None:
    text = "".join(document.read_text(encoding="utf-8") for document in tables.DOCUMENTS)
    experiments = {trial.experiment for trial in runner.all_trials(Plan(Size.FULL))}
    assert set(re.findall(r"<!-- table: ([\w-]+) -->", text)) == experiments | {"measured", "goals", "consumers"}
    assert set(re.findall(r"<!-- plot: ([\w-]+) -->", text)) == set(tables.PLOTS)


def documented() -> list[str]:
    """The arguments of every bench/run command in the documents."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    texts = [page.read_text(encoding="utf-8") for page in pages]
    commands = [arguments for text in texts for arguments in re.findall(r"bench/run([^`\n]*)", text)]
    return sorted({arguments.partition(" #")[0].strip() for arguments in commands})


@pytest.mark.parametrize("line", documented())
def test_a_documented_command_is_accepted(line: str) -> None:
    context = typer.main.get_command(runner.app).make_context("bench/run", shlex.split(line))
    params = context.params
    assert runner.choose(runner.all_trials(Plan(Size.FULL)), params["experiments"] or (), params["consumer"] or ())
