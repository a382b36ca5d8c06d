"""Times are formatted as ISO 8601 text in UTC."""

import math

import pytest

from shared.clock import iso_utc, now_iso


@pytest.mark.parametrize(
    ("time_s", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_795_381_183.42, "2026-11-22T20:59:43.420Z"),
        (-1, "1969-12-31T23:59:59.000Z"),
        (253_402_300_799.5, "9999-12-31T23:59:59.500Z"),
    ],
)
def test_a_time_is_written_in_utc_to_the_millisecond(time_s: float, text: str) -> None:
    assert iso_utc(time_s) == text
    assert iso_utc(time_s, "seconds") == text[:19] + "Z"


@pytest.mark.parametrize("time_s", [math.inf, -math.inf, math.nan, 1e12, -1e12, 1e300])
def test_a_time_outside_the_calendar_is_refused(time_s: float) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (the text differs between causes)
        iso_utc(time_s)


def test_now_has_the_format_of_any_other_time() -> None:
    assert len(now_iso()) == len(iso_utc(0))
    assert now_iso()[:2] == "20"
