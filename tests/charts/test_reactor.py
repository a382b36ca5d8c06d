"""The charts reactor on a real Redis: each promise and each hostile value, checked by the keys stored afterwards."""

import asyncio
import base64
import gzip
import hashlib
import json
import pickle
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
import pytest

from shared import namespaces
from shared.app import App, open_app
from shared.charts import reactor as charts
from shared.charts.reactor import COMMIT_CHART, READ_CHART, STALE_CHART
from shared.reactor import Result, already, duplicate, ignored, inert, processed, rejected
from tests.support.causes import cause

pytestmark = pytest.mark.redis_server

T0 = 1_735_689_600_000  # 2025-01-01T00:00:00Z
SOURCE = b"fabric:data:chart:co2-flow:realtime"
CACHE = b"fabric:cache:chart:co2-flow:realtime"
QUERY = b"fabric:cache:query:plant-overview"
GONE = ("del", "evicted", "expired", "move_from", "rename_from")


def chart(*values):
    """The dashboard's shape: one row per minute."""
    return json.dumps(
        [
            {"timestamp": f"2025-01-01T{minute // 60:02}:{minute % 60:02}:00.000Z", "co2Flow": value}
            for minute, value in enumerate(values)
        ]
    ).encode()


async def write(app, value=None, key=SOURCE, operation="set"):
    """A client's write and the reaction to it."""
    await app.redis.set(key, chart(1, 2, 3) if value is None else value, ex=300)
    return (await charts.react(app, [key], cause(operation)))[0]


def sha1(content):
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


async def cached(app, key=CACHE):
    return json.loads(await app.redis.get(key))


@pytest.fixture
async def messages(app):
    """Messages on the charts' channel: `await messages()` returns all published since its last call."""
    async with app.redis.pubsub() as pubsub:
        await pubsub.subscribe(namespaces.CHART_EVENTS_CHANNEL)
        assert (await pubsub.get_message(timeout=5))["type"] == "subscribe"

        async def so_far():
            await app.redis.publish(namespaces.CHART_EVENTS_CHANNEL, b"end")
            received = []
            while (message := (await pubsub.get_message(timeout=5))["data"]) != b"end":
                received.append(json.loads(message))
            return received

        yield so_far


# Writes


async def test_a_written_chart_is_rendered_into_a_cache(app):
    assert await write(app, chart(1.5, 4, 2)) == processed(SOURCE)
    cache = await cached(app)
    assert len(str(cache.pop("revision"))) == 16
    updated_at = cache.pop("updatedAt")
    assert updated_at.endswith("Z")
    assert abs(datetime.fromisoformat(updated_at).timestamp() - (await app.redis.time())[0]) < 30
    assert cache == {
        "stale": False,
        "staleSince": None,
        "sourceDigest": sha1(chart(1.5, 4, 2)),
        "chartId": "co2-flow",
        "dataType": "realtime",
        "points": 3,
        "series": [{"name": "co2Flow", "unit": None, "points": [[T0, 1.5], [T0 + 60_000, 4.0], [T0 + 120_000, 2.0]]}],
        "stats": {"co2Flow": {"count": 3, "last": 2.0, "min": 1.5, "max": 4.0, "mean": 2.5}},
        "x": "time",
        "rejected": {},
    }
    assert 590 <= await app.redis.ttl(CACHE) <= 600


async def test_a_long_series_is_downsampled_and_its_statistics_cover_all_points(app):
    await write(app, chart(*range(1000)))
    cache = await cached(app)
    assert cache["points"] == 1000
    assert len(cache["series"][0]["points"]) == app.settings.chart_max_points == 500
    assert cache["stats"]["co2Flow"] == {"count": 1000, "last": 999.0, "min": 0.0, "max": 999.0, "mean": 499.5}


async def test_the_mean_of_huge_values_does_not_overflow(app):
    await write(app, chart(1.7e308, 1.7e308, 1.7e308, 1.5e308))
    assert (await cached(app))["stats"]["co2Flow"]["mean"] == pytest.approx(1.65e308)


@pytest.mark.parametrize("given", [2**53 + 1, -(2**53) - 1, 2**63 + 1, 10**30, 0.1, 1e-7, 1.5e300, 0.30000000000000004])
@pytest.mark.parametrize("as_text", [False, True])
async def test_numbers_come_out_exactly_as_they_were_given(app, given, as_text):
    rows = [
        {"timestamp": f"2025-01-01T00:00:0{row}.000Z", "co2Flow": str(given) if as_text else given} for row in (1, 2)
    ]
    await write(app, json.dumps(rows).encode())
    cache = await cached(app)
    assert [value for _, value in cache["series"][0]["points"]] == [given, given]
    assert {cache["stats"]["co2Flow"][name] for name in ("last", "min", "max")} == {given}


async def test_a_mean_has_no_noise_of_the_summation(app):
    await write(app, chart(0, 0.1, 0.2))
    assert (await cached(app))["stats"]["co2Flow"]["mean"] == 0.1


async def test_a_payload_rendered_in_a_thread_gives_the_same_cache(app):
    small = chart(1, 2, 3)
    large = small + b" " * (1024 * 1024)
    await write(app, small)
    expected = await cached(app)
    await write(app, large)
    cache = await cached(app)
    for member in ("series", "stats", "points"):
        assert cache[member] == expected[member]
    assert cache["sourceDigest"] == sha1(large)


async def test_an_update_is_published_when_the_cache_is_written(app, messages):
    await write(app)
    cache = await cached(app)
    assert await messages() == [
        {member: cache[member] for member in ("chartId", "dataType", "sourceDigest", "updatedAt")},
    ]


async def test_query_caches_that_depend_on_the_chart_are_deleted_and_others_stay(app):
    queries = {
        "all": ["*"],
        "by-id": ["co2-*"],
        "by-both": ["co2-flow:real*"],
        "second-glob": ["nothing", "co2-flow"],
        "other-chart": ["temperature"],
        "other-type": ["co2-flow:historical"],
        "other-case": ["CO2-flow"],
        "none": [],
    }
    app = App(msgspec.structs.replace(app.settings, chart_queries=queries), app.redis)
    await app.redis.mset({f"fabric:cache:query:{query}": "x" for query in queries})
    await write(app)
    remaining = {key async for key in app.redis.scan_iter("fabric:cache:query:*")}
    assert remaining == {
        b"fabric:cache:query:" + query for query in (b"other-chart", b"other-type", b"other-case", b"none")
    }


async def test_outcomes_come_in_the_order_of_the_keys(app):
    other = b"fabric:data:chart:temperature:historical"
    await app.redis.set(other, chart(1))
    await app.redis.set(SOURCE, b"{")
    assert await charts.react(app, [SOURCE, b"fabric:data:chart:x", other], cause("set")) == [
        rejected(SOURCE, "JSON is cut short"),
        inert(b"fabric:data:chart:x", "not the key of a chart"),
        processed(other),
    ]


@pytest.mark.parametrize(
    ("chart_id", "shown"),
    [
        (b"with space", "with space"),
        (b"new\nline", "new\nline"),
        ("\N{FIRE}".encode(), "\N{FIRE}"),
        (b"[*?]\\", "[*?]\\"),
        (b"\xff\x00", "\\xff\x00"),
        (b"a:b:c", "a:b:c"),
        (b"n" * 4000, "n" * 4000),
    ],
)
async def test_any_chart_id_is_rendered(app, messages, chart_id, shown):
    assert (await write(app, key=b"fabric:data:chart:" + chart_id + b":realtime")).result is Result.PROCESSED
    assert (await cached(app, b"fabric:cache:chart:" + chart_id + b":realtime"))["chartId"] == shown
    assert [message["chartId"] for message in await messages()] == [shown]


# Repetitions


async def test_an_unchanged_chart_is_a_duplicate_and_only_renews_ttl_and_revision_of_its_cache(app, messages):
    await write(app)
    before = await cached(app)
    await app.redis.expire(CACHE, 100)
    await app.redis.set(QUERY, "rebuilt")
    assert await write(app) == duplicate(SOURCE)
    after = await cached(app)
    assert after.pop("revision") > before.pop("revision")
    assert after == before
    assert await app.redis.ttl(CACHE) > 590
    assert await app.redis.exists(QUERY)
    assert len(await messages()) == 1


async def test_an_unchanged_chart_takes_one_round_trip(app):
    await write(app)
    recording = Recording(app.settings, app.redis)
    assert await write(recording) == duplicate(SOURCE)
    assert recording.scripts == ["read_chart"]


@pytest.mark.parametrize(
    ("cache", "digest"),
    [
        (None, b""),
        (b'{"stale":true ,"sourceDigest":"%s"' % sha1(chart(2)).encode(), sha1(chart(1)).encode()),
        (b"another application's", b""),
        (b'{"stale":false,"sourceDigest":"%s"' % sha1(chart(2)).encode(), sha1(chart(1)).encode()),
    ],
    ids=["none", "stale", "foreign", "other content"],
)
async def test_redis_hashes_a_source_only_if_there_is_a_digest_to_compare_with(app, cache, digest):
    await app.redis.set(SOURCE, chart(1), ex=300)
    if cache is not None:
        await app.redis.set(CACHE, cache)
    head = b'{"stale":false,"sourceDigest":"'
    stale = (b'{"stale":true ', b',"staleSince":', b"null".ljust(26))
    reply = await app.run(
        READ_CHART, keys=[SOURCE, CACHE, b"mark"], args=[1000, head, 600, 1000, 600, b'","revision":', *stale]
    )
    assert (reply[:2], reply[4]) == ([b"read", digest], chart(1))


async def test_content_of_a_dead_letter_is_recognised_by_its_digest(app):
    assert await write(app, b"{") == rejected(SOURCE, "JSON is cut short")
    assert await write(app, b"{") == already(SOURCE, "a dead letter already")
    assert await write(app, b"[") == rejected(SOURCE, "JSON is cut short")
    assert await write(app, chart(1)) == processed(SOURCE)


async def test_concurrent_groups_render_all_their_charts(app):
    groups = [[b"fabric:data:chart:%d-%d:realtime" % (group, number) for number in range(9)] for group in range(4)]
    for keys in groups:
        await app.redis.mset({key: chart(1, number) for number, key in enumerate(keys)} | {keys[4]: b"{"})
    results = await asyncio.gather(*(charts.react(app, keys, cause("sweep")) for keys in groups))
    for keys, outcomes in zip(groups, results, strict=True):
        assert outcomes == [
            rejected(key, "JSON is cut short") if number == 4 else processed(key) for number, key in enumerate(keys)
        ]


async def test_changed_content_replaces_the_cache(app, messages):
    await write(app, chart(1))
    await write(app, chart(2))
    assert (await cached(app))["stats"]["co2Flow"]["last"] == 2
    assert len(await messages()) == 2


@pytest.mark.parametrize("lost", ["expired", "of another type", "written by another application"])
async def test_a_lost_or_overwritten_cache_is_rendered_again(app, lost):
    await write(app)
    await app.redis.delete(CACHE)
    if lost == "of another type":
        await app.redis.hset(CACHE, "a", "b")
    elif lost == "written by another application":
        await app.redis.set(CACHE, "x")
    assert await write(app) == processed(SOURCE)
    assert (await cached(app))["points"] == 3


async def test_concurrent_reactions_to_a_content_publish_it_once(app, messages):
    await app.redis.set(SOURCE, chart(1, 2))
    outcomes = await asyncio.gather(*(charts.react(app, [SOURCE], cause("set")) for _ in range(8)))
    assert sorted(outcome.result for [outcome] in outcomes) == [Result.DUPLICATE] * 7 + [Result.PROCESSED]
    assert len(await messages()) == 1


# Sources that are gone


@pytest.mark.parametrize("operation", GONE)
async def test_when_a_source_is_gone_its_cache_stays_stale_until_its_ttl(app, operation):
    await write(app)
    fresh = await cached(app)
    await app.redis.delete(SOURCE)
    await app.redis.expire(CACHE, 100)
    recording = Recording(app.settings, app.redis)
    assert await charts.react(recording, [SOURCE], cause(operation)) == [
        processed(SOURCE, "source gone, cache marked stale")
    ]
    assert recording.scripts == ["stale_chart"]
    stale = await cached(app)
    since = stale["staleSince"]
    assert stale == fresh | {"stale": True, "staleSince": since}
    assert abs(datetime.fromisoformat(since).timestamp() - (await app.redis.time())[0]) < 30
    assert 90 <= await app.redis.ttl(CACHE) <= 100
    assert await charts.react(app, [SOURCE], cause(operation)) == [ignored(SOURCE, "source gone, no fresh cache")]


async def test_a_missing_source_without_a_cache_is_ignored_and_writes_nothing(app):
    for operation in (*GONE, "set"):
        assert await charts.react(app, [SOURCE], cause(operation)) == [ignored(SOURCE, "source gone, no fresh cache")]
    assert await app.redis.dbsize() == 0


@pytest.mark.parametrize("operation", GONE)
async def test_a_deletion_event_of_an_existing_source_renders_it(app, operation):
    assert await write(app, operation=operation) == processed(SOURCE)
    assert (await cached(app))["stale"] is False


async def test_a_write_event_of_a_missing_source_marks_its_cache_stale(app):
    await write(app)
    await app.redis.delete(SOURCE)
    assert await charts.react(app, [SOURCE], cause("set")) == [processed(SOURCE, "source gone, cache marked stale")]
    assert (await cached(app))["stale"] is True


async def test_equal_content_written_after_an_expiry_only_takes_the_mark_off_a_stale_cache(app, messages):
    await write(app)
    before = await cached(app)
    await app.redis.delete(SOURCE)
    await charts.react(app, [SOURCE], cause("expired"))
    await app.redis.set(QUERY, "rebuilt")
    await messages()
    assert await write(app) == processed(SOURCE, "source back unchanged, cache no longer stale")
    after = await cached(app)
    assert after.pop("revision") > before.pop("revision")
    assert after == before
    assert await app.redis.ttl(CACHE) > 590
    assert await app.redis.exists(QUERY)
    assert await messages() == []


async def test_a_stale_cache_of_an_earlier_version_becomes_fresh_and_keeps_its_members(app):
    await write(app)
    old = (await app.redis.get(CACHE)).replace(b',"staleSince":null' + b" " * 22, b"")
    await app.redis.set(CACHE, old, ex=600)
    await app.redis.delete(SOURCE)
    await charts.react(app, [SOURCE], cause("expired"))
    assert await cached(app) == json.loads(old) | {"stale": True}
    await write(app)
    assert json.loads(old) | {"revision": 0} == await cached(app) | {"revision": 0}


@pytest.mark.parametrize("operation", ["rename_to", "copy_to", "restore", "setrange", "move_to"])
async def test_every_event_that_brings_content_renders_the_chart(app, operation):
    assert await write(app, operation=operation) == processed(SOURCE)


def test_events_that_change_no_content_are_inert():
    assert {cause(name) for name in ("keymiss", "new", "expire", "persist")} == set(charts.INERT)
    assert charts.INERT.isdisjoint({cause(name) for name in ("set", "rename_to", "copy_to", "restore", *GONE)})


# Sources that change during a reaction


@dataclass(frozen=True)
class Recording(App):
    """An app that records the names of the scripts it runs."""

    scripts: list[str] = field(default_factory=list)

    async def run_many(self, script, calls):
        self.scripts.append(script.name)
        return await super().run_many(script, calls)


@dataclass(frozen=True)
class Interleaved(App):
    """An app in which another client writes the next value of `writes` before each commit."""

    writes: list[bytes | None] = field(default_factory=list)

    async def run_many(self, script, calls):
        if script is COMMIT_CHART and self.writes:
            value = self.writes.pop(0)
            await (self.redis.delete(SOURCE) if value is None else self.redis.set(SOURCE, value))
        return await super().run_many(script, calls)


async def test_a_source_deleted_during_a_reaction_leaves_its_cache_stale(app):
    await write(app, chart(0))
    await app.redis.set(SOURCE, chart(1))
    racing = Interleaved(app.settings, app.redis, writes=[None])
    assert await charts.react(racing, [SOURCE], cause("set")) == [processed(SOURCE, "source gone, cache marked stale")]
    assert (await cached(app))["stats"]["co2Flow"]["last"] == 0


async def test_a_late_deletion_event_does_not_mark_an_existing_chart_stale(app):
    await write(app)
    keys, args = charts._stale_call(app, charts._chart_of(SOURCE))
    reply = await app.run(STALE_CHART, keys=keys, args=args)
    assert reply == b"live"
    assert (await cached(app))["stale"] is False


@pytest.mark.parametrize(
    "encoded",
    [gzip.compress(chart(1, 2)), msgspec.msgpack.encode(json.loads(chart(1, 2))), base64.b64encode(chart(1, 2))],
    ids=["gzip", "MessagePack", "base64"],
)
async def test_a_chart_in_another_encoding_gets_the_same_series(app, encoded):
    await write(app, chart(1, 2))
    expected = (await cached(app))["series"]
    assert await write(app, encoded) == processed(SOURCE)
    assert (await cached(app))["series"] == expected


async def test_a_chart_over_names_keeps_its_order_and_is_cut_off_after_the_limit(app):
    names = [f"Tank {number}" for number in range(600, 0, -1)]
    bars = {"labels": names, "datasets": [{"label": "level", "data": list(range(600))}]}
    await write(app, json.dumps(bars).encode())
    cache = await cached(app)
    assert (cache["x"], cache["points"], cache["rejected"]) == ("category", 600, {"more than 500 categories": 100})
    assert cache["series"][0]["points"] == [[name, value] for name, value in zip(names, range(500), strict=False)]


async def test_an_entry_of_inputs_overrules_the_reader(app):
    inputs = {"fabric:data:chart:co2-*": {"rows": "samples", "time": "measured", "ignore": ["raw"]}}
    chosen = App(msgspec.structs.replace(app.settings, inputs=json.dumps(inputs)), app.redis)
    rows = [{"measured": T0 + number, "received": T0 + 5, "co2": number, "raw": 9} for number in range(3)]
    assert await write(chosen, json.dumps({"samples": rows, "others": rows}).encode()) == processed(SOURCE)
    (series,) = (await cached(app))["series"]
    assert (series["name"], series["points"][0]) == ("co2", [T0, 0.0])


# Hostile input

REJECTED = {
    "empty": (b"", "empty"),
    "null": (b"null", "neither an object nor a list"),
    "a number": (b"7", "neither an object nor a list"),
    "truncated": (chart(1, 2)[:-9], "JSON is cut short"),
    "2,000 levels deep": (b"[" * 2000 + b"]" * 2000, "more than 64 levels deep"),
    "raw bytes": (b"\xff\x00\xfe", "neither JSON nor UTF-8 text"),
    "pickle": (pickle.dumps([{"t": 0, "a": 1}]), "pickle is not read"),
    "only NaN": (b'[{"t": 0, "a": NaN}]', "no points: value is not finite"),
    "placeholder": (b'{"status": "processing"}', "an object without a table"),
    "a session key": (b"nextauth:session:abc", "not JSON"),
    "1 MiB of text": (b'"' + b"a" * 2**20 + b'"', "neither an object nor a list"),
}


@pytest.mark.parametrize(("value", "reason"), REJECTED.values(), ids=REJECTED.keys())
async def test_a_value_that_is_not_a_chart_is_rejected_and_changes_nothing(app, messages, value, reason):
    await write(app)
    before = await app.redis.get(CACHE)
    await app.redis.set(QUERY, "rebuilt")
    assert await write(app, value) == rejected(SOURCE, reason)
    assert await app.redis.get(CACHE) == before
    assert await app.redis.exists(QUERY)
    assert len(await messages()) == 1


ACCEPTED = {
    "a byte order mark": (b"\xef\xbb\xbf" + chart(7), 7.0),
    "duplicate fields": (b'[{"t": 0, "co2Flow": 1, "co2Flow": 7}]', 7.0),
    "an integer beyond 2^53": (b'[{"t": 0, "co2Flow": 9007199254740993}]', 2**53 + 1),
    "NaN beside a number": (b'[{"t": 0, "co2Flow": 7}, {"t": 1, "co2Flow": NaN}]', 7.0),
    "Infinity beside a number": (b'[{"t": 0, "co2Flow": 7}, {"t": 1, "co2Flow": -Infinity}]', 7.0),
    "lone surrogates": (b'[{"t": 0, "co2Flow": 7, "\\ud800": "\\udfff"}]', 7.0),
    "more than 1 MiB": (b'[{"t": 0, "co2Flow": 7, "note": "' + b"a" * 2**20 + b'"}]', 7.0),
    "a wrapper": (b'{"value": ' + chart(7) + b', "expires": 1735689600000}', 7.0),
}


@pytest.mark.parametrize(("value", "last"), ACCEPTED.values(), ids=ACCEPTED.keys())
async def test_an_unusual_but_valid_chart_is_rendered(app, value, last):
    assert await write(app, value) == processed(SOURCE)
    assert (await cached(app))["stats"]["co2Flow"]["last"] == last


async def test_a_chart_above_the_size_limit_is_rejected_with_both_sizes(app):
    await write(app)
    before = await app.redis.get(CACHE)
    app = App(msgspec.structs.replace(app.settings, max_payload_bytes=1024), app.redis)
    exact = chart(1) + b" " * (1024 - len(chart(1)))
    assert await write(app, exact + b" ") == rejected(SOURCE, "1025 bytes, more than MAX_PAYLOAD_BYTES (1024)")
    assert await app.redis.get(CACHE) == before
    assert await write(app, exact) == processed(SOURCE)


@pytest.mark.parametrize("kind", ["hash", "list", "set", "zset", "stream"])
async def test_a_value_of_another_type_is_ignored_and_its_cache_stays(app, kind):
    await write(app)
    before = await app.redis.get(CACHE)
    await app.redis.delete(SOURCE)
    match kind:
        case "hash":
            await app.redis.hset(SOURCE, "a", "b")
        case "list":
            await app.redis.rpush(SOURCE, "a")
        case "set":
            await app.redis.sadd(SOURCE, "a")
        case "zset":
            await app.redis.zadd(SOURCE, {"a": 1})
        case "stream":
            await app.redis.xadd(SOURCE, {"a": "b"})
    for operation in ("hset", "set", "del"):
        assert await charts.react(app, [SOURCE], cause(operation)) == [ignored(SOURCE, f"a {kind}, not a string")]
    assert await app.redis.get(CACHE) == before


@pytest.mark.parametrize(
    "key",
    [
        b"fabric:data:chart:" + b"0123456789abcdef" * 4,
        b"fabric:data:chart:__sharedTags__",
        b"fabric:data:chart:__revalidated_tags__",
        b"fabric:data:chart::id",
        b"fabric:data:chart:",
        b"fabric:data:chart:id:",
        b"fabric:data:charts:co2-flow:realtime",
    ],
)
async def test_a_key_that_is_not_a_chart_is_ignored_without_a_call_to_redis(app, key):
    unreachable = open_app(msgspec.structs.replace(app.settings, redis="127.0.0.1:1"))
    for operation in ("set", "hset", "del"):
        assert await charts.react(unreachable, [key], cause(operation)) == [inert(key, "not the key of a chart")]


async def test_scripts_are_loaded_again_after_script_flush(app):
    await write(app, chart(1))
    await app.redis.script_flush()
    assert await write(app, chart(2)) == processed(SOURCE)
