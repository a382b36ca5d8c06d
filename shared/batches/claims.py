"""Claims on batches: which worker works on which content, ordered by fencing tokens.

claim_batches.lua reads and claims, commit_batches.lua lets only the holder write, renew_claims.lua renews a lease
during long work or releases it. All times are by Redis' clock.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from redis.exceptions import ResponseError

from shared import namespaces, telemetry
from shared.app import App, Call
from shared.batches import baseline, results
from shared.batches.baseline import Baseline
from shared.batches.baseline_copy import baseline_copy
from shared.delivery.dead_letters import mark_key
from shared.errors import KeyTaken, Rejected
from shared.reactor import Outcome, Payload, already, duplicate, ignored, later
from shared.runtime import lazy_numpy
from shared.runtime.threads import off_loop
from shared.store.script import Script

CLAIM_BATCHES = Script(__file__, "claim_batches")
COMMIT_BATCHES = Script(__file__, "commit_batches")
RENEW_CLAIMS = Script(__file__, "renew_claims")
CLAIM_REPLAY = Script(__file__, "claim_replay")

REACTOR = "batches"
MAX_PARTS = 20_000
"""Maximum number of elements of a list, or fields of a hash. A script reads them, which blocks Redis for about 2 us per
element."""
CLAIM_BYTES = 1024 * 1024
"""Bytes after which a call reads no further batch; the rest waits for the next call."""
DECODE_BYTES = 4 * 1024
"""Decoding a larger model takes several ms, so a thread does it."""
RENEWALS_PER_LEASE = 3


class Batch(msgspec.Struct, frozen=True):
    """A key and the id in it."""

    key: bytes
    batch_id: bytes


class Settled(Exception):
    """The claimed content needs no work: it has its result, or is a dead letter, already."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


class Claim(msgspec.Struct, frozen=True):
    """A batch that this process may work on until its lease ends.

    `attempt` is 1 plus the number of earlier claims on this content that were not released (claim_batches.lua describes
    how exactly); `ttl_ms` is the key's remaining TTL, negative for none. `head` and `mark` are those of the result and
    of the dead letter where the script did not compare them with the content: see `check_unsettled`.
    """

    batch: Batch
    payload: Payload
    attempt: int
    token: bytes
    ttl_ms: int
    head: bytes = b""
    mark: bytes = b""

    @property
    def claim_key(self) -> bytes:
        return namespaces.build(namespaces.PROCESSING, self.batch.batch_id)

    def payload_bytes(self) -> int:
        """Size of the work: the bytes of all elements, plus 16 per element so that empty ones count too."""
        return sum(map(len, self.payload.parts)) + 16 * len(self.payload.parts)

    def check_unsettled(self) -> None:
        """Compare the content with `head` and `mark`, if there are any. Raises Settled."""
        if self.head and self.head == results.head(self.payload.digest):
            raise Settled(duplicate(self.batch.key))
        if self.mark and self.mark == self.payload.digest.encode():
            raise Settled(already(self.batch.key, DEAD))


DEAD = "a dead letter already"
LATER = "later"
"""The answer for a batch that the call had no room for."""

type Answer = Claim | Outcome | Exception | str


async def claim(app: App, batches: Sequence[Batch], *, new_only: bool = False) -> list[Answer]:
    """Claim batches. Returns per batch a claim, an outcome if there is nothing to do, an error, or LATER.

    With `new_only`, batches with a result or a live claim are passed over, whatever their content. The same call
    renews the copy of the baseline if that is too old. Raises what the Redis client raises.
    """
    wants_model = _wants_model(app)
    keys = [key for batch in batches for key in _keys(batch)]
    baseline_copy(app).being_read |= wants_model
    try:
        now_s, dropped, model, *replies = await app.run(
            CLAIM_BATCHES,
            keys=[*keys, model_key()],
            args=[
                app.owner,
                app.settings.lease_ms,
                app.settings.max_payload_bytes,
                CLAIM_BYTES,
                results.HEAD_BYTES,
                int(wants_model),
                namespaces.PROCESSING_QUEUE_TTL_S,
                namespaces.DEAD_MARK_TTL_S,
                MAX_PARTS,
                int(new_only),
                baseline.MAX_FIELDS + 2 * baseline.MAX_METRICS,
                baseline.MODEL_MAX_BYTES,
                baseline.FIELD_MAX_BYTES,
            ],
        )
        baseline_copy(app).count(dropped=dropped)
        if wants_model:
            await _renew_baseline(app, model, now_s)
    finally:
        baseline_copy(app).being_read &= not wants_model
    return [_answer(batch, reply) for batch, reply in zip(batches, replies, strict=True)]


def _wants_model(app: App) -> bool:
    """Whether this call also reads the model. Of several concurrent groups one does, if the others have a copy."""
    copy, max_age_s = baseline_copy(app), app.settings.baseline_max_age_s
    if copy.fresh(max_age_s):
        return False
    return not copy.being_read or copy.read_s is None or max_age_s == 0


async def _renew_baseline(app: App, model: Sequence[bytes], now_s: int) -> None:
    """Decode the model that was read. A thread decodes a large one; then these batches use the copy that exists and do
    not wait, unless there is none or it must not be outdated."""
    if sum(map(len, model)) <= DECODE_BYTES:
        baseline_copy(app).replace(baseline.decode_model(model, now_s))
        return
    decoding = asyncio.create_task(off_loop(app.settings.work_timeout_s, _decode_large, model, now_s))
    if baseline_copy(app).read_s is None or app.settings.baseline_max_age_s == 0:
        baseline_copy(app).replace(await decoding)
    else:
        baseline_copy(app).renew(decoding)


def _decode_large(model: Sequence[bytes], now_s: int) -> Baseline:
    lazy_numpy.load()
    return baseline.decode_model(model, now_s)


def model_key() -> bytes:
    return namespaces.build(namespaces.MODEL, results.MODEL_NAME)


def _keys(batch: Batch) -> tuple[bytes, ...]:
    return (
        batch.key,
        namespaces.build(namespaces.RESULT, batch.batch_id),
        namespaces.build(namespaces.PROCESSING, batch.batch_id),
        mark_key(REACTOR, batch.key),
    )


def _answer(batch: Batch, reply: Any) -> Answer:
    match reply:
        case [shape, digest, attempt, token, ttl_ms, head, mark, parts]:
            if attempt > 1:
                telemetry.count(REACTOR, "taken_over")
            if shape == b"hash" and not digest:
                parts = [part for pair in sorted(zip(parts[::2], parts[1::2], strict=True)) for part in pair]
            return Claim(batch, Payload(shape.decode(), digest.decode(), parts), attempt, token, ttl_ms, head, mark)
    return _no_claim(batch, reply)


def _no_claim(batch: Batch, reply: Any) -> Answer:
    match reply:
        case [b"gone"]:
            return ignored(batch.key, "gone")
        case [b"done"]:
            return duplicate(batch.key)
        case [b"passed"]:
            return later(batch.key, "not new")
        case [b"dead"]:
            return already(batch.key, DEAD)
        case [b"held"]:
            return later(batch.key, "another worker has the claim")
        case [b"foreign"]:
            return KeyTaken("another application uses the key of the claim")
        case [b"later", *_]:
            return LATER
        case [b"error", text]:
            return ResponseError(text.decode(errors="replace"))
        case [b"type", name]:
            return Rejected(f"a {name.decode()} is no batch")
        case [b"large", size]:
            return Rejected(f"{size} bytes, more than MAX_PAYLOAD_BYTES")
        case [b"many", parts]:
            return Rejected(f"{parts} elements, more than {MAX_PARTS}")
    raise AssertionError("a reply that claim_batches.lua does not return")


class Commit(msgspec.Struct, frozen=True):
    """The result to write for a claim, which begins with results.head(digest), and its message."""

    claim: Claim
    result: bytes
    message: bytes


def commit_call(app: App, commits: Sequence[Commit], delta: bytes) -> Call:
    """KEYS and ARGV of commit_batches.lua; `delta` is what these commits together add to the model, empty for
    nothing."""
    keys: list[bytes] = []
    written: list[bytes] = []
    for commit in commits:
        claim = commit.claim
        keys += (namespaces.build(namespaces.RESULT, claim.batch.batch_id), claim.claim_key)
        written += (commit.result, commit.message, claim.token)
    unfolded, drift, merged, removed, *fold = baseline_copy(app).take_fold().flat()
    return (
        [*keys, model_key()],
        [
            namespaces.RESULTS_TTL_S,
            namespaces.MODEL_CACHE_TTL_S,
            baseline.GENERATION_S,
            namespaces.BATCH_EVENTS_CHANNEL,
            app.owner,
            delta,
            baseline.UNFOLDED_MAX_BYTES,
            baseline.MAX_FIELDS,
            results.HEAD_BYTES,
            unfolded,
            drift,
            merged,
            removed,
            *written,
            *fold,
        ],
    )


async def release(app: App, held_claims: Sequence[Claim]) -> list[bool]:
    """Release claims, so that no worker has to wait until their leases end. Returns per claim whether another worker
    read other content during it. Raises what the Redis client raises."""
    return [reply == b"again" for reply in await _renew(app, held_claims, lease_ms=0)]


@asynccontextmanager
async def kept_alive(app: App, held_claims: Sequence[Claim]) -> AsyncIterator[None]:
    """Renew the leases of claims while the block runs.

    A failed renewal is only logged: the commit checks whether the claim is still valid.
    """
    if not held_claims:  # nearly every call: no long work, so no task
        yield
        return
    renewing = asyncio.create_task(_renew_until_cancelled(app, held_claims))
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.wait([renewing])


async def _renew_until_cancelled(app: App, held_claims: Sequence[Claim]) -> None:
    while True:
        await asyncio.sleep(app.settings.lease_ms / 1000 / RENEWALS_PER_LEASE)
        try:
            await _renew(app, held_claims, app.settings.lease_ms)
        except Exception as error:  # see kept_alive
            telemetry.logger.debug("lease renewal failed: %s", type(error).__name__)


async def _renew(app: App, held_claims: Sequence[Claim], lease_ms: int) -> list[bytes]:
    if not held_claims:
        return []
    keys = [claim.claim_key for claim in held_claims]
    tokens = [part for claim in held_claims for part in (claim.token, claim.payload.digest)]
    replies: list[bytes] = await app.run(RENEW_CLAIMS, keys=keys, args=[app.owner, lease_ms, *tokens])
    return replies


async def claim_replay(app: App, batch: Batch, payload: Payload) -> Claim | str:
    """Claim a batch whose key is gone, with the content of a dead letter. Returns the claim, or the status of
    claim_replay.lua that says why there is none. Raises what the Redis client raises."""
    status, *token = await app.run(
        CLAIM_REPLAY,
        keys=list(_keys(batch)[:3]),
        args=[
            app.owner,
            app.settings.lease_ms,
            results.head(payload.digest),
            payload.digest,
            namespaces.PROCESSING_QUEUE_TTL_S,
        ],
    )
    return Claim(batch, payload, 1, token[0], -1) if token else str(status.decode())
