"""When messages of a lane count as queued and when a lane is saturated, with simulated times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.intake.lane import GAP_S, MAX_RUN, PAUSE_S, QUEUE, RUN, Lane

WAITING_S, LATE_S, WORK_S = GAP_S / 2, GAP_S * 4, 0.0004


class Clock:
    """Simulates invocations of a lane."""

    def __init__(self) -> None:
        self.lane = Lane()
        self.now_s = 100.0

    def invoke(self, gap_s: float, times: int = 1, *, effect: bool = True) -> bool:
        """Make `times` invocations, each `gap_s` after the last. Returns whether the lane is saturated."""
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
        """Make invocations without gaps until the lane is saturated. Returns their number."""
        return next(count for count in range(1, 2 * MAX_RUN) if self.invoke(WAITING_S))


def test_a_lane_is_saturated_after_a_run_of_effects_without_gaps():
    clock = Clock()
    assert not clock.invoke(WAITING_S, RUN - 1)
    assert clock.invoke(WAITING_S)


def test_pairs_of_events_every_5_ms_do_not_saturate_a_lane():
    clock = Clock()
    for _ in range(2000):
        assert not clock.invoke(0.005)
        assert not clock.invoke(WAITING_S)


def test_messages_without_effects_do_not_saturate_a_lane():
    clock = Clock()
    assert not clock.invoke(WAITING_S, 10_000, effect=False)


def test_alternating_messages_without_effects_do_not_prevent_saturation():
    clock = Clock()
    for _ in range(RUN - 1):
        assert not clock.invoke(WAITING_S)
        assert not clock.invoke(WAITING_S, effect=False)
    assert clock.invoke(WAITING_S)


@pytest.mark.parametrize("effect", [True, False])
def test_waiting_messages_count_as_queued_with_or_without_effects(effect):
    clock = Clock()
    clock.invoke(WAITING_S, QUEUE, effect=effect)
    assert not clock.lane.queued
    clock.invoke(WAITING_S, effect=effect)
    assert clock.lane.queued


def test_messages_with_regular_gaps_are_not_a_queue():
    clock = Clock()
    for _ in range(1000):
        clock.invoke(GAP_S)
        assert not clock.lane.queued


def test_a_few_messages_with_gaps_end_a_queue_of_any_length():
    clock = Clock()
    clock.invoke(WAITING_S, 10_000)
    assert clock.lane.queued
    clock.invoke(LATE_S)
    assert clock.lane.queued, "in a busy process a message may wait and still be passed late"
    clock.invoke(LATE_S, 3)
    assert not clock.lane.queued


def test_a_pause_ends_a_queue():
    clock = Clock()
    clock.invoke(WAITING_S, 10_000)
    clock.invoke(PAUSE_S)
    assert not clock.lane.queued


def test_a_queue_with_some_late_messages_saturates_a_lane():
    clock = Clock()
    assert any(clock.invoke(LATE_S) or clock.invoke(WAITING_S, 24) for _ in range(10))


@given(st.lists(st.integers(min_value=1, max_value=RUN // 2), min_size=20, max_size=200))
def test_small_groups_with_gaps_between_them_do_not_saturate_a_lane(sizes):
    clock = Clock()
    for size in sizes:
        assert not clock.invoke(RUN / 2 * GAP_S)
        assert not (size > 1 and clock.invoke(WAITING_S, size - 1))


def test_after_a_worthwhile_scan_the_next_needs_a_new_run():
    clock = Clock()
    clock.invoke(WAITING_S, 10 * RUN)
    clock.lane.caught_up(worthwhile=True)
    assert clock.until_saturated() == RUN


def test_scans_that_were_not_worthwhile_double_the_run_up_to_a_bound_until_a_pause():
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
