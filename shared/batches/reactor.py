"""The batches reactor: `fastapi:temp:data:{batchId}` becomes `fastapi:results:analysis:{batchId}`.

The steps, in the order in which a group of batches takes them:

    claim      read up to 64 batches and take a lease on each: 1 round trip
    decode     content -> readings
    analyse    readings -> statistics and anomalies
    result     the document to write for a batch
    encode     result and message as JSON
    baseline   the delta that the group adds to the model
    commit     write everything, if the leases are still valid: 1 round trip
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from shared import namespaces, telemetry
from shared.app import App
from shared.batches import claims
from shared.batches.analysis import Analysis, analyse_many
from shared.batches.baseline import Baseline, encode_delta
from shared.batches.baseline_copy import BaselineCopy, baseline_copy
from shared.batches.claims import COMMIT_BATCHES, Answer, Batch, Claim, Commit, Settled
from shared.batches.results import BatchResult, batch_result, message_of
from shared.clock import now_iso
from shared.delivery import failures
from shared.delivery.rounds import Breather, Look, Turn, in_rounds, one_by_one, parts_by_size
from shared.errors import NotReady, WorkerLost
from shared.reactor import NO_TIME, Cause, Outcome, Payload, Scanned, duplicate, ignored, later, processed
from shared.reading.float_arrays import joined
from shared.reading.model import Reading
from shared.reading.read import read_batch
from shared.runtime.bursts import prepare_for_bursts
from shared.runtime.threads import off_loop
from shared.settings import Settings
from shared.words import counted

NAME = claims.REACTOR
NOT_OURS = "not a batch"
INERT = frozenset({Cause.NOTHING, Cause.TOUCHED, Cause.DELETED, Cause.EXPIRED, Cause.EVICTED, Cause.RENAMED})
"""These causes bring no new content, and a result outlives its batch."""
SCANNED = (Scanned(namespaces.BATCH.prefix),)

BATCHES_PER_CLAIM = 64
BURST_BATCHES = 32
"""A group of this size indicates a burst."""
CLAIM_PATIENCE_S = 0.02
"""How long a large group waits for its turn to claim. Redis runs all pending scripts before it flushes a reply, so
concurrent claims delay each other; after a longer wait Redis is slow, and queueing only adds latency."""
THREAD_BYTES = 64 * 1024
"""Payloads of this size or more take at least 5 ms to analyse, so a thread does it."""
PART_BYTES = 512 * 1024
"""Payloads that are analysed together without yielding to the event loop: about 1 ms."""
MAX_LOOKS = 3
"""Looks per call at a batch that keeps being written; after that its next event triggers the reaction."""
_USUAL_TTL_MS = namespaces.TEMP_DATA_TTL_S * 1000
_MAX_LAG_MS = 600_000
"""A larger lag means that the writer sets another TTL than _USUAL_TTL_MS: then the lag is unknown."""


class Computed(msgspec.Struct, frozen=True):
    """A claimed batch with the result to commit."""

    claim: Claim
    readings: Reading
    result: BatchResult


@dataclass
class _Turns:
    claim: Turn = field(default_factory=Turn)
    compute: Turn = field(default_factory=Turn)


async def react(app: App, keys: Sequence[bytes], cause: Cause) -> list[Outcome]:
    """Bring the result of each batch up to its content; see shared/reactor.py."""

    async def look(batches: Sequence[Batch]) -> list[Look]:
        return await _look(app, batches, new_only=cause is Cause.BULK)

    return await in_rounds(
        keys,
        _batch_of,
        look,
        not_ours=NOT_OURS,
        per_round=BATCHES_PER_CLAIM,
        max_looks=MAX_LOOKS,
        timeout_s=app.settings.work_timeout_s,
    )


def _batch_of(key: bytes) -> Batch | None:
    parts = namespaces.parts_of(namespaces.BATCH, key)
    return Batch(key, parts[0]) if parts else None


# The steps


async def claim(app: App, batches: Sequence[Batch], *, new_only: bool = False) -> list[Answer]:
    """See claims.claim; large groups take turns. Raises what the Redis client raises."""
    if len(batches) < BURST_BATCHES:
        return await claims.claim(app, batches, new_only=new_only)
    prepare_for_bursts()
    async with app.state(_Turns).claim.taken(patience_s=CLAIM_PATIENCE_S):
        return await claims.claim(app, batches, new_only=new_only)


def decode(claim: Claim, settings: Settings) -> Reading:
    """The readings of a claimed batch.

    Raises Rejected if it cannot be read, NotReady for a placeholder, WorkerLost if too many workers died on this
    content, Settled if it has its result or dead letter already.
    """
    claim.check_unsettled()
    if claim.attempt > settings.retry_attempts:
        raise WorkerLost(f"{claim.attempt - 1} workers claimed this content and did not finish")
    payload = claim.payload
    return read_batch(payload.shape, payload.parts, settings.overrides.override(claim.batch.key))


def analyse(group: Sequence[Reading], model: Baseline, settings: Settings) -> list[Analysis]:
    """The analysis of each batch of a group, in order."""
    return analyse_many(group, model, threshold=settings.anomaly_threshold, min_samples=settings.baseline_min_samples)


def result(claim: Claim, readings: Reading, analysis: Analysis, model: Baseline, processed_at: str) -> Computed:
    """The result to write for a batch; `processed_at` is ISO-8601 in UTC."""
    return Computed(
        claim,
        readings,
        batch_result(
            claim.batch.batch_id,
            claim.payload.digest,
            readings,
            analysis,
            model_version=model.version,
            processed_at=processed_at,
        ),
    )


def encode(computed: Computed) -> Commit:
    """Result and message as JSON."""
    message = message_of(computed.result)
    return Commit(computed.claim, msgspec.json.encode(computed.result), msgspec.json.encode(message))


def baseline(group: Iterable[Reading], copy: BaselineCopy) -> bytes:
    """The delta that a group of batches adds to the model; see shared/batches/baseline.py."""
    values: defaultdict[str, list[Any]] = defaultdict(list)
    for readings in group:
        for metric, series in readings.series.items():
            values[metric].append(series.values)
    admitted = copy.admit(values)
    copy.count(left_out=len(values) - len(admitted))
    return encode_delta({metric: joined(arrays) for metric, arrays in values.items() if metric in admitted})


async def commit(app: App, group: Mapping[int, Computed]) -> dict[int, Look]:
    """Write a group in one round trip; in further ones if another worker was faster with a part of it.

    commit_batches.lua writes the whole group or nothing. Where a claim of the group is no longer valid, the rest is
    committed without it.
    """
    looks: dict[int, Look] = {}
    waiting = dict(group)
    while waiting:
        delta = baseline([computed.readings for computed in waiting.values()], baseline_copy(app))
        call = claims.commit_call(app, [encode(computed) for computed in waiting.values()], delta)
        (replies,) = await failures.run_repeatable(app, COMMIT_BATCHES, [call])
        if isinstance(replies, Exception):
            if failures.is_outage(replies):
                return looks | await _away(app, waiting, replies)
            if len(waiting) > 1:  # a single batch may be the cause
                for index, computed in waiting.items():
                    looks |= await commit(app, {index: computed})
                return looks
            replies = [1, replies]
        room, *replies = replies
        baseline_copy(app).count(left_out=0 if room else 1)
        for (index, computed), reply in zip(list(waiting.items()), replies, strict=True):
            if reply != b"not yet":
                del waiting[index]
                looks[index] = await _committed(app, computed, reply)
    return looks


# One round


async def _look(app: App, batches: Sequence[Batch], *, new_only: bool) -> list[Look]:
    try:
        answers = await claim(app, batches, new_only=new_only)
    except Exception as error:
        if len(batches) > 1 and not failures.is_outage(error):  # a single batch may be the cause: do not block others
            return [look for batch in batches for look in await _look(app, [batch], new_only=new_only)]
        return [Look(await failures.failed(app, NAME, batch.key, error)) for batch in batches]
    telemetry.recovered("Redis")
    looks: dict[int, Look] = {}
    claimed: dict[int, Claim] = {}
    for index, answer in enumerate(answers):
        match answer:
            case Claim():
                claimed[index] = answer
            case Outcome():
                looks[index] = Look(answer)
            case Exception():
                looks[index] = Look(await failures.failed(app, NAME, batches[index].key, answer))
            case claims.LATER:
                looks[index] = Look(None, look_again=True)
    looks |= await _work(app, claimed)
    return [looks[index] for index in range(len(batches))]


async def _work(app: App, claimed: Mapping[int, Claim]) -> dict[int, Look]:
    """Analyse and commit: the small batches together, then the large ones one by one, so that no small one waits."""
    large = {index: claim for index, claim in claimed.items() if claim.payload_bytes() >= THREAD_BYTES}
    small = {index: claim for index, claim in claimed.items() if index not in large}
    async with app.state(_Turns).compute.taken():
        computed, faults = await _compute_small(app, small)
    async with claims.kept_alive(app, list(large.values())):
        looks = await commit(app, computed)
        for index, fault in faults.items():
            looks[index] = await _failed(app, claimed[index], fault)

        async def compute_large(index: int, claim: Claim) -> Look:
            model, settings = baseline_copy(app).value, app.settings
            try:
                work = await off_loop(settings.work_timeout_s, _compute, {index: claim}, model, settings)
            except Exception as error:
                return await _failed(app, claim, error)
            return (await commit(app, work))[index]

        done, left = await one_by_one(large, compute_large, timeout_s=app.settings.work_timeout_s)
        await _release(app, [large[index] for index in left])
    late = {index: Look(later(large[index].batch.key, NO_TIME)) for index in left}
    return looks | done | late


async def _compute_small(app: App, claimed: Mapping[int, Claim]) -> tuple[dict[int, Computed], dict[int, Exception]]:
    computed: dict[int, Computed] = {}
    faults: dict[int, Exception] = {}
    breather = Breather()
    model, settings = baseline_copy(app).value, app.settings
    for part in parts_by_size(claimed, Claim.payload_bytes, PART_BYTES):
        readings: dict[int, Reading] = {}
        for index, claim in part.items():
            await breather.breathe()
            try:
                readings[index] = decode(claim, settings)
            except Exception as error:
                faults[index] = error
        try:
            computed |= _compute_decoded(part, readings, model, settings)
        except Exception:  # one batch of the part is the cause: compute each alone
            for index, decoded in readings.items():
                try:
                    computed |= _compute_decoded(part, {index: decoded}, model, settings)
                except Exception as error:
                    faults[index] = error
    return computed, faults


def _compute(claimed: Mapping[int, Claim], model: Baseline, settings: Settings) -> dict[int, Computed]:
    """From content to results. Raises what `decode` raises."""
    readings = {index: decode(claim, settings) for index, claim in claimed.items()}
    return _compute_decoded(claimed, readings, model, settings)


def _compute_decoded(
    claimed: Mapping[int, Claim], readings: Mapping[int, Reading], model: Baseline, settings: Settings
) -> dict[int, Computed]:
    analyses = analyse(list(readings.values()), model, settings)
    processed_at = now_iso()
    return {
        index: result(claimed[index], decoded, analysis, model, processed_at)
        for (index, decoded), analysis in zip(readings.items(), analyses, strict=True)
    }


async def _committed(app: App, computed: Computed, reply: Any) -> Look:
    key = computed.claim.batch.key
    match reply:
        case b"committed" | b"again":
            if 0 <= (lag_ms := _USUAL_TTL_MS - computed.claim.ttl_ms) < _MAX_LAG_MS:
                telemetry.lag(NAME, lag_ms)
            message = message_of(computed.result)
            detail = f"{counted(message.readings, 'reading')}, {counted(message.anomalies, 'anomaly', 'anomalies')}"
            return Look(processed(key, detail), look_again=reply == b"again")
        case b"same" | b"same again":
            return Look(duplicate(key), look_again=reply == b"same again")
        case b"stale":
            telemetry.count(NAME, "lost_lease")
            return Look(later(key, "the lease expired"), look_again=True)
    return await _failed(app, computed.claim, reply)


async def _failed(app: App, claim: Claim, error: Exception) -> Look:
    """Record the failure, then release the claim: in this order no other worker tries in between."""
    key = claim.batch.key
    if isinstance(error, NotReady):
        outcome = ignored(key, str(error))
    elif isinstance(error, Settled):
        outcome = error.outcome
    else:
        outcome = await failures.failed(app, NAME, key, error, claim.payload, attempts=claim.attempt)
    (changed,) = await _release(app, [claim])
    return Look(outcome, look_again=changed)


async def _away(app: App, group: Mapping[int, Computed], error: Exception) -> dict[int, Look]:
    """Redis is away: release all claims in one call, since each call may take a timeout."""
    outcomes = [await failures.failed(app, NAME, computed.claim.batch.key, error) for computed in group.values()]
    released = await _release(app, [computed.claim for computed in group.values()])
    return dict(zip(group, map(Look, outcomes, released), strict=True))


async def _release(app: App, held_claims: Sequence[Claim]) -> list[bool]:
    """Release claims; per claim whether another worker read other content during it. Never raises."""
    try:
        return await claims.release(app, held_claims)
    except Exception as fault:  # the leases expire by themselves
        telemetry.logger.debug("claims were not released: %s", type(fault).__name__)
        return [False] * len(held_claims)


async def replay(app: App, key: bytes, payload: Payload) -> Outcome:
    """React to the payload of a dead letter whose key is gone: the same steps as `react`, from the claim on."""
    batch = _batch_of(key)
    if batch is None:
        return ignored(key, NOT_OURS)
    answer = await claims.claim_replay(app, batch, payload)
    match answer:
        case Claim():
            (look,) = (await _work(app, {0: answer})).values()
            if look.outcome is not None and not look.look_again:
                return look.outcome
        case "done":
            return duplicate(key)
        case "held":
            return later(key, "another worker has the claim")
        case "superseded":
            return ignored(key, "there is a newer result")
    (outcome,) = await react(app, [key], Cause.REPLAY)  # the key exists again
    return outcome
