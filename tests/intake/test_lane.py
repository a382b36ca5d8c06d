"""When a lane counts as saturated, told in made-up times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.intake.lane import GAP_S, MAX_RUN, PAUSE_S, QUEUE, RUN, Lane

WAITING_S, LATE_S, WORK_S = GAP_S / 2, GAP_S * 4, 0.0004


class Clock:
    """Feeds invocations to a lane; each `gap_s` after the end of the one before."""

    def __init__(self) -> None:
        self.lane = Lane()
        self.now_s = 100.0

    def invoke(self, gap_s: float, times: int = 1, *, effect: bool = True) -> bool:
        """Whether the last of them is in a saturated lane."""
        for _ in range(times):
            self.now_s += gap_s
            self.lane.begin(self.now_s)
            if effect:
                self.lane.effect()
            saturated = self.lane.saturated
            self.now_s += WORK_S
            self.lane.end(self.now_s)
        return saturated

    def until_saturated(self) -> int:
        """How many waiting invocations it takes."""
        return next(count for count in range(1, 2 * MAX_RUN) if self.invoke(WAITING_S))


def test_a_lane_whose_next_message_always_waits_is_saturated():
    clock = Clock()
    assert not clock.invoke(WAITING_S, RUN - 1)
    assert clock.invoke(WAITING_S)


def test_pairs_of_events_every_5_ms_never_saturate_a_lane():
    clock = Clock()
    for _ in range(2000):
        assert not clock.invoke(0.005)
        assert not clock.invoke(WAITING_S)


def test_messages_that_find_their_work_done_saturate_no_lane():
    clock = Clock()
    assert not clock.invoke(WAITING_S, 10_000, effect=False)


def test_every_second_message_without_an_effect_as_after_set_ex_delays_it_only():
    clock = Clock()
    for _ in range(RUN - 1):
        assert not clock.invoke(WAITING_S)
        assert not clock.invoke(WAITING_S, effect=False)
    assert clock.invoke(WAITING_S)


@pytest.mark.parametrize("effect", [True, False])
def test_messages_that_wait_show_whatever_their_effect(effect):
    clock = Clock()
    clock.invoke(WAITING_S, QUEUE, effect=effect)
    assert not clock.lane.queued
    clock.invoke(WAITING_S, effect=effect)
    assert clock.lane.queued


def test_messages_at_a_steady_pace_with_gaps_between_them_are_no_queue():
    clock = Clock()
    for _ in range(1000):
        clock.invoke(GAP_S)
        assert not clock.lane.queued


def test_a_queue_has_ended_after_a_few_messages_with_gaps_however_long_it_was():
    clock = Clock()
    clock.invoke(WAITING_S, 10_000)
    assert clock.lane.queued
    clock.invoke(LATE_S)
    assert clock.lane.queued, "in a busy process a message may wait and still come late"
    clock.invoke(LATE_S, 3)
    assert not clock.lane.queued


def test_after_a_pause_nothing_waits():
    clock = Clock()
    clock.invoke(WAITING_S, 10_000)
    clock.invoke(PAUSE_S)
    assert not clock.lane.queued


def test_a_queue_shows_although_some_of_its_messages_come_late():
    clock = Clock()
    assert any(clock.invoke(LATE_S) or clock.invoke(WAITING_S, 24) for _ in range(10))


@given(st.lists(st.integers(min_value=1, max_value=RUN // 2), min_size=20, max_size=200))
def test_groups_of_messages_with_gaps_between_them_saturate_no_lane(sizes):
    clock = Clock()
    for size in sizes:
        assert not clock.invoke(RUN / 2 * GAP_S)
        assert not (size > 1 and clock.invoke(WAITING_S, size - 1))


def test_after_a_sweep_that_was_worth_it_the_next_takes_a_new_run():
    clock = Clock()
    clock.invoke(WAITING_S, 10 * RUN)
    clock.lane.caught_up(worthwhile=True)
    assert clock.until_saturated() == RUN


def test_sweeps_that_were_not_worth_it_take_ever_longer_runs_up_to_a_bound_until_a_pause():
    clock = Clock()
    clock.until_saturated()
    runs = []
    for _ in range(10):
        clock.lane.caught_up(worthwhile=False)
        clock.invoke(LATE_S, effect=False)
        runs.append(clock.until_saturated())
    assert runs == [64, 128, 256, 512, 1024, 2048, 4096, 4096, 4096, 4096]
    clock.invoke(PAUSE_S, effect=False)
    assert clock.until_saturated() == RUN
