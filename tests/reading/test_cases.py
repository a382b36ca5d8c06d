"""The payloads that the client gave, and the gallery of services, libraries and devices: each is read right."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from shared.reading.model import Reading
from shared.reading.read import read_batch, read_chart
from tests.reading.gallery import ENTRIES
from tests.reading.table import CO2, DAYS, MS, TEMP

CASES = json.loads((Path(__file__).parent / "cases.json").read_text())


def figures(kind: str, reading: Reading) -> dict[str, list[Any]]:
    """What a case expects: count and mean of a batch's metric; count, bounds and first time of a chart's series."""
    if kind == "batch":
        return {name: [len(item.values), sum(item.values) / len(item.values)] for name, item in reading.series.items()}
    return {
        name: [len(item.values), min(item.values), max(item.values), item.x[0] if reading.x == "time" else None]
        for name, item in reading.series.items()
    }


@pytest.mark.parametrize("case", CASES, ids=[f"{case['kind']}: {case['name']}" for case in CASES])
def test_a_given_payload_is_read_right(case: dict[str, Any]) -> None:
    raw = base64.b64decode(case["b64"])
    reading = read_batch("string", [raw]) if case["kind"] == "batch" else read_chart(raw)
    found = figures(case["kind"], reading)
    assert any(
        found == {name: pytest.approx(figure) for name, figure in right.items()}
        for right in [case["expect"], *case["alt"]]
    )


@pytest.mark.parametrize(
    ("kinds", "raw", "names"), [(k, r, n) for k, _, r, n in ENTRIES], ids=[entry[1] for entry in ENTRIES]
)
def test_a_payload_of_the_gallery_is_read_right(
    request: pytest.FixtureRequest, kinds: str, raw: bytes, names: tuple[str, str]
) -> None:
    days = [int(day.timestamp() * 1000) for day in DAYS]
    times = days if "proven" in request.node.name else MS
    if "b" in kinds:
        reading = read_batch("string", [raw])
        assert {name: list(item.values) for name, item in reading.series.items()} == {names[0]: TEMP, names[1]: CO2}
        assert all(len(item.values) == len(item.raw_times) == len(item.sensors) for item in reading.series.values())
    if "c" in kinds:
        reading = read_chart(raw)
        assert reading.x == "time"
        assert {name: (list(item.values), list(item.x)) for name, item in reading.series.items()} == {
            names[0]: (TEMP, times),
            names[1]: (CO2, times),
        }


def test_the_gallery_has_every_name_once() -> None:
    names = [entry[1] for entry in ENTRIES]
    assert len(names) == len(set(names))
