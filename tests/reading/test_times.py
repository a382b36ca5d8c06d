"""Every notation of a time, and what is none."""

import math
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.reading.texts import times

SIX = 1_772_344_800_000
"""2026-03-01T06:00:00Z"""
DAY = SIX - 6 * 3_600_000

NOTATIONS = {
    "2026-03-01T06:00:00Z": SIX,
    "2026-03-01t06:00:00z": SIX,
    "2026-03-01T06:00:00.123456789Z": SIX + 123,
    "2026-03-01T06:00:00,5Z": SIX + 500,
    "2026-03-01T07:00:00+01:00": SIX,
    "2026-03-01T07:00:00.000+0100": SIX,
    "2026-03-01T07:00:00+01": SIX,
    "2026-03-01T06:00": SIX,
    "20260301T060000Z": SIX,
    "20260301T0600Z": SIX,
    "2026-W09-7T06:00:00Z": SIX,
    "2026-060T06:00:00Z": SIX,
    "2026-060": DAY,
    "2026-03-01": DAY,
    "2026-03": DAY,
    "2026-03-01 06:00:00": SIX,
    "2026-03-01 06:00:00 UTC": SIX,
    "2026-03-01 06:00:00 +0000": SIX,
    "2026-03-01 06:00:00+00": SIX,
    "2026-3-1 6:00": SIX,
    "2026/03/01 06:00:00": SIX,
    "2026-03-01T06:00:00Z[UTC]": SIX,
    "2026-03-01T07:00:00+01:00[Europe/Berlin]": SIX,
    "Sun, 01 Mar 2026 06:00:00 GMT": SIX,
    "Sun, 1 Mar 2026 07:00:00 +0100": SIX,
    "Sun Mar 01 2026 06:00:00 GMT+0000 (Coordinated Universal Time)": SIX,
    "Sun Mar  1 06:00:00 2026": SIX,
    "Sun Mar  1 06:00:00 UTC 2026": SIX,
    "1 Mar 2026 06:00": SIX,
    "Mar 1, 2026, 6:00:00 AM": SIX,
    "March 1st, 2026 6:00 pm": SIX + 12 * 3_600_000,
    "1. März 2026 06:00": SIX,
    "01-Mar-2026 06:00:00": SIX,
    "01/Mar/2026:06:00:00 +0000": SIX,
    "01.03.2026 06:00": SIX,
    "1. 3. 2026": DAY,
    "/Date(1772344800000)/": SIX,
    "/Date(1772344800000+0100)/": SIX,
    "\\/Date(1772344800000)\\/": SIX,
    "Date(2026,2,1,6,0,0)": SIX,
    "1772344800": SIX,
    "1772344800.123": SIX + 123,
    "1772344800000": SIX,
    "1772344800000000000": SIX,
    "1.7723448E9": SIX,
    "20260301": DAY,
    "202603010600": SIX,
    "20260301060000": SIX,
    "639079416000000000": SIX,
    "9999-12-31T23:59:59.999Z": 253_402_300_799_999,
}
NO_TIMES = [
    "",
    "abc",
    "T-07",
    "1.5",
    "12",
    "6:00",
    "2026-13-01",
    "2026-02-30",
    "31.02.2026",
    "2026-366",
    "2026-03-01T25:00:00Z",
    "1969-12-31T23:59:59Z",
    "13:00 PM",
    "1/1/2026 13:00 PM",
    "Foo 1, 2026",
    "1 Mar 2026 06:00 XYZ",
    "２０２５-01-01",
    "NaN",
    "1e99",
    "9" * 30,
    "2026-03-01T06:00:00Z" * 5,
]


@pytest.mark.parametrize("text", NOTATIONS)
def test_a_notation_is_read(text: str) -> None:
    assert list(times.parse([text]).ms) == [NOTATIONS[text]]
    assert times.looks_like_time(text)


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_is_none(text: str) -> None:
    assert math.isnan(times.parse([text], day_first=True).ms[0])


@pytest.mark.parametrize(
    "number", [SIX // 1000, SIX, SIX * 1000, SIX * 10**6, SIX / 1000, 621355968000000000 + SIX * 10_000]
)
def test_an_epoch_tells_its_unit_by_its_size(number: float) -> None:
    assert list(times.parse([number]).ms) == [SIX]


@pytest.mark.parametrize(
    "number", [0, 5, -1, 20.5, 2**53, 1e300, math.inf, math.nan, 978_307_199, 4_133_980_800, 10**400, 20260301]
)
def test_a_number_that_is_no_plausible_time_is_none(number: float) -> None:
    assert math.isnan(times.parse([number]).ms[0])


def test_dates_as_numbers_count_only_where_they_may() -> None:
    assert list(times.parse([20260301, 20260302], datekeys=True).ms) == [DAY, DAY + 86_400_000]
    assert math.isnan(times.parse([20261399], datekeys=True).ms[0])


@pytest.mark.parametrize(
    ("column", "first_ms"),
    [
        (["3/1/2026 6:00:00 AM", "3/2/2026 6:00:00 PM"], SIX),
        (["03/01/2026", "03/13/2026"], DAY),
        (["01/03/2026", "13/03/2026"], DAY),
        (["01-03-2026 06:00", "13-03-2026 06:00"], SIX),
        (["3/3/2026", "3/3/2026"], DAY + 2 * 86_400_000),
    ],
)
def test_the_column_tells_the_day_from_the_month(column: list[str], first_ms: int) -> None:
    assert times.parse(column).ms[0] == first_ms


@pytest.mark.parametrize("column", [["03/04/2026", "05/04/2026"], ["13/03/2026", "03/13/2026"], ["1-2-2026 06:00"]])
def test_without_proof_the_day_is_not_guessed(column: list[str]) -> None:
    with pytest.raises(times.Ambiguous):
        times.parse(column)
    assert times.parse([column[0]], day_first=True).read == 1


def test_a_time_without_a_zone_is_utc_unless_one_is_set() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert times.parse(["2026-03-01 07:00:00", "2026-07-01 08:00:00"], zone=berlin).ms[0] == SIX
    assert (
        times.parse(["01.07.2026 08:00:00"], zone=berlin).ms[0]
        == datetime(2026, 7, 1, 6, tzinfo=UTC).timestamp() * 1000
    )
    assert times.parse(["2026-03-01T06:00:00Z"], zone=berlin).ms[0] == SIX


RANGE = datetime(1970, 1, 2), datetime(2099, 1, 1)  # noqa: DTZ001  # Hypothesis takes naive bounds


@settings(deadline=None)
@given(
    moments=st.lists(
        st.datetimes(*RANGE).map(lambda moment: moment.replace(microsecond=0, tzinfo=UTC)),
        min_size=1,
        max_size=80,
    ),
    pattern=st.sampled_from(
        [
            "%Y-%m-%dT%H:%M:%SZ",
            "%Y-%m-%d %H:%M:%S",
            "%d.%m.%Y %H:%M:%S",
            "%a, %d %b %Y %H:%M:%S GMT",
            "%b %d, %Y %I:%M:%S %p",
            "%Y/%m/%d %H:%M:%S",
            "%Y%m%dT%H%M%SZ",
            "%G-W%V-%uT%H:%M:%SZ",
            "%Y-%jT%H:%M:%SZ",
            "%d %B %Y %H:%M:%S",
            "%a %b %d %H:%M:%S %Y",
        ]
    ),
)
def test_any_moment_in_any_notation_comes_back(moments: list[datetime], pattern: str) -> None:
    texts = [moment.strftime(pattern) for moment in moments]
    assert list(times.parse(texts).ms) == [moment.timestamp() * 1000 for moment in moments]
