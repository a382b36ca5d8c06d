"""Claims: one live lease per batch by Redis' clock, growing tokens, and commits by the holder only."""

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

B1 = Batch(b"fastapi:temp:data:b1", b"b1")
CLAIM = b"fastapi:queue:processing:b1"
RESULT = b"fastapi:results:analysis:b1"
BATCH = json.dumps([{"metric": "m", "ts": 1, "value": 2.0}])
A, B, C = ("a" * 200, "b" * 200, "c" * 200)
"""Contents that differ in every byte."""


@pytest.fixture
async def workers(app_settings: Settings, redis_client: redis.asyncio.Redis) -> AsyncIterator[tuple[App, App]]:
    """Two instances of the app with leases of 100 ms, and one batch."""
    await redis_client.set(B1.key, BATCH, ex=3600)
    settings = msgspec.structs.replace(app_settings, lease_s=0.1)
    async with open_app(settings).redis as first, open_app(settings).redis as second:
        yield App(settings, first), App(settings, second)


@pytest.fixture
async def patient(app_settings: Settings, redis_client: redis.asyncio.Redis) -> AsyncIterator[tuple[App, App]]:
    """Two instances of the app with leases that do not end during a test, except by `end_lease`."""
    async with open_app(app_settings).redis as first, open_app(app_settings).redis as second:
        yield App(app_settings, first), App(app_settings, second)


async def end_lease(client: redis.asyncio.Redis) -> None:
    await client.hset(CLAIM, "lease_until_ms", 0)


async def claim(app: App) -> Claim:
    (claimed,) = await claims.claim(app, [B1])
    assert isinstance(claimed, Claim), claimed
    return claimed


async def commit(app: App, claim: Claim, number: int = 1) -> bytes:
    result = results.head(claim.payload.digest) + f',"number":{number}}}'.encode()
    call = claims.commit_call(app, [claims.Commit(claim, result, b"{}")], b"\x90")
    ((_, reply),) = await app.run_many(COMMIT_BATCHES, [call])
    return bytes(reply)


async def until_free(client: redis.asyncio.Redis) -> None:
    """Until the lease has run out by Redis' clock."""
    seconds, micros = await client.time()
    until_ms = float(await client.hget(CLAIM, "lease_until_ms") or 0)
    await asyncio.sleep(max(0.0, until_ms / 1000 - (seconds + micros / 1e6)) + 0.002)


async def test_a_claim_stores_owner_token_attempt_and_lease_for_half_an_hour(
    workers: tuple[App, App], redis_client: redis.asyncio.Redis
) -> None:
    claimed = await claim(workers[0])
    fields = await redis_client.hgetall(CLAIM)
    seconds, _ = await redis_client.time()
    assert fields[b"owner"] == workers[0].owner.encode()
    assert fields[b"token"] == claimed.token
    assert fields[b"attempt"] == b"1"
    assert abs(float(fields[b"lease_until_ms"]) / 1000 - seconds) < 2
    assert 1790 < await redis_client.ttl(CLAIM) <= 1800
    assert claimed.payload.parts == [BATCH.encode()]
    assert 3_590_000 < claimed.ttl_ms <= 3_600_000


@pytest.mark.parametrize(
    ("contents", "look_again"),
    [([A], False), ([B], True), ([B, A], False), ([A, B], True), ([B, C], True), ([B, A, B], True)],
    ids=["same", "other", "other then same", "same then other", "two others", "other at last"],
)
@pytest.mark.parametrize("ending", ["commit", "release", "a late commit"])
async def test_a_live_lease_is_held_and_its_holder_looks_again_if_the_content_last_read_differs(
    patient: tuple[App, App],
    redis_client: redis.asyncio.Redis,
    contents: list[str],
    look_again: bool,
    ending: str,
) -> None:
    await redis_client.set(B1.key, A)
    claimed = await claim(patient[0])
    for content in contents:
        await redis_client.set(B1.key, content)
        for other in patient:
            (answer,) = await claims.claim(other, [B1])
            assert answer == Outcome(B1.key, Result.LATER, "another worker has the claim")
    if ending == "release":
        assert await claims.release(patient[0], [claimed]) == [look_again]
        return
    if ending == "a late commit":  # the reply was lost, or the same content was replayed
        await redis_client.set(RESULT, results.head(claimed.payload.digest) + b"}")
    answers = {"commit": (b"committed", b"again"), "a late commit": (b"same", b"same again")}
    assert await commit(patient[0], claimed) == answers[ending][look_again]
    assert not await redis_client.exists(CLAIM)


@pytest.mark.parametrize("ended", [Result.PROCESSED, Result.DEAD])
async def test_a_holder_looks_again_if_settled_content_returned_during_its_claim(
    patient: tuple[App, App], redis_client: redis.asyncio.Redis, ended: Result
) -> None:
    await redis_client.set(B1.key, B)
    done = await claim(patient[0])
    if ended is Result.PROCESSED:
        assert await commit(patient[0], done) == b"committed"
    else:
        await claims.release(patient[0], [done])
        await redis_client.set(mark_key(claims.REACTOR, B1.key), done.payload.digest)
    await redis_client.set(B1.key, A)
    claimed = await claim(patient[0])
    await redis_client.set(B1.key, B)
    (answer,) = await claims.claim(patient[1], [B1])
    assert isinstance(answer, Outcome)
    assert answer.result is Result.DUPLICATE
    assert await commit(patient[0], claimed) == b"again", "otherwise the result stays that of A until the next pass"


async def test_a_takeover_forgets_the_content_noted_during_the_dead_claim(
    patient: tuple[App, App], redis_client: redis.asyncio.Redis
) -> None:
    await redis_client.set(B1.key, A)
    await claim(patient[0])
    await redis_client.set(B1.key, B)
    await claims.claim(patient[1], [B1])
    await redis_client.set(B1.key, A)
    await end_lease(redis_client)
    assert await commit(patient[1], await claim(patient[1])) == b"committed"


async def test_a_replay_looks_again_only_if_its_key_returned_with_other_content(
    patient: tuple[App, App], redis_client: redis.asyncio.Redis
) -> None:
    letter = Payload("string", "", [A.encode()])

    async def replayed() -> Claim:
        await redis_client.delete(B1.key, RESULT)
        claimed = await claims.claim_replay(patient[0], B1, letter)
        assert isinstance(claimed, Claim), claimed
        return claimed

    for content, reply in ((A, b"committed"), (B, b"again")):
        claimed = await replayed()
        await redis_client.set(B1.key, content)
        await claims.claim(patient[1], [B1])
        assert await commit(patient[0], claimed) == reply
    await redis_client.delete(RESULT)
    await claim(patient[1])
    await redis_client.set(B1.key, C)
    await claims.claim(patient[1], [B1])
    await end_lease(redis_client)
    assert await commit(patient[0], await replayed()) == b"committed", (
        "a takeover drops what was noted during the dead claim"
    )


async def test_a_key_passed_twice_to_a_call_is_claimed_once(workers: tuple[App, App]) -> None:
    claimed, answer = await claims.claim(workers[0], [B1, B1])
    assert isinstance(claimed, Claim)
    assert isinstance(answer, Outcome)
    assert await commit(workers[0], claimed) == b"committed"


async def test_a_group_with_a_stale_claim_writes_nothing_and_reports_each_batch(
    workers: tuple[App, App], redis_client: redis.asyncio.Redis
) -> None:
    claimed = []
    for batch_id in (b"a", b"b", b"c"):
        batch = Batch(namespaces.build(namespaces.BATCH, batch_id), batch_id)
        await redis_client.set(batch.key, BATCH, ex=3600)
        claimed += await claims.claim(workers[0], [batch])
    await redis_client.delete(claimed[1].claim_key)
    head = results.head(claimed[2].payload.digest)
    await redis_client.set(namespaces.build(namespaces.RESULT, b"c"), head + b"}")
    delta = baseline.encode_delta({"ph": [7.0]})
    call = claims.commit_call(
        workers[0], [claims.Commit(batch_claim, head + b"}", b"{}") for batch_claim in claimed], delta
    )
    ((_, *answers),) = await workers[0].run_many(COMMIT_BATCHES, [call])
    assert answers == [b"not yet", b"stale", b"same"]
    assert not await redis_client.exists(namespaces.build(namespaces.RESULT, b"a"), claims.model_key())
    assert await redis_client.exists(claimed[0].claim_key)
    assert not await redis_client.exists(claimed[2].claim_key), "the content is done: the claim is released"


async def test_a_group_is_committed_without_claims_that_were_taken_over(
    workers: tuple[App, App], redis_client: redis.asyncio.Redis
) -> None:
    app = workers[0]
    ready = {}
    for index, batch_id in enumerate((b"a", b"b", b"c")):
        batch = Batch(namespaces.build(namespaces.BATCH, batch_id), batch_id)
        await redis_client.set(batch.key, BATCH, ex=3600)
        (claimed,) = await claims.claim(app, [batch])
        assert isinstance(claimed, Claim)
        ready[index] = batches._compute({index: claimed}, Baseline(), app.settings)[index]
    await redis_client.delete(ready[1].claim.claim_key)
    await batches.commit(app, {2: ready[2]})
    looks = await batches.commit(app, ready)
    assert [looks[index][0].result for index in range(3)] == [Result.PROCESSED, Result.LATER, Result.DUPLICATE]
    fields = [part for pair in (await redis_client.hgetall(claims.model_key())).items() for part in pair]
    model = baseline.decode_model(fields, (await redis_client.time())[0])
    assert (model.version, model.sketches["m"].samples) == (2, 2), "each batch counts once"


async def test_an_expired_lease_is_taken_over_with_a_higher_token_and_the_old_holder_is_refused(
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


async def test_tokens_grow_even_if_the_last_token_is_ahead_of_the_clock(
    workers: tuple[App, App], redis_client: redis.asyncio.Redis
) -> None:
    ahead = 9_000_000_000_000_000
    await redis_client.hset(CLAIM, mapping={"owner": "gone", "token": ahead, "lease_until_ms": 0, "attempt": "1"})
    assert int((await claim(workers[0])).token) == ahead + 1


async def test_a_repeated_commit_changes_nothing(workers: tuple[App, App], redis_client: redis.asyncio.Redis) -> None:
    claimed = await claim(workers[0])
    assert await commit(workers[0], claimed) == b"committed"
    before = [await redis_client.dump(RESULT), await redis_client.hgetall(claims.model_key())]
    assert await commit(workers[0], claimed, number=2) == b"same"
    assert [await redis_client.dump(RESULT), await redis_client.hgetall(claims.model_key())] == before


async def test_a_commit_without_its_claim_is_refused(
    workers: tuple[App, App], redis_client: redis.asyncio.Redis
) -> None:
    """After FLUSHALL, or if Redis evicted the claim."""
    claimed = await claim(workers[0])
    await redis_client.flushall()
    assert await commit(workers[0], claimed) == b"stale"
    assert await redis_client.keys() == []


async def attempts(patient: tuple[App, App], client: redis.asyncio.Redis, contents: Sequence[Any]) -> list[int]:
    """The attempt of each claim if every worker dies after claiming."""
    counted = []
    for number, content in enumerate(contents):
        await write(client, content)
        counted.append((await claim(patient[number % 2])).attempt)
        await end_lease(client)
    return counted


async def write(client: redis.asyncio.Redis, content: Any) -> None:
    await client.delete(B1.key)
    match content:
        case list():
            await client.rpush(B1.key, *content)
        case dict():
            await client.hset(B1.key, mapping=content)
        case _:
            await client.set(B1.key, content)


LONG = b"<" + b"x" * 198 + b">"
SHORT = [b"1", b"2", b"3"]
FIELDS = {"a": "1", "b": "2", "c": "3"}


@pytest.mark.parametrize("content", [LONG, b"1", SHORT, FIELDS], ids=["string", "short string", "list", "hash"])
async def test_every_unreleased_claim_on_a_content_counts_as_an_attempt(
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
async def test_new_content_starts_at_attempt_1(
    patient: tuple[App, App], redis_client: redis.asyncio.Redis, before: Any, after: Any
) -> None:
    assert await attempts(patient, redis_client, [before, after, after, before]) == [1, 1, 2, 1]


async def test_new_content_with_equal_length_and_edges_has_one_attempt_less_only_after_a_first_claim(
    patient: tuple[App, App], redis_client: redis.asyncio.Redis
) -> None:
    others = [LONG[:100] + bytes([letter]) + LONG[101:] for letter in b"abc"]
    assert await attempts(patient, redis_client, [others[0], others[1], others[1], others[2]]) == [1, 2, 3, 1]


async def test_claiming_a_new_batch_takes_six_commands_and_no_digest(
    app: App, redis_client: redis.asyncio.Redis
) -> None:
    new = [Batch(f"fastapi:temp:data:{number}".encode(), str(number).encode()) for number in range(64)]
    await redis_client.mset({batch.key: BATCH for batch in new})
    await claims.claim(app, [B1])  # loads the script
    await redis_client.config_resetstat()
    claimed = await claims.claim(app, new)
    calls = {name: stats["calls"] for name, stats in (await redis_client.info("commandstats")).items()}
    needed = {f"cmdstat_{name}" for name in ("exists", "strlen", "get", "hset", "expire", "pttl")}
    assert {name: count // len(new) for name, count in calls.items() if count >= len(new)} == dict.fromkeys(needed, 1)
    assert all(isinstance(answer, Claim) and not answer.payload.known_digest for answer in claimed)


async def test_a_lease_is_renewed_during_long_work(workers: tuple[App, App], redis_client: redis.asyncio.Redis) -> None:
    claimed = await claim(workers[0])
    async with claims.kept_alive(workers[0], [claimed]):
        for _ in range(3):
            await until_free(redis_client)  # until the lease written so far would have ended
            (answer,) = await claims.claim(workers[1], [B1])
            assert isinstance(answer, Outcome), "the lease was renewed and yet taken over"
    assert await commit(workers[0], claimed) == b"committed"


async def test_a_release_does_not_change_the_claim_of_another_worker(
    workers: tuple[App, App], redis_client: redis.asyncio.Redis
) -> None:
    old = await claim(workers[0])
    await until_free(redis_client)
    new = await claim(workers[1])
    await claims.release(workers[0], [old])
    assert await redis_client.hget(CLAIM, "token") == new.token


async def test_a_released_claim_can_be_claimed_at_once(workers: tuple[App, App]) -> None:
    await claims.release(workers[0], [await claim(workers[0])])
    assert (await claim(workers[1])).attempt == 1


@pytest.mark.parametrize("kind", ["list", "hash"])
async def test_a_claim_key_of_another_application_is_not_changed_and_the_batch_is_retried(
    workers: tuple[App, App], redis_client: redis.asyncio.Redis, kind: str
) -> None:
    if kind == "list":
        await redis_client.rpush(CLAIM, "job")
    else:
        await redis_client.hset(CLAIM, "job", "1")
    before = await redis_client.dump(CLAIM)
    (outcome,) = await batches.react(workers[0], [B1.key], cause("set"))
    assert outcome.result is Result.RETRIED
    assert "KeyTaken" in str(outcome.detail)
    assert await redis_client.dump(CLAIM) == before
    await redis_client.delete(CLAIM)
    (outcome,) = await batches.react(workers[0], [B1.key], cause("retry"))
    assert outcome.result is Result.PROCESSED


async def test_a_call_reads_a_bounded_number_of_bytes(app: App, redis_client: redis.asyncio.Redis) -> None:
    large = b'[{"metric":"m","ts":1,"value":2.0}' + b" " * (7 * CLAIM_BYTES // 16) + b"]"
    several = [Batch(f"fastapi:temp:data:{number}".encode(), str(number).encode()) for number in range(5)]
    for batch in several:
        await redis_client.set(batch.key, large)
    answers = await claims.claim(app, several)
    assert [isinstance(answer, Claim) for answer in answers] == [True, True, True, False, False]
    assert answers[3:] == [LATER, LATER]
    await claims.release(app, [answer for answer in answers if isinstance(answer, Claim)])
    outcomes = await batches.react(app, [batch.key for batch in several], cause("sweep"))
    assert [outcome.result for outcome in outcomes] == [Result.PROCESSED] * 5


async def test_concurrent_workers_commit_each_content_once(
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
    assert sum(outcome.result is Result.PROCESSED for group in outcomes for outcome in group) == 100
