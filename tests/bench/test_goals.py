"""A goal is met, not met, or not measured, and is about figures that there are."""

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


def test_a_goal_about_each_of_several_is_about_the_worst_of_them_and_needs_all() -> None:
    medians = {APP: 40, NAIVE: 10, OTHER: 20}
    assert least(ratio(APP, NAIVE), ratio(APP, OTHER))(medians) == 2
    assert largest(ratio(APP, NAIVE), ratio(APP, OTHER))(medians) == 4
    del medians[OTHER]
    with pytest.raises(KeyError):
        least(ratio(APP, NAIVE), ratio(APP, OTHER))(medians)


def test_without_figures_no_goal_is_met() -> None:
    assert {one.verdict for one in judged({})} == {Verdict.NOT_MEASURED}
    assert len({goal.name for goal in GOALS}) == len(GOALS)


class Asked(dict[Series, float]):
    """Medians that have every figure, and remember which were asked for."""

    def __missing__(self, series: Series) -> float:
        return self.setdefault(series, 1.0)


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.name)
def test_a_goal_is_about_trials_that_are_made(goal: Goal) -> None:
    made = {(trial.experiment, trial.consumer, trial.parameter) for trial in all_trials(Size.FULL)}
    asked = Asked()
    goal.value(asked)
    assert asked
    assert {series[:3] for series in asked} <= made
