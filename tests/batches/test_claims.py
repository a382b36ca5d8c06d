"""Claims: one live lease per batch by Redis' clock, tokens that only grow, and a commit for the holder alone."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
import redis.asyncio

from shared import namespaces
from shared.app import App, open_app
from shared.batches import baseline, claims, results
from shared.batches import reactor as batches
from shared.batches.baseline import Baseline
from shared.batches.claims import CLAIM_BYTES, COMMIT_BATCHES, LATER, Batch, Claim
from shared.delivery.dead_letters import Payload, mark_key
from shared.reactor import Outcome, Result
from shared.settings import Settings
from tests.support.causes import cause

pytestmark = pytest.mark.redis_server

ONE = Batch(b"fastapi:temp:data:b1", b"b1")
CLAIM = b"fastapi:queue:processing:b1"
RESULT = b"fastapi:results:analysis:b1"
BATCH = json.dumps([{"metric": "m", "ts": 1, "value": 2.0}])
A, B, C = ("a" * 200, "b" * 200, "c" * 200)
"""Contents that differ from end to end."""


@pytest.fixture
async def workers(app_settings: Settings, redis_client: redis.asyncio.Redis) -> AsyncIterator[tuple[App, App]]:
    """Two processes' worth of the app, with leases of 100 ms, and one batch."""
    await redis_client.set(ONE.key, BATCH, ex=3600)
    settings = msgspec.structs.replace(app_settings, lease_s=0.1)
    async with open_app(settings).redis as one, open_app(settings).redis as other:
        yield App(settings, one), App(settings, other)


@pytest.fixture
async def patient(app_settings: Settings, redis_client: redis.asyncio.Redis) -> AsyncIterator[tuple[App, App]]:
    """The same with leases that end only by `end_lease`."""
    async with open_app(app_settings).redis as one, open_app(app_settings).redis as other:
        yield App(app_settings, one), App(app_settings, other)


async def end_lease(client: redis.asyncio.Redis) -> None:
    await client.hset(CLAIM, "lease_until_ms", 0)


async def claim(app: App) -> Claim:
    (found,) = await claims.claim(app, [ONE])
    assert isinstance(found, Claim), found
    return found


async def commit(app: App, held: Claim, number: int = 1) -> bytes:
    result = results.head(held.payload.digest) + f',"number":{number}}}'.encode()
    call = claims.commit_call(app, [claims.Commit(held, result, b"{}")], b"\x90")
    ((reply,),) = await app.run_many(COMMIT_BATCHES, [call])
    return bytes(reply)


async def until_free(client: redis.asyncio.Redis) -> None:
    """Until the lease has run out by Redis' clock."""
    seconds, micros = await client.time()
    until_ms = float(await client.hget(CLAIM, "lease_until_ms") or 0)
    await asyncio.sleep(max(0.0, until_ms / 1000 - (seconds + micros / 1e6)) + 0.002)


async def test_a_claim_says_who_until_when_and_lives_half_an_hour(
    workers: tuple[App, App], redis_client: redis.asyncio.Redis
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


@pytest.mark.parametrize(
    ("found", "wanted"),
    [([A], False), ([B], True), ([B, A], False), ([A, B], True), ([B, C], True), ([B, A, B], True)],
    ids=["the same", "other", "other then the same", "the same then other", "two others", "other in the end"],
)
@pytest.mark.parametrize("ending", ["commit", "release", "a late commit"])
async def test_a_live_lease_is_skipped_and_its_holder_looks_again_where_others_last_found_other_content(
    patient: tuple[App, App],
    redis_client: redis.asyncio.Redis,
    found: list[str],
    wanted: bool,
    ending: str,
) -> None:
    await redis_client.set(ONE.key, A)
    held = await claim(patient[0])
    for content in found:
        await redis_client.set(ONE.key, content)
        for other in patient:
            (answer,) = await claims.claim(other, [ONE])
            assert answer == Outcome(ONE.key, Result.LATER, "another worker is at it")
    if ending == "release":
        assert await claims.release(patient[0], [held]) == [wanted]
        return
    if ending == "a late commit":  # its answer was lost, or somebody replayed the same content
        await redis_client.set(RESULT, results.head(held.payload.digest) + b"}")
    answers = {"commit": (b"committed", b"again"), "a late commit": (b"same", b"same again")}
    assert await commit(patient[0], held) == answers[ending][wanted]
    assert not await redis_client.exists(CLAIM)


@pytest.mark.parametrize("ended", [Result.PROCESSED, Result.DEAD])
async def test_content_that_was_done_before_comes_back_while_other_content_is_worked_on(
    patient: tuple[App, App], redis_client: redis.asyncio.Redis, ended: Result
) -> None:
    await redis_client.set(ONE.key, B)
    done = await claim(patient[0])
    if ended is Result.PROCESSED:
        assert await commit(patient[0], done) == b"committed"
    else:
        await claims.release(patient[0], [done])
        await redis_client.set(mark_key(claims.REACTOR, ONE.key), done.payload.digest)
    await redis_client.set(ONE.key, A)
    held = await claim(patient[0])
    await redis_client.set(ONE.key, B)
    (answer,) = await claims.claim(patient[1], [ONE])
    assert isinstance(answer, Outcome)
    assert answer.result is Result.DUPLICATE
    assert await commit(patient[0], held) == b"again", "else the result would be that of A until a sweep comes"


async def test_of_content_that_nobody_saw_but_a_holder_who_died_there_is_nothing_to_look_for(
    patient: tuple[App, App], redis_client: redis.asyncio.Redis
) -> None:
    await redis_client.set(ONE.key, A)
    await claim(patient[0])
    await redis_client.set(ONE.key, B)
    await claims.claim(patient[1], [ONE])
    await redis_client.set(ONE.key, A)
    await end_lease(redis_client)
    assert await commit(patient[1], await claim(patient[1])) == b"committed"


async def test_who_replays_a_letter_looks_again_only_where_its_key_came_back_with_other_content(
    patient: tuple[App, App], redis_client: redis.asyncio.Redis
) -> None:
    letter = Payload("string", "", [A.encode()])

    async def replayed() -> Claim:
        await redis_client.delete(ONE.key, RESULT)
        held = await claims.claim_replay(patient[0], ONE, letter)
        assert isinstance(held, Claim), held
        return held

    for content, then in ((A, b"committed"), (B, b"again")):
        held = await replayed()
        await redis_client.set(ONE.key, content)
        await claims.claim(patient[1], [ONE])
        assert await commit(patient[0], held) == then
    await redis_client.delete(RESULT)
    await claim(patient[1])
    await redis_client.set(ONE.key, C)
    await claims.claim(patient[1], [ONE])
    await end_lease(redis_client)
    assert await commit(patient[0], await replayed()) == b"committed", "what was noted for a holder who died is not"


async def test_a_key_that_is_named_twice_in_a_call_is_claimed_once(workers: tuple[App, App]) -> None:
    held, answer = await claims.claim(workers[0], [ONE, ONE])
    assert isinstance(held, Claim)
    assert isinstance(answer, Outcome)
    assert await commit(workers[0], held) == b"committed"


async def test_where_one_of_a_group_cannot_be_committed_nothing_is_written_and_the_others_are_told_apart(
    workers: tuple[App, App], redis_client: redis.asyncio.Redis
) -> None:
    held = []
    for batch_id in (b"a", b"b", b"c"):
        batch = Batch(namespaces.build(namespaces.BATCH, batch_id), batch_id)
        await redis_client.set(batch.key, BATCH, ex=3600)
        held += await claims.claim(workers[0], [batch])
    await redis_client.delete(held[1].claim_key)
    head = results.head(held[2].payload.digest)
    await redis_client.set(namespaces.build(namespaces.RESULT, b"c"), head + b"}")
    delta = baseline.encode_delta({"ph": [7.0]})
    call = claims.commit_call(workers[0], [claims.Commit(one, head + b"}", b"{}") for one in held], delta)
    (answers,) = await workers[0].run_many(COMMIT_BATCHES, [call])
    assert answers == [b"not yet", b"stale", b"same"]
    assert not await redis_client.exists(namespaces.build(namespaces.RESULT, b"a"), claims.model_key())
    assert await redis_client.exists(held[0].claim_key)
    assert not await redis_client.exists(held[2].claim_key), "its holder is done with it"


async def test_a_group_is_committed_without_those_that_others_took_over(
    workers: tuple[App, App], redis_client: redis.asyncio.Redis
) -> None:
    app = workers[0]
    ready = {}
    for index, batch_id in enumerate((b"a", b"b", b"c")):
        batch = Batch(namespaces.build(namespaces.BATCH, batch_id), batch_id)
        await redis_client.set(batch.key, BATCH, ex=3600)
        (held,) = await claims.claim(app, [batch])
        assert isinstance(held, Claim)
        ready[index] = batches._compute({index: held}, Baseline(), app.settings)[index]
    await redis_client.delete(ready[1].claim.claim_key)
    await batches.commit(app, {2: ready[2]})
    found = await batches.commit(app, ready)
    assert [found[index][0].result for index in range(3)] == [Result.PROCESSED, Result.LATER, Result.DUPLICATE]
    fields = [part for pair in (await redis_client.hgetall(claims.model_key())).items() for part in pair]
    model = baseline.decode_model(fields, (await redis_client.time())[0])
    assert (model.version, model.sketches["m"].samples) == (2, 2), "each batch counts once"


async def test_a_lease_that_ran_out_is_taken_over_with_a_higher_token_and_the_old_holder_is_refused(
    workers: tuple[App, App], redis_client: redis.asyncio.Redis
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
    workers: tuple[App, App], redis_client: redis.asyncio.Redis
) -> None:
    ahead = 9_000_000_000_000_000
    await redis_client.hset(CLAIM, mapping={"owner": "gone", "token": ahead, "lease_until_ms": 0, "attempt": "1"})
    assert int((await claim(workers[0])).token) == ahead + 1


async def test_a_commit_that_is_repeated_changes_nothing(
    workers: tuple[App, App], redis_client: redis.asyncio.Redis
) -> None:
    held = await claim(workers[0])
    assert await commit(workers[0], held) == b"committed"
    before = [await redis_client.dump(RESULT), await redis_client.hgetall(claims.model_key())]
    assert await commit(workers[0], held, number=2) == b"same"
    assert [await redis_client.dump(RESULT), await redis_client.hgetall(claims.model_key())] == before


async def test_a_commit_without_its_claim_is_refused(
    workers: tuple[App, App], redis_client: redis.asyncio.Redis
) -> None:
    """After FLUSHALL, or when Redis evicted the claim."""
    held = await claim(workers[0])
    await redis_client.flushall()
    assert await commit(workers[0], held) == b"stale"
    assert await redis_client.keys() == []


async def attempts(patient: tuple[App, App], client: redis.asyncio.Redis, contents: Sequence[Any]) -> list[int]:
    """Which attempt each claim is, where every worker dies of what it claimed."""
    found = []
    for number, content in enumerate(contents):
        await write(client, content)
        found.append((await claim(patient[number % 2])).attempt)
        await end_lease(client)
    return found


async def write(client: redis.asyncio.Redis, content: Any) -> None:
    await client.delete(ONE.key)
    match content:
        case list():
            await client.rpush(ONE.key, *content)
        case dict():
            await client.hset(ONE.key, mapping=content)
        case _:
            await client.set(ONE.key, content)


LONG = b"<" + b"x" * 198 + b">"
SHORT = [b"1", b"2", b"3"]
FIELDS = {"a": "1", "b": "2", "c": "3"}


@pytest.mark.parametrize("content", [LONG, b"1", SHORT, FIELDS], ids=["string", "short string", "list", "hash"])
async def test_no_claim_on_content_that_kills_its_worker_is_missed(
    patient: tuple[App, App], redis_client: redis.asyncio.Redis, content: Any
) -> None:
    assert await attempts(patient, redis_client, [content] * 4) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (LONG, LONG[:100] + b"x" + LONG[100:]),
        (LONG, b"x" + LONG[1:]),
        (LONG, LONG[:-1] + b"x"),
        (LONG, LONG[:63] + b"y" + LONG[64:]),
        (LONG, LONG[:-64] + b"y" + LONG[-63:]),
        (b"1", b"2"),
        (SHORT, [b"1", b"9", b"3"]),
        (SHORT, [b"1", b"23", b""]),
        (FIELDS, FIELDS | {"b": "9"}),
        (LONG, [LONG]),
    ],
)
async def test_new_content_starts_its_attempts_anew(
    patient: tuple[App, App], redis_client: redis.asyncio.Redis, before: Any, after: Any
) -> None:
    assert await attempts(patient, redis_client, [before, after, after, before]) == [1, 1, 2, 1]


async def test_new_content_of_the_same_length_and_edges_has_one_attempt_less_and_only_after_a_first_claim(
    patient: tuple[App, App], redis_client: redis.asyncio.Redis
) -> None:
    others = [LONG[:100] + bytes([letter]) + LONG[101:] for letter in b"abc"]
    assert await attempts(patient, redis_client, [others[0], others[1], others[1], others[2]]) == [1, 2, 3, 1]


async def test_a_new_batch_costs_redis_six_commands_and_no_digest(app: App, redis_client: redis.asyncio.Redis) -> None:
    new = [Batch(f"fastapi:temp:data:{number}".encode(), str(number).encode()) for number in range(64)]
    await redis_client.mset({batch.key: BATCH for batch in new})
    await claims.claim(app, [ONE])  # loads the script
    await redis_client.config_resetstat()
    held = await claims.claim(app, new)
    calls = {name: about["calls"] for name, about in (await redis_client.info("commandstats")).items()}
    needed = {f"cmdstat_{name}" for name in ("exists", "strlen", "get", "hset", "expire", "pttl")}
    assert {name: count for name, count in calls.items() if count >= len(new)} == dict.fromkeys(needed, len(new))
    assert all(isinstance(one, Claim) and not one.payload.known_digest for one in held)


async def test_long_work_keeps_its_lease(workers: tuple[App, App], redis_client: redis.asyncio.Redis) -> None:
    held = await claim(workers[0])
    async with claims.kept_alive(workers[0], [held]):
        for _ in range(3):
            await until_free(redis_client)  # until the lease that is written now would have run out
            (answer,) = await claims.claim(workers[1], [ONE])
            assert isinstance(answer, Outcome), "taken over although it was renewed"
    assert await commit(workers[0], held) == b"committed"


async def test_a_renewal_leaves_the_claim_of_another_alone(
    workers: tuple[App, App], redis_client: redis.asyncio.Redis
) -> None:
    old = await claim(workers[0])
    await until_free(redis_client)
    new = await claim(workers[1])
    await claims.release(workers[0], [old])
    assert await redis_client.hget(CLAIM, "token") == new.token


async def test_a_claim_given_back_is_free_at_once(workers: tuple[App, App]) -> None:
    await claims.release(workers[0], [await claim(workers[0])])
    assert (await claim(workers[1])).attempt == 1


@pytest.mark.parametrize("kind", ["list", "hash"])
async def test_an_item_of_fastapi_s_own_queue_is_left_alone_and_the_batch_is_not_forgotten(
    workers: tuple[App, App], redis_client: redis.asyncio.Redis, kind: str
) -> None:
    if kind == "list":
        await redis_client.rpush(CLAIM, "job")
    else:
        await redis_client.hset(CLAIM, "job", "1")
    before = await redis_client.dump(CLAIM)
    (outcome,) = await batches.react(workers[0], [ONE.key], cause("set"))
    assert outcome.result is Result.RETRIED
    assert "KeyTaken" in str(outcome.detail)
    assert await redis_client.dump(CLAIM) == before
    await redis_client.delete(CLAIM)
    (outcome,) = await batches.react(workers[0], [ONE.key], cause("retry"))
    assert outcome.result is Result.PROCESSED


async def test_a_call_reads_a_bounded_number_of_bytes(app: App, redis_client: redis.asyncio.Redis) -> None:
    large = b'[{"metric":"m","ts":1,"value":2.0}' + b" " * (7 * CLAIM_BYTES // 16) + b"]"
    several = [Batch(f"fastapi:temp:data:{number}".encode(), str(number).encode()) for number in range(5)]
    for batch in several:
        await redis_client.set(batch.key, large)
    found = await claims.claim(app, several)
    assert [isinstance(one, Claim) for one in found] == [True, True, True, False, False]
    assert found[3:] == [LATER, LATER]
    await claims.release(app, [one for one in found if isinstance(one, Claim)])
    outcomes = await batches.react(app, [batch.key for batch in several], cause("sweep"))
    assert [one.result for one in outcomes] == [Result.PROCESSED] * 5


async def test_many_workers_at_once_commit_each_content_once(
    app_settings: Settings, redis_client: redis.asyncio.Redis
) -> None:
    workers = [open_app(app_settings) for _ in range(4)]
    keys = [f"fastapi:temp:data:{number}".encode() for number in range(100)]
    for number, key in enumerate(keys):
        await redis_client.set(key, json.dumps([{"metric": "m", "ts": 1, "value": number}]))
    async with redis_client.pubsub() as channel:
        await channel.subscribe("fastapi:events:analysis")
        await channel.get_message(timeout=5)
        outcomes = await asyncio.gather(*(batches.react(worker, keys, cause("sweep")) for worker in workers))
        commits = []
        while message := await channel.get_message(timeout=0.5):
            commits.append(json.loads(message["data"])["batchId"])
    for worker in workers:
        await worker.redis.aclose()
    assert sorted(commits) == sorted(str(number) for number in range(100))
    assert sum(one.result is Result.PROCESSED for some in outcomes for one in some) == 100
