"""Numbers in texts, and names in JSON."""

import pytest

from shared.words import camel, camel_names, counted


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 keys"), (1, "1 key"), (2, "2 keys"), (1204, "1,204 keys"), (1_000_000, "1,000,000 keys")]
)
def test_only_one_is_singular(count: int, text: str) -> None:
    assert counted(count, "key") == text


def test_a_plural_that_is_not_the_noun_with_an_s_is_given() -> None:
    assert (counted(1, "batch", "batches"), counted(2, "batch", "batches")) == ("1 batch", "2 batches")


@pytest.mark.parametrize(
    ("name", "in_json"),
    [("keys", "keys"), ("table_ttl_s", "tableTtlS"), ("round_trip_ms", "roundTripMs"), ("seen_since", "seenSince")],
)
def test_a_name_in_json_is_in_camel_case_with_its_unit(name: str, in_json: str) -> None:
    assert camel(name) == in_json
    assert camel_names({name: {name: 1}}) == {in_json: {name: 1}}, "of the fields themselves only"
