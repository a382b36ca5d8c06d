"""Parsing the trigger's JSON into a key event, or refusing it with a reason."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import MalformedEvent
from shared.intake.events import KeyEvent, parse_event


def message(key: str, operation: str = "set", database: int = 0) -> str:
    return json.dumps(
        {
            "SubscriptionChannel": "__keyspace@0__:*",
            "Channel": f"__keyspace@{database}__:{key}",
            "Message": operation,
        },
        ensure_ascii=False,
    )


def test_a_message_of_the_extension_is_parsed() -> None:
    assert parse_event(message("fastapi:temp:data:42")) == KeyEvent(b"fastapi:temp:data:42", "set", 0)


@given(key=st.text(st.characters(exclude_categories=["Cs"]), min_size=1), operation=st.text("abc_", min_size=1))
def test_any_text_key_is_returned_as_utf_8(key: str, operation: str) -> None:
    assert parse_event(message(key, operation, 3)) == KeyEvent(key.encode(), operation, 3)


@given(key=st.binary(min_size=1))
def test_bytes_that_are_not_utf_8_are_returned_without_loss(key: bytes) -> None:
    text = key.decode("utf-8", "surrogateescape")
    escaped = json.dumps({"SubscriptionChannel": "", "Channel": f"__keyspace@0__:{text}", "Message": "set"})
    assert parse_event(escaped).key == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "not json",
        '{"Channel":"__keyspace@0__:k"}',
        '{"Channel":"__keyspace@0__:k","Message":""}',
        '{"Channel":"__keyspace@0__:k","Message":3}',
        '{"Channel":"__keyspace@0__:","Message":"set"}',
        '{"Channel":"__keyevent@0__:set","Message":"k"}',
        '{"Channel":"__keyspace@x__:k","Message":"set"}',
        '{"Channel":"__keyspace@__:k","Message":"set"}',
        '{"Channel":"__keyspace@-1__:k","Message":"set"}',
        '{"Channel":"__keyspace@1234567890__:k","Message":"set"}',
        '{"Channel":"__keyspace@0","Message":"set"}',
        '{"Channel":"0__:k","Message":"set"}',
        '{"Channel":" __keyspace@0__:k","Message":"set"}',
        '{"Channel":["__keyspace@0__:k"],"Message":"set"}',
        "[" * 5000,
        '{"Channel":"__keyspace@0__:k","Message":"se',
    ],
)
def test_a_malformed_message_is_refused_with_a_reason_that_does_not_quote_it(text: str) -> None:
    with pytest.raises(MalformedEvent) as caught:
        parse_event(text)
    assert str(caught.value)
    assert "__key" not in str(caught.value).replace("__keyspace@<db>__", "")


@given(text=st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with contextlib.suppress(MalformedEvent):
        assert parse_event(text).name
