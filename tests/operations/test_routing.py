"""Routing of keys: patterns match as in Redis, and explanations agree with the reactors."""

import json

import pytest
import redis.asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import namespaces
from shared.app import App
from shared.operations.routing import explain
from shared.reactor import CHANNEL_PREFIX, Result
from shared.registry import REACTORS
from shared.store.glob import MAX_PATTERN_BYTES, glob_match, literal_prefix
from tests.support.causes import cause
from triggers.keyspace import blueprint

BY_FUNCTION = {reactor.function: reactor for reactor in REACTORS}
# Few letters, so that patterns often match; bytes from 128 on, because Redis compares them as signed characters.
GLOBS = st.lists(
    st.sampled_from([b"*", b"?", b"[", b"]", b"^", b"-", b"\\", b"a", b"b", b"z", b"\xff", b"\x80"]), max_size=8
)
TEXTS = st.lists(st.sampled_from([b"a", b"b", b"z", b"-", b"]", b"[", b"\\", b"^", b"*", b"\xff", b"\x80"]), max_size=5)
KEYS = [
    *(kind.example.encode() for kind in namespaces.TABLE),
    b"fastapi:temp:data:",
    b"fastapi:temp:data:a:b",
    b"fabric:data:chart::id",
    b"fabric:data:chart:__sharedTags__",
    b"fabric:data:chart:x:",
    b"nextauth:session:",
    b"nextauth:session:by-user-id:",
    b"nextauth:sessions:x",
    b"fastapi:temp:data:\xff",
]


async def matched_by_redis(client: redis.asyncio.Redis, pairs: list[tuple[bytes, bytes]]) -> list[bool]:
    """Whether SCAN MATCH returns the text, for each (pattern, text), on a database with the text as its only key."""
    pipeline = client.pipeline(transaction=False)
    for pattern, text in pairs:
        pipeline.flushall()
        pipeline.set(text, "1")
        pipeline.scan(0, match=pattern, count=10)
    replies = await pipeline.execute()
    return [keys == [text] for (_, keys), (_, text) in zip(replies[2::3], pairs, strict=True)]


async def test_every_pattern_matches_the_same_texts_as_in_redis(redis_client: redis.asyncio.Redis) -> None:
    """SCAN has shortcuts for `*` and for a pattern without wildcards; they must agree with the matching as well."""
    pairs: list[tuple[bytes, bytes]] = []

    @settings(max_examples=1500, database=None)
    @given(GLOBS, TEXTS)
    def collect(glob: list[bytes], text: list[bytes]) -> None:
        pairs.append((b"".join(glob), b"".join(text)))

    collect()
    pairs = [(pattern, text) for pattern, text in pairs if text]
    expected = [glob_match(pattern, text) for pattern, text in pairs]
    assert sum(expected) > 10
    actual = await matched_by_redis(redis_client, pairs)
    assert [pair for pair, ours, theirs in zip(pairs, expected, actual, strict=True) if ours != theirs] == []


async def test_psubscribe_matches_the_same_channels(redis_client: redis.asyncio.Redis) -> None:
    async with redis_client.pubsub() as pubsub:
        await pubsub.psubscribe(r"__keyspace@0__:a[\]x-z]?\*b*")
        assert (await pubsub.get_message(timeout=5))["type"] == "psubscribe"
        received = {}
        for key in (b"ay-*b", b"a]1*bcd", b"aw1*b", b"ax1xb"):
            received[key] = bool(await redis_client.publish(b"__keyspace@0__:" + key, b"set"))
    assert received == {key: glob_match(rb"a[\]x-z]?\*b*", key) for key in received}
    assert list(received.values()) == [True, True, False, False]


def test_the_cost_of_a_hostile_pattern_is_bounded_by_its_length_times_the_length_of_the_key() -> None:
    assert not glob_match(b"*a" * 499 + b"b", b"a" * 10_000)
    assert glob_match(b"*a" * 500, b"a" * 10_000)
    with pytest.raises(ValueError, match="1001 bytes"):
        glob_match(b"a" * (MAX_PATTERN_BYTES + 1), b"a")


def test_the_literal_prefix_of_a_pattern_ends_at_its_first_wildcard() -> None:
    assert literal_prefix(b"nextauth:session:*") == b"nextauth:session:"
    assert literal_prefix(rb"a\*b[c]?d") == b"a*bc"


def test_the_channels_of_the_reactors_are_those_of_the_triggers() -> None:
    channels = {}
    for function in [builder.build(None) for builder in blueprint._function_builders]:
        (binding,) = [json.loads(text) for text in function.get_raw_bindings()]
        assert binding["pattern"] is True
        channels[function.get_function_name()] = binding["channel"]
    assert channels == {reactor.function: reactor.channel for reactor in REACTORS}
    assert all(reactor.channel.startswith(CHANNEL_PREFIX) for reactor in REACTORS)


@pytest.mark.parametrize("key", KEYS, ids=repr)
async def test_an_explanation_agrees_with_the_reactor(app: App, key: bytes) -> None:
    verdict = explain(key)
    if verdict.function is None:
        assert not any(glob_match(reactor.pattern.encode(), key) for reactor in REACTORS)
        return
    (outcome,) = await BY_FUNCTION[verdict.function].react(app, [key], cause("set"))
    not_its_kind = outcome.result is Result.IGNORED and (outcome.detail or "").startswith("not ")
    assert verdict.reacts is not not_its_kind


def test_a_near_miss_is_explained_by_its_first_difference_and_the_rest_of_the_key_is_not_shown() -> None:
    why = explain(b"nextauth:sessions:secret-token").why
    assert "near miss of nextauth:session:*: after 'nextauth:session' the key has another character" in why
    assert "secret" not in why
    assert "the key ends too early" in explain(b"fastapi:temp:data").why
    assert "case-sensitive" in explain(b"NextAuth:Session:x").why
    assert "no namespace" in explain(b"session:abc").why
