"""bench/run: trials in turns, whatever comes of one of them; what is saved, and what is said."""

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
from bench.trial import Figures, Size, Trial

SETTING = Setting("2026-01-01T00:00:00+00:00", "abc1234", "3.13.9", "valkey 8.1.8", "a CPU, 2 cores", "Linux 6.1")

type Run = Callable[..., Result]


@pytest.fixture
def made() -> list[str]:
    """Consumers, in the order in which their trials were made."""
    return []


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, made: list[str]) -> Run:
    """bench/run with four trials: the app, naive, one that fails, and one that is made once."""

    def trial(experiment: str, consumer: str, figures: Figures, *, once: bool = False) -> Trial:
        async def measure() -> Figures:
            made.append(consumer)
            if not figures:
                raise OSError("no such peer")
            return figures

        return Trial(experiment, consumer, "processes=1", measure, once)

    trials = [
        trial("burst", "app", {"events_per_s": 4000.0, "cpu_us_per_event": 150.0}),
        trial("burst", "rq", {}),
        trial("burst", "naive", {"events_per_s": 1000.0}),
        trial("idle", "host", {"rss_mb": 80.0}, once=True),
    ]

    async def setting() -> Setting:
        return SETTING

    monkeypatch.setattr(runner, "all_trials", lambda _: trials)
    monkeypatch.setattr(runner, "draw", lambda: made.append("drawn"))
    monkeypatch.setattr(facts, "setting", setting)
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results.csv")
    return lambda *arguments: CliRunner().invoke(runner.app, arguments, env={"COLUMNS": "160"})


def test_trials_are_made_in_turns_and_those_that_are_made_once_in_the_first(run: Run, made: list[str]) -> None:
    run("--runs", "2", "--no-save")
    assert made == ["app", "rq", "naive", "host", "app", "rq", "naive"]


def test_a_trial_that_fails_is_told_with_its_reason_and_ends_none_of_the_others(run: Run, made: list[str]) -> None:
    done = run("--runs", "2")
    assert done.exit_code == 1
    told = [line for line in done.stdout.splitlines() if "OSError: no such peer" in line]
    assert [line.split()[:4] for line in told] == [["run", "1", "burst", "rq"], ["run", "2", "burst", "rq"]]
    assert made[-1] == "drawn"
    assert {row.consumer for row in results.read(results.RESULTS)} == {"app", "naive", "host"}


def test_the_tables_have_medians_ratios_and_goals(run: Run) -> None:
    done = run("burst", "--consumer", "app", "--consumer", "naive")
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["app", "processes=1", "4,000", "(4,000", "to", "4,000)", "4.00", "150", "(150", "to", "150)"] in lines
    (goal,) = [line for line in done.stdout.splitlines() if "app over naive's, 1 process" in line and "3.5" in line]
    assert goal.split()[-2:] == ["4.00", "met"]
    assert "not measured" in done.stdout


def test_every_figure_of_every_run_is_a_row_with_what_it_depends_on(run: Run) -> None:
    run("--runs", "3")
    rows = results.read(results.RESULTS)
    assert len(rows) == 3 * (2 + 1) + 1
    assert [row.run for row in rows if row.series == ("burst", "app", "processes=1", "events_per_s")] == [1, 2, 3]
    assert {(row.time, row.commit, row.python, row.server, row.machine, row.kernel) for row in rows} == {
        (SETTING.time, SETTING.commit, SETTING.python, SETTING.server, SETTING.machine, SETTING.kernel)
    }


@pytest.mark.parametrize("option", ["--quick", "--no-save", "--consumer=app"])
def test_what_is_not_the_whole_is_not_saved(run: Run, made: list[str], option: str) -> None:
    run("burst", option)
    assert not results.RESULTS.exists()
    assert "drawn" not in made


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["brust"], "'brust' is none of burst, idle"),
        (["--consumer", "me"], "'me' is none of app, rq, naive, host"),
        (["idle", "--consumer", "app"], "none of these consumers is in these experiments"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(run: Run, arguments: Sequence[str], said: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())


def test_a_set_says_which_code_and_machine_it_was_measured_on() -> None:
    assert re.fullmatch(r"[0-9a-f]{7,}(-dirty)?|unknown", facts.commit(ROOT))
    assert re.fullmatch(r".+, \d+ cores, [\d.]+ GiB", facts.machine())


def test_the_document_s_tables_are_those_of_the_results() -> None:
    text = tables.DOCUMENT.read_text(encoding="utf-8")
    assert text == tables.rendered(text, results.read()), "run: .venv-bench/bin/python -m bench.plots"


def test_every_experiment_has_its_table_in_the_document() -> None:
    found = set(re.findall(r"<!-- table: ([\w-]+) -->", tables.DOCUMENT.read_text(encoding="utf-8")))
    assert found == {trial.experiment for trial in runner.all_trials(Size.FULL)} | {"measured", "goals", "consumers"}


def documented() -> list[str]:
    """Every bench/run in a document, from its arguments on, without a comment."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    found = [match for page in pages for match in re.findall(r"bench/run([^`\n]*)", page.read_text(encoding="utf-8"))]
    return sorted({line.partition(" #")[0].strip() for line in found})


@pytest.mark.parametrize("line", documented())
def test_a_documented_command_is_accepted(line: str) -> None:
    context = typer.main.get_command(runner.app).make_context("bench/run", shlex.split(line))
    given = context.params
    assert runner.choose(runner.all_trials(Size.FULL), given["experiments"] or (), given["consumer"] or ())
