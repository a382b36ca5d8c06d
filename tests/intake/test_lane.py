"""How far a lane is behind, and when its trigger is deaf, with simulated times."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shared.intake.lane import (
    BEHIND_S,
    BUSY_PACE_S,
    BUSY_S,
    DEAF_AT_START_S,
    DEAF_S,
    IDLE_PACE_S,
    MARK_AFTER,
    MARK_PACE_S,
    MAX_LAG_S,
    MAX_OUTSTANDING,
    Lane,
)

N, T = 1_764_408_840_000, 100.0
"""The first number, and the time at which it is published."""


def heard_lane(lag_s: float = 0.0) -> Lane:
    """A lane that has heard the first heartbeat."""
    lane = Lane(T - 10)
    assert not lane.published(N, T, T)
    lane.invoked(T + lag_s)
    assert not lane.hear(N, T + lag_s, T)
    return lane


# Lag


def test_the_lag_is_the_age_of_the_last_heartbeat_when_it_arrived():
    lane = heard_lane(lag_s=0.3)
    assert lane.lag_s == pytest.approx(0.3)
    assert lane.behind_s(T + 50) == pytest.approx(0.3)


def test_a_heartbeat_that_is_out_shows_the_lag_before_it_arrives():
    lane = heard_lane()
    lane.published(N + 1, T + 1, T + 1)
    assert lane.behind_s(T + 1.5) == pytest.approx(0.5)
    assert lane.overdue_s(T + 1.5) == pytest.approx(0.5)
    lane.hear(N + 1, T + 2, T + 1)
    assert lane.behind_s(T + 9) == pytest.approx(1.0)
    assert lane.overdue_s(T + 9) == 0


def test_before_the_first_message_nothing_is_known_since_the_host_may_not_have_subscribed_yet():
    lane = Lane(T - 10)
    lane.published(N, T, T)
    assert lane.behind_s(T + 5) == 0


def test_an_event_proves_that_the_host_has_subscribed_so_that_a_burst_right_after_the_start_is_noticed():
    lane = Lane(T - 10)
    lane.published(N, T, T)  # it may have been published too early
    lane.invoked(T + 5)
    assert lane.behind_s(T + 5.1) == 0
    lane.published(N + 1, T + 5.1, T + 5.1)
    assert lane.behind_s(T + 5.4) == pytest.approx(0.3)


def test_what_another_process_of_the_host_hears_proves_it_too():
    lane = Lane(T - 10)
    lane.published(N, T, T)
    lane.heard_elsewhere(N)
    lane.published(N + 1, T + 1, T + 1)
    assert lane.behind_s(T + 1.5) == pytest.approx(0.5)


def test_the_oldest_heartbeat_that_is_out_counts_however_many_follow():
    lane = heard_lane()
    for number in range(1, 4 * MAX_OUTSTANDING):
        lane.published(N + number, T + number, T + number)
    assert lane.overdue_s(T + 1000) == 999


def test_a_later_heartbeat_settles_the_earlier_ones():
    lane = heard_lane()
    for number in (1, 2, 3):
        lane.published(N + number, T + number, T + number)
    lane.hear(N + 2, T + 3, T + 2)
    assert lane.overdue_s(T + 5) == 2, "the third is still out"
    lane.hear(N + 1, T + 4, T + 1)
    assert lane.heard == N + 2, "an older one changes nothing"


def test_a_heartbeat_that_another_process_of_the_instance_heard_is_not_overdue():
    lane = heard_lane()
    lane.published(N + 1, T + 1, T + 1)
    lane.heard_elsewhere(N + 1)
    assert lane.overdue_s(T + 100) == 0
    assert not lane.deaf(T + 100)


def test_a_process_that_never_heard_a_heartbeat_itself_goes_by_what_another_of_its_instance_heard():
    lane = Lane(T)
    lane.published(N, T, T)
    lane.heard_elsewhere(N)
    assert lane.pace_s(T + 1) == IDLE_PACE_S
    lane.published(N + 1, T + 10, T + 10)
    assert lane.deaf(T + 10 + DEAF_S)


def test_a_lag_is_outdated_when_another_process_of_the_instance_has_heard_a_newer_heartbeat():
    """The host may hand this process no further one of this function: it gives them to its processes in turn."""
    lane = heard_lane(lag_s=3.0)
    lane.heard_elsewhere(N)
    assert lane.behind_s(T + 1) == 3.0
    lane.published(N + 2, T + 2, T + 2)
    lane.heard_elsewhere(N + 1)
    assert lane.behind_s(T + 5) == 3.0, "one is overdue"
    lane.heard_elsewhere(N + 2)
    assert lane.behind_s(T + 5) == 0


def test_a_lag_is_bounded_whatever_a_message_claims():
    lane = heard_lane()
    lane.published(N + 2, T + 1, T + 1)
    lane.hear(N + 1, T + 1, -1e15)
    assert lane.lag_s == MAX_LAG_S
    lane.hear(N + 2, T - 50, T + 1)  # a clock that goes back
    assert lane.lag_s == 0


# Losses


def test_each_missing_number_is_told_once():
    lane = heard_lane()
    for number in (1, 2, 3):
        lane.published(N + number, T + number, T + number)
    assert lane.hear(N + 2, T + 3, T + 2), "N + 1 is missing"
    assert not lane.hear(N + 3, T + 3, T + 3)
    assert not lane.hear(N + 3, T + 4, T + 3), "the same again"
    assert not lane.hear(N + 1, T + 4, T + 1), "late"


def test_the_first_heartbeat_of_a_process_is_no_loss():
    lane = Lane(T)
    lane.published(N + 7, T, T)
    assert not lane.hear(N + 7, T, T)


def test_heartbeats_of_other_instances_that_arrive_before_this_one_knows_of_them_are_no_loss():
    """Others that are busy publish four a second, and this one asks Redis once a second."""
    lane = heard_lane()
    for number in range(1, 5):
        assert not lane.hear(N + number, T + number / 4, T + number / 4)
    assert lane.heard == N, "not known to be published"
    assert not lane.published(N + 4, T + 1, T + 1)
    assert lane.heard == N + 4
    assert lane.overdue_s(T + 100) == 0


def test_one_missing_among_heartbeats_that_were_not_known_yet_is_told():
    lane = heard_lane()
    for number in (1, 3, 4):
        lane.hear(N + number, T + number / 4, T + number / 4)
    assert lane.published(N + 4, T + 1, T + 1)
    assert not lane.published(N + 4, T + 1, T + 2)


def test_a_heartbeat_published_while_the_reply_was_on_its_way_is_taken_over_with_the_next():
    lane = heard_lane()
    lane.hear(N + 1, T + 1, T + 1)
    lane.hear(N + 2, T + 1.1, T + 1.1)
    assert not lane.published(N + 1, T + 1, T + 1.2)
    assert lane.heard == N + 1
    assert not lane.published(N + 3, T + 2, T + 2)
    assert lane.heard == N + 2
    assert not lane.hear(N + 3, T + 2, T + 2)


def test_after_a_flush_the_numbers_jump_which_is_a_loss():
    lane = heard_lane()
    lane.published(N + 60_000, T + 60, T + 60)
    assert lane.hear(N + 60_000, T + 60, T + 60)
    lane.published(N + 60_001, T + 61, T + 61)
    assert not lane.hear(N + 60_001, T + 61, T + 61)


@pytest.mark.parametrize("back", [1, 30, 3_600_000])
def test_if_redis_lost_the_last_numbers_those_that_it_gives_again_count(back):
    """After a restart from an older file, or a failover; or the clock was set back, and everything flushed."""
    lane = heard_lane(lag_s=1.0)
    lane.published(N - back, T + 10, T + 10)
    assert lane.overdue_s(T + 12) == 2
    assert not lane.hear(N - back, T + 12.5, T + 10)
    assert lane.lag_s == pytest.approx(2.5)
    lane.published(N - back + 2, T + 20, T + 20)
    assert lane.hear(N - back + 2, T + 20, T + 20), "from then on a loss is told again"


def test_after_an_outage_nothing_is_overdue_and_the_next_heartbeat_tells_the_loss():
    lane = heard_lane()
    lane.published(N + 1, T + 1, T + 1)
    lane.forget()
    assert not lane.deaf(T + 1000)
    lane.published(N + 2, T + 1000, T + 1000)
    assert lane.hear(N + 2, T + 1000, T + 1000)


# Forged numbers


@pytest.mark.parametrize("number", [N + 1, N + 2, 10**15 - 1])
def test_a_number_that_was_not_published_changes_nothing(number):
    lane = heard_lane(lag_s=0.25)
    assert not lane.hear(number, T + 1, T - 1000)
    assert not lane.published(N, T, T + 1)
    assert not lane.published(N, T, T + 2)
    assert (lane.heard, lane.lag_s, lane.overdue_s(T + 9)) == (N, 0.25, 0)
    assert not lane.published(number, T + 3, T + 3), "it is forgotten: it came before it was published"
    assert lane.overdue_s(T + 9) == 6


def test_a_flood_of_forged_numbers_takes_bounded_memory_and_time():
    lane = heard_lane()
    for number in range(10 * MAX_OUTSTANDING):
        lane.hear(N + 1000 + number, T + 1, T)
    assert len(lane._unconfirmed) == MAX_OUTSTANDING
    assert not lane.published(N + 1, T + 2, T + 2)
    assert not lane.published(N + 1, T + 2, T + 3)
    assert not lane._unconfirmed


# Deaf


def test_a_trigger_is_deaf_when_a_heartbeat_is_overdue_and_nothing_came():
    lane = heard_lane()
    lane.published(N + 1, T + 10, T + 10)
    assert not lane.deaf(T + 10 + DEAF_S - 0.1)
    assert lane.deaf(T + 10 + DEAF_S)


def test_a_trigger_that_is_far_behind_but_brings_messages_is_not_deaf():
    lane = heard_lane()
    lane.published(N + 1, T + 1, T + 1)
    lane.invoked(T + 300)
    assert not lane.deaf(T + 300 + DEAF_S - 0.1)
    assert lane.deaf(T + 300 + DEAF_S)


def test_a_quiet_trigger_without_an_overdue_heartbeat_is_not_deaf():
    assert not heard_lane().deaf(T + 10_000)


def test_at_the_start_a_trigger_has_more_time():
    lane = Lane(T)
    lane.published(N, T, T)
    assert not lane.deaf(T + DEAF_AT_START_S - 0.1)
    assert lane.deaf(T + DEAF_AT_START_S)


# Pace


def test_the_pace_is_slow_at_rest_and_faster_the_more_there_is_to_know():
    lane = heard_lane()
    assert lane.pace_s(T + 1) == IDLE_PACE_S
    lane.event(T + 1)
    assert lane.pace_s(T + 2) == BUSY_PACE_S
    assert lane.pace_s(T + 1 + BUSY_S) == IDLE_PACE_S
    for _ in range(MARK_AFTER):
        lane.event(T + 60)
    assert lane.pace_s(T + 60) == MARK_PACE_S
    assert heard_lane(lag_s=2 * BEHIND_S).pace_s(T + 9) == MARK_PACE_S
    assert Lane(T).pace_s(T) == BUSY_PACE_S, "until the first has come"


def test_after_some_messages_a_lane_asks_for_a_heartbeat_but_not_while_one_is_out_or_too_often():
    lane = heard_lane()
    asked = [lane.event(T + 1) for _ in range(MARK_AFTER)]
    assert asked == [False] * (MARK_AFTER - 1) + [True]
    assert not lane.event(T + 1), "it was asked for"
    assert lane.event(T + 1 + MARK_PACE_S), "it was not published"
    lane.published(N + 1, T + 1, T + 1)
    assert not any(lane.event(T + 9) for _ in range(2 * MARK_AFTER)), "one is out"
    lane.hear(N + 1, T + 9, T + 1)
    assert lane.event(T + 9)
    lane.published(N + 2, T + 10, T + 10)
    lane.hear(N + 2, T + 10, T + 10)
    assert not any(lane.event(T + 10 + MARK_PACE_S / 2) for _ in range(2 * MARK_AFTER)), "too soon"


# Anything in any order


@given(st.lists(st.tuples(st.sampled_from("phief"), st.integers(0, 6), st.floats(-5, 30)), max_size=60))
def test_whatever_happens_lags_are_finite_and_not_negative_and_deaf_means_overdue_and_not_invoked(steps):
    lane, now_s, invoked_s = Lane(0.0), 0.0, 0.0
    for step, number, seconds in steps:
        now_s += seconds if step != "h" else abs(seconds)
        match step:
            case "p":
                lane.published(number, now_s - number, now_s)
            case "h":
                lane.invoked(now_s)
                invoked_s = now_s
                lane.hear(number, now_s, now_s - seconds)
            case "i":
                lane.invoked(now_s)
                invoked_s = now_s
            case "e":
                lane.event(now_s)
            case "f":
                lane.forget()
        assert 0 <= lane.lag_s <= MAX_LAG_S
        assert lane.behind_s(now_s) >= 0
        assert math.isfinite(lane.overdue_s(now_s))
        assert lane.heard <= lane.newest
        if lane.deaf(now_s):
            assert min(lane.overdue_s(now_s), now_s - invoked_s) >= DEAF_S
        assert MARK_PACE_S <= lane.pace_s(now_s) <= IDLE_PACE_S


class Numbers(RuleBasedStateMachine):
    """Redis numbers heartbeats; the channel passes each in order or loses it; forged ones come in between. Each run of
    lost ones is told once, or together with others between two calls; nothing else is."""

    @initialize()
    def start(self):
        self.lane, self.now_s, self.number = heard_lane(), T, N
        self.channel, self.lost, self.expected, self.told = [], False, 0, 0

    @rule()
    def redis_publishes(self):
        self.number += 1
        self.channel.append((self.number, self.now_s))

    @rule()
    def the_channel_loses_the_next(self):
        if self.channel:
            self.channel.pop(0)
            self.lost = True

    @rule()
    def the_channel_passes_the_next(self):
        if self.channel:
            number, sent_s = self.channel.pop(0)
            self.expected += self.lost
            self.lost = False
            self.now_s += 0.01
            self.told += self.lane.hear(number, self.now_s, sent_s)

    @rule(ahead=st.integers(100, 10**6))
    def someone_forges(self, ahead):
        self.told += self.lane.hear(self.number + ahead, self.now_s, 0.0)

    @rule()
    def redis_tells(self):
        self.now_s += 0.01
        self.told += self.lane.published(self.number, self.now_s, self.now_s)

    @invariant()
    def nothing_is_told_that_did_not_happen(self):
        assert self.told <= self.expected

    def teardown(self):
        if hasattr(self, "lane"):
            self.redis_tells()
            assert (self.told > 0) == (self.expected > 0)


TestNumbers = Numbers.TestCase
TestNumbers.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
