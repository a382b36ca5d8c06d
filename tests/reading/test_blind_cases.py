"""The cases that were written without the reader: nothing crashes, nothing is misread, nearly all is read right."""

import math
from itertools import chain
from typing import cast

import pytest

from shared.errors import NotReady, Rejected
from shared.reading.model import Reading
from shared.reading.read import read_batch, read_chart
from tests.reading.cases import Case, Expectation, load

LEAST_SHARE = 0.97
CASES = [case for case in load() if case.kind == "batch" or case.shape == "string"]
"""Without charts in lists and hashes: the app reads those of strings only."""

MISREAD: dict[str, str] = {}
"""Cases whose reading is not among the right ones, by their id, each with the reason why that is accepted."""


def parts_of(case: Case) -> list[bytes]:
    """The parts that a case is read from, as shared.reading.batches takes them."""
    if isinstance(case.value, bytes):
        return [case.value]
    parts: list[bytes] = []
    for number, part in enumerate(cast("list[bytes | list[bytes]]", case.value)):
        if isinstance(part, bytes):
            parts.append(part)
        else:
            parts += [f"{1772344800000 + number}-0".encode(), str(len(part) // 2).encode()]
            parts += part
    return parts


def figures(case: Case, reading: Reading) -> Expectation:
    if case.kind == "batch":
        return {
            name: [len(item.values), math.fsum(item.values) / len(item.values)] for name, item in reading.series.items()
        }
    return {
        name: [
            len(item.values),
            min(item.values),
            max(item.values),
            float(item.x[0]) if reading.x == "time" else None,
        ]
        for name, item in reading.series.items()
    }


def read(case: Case) -> tuple[Expectation | None, Exception | None]:
    """The figures, or the fault with which the case was refused."""
    try:
        reading = read_batch(case.shape, parts_of(case)) if case.kind == "batch" else read_chart(parts_of(case)[0])
    except (Rejected, NotReady) as fault:
        return None, fault
    return figures(case, reading), None


def is_same(found: Expectation, right: Expectation) -> bool:
    if found.keys() != right.keys():
        return False
    pairs = chain.from_iterable(zip(found[name], right[name], strict=True) for name in right)
    return all(
        left == other if left is None or other is None else math.isclose(left, other, rel_tol=1e-9, abs_tol=1e-9)
        for left, other in pairs
    )


def is_refused_right(case: Case, fault: Exception) -> bool:
    """Whether the refusal is the expected one: NotReady for the placeholder of a batch, else a word of the reason."""
    word = case.refuse or ""
    if word == "placeholder":
        return case.kind == "chart" or isinstance(fault, NotReady)
    return any(part.lower() in str(fault).lower() for part in word.split("|"))


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_no_case_is_misread(case: Case) -> None:
    found, fault = read(case)
    if fault is not None:
        assert len(str(fault)) <= 200
        if not case.right:
            assert is_refused_right(case, fault), str(fault)
        return
    assert found is not None
    assert case.id in MISREAD or any(is_same(found, right) for right in case.right), found


def test_nearly_all_cases_are_read_right() -> None:
    readable = [case for case in CASES if case.right]
    right = 0
    for case in readable:
        found, _ = read(case)
        right += case.or_refuse if found is None else any(is_same(found, answer) for answer in case.right)
    assert right >= LEAST_SHARE * len(readable)
