"""`patterns`: matching is Redis' own, explanations are what the reactors do, live tells what really arrives."""

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
# Few letters, so that patterns often match; bytes from 128 on, since Redis compares them with a sign.
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
    """What SCAN MATCH says of each pattern and text, on a database with that one key."""
    pipeline = client.pipeline(transaction=False)
    for pattern, text in pairs:
        pipeline.flushall()
        pipeline.set(text, "1")
        pipeline.scan(0, match=pattern, count=10)
    replies = await pipeline.execute()
    return [keys == [text] for (_, keys), (_, text) in zip(replies[2::3], pairs, strict=True)]


async def test_every_pattern_matches_what_redis_says(redis_client: redis.asyncio.Redis) -> None:
    """SCAN has short cuts, for `*` and for a pattern that is a plain word: they agree with the matching."""
    pairs: list[tuple[bytes, bytes]] = []

    @settings(max_examples=1500, database=None)
    @given(GLOBS, TEXTS)
    def collect(glob: list[bytes], text: list[bytes]) -> None:
        pairs.append((b"".join(glob), b"".join(text)))

    collect()
    pairs = [(pattern, text) for pattern, text in pairs if text]
    expected = [glob_match(pattern, text) for pattern, text in pairs]
    assert sum(expected) > 10
    found = await matched_by_redis(redis_client, pairs)
    assert [pair for pair, ours, theirs in zip(pairs, expected, found, strict=True) if ours != theirs] == []


async def test_psubscribe_matches_as_we_do(redis_client: redis.asyncio.Redis) -> None:
    async with redis_client.pubsub() as pubsub:
        await pubsub.psubscribe(r"__keyspace@0__:a[\]x-z]?\*b*")
        assert (await pubsub.get_message(timeout=5))["type"] == "psubscribe"
        heard = {}
        for key in (b"ay-*b", b"a]1*bcd", b"aw1*b", b"ax1xb"):
            heard[key] = bool(await redis_client.publish(b"__keyspace@0__:" + key, b"set"))
    assert heard == {key: glob_match(rb"a[\]x-z]?\*b*", key) for key in heard}
    assert list(heard.values()) == [True, True, False, False]


def test_a_hostile_pattern_costs_no_more_than_its_length_times_the_key_s() -> None:
    assert not glob_match(b"*a" * 499 + b"b", b"a" * 10_000)
    assert glob_match(b"*a" * 500, b"a" * 10_000)
    with pytest.raises(ValueError, match="1001 bytes"):
        glob_match(b"a" * (MAX_PATTERN_BYTES + 1), b"a")


def test_the_literal_beginning_of_a_pattern_ends_at_the_first_choice() -> None:
    assert literal_prefix(b"nextauth:session:*") == b"nextauth:session:"
    assert literal_prefix(rb"a\*b[c]?d") == b"a*bc"


def test_the_watches_are_the_triggers_of_the_app() -> None:
    found = {}
    for function in [builder.build(None) for builder in blueprint._function_builders]:
        (binding,) = [json.loads(text) for text in function.get_raw_bindings()]
        assert binding["pattern"] is True
        found[function.get_function_name()] = binding["channel"]
    assert found == {reactor.function: reactor.channel for reactor in REACTORS}
    assert all(reactor.channel.startswith(CHANNEL_PREFIX) for reactor in REACTORS)


@pytest.mark.parametrize("key", KEYS, ids=repr)
async def test_an_explanation_is_what_the_reactor_does(app: App, key: bytes) -> None:
    verdict = explain(key)
    if verdict.function is None:
        assert not any(glob_match(reactor.pattern.encode(), key) for reactor in REACTORS)
        return
    (outcome,) = await BY_FUNCTION[verdict.function].react(app, [key], cause("set"))
    not_its_kind = outcome.result is Result.IGNORED and (outcome.detail or "").startswith("not ")
    assert verdict.reacts is not not_its_kind


def test_a_near_miss_is_told_from_where_it_departs_and_shows_nothing_behind_that() -> None:
    why = explain(b"nextauth:sessions:secret-token").why
    assert "near miss of nextauth:session:*: after 'nextauth:session' the key has another character" in why
    assert "secret" not in why
    assert "the key ends too early" in explain(b"fastapi:temp:data").why
    assert "case-sensitive" in explain(b"NextAuth:Session:x").why
    assert "no namespace" in explain(b"session:abc").why
