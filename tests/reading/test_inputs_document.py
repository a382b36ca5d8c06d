"""docs/inputs.md tells the truth: every kind is read as listed, and every entry of INPUTS does what the text says."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.repo.input_examples import EXAMPLES, Example
from shared.errors import Rejected
from shared.reading.overrides import NONE, Override, parse
from shared.reading.read import read_batch, read_chart
from tests.reading.reads import flat, points, values

DOCUMENT = (Path(__file__).parents[2] / "docs" / "inputs.md").read_text(encoding="utf-8")
FIRST_MS = int(datetime(2026, 3, 30, 4, 2, 10, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example.group}: {example.name}")
def test_each_kind_is_read_as_listed(example: Example) -> None:
    expected = {name: list(series) for name, series in example.series.items()}
    if "b" in example.reads:
        assert values(read_batch(example.shape, example.parts)) == expected
    if "c" in example.reads:
        chart = read_chart(example.parts[0])
        assert (values(chart), chart.x) == (expected, example.x)


def section(title: str, key: bytes) -> tuple[bytes, Override]:
    """The payload of a section, and what its entry of INPUTS says for a key."""
    text = DOCUMENT.partition(f"### {title}\n")[2].partition("\n### ")[0]
    payload, entry = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    override = parse(entry).override(key)
    assert override is not NONE, "the glob matches the key"
    return payload.encode(), override


def test_rows_selects_one_of_two_lists() -> None:
    payload, override = section("A nested payload", b"fabric:data:chart:tank-1:realtime")
    assert values(read_chart(payload)) == {"inlet.temp": [20.5, 21.0], "outlet.temp": [18.5, 18.25]}
    assert values(read_chart(payload, override)) == {"temp": [18.5, 18.25]}


def test_time_and_zone_settle_which_clock_counts() -> None:
    payload, override = section("Two columns of times", b"fabric:data:chart:tank-1:realtime")
    with pytest.raises(Rejected) as caught:
        read_chart(payload)
    assert f'"{caught.value}"' in DOCUMENT
    assert points(read_chart(payload, override)) == {"temp": [(FIRST_MS, 20.5), (FIRST_MS + 580_000, 21.0)]}


def test_series_and_ignore_give_each_sensor_its_own_series() -> None:
    payload, override = section("A series per sensor", b"fastapi:temp:data:b1")
    plain = flat(read_batch("string", [payload]))
    assert {name: [sensor for _, sensor, _ in readings] for name, readings in plain.items()} == {
        "battery": ["T-07", "T-08", "T-07", "T-08"],
        "value": ["T-07", "T-08", "T-07", "T-08"],
    }
    reading = read_batch("string", [payload], override)
    assert values(reading) == {"T-07": [20.5, 21.0], "T-08": [18.5, 18.25]}
    assert reading.rejected == {"ignored by INPUTS": 4}


def test_every_member_of_an_entry_is_documented() -> None:
    table = DOCUMENT.partition("| Member | Meaning |")[2].partition("\n\n")[0]
    names = {"dayFirst" if name == "day_first" else name for name in Override.__struct_fields__}
    assert set(re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines()[2:] if line))) == names
