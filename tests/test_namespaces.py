"""The table of key patterns: complete, with `build` and `parse` as exact inverses, and no false match."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import namespaces
from shared.namespaces import TABLE, Kind, Owner, build, parse
from triggers.keyspace import blueprint

DOCUMENTED = {
    "nextauth:user:{userId}": None,
    "nextauth:session:{sessionId}": 3600,
    "nextauth:account:{provider}:{accountId}": None,
    "nextauth:email:{email}": None,
    "nextauth:token:{verificationToken}": 3600,
    "fabric:user:{userId}:tokens": 3300,
    "fabric:data:chart:{chartId}:{dataType}": 300,
    "fabric:cache:query:{queryId}": 600,
    "fabric:test:connection": None,
    "fastapi:temp:data:{batchId}": 3600,
    "fastapi:queue:processing:{itemId}": 1800,
    "fastapi:results:analysis:{analysisId}": 86400,
    "fastapi:cache:model:{modelName}": 3600,
    "nextauth:session:by-user-id:{userId}": None,
    "nextauth:account:by-user-id:{userId}": None,
}


def test_every_pattern_of_the_document_is_in_the_table_with_its_ttl() -> None:
    table = {kind.pattern: kind.ttl_s for kind in TABLE if kind.owner is not Owner.APP}
    assert table == DOCUMENTED


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: kind.name)
def test_every_example_parses_as_its_own_kind(kind: Kind) -> None:
    parsed = parse(kind.example.encode())
    assert parsed is not None
    assert parsed[0] is kind
    assert build(kind, *parsed[1]) == kind.example.encode()


@given(key=st.binary(max_size=60) | st.builds(bytes.__add__, st.sampled_from([k.prefix for k in TABLE]), st.binary()))
def test_a_parsed_key_can_be_rebuilt_from_its_parts(key: bytes) -> None:
    parsed = parse(key)
    if parsed is not None:
        kind, parts = parsed
        assert build(kind, *parts) == key
        assert namespaces.parts_of(kind, key) == parts


@given(data=st.data(), kind=st.sampled_from(TABLE))
def test_a_built_key_parses_to_its_parts(data: st.DataObject, kind: Kind) -> None:
    parts = tuple(data.draw(st.binary(min_size=1, max_size=20)) for _ in kind.part_names)
    try:
        key = build(kind, *parts)
    except ValueError:
        return
    assert parse(key) == (kind, parts)


@given(parts=st.lists(st.text("abc-é. \n*", min_size=1, max_size=12), min_size=2, max_size=2))
def test_ordinary_parts_always_build(parts: list[str]) -> None:
    for kind in TABLE:
        names = parts[: len(kind.part_names)]
        assert parse(build(kind, *names)) == (kind, tuple(name.encode() for name in names))


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b":",
        b"nextauth:session:",
        b"nextauth:sessions:x",
        b"nextauth:session:by-user-id:",
        b"nextauth:account:azure",
        b"fabric:data:chart::id",
        b"fabric:data:chart:" + b"a" * 64,
        b"fabric:data:chart:__sharedTags__",
        b"fabric:user:tokens",
        b"fabric:test:connection:2",
        b"fastapi:temp:data:",
        b" fastapi:temp:data:1",
        b"session:abc123",
        b"FASTAPI:temp:data:1",
    ],
)
def test_a_key_that_matches_no_pattern_does_not_parse(key: bytes) -> None:
    assert parse(key) is None


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        (namespaces.SESSION, ("by-user-id:u1",)),
        (namespaces.SESSION, ("",)),
        (namespaces.CHART_DATA, ("co2", "a:b")),
        (namespaces.CHART_DATA, (":co2", "a")),
        (namespaces.ACCOUNT, ("by-user-id", "u1")),
        (namespaces.ACCOUNT, ("azure",)),
    ],
)
def test_parts_that_would_not_parse_back_are_refused(kind: Kind, parts: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=kind.name):
        build(kind, *parts)


def test_the_triggers_subscribe_to_the_documented_patterns() -> None:
    functions = [builder.build(None) for builder in blueprint._function_builders]
    channels = {json.loads(text)["channel"] for function in functions for text in function.get_raw_bindings()}
    patterns = ("fastapi:temp:data:*", "fabric:data:chart:*", "nextauth:session:*")
    assert channels == {f"__keyspace@0__:{pattern}" for pattern in patterns}
