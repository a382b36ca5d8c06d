"""What becomes of an answer: nonsense never a chart, numbers exactly as they were given."""

import json

import pytest

from shared.errors import Rejected, SourceDown
from shared.reading.read import read_chart
from shared.sources.answer import chart_of
from shared.sources.config import Source

T0 = 1_767_225_600_000

NONSENSE = {
    "nothing": b"",
    "null": b"null",
    "a number": b"12",
    "a text": b'"12"',
    "an empty list": b"[]",
    "an empty object": b"{}",
    "NaN": b'[{"t": 1767225600000, "v": NaN}]',
    "beyond a double": b'[{"t": 1767225600000, "v": 1e400}]',
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "UTF-16": '[{"t": 1767225600000, "v": 1}]'.encode("utf-16"),
    "something behind it": b'[{"t": 1767225600000, "v": 1}]<html>',
    "a report of Spring": b'{"status": 500, "error": "Internal Server Error", "timestamp": 1767225600000}',
    "a problem (RFC 9457)": b'{"type": "about:blank", "title": "Bad", "status": 400, "instance": "/x"}',
    "a flag": b'{"error": true, "code": 500, "time": 1767225600000}',
    "a code": b'{"error": {"code": 429}, "time": 1767225600000, "retryAfter": 30}',
    "an empty page": b'{"total": 0, "page": 1, "items": []}',
    "an empty answer of OData": b'{"value": [], "@odata.count": 0}',
    "a state": b'{"uptime": 12345, "version": 1.2, "status": "ok"}',
}


@pytest.mark.parametrize("kind", NONSENSE)
def test_nonsense_is_no_chart(kind: str) -> None:
    with pytest.raises((SourceDown, Rejected)):
        read_chart(chart_of(Source("*", "http://x/"), NONSENSE[kind]))


@pytest.mark.parametrize("keyed", [False, True])
def test_a_column_may_be_called_error(keyed: bool) -> None:
    columns = {"flow": [1.5, 2.5], "error": [0.1, 0.2]}
    times = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"]
    document = (
        {name: dict(zip(times, values, strict=True)) for name, values in columns.items()}
        if keyed
        else {"time": times} | columns
    )
    series = read_chart(chart_of(Source("*", "http://x/"), json.dumps(document).encode())).series
    assert {name: list(line.values) for name, line in series.items()} == columns


@pytest.mark.parametrize("select", [None, "data.rows", "data.rows[*]"])
@pytest.mark.parametrize(
    "values", [[9_007_199_254_740_993, 18_446_744_073_709_551_617, -(2**70) - 1], [0.1, 1e-7, 123456.789]]
)
def test_numbers_are_those_of_the_answer(values: list[float], select: str | None) -> None:
    """Integers beyond 2^53 and 2^64, and decimals whose doubles are not exact."""
    rows = [{"t": T0 + 1000 * row, "v": value} for row, value in enumerate(values)]
    body = json.dumps({"data": {"rows": rows}}).encode()
    (line,) = read_chart(chart_of(Source("*", "http://x/", select=select), body)).series.values()
    assert list(line.exact or line.values) == values


def test_a_byte_order_mark_is_passed_over() -> None:
    body = b'\xef\xbb\xbf[{"t": 1767225600000, "v": 1}]'
    assert chart_of(Source("*", "http://x/"), body) == body[3:]


def test_of_members_with_one_name_the_last_counts_with_and_without_a_selection() -> None:
    body = b'{"rows": [{"t": 1767225600000, "v": 1}], "rows": [{"t": 1767225600000, "v": 2, "v": 3}]}'
    for select in (None, "rows"):
        (line,) = read_chart(chart_of(Source("*", "http://x/", select=select), body)).series.values()
        assert list(line.values) == [3]
