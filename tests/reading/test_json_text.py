"""JSON of other applications: what is read, what is rejected, and that nothing else can come of it."""

import contextlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Rejected
from shared.reading.documents.json_text import MAX_DEPTH, decode_json_value

HOSTILE = {
    "cut short in an array": (b'[{"a": 1}, {"a"', "JSON is cut short"),
    "cut short in a string": (b'{"secret": "hunter2', "JSON is cut short"),
    "cut short after a member": (b'{"a": 1,', "JSON is cut short"),
    "2,000 arrays deep": (b"[" * 2000 + b"]" * 2000, "more than 64 levels deep"),
    "2,000 objects deep": (b'{"a":' * 2000 + b"1" + b"}" * 2000, "more than 64 levels deep"),
    "200,000 levels deep": (b"[" * 200_000, "more than 64 levels deep"),
    "deep beside NaN": (b"[NaN," + b"[" * 2000 + b"]" * 2000 + b"]", "more than 64 levels deep"),
    "raw bytes": (b"\xff\xfe\x00\x01", "neither JSON nor UTF-8 text"),
    "text": (b"fabric", "not JSON"),
    "two values": (b"[1] [2]", "not JSON"),
    "a number of 5,000 digits": (b"1" * 5000, "a number has too many digits"),
}


@pytest.mark.parametrize(("raw", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_no_json_is_rejected_with_a_reason_that_holds_none_of_it(raw, reason):
    with pytest.raises(Rejected) as caught:
        decode_json_value(raw)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'{"a": 1, "a": 2, "b": Infinity}', {"a": 2, "b": math.inf}),
        (b"[-Infinity, 1e999]", [-math.inf, math.inf]),
        (b'"\\ud800"', "\ud800"),
        (b'"\xed\xa0\x80"', "\ud800"),
        (b"9007199254740993", 2**53 + 1),
        (b"18446744073709551617", 2**64 + 1),
        (b"[18446744073709551617, Infinity]", [2**64 + 1, math.inf]),
        (b"null", None),
        (b"7", 7),
    ],
)
def test_what_clients_write_beyond_the_standard_is_read(raw, value):
    assert decode_json_value(raw) == value


def test_nan_is_read_as_nan():
    assert math.isnan(decode_json_value(b"NaN"))


def test_depth_is_allowed_up_to_its_limit_and_brackets_in_texts_are_no_depth():
    assert decode_json_value(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert decode_json_value(b'["' + b"[" * 1000 + b'"]') == ["[" * 1000]
    with pytest.raises(Rejected):
        decode_json_value(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))


@pytest.mark.parametrize("depth", [7, 8, 9, MAX_DEPTH - 1, MAX_DEPTH])
@pytest.mark.parametrize("beside", [b"[]", b"NaN", b"{}"])
def test_depth_is_measured_the_same_in_a_payload_of_many_brackets(depth, beside):
    def beside_many(inner):
        return b"[" + (beside + b",") + b"[]," * 200 + inner + b"]"

    allowed, deeper = (b'{"a":' * (depth - 1) + b"7" + b"}" * (depth - 1) for depth in (depth, MAX_DEPTH + 1))
    value = decode_json_value(beside_many(allowed))[-1]
    for _ in range(depth - 1):
        value = value["a"]
    assert value == 7
    with pytest.raises(Rejected, match=r"^more than 64 levels deep$"):
        decode_json_value(beside_many(deeper))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(JSON)
def test_every_json_value_survives_the_round_trip(value):
    assert decode_json_value(json.dumps(value).encode()) == value


@given(JSON)
def test_many_brackets_around_a_value_do_not_change_it(value):
    assert decode_json_value(json.dumps([[]] * 100 + [value]).encode())[-1] == value


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()[:-1]))
def test_nothing_but_a_rejection_can_come_of_arbitrary_bytes(raw):
    with contextlib.suppress(Rejected):
        decode_json_value(raw)
