"""An explanation fits its reason: the table it is about, and the entry of INPUTS that the reason asks for."""

import json
from typing import Any

import pytest

from shared.reading.explain import Explanation, explain_batch, explain_chart, to_text
from shared.reading.overruling import Setting, template_for

TIMES = [{"measured": f"2026-01-01T00:0{n}:00Z", "planned": f"2026-01-02T00:0{n}:01Z", "temp": n} for n in range(2)]


def explained(value: Any, *, chart: bool = False) -> Explanation:
    raw = json.dumps(value).encode()
    return explain_chart(raw) if chart else explain_batch("string", [raw])


@pytest.mark.parametrize(
    ("value", "chart", "inputs"),
    [
        ([{"d": "03/04/2026", "v": 1}, {"d": "04/05/2026", "v": 2}], True, {"dayFirst": True}),
        (TIMES, False, {"time": "measured"}),
        ({"orders": [{"id": 1, "quantity": 2}, {"id": 2, "quantity": 3}]}, False, {"measures": ["quantity"]}),
    ],
)
def test_the_entry_of_inputs_is_what_the_reason_asks_for(value: Any, chart: bool, inputs: dict[str, Setting]) -> None:
    explanation = explained(value, chart=chart)
    assert explanation.outcome == "rejected"
    assert inputs.items() <= explanation.inputs.items()
    assert all(f"`{name}`" in explanation.reason for name in inputs)
    assert explanation.inputs.keys() <= {*inputs, "time", "measures"}


@pytest.mark.parametrize(
    ("reason", "names"),
    [
        ("tables found at `a` and at `b`; set `rows` in INPUTS", ["rows"]),
        ("`q` holds codes of quality that follow no known table; set `ignore` in INPUTS", ["ignore"]),
        ("`n` holds numbers that could be times; set `time` or `ignore` in INPUTS", ["time", "ignore"]),
        ("`z` states a zone of the times that is not known; set `zone` in INPUTS", ["zone"]),
        ("JSON is cut short", []),
    ],
)
def test_a_template_has_the_members_that_a_reason_names(reason: str, names: list[str]) -> None:
    assert list(template_for(reason)) == names


def test_a_payload_that_no_setting_can_save_has_no_entry_and_no_unknown_encoding() -> None:
    text = to_text(explain_batch("string", [b'{"records":[{"times']))
    assert text == "Batch: rejected: JSON is cut short\n"


def test_the_refused_table_is_not_listed_among_the_others() -> None:
    explanation = explained({"orders": [{"id": 1, "quantity": 2}, {"id": 2, "quantity": 3}]})
    assert (explanation.path, explanation.rows) == ("`orders`", 2)
    assert explanation.tables == []


def test_one_row_and_one_value_are_not_plural() -> None:
    text = to_text(explained([{"temp": 1, "ts": 5}]))
    assert "1 series, 1 value\n" in text
    assert "1 row at" in text
    assert "temp: 1 value;" in text
