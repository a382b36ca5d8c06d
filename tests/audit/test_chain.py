"""The format of lines: a line keeps the whole record, and every change of a line is detected."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.audit import chain
from shared.audit.chain import BadLine, BlobName, Head
from shared.privacy.keyring import Keyring

NAME = "20261122T205943123Z-0123abcd"
KEY = Keyring("an audit key of the tests")
HEAD = Head(NAME, f"sessions/2026/11/22/{NAME}.jsonl")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-chain.MAX_WHOLE, chain.MAX_WHOLE)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
RECORDS = st.dictionaries(TEXT.filter(lambda name: name not in chain.LINK_FIELDS), JSON, max_size=6)


@settings(deadline=None)
@given(RECORDS)
def test_a_line_keeps_every_field_of_its_record(record: dict[str, Any]) -> None:
    line, head = chain.link(record, HEAD, "5-1", 3, KEY)
    parsed = chain.follow(line, HEAD, [KEY])
    assert {name: value for name, value in parsed.record.items() if name not in chain.LINK_FIELDS} == record
    assert chain.head_of(parsed, HEAD.blob, len(line), len(line)) == head
    assert (head.seq, head.entry, head.n, head.position) == (1, "5-1", 3, len(line))
    assert line.count(b"\n") == 1


@settings(deadline=None)
@given(RECORDS, st.data())
def test_a_change_of_a_single_byte_is_detected(record: dict[str, Any], data: st.DataObject) -> None:
    line, _ = chain.link(record, HEAD, "5-1", 3, KEY)
    index = data.draw(st.integers(0, len(line) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != line[index]))
    with pytest.raises(BadLine):
        chain.follow(line[:index] + bytes([byte]) + line[index + 1 :], HEAD, [KEY])


def test_a_line_is_authentic_only_under_the_key_that_signed_it() -> None:
    other = Keyring("the next audit key")
    line, _ = chain.link({"a": 1}, HEAD, "1-0", 1, KEY)
    assert chain.authentic(line, [other, KEY]).seq == 1
    with pytest.raises(BadLine, match="with an unknown key"):
        chain.authentic(line, [other])
    for forged in (line.replace(KEY.key_id.encode(), other.key_id.encode()), re.sub(rb"(mac.*)\..{64}", rb"\1.", line)):
        with pytest.raises(BadLine, match="has an invalid signature"):
            chain.authentic(forged, [other, KEY])


def test_each_line_names_the_hash_of_the_previous_line() -> None:
    first, head = chain.link({"a": 1}, HEAD, "1-0", 1, KEY)
    second, head = chain.link({"a": 2}, head, "2-0", 2, KEY)
    assert json.loads(first)["prev"] == "0" * 64
    assert json.loads(second)["prev"] == json.loads(first)["hash"]
    assert (json.loads(first)["seq"], json.loads(second)["seq"], head.seq) == (1, 2, 2)
    with pytest.raises(BadLine, match="does not follow"):
        chain.follow(second, HEAD, [KEY])


@pytest.mark.parametrize(
    "record", [{"a": 2**53}, {"a": float("nan")}, {"a": "\ud800"}, {"\ud800": 1}, {"hash": "x"}, {"a": "x" * 200_000}]
)
def test_a_record_without_an_exact_line_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  several libraries raise their own subclasses
        chain.link(record, HEAD, "1-0", 1, KEY)


def test_a_float_past_2_53_reads_back_as_it_was_written() -> None:
    line, _ = chain.link({"a": 1e20, "b": 9007199254740993.0}, HEAD, "1-0", 1, KEY)
    assert chain.parse(line).record["a"] == 1e20


def test_a_blob_name_parses_back() -> None:
    for part in (1, 2, 17):
        name = BlobName("2026-11-22", NAME, part)
        assert BlobName.parse(str(name)) == name
    with pytest.raises(ValueError, match="not the name of an audit blob"):
        BlobName.parse("sessions/2026/11/22/heads.json")


def test_signed_heads_are_accepted_only_as_signed_and_under_their_key() -> None:
    key, other = Keyring("an audit key of the tests"), Keyring("another audit key of the tests")
    head = Head(NAME, HEAD.blob, 7, "ab" * 32, 1234)
    raw = chain.sign_heads("2026-11-22", [head], key)
    assert chain.check_heads(raw, "2026-11-22", [other, key]) == [head]
    for keys, day, text, reason in [
        ([other], "2026-11-22", raw, "with an unknown key"),
        ([key], "2026-11-23", raw, "signed for another day"),
        ([key], "2026-11-22", raw.replace(b":1234", b":1235"), "it has an invalid signature"),
        ([key], "2026-11-22", raw.replace(b"{", b'{"day":"2026-11-23",', 1), "not in canonical form"),
        ([key], "2026-11-22", raw.replace(b":1234", b":1e400"), "cannot be read"),
        ([key], "2026-11-22", b"[" * 10_000, "cannot be read"),
    ]:
        with pytest.raises(ValueError, match=reason):
            chain.check_heads(text, day, keys)


def test_the_line_in_docs_audit_md_is_valid() -> None:
    text = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")
    block = re.search(r"```json\n(.*?)```", text, re.DOTALL)
    assert block
    line = chain.parse(chain.canonical(json.loads(block[1])) + b"\n")
    assert (line.seq, line.n, line.record["type"]) == (2, 2, "nextauth.session.ended")
