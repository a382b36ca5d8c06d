"""The living instances divide the keys evenly, move little when one joins or leaves, and agree on the division."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.intake.sharing import SLOTS, Shares, division_of

KEYS = [b"fastapi:temp:data:%d" % number for number in range(2000)]


def divided(*members: str) -> dict[str, Shares]:
    """Each member's view, when all see the same."""
    views = {member: Shares(member) for member in members}
    for view in views.values():
        view.divide(members)
    return views


def owners(views: dict[str, Shares]) -> list[str]:
    """The owner of each of KEYS; each has one."""
    claims = [[member for member, view in views.items() if view.has(key)] for key in KEYS]
    assert all(len(members) == 1 for members in claims)
    return [member for (member,) in claims]


def test_a_single_instance_owns_every_key():
    view = Shares("a")
    assert view.share == 1
    assert all(map(view.has, KEYS))
    view.divide([])
    view.divide(["a"])
    assert view.members == {"a"}
    assert all(map(view.has, [b"", b"\xff", *KEYS]))


@settings(max_examples=10, deadline=None)
@given(st.sets(st.text(min_size=1, max_size=20), min_size=2, max_size=6))
def test_every_key_has_one_owner_and_every_member_names_the_same(members):
    views = divided(*members)
    owners(views)
    assert sum(view.share for view in views.values()) == pytest.approx(1)


@pytest.mark.parametrize("count", [2, 3, 4, 10])
def test_shares_are_even(count):
    views = divided(*(f"host-{number}" for number in range(count)))
    for view in views.values():
        assert view.share == pytest.approx(1 / count, abs=4 * (1 / count / SLOTS) ** 0.5)
    of_keys = owners(views)
    for member in views:
        assert of_keys.count(member) == pytest.approx(len(KEYS) / count, rel=0.5)


def test_when_an_instance_joins_only_keys_that_become_its_own_move():
    before, after = owners(divided("a", "b", "c")), owners(divided("a", "b", "c", "d"))
    moved = [now for was, now in zip(before, after, strict=True) if was != now]
    assert set(moved) == {"d"}
    assert len(moved) == after.count("d")


def test_when_an_instance_leaves_only_its_own_keys_move():
    before, after = owners(divided("a", "b", "c", "d")), owners(divided("a", "b", "c"))
    assert {was for was, now in zip(before, after, strict=True) if was != now} == {"d"}


def test_those_who_left_are_told_once():
    view = Shares("a")
    assert view.divide(["b", "c"]) == set()
    assert view.divide(["c"]) == {"b"}
    assert view.divide(["c"]) == set()
    assert view.divide(["d"]) == {"c"}


def test_an_instance_that_is_left_out_of_its_own_view_counts_itself_in():
    """It is deaf, or was away: at worst, two react to a key."""
    view = Shares("a")
    view.divide(["b"])
    assert view.members == {"a", "b"}
    assert 0 < view.share < 1


def test_identities_that_are_longer_than_the_hash_takes_are_told_apart():
    views = divided("x" * 100 + "1", "x" * 100 + "2", "é" * 80)
    owners(views)


def test_only_who_divides_the_keys_alike_has_the_same_division():
    assert division_of(("a:", "b:")) == division_of(("b:", "a:"))
    assert len({division_of(channels) for channels in [(), ("a:",), ("a:", "b:"), ("a:b:",)]}) == 4
