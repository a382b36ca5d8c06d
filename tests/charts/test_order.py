"""The order of a chart's versions: a cache never goes back, and follows a source that is always written."""

import asyncio
import json
import random
import time

import pytest

from shared.charts import cache
from shared.charts import reactor as charts
from shared.charts.reactor import COMMIT_CHART
from shared.delivery import dead_letters, retries
from shared.reactor import Result, duplicate, processed
from tests.charts.test_reactor import CACHE, QUERY, SOURCE, T0, Interleaved, cached, chart, messages, sha1, write
from tests.support.causes import cause

__all__ = ["messages"]
pytestmark = pytest.mark.redis_server


async def test_a_source_written_at_every_read_has_a_cache_that_follows_it(app, messages):
    """No reaction ever sees the source that it read; none fails, and nothing is buried."""
    await write(app, chart(0))
    writes = [chart(number) for number in range(2, 42)]
    racing = Interleaved(app.settings, app.redis, writes=list(writes))
    await app.redis.set(SOURCE, chart(1))
    for number in range(1, 41):
        assert await charts.react(racing, [SOURCE], cause("set")) == [processed(SOURCE)]
        assert (await cached(app))["stats"]["co2Flow"]["last"] == number
    assert racing.writes == []
    assert await retries.waiting(app) == 0
    assert (await dead_letters.totals(app)).count == 0
    assert await charts.react(app, [SOURCE], cause("set")) == [processed(SOURCE)]
    assert (await cached(app))["stats"]["co2Flow"]["last"] == 41
    assert len(await messages()) == 42


def commit_args(digest, revision, document=b"late", queries=()):
    return {
        "keys": [SOURCE, CACHE, *queries],
        "args": [digest, cache.HEAD, document, 600, "fabric:events:chart", b"{}", cache.REVISION, revision],
    }


async def revision(app):
    return (await cached(app))["revision"]


async def test_a_cache_never_goes_back_to_an_older_read(app, messages):
    await write(app, chart(1))
    first = await revision(app)
    await write(app, chart(2))
    await app.redis.set(QUERY, "rebuilt")
    before = await app.redis.get(CACHE)
    for late in (first, first + 1, await revision(app)):
        assert await app.run(COMMIT_CHART, **commit_args(sha1(chart(9)), late, queries=[QUERY])) == b"older"
    assert await app.redis.get(CACHE) == before
    assert await app.redis.get(QUERY) == b"rebuilt"
    assert len(await messages()) == 2


async def test_content_that_returned_is_newer_than_what_was_read_before_it_returned(app, messages):
    """A is cached; B is read; A is written again and found to be the cached one; then B commits."""
    await write(app, chart(1))
    await app.redis.set(SOURCE, chart(2))
    _, digest, _, read, _ = await app.run(charts.READ_CHART, **read_args(app))
    await write(app, chart(1))
    assert await app.run(COMMIT_CHART, **commit_args(digest, read)) == b"older"
    assert (await cached(app))["stats"]["co2Flow"]["last"] == 1
    assert len(await messages()) == 1


async def test_a_commit_without_a_source_is_refused(app):
    await write(app, chart(1))
    await app.redis.delete(SOURCE)
    before = await app.redis.get(CACHE)
    assert await app.run(COMMIT_CHART, **commit_args(sha1(chart(2)), await revision(app) + 1)) == b"gone"
    assert await app.redis.get(CACHE) == before


@pytest.mark.parametrize("stored", [b"9007199254740991", b"9999999999999999", b"99999999x9999999"])
async def test_a_revision_that_this_app_did_not_write_does_not_stop_the_chart(app, stored):
    await write(app, chart(1))
    await app.redis.setrange(CACHE, len(cache.HEAD) + 40 + len(cache.REVISION), stored)
    for number in (2, 3):
        assert await write(app, chart(number)) == processed(SOURCE)
        assert (await cached(app))["stats"]["co2Flow"]["last"] == number


async def test_revisions_grow_although_the_clock_was_set_back(app):
    await write(app, chart(1))
    ahead = await revision(app) + 86_400_000_000
    await app.redis.setrange(CACHE, len(cache.HEAD) + 40 + len(cache.REVISION), str(ahead))
    await write(app, chart(2))
    assert await revision(app) == ahead + 1
    await write(app, chart(2))
    assert await revision(app) == ahead + 2, "this read is the latest"


def read_args(app):
    keys, args = charts._read_call(app, charts._chart_of(SOURCE), charts.INLINE_BYTES)
    return {"keys": keys, "args": args}


async def test_the_cache_of_an_earlier_version_is_fresh_and_is_replaced_by_the_next(app, messages):
    digest = sha1(chart(1))
    await app.redis.set(CACHE, f'{{"stale":false,"sourceDigest":"{digest}","chartId":"co2-flow"}}')
    assert await write(app, chart(1)) == duplicate(SOURCE)
    assert await write(app, chart(2)) == processed(SOURCE)
    assert len(await messages()) == 1


@pytest.mark.parametrize("size", [120_000, 1_600_000])
async def test_the_cache_of_a_source_that_is_always_written_is_less_than_a_second_behind(app, size, measured):
    """A host's loop: one reaction after the other, while a client writes every 2 to 15 ms."""
    rows = [{"t": T0 + number, "co2": number} for number in range(size // 36)]
    written_s = {}
    first_written = asyncio.Event()

    async def write_always():
        number = 0
        while True:
            number += 1
            rows[-1]["co2"] = number
            content = json.dumps(rows).encode()
            written_s[number] = time.monotonic()
            await app.redis.set(SOURCE, content)
            first_written.set()
            await asyncio.sleep(0.014 if size > 1_000_000 else 0.005)

    writing = asyncio.create_task(write_always())
    await first_written.wait()
    lags_s, work_s, versions = [], [], set()
    for _ in range(8):
        started_s = time.monotonic()
        (outcome,) = await charts.react(app, [SOURCE], cause("set"))
        assert outcome.result in {Result.PROCESSED, Result.DUPLICATE}
        ended_s = time.monotonic()
        work_s.append(ended_s - started_s)
        version = (await cached(app))["stats"]["co2"]["last"]
        versions.add(version)
        lags_s.append(ended_s - written_s.get(version + 1, ended_s))  # how long the cached version has been replaced
        await asyncio.sleep(0.01)
    writing.cancel()
    measured(f"a cache is behind a source of {size // 1000} KB that is always written", max(lags_s) * 1000, "ms")
    assert len(versions) > 1
    assert max(lags_s) < 1 + 2 * max(work_s)
    assert await retries.waiting(app) == 0


async def test_a_commit_does_not_load_the_source(app, redis_client):
    await app.redis.set(SOURCE, chart(1))
    racing = Interleaved(app.settings, app.redis, writes=[b"x" * (64 << 20)])
    before = (await redis_client.info("commandstats")).get("cmdstat_get", {"calls": 0})["calls"]
    assert await charts.react(racing, [SOURCE], cause("set")) == [processed(SOURCE)]
    assert (await redis_client.info("commandstats"))["cmdstat_get"]["calls"] == before + 1, "that of the read"
    (outcome,) = await charts.react(app, [SOURCE], cause("set"))
    assert outcome.result is Result.REJECTED
    assert (await cached(app))["stats"]["co2Flow"]["last"] == 1


async def test_a_repeated_commit_changes_nothing(app, messages):
    await write(app)
    document = await app.redis.get(CACHE)
    digest = json.loads(document)["sourceDigest"]
    assert await app.run(COMMIT_CHART, **commit_args(digest, await revision(app))) == b"same"
    assert await app.redis.get(CACHE) == document
    assert len(await messages()) == 1


@pytest.mark.parametrize("seed", range(4))
async def test_in_any_order_of_reads_and_commits_the_cache_only_gets_newer(app, seed):
    """Several workers read and commit in any order, while the source is written, and contents return."""
    chance = random.Random(seed)
    written, reads, cached_write = [], [], -1
    await app.redis.set(SOURCE, chart(0))
    written.append(0)
    for _ in range(150):
        match chance.choice(["write", "read", "read", "commit", "commit"]):
            case "write":
                written.append(chance.randrange(3))
                await app.redis.set(SOURCE, chart(written[-1]))
            case "read":
                reply = await app.run(charts.READ_CHART, **read_args(app))
                if reply[0] == b"read":
                    reads.append((len(written) - 1, int(reply[3])))
                else:
                    cached_write = len(written) - 1  # found to be of the present source
            case "commit" if reads:
                write_number, read_revision = reads.pop(chance.randrange(len(reads)))
                content = chart(written[write_number])
                document = cache.HEAD + sha1(content).encode() + cache.REVISION + b"%d}" % read_revision
                reply = await app.run(COMMIT_CHART, **commit_args(sha1(content), read_revision, document))
                if reply in {b"committed", b"same"}:
                    assert reply == b"same" or write_number >= cached_write
                    cached_write = max(cached_write, write_number)
                else:
                    assert write_number <= cached_write
    reply = await app.run(charts.READ_CHART, **read_args(app))
    assert reply[0] in {b"read", b"same"}
