"""Goals: met, not met or not measured, and about figures that exist."""

import pytest

from bench.__main__ import all_trials
from bench.goals import GOALS, Bound, Goal, Medians, Verdict, judge, judged, largest, least, ratio
from bench.results import Series
from bench.trial import Size

APP, NAIVE, OTHER = (Series("burst", name, "", "events_per_s") for name in ("app", "naive", "saq"))


@pytest.mark.parametrize(
    ("direction", "medians", "verdict"),
    [
        (Bound.AT_LEAST, {APP: 35, NAIVE: 10}, Verdict.MET),
        (Bound.AT_LEAST, {APP: 34, NAIVE: 10}, Verdict.NOT_MET),
        (Bound.AT_MOST, {APP: 34, NAIVE: 10}, Verdict.MET),
        (Bound.AT_MOST, {APP: 36, NAIVE: 10}, Verdict.NOT_MET),
        (Bound.AT_MOST, {NAIVE: 10}, Verdict.NOT_MEASURED),
        (Bound.AT_LEAST, {}, Verdict.NOT_MEASURED),
    ],
)
def test_a_goal_is_met_on_its_side_of_the_bound(direction: Bound, medians: Medians, verdict: Verdict) -> None:
    assert judge(Goal("name", "text", ratio(APP, NAIVE), direction, 3.5), medians).verdict is verdict


def test_least_and_largest_take_the_worst_figure_and_need_all() -> None:
    medians = {APP: 40, NAIVE: 10, OTHER: 20}
    assert least(ratio(APP, NAIVE), ratio(APP, OTHER))(medians) == 2
    assert largest(ratio(APP, NAIVE), ratio(APP, OTHER))(medians) == 4
    del medians[OTHER]
    with pytest.raises(KeyError):
        least(ratio(APP, NAIVE), ratio(APP, OTHER))(medians)


def test_without_figures_no_goal_is_measured() -> None:
    assert {judgement.verdict for judgement in judged({})} == {Verdict.NOT_MEASURED}
    assert len({goal.name for goal in GOALS}) == len(GOALS)


class RecordingMedians(dict[Series, float]):
    """Medians that have every figure, and record which were requested."""

    def __missing__(self, series: Series) -> float:
        return self.setdefault(series, 1.0)


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.name)
def test_a_goal_is_about_existing_trials(goal: Goal) -> None:
    trials = {(trial.experiment, trial.consumer, trial.parameter) for trial in all_trials(Size.FULL)}
    requested = RecordingMedians()
    goal.value(requested)
    assert requested
    assert {series[:3] for series in requested} <= trials
