"""The checker of JSON's style finds what it is to find."""

from typing import Any

import pytest

from tests.support.json_style import faults


@pytest.mark.parametrize(
    "value",
    [
        {"age_s": 1},
        {"Age": "x"},
        {"rows": [{"bytes_error": 1}]},
        {"age": 1},
        {"timers": {"workedAge": 1.5}},
        {"latency": {"batches": {"p50": 1}}},
        {"payload": 7},
        {"updatedAt": 1_767_225_600_000},
        {"expires": "tomorrow"},
        {"behindS": {"process_fastapi_data": {"some_name": 1}}},
    ],
)
def test_a_name_without_a_unit_or_in_another_case_is_found(value: Any) -> None:
    assert len(list(faults(value))) == 1


@pytest.mark.parametrize(
    "value",
    [
        {"ageS": 1, "roundTripMs": 0.4, "payloadBytes": 4, "payloadKept": True, "lastSuccessAgeS": None},
        {"behindS": {"process_fastapi_data": 0.1}, "keys": {"session-by-user-id": 2}},
        {"minute": "2026-11-22T13:41:00Z", "from": "2026-11-22", "to": None},
        {"keys": [{"key": "a_b", "kind": "batch"}]},
        {"record": {"data": {"duration_s": 1}}},
    ],
)
def test_the_style_is_accepted(value: Any) -> None:
    assert list(faults(value)) == []
