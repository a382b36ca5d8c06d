"""Claims: one live lease per batch by Redis' clock, tokens that only grow, and a commit for the holder alone."""

import asyncio
import json
from collections.abc import AsyncIterator

import msgspec
import pytest
import redis.asyncio

from shared import baseline, batches, claims, namespaces
from shared.claims import CLAIM_BYTES, LATER, Batch, Claim
from shared.context import Context, open_context
from shared.outcomes import Outcome, Result
from shared.settings import Settings

ONE = Batch(b"fastapi:temp:data:b1", b"b1")
CLAIM = b"fastapi:queue:processing:b1"
RESULT = b"fastapi:results:analysis:b1"
BATCH = json.dumps([{"metric": "m", "ts": 1, "value": 2.0}])


@pytest.fixture
async def workers(app_settings: Settings, redis_client: redis.asyncio.Redis) -> AsyncIterator[tuple[Context, Context]]:
    """Two processes' worth of the app, with leases of 100 ms, and one batch."""
    await redis_client.set(ONE.key, BATCH, ex=3600)
    settings = msgspec.structs.replace(app_settings, lease_s=0.1)
    both = (open_context(settings), open_context(settings))
    yield both
    for one in both:
        await one.redis.aclose()


async def claim(app: Context) -> Claim:
    (found,) = await claims.claim(app, [ONE])
    assert isinstance(found, Claim), found
    return found


async def commit(app: Context, held: Claim, number: int = 1) -> bytes:
    result = claims.result_head(held.payload.digest) + f',"number":{number}}}'.encode()
    call = claims.commit_call(app, [claims.Commit(held, result, b"{}")], b"\x90")
    ((reply,),) = await app.run_many("commit_batches", [call])
    return bytes(reply)


async def until_free(client: redis.asyncio.Redis) -> None:
    """Until the lease has run out by Redis' clock."""
    seconds, micros = await client.time()
    until_ms = float(await client.hget(CLAIM, "lease_until_ms") or 0)
    await asyncio.sleep(max(0.0, until_ms / 1000 - (seconds + micros / 1e6)) + 0.002)


async def test_a_claim_says_who_until_when_and_lives_half_an_hour(
    workers: tuple[Context, Context], redis_client: redis.asyncio.Redis
) -> None:
    held = await claim(workers[0])
    found = await redis_client.hgetall(CLAIM)
    seconds, _ = await redis_client.time()
    assert found[b"owner"] == workers[0].owner.encode()
    assert found[b"token"] == held.token
    assert found[b"attempt"] == b"1"
    assert abs(float(found[b"lease_until_ms"]) / 1000 - seconds) < 2
    assert 1790 < await redis_client.ttl(CLAIM) <= 1800
    assert held.payload.parts == [BATCH.encode()]
    assert 3_590_000 < held.ttl_ms <= 3_600_000


@pytest.mark.parametrize(("content", "then"), [(BATCH + " ", b"again"), (BATCH, b"committed")])
async def test_a_live_lease_is_skipped_and_its_holder_looks_again_where_the_content_is_another(
    workers: tuple[Context, Context], redis_client: redis.asyncio.Redis, content: str, then: bytes
) -> None:
    held = await claim(workers[0])
    await redis_client.set(ONE.key, content, ex=3600)
    for other in workers:
        (answer,) = await claims.claim(other, [ONE])
        assert answer == Outcome(ONE.key, Result.LATER, "another worker is at it")
    assert await commit(workers[0], held) == then


async def test_where_one_of_a_group_cannot_be_committed_nothing_is_written_and_the_others_are_told_apart(
    workers: tuple[Context, Context], redis_client: redis.asyncio.Redis
) -> None:
    held = []
    for batch_id in (b"a", b"b", b"c"):
        batch = Batch(namespaces.build(namespaces.BATCH, batch_id), batch_id)
        await redis_client.set(batch.key, BATCH, ex=3600)
        held += await claims.claim(workers[0], [batch])
    await redis_client.delete(held[1].claim_key)
    head = claims.result_head(held[2].payload.digest)
    await redis_client.set(namespaces.build(namespaces.RESULT, b"c"), head + b"}")
    delta = baseline.encode_delta({"ph": [7.0]})
    call = claims.commit_call(workers[0], [claims.Commit(one, head + b"}", b"{}") for one in held], delta)
    (answers,) = await workers[0].run_many("commit_batches", [call])
    assert answers == [b"not yet", b"stale", b"same"]
    assert not await redis_client.exists(namespaces.build(namespaces.RESULT, b"a"), claims.model_key())
    assert await redis_client.exists(held[0].claim_key)
    assert not await redis_client.exists(held[2].claim_key), "its holder is done with it"


async def test_a_group_is_committed_without_those_that_others_took_over(
    workers: tuple[Context, Context], redis_client: redis.asyncio.Redis
) -> None:
    app = workers[0]
    ready = {}
    for index, batch_id in enumerate((b"a", b"b", b"c")):
        batch = Batch(namespaces.build(namespaces.BATCH, batch_id), batch_id)
        await redis_client.set(batch.key, BATCH, ex=3600)
        (held,) = await claims.claim(app, [batch])
        assert isinstance(held, Claim)
        ready[index] = batches._compute(held, app.baseline.value, app.settings)
    await redis_client.delete(ready[1].claim.claim_key)
    await batches._commit(app, {2: ready[2]})
    found = await batches._commit(app, ready)
    assert [found[index][0].result for index in range(3)] == [Result.PROCESSED, Result.LATER, Result.DUPLICATE]
    fields = [part for pair in (await redis_client.hgetall(claims.model_key())).items() for part in pair]
    model = baseline.decode_model(fields, (await redis_client.time())[0])
    assert (model.version, model.sketches["m"].samples) == (2, 2), "each batch counts once"


async def test_a_lease_that_ran_out_is_taken_over_with_a_higher_token_and_the_old_holder_is_refused(
    workers: tuple[Context, Context], redis_client: redis.asyncio.Redis
) -> None:
    slow, fast = workers
    old = await claim(slow)
    await until_free(redis_client)
    new = await claim(fast)
    assert int(new.token) > int(old.token)
    assert new.attempt == 2
    assert await commit(slow, old) == b"stale"
    assert not await redis_client.exists(RESULT)
    assert await commit(fast, new) == b"committed"
    assert not await redis_client.exists(CLAIM)


async def test_tokens_grow_even_where_the_clock_stands_ahead(
    workers: tuple[Context, Context], redis_client: redis.asyncio.Redis
) -> None:
    ahead = 9_000_000_000_000_000
    await redis_client.hset(CLAIM, mapping={"owner": "gone", "token": ahead, "lease_until_ms": 0, "attempt": "1"})
    assert int((await claim(workers[0])).token) == ahead + 1


async def test_a_commit_that_is_repeated_changes_nothing(
    workers: tuple[Context, Context], redis_client: redis.asyncio.Redis
) -> None:
    held = await claim(workers[0])
    assert await commit(workers[0], held) == b"committed"
    before = [await redis_client.dump(RESULT), await redis_client.hgetall(claims.model_key())]
    assert await commit(workers[0], held, number=2) == b"same"
    assert [await redis_client.dump(RESULT), await redis_client.hgetall(claims.model_key())] == before


async def test_a_commit_without_its_claim_is_refused(
    workers: tuple[Context, Context], redis_client: redis.asyncio.Redis
) -> None:
    """After FLUSHALL, or when Redis evicted the claim."""
    held = await claim(workers[0])
    await redis_client.flushall()
    assert await commit(workers[0], held) == b"stale"
    assert await redis_client.keys() == []


async def test_new_content_starts_its_attempts_anew(
    workers: tuple[Context, Context], redis_client: redis.asyncio.Redis
) -> None:
    await claim(workers[0])
    await until_free(redis_client)
    await redis_client.set(ONE.key, json.dumps([{"metric": "m", "ts": 1, "value": 3.0}]))
    assert (await claim(workers[1])).attempt == 1


async def test_long_work_keeps_its_lease(workers: tuple[Context, Context], redis_client: redis.asyncio.Redis) -> None:
    held = await claim(workers[0])
    async with claims.kept_alive(workers[0], [held]):
        for _ in range(3):
            await until_free(redis_client)  # until the lease that is written now would have run out
            (answer,) = await claims.claim(workers[1], [ONE])
            assert isinstance(answer, Outcome), "taken over although it was renewed"
    assert await commit(workers[0], held) == b"committed"


async def test_a_renewal_leaves_the_claim_of_another_alone(
    workers: tuple[Context, Context], redis_client: redis.asyncio.Redis
) -> None:
    old = await claim(workers[0])
    await until_free(redis_client)
    new = await claim(workers[1])
    await claims.release(workers[0], [old])
    assert await redis_client.hget(CLAIM, "token") == new.token


async def test_a_claim_given_back_is_free_at_once(workers: tuple[Context, Context]) -> None:
    await claims.release(workers[0], [await claim(workers[0])])
    assert (await claim(workers[1])).attempt == 1


@pytest.mark.parametrize("kind", ["list", "hash"])
async def test_an_item_of_fastapi_s_own_queue_is_left_alone_and_the_batch_is_not_forgotten(
    workers: tuple[Context, Context], redis_client: redis.asyncio.Redis, kind: str
) -> None:
    if kind == "list":
        await redis_client.rpush(CLAIM, "job")
    else:
        await redis_client.hset(CLAIM, "job", "1")
    before = await redis_client.dump(CLAIM)
    (outcome,) = await batches.react(workers[0], [ONE.key], "set")
    assert outcome.result is Result.RETRIED
    assert "KeyTaken" in str(outcome.detail)
    assert await redis_client.dump(CLAIM) == before
    await redis_client.delete(CLAIM)
    (outcome,) = await batches.react(workers[0], [ONE.key], "retry")
    assert outcome.result is Result.PROCESSED


async def test_a_call_reads_a_bounded_number_of_bytes(app: Context, redis_client: redis.asyncio.Redis) -> None:
    large = b'[{"metric":"m","ts":1,"value":2.0}' + b" " * (7 * CLAIM_BYTES // 16) + b"]"
    several = [Batch(f"fastapi:temp:data:{number}".encode(), str(number).encode()) for number in range(5)]
    for batch in several:
        await redis_client.set(batch.key, large)
    found = await claims.claim(app, several)
    assert [isinstance(one, Claim) for one in found] == [True, True, True, False, False]
    assert found[3:] == [LATER, LATER]
    await claims.release(app, [one for one in found if isinstance(one, Claim)])
    outcomes = await batches.react(app, [batch.key for batch in several], "sweep")
    assert [one.result for one in outcomes] == [Result.PROCESSED] * 5


async def test_many_workers_at_once_commit_each_content_once(
    app_settings: Settings, redis_client: redis.asyncio.Redis
) -> None:
    workers = [open_context(app_settings) for _ in range(4)]
    keys = [f"fastapi:temp:data:{number}".encode() for number in range(100)]
    for number, key in enumerate(keys):
        await redis_client.set(key, json.dumps([{"metric": "m", "ts": 1, "value": number}]))
    async with redis_client.pubsub() as channel:
        await channel.subscribe("fastapi:events:analysis")
        await channel.get_message(timeout=5)
        outcomes = await asyncio.gather(*(batches.react(worker, keys, "sweep") for worker in workers))
        commits = []
        while message := await channel.get_message(timeout=0.5):
            commits.append(json.loads(message["data"])["batchId"])
    for worker in workers:
        await worker.redis.aclose()
    assert sorted(commits) == sorted(str(number) for number in range(100))
    assert sum(one.result is Result.PROCESSED for some in outcomes for one in some) == 100
