"""Goals: met, not met or not measured, and about figures that exist."""

import pytest

from bench.__main__ import all_trials
from bench.goals import GOALS, judged
from bench.judging import (
    Bound,
    Goal,
    Runs,
    Verdict,
    judge,
    largest,
    least,
    least_ratio_in_a_run,
    ratio,
    worst_ratio,
)
from bench.results import Series
from bench.trial import Plan, Size

APP, NAIVE, OTHER = (Series("burst", name, "", "events_per_s") for name in ("app", "naive", "saq"))


@pytest.mark.parametrize(
    ("direction", "values", "verdict"),
    [
        (Bound.AT_LEAST, {APP: 35, NAIVE: 10}, Verdict.MET),
        (Bound.AT_LEAST, {APP: 34, NAIVE: 10}, Verdict.NOT_MET),
        (Bound.AT_MOST, {APP: 34, NAIVE: 10}, Verdict.MET),
        (Bound.AT_MOST, {APP: 36, NAIVE: 10}, Verdict.NOT_MET),
        (Bound.AT_MOST, {NAIVE: 10}, Verdict.NOT_MEASURED),
        (Bound.AT_LEAST, {}, Verdict.NOT_MEASURED),
    ],
)
def test_a_goal_is_met_on_its_side_of_the_bound(
    direction: Bound, values: dict[Series, float], verdict: Verdict
) -> None:
    runs = {series: {1: value} for series, value in values.items()}
    assert judge(Goal("name", "text", ratio(APP, NAIVE), direction, 3.5), runs).verdict is verdict


def test_least_and_largest_take_the_worst_figure_and_need_all() -> None:
    runs: Runs = {APP: {1: 40.0}, NAIVE: {1: 10.0}, OTHER: {1: 20.0}}
    assert least(ratio(APP, NAIVE), ratio(APP, OTHER))(runs) == 2
    assert largest(ratio(APP, NAIVE), ratio(APP, OTHER))(runs) == 4
    with pytest.raises(KeyError):
        least(ratio(APP, NAIVE), ratio(APP, OTHER))({APP: {1: 40.0}, NAIVE: {1: 10.0}})


def test_a_ratio_is_of_medians_of_the_worst_run_or_within_a_run() -> None:
    runs: Runs = {APP: {1: 30.0, 2: 40.0, 3: 90.0}, NAIVE: {1: 10.0, 3: 15.0, 4: 1.0}}
    assert ratio(APP, NAIVE)(runs) == 4
    assert worst_ratio(APP, NAIVE)(runs) == 9
    assert least_ratio_in_a_run(APP, NAIVE)(runs) == 3


def test_without_figures_no_goal_is_measured() -> None:
    assert {judgement.verdict for judgement in judged({})} == {Verdict.NOT_MEASURED}
    assert len({goal.name for goal in GOALS}) == len(GOALS)


class RecordingRuns(dict[Series, dict[int, float]]):
    """Runs that have every figure, and record which were requested."""

    def __missing__(self, series: Series) -> dict[int, float]:
        return self.setdefault(series, {1: 1.0})


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.name)
def test_a_goal_is_about_existing_trials(goal: Goal) -> None:
    trials = {(trial.experiment, trial.consumer, trial.parameter) for trial in all_trials(Plan(Size.FULL))}
    requested = RecordingRuns()
    goal.value(requested)
    assert requested
    assert {series[:3] for series in requested} <= trials
