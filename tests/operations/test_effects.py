"""The live feed has the latest effects of all instances, masked and bounded, at no round trip."""

import json
import re

import pytest

from shared import namespaces
from shared.app import App
from shared.operations import effects
from shared.reactor import Outcome, Result, Source
from shared.sessions.keys import phantom_key
from shared.telemetry import effects as noted
from shared.telemetry import minute_counts, record, record_group

TOKEN = "a-session-token-nobody-may-see"
FEED = "functions:stats:effects"


@pytest.fixture(autouse=True)
def nothing_waits() -> None:
    minute_counts.take(now=True)
    noted.take("", hide_users=False)


def react(app: App, key: str, result: Result = Result.PROCESSED, reason: str | None = None) -> None:
    outcome = Outcome(key.encode(), result, reason)
    record("process_fastapi_data", "batches", Source.EVENT, outcome, 1.5, app.settings.audit_key, event="set")


async def test_effects_of_all_instances_are_shown_newest_first_with_what_was_made_of_each_key(app: App) -> None:
    react(app, "fastapi:temp:data:b1")
    await app.write_minute_counts()
    other = App(app.settings, app.redis)
    react(other, "fastapi:temp:data:b2", Result.REJECTED, "no JSON")
    await other.write_minute_counts()
    newest, oldest = await effects.read(app)
    assert (newest.key, newest.outcome, newest.reason) == ("fastapi:temp:data:b2", "rejected", "no JSON")
    assert (oldest.key, oldest.reactor, oldest.operation) == ("fastapi:temp:data:b1", "batches", "set")
    assert (oldest.outcome, oldest.duration_ms, oldest.reason) == ("processed", 1.5, None)
    assert oldest.time <= newest.time


async def test_only_effects_after_the_given_one_are_read(app: App) -> None:
    react(app, "fastapi:temp:data:b1")
    await app.write_minute_counts()
    (first,) = await effects.read(app)
    assert await effects.read(app, first.id) == []
    react(app, "fastapi:temp:data:b2")
    await app.write_minute_counts()
    assert [effect.key for effect in await effects.read(app, first.id)] == ["fastapi:temp:data:b2"]


async def test_what_a_pass_finds_in_order_is_counted_and_not_shown(app: App) -> None:
    outcomes = [Outcome(b"fastapi:temp:data:%d" % number, Result.DUPLICATE) for number in range(9)]
    outcomes.append(Outcome(b"fastapi:temp:data:lost", Result.PROCESSED))
    record_group("sweep", "batches", Source.SWEEP, outcomes, 3.0, app.settings.audit_key)
    await app.write_minute_counts()
    (effect,) = await effects.read(app)
    assert (effect.key, effect.operation) == ("fastapi:temp:data:lost", "sweep")


async def test_the_feed_is_bounded_and_ends_by_itself(app: App) -> None:
    for write in range(10):
        for number in range(3 * noted.KEPT):
            react(app, f"fastapi:temp:data:{write}-{number}")
        await app.write_minute_counts()
    shown = await effects.read(app)
    assert len(shown) == await app.redis.xlen(FEED) == noted.FEED_LENGTH
    assert shown[0].key == f"fastapi:temp:data:9-{3 * noted.KEPT - 1}"
    assert 0 < await app.redis.ttl(FEED) <= namespaces.EFFECTS_TTL_S


async def test_no_token_is_in_the_feed(app: App) -> None:
    fingerprint = app.keyrings[0].fingerprint(TOKEN.encode())
    for key in (
        namespaces.build(namespaces.SESSION, TOKEN),
        phantom_key(app.keyrings[0].seal(TOKEN.encode()).encode()),
    ):
        outcome = Outcome(key, Result.PROCESSED)
        record("handle_session_changes", "sessions", Source.EVENT, outcome, 1.0, app.settings.audit_key, event="set")
    await app.write_minute_counts()
    assert {effect.key for effect in await effects.read(app)} == {f"nextauth:session:~{fingerprint[:12]}"}
    assert TOKEN.encode() not in b"".join(fields[b"effect"] for _, fields in await app.redis.xrange(FEED))


HOSTILE = [
    "no JSON",
    "[]",
    json.dumps([10**30, "r", "o", "p", "k", 1.0, None]),
    json.dumps([-1, "r", "o", "p", "k", 1.0, None]),
    json.dumps([1, "r", "o", "p", {"k": 1}, 1.0, None]),
    json.dumps([2**52, "r", "o", "p", "k", 1.0, None]),
    '[1,"r","o","p","k",1e999,null]',
    "x" * 100_000,
    b"\xff\xfe",
]


async def test_what_another_application_adds_is_left_out_or_shown_as_one_line(app: App) -> None:
    for content in HOSTILE:
        await app.redis.xadd(FEED, {"effect": content})
    await app.redis.xadd(FEED, {"other": "field"})
    await app.redis.xadd(FEED, {"effect": json.dumps([1, "r", "o", "p", "a\n<b>\u202e", 1.0, "x\x1b[0m"])})
    (effect,) = await effects.read(app)
    assert (effect.key, effect.reason) == ("a\\n<b>\\u202e", "x\\x1b[0m")


async def test_a_foreign_value_at_the_key_of_the_feed_affects_neither_counts_nor_readers(app: App) -> None:
    await app.redis.set(FEED, "another's")
    react(app, "fastapi:temp:data:b1")
    await app.write_minute_counts()
    assert await effects.read(app) == []
    assert await app.redis.get(FEED) == b"another's"
    assert await app.redis.keys("functions:stats:hour:*")
    await app.redis.delete(FEED)
    for _ in range(3 * noted.FEED_LENGTH):
        await app.redis.xadd(FEED, {"effect": "x"})
    assert await effects.read(app) == []


async def test_an_id_that_a_client_chose_stops_neither_the_feed_nor_its_reader(app: App) -> None:
    await app.redis.xadd(FEED, {"effect": json.dumps([1, "r", "o", "p", "k", 1.0, None])}, id=f"{10**18}-{10**18}")
    (foreign,) = await effects.read(app)
    assert re.fullmatch(effects.ID, foreign.id)
    react(app, "fastapi:temp:data:b1")
    await app.write_minute_counts()
    (effect,) = await effects.read(app, foreign.id)
    assert effect.key == "fastapi:temp:data:b1"
    await app.redis.xadd(FEED, {"effect": json.dumps([1, "r", "o", "p", "k", 1.0, None])}, id=f"{2**64 - 1}-0")
    assert [effect.key for effect in await effects.read(app)] == ["fastapi:temp:data:b1", "k"]


async def test_the_name_of_an_event_of_megabytes_is_stored_short_and_its_effect_shown(app: App) -> None:
    """Any client that may publish on a keyspace channel can choose it."""
    outcome = Outcome(b"fastapi:temp:data:b1", Result.PROCESSED)
    name = "\n\x1b[2J" + "x" * 4_000_000
    record("process_fastapi_data", "batches", Source.EVENT, outcome, 1.5, app.settings.audit_key, event=name)
    await app.write_minute_counts()
    assert await app.redis.memory_usage(FEED) < 10_000
    (effect,) = await effects.read(app)
    assert effect.operation == "\\n\\x1b[2J" + "x" * 22 + "…"
